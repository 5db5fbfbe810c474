"""Which pictures a project is made of: those of a folder, pattern, list, table, manifest or set."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from napari_safire.corpus.inputs.tables import TABLE_SUFFIXES, read_table
from napari_safire.corpus.triage.choice import Choice, choose
from napari_safire.corpus.triage.source import is_manifest, open_manifest
from napari_safire.corpus.triage.tables import places as picture_places
from napari_safire.datasets.catalogue import pair_set
from napari_safire.errors import DatasetError
from napari_safire.images.files import files_matching, is_picture_file, pictures_below
from napari_safire.images.list_text import list_root
from napari_safire.images.lists import ListEntry, read_list
from napari_safire.images.mask_pairs import find_folder_pairs, is_source_mask_name, pair_pictures
from napari_safire.project.manifest_scores import ManifestScore, manifest_scores
from napari_safire.project.store import DATABASE
from napari_safire.text import printable


@dataclass(frozen=True, slots=True)
class Collected:
    """Pictures that were found.

    Parameters
    ----------
    entries : tuple of ListEntry
        With whole paths, each picture once.
    left_out : tuple of str
        Why others that were named are not among them, in sentences.
    scores : tuple of ManifestScore
        What a manifest says of them.
    """

    entries: tuple[ListEntry, ...]
    left_out: tuple[str, ...] = ()
    scores: tuple[ManifestScore, ...] = ()


def collect_pictures(
    source: str | os.PathLike[str], *, set_name: str | None = None
) -> tuple[ListEntry, ...]:
    """Find pictures as `collect` does; those that cannot be had are passed over.

    Raises
    ------
    DatasetError
        Nothing is there, or it cannot be read.
    """
    return collect(source, set_name=set_name).entries


def collect(
    source: str | os.PathLike[str],
    *,
    set_name: str | None = None,
    choice: Choice | None = None,
) -> Collected:
    """Find pictures, and what comes with them: masks, or a manifest's scores.

    Parameters
    ----------
    source : path-like
        A folder, with its subfolders, in which masks are told from pictures by the folder pairs of
        published sets; a pattern such as ``photos/**/*.jpg``; a list file of lines ``image,mask``;
        a table (CSV, TSV or Parquet) with a column of paths; the manifest of a corpus (its folder,
        or a Parquet file made of it); or a picture.
    set_name : str, optional
        The folder is a published data set of this name (`napari_safire.datasets`).

    choice : Choice, optional
        Which pictures of a manifest, in which order. Default: all, the highest score first.

    Returns
    -------
    Collected

    Raises
    ------
    DatasetError
        Nothing is there, or it cannot be read; or pictures are chosen of what is no manifest.
    """
    path = Path(os.path.abspath(source))
    if set_name is None and is_manifest(path):
        return _in_manifest(path, choice or Choice())
    if choice is not None:
        raise DatasetError(
            f"{printable(source)} is no manifest of a corpus: nothing can be chosen by what was "
            "found."
        )
    left_out: list[str] = []
    if set_name is not None:
        found: Iterable[ListEntry] = pair_set(set_name, path).entries
    elif path.is_dir():
        found = _in_folder(path)
    elif path.is_file():
        found = _in_file(path, left_out)
    else:
        found = _matching(os.fspath(source))
    once: dict[Path, ListEntry] = {}
    for entry in found:
        once.setdefault(entry.image, entry)
    if not once:
        raise DatasetError(f"There are no pictures in {printable(source)}: choose another place.")
    return Collected(tuple(once.values()), tuple(left_out))


def _in_manifest(path: Path, choice: Choice) -> Collected:
    chosen = choose(open_manifest(path), choice)
    places = picture_places(chosen)
    files = list(dict.fromkeys(place.file for place in places if place.file is not None))
    left_out = tuple(place.why_no_file for place in places if place.file is None)
    if not files:
        more = f": {left_out[0]}" if left_out else ", or none fulfils the condition: change it."
        raise DatasetError(f"The manifest {printable(path)} names no files{more}")
    return Collected(tuple(map(ListEntry, files)), left_out, manifest_scores(chosen))


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


def _in_file(path: Path, left_out: list[str]) -> Iterable[ListEntry]:
    if path.suffix.lower() in TABLE_SUFFIXES:
        table = read_table(path, left_out)
        return read_list(path, list_root(path)) if table is None else table
    if is_picture_file(path):
        return [ListEntry(path)]
    raise DatasetError(
        f"{printable(path)} is no list, table or picture: give a folder, a pattern, or a file that "
        f"ends in {', '.join(TABLE_SUFFIXES)}."
    )


def _matching(pattern: str) -> list[ListEntry]:
    if not glob.has_magic(pattern):
        raise DatasetError(f"{printable(pattern)} does not exist: check its name and folder.")
    return [ListEntry(path) for path in sorted(files_matching(pattern)) if is_picture_file(path)]
