"""One picture with its labels, as exports take it and imports give it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from napari_safire.annotation import checked_values as checked
from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.errors import DatasetError
from napari_safire.project.formats.names import Annotators
from napari_safire.project.truth import SOURCE_TYPES, PictureDescription, SourceType

NOTHING_SAID = PictureDescription()
Labels = npt.NDArray[np.uint8]
Split = Literal["", "train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""The parts of a data set; an empty name is that of pictures that were not divided."""
_SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
AUTHENTIC: SourceType = "authentic background"
FORGED: frozenset[SourceType] = frozenset(SOURCE_TYPES) - {AUTHENTIC, "unknown"}
"""Types that a binary mask shows white, unless others are asked for."""
PictureFiles = Literal["copy", "link", "refer"]
_PICTURE_FILES: tuple[str, ...] = get_args(PictureFiles)
_MOST_IN_SHARD = 100_000


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What is known of a picture and of the work on it, for data cards.

    Parameters
    ----------
    file_sha256 : str
        Of the picture's file, where it is known: an export refuses a file that has another one.
    annotators : tuple of str
        Their names; an export calls them by numbers or initials (`ExportSettings.annotators`).
    licence : str
    models : tuple of str
        Name and version of models whose partitions were begun from.
    model_share : float or None
        Share of the pixels taken over unchanged from a model; None where no model was asked.
    """

    file_sha256: str = ""
    annotators: tuple[str, ...] = ()
    licence: str = ""
    models: tuple[str, ...] = ()
    model_share: float | None = None

    def __post_init__(self) -> None:
        if self.model_share is not None and not 0 <= self.model_share <= 1:
            raise DatasetError(
                f"A model cannot have made {self.model_share} of a picture: give a share from 0 "
                "to 1."
            )

    def as_record(self) -> dict[str, Any]:
        """Return JSON values from which `decode_facts` makes the same."""
        return {
            "file_sha256": self.file_sha256,
            "annotators": list(self.annotators),
            "licence": self.licence,
            "models": list(self.models),
            "model_share": self.model_share,
        }


def decode_facts(record: Any) -> PictureFacts:
    """Make facts of JSON values, from anywhere.

    Raises
    ------
    DatasetError
        One of them is damaged: a sentence that says which.
    """
    try:
        given = checked.mapping(record, "the facts of a picture")
        share = given.get("model_share")
        return PictureFacts(
            checked.words(given.get("file_sha256"), "a hash"),
            checked.each(given, "annotators", lambda name: checked.words(name, "an annotator")),
            checked.words(given.get("licence"), "a licence"),
            checked.each(given, "models", lambda name: checked.words(name, "a model")),
            None if share is None else checked.share(share, "the share of a model"),
        )
    except checked.Damaged as damage:
        raise DatasetError(f"The facts of a picture are damaged: {damage}.") from damage


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """A picture with its sources.

    Parameters
    ----------
    key : str
        What tells the picture from all others, as in the project.
    path : Path
        Whole path of its file.
    name : str
        Relative name that it shall have, with ``/`` between folders. Any text: exports make it
        safe, see `napari_safire.project.formats.names`.
    labels : (H, W) uint8 array
        Rows and columns as stored in the picture's file. 0: no source yet; sources from 1.
    description : PictureDescription
    split : {"", "train", "validation", "test"}
    facts : PictureFacts

    Raises
    ------
    DatasetError
        The labels are no label image.
    """

    key: str
    path: Path
    name: str
    labels: Labels
    description: PictureDescription = NOTHING_SAID
    split: Split = ""
    facts: PictureFacts = PictureFacts()

    def __post_init__(self) -> None:
        labels = self.labels
        if labels.ndim != 2 or labels.dtype != np.uint8 or not labels.size:
            raise DatasetError(
                f"The labels of {self.name!r} are {labels.dtype} of shape {labels.shape}: give "
                "(H, W) uint8."
            )
        if self.split not in SPLITS:
            raise DatasetError(
                f"There is no part {self.split!r} of a data set: choose {', '.join(SPLITS[1:])}."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def sources(self) -> tuple[int, ...]:
        """Numbers of the sources that have pixels, rising."""
        counts = self.counts()
        return tuple((np.flatnonzero(counts[1:]) + 1).tolist())

    def counts(self) -> npt.NDArray[np.int64]:
        """Pixels of each label, 0 to 255, as (256,) int."""
        return np.bincount(self.labels.ravel(), minlength=MOST_SOURCES + 1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How pictures are exported.

    Parameters
    ----------
    pictures : {"copy", "link", "refer"}
        Whether the pictures' files are copied, linked (symbolic links; where there are none, hard
        ones), or stay where they are and are named by their whole path.
    forged, authentic : frozenset of SourceType
        Types that binary formats show white and black. Sources of any other type cannot be told.
    annotators : {"numbers", "initials", "names"}
        As what people are called in all that is exported.
    unfit : {"refuse", "leave out"}
        Of pictures that the format cannot hold: write nothing, or leave them out and say so.
    replace : bool
        Whether an export that lies under the final name may be replaced. Nothing else ever is.
    absolute_paths : bool
        Lists name files by their whole path, for readers that look from where they were started.
    tolerance : float
        Of polygons, in pixels: 0 follows every pixel's edge.
    shard_size : int
        Pictures in one part of a WebDataset or of a Parquet table.

    Raises
    ------
    DatasetError
        A value is out of range, or a type is called both forged and authentic.
    """

    pictures: PictureFiles = "copy"
    forged: frozenset[SourceType] = FORGED
    authentic: frozenset[SourceType] = frozenset({AUTHENTIC})
    annotators: Annotators = "numbers"
    unfit: Literal["refuse", "leave out"] = "refuse"
    replace: bool = False
    absolute_paths: bool = False
    tolerance: float = 0.0
    shard_size: int = 1000

    def __post_init__(self) -> None:
        if self.pictures not in _PICTURE_FILES:
            raise DatasetError(
                f"Pictures cannot be exported by {self.pictures!r}: choose "
                f"{', '.join(_PICTURE_FILES)}."
            )
        both = self.forged & self.authentic
        if both:
            raise DatasetError(
                f"The type {min(both)!r} is to be both forged and authentic: choose one."
            )
        stray = (self.forged | self.authentic) - set(SOURCE_TYPES)
        if stray:
            raise DatasetError(
                f"There is no type {min(stray)!r} of a source: choose among "
                f"{', '.join(SOURCE_TYPES)}."
            )
        if not 0 <= self.tolerance <= 100:
            raise DatasetError(
                f"Polygons cannot be simplified by {self.tolerance} pixels: give 0 to 100."
            )
        if not 1 <= self.shard_size <= _MOST_IN_SHARD:
            raise DatasetError(
                f"A part cannot hold {self.shard_size} pictures: give 1 to {_MOST_IN_SHARD}."
            )

    def as_record(self) -> dict[str, Any]:
        """Return the settings as JSON values, for what is written beside an export."""
        return {
            "pictures": self.pictures,
            "forged": sorted(self.forged),
            "authentic": sorted(self.authentic),
            "annotators": self.annotators,
            "unfit": self.unfit,
            "absolute_paths": self.absolute_paths,
            "tolerance": self.tolerance,
            "shard_size": self.shard_size,
        }


def split_of_name(name: str) -> Split:
    """Tell which part of a data set a file or folder is called for; empty where its name says none.

    Examples
    --------
    >>> split_of_name("val"), split_of_name("annotations")
    ('validation', '')
    """
    return _SPLIT_NAMES.get(name.casefold(), "")
