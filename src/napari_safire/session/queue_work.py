"""Going through a queue of pictures: each is read, shown, and saved when it is left.

It knows neither Qt nor napari: whoever shows the pictures is a `QueueView`. Files are read in the
reading worker and written in the file worker, so that a slow disk keeps neither undo waiting nor
the model. A picture is read before the one that is open is saved, so that nothing is lost that is
done to it meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from psygnal import Signal

from napari_safire.annotation.annotation import Annotation, Labels, Mask
from napari_safire.annotation.completeness import Completeness
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.annotation.saving import Saved
from napari_safire.corpus.queue import (
    STATES,
    EntryState,
    PictureQueue,
    QueueEntry,
    following,
    preceding,
)
from napari_safire.errors import sentence
from napari_safire.session.messages import ANYWHERE, Topic
from napari_safire.session.planes import Plane, Snapshot
from napari_safire.session.queue_file import (
    FoundPicture,
    Mark,
    NotDone,
    QueueFile,
    find_picture,
    one_source,
)
from napari_safire.session.queue_view import QueueView
from napari_safire.session.session import Session
from napari_safire.text import printable

T = TypeVar("T")

_Listed = tuple[PictureQueue, tuple[QueueEntry, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """The picture of the queue that is shown: its name in the session, and its files."""

    picture: Hashable
    file: QueueFile


class QueueWork:
    """Go through the pictures of a folder or list; what was made is saved on the way.

    Parameters
    ----------
    session : Session
    view : QueueView

    Attributes
    ----------
    changed : Signal()
        Another picture or queue is open, something has begun or ended, or the states of the
        pictures were read anew.
    missing_changed : Signal()
        `missing` is another one.
    notice : Signal(str, bool, Topic)
        A sentence for the user; true where something failed; what it belongs to. None: to what is
        worked on now.
    """

    changed = Signal()
    missing_changed = Signal()
    notice = Signal(str, bool, object)

    def __init__(self, session: Session, view: QueueView) -> None:
        self._session = session
        self._view = view
        self._opened: _Opened | None = None
        self._closing = False
        self._told = ""  # of the picture that was left
        self._mark: Mark | None = None  # what is being said of the open picture
        self.queue: PictureQueue | None = None
        self.entries: tuple[QueueEntry, ...] = ()
        self.position = -1
        self.problem = ""
        """Why the picture at `position` cannot be opened; empty where it can."""
        self.doing = ""
        """What is under way, in which case nothing else is begun; empty: nothing."""
        self.missing: Completeness | None = None
        """What the open picture lacks to be done, where that was asked and still holds."""

    @property
    def entry(self) -> QueueEntry | None:
        """The picture that is gone to."""
        return self.entries[self.position] if self.entries else None

    @property
    def opened(self) -> Hashable | None:
        """Name of the picture that is shown, in the session."""
        return None if self._opened is None else self._opened.picture

    # ---------------------------------------------------------------- queues

    def open_queue(self, path: str | os.PathLike[str]) -> None:
        """Begin with the first picture of a folder or list file that is not done.

        Parameters
        ----------
        path : path-like
            What cannot be opened is told, and the queue before stays.
        """
        if self.doing:
            return

        def found(listed: _Listed) -> None:
            queue, entries = listed
            for note in queue.notes:
                self.notice.emit(note, False, ANYWHERE)
            self._go(queue, entries, following(entries, -1, ("untouched", "begun")) or 0)

        self._begin(f"Looking into {Path(path).name} …")
        self._read(lambda: _with_entries(PictureQueue.open(path)), found)

    def choose_output(self, folder: str | os.PathLike[str]) -> None:
        """Put masks and records of the queue into another folder from now on.

        The open picture is saved where it was. Where that is not possible, it goes along.

        Parameters
        ----------
        folder : path-like
            Need not exist.
        """
        queue, position = self.queue, self.position
        if self.doing or queue is None:
            return

        def found(listed: _Listed) -> None:
            moved, entries = listed

            def not_saved(error: Exception) -> None:
                opened = self._opened
                if opened is None or entries[position].state != "untouched":
                    self._not_saved(error)
                    return
                shape = opened.file.made.annotation.settled.shape
                nothing = AnnotatedPlane(Annotation.empty(shape))
                self._opened = replace(opened, file=QueueFile(entries[position], nothing))
                self.queue, self.entries = moved, entries
                self._end()

            self._save(None, lambda: self._go(moved, entries, position), not_saved)

        self._begin(f"Looking into {Path(folder).name} …")
        output = Path(os.path.abspath(folder))
        self._read(lambda: _with_entries(replace(queue, output=output)), found)

    # ---------------------------------------------------------------- pictures

    def go_on(self, states: Collection[EntryState] = STATES) -> None:
        """Save what was changed as begun, and open the next picture in one of some states."""
        self._go_to(following(self.entries, self.position, states))

    def go_back(self, states: Collection[EntryState] = STATES) -> None:
        """Save what was changed as begun, and open the picture before; see `go_on`."""
        self._go_to(preceding(self.entries, self.position, states))

    def go_to(self, number: int) -> None:
        """Save what was changed as begun, and open another picture.

        Parameters
        ----------
        number : int
            From 0.
        """
        self._go_to(number if 0 <= number < len(self.entries) else None)

    def finish(self, states: Collection[EntryState] = STATES, *, authentic: bool = False) -> None:
        """Save the open picture as done and open the next one, if there is one.

        Refused, with what is missing, unless every pixel has a source.

        Parameters
        ----------
        states : collection of {"untouched", "begun", "done"}
            Of the next picture.
        authentic : bool
            Say that all of it is one source; refused where something else is marked. Else it must
            have two sources at least.
        """
        queue, opened = self.queue, self._opened
        if self.doing or queue is None or opened is None:
            return
        planes = self._planes_of(opened)
        if authentic and planes:
            self._view.read_strokes(opened.picture)
            self._session.annotations.edit(planes[0].key, one_source, "authentic: one source")
        mark = self._mark = Mark(authentic)
        target = following(self.entries, self.position, states)
        if target is not None:
            self._go(queue, self.entries, target, mark)
            return

        def saved() -> None:
            self.notice.emit("Saved as done. There is no further picture to show.", False, None)
            self._look_again()

        self._begin("Saving …")
        self._save(mark, saved)

    def fill_missing(self) -> None:
        """Give all pixels without a source the free number of `missing`."""
        missing, planes = self.missing, self._session.planes.of(self.opened)
        if missing is None or not planes:
            return
        number = missing.free_number

        def filled(labels: Labels, protected: Mask) -> Labels:
            return np.where(labels == 0, np.uint8(number), labels)

        self._session.annotations.edit(planes[0].key, filled, f"rest to source {number}")

    def compare_missing(self, snapshot: Snapshot) -> None:
        """Forget `missing` where something has changed since."""
        missing = self.missing
        if missing is not None:
            n_assigned = sum(snapshot.areas.values())
            if snapshot.labels.size - n_assigned != missing.n_unassigned:
                self._miss(None)

    def leave(
        self, picture: Hashable, complain: Callable[[str], None], *, closing: bool = False
    ) -> None:
        """Save the open picture, if its layer is taken away: as done, if that is under way.

        Parameters
        ----------
        picture : hashable
        complain : callable
            Takes the reason if it cannot be saved.
        closing : bool
            Nothing but saving goes on from here.
        """
        opened = self._opened
        if opened is None or picture != opened.picture:
            return
        self._closing = self._closing or closing
        planes = self._planes_of(opened)
        mark = None if self._mark is None else replace(self._mark, else_begun=True)
        if not planes:
            return

        def done(saved: Saved | None) -> None:
            if saved is None:
                return
            self._note(opened, planes[0], saved, mark)
            if not self._closing:
                self.notice.emit(
                    f"{opened.file.name} was closed. What was made of it is saved.", False, None
                )
                if not self.doing:
                    self._look_again()

        self._write(
            opened,
            planes[0],
            mark,
            done,
            lambda error: complain(f"{opened.file.name} could not be saved: {sentence(error)}"),
        )

    def forget(self, picture: Hashable) -> None:
        """Go on without a picture that was taken away; `leave` has seen to what was made of it."""
        if self._opened is not None and picture == self._opened.picture:
            self._opened = None
            self._miss(None)
            self.changed.emit()

    # ---------------------------------------------------------------- from picture to picture

    def _go_to(self, target: int | None) -> None:
        if not self.doing and self.queue is not None and target is not None:
            self._go(self.queue, self.entries, target)

    def _go(
        self,
        queue: PictureQueue,
        entries: tuple[QueueEntry, ...],
        target: int,
        mark: Mark | None = None,
    ) -> None:
        """Read a picture, then save the open one, then show the one instead of the other."""
        entry = entries[target]
        self._begin(f"Opening {printable(entry.picture.name)} …")
        if self._opened is not None and self._opened.file.entry.record == entry.record:

            def stay() -> None:  # its files would be read before they are written
                self.queue, self.entries, self.position = queue, entries, target
                self._look_again()

            self._save(mark, stay)
            return
        self._read(
            lambda: find_picture(queue, target),
            lambda found: self._save(mark, lambda: self._swap(found)),
        )

    def _save(
        self,
        mark: Mark | None,
        then: Callable[[], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Save the open picture if it was changed, or its state; go on once all of it is saved."""
        opened = self._opened
        planes = [] if opened is None else self._planes_of(opened)
        if opened is None or not planes:
            then()
            return
        self._view.read_strokes(opened.picture)

        def done(saved: Saved | None) -> None:
            if self._closing:
                return
            if saved is None:
                then()
                return
            self._note(opened, planes[0], saved, mark)
            self._save(mark, then, failed)  # what was done while it was being written

        self._write(opened, planes[0], mark, done, failed or self._not_saved)

    def _write(
        self,
        opened: _Opened,
        plane: Plane,
        mark: Mark | None,
        done: Callable[[Saved | None], None],
        failed: Callable[[Exception], None],
    ) -> None:
        annotations = self._session.annotations
        predictions = annotations.predictions_of(plane)
        about = self._view.facts(opened.picture, plane)
        annotations.write(
            plane,
            lambda annotation: opened.file.save(annotation, predictions, about, mark),
            done,
            failed,
        )

    def _planes_of(self, opened: _Opened) -> list[Plane]:
        return self._session.planes.of(opened.picture)

    def _note(self, opened: _Opened, plane: Plane, saved: Saved, mark: Mark | None) -> None:
        """Note that a picture was saved, and tell what the user would not think."""
        self._session.annotations.mark_saved(plane, opened.file.made.annotation)
        # Told once the next picture is there: messages go with theirs.
        if mark is not None and mark.authentic and plane.forgery is None:
            self._told = f"{opened.file.name} is marked authentic; it has no verdict of the model."
        if not saved.in_mask:
            self._told = (
                f"{opened.file.name} has more sources than a mask holds: its labels are in "
                f"{printable(Path(saved.files[1]).name)}, and nothing is learned from it."
            )

    def _swap(self, found: FoundPicture) -> None:
        self._opened, self.problem = None, found.problem
        self.queue, self.entries, self.position = found.queue, found.entries, found.position
        self._miss(None)
        if found.contents is None or found.file is None:
            self._view.clear()
        else:
            picture, file = found.entries[found.position].picture, found.file
            self._opened = _Opened(self._view.show(picture, found.contents, file.made), file)
        for warning in found.warnings:
            self.notice.emit(warning, False, None)
        if found.problem:
            self.notice.emit(found.problem, True, None)
        self._look_again()

    def _look_again(self) -> None:
        """Read the states anew, and let the user go on."""
        queue = self.queue
        if queue is None:
            self._end()
            return

        def found(entries: tuple[QueueEntry, ...]) -> None:
            self.entries = entries
            self._end()
            told, self._told = self._told, ""
            if told:
                self.notice.emit(told, False, None)

        self._read(queue.entries, found)

    # ---------------------------------------------------------------- jobs

    def _read(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Read files; a failure leaves all as it is."""

        def go_on(result: T) -> None:
            if not self._closing:
                then(result)

        def failed(error: Exception) -> None:
            self.notice.emit(sentence(error), True, None)
            self._end()

        self._session.run(work, go_on, failed)

    def _not_saved(self, error: Exception) -> None:
        opened = self._opened
        name = "The picture" if opened is None else opened.file.name
        if isinstance(error, NotDone):
            self._miss(error.missing)
            planes = [] if opened is None else self._planes_of(opened)
            # Until something is changed.
            topic = Topic(planes[0].key, "labels") if planes else None
            self.notice.emit(f"{name} is not done yet. {error}", True, topic)
        else:
            self.notice.emit(
                f"{name} stays open, because it could not be saved. {sentence(error)}", True, None
            )
        self._end()

    def _miss(self, missing: Completeness | None) -> None:
        self.missing = missing
        self.missing_changed.emit()

    def _begin(self, what: str) -> None:
        self.doing = what
        self.changed.emit()

    def _end(self) -> None:
        self.doing, self._mark = "", None
        self.changed.emit()


def _with_entries(queue: PictureQueue) -> _Listed:
    return queue, queue.entries()
