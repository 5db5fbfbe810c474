"""Forensic views of planes, made in a worker of their own: no undo, preview or model waits for it.

Views are of pixels. A layer's pixels may be edited where they lie, without any event: so they are
hashed before a view is made of them and afterwards, and what was found in others is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_safire.errors import SafireError, sentence
from napari_safire.forensics import Evidence, EvidenceView
from napari_safire.forensics.catalogue import VIEWS
from napari_safire.forensics.thumbnails import thumbnail
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress
from napari_safire.session.looked_at import REFERENCE, LookedAt, Seen
from napari_safire.session.messages import Topic
from napari_safire.session.planes import Plane, PlaneKey, Planes
from napari_safire.session.workers import Deliver, Job, Worker

_VIEWS = {view.name: view for view in VIEWS}
_EDITED = "The picture was edited meanwhile: ask again."
_DROPPED = "The picture or its file has changed: what the views found before was dropped."
PLANES_KEPT = 3
"""Planes whose results are kept: maps of a large picture take hundreds of megabytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a view found, in words and in small: arrays lie in the views' own cache.

    Parameters
    ----------
    words : Evidence
        Without map, links and regions.
    parameters : mapping of str to value
        All of them.
    caveat : str
        When not to trust it.
    drawn : bool
        Whether there is a map, or links.
    means : str
        What is bright in the map.
    legend : str
        The same with the range of values, or what is linked; empty where nothing is drawn.
    thumbnail : (h, w, 3) uint8 array or None
        None where nothing is drawn.
    coarse : bool
        Whether it is of a part of the picture, and the whole is being made.
    accuses : bool
        Whether there are regions beside a map, which can be shown by themselves.
    """

    words: Evidence
    parameters: Mapping[str, Any]
    caveat: str
    drawn: bool = False
    means: str = ""
    legend: str = ""
    thumbnail: npt.NDArray[np.uint8] | None = None
    coarse: bool = False
    accuses: bool = False

    @classmethod
    def by(cls, view: EvidenceView, evidence: Evidence, *, coarse: bool = False) -> Found:
        """Take what is to be shown of what a view found; a map that knows no value is none."""
        if evidence.map is not None and not np.isfinite(evidence.map.values).any():
            evidence = replace(evidence, map=None)
        return cls(
            replace(evidence, map=None, links=None, regions=None),
            {**view.view.parameters, **view.parameters},
            " ".join([view.view.misleads, *evidence.caveats]),
            evidence.map is not None or evidence.links is not None,
            "" if evidence.map is None else evidence.map.means,
            evidence.legend,
            thumbnail(evidence, view.picture.rgb),
            coarse,
            evidence.regions is not None and evidence.links is None,
        )


@dataclass(eq=False, slots=True)
class ViewState:
    """What is known of one view of a plane.

    Parameters
    ----------
    view : View
    why_not : str
        "not applicable: …"; empty if it applies.
    found : Found or None
    problem : str
        Why it could not be made, as a sentence.
    asked : Job or None
        While it waits or is being made.
    """

    view: View
    why_not: str = ""
    found: Found | None = None
    problem: str = ""
    asked: Job | None = None

    @property
    def needs_choice(self) -> bool:
        """Whether it cannot be made before something was chosen: the reference of a comparison."""
        return REFERENCE in self.view.needs

    @property
    def is_new(self) -> bool:
        """Whether it applies, and was neither made nor asked for."""
        return not (self.why_not or self.found or self.asked)


@dataclass(eq=False, slots=True)
class PlaneEvidence:
    """What is known of the views of a plane.

    Parameters
    ----------
    seen : Seen or None
        Of which pixels all of it is; None until the picture was looked at.
    views : mapping of str to ViewState
        By name, in an expert's order; empty until the picture was looked at.
    problem : str
        Why the picture could not be looked at.
    """

    seen: Seen | None = None
    views: dict[str, ViewState] = field(default_factory=dict)
    problem: str = ""


class SessionEvidence:
    """Has views made of planes, and keeps what they found while the pixels are the same.

    Parameters
    ----------
    deliver : callable
        Makes a call in the owner's thread.
    planes : Planes
    tell : callable
        Takes a sentence, whether something failed, and its topic.

    Attributes
    ----------
    changed : Signal(PlaneKey)
        Something else is known of a plane's views, or asked of them.
    progress : Signal(PlaneKey, str, int, int, str)
        The view that is being made, and how far of how much at which stage.
    """

    changed = Signal(PlaneKey)
    progress = Signal(PlaneKey, str, int, int, str)

    def __init__(
        self, deliver: Deliver, planes: Planes, tell: Callable[[str, bool, Topic], None]
    ) -> None:
        self.worker = Worker(deliver, self._watch)
        self._deliver = deliver
        self._planes = planes
        self._tell = tell
        self._known: dict[PlaneKey, PlaneEvidence] = {}
        self._looked: dict[PlaneKey, LookedAt] = {}

    # ---------------------------------------------------------------- what is known

    def of(self, key: PlaneKey) -> PlaneEvidence | None:
        """What is known of a plane; None before it was looked at."""
        return self._known.get(key)

    def forget(self, picture: Hashable) -> None:
        """Drop what was found in the planes of a picture, and stop looking."""
        for key in [key for key in self._looked if key.picture == picture]:
            self._drop(key)

    def _drop(self, key: PlaneKey) -> None:
        self._looked.pop(key, None)
        known = self._known.pop(key, None)
        if known is not None:
            self._stop(known)
            self.changed.emit(key)

    def _stop(self, known: PlaneEvidence, name: str = "") -> bool:
        asked = [s for s in known.views.values() if s.asked and name in ("", s.view.name)]
        for state in asked:
            if state.asked is not None:
                self.worker.cancel_topic(state.asked.topic)
            state.asked = None
        return bool(asked)

    # ---------------------------------------------------------------- what is asked

    def look(self, key: PlaneKey) -> None:
        """Find out which views apply to a plane, unless that is known."""
        if key in self._known:
            return
        looked = self.looked_at(self._planes[key])

        def done(seen: Seen) -> None:
            self._answered(key, looked, seen)

        def failed(error: Exception) -> None:
            if self._looked.get(key) is looked:
                self._known[key] = PlaneEvidence(problem=sentence(error))
                self.changed.emit(key)

        self.worker.submit(
            Job("", lambda progress, cancel: looked.look(), done, failed, topic=("view", key, ""))
        )

    def make(self, key: PlaneKey, name: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Make a view of a plane; what was asked of it before is stopped.

        Parameters
        ----------
        key : PlaneKey
        name : str
            Of the view.
        parameters : mapping of str to value, optional
            Those that differ from its defaults.
        """
        looked = self.looked_at(self._planes[key])
        chosen = dict(parameters or {})
        topic = ("view", key, name)

        def work(progress: Progress, cancel: Cancel) -> tuple[Seen, Found]:
            seen = looked.look()
            view = seen.views[name].with_parameters(**chosen)
            first = None if view.cached else view.coarse(progress=progress, cancel=cancel)
            if first is not None:
                begun = Found.by(view, first, coarse=True)
                self._deliver(lambda: self._begun(key, looked, seen, job, begun))
            found = Found.by(view, view.compute(progress=progress, cancel=cancel))
            if looked.look() is not seen:
                raise SafireError(_EDITED)
            return seen, found

        def done(answer: tuple[Seen, Found]) -> None:
            seen, found = answer
            self._answered(key, looked, seen, name, found)

        def failed(error: Exception) -> None:
            state = self._state(key, name)
            if state is not None:
                state.asked, state.problem = None, sentence(error)
                self.changed.emit(key)

        job = Job(name, work, done, failed, topic=topic)
        known = self._known.setdefault(key, PlaneEvidence())
        state = known.views.setdefault(name, ViewState(_VIEWS[name]))
        state.asked, state.problem = job, ""
        self.worker.submit(job)
        self.changed.emit(key)

    def _begun(self, key: PlaneKey, looked: LookedAt, seen: Seen, job: Job, begun: Found) -> None:
        """Show a first, coarse picture while the whole is made."""
        if not job.cancelled.is_set():
            self._answered(key, looked, seen, job.title, begun)

    def make_all(self, key: PlaneKey) -> None:
        """Make all views of a plane that apply and were not made yet, one after the other."""
        known = self._known.get(key)
        for name, state in () if known is None else tuple(known.views.items()):
            if state.is_new and not state.needs_choice:
                self.make(key, name)

    def hand_over(self, key: PlaneKey, name: str, take: Callable[[Evidence], None]) -> None:
        """Hand over what a view found, made anew if need be, of the pixels as they are now.

        Parameters
        ----------
        key : PlaneKey
        name : str
        take : callable
            Not called if the pixels are others than those that were looked at, or are edited
            meanwhile: what was found is then dropped.
        """
        state = self._state(key, name)
        if state is None or state.found is None:
            return
        looked, parameters = self.looked_at(self._planes[key]), state.found.parameters
        of = self._known[key].seen

        def work(progress: Progress, cancel: Cancel) -> tuple[Seen, Evidence | None]:
            seen = looked.look()
            if seen is not of:
                return seen, None
            view = seen.views[name].with_parameters(**parameters)
            evidence = view.compute(progress=progress, cancel=cancel)
            now = looked.look()
            return now, evidence if now is seen else None

        def done(answer: tuple[Seen, Evidence | None]) -> None:
            seen, evidence = answer
            if self._answered(key, looked, seen) is not None and evidence is not None:
                take(evidence)

        def failed(error: Exception) -> None:
            self._tell(sentence(error), True, Topic(key, "picture"))

        self.worker.submit(Job(name, work, done, failed, topic=("layer", key, name)))

    def cancel(self, key: PlaneKey | None = None, name: str = "") -> None:
        """Stop making a view; without a name all of a plane, without a key of all planes."""
        for asked_key in [key] if key is not None else list(self._known):
            known = self._known.get(asked_key)
            if known is not None and self._stop(known, name):
                self.changed.emit(asked_key)

    def looked_at(self, plane: Plane, *, keep: bool = True) -> LookedAt:
        """Return the picture of a plane, for jobs in the evidence worker alone.

        Parameters
        ----------
        plane : Plane
        keep : bool
            Whether it takes the place of that of another plane, if too many are kept.
        """
        looked = self._looked.get(plane.key)
        if looked is None or looked.pixels is not plane.pixels:
            looked = LookedAt(plane)
        if keep:
            self._looked.pop(plane.key, None)
            self._looked[plane.key] = looked  # the latest is the last
            for key in list(self._looked)[:-PLANES_KEPT]:
                self._drop(key)
        return looked

    @property
    def settled(self) -> bool:
        """Whether nothing is asked or on its way."""
        return self.worker.settled

    def close(self) -> None:
        """Stop, and tell nobody anything from now on."""
        self.worker.close()
        self._known.clear()
        self._looked.clear()
        self.fall_silent()

    def fall_silent(self) -> None:
        """Tell nobody anything from now on."""
        self.changed.disconnect()
        self.progress.disconnect()

    # ---------------------------------------------------------------- answers

    def _answered(
        self,
        key: PlaneKey,
        looked: LookedAt,
        seen: Seen,
        name: str = "",
        found: Found | None = None,
    ) -> PlaneEvidence | None:
        """Note what was seen; None where a plane has other pixels, or is gone."""
        if self._looked.get(key) is not looked:
            return None
        known = self._known.setdefault(key, PlaneEvidence())
        if known.seen is not seen:
            if any(state.found for state in known.views.values()):
                self._tell(_DROPPED, True, Topic(key, "picture"))
            asked = {name: state.asked for name, state in known.views.items()}
            known.seen, known.problem = seen, ""
            known.views = {
                name: ViewState(view.view, seen.why_not[name], asked=asked.get(name))
                for name, view in seen.views.items()
            }
        if found is not None:
            state = known.views[name]
            state.problem, state.found = "", found
            if not found.coarse:
                state.asked = None
        self.changed.emit(key)
        return known

    def _state(self, key: PlaneKey, name: str) -> ViewState | None:
        known = self._known.get(key)
        return None if known is None else known.views.get(name)

    def _watch(self, job: Job | None, done: int, total: int, stage: str) -> None:
        if job is not None and isinstance(job.topic, tuple) and job.title:
            _, key, name = job.topic
            self.progress.emit(key, name, done, total, stage)
