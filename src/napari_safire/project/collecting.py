"""Which pictures a project is made of: those of a folder, a pattern, a list, a table or a set."""

from __future__ import annotations

import csv
import glob
import io
import os
from collections.abc import Iterable
from pathlib import Path

from napari_safire.datasets.catalogue import pair_set
from napari_safire.errors import DatasetError
from napari_safire.images.files import is_picture_file, pictures_below
from napari_safire.images.list_text import LIST_SUFFIXES, list_root, read_text
from napari_safire.images.lists import ListEntry, read_list
from napari_safire.images.mask_pairs import find_folder_pairs, is_source_mask_name, pair_pictures
from napari_safire.project.store import DATABASE
from napari_safire.text import printable

PATH_COLUMNS = ("path", "image", "picture", "file", "filename", "image_path", "file_name")
"""Headings under which a table may name its pictures; the first that is there counts."""
_MASK_COLUMNS = ("mask", "mask_path")
_TABLE_SUFFIXES = (*LIST_SUFFIXES, ".tsv")


def collect_pictures(
    source: str | os.PathLike[str], *, set_name: str | None = None
) -> tuple[ListEntry, ...]:
    """Find pictures, and the masks that come with them.

    Parameters
    ----------
    source : path-like
        A folder, with its subfolders, in which masks are told from pictures by the folder pairs of
        published sets; a pattern such as ``photos/**/*.jpg``; a list file of lines ``image,mask``;
        a table (CSV or TSV) whose heading names a column of `PATH_COLUMNS`; or a picture.
    set_name : str, optional
        The folder is a published data set of this name (`napari_safire.datasets`).

    Returns
    -------
    tuple of ListEntry
        With whole paths, each picture once.

    Raises
    ------
    DatasetError
        Nothing is there, or it cannot be read.
    """
    path = Path(os.path.abspath(source))
    if set_name is not None:
        found: Iterable[ListEntry] = pair_set(set_name, path).entries
    elif path.is_dir():
        found = _in_folder(path)
    elif path.is_file():
        found = _in_file(path)
    else:
        found = _matching(os.fspath(source))
    once: dict[Path, ListEntry] = {}
    for entry in found:
        once.setdefault(entry.image, entry)
    if not once:
        raise DatasetError(f"There are no pictures in {printable(source)}: choose another place.")
    return tuple(once.values())


def _in_folder(folder: Path) -> list[ListEntry]:
    paired: dict[Path, ListEntry] = {}
    masks: list[Path] = []
    for pair in find_folder_pairs(folder):
        masks.append(pair.masks)
        try:
            paired |= {entry.image: entry for entry in pair_pictures(pair).entries}
        except DatasetError:  # no picture of it has a mask
            continue
    paths = [folder / name for name in pictures_below(folder)]
    own = {path.parent / "objects" for path in folder.rglob(DATABASE)}
    return [
        paired.get(path) or ListEntry(path)
        for path in paths
        if not any(path.is_relative_to(other) for other in (*masks, *own))
        and not _is_mask(path, paths)
    ]


def _is_mask(path: Path, paths: list[Path]) -> bool:
    """Whether a picture is the mask of one that lies beside it."""
    if not is_source_mask_name(path):
        return False
    owner = path.stem.rpartition("_")[0]
    return any(
        other.parent == path.parent and owner in (other.name, other.stem)
        for other in paths
        if other != path
    )


def _in_file(path: Path) -> Iterable[ListEntry]:
    if path.suffix.lower() in _TABLE_SUFFIXES:
        table = _table(path)
        return read_list(path, list_root(path)) if table is None else table
    if is_picture_file(path):
        return [ListEntry(path)]
    raise DatasetError(
        f"{printable(path)} is no list, table or picture: give a folder, a pattern, or a file that "
        f"ends in {', '.join(_TABLE_SUFFIXES)}."
    )


def _table(path: Path) -> list[ListEntry] | None:
    """Entries of a table with a heading; None where it is a list without one."""
    text = read_text(path)
    try:
        return _entries(path, text)
    except csv.Error as error:
        raise DatasetError(f"{printable(path)} is no table: {error}.") from error


def _entries(path: Path, text: str) -> list[ListEntry] | None:
    heading = text.partition("\n")[0]
    separator = "\t" if "\t" in heading else ","
    rows = csv.DictReader(io.StringIO(text), delimiter=separator)
    names = {name.strip().lower(): name for name in rows.fieldnames or ()}
    column = next((names[name] for name in PATH_COLUMNS if name in names), None)
    if column is None:
        if path.suffix.lower() == ".tsv":
            raise DatasetError(
                f"{printable(path)} has no column of paths: call one of them "
                f"{', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}."
            )
        return None
    mask = next((names[name] for name in _MASK_COLUMNS if name in names), None)
    return [
        ListEntry(_beside(path, row[column]), _mask_of(path, row, mask))
        for row in rows
        if (row[column] or "").strip()
    ]


def _mask_of(table: Path, row: dict[str, str], column: str | None) -> Path | None:
    written = (row.get(column) or "").strip() if column else ""
    return None if written in ("", "None") else _beside(table, written)


def _beside(table: Path, written: str) -> Path:
    return Path(os.path.abspath(table.parent / written.strip()))


def _matching(pattern: str) -> list[ListEntry]:
    if not glob.has_magic(pattern):
        raise DatasetError(f"{printable(pattern)} does not exist: check its name and folder.")
    paths = sorted(Path(os.path.abspath(path)) for path in glob.glob(pattern, recursive=True))
    return [ListEntry(path) for path in paths if path.is_file() and is_picture_file(path)]
