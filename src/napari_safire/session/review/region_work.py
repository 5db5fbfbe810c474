"""Each source of the picture that is worked on against the rest, made by the evidence worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_safire.annotation.annotation import Annotation
from napari_safire.errors import sentence
from napari_safire.progress import Cancel, Progress
from napari_safire.session.messages import Topic
from napari_safire.session.planes import PlaneKey
from napari_safire.session.session import Session
from napari_safire.session.workers import Job

if TYPE_CHECKING:
    from napari_safire.review.regions import RegionTable

COMPARING = "Comparing the sources"
"""Names the job where its progress is told (`SessionEvidence.progress`)."""
Bounds = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class ComparedSources:
    """The table of a plane's sources.

    Parameters
    ----------
    table : RegionTable
        Sources are numbered as on screen, from 1.
    bounds : mapping of int to (int, int, int, int)
        By source its first row and column, and those behind its last.
    annotation : Annotation
        The state that its labels are of.
    pixels : str
        SHA-256 of the pixels.
    """

    table: RegionTable
    bounds: Mapping[int, Bounds]
    annotation: Annotation
    pixels: str


class RegionWork:
    """Has tables of sources made, and keeps the last one of each plane.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    changed : Signal(PlaneKey)
        A table is asked for, there, or was given up.
    """

    changed = Signal(PlaneKey)

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[PlaneKey, ComparedSources] = {}
        self._asked: dict[PlaneKey, Job] = {}

    def of(self, key: PlaneKey | None) -> ComparedSources | None:
        """The last table of a plane."""
        return None if key is None else self._known.get(key)

    def is_asked(self, key: PlaneKey | None) -> bool:
        """Whether one is being made."""
        return key in self._asked

    def is_outdated(self, key: PlaneKey) -> bool:
        """Whether the sources, or the pixels, are others than those of the table."""
        plane, known = self._session.planes.find(key), self._known.get(key)
        if plane is None or known is None:
            return False
        seen = self._session.evidence.of(key)
        sha256 = "" if seen is None or seen.seen is None else seen.seen.sha256
        state = None if plane.snapshot is None else plane.snapshot.annotation
        return state != known.annotation or sha256 not in ("", known.pixels)

    def compare(self, key: PlaneKey) -> None:
        """Compare each source of a plane with the rest, as they are on screen now."""
        plane = self._session.planes.find(key)
        snapshot = None if plane is None else plane.snapshot
        if plane is None or snapshot is None or not any(snapshot.areas):
            self._tell(key, "There are no sources yet: partition the picture, or mark some.")
            return
        looked, labels, state = (
            self._session.evidence.looked_at(plane), snapshot.labels, snapshot.annotation,
        )  # fmt: skip

        def work(progress: Progress, cancel: Cancel) -> ComparedSources:
            from napari_safire.review.regions import region_table

            seen = looked.look()
            numbers = labels.astype(np.int64)
            numbers[labels == 0] = -1  # no source
            table = region_table(seen.picture, numbers, progress=progress, cancel=cancel)
            return ComparedSources(table, bounds_of(labels), state, seen.sha256)

        def done(compared: ComparedSources) -> None:
            self._asked.pop(key, None)
            if self._session.planes.find(key) is plane:
                self._known[key] = compared
            self.changed.emit(key)

        def failed(error: Exception) -> None:
            self._asked.pop(key, None)
            self._tell(key, sentence(error))
            self.changed.emit(key)

        job = Job(COMPARING, work, done, failed, topic=("regions", key, COMPARING))
        self._asked[key] = self._session.evidence.worker.submit(job)
        self.changed.emit(key)

    def cancel(self, key: PlaneKey) -> None:
        """Give up a table that is being made."""
        job = self._asked.pop(key, None)
        if job is not None:
            job.cancelled.set()
            self.changed.emit(key)

    def forget(self, picture: object) -> None:
        """A picture is closed."""
        for key in [key for key in {*self._known, *self._asked} if key.picture == picture]:
            self.cancel(key)
            self._known.pop(key, None)

    def _tell(self, key: PlaneKey, text: str) -> None:
        self._session.notice.emit(text, True, Topic(key))


def bounds_of(labels: npt.NDArray[np.integer]) -> dict[int, Bounds]:
    """Find where each source lies.

    Parameters
    ----------
    labels : (H, W) integer array
        Sources from 1; 0 is none.

    Returns
    -------
    dict of int to (int, int, int, int)
        First row and column, and those behind the last.
    """
    from scipy import ndimage

    found: dict[int, Bounds] = {}
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is not None:
            rows, cols = place
            found[number] = (rows.start, cols.start, rows.stop, cols.stop)
    return found
