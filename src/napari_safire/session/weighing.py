"""The verdict that counts all evidence: the network's comes first, and is weighed afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_safire.errors import SafireError
from napari_safire.examination.evidence import weigh
from napari_safire.forgery import ForgeryMap
from napari_safire.progress import Cancel, Progress
from napari_safire.session.evidence import SessionEvidence
from napari_safire.session.planes import Plane, PlaneKey, Planes
from napari_safire.session.workers import Job

if TYPE_CHECKING:
    from napari_safire.engine import Engine

WEIGHING = "verdict"
"""What `SessionEvidence.progress` calls it."""
_EDITED = (
    "The picture was edited after the model read it: its evidence is not counted. Partition again."
)


class Weighing:
    """Has verdicts of the network weighed with forensic views, in the evidence worker.

    Parameters
    ----------
    evidence : SessionEvidence
    planes : Planes
    told : callable
        Takes the key of a plane that has another verdict, or waits for one.
    keep : callable
        Takes the key of a plane whose verdict is to be kept.
    failing : callable
        Gives what takes the error of a plane's job.

    Attributes
    ----------
    counts : bool
        Whether evidence is counted; see `count`.
    """

    def __init__(
        self,
        evidence: SessionEvidence,
        planes: Planes,
        told: Callable[[PlaneKey], None],
        keep: Callable[[PlaneKey], None],
        failing: Callable[[PlaneKey], Callable[[Exception], None]],
    ) -> None:
        self._evidence = evidence
        self._planes = planes
        self._told = told
        self._keep = keep
        self._failing = failing
        self.counts = True

    def count(self, counts: bool) -> None:
        """Count evidence or not; verdicts that are there follow at once."""
        if counts == self.counts:
            return
        self.counts = counts
        for plane in self._planes:
            if not counts:
                self._stop(plane)
            if plane.network is not None and plane.weighed is not None:
                self._put(plane, plane.weighed if counts else plane.network)
            else:
                self.weigh(plane)
            self._evidence.changed.emit(plane.key)  # views say whether they count

    def counted(self, engine: Engine | None) -> tuple[str, ...]:
        """Names of the views that verdicts of an engine count; none while evidence is not."""
        rule = None if engine is None or not self.counts else engine.rules.combination
        return () if rule is None else rule.views

    def standing(self, plane: Plane, network: ForgeryMap, engine: Engine | None) -> ForgeryMap:
        """Note what the network of an engine says of a plane; gives the verdict that stands now."""
        plane.combination = None if engine is None else engine.rules.combination
        if plane.network is not network:
            self._stop(plane)
            plane.network, plane.weighed = network, None
        return plane.weighed if self.counts and plane.weighed is not None else network

    def weigh(self, plane: Plane) -> None:
        """Weigh the network's verdict on a plane, unless that was done or no rule is known."""
        network, rule, embedding = plane.network, plane.combination, plane.embedding
        asked = plane.weighing is not None or plane.weighed is not None
        if not self.counts or asked or network is None or rule is None or embedding is None:
            return
        looked = self._evidence.looked_at(plane, keep=not plane.key.index)
        sha256 = embedding.image_sha256

        def work(progress: Progress, cancel: Cancel) -> ForgeryMap:
            seen = looked.look()
            if seen.sha256 != sha256:
                raise SafireError(_EDITED)
            return weigh(network, seen.picture, rule, progress=progress, cancel=cancel)

        def done(weighed: ForgeryMap) -> None:
            plane.weighing = None
            if self._planes.has(plane) and plane.network is network:
                plane.weighed = weighed
                self._put(plane, weighed)

        def failed(error: Exception) -> None:
            plane.weighing = None
            self._failing(plane.key)(error)
            self._told(plane.key)

        job = Job(WEIGHING, work, done, failed, topic=("weigh", plane.key, WEIGHING))
        plane.weighing = self._evidence.worker.submit(job)
        self._told(plane.key)

    def cancel(self) -> None:
        """Stop: the network's verdicts stand until the next partition."""
        for plane in self._planes:
            if self._stop(plane):
                self._told(plane.key)

    def _stop(self, plane: Plane) -> bool:
        if plane.weighing is None:
            return False
        plane.weighing.cancelled.set()
        plane.weighing = None
        return True

    def _put(self, plane: Plane, verdict: ForgeryMap) -> None:
        shown = plane.predictions.forgery
        if shown is verdict or shown not in (plane.network, plane.weighed):
            return  # restored from earlier work meanwhile
        plane.predictions = replace(plane.predictions, forgery=verdict)
        self._keep(plane.key)
        self._told(plane.key)
