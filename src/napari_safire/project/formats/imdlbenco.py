"""IMDLBenCo: a JSON of pairs, or folders ``Tp`` and ``Gt`` paired by sorted position.

Its loaders take the mean of a mask's channels and call it forged above 127.5, so SafireMS greys
(50, 100) would be black: masks are 0 and 255. The JSON is read relative to where the training was
started, and in the system's own encoding: `ExportSettings.absolute_paths`, and ASCII alone. The
folders are paired by position in the sorted lists of their names, so names have no dots that could
sort differently before another suffix (`export_names`), and every picture has a mask.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from napari_safire.errors import DatasetError
from napari_safire.images.masks import MaskRule
from napari_safire.project.formats.about import OWN_FILES
from napari_safire.project.formats.format import Holds, Imported, Place, Placed, Seen, split_lists
from napari_safire.project.formats.labelled import (
    SPLITS,
    ExportSettings,
    Split,
    split_of_name,
)
from napari_safire.project.formats.mask_files import (
    BinaryFiles,
    Row,
    black,
    channel_mean,
    each_list,
    import_binary,
)
from napari_safire.project.formats.tables import read_json, within

NEGATIVE = "Negative"
RULE = MaskRule(above=127)
_LIMIT = 127.5


class ImdlBenCoJson(BinaryFiles):
    """``[[picture, mask | "Negative"], …]`` for each part."""

    name = "imdlbenco"
    title = "IMDLBenCo (JSON)"
    reading = (
        "Each part is a JSON of pairs, read from the folder of this file; a mask is forged where "
        "the mean of its channels is above 127.5, and `Negative` is an authentic picture."
    )
    holds = Holds(binary=True, unassigned=False)
    masks_of_authentic = False

    def folders(self, placed: Placed, coded: npt.NDArray[Any]) -> tuple[str, str]:
        """One of pictures, one of masks."""
        return "images", "masks"

    def write_lists(self, rows: Sequence[Row], place: Place, settings: ExportSettings) -> None:
        """ASCII, because the reader opens it in whatever encoding its system has."""
        for split, name in split_lists((row.split for row in rows), ".json").items():
            pairs = [[row.picture, row.mask or NEGATIVE] for row in rows if row.split == split]
            (place.folder / name).write_text(json.dumps(pairs, indent=0) + "\n", encoding="ascii")

    def read_back(self, place: Place) -> Iterator[Seen]:
        """As ``JsonDataset`` does."""
        for path in each_list(place.folder, "*.json"):
            for picture, mask in json.loads(path.read_text(encoding="ascii")):
                found = place.found(picture)
                seen = (
                    black(found) if mask == NEGATIVE else channel_mean(place.found(mask)) > _LIMIT
                )
                yield Seen(picture, seen)

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Lists of pairs."""
        for list_file in json_lists(path):
            for number, record in enumerate(read_json(list_file), start=1):
                if not (isinstance(record, list) and len(record) >= 2):
                    raise DatasetError(
                        f"{list_file}, entry {number}, is no pair of a picture and a mask: this is "
                        "no list of IMDLBenCo."
                    )
                picture, mask = (str(value) for value in record[:2])
                yield import_binary(
                    picture,
                    within(list_file, picture),
                    None if mask == NEGATIVE else within(list_file, mask),
                    split_of_name(list_file.stem),
                    RULE,
                )


class ImdlBenCoFolders(BinaryFiles):
    """``Tp`` and ``Gt``, in a folder for each part."""

    name = "imdlbenco-folders"
    title = "IMDLBenCo (folders Tp and Gt)"
    reading = (
        "`Tp` and `Gt` are paired by position in their sorted lists; a mask is forged where the "
        "mean of its channels is above 127.5."
    )
    holds = Holds(binary=True, unassigned=False, flat=True, refers=False)

    def folders(self, placed: Placed, coded: npt.NDArray[Any]) -> tuple[str, str]:
        """Those of the part."""
        part = f"{placed.picture.split}/" if placed.picture.split else ""
        return f"{part}Tp", f"{part}Gt"

    def write_lists(self, rows: Sequence[Row], place: Place, settings: ExportSettings) -> None:
        """None: names say all."""

    def read_back(self, place: Place) -> Iterator[Seen]:
        """As ``ManiDataset`` does: by position."""
        for folder in _parts(place.folder):
            names = [sorted(os.listdir(folder / which)) for which in ("Tp", "Gt")]
            for picture, mask in zip(*names, strict=True):
                listed = (folder / "Tp" / picture).relative_to(place.folder).as_posix()
                yield Seen(listed, channel_mean(folder / "Gt" / mask) > _LIMIT)

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """By position, where the numbers agree; a name that differs is told."""
        parts = _parts(path)
        if not parts:
            raise DatasetError(f"{path} has no folders Tp and Gt: give the folder that holds them.")
        for folder in parts:
            pictures, masks = (
                sorted(name for name in os.listdir(folder / which) if not name.startswith("."))
                for which in ("Tp", "Gt")
            )
            if len(pictures) != len(masks):
                raise DatasetError(
                    f"{folder} has {len(pictures)} files in Tp and {len(masks)} in Gt, which are "
                    "paired by position: every picture needs its mask."
                )
            for picture, mask in zip(pictures, masks, strict=True):
                name = (folder / "Tp" / picture).relative_to(path).as_posix()
                got = import_binary(
                    name, folder / "Tp" / picture, folder / "Gt" / mask,
                    split_of_name(folder.name), RULE,
                )  # fmt: skip
                yield _with_doubt(got, picture, mask)


def _with_doubt(got: Imported, picture: str, mask: str) -> Imported:
    stem, other = Path(picture).stem, Path(mask).stem
    if other.startswith(stem) or stem.startswith(other):
        return got
    sentence = f"{picture} got the mask {mask}, by its position in the sorted folders."
    return Imported(got.name, got.picture, (sentence, *got.sentences))


def _parts(path: Path) -> list[Path]:
    """Folders that hold ``Tp`` and ``Gt``: the one given, or one for each part."""
    names: list[Split] = [split for split in SPLITS if split]
    folders = [path, *(path / name for name in names)]
    return [f for f in folders if (f / "Tp").is_dir() and (f / "Gt").is_dir()]


def json_lists(path: Path) -> list[Path]:
    """Return the list that was given, or those of a folder.

    Raises
    ------
    DatasetError
        There is none.
    """
    lists = [found for found in each_list(path, "*.json") if found.name not in OWN_FILES]
    if not lists:
        raise DatasetError(f"{path} holds no list (.json): give a list or the folder of one.")
    return lists
