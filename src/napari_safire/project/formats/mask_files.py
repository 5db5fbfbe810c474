"""What formats have in common that lay masks as files beside pictures, and name both in lists."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.list_text import list_root
from napari_safire.images.lists import ListEntry, read_lines, write_list
from napari_safire.images.masks import MaskRule
from napari_safire.images.reading import image_shape, write_image_atomic
from napari_safire.images.truth import read_truth
from napari_safire.project.formats.format import (
    Format,
    Imported,
    Place,
    Placed,
    Written,
    place_picture,
    split_lists,
)
from napari_safire.project.formats.labelled import (
    AUTHENTIC,
    ExportSettings,
    LabelledPicture,
    Labels,
    Split,
    split_of_name,
)
from napari_safire.project.truth import PictureDescription, SourceDescription

T = TypeVar("T")
BACKGROUND, FORGED_SOURCE = 1, 2
"""Sources that a binary mask is read as."""


@dataclass(frozen=True, slots=True)
class Row:
    """One picture as a list names it.

    Parameters
    ----------
    picture : str
    mask : str or None
        None: authentic.
    split : {"", "train", "validation", "test"}
    """

    picture: str
    mask: str | None
    split: Split


class MaskFiles(Format):
    """A format with a file for each picture and for each mask.

    Attributes
    ----------
    mask_suffix : str
    masks_of_authentic : bool
        Whether a picture of which nothing is forged has a black mask all the same.
    """

    mask_suffix: ClassVar[str] = ".png"
    masks_of_authentic: ClassVar[bool] = True

    @abstractmethod
    def folders(self, placed: Placed, coded: npt.NDArray[Any]) -> tuple[str, str]:
        """Name the folder of a picture and that of its mask."""

    @abstractmethod
    def save_mask(self, path: Path, coded: npt.NDArray[Any], placed: Placed) -> None:
        """Write what readers shall see into a file of the format."""

    @abstractmethod
    def write_lists(self, rows: Sequence[Row], place: Place, settings: ExportSettings) -> None:
        """Write what names pictures and masks."""

    def write(self, placed: Iterable[Placed], place: Place, settings: ExportSettings) -> Written:
        """See `Format.write`."""
        written, rows = Written(), []
        for one in placed:
            coded = self.coded(one.picture, settings)
            pictures, masks = self.folders(one, coded)
            name = place_picture(one, place, f"{pictures}/{one.name}", settings)
            mask = None
            if self.masks_of_authentic or coded.any():
                mask = f"{masks}/{one.stem}{self.mask_suffix}"
                path = place.folder / mask
                path.parent.mkdir(parents=True, exist_ok=True)
                self.save_mask(path, coded, one)
                written.masks[one.picture.key] = mask
            written.pictures[one.picture.key] = name
            listed = None if mask is None else place.listed(mask, settings)
            rows.append(Row(name, listed, one.picture.split))
        self.write_lists(rows, place, settings)
        return written


class BinaryFiles(MaskFiles):
    """A format whose masks are 0 where a picture is authentic and 255 where it is forged."""

    def save_mask(self, path: Path, coded: npt.NDArray[Any], placed: Placed) -> None:
        """See `MaskFiles.save_mask`."""
        write_image_atomic(path, coded)


def channel_mean(mask: Path) -> npt.NDArray[np.float64]:
    """Mean of a mask's three channels, (H, W), as IMDLBenCo and ForensicHub take it."""
    with Image.open(mask) as image:
        return np.asarray(image.convert("RGB")).mean(axis=2)


def black(picture: Path) -> npt.NDArray[np.bool_]:
    """Return the mask of an authentic picture, (H, W) all False."""
    return np.zeros(image_shape(picture), bool)


def import_binary(
    name: str, picture: Path, mask: Path | None, split: Split, rule: MaskRule | None
) -> Imported:
    """Read a picture with a mask that says where it is forged.

    Parameters
    ----------
    name : str
        As the list calls it.
    picture : Path
    mask : Path or None
        None: authentic.
    split : {"", "train", "validation", "test"}
    rule : MaskRule or None
        What "forged" looks like; None: above black, and masks for which that is doubtful are
        refused.

    Returns
    -------
    Imported
        Source 1 is authentic, source 2 forged, of unknown type.
    """
    try:
        entry = ListEntry(picture, mask, rule=rule)
        truth = read_truth(entry, "binary", shape=image_shape(picture))
    except SafireError as error:
        return Imported(name, None, (str(error),))
    labels = np.where(truth.labels, FORGED_SOURCE, BACKGROUND).astype(np.uint8)
    return Imported(name, binary_picture(name, picture, labels, split), truth.warnings)


def binary_picture(name: str, picture: Path, labels: Labels, split: Split) -> LabelledPicture:
    """Return a picture of which source 1 is known to be authentic, and no more."""
    whole = LabelledPicture(name, picture, name, labels, split=split)
    described = PictureDescription((SourceDescription(BACKGROUND, type=AUTHENTIC),))
    return LabelledPicture(name, picture, name, labels, described.only(whole.sources), split)


def each_list(path: Path, pattern: str) -> Iterator[Path]:
    """Lists of an export: the one that was given, or those in the folder, by name."""
    if path.is_file():
        yield path
        return
    yield from sorted(path.glob(pattern))


def write_text_lists(rows: Sequence[Row], place: Place) -> None:
    """Write ``image,mask`` lists, one for each part, with paths from the export's folder on."""
    for split, name in split_lists((row.split for row in rows), ".txt").items():
        entries = [
            ListEntry(
                place.folder / row.picture,
                None if row.mask is None else place.folder / row.mask,
            )
            for row in rows
            if row.split == split
        ]
        write_list(place.folder / name, entries)


def listed_entries(path: Path) -> Iterator[tuple[str, ListEntry, Split]]:
    """Entries of a list or of all lists in a folder: name in the list, entry, part.

    Raises
    ------
    DatasetError
        A list breaks the format.
    """
    for list_file in each_list(path, "*.txt"):
        root = list_root(list_file)
        for entry in read_lines(list_file, root):
            name = entry.image.relative_to(root).as_posix()
            yield name, entry, split_of_name(list_file.stem)


def require_entries(path: Path, entries: Iterable[T]) -> Iterator[T]:
    """Pass entries on.

    Raises
    ------
    DatasetError
        There were none.
    """
    found = False
    for entry in entries:
        found = True
        yield entry
    if not found:
        raise DatasetError(f"{path} holds no list (.txt) with entries: give a list.")
