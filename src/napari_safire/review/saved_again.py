"""The same picture saved once more, at JPEG 95 and as PNG: what a model then says of it.

Nobody sees the difference, but traces change with every save. A partition or a verdict that does
not outlive such a save says as much of the file as of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_safire.forensics.picture import Picture
from napari_safire.progress import Cancel, Progress, within
from napari_safire.review.answers import Answer, Asked
from napari_safire.review.changes import Change
from napari_safire.review.copies import ChangedCopy, Original, examine_copy
from napari_safire.review.stability import KEPT, SAVED_AS_JPEG, UNCHANGED, Stability

SAVED_AS_PNG = Change("png")
_LEAST_CHANGE = 0.05  # of the score: less changes nobody's mind
_LEAST_SHARE = 0.01  # of the places


@dataclass(frozen=True, slots=True, eq=False)
class SavedCopy:
    """What is said of the picture saved once more, and how that differs.

    Parameters
    ----------
    copy : ChangedCopy
        With labels, unless it shows a window only.
    whole : bool
        False: only a window was asked, and no verdict.
    differences : tuple of str
        Empty where nothing that matters differs.
    """

    copy: ChangedCopy
    whole: bool
    differences: tuple[str, ...]

    @property
    def words(self) -> str:
        """In sentences, the copy's name first."""
        if self.differences:
            return f"Saved as {self.copy.change.name}: {' '.join(self.differences)}"
        what = "sources and verdict stay the same"
        if not self.whole:
            what = "the sources of the window stay the same; no verdict was asked"
        return f"Saved as {self.copy.change.name}: {what}."

    def as_record(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            **self.copy.as_record(),
            "whole": self.whole,
            "differs": bool(self.differences),
            "differences": list(self.differences),
            "words": self.words,
        }


@dataclass(frozen=True, slots=True, eq=False)
class SavedAgain:
    """The picture saved once more, in each way that could change something.

    Parameters
    ----------
    copies : tuple of SavedCopy
    notice : str
        Why a copy was not made; empty if all were.
    """

    copies: tuple[SavedCopy, ...]
    notice: str = ""

    @property
    def differs(self) -> bool:
        """Whether any copy is answered otherwise."""
        return any(one.differences for one in self.copies)

    def as_record(self) -> dict[str, Any]:
        """Return JSON values."""
        words = [one.words for one in self.copies]
        return {
            "copies": [one.as_record() for one in self.copies],
            "notice": self.notice,
            "differs": self.differs,
            "words": " ".join([*words, self.notice] if self.notice else words),
        }


def saved_again(
    asked: Asked,
    known: Stability | None = None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> SavedAgain:
    """Save a picture once more, and see whether sources and verdict stay.

    Parameters
    ----------
    asked : Asked
        The picture itself.
    known : Stability, optional
        Of the same picture: its run of `SAVED_AS_JPEG` is taken over, be it of a window.
    progress, cancel : callable, optional

    Returns
    -------
    SavedAgain

    Raises
    ------
    OSError, ValueError, OutOfMemory, ModelFailure, Cancelled
        As `napari_safire.review.copies.examine_copy`.
    """
    engine, picture, base, settings = asked.engine, asked.picture, asked.answer, asked.settings
    original = Original.of(asked)
    runs = {} if known is None else {run.change: run for run in known.runs}
    saved, in_window = runs.get(SAVED_AS_JPEG), runs.get(UNCHANGED)
    if saved is None:
        saved = examine_copy(
            engine, original, SAVED_AS_JPEG, settings, keep_labels=True,
            progress=within(progress, 0, 60), cancel=cancel,
        )  # fmt: skip
    copies = [_said(saved, base, in_window)]
    if picture.file is not None and picture.file.format == "PNG" and _in_bytes(picture):
        return SavedAgain(tuple(copies), "It is a PNG already: another one would be the same.")
    png = examine_copy(
        engine, original, SAVED_AS_PNG, settings, known=base if _in_bytes(picture) else None,
        keep_labels=True, progress=within(progress, 60, 100), cancel=cancel,
    )  # fmt: skip
    return SavedAgain((*copies, _said(png, base)))


def _in_bytes(picture: Picture) -> bool:
    """Whether a PNG of 8 bits holds the very pixels that the model was asked about."""
    return picture.file is None or picture.file.pixels.dtype == np.uint8


def _said(copy: ChangedCopy, base: Answer, in_window: ChangedCopy | None = None) -> SavedCopy:
    """Tell what differs; of a window, from what it gives by itself."""
    if in_window is None:
        count, found = base.partition.n_sources, (1.0,) * base.partition.n_sources
        told = [*_other_sources(copy, "it", count, found, 1.0), *_other_verdict(copy, base)]
    else:
        before = in_window.n_sources, in_window.ious, in_window.agreement
        told = [*_other_sources(copy, "the window", *before)]
    return SavedCopy(copy, in_window is None, tuple(told))


def _other_sources(
    copy: ChangedCopy, what: str, count: int, found: Iterable[float | None], agreement: float
) -> Iterable[str]:
    """What became of the sources, which had so many, such IoUs and such an agreement before."""
    if copy.n_sources != count:
        sources = "source" if copy.n_sources == 1 else "sources"
        yield f"{what.capitalize()} falls into {copy.n_sources} {sources} instead of {count}."
    for source, (iou, before) in enumerate(zip(copy.ious, found, strict=True)):
        if iou is not None and before is not None and iou <= KEPT < before:
            yield f"Source {source + 1} is not found again (IoU {iou:.2f})."
    changed = agreement - copy.agreement
    if changed > _LEAST_SHARE:
        yield f"{changed:.0%} of {what} comes into another source.".replace("%", " %")


def _other_verdict(copy: ChangedCopy, base: Answer) -> Iterable[str]:
    said, before = copy.said, base.as_record()
    kinds = ("", "network_") if before["verdict"] else ("network_",)
    for kind, of in zip(kinds, ("The verdict", "The network's own verdict"), strict=False):
        was, now = (record[f"{kind}verdict"] for record in (before, said))
        if now is None:
            continue
        first, second = (record[f"{kind}score"] for record in (before, said))
        if was != now:
            yield f'{of} is "{now}" ({second:.2f}) instead of "{was}" ({first:.2f}).'
        elif abs(second - first) >= _LEAST_CHANGE and kind == kinds[0]:
            yield f'{of} stays "{now}", its score is {second:.2f} instead of {first:.2f}.'
