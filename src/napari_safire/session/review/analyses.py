"""The analysis of a picture as its report tells it, made once; asked of the model worker."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_safire.errors import SafireError, sentence
from napari_safire.forensics import Picture
from napari_safire.partitioning.matching import match_sources
from napari_safire.progress import Cancel, Progress
from napari_safire.session.messages import Topic
from napari_safire.session.planes import Pixels, PlaneKey
from napari_safire.session.session import Session
from napari_safire.session.workers import Job
from napari_safire.settings import PartitionSettings
from napari_safire.types import LabelImage

if TYPE_CHECKING:
    from napari_safire.review.analysis import Analysis

ANALYSING = "Analysing for the review"
OTHER_PIXELS = "The file holds other pixels than are shown: this is said of the file."
NO_MODEL = "No model is loaded: choose one in the dock SAFIRE, then ask again."


@dataclass(frozen=True, slots=True, eq=False)
class MadeAnalysis:
    """An analysis, and what it rests on.

    Parameters
    ----------
    analysis : Analysis
    engine : Engine
    settings : PartitionSettings
    file_sha256 : str
    numbers : mapping of int to int
        For sources as they were numbered on screen those of the analysis, both from 1.
    is_shown : bool
        Whether the file holds the very pixels that were on screen.
    """

    analysis: Analysis
    engine: Any
    settings: PartitionSettings
    file_sha256: str
    numbers: Mapping[int, int]
    is_shown: bool = True


class Analyses:
    """Makes analyses of picture files, and keeps the last one.

    One takes hundreds of megabytes for a large picture: no more are kept.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    changed : Signal()
        One is asked for, there, or was given up.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._made: tuple[PlaneKey, MadeAnalysis] | None = None
        self._asked: Job | None = None
        self._asked_of: Hashable = None  # the picture without which nobody waits for it

    @property
    def is_asked(self) -> bool:
        """Whether one is being made."""
        return self._asked is not None and not self._asked.cancelled.is_set()

    def of(self, key: PlaneKey | None) -> MadeAnalysis | None:
        """The analysis of a picture, whatever has changed since."""
        return self._made[1] if self._made is not None and self._made[0] == key else None

    def current(
        self, key: PlaneKey, settings: PartitionSettings, file_sha256: str
    ) -> MadeAnalysis | None:
        """The analysis of a picture, if model, settings and file are still those."""
        made = self.of(key)
        if made is None or made.engine is not self._session.engine:
            return None
        is_same = made.settings == settings and made.file_sha256 == file_sha256
        return made if is_same else None

    def ask(
        self,
        key: PlaneKey,
        path: Path,
        settings: PartitionSettings,
        then: Callable[[MadeAnalysis], None] | None = None,
        *,
        outlives: bool = False,
    ) -> None:
        """Analyse a picture file.

        Parameters
        ----------
        key : PlaneKey
            That shows it.
        path : Path
        settings : PartitionSettings
        then : callable, optional
            Takes the analysis.
        outlives : bool
            It goes on where the picture is closed meanwhile: a report waits for it.
        """
        plane = self._session.planes.find(key)
        snapshot = None if plane is None else plane.snapshot
        labels = None if snapshot is None else snapshot.labels
        self.cancel()

        def work(progress: Progress, cancel: Cancel) -> MadeAnalysis:
            pixels = None if plane is None else plane.pixels
            return self._made_of(path, settings, pixels, labels, progress, cancel)

        def done(made: MadeAnalysis) -> None:
            self._asked = None
            if self._session.planes.find(key) is not None:
                self._made = key, made
            self.changed.emit()
            if then is not None:
                then(made)

        def failed(error: Exception) -> None:
            self._asked = None
            self._session.notice.emit(sentence(error), True, Topic(key))
            self.changed.emit()

        self._asked = self._session.run_long(ANALYSING, work, done, failed)
        self._asked_of = None if outlives else key.picture
        self.changed.emit()

    def _made_of(
        self,
        path: Path,
        settings: PartitionSettings,
        pixels: Pixels | None,
        labels: LabelImage | None,
        progress: Progress,
        cancel: Cancel,
    ) -> MadeAnalysis:
        """Analyse, in the model worker; `labels` are the sources on screen."""
        from napari_safire.review.analysis import analyse
        from napari_safire.review.settings import AnalysisSettings

        engine, choice = self._session.engine, self._session.model_choice
        if engine is None or choice is None:
            raise SafireError(NO_MODEL)
        found = analyse(
            path,
            engine,
            AnalysisSettings(settings),
            model_name=choice[0],
            progress=progress,
            cancel=cancel,
        )
        numbers: Mapping[int, int] = {}
        is_shown = pixels is not None and shows(pixels, found.picture)
        if found.labels is not None and labels is not None and is_shown:
            numbers = numbers_of(labels, found.labels)
        assert found.picture.file is not None
        return MadeAnalysis(found, engine, settings, found.picture.file.sha256, numbers, is_shown)

    def cancel(self) -> None:
        """Give up an analysis that is being made."""
        job, self._asked = self._asked, None
        if job is not None:
            job.cancelled.set()
            self.changed.emit()

    def forget(self, picture: Hashable) -> None:
        """A picture is closed."""
        if self.is_asked and self._asked_of == picture:
            self.cancel()
        if self._made is not None and self._made[0].picture == picture:
            self._made = None


def shows(pixels: Pixels, picture: Picture) -> bool:
    """Tell whether the pixels on screen are those of a picture, as views see both.

    Parameters
    ----------
    pixels : Pixels
    picture : Picture
    """
    try:
        shown = Picture.of_pixels(np.asarray(pixels.read()))
    except (TypeError, ValueError, OSError):  # no picture any more
        return False
    return shown.pixels_sha256 == picture.pixels_sha256


def numbers_of(shown: LabelImage, labels: LabelImage) -> dict[int, int]:
    """Say which source of an analysis each source on screen is.

    Parameters
    ----------
    shown : (H, W) int array
        Sources from 1; 0 is none.
    labels : int array
        Sources from 0.

    Returns
    -------
    dict of int to int
        Numbers from 1; of those that share pixels. Empty where the sizes differ.
    """
    if shown.shape != labels.shape:
        return {}
    matched = match_sources(shown, labels, int(labels.max()) + 1)
    return {int(number): k + 1 for k, number in enumerate(matched) if number}
