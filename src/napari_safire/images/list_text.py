"""The text of a list file, before its entries are read: whether it is one, and of which folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari_safire.decoding.names import is_picture_name
from napari_safire.errors import DatasetError
from napari_safire.images.files import DiskNames, why_unreadable

AUTHENTIC = "None"
COMMENT = "#"
PATH_COLUMNS = ("path", "image", "picture", "file", "filename", "image_path", "file_name")
"""Headings under which a table may name its pictures; the first that is there counts."""
MASK_COLUMNS = ("mask", "mask_path")
LIST_SUFFIXES = (".txt", ".csv")
"""Of files that are taken for lists where pictures may stand as well."""
_BEGIN = 1 << 16  # characters of a text that are looked at


def looks_like_list(path: str | os.PathLike[str]) -> bool:
    """Whether a text file begins as list files do: a picture, a comma, and a picture or ``None``.

    Only the begin of the file is read; False if it cannot be.
    """
    try:
        fields = _first_fields(Path(os.path.abspath(path)))
    except (DatasetError, ValueError):  # ValueError: a null in the name
        return False
    return (
        len(fields) >= 2
        and is_picture_name(fields[0])
        and (fields[1] == AUTHENTIC or is_picture_name(fields[1]))
    )


def _first_fields(path: Path) -> list[str]:
    """Fields of the first entry of a list; none if there is no entry."""
    names = DiskNames()
    for line in read_text(path, _BEGIN).splitlines():
        if not (is_heading(line) or is_comment(line, (path.parent, path.parent.parent), names)):
            return [field.strip(' "') for field in line.split(",")]
    return []


def list_root(path: str | os.PathLike[str]) -> Path:
    """Find the folder that a list file's paths are relative to.

    Parameters
    ----------
    path : path-like
        The list file.

    Returns
    -------
    Path
        The list file's own folder, or the one above if the first picture is there and not here
        (data sets keep their lists in a folder of their own).

    Raises
    ------
    DatasetError
        The list cannot be read.
    """
    whole = Path(os.path.abspath(path))
    folder = whole.parent
    first = next(iter(_first_fields(whole)), None)
    if first is None:
        return folder
    names = DiskNames()
    here, above = (
        why_unreadable(names.find(root / first)) is None for root in (folder, folder.parent)
    )
    return folder.parent if above and not here else folder


def is_heading(line: str) -> bool:
    """Whether a line of a list says what stands in its columns, as that of a table does.

    Examples
    --------
    >>> is_heading("Image, mask"), is_heading("image.png,mask.png"), is_heading("image")
    (True, False, False)
    """
    fields = [field.strip(' "').lower() for field in line.split(",", 2)]
    return len(fields) > 1 and fields[0] in PATH_COLUMNS and fields[1] in MASK_COLUMNS


def is_comment(line: str, folders: Sequence[Path], names: DiskNames) -> bool:
    """Whether a line of a list is no entry: blank, or begun with ``#``.

    A line that begins with ``#`` is an entry all the same if what stands before its first comma is
    a file that is there, in one of some folders.
    """
    if not line.strip():
        return True
    if not line.lstrip().startswith(COMMENT):
        return False
    name = line.split(",")[0].strip()
    return all(why_unreadable(names.find(folder / name)) is not None for folder in folders)


def read_text(path: Path, most: int | None = None) -> str:
    """Read the text of a list file, or its begin.

    Raises
    ------
    DatasetError
        If it is no regular file, cannot be read, or is not UTF-8.
    """
    reason = why_unreadable(path)
    try:
        if reason is not None:
            raise DatasetError(f"The list {path} cannot be read: {reason}")
        with open(path, encoding="utf-8-sig") as file:
            return file.read(most)
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            reason = f"byte {error.start} is not UTF-8, save it as UTF-8 text"
        else:
            reason = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"The list {path} cannot be read: {reason}.") from error
