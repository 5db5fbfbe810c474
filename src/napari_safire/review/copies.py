"""Changed copies of a picture: what was found in each, against what was found in the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_safire.examination import ExaminationSettings
from napari_safire.forensics.picture import Picture
from napari_safire.partitioning.matching import matched_pairs
from napari_safire.progress import Cancel, Progress
from napari_safire.review.answers import Answer, Asked, ask
from napari_safire.review.changes import Change
from napari_safire.types import LabelImage

if TYPE_CHECKING:
    from napari_safire.engine import Engine

_LEAST_LEFT = 0.5  # of a source, for a cropped copy to say anything of it


@dataclass(frozen=True, slots=True, eq=False)
class ChangedCopy:
    """One changed copy of a picture, and what was found in it.

    Parameters
    ----------
    change : Change
    shape : (int, int)
        Rows and columns of the copy.
    n_sources : int
        That were found in it.
    ious : tuple of float or None
        For each source of the picture the IoU with its match; 0 where it has none, None where the
        copy shows less than half of it.
    agreement : float
        Share of the places that lie in the match of their source, 0 to 1.
    said : mapping
        Verdict and scores, as `Answer.as_record` gives them; None each where they were not asked.
    labels : (h, w) uint8 array or None
        Source of each pixel of the copy, 0 .. n_sources - 1; None where they were not kept.
    """

    change: Change
    shape: tuple[int, int]
    n_sources: int
    ious: tuple[float | None, ...]
    agreement: float
    said: Mapping[str, Any]
    labels: npt.NDArray[np.uint8] | None = None

    def as_record(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "name": self.change.name,
            "kind": self.change.kind,
            "amount": self.change.amount,
            "shape": list(self.shape),
            "n_sources": self.n_sources,
            "ious": list(self.ious),
            "agreement": self.agreement,
            **self.said,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """What copies are made of and compared with: a picture, or a window of it.

    Parameters
    ----------
    picture : Picture
    labels : (H, W) int array
        What was found there: sources from 0.
    n_sources : int
        Of the whole picture: a window may show fewer.
    least_share : float
        Of it, for a source to be looked for in copies.
    """

    picture: Picture
    labels: LabelImage
    n_sources: int
    least_share: float = 0.0

    @classmethod
    def of(cls, asked: Asked) -> Original:
        """The whole picture, with what was found in it."""
        return cls(asked.picture, asked.answer.partition.labels, asked.answer.partition.n_sources)


NOT_ASKED: Mapping[str, Any] = dict.fromkeys(
    ("verdict", "score", "network_verdict", "network_score")
)
"""Of a copy of a part of the picture: a verdict on a part is none on the whole."""


def examine_copy(
    engine: Engine,
    original: Original,
    change: Change,
    settings: ExaminationSettings,
    *,
    known: Answer | None = None,
    with_verdict: bool = True,
    keep_labels: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> ChangedCopy:
    """Change a picture, ask the model again, and compare.

    Parameters
    ----------
    engine : Engine
    original : Original
    change : Change
    settings : ExaminationSettings
        As the picture itself was asked with.
    known : Answer, optional
        Where the change leaves all pixels as they are: what the model said of them.
    with_verdict : bool
        False: only sources are compared, and no evidence is weighed.
    keep_labels : bool
        Whether the result holds the copy's own sources.
    progress, cancel : callable, optional

    Returns
    -------
    ChangedCopy

    Raises
    ------
    OSError
        There is no room for a temporary file.
    ValueError, OutOfMemory, ModelFailure, Cancelled
        As `napari_safire.engine.Engine`.
    """
    if not with_verdict:
        settings = ExaminationSettings(settings.partition, evidence="none")
    with TemporaryDirectory(prefix="napari-safire-") as folder:
        copy = change.apply(original.picture, Path(folder) / "copy")
        answer = ask(engine, copy, settings, known=known, progress=progress, cancel=cancel)
    found = answer.partition
    ious, agreement = compare(original, change, found.labels, found.n_sources)
    return ChangedCopy(
        change,
        copy.shape,
        found.n_sources,
        ious,
        agreement,
        answer.as_record() if with_verdict else NOT_ASKED,
        found.labels if keep_labels else None,
    )


def compare(
    original: Original, change: Change, found: LabelImage, n_found: int
) -> tuple[tuple[float | None, ...], float]:
    """Match what was found after a change, one to one, with what was found before it.

    Parameters
    ----------
    original : Original
    change : Change
    found : (h, w) int array
        Sources of the changed copy, 0 .. n_found - 1.
    n_found : int

    Returns
    -------
    ious : tuple of float or None
    agreement : float
        Both as in `ChangedCopy`.
    """
    from napari_safire.metrics import confusion_matrix

    count = original.n_sources
    whole = np.bincount(original.labels.ravel(), minlength=count)
    counted = confusion_matrix(*change.paired(original.labels, found), n_clusters=n_found)
    shared = np.zeros((count, n_found), np.int64)
    shared[: len(counted)] = counted
    ours, theirs = shared.sum(axis=1), shared.sum(axis=0)
    rows, columns = matched_pairs(shared)
    both = shared[rows, columns]
    ious = np.zeros(count)
    ious[rows] = both / (ours[rows] + theirs[columns] - both)
    least = max(1.0, original.least_share * original.labels.size)
    shown = (whole >= least) & (ours >= _LEAST_LEFT * whole)
    told = tuple(
        round(float(iou), 6) if there else None for iou, there in zip(ious, shown, strict=True)
    )
    return told, round(float(both.sum() / shared.sum()), 6)
