"""Every step of the work on a plane, kept on disk as it is made."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from napari_safire.annotation.annotation import Annotation
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.errors import SafireError
from napari_safire.progress import Cancel, Progress
from napari_safire.session.autosave import Autosave
from napari_safire.session.history import History
from napari_safire.session.messages import ANYWHERE, Topic
from napari_safire.session.planes import Pixels, Plane
from napari_safire.session.workers import Job, Worker


class StepKeeper(Protocol):
    """Who keeps the steps of a picture in place of the autosave."""

    def keep(self, made: AnnotatedPlane, title: str) -> None:
        """Write down a state; called in the file worker. May raise `SafireError`."""

    def failed(self, error: Exception) -> None:
        """Hear why that was not possible, in the owner's thread."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What the owner's thread knows of a plane at the moment of a step."""

    plane: Plane
    pixels: Pixels
    predictions: Predictions
    saved: Annotation | None
    keeper: StepKeeper | None = None


class StepKeeping:
    """Hands steps to the file worker, which writes the latest one of each plane.

    Parameters
    ----------
    file_worker : Worker
    failed : callable
        Takes the reason why something could not be kept, and its topic.
    autosave : Autosave or None
    """

    def __init__(
        self, file_worker: Worker, failed: Callable[..., None], autosave: Autosave | None
    ) -> None:
        self._file_worker = file_worker
        self._failed = failed
        self._autosave = autosave
        self._keepers: dict[Hashable, StepKeeper] = {}
        self._complaints: set[str] = set()

    def keep_with(self, picture: Hashable, keeper: StepKeeper | None) -> None:
        """See `AnnotationStore.keep_with`."""
        if keeper is None:
            self._keepers.pop(picture, None)
        else:
            self._keepers[picture] = keeper

    def step_of(self, plane: Plane, predictions: Predictions) -> Step:
        """Put together what the owner's thread knows that is kept along with a state."""
        keeper = self._keepers.get(plane.key.picture)
        return Step(plane, plane.pixels, predictions, plane.saved, keeper)

    def keep(self, step: Step, history: History[Annotation]) -> None:
        """Have the file worker write the present state, unless nothing was done.

        For the annotation worker alone.
        """
        plane, keeper = step.plane, step.keeper
        is_changed = history.can_undo or history.can_redo or history.origins
        if (self._autosave is None and keeper is None) or not is_changed:
            return
        work = AnnotatedPlane(history.state, step.predictions.of(history.state))
        is_saved = history.state == step.saved
        took_up = history.origins
        kept = (step.pixels, work, is_saved, took_up, keeper)
        if kept == plane.kept:
            return
        if plane.kept is None and is_saved and not took_up:
            return  # opened, and not changed yet
        plane.kept = kept
        title = history.undo_title or "undo"

        def write(progress: Progress, cancel: Cancel) -> tuple[str, Exception | None]:
            missed = None if keeper is None else _kept_by(keeper, work, title)
            if keeper is not None and missed is None:
                return "", None
            return self._autosaved(step, work, is_saved, took_up), missed

        def done(found: tuple[str, Exception | None]) -> None:
            problem, missed = found
            self._complain(problem)
            if keeper is not None and missed is not None:
                keeper.failed(missed)

        def failed(error: Exception) -> None:
            reason = str(error).rstrip(".")
            self._complain(
                f"Your work on this picture cannot be kept: {reason}. Save it yourself.",
                Topic(plane.key),
            )

        self._file_worker.submit(Job("", write, done, failed, topic=("keep", step.pixels)))

    def _autosaved(
        self, step: Step, work: AnnotatedPlane, is_saved: bool, took_up: tuple[str, ...]
    ) -> str:
        """Write a state into the autosave; gives what is wrong with that, or nothing."""
        autosave, plane = self._autosave, step.plane
        if autosave is None:
            return ""
        the_map = (step.pixels, work.predictions.forgery)
        if autosave.keep(
            plane.work,
            step.pixels.identify(),
            work,
            saved=is_saved,
            took_up=took_up,
            map_is_kept=all(a is b for a, b in zip(the_map, plane.map_kept, strict=True)),
        ):
            plane.map_kept = the_map
        return autosave.problem

    def _complain(self, problem: str, topic: Topic = ANYWHERE) -> None:
        if problem and problem not in self._complaints:
            self._complaints.add(problem)
            self._failed(SafireError(problem), topic)


def _kept_by(keeper: StepKeeper, work: AnnotatedPlane, title: str) -> Exception | None:
    """Have a step kept; gives the reason where that is not possible."""
    try:
        keeper.keep(work, title)
    except (SafireError, OSError, ValueError) as error:
        return error
    return None
