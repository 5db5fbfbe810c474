"""Photographs of a table or of any folder, divided by photographer."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_safire.decoding.names import READABLE
from napari_safire.errors import DatasetError
from napari_safire.images.files import pictures_below, why_unreadable
from napari_safire.synthesis.photo_bank import PhotoBank

_ORIGIN = ("source_repo", "path")


@dataclass(frozen=True, slots=True)
class Photo:
    """Where a photograph lies and whose it is.

    Parameters
    ----------
    path : Path
    group : str
        Photographer, camera or folder.
    split : str
        "" where there is no table.
    name : str
        What records call it: its path below the table's folder or the folder that was read.
        Default: the file's name.
    origin : str
        Where it was published, the same in all tables and whatever its file is called now; "" where
        nobody says.
    """

    path: Path
    group: str
    split: str
    name: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.path.name)


def read_photo_table(table: Path, group: str = "group") -> list[Photo]:
    """Read a CSV with columns ``file``, ``group`` and ``split``.

    Files lie in the folder that has the table's name without its suffix
    (``photos.csv`` -> ``photos/``). Columns ``source_repo`` and ``path``, where there are such, say
    where a photograph was published.

    Parameters
    ----------
    table : Path
    group : str
        The column that names the group; "file" makes every photograph a group of its own.

    Returns
    -------
    list of Photo

    Raises
    ------
    DatasetError
        The table is missing or not a table in UTF-8, lacks a column or a field, or names files
        that are not there.
    """
    folder = table.with_suffix("")
    needed = {"file", group, "split"}
    if not os.path.isfile(table):
        raise DatasetError(f"There is no photo table {table}: give the path of its CSV file.")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = needed - set(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"The photo table {table} cannot be read: {error}.") from error
    if missing:
        raise DatasetError(f"{table} has no column {', '.join(sorted(missing))}.")
    for number, row in enumerate(rows, start=1):
        empty = sorted(name for name in needed if not row[name])
        if empty:
            raise DatasetError(f"Photograph {number} of {table} has no {', '.join(empty)}.")
    photos = [
        Photo(
            folder / row["file"],
            row[group],
            row["split"],
            Path(row["file"]).as_posix(),
            "/".join(row[name] for name in _ORIGIN) if all(map(row.get, _ORIGIN)) else "",
        )
        for row in rows
    ]
    lost = [photo.path.name for photo in photos if why_unreadable(photo.path) is not None]
    if lost:
        raise DatasetError(f"{len(lost)} photographs of {table} are not in {folder}: {lost[:5]}.")
    return photos


def read_photo_folder(folder: Path) -> list[Photo]:
    """Find the photographs in a folder and all its subfolders, by their names alone.

    Each subfolder, with all below it, is one group: sources of one composite come from different
    groups where there are several. Files of the top folder are groups of their own. Hidden files
    are left out; whether a file can be read is found out when it is used.

    Returns
    -------
    list of Photo
        Sorted by name.

    Raises
    ------
    DatasetError
        There is no such folder, it cannot be listed, or it holds no photograph.
    """
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}: give a photo table (CSV) or a folder.")
    names = list(pictures_below(folder))
    if not names:
        raise DatasetError(
            f"{folder} holds no photographs: files that end in {', '.join(sorted(READABLE))} are "
            "looked for, in subfolders too."
        )
    return [Photo(folder / name, name.parts[0], "", name.as_posix()) for name in names]


def divide(photos: Sequence[Photo], held_out: float) -> tuple[list[Photo], list[Photo]]:
    """Divide by photographer, always the same way: (kept, held out).

    Parameters
    ----------
    photos : sequence of Photo
    held_out : float
        Share of the groups to hold out, decided by a hash of the group's name.

    Returns
    -------
    kept, held_out : list of Photo
    """
    if not 0 <= held_out <= 1:
        raise ValueError(f"The share of groups to hold out is 0 to 1, not {held_out}.")

    def is_held_out(group: str) -> bool:
        number = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big")
        return number / 2**32 < held_out

    return (
        [photo for photo in photos if not is_held_out(photo.group)],
        [photo for photo in photos if is_held_out(photo.group)],
    )


def divide_by_origin(
    photos: Sequence[Photo], others: Sequence[Photo]
) -> tuple[list[Photo], list[Photo]]:
    """Divide by whether the same photograph is among others, in whatever size: (shared, apart).

    Parameters
    ----------
    photos, others : sequence of Photo
        Of tables that say where each was published.

    Returns
    -------
    shared, apart : list of Photo

    Raises
    ------
    DatasetError
        Of a photograph nobody says where it was published.
    """
    for photo in (*photos, *others):
        if not photo.origin:
            raise DatasetError(
                f"Nobody says where {photo.name} was published: its table needs the columns "
                f"{' and '.join(_ORIGIN)}, filled."
            )
    known = {photo.origin for photo in others}
    return (
        [photo for photo in photos if photo.origin in known],
        [photo for photo in photos if photo.origin not in known],
    )


def bank_of(photos: Sequence[Photo]) -> PhotoBank:
    """Photographs as a bank for `napari_safire.synthesis.composites.compose`."""
    return PhotoBank(
        [photo.path for photo in photos],
        [photo.group for photo in photos],
        [photo.name for photo in photos],
    )
