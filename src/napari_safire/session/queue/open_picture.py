"""The picture of a queue that is shown: saved when it is left, and each step of it kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.session.planes import Plane
from napari_safire.session.queue.store import ChangedMeanwhile, Mark, PictureWork
from napari_safire.session.queue.view import QueueView
from napari_safire.session.queue.worked_time import WorkedTime
from napari_safire.session.session import Session

T = TypeVar("T")

Told = tuple[str, ...]


class OpenPicture:
    """A picture that is shown, and the piece of work on it.

    Parameters
    ----------
    session : Session
    view : QueueView
    picture : hashable
        Its name in the session.
    work : PictureWork
    step_failed : callable
        Takes the reason why a step could not be kept.
    """

    def __init__(
        self,
        session: Session,
        view: QueueView,
        picture: Hashable,
        work: PictureWork,
        step_failed: Callable[[Exception], None],
    ) -> None:
        self._session = session
        self._view = view
        self._step_failed = step_failed
        self.picture = picture
        self.work = work
        self.time = WorkedTime()
        self.time.note()
        if work.keeps_steps:
            session.annotations.keep_with(picture, self)
            for plane in self.planes:  # it may have been worked on before
                session.annotations.refresh(plane.key)

    @property
    def planes(self) -> list[Plane]:
        """Its plane in the session; none while nothing was begun."""
        return self._session.planes.of(self.picture)

    def let_go(self) -> None:
        """Keep no further step: what is done from here on is no part of the queue."""
        self._session.annotations.keep_with(self.picture, None)

    # ---------------------------------------------------------------- steps

    def keep(self, made: AnnotatedPlane, title: str) -> None:
        """Write down a step; called in the file worker."""
        self._timed(lambda seconds: self.work.keep(made, title, seconds) or None)

    def failed(self, error: Exception) -> None:
        """Hear that a step could not be written; the autosave has it."""
        self._step_failed(error)

    # ---------------------------------------------------------------- saving

    def save(
        self,
        mark: Mark | None,
        then: Callable[[Told], None],
        failed: Callable[[Exception], None],
        goes_on: Callable[[], bool],
    ) -> None:
        """Save what is new, again and again until nothing is.

        Parameters
        ----------
        mark : Mark or None
        then : callable
            Takes the sentences that are to be told, once all is saved.
        failed : callable
            Takes the reason why it could not be saved.
        goes_on : callable
            False: nobody waits any more.
        """
        told: list[str] = []

        def once() -> None:
            planes = self.planes
            if not planes:
                then(tuple(told))
                return
            self._view.read_strokes(self.picture)
            self.write(mark, lambda found: done(planes[0], found), failed)

        def done(plane: Plane, found: Told | None) -> None:
            if not goes_on():
                return
            if found is None:
                then(tuple(told))
                return
            self.note_saved(plane)
            told.extend(sentence for sentence in found if sentence not in told)
            once()  # what was done while it was being written

        once()

    def write(
        self,
        mark: Mark | None,
        done: Callable[[Told | None], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Save what is new, once; the plane need not be open any more when it is written."""
        plane = self.planes[0]
        annotations, work = self._session.annotations, self.work
        predictions = annotations.predictions_of(plane)
        about = self._view.facts(self.picture, plane)
        annotations.write(
            plane,
            lambda annotation: self._timed(
                lambda seconds: work.save(annotation, predictions, about, mark, seconds)
            ),
            done,
            failed,
        )

    def note_saved(self, plane: Plane) -> None:
        """Note that the store holds the present state."""
        self._session.annotations.mark_saved(plane, self.work.made.annotation)

    def _timed(self, write: Callable[[float], T | None]) -> T | None:
        seconds = self.time.take()
        written = False
        try:
            found = write(seconds)
            written = found is not None
            return found
        finally:
            if not written:
                self.time.give_back(seconds)

    # ---------------------------------------------------------------- what others made

    def take_theirs(
        self,
        conflict: ChangedMeanwhile,
        done: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Go on from what somebody else made; one undo brings one's own back."""
        plane = self.planes[0]

        def taken(_: None) -> None:
            self._session.annotations.restore(plane.key, conflict.theirs, title="take theirs")
            done()

        self._session.annotations.write(
            plane, lambda annotation: self.work.take_theirs(conflict), taken, failed
        )

    def keep_mine(
        self,
        conflict: ChangedMeanwhile,
        done: Callable[[str], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Go on with one's own as a second opinion; `done` takes its name."""
        self._session.annotations.write(
            self.planes[0], lambda annotation: self.work.keep_mine(conflict), done, failed
        )
