"""How steadily a picture's sources are found again after it was cropped, recompressed or resized.

The stability of `napari_safire.partitioning.stability` repeats the partition of one and the same
picture with part of its patches: it tells what hangs on chance. Here the picture itself is changed
as it changes on its way through programs and services, which forges nothing: it tells what hangs on
the copy that is at hand. A source that only this copy shows is a weak finding.

A source is kept if the IoU with its match is above one half. Clusters below that are dissolved
(C. Hennig, "Cluster-wise assessment of cluster stability", Computational Statistics & Data Analysis
52, 2007, where the IoU is called the Jaccard coefficient).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_safire.examination import ExaminationSettings
from napari_safire.forensics.picture import Picture
from napari_safire.progress import Cancel, Progress, report, within
from napari_safire.review.answers import Asked
from napari_safire.review.changes import Change
from napari_safire.review.copies import ChangedCopy, Original, examine_copy
from napari_safire.review.windows import Window, window_of

if TYPE_CHECKING:
    from napari_safire.engine import Engine

KEPT = 0.5
"""A source is kept where the IoU with its match is above this."""
UNCHANGED = Change("none")
SAVED_AS_JPEG = Change("jpeg", 95)
QUICK = (Change("crop", 0.03), SAVED_AS_JPEG, Change("jpeg", 75), Change("resize", 0.9))
"""One change of each kind, and a strong compression."""
ALL = (
    Change("crop", 0.03), Change("crop", 0.1),
    SAVED_AS_JPEG, Change("jpeg", 85), Change("jpeg", 75),
    Change("resize", 0.9), Change("resize", 1.1),
)  # fmt: skip
MOST_PIXELS = 1_500_000  # of a picture that "quick" asks as a whole
_LEAST_SHARE = 0.01  # of a window, for a source to be looked at there
_MOST_NAMED = 3  # sources in the summary; each has its own sentence besides
STAGE = "trying changed copies"


@dataclass(frozen=True, slots=True)
class SourceStability:
    """How often one source was found again.

    Parameters
    ----------
    source : int
        Its label; people are told ``source + 1``.
    ious : tuple of float
        IoU with its match, in the copies that show it.
    worst : str
        Name of the copy with the least of them; empty without any.
    """

    source: int
    ious: tuple[float, ...]
    worst: str = ""

    @property
    def kept(self) -> int:
        """Copies that keep it."""
        return sum(iou > KEPT for iou in self.ious)

    @property
    def words(self) -> str:
        """In a sentence."""
        name = f"Source {self.source + 1}"
        if not self.ious:
            return f"{name} was not looked at: no copy shows enough of it."
        told = f"{name} is kept in {self.kept} of {len(self.ious)} copies"
        middle, least = median(self.ious), min(self.ious)
        return f"{told}: median IoU {middle:.2f}, least {least:.2f} ({self.worst})."

    def as_record(self) -> dict[str, Any]:
        """Return JSON values; sources are numbered from 1."""
        known = bool(self.ious)
        return {
            "number": self.source + 1,
            "runs": len(self.ious),
            "kept": self.kept,
            "share": round(self.kept / len(self.ious), 6) if known else None,
            "median_iou": round(median(self.ious), 6) if known else None,
            "least_iou": min(self.ious) if known else None,
            "worst": self.worst,
            "words": self.words,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Stability:
    """What changed copies of a picture keep.

    Parameters
    ----------
    runs : tuple of ChangedCopy
    window : Window or None
        Where a large picture was tried; None: as a whole.
    verdict : str or None
        Of the picture itself.
    n_sources : int
        Of the picture itself.
    """

    runs: tuple[ChangedCopy, ...]
    window: Window | None
    verdict: str | None
    n_sources: int

    @property
    def of(self) -> tuple[SourceStability, ...]:
        """By source."""
        found = []
        for source in range(self.n_sources):
            seen = [
                (iou, run.change.name) for run in self.runs if (iou := run.ious[source]) is not None
            ]
            worst = min(seen)[1] if seen else ""
            found.append(SourceStability(source, tuple(iou for iou, _ in seen), worst))
        return tuple(found)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a reader should know first."""
        told = []
        if self.window is not None:
            top, left, bottom, right = self.window
            told.append(
                f"Of this large picture a window was tried: rows {top} to {bottom - 1}, columns "
                f"{left} to {right - 1}."
            )
        sources = [one for one in self.of if one.ious]
        lost = [one for one in sources if one.kept < len(one.ious)]
        if sources and not lost:
            every = "The one source is" if self.n_sources == 1 else "All sources are"
            everywhere = all(len(one.ious) == len(self.runs) for one in self.of)
            them = "it" if self.n_sources == 1 else "them"
            copies = f"all {len(self.runs)} copies" if everywhere else f"all that show {them}"
            told.append(f"{every} kept in {copies}.")
        lost.sort(key=lambda one: one.kept / len(one.ious))
        told += [one.words for one in lost[:_MOST_NAMED]]
        if len(lost) > _MOST_NAMED:
            told.append(f"{len(lost) - _MOST_NAMED} more sources are lost in some copies.")
        unseen = self.n_sources - len(sources)
        if unseen:
            told.append(f"Copies show too little of {unseen} of {self.n_sources} sources.")
        verdicts = [run.said["verdict"] or run.said["network_verdict"] for run in self.runs]
        if self.verdict is not None and all(verdicts):
            same = sum(one == self.verdict for one in verdicts)
            told.append(f'The verdict "{self.verdict}" stays in {same} of {len(verdicts)} copies.')
        return tuple(told)

    def as_record(self) -> dict[str, Any]:
        """Return JSON values; sources are numbered from 1."""
        return {
            "kept_from": KEPT,
            "window": None if self.window is None else list(self.window),
            "runs": [{**run.as_record(), "words": words_of(run)} for run in self.runs],
            "sources": [one.as_record() for one in self.of],
            "words": " ".join(self.sentences),
        }


def words_of(run: ChangedCopy) -> str:
    """Say what became of a picture in one copy: "2 of 3 sources kept, 4 found; …"."""
    seen = [iou for iou in run.ious if iou is not None]
    kept = sum(iou > KEPT for iou in seen)
    told = f"{kept} of {len(seen)} sources kept, {run.n_sources} found"
    verdict, score = run.said["verdict"], run.said["score"]
    if verdict is None:
        verdict, score = run.said["network_verdict"], run.said["network_score"]
    return told if verdict is None else f"{told}; {verdict} ({score:.2f})"


def stability(
    asked: Asked,
    *,
    quick: bool = True,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Stability:
    """Change a picture in several ways, and see which of its sources are found again.

    Parameters
    ----------
    asked : Asked
        The picture itself.
    quick : bool
        The copies of `QUICK` instead of `ALL`; and of a picture of more than `MOST_PIXELS`, by a
        model that reads pictures at their own size, a window of a megapixel where most sources
        meet, compared with the picture's sources there. Verdicts are then not asked.
    progress, cancel : callable, optional

    Returns
    -------
    Stability
        Runs as many as copies, and one of the window as it is. The one saved as `SAVED_AS_JPEG`
        holds its labels. Memory is that of one copy at a time.

    Raises
    ------
    OSError, ValueError, OutOfMemory, ModelFailure, Cancelled
        As `napari_safire.review.copies.examine_copy`.
    """
    engine, answer = asked.engine, asked.answer
    original = Original.of(asked)
    changes: Sequence[Change] = QUICK if quick else ALL
    window = None
    if quick and original.labels.size > MOST_PIXELS and engine.answers_by_patches:
        window = window_of(original.labels)
        original = _part_of(original, window)
        changes = (UNCHANGED, *changes)
    runs = _runs(engine, original, changes, asked.settings, window is None, (progress, cancel))
    return Stability(runs, window, answer.verdict.verdict, answer.partition.n_sources)


def _runs(
    engine: Engine,
    original: Original,
    changes: Sequence[Change],
    settings: ExaminationSettings,
    whole: bool,
    watch: tuple[Progress | None, Cancel | None],
) -> tuple[ChangedCopy, ...]:
    progress, cancel = watch
    runs = []
    for number, change in enumerate(changes):
        begin, end = (100 * n // len(changes) for n in (number, number + 1))
        report(progress, cancel, begin, 100, f"{STAGE}: {change.name}")
        runs.append(
            examine_copy(
                engine,
                original,
                change,
                settings,
                with_verdict=whole,
                keep_labels=whole and change == SAVED_AS_JPEG,
                progress=_about(change, within(progress, begin, end)),
                cancel=cancel,
            )
        )
    return tuple(runs)


def _part_of(original: Original, window: Window) -> Original:
    top, left, bottom, right = window
    part = np.s_[top:bottom, left:right]
    pixels = Picture.of_pixels(original.picture.rgb[part])
    return Original(pixels, original.labels[part], original.n_sources, _LEAST_SHARE)


def _about(change: Change, progress: Progress | None) -> Progress | None:
    """Say of which copy, instead of what is done with it."""
    if progress is None:
        return None
    return lambda done, total, stage: progress(done, total, f"{STAGE}: {change.name}")
