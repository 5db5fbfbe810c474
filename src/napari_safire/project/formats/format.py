"""What a format is: what it holds, how it is written, how its readers read it."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.errors import SafireError
from napari_safire.images.reading import inspect_image
from napari_safire.project.formats.labelled import (
    ExportSettings,
    LabelledPicture,
    Split,
)
from napari_safire.text import printable


@dataclass(frozen=True, slots=True)
class Holds:
    """What a format can hold.

    Parameters
    ----------
    binary : bool
        Forged or not; no sources.
    most_sources : int
    unassigned : bool
        Pixels without a source.
    flat : bool
        All pictures lie in one folder, paired by the order of names or by names up to a dot.
    refers : bool
        Pictures may stay where they are.
    turned : bool
        Readers show pictures and masks as stored. Where not, they turn a picture by its EXIF
        orientation and leave the mask.
    """

    binary: bool = False
    most_sources: int = MOST_SOURCES
    unassigned: bool = True
    flat: bool = False
    refers: bool = True
    turned: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A picture and the name that its files get.

    Parameters
    ----------
    picture : LabelledPicture
    name : PurePosixPath
        Relative, safe, and without its suffix unlike all others.
    """

    picture: LabelledPicture
    name: PurePosixPath

    @property
    def stem(self) -> PurePosixPath:
        """The name without its suffix: what masks are called after."""
        return self.name.with_suffix("")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an export lies while it is made, and where it will lie.

    Parameters
    ----------
    folder, final : Path
        Whole paths.
    """

    folder: Path
    final: Path

    def listed(self, name: str, settings: ExportSettings) -> str:
        """Write the name of a file of the export as its lists shall have it."""
        return (self.final / name).as_posix() if settings.absolute_paths else name

    def found(self, listed: str) -> Path:
        """Return where a file that a list names lies now."""
        path = self.final / listed
        inside = path.is_relative_to(self.final)
        return self.folder / path.relative_to(self.final) if inside else path


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a reader of the format takes for the mask of a picture.

    Parameters
    ----------
    picture : str
        Name of the picture as it stands in the format, told from those of all others.
    mask : (H, W) array
        bool for binary formats, else numbers of sources by the format's own count.
    """

    picture: str
    mask: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """One picture of an import, or why it is none.

    Parameters
    ----------
    name : str
        As the format calls it.
    picture : LabelledPicture or None
        None: it cannot be taken; the last sentence says why.
    sentences : tuple of str
        What was assumed, left out or mended.
    unassigned_overlap : int
        Pixels that several objects claimed, and that therefore have no source.
    """

    name: str
    picture: LabelledPicture | None
    sentences: tuple[str, ...] = ()
    unassigned_overlap: int = 0


@dataclass(slots=True)
class Written:
    """What a writer tells of its work; filled while it writes.

    Parameters
    ----------
    pictures : dict of str to str
        Name of each picture in the format, by key.
    masks : dict of str to str
        Name of the mask's file by key, where there is one.
    changed_pixels : dict of str to int
        Of formats that do not hold masks exactly: pixels that differ, by key.
    """

    pictures: dict[str, str] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)
    changed_pixels: dict[str, int] = field(default_factory=dict)


class Format(ABC):
    """One way to write annotations down.

    Attributes
    ----------
    name : str
        As it is asked for.
    title : str
        As it is shown.
    holds : Holds
    reading : str
        The rule of its readers, as the data card tells it.
    exact : bool
        Whether masks come back pixel by pixel. Where not, the loss is measured and told.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    reading: ClassVar[str]
    holds: ClassVar[Holds] = Holds()
    exact: ClassVar[bool] = True

    @abstractmethod
    def write(self, placed: Iterable[Placed], place: Place, settings: ExportSettings) -> Written:
        """Write all pictures and masks into a new folder that gets its final name later."""

    @abstractmethod
    def read_back(self, place: Place) -> Iterator[Seen]:
        """Read all masks by the rule of the format's readers, which is not the import's."""

    @abstractmethod
    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Read a folder, or one list or table, of this format, whoever wrote it.

        Parameters
        ----------
        path : Path
            Whole path.
        unpack : Path, optional
            Folder for pictures that are packed in tables or archives; others stay where they are.

        Raises
        ------
        DatasetError
            It is none of this format at all, or `unpack` is needed.
        """

    def numbers(self, picture: LabelledPicture) -> dict[int, int]:
        """Numbers from 1 that sources have after an import, by their own; {}: the same."""
        return {}

    def coded(self, picture: LabelledPicture, settings: ExportSettings) -> npt.NDArray[Any]:
        """Return what the readers of the format shall see of a picture's labels."""
        if not self.holds.binary:
            return picture.labels
        forged = [s for s in picture.sources if picture.description.of(s).type in settings.forged]
        return np.isin(picture.labels, forged)

    def hub_files(self, splits: Sequence[str]) -> list[tuple[str, str]]:
        """Parts and patterns of files for the head of a card on the hub; empty for most formats."""
        return []

    def why_not(self, picture: LabelledPicture, settings: ExportSettings) -> list[str]:
        """Say what of a picture the format cannot hold, as parts of sentences of the picture."""
        reasons, counts = [], picture.counts()
        sources = picture.sources
        if not sources:
            reasons.append("has no source")
        if len(sources) > self.holds.most_sources and not self.holds.binary:
            reasons.append(
                f"has {len(sources)} sources, and the format holds {self.holds.most_sources}"
            )
        if counts[0] and sources and not self.holds.unassigned:
            reasons.append(f"has {counts[0]:,} pixels without a source, which it cannot hold")
        if self.holds.binary:
            known = settings.forged | settings.authentic
            for source in sources:
                kind = picture.description.of(source).type
                if kind not in known:
                    reasons.append(
                        f"has a source ({source}) of the type {kind!r}, which is set neither "
                        "as forged nor as authentic"
                    )
        if not self.holds.turned:
            orientation = inspect_image(picture.path).orientation
            if orientation != 1:
                reasons.append(
                    f"asks to be turned (EXIF orientation {orientation}), which readers of the "
                    "format do, but not with its mask"
                )
        return reasons


def place_picture(placed: Placed, place: Place, name: str, settings: ExportSettings) -> str:
    """Bring a picture's file into an export.

    Parameters
    ----------
    placed : Placed
    place : Place
    name : str
        Relative to the export.
    settings : ExportSettings

    Returns
    -------
    str
        How lists name it.

    Raises
    ------
    SafireError
        It cannot be copied or linked.
    """
    source = placed.picture.path
    if settings.pictures == "refer":
        return source.as_posix()
    target = place.folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if settings.pictures == "copy":
        shutil.copyfile(source, target)
    else:
        _link(source, target)
    return place.listed(name, settings)


def _link(source: Path, target: Path) -> None:
    try:
        os.symlink(source, target)
    except OSError:
        # Windows asks for a privilege; a hard link needs none, on the same drive.
        try:
            os.link(source, target)
        except OSError as error:
            raise SafireError(
                f"No link to {printable(source)} can be made here "
                f"({error.strerror or error}): copy the pictures instead."
            ) from error


def split_lists(splits: Iterable[Split], suffix: str, whole: str = "all") -> dict[Split, str]:
    """Name the list of each part that has pictures: ``train.txt``; of undivided ones ``all.txt``.

    Examples
    --------
    >>> split_lists(["train", "", "train"], ".txt")
    {'train': 'train.txt', '': 'all.txt'}
    """
    return {split: f"{split or whole}{suffix}" for split in dict.fromkeys(splits)}


def in_parts(placed: Iterable[Placed], size: int) -> Iterator[tuple[Split, int, Iterator[Placed]]]:
    """Cut pictures, which come part by part, into lots: (part, number from 0, the lot).

    A lot has to be used up before the next one is asked for.
    """
    for split, group in groupby(placed, lambda one: one.picture.split):
        rest = iter(group)
        for number, first in enumerate(rest):
            yield split, number, chain([first], islice(rest, size - 1))
