"""The formats by name, and import."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from napari_safire.errors import DatasetError
from napari_safire.project.formats.about import read_export_kind, read_known, with_known
from napari_safire.project.formats.coco import Coco, CocoPolygons
from napari_safire.project.formats.forensichub import ForensicHub
from napari_safire.project.formats.format import Format, Imported
from napari_safire.project.formats.huggingface import HuggingFaceFolder, HuggingFaceParquet
from napari_safire.project.formats.imdlbenco import ImdlBenCoFolders, ImdlBenCoJson
from napari_safire.project.formats.label_tiff import LabelTiff
from napari_safire.project.formats.lists import Lists
from napari_safire.project.formats.palette_png import PalettePng
from napari_safire.project.formats.safirems import SafireMS
from napari_safire.project.formats.webdataset import WebDataset

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        SafireMS(),
        ImdlBenCoJson(),
        ImdlBenCoFolders(),
        ForensicHub(),
        Lists(),
        Coco(),
        CocoPolygons(),
        PalettePng(),
        LabelTiff(),
        HuggingFaceFolder(),
        HuggingFaceParquet(),
        WebDataset(),
    )
}
"""By name, in the order in which they are offered."""


def find_format(name: str) -> Format:
    """Return a format by its name.

    Raises
    ------
    DatasetError
        There is none of that name; those there are.
    """
    if name not in FORMATS:
        raise DatasetError(f"There is no format {name!r}: choose {', '.join(FORMATS)}.")
    return FORMATS[name]


def import_pictures(
    path: str | os.PathLike[str],
    kind: str | None = None,
    *,
    unpack: str | os.PathLike[str] | None = None,
) -> Iterator[Imported]:
    """Read annotations of a format.

    Parameters
    ----------
    path : path-like
        Folder of an export, or one list, table or archive.
    kind : str, optional
        Name of the format; without it, that of an export of this package.
    unpack : path-like, optional
        Folder for pictures that are packed in tables or archives.

    Yields
    ------
    Imported
        One for each picture, in the order of the format; those that cannot be taken with a
        sentence. Masks are as in the files; what an export of this package knew beside them
        (keys, types, donors, work) comes back with them.

    Raises
    ------
    DatasetError
        There is nothing of this format.
    """
    whole = Path(os.path.abspath(path))
    folder = whole if whole.is_dir() else whole.parent
    name = kind or read_export_kind(folder)
    if name is None:
        raise DatasetError(
            f"{whole} does not say which format it has: name one of {', '.join(FORMATS)}."
        )
    form = find_format(name)
    ours = read_export_kind(folder) == form.name
    known = read_known(folder) if ours else {}
    target = None if unpack is None else Path(os.path.abspath(unpack))
    for got in form.read(whole, target):
        yield with_known(got, known, binary=form.holds.binary)
