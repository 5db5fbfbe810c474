"""The queue of pictures of one viewer: gone through by whatever dock or key, saved on the way."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_safire.annotation.numbering import renumbering
from napari_safire.corpus.queue import PictureQueue
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.queue_pictures import QueuePictures
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.image_planes import picture_id
from napari_safire.project.queries import PictureRow
from napari_safire.project.store import Project
from napari_safire.project.truth import PictureDescription
from napari_safire.session.messages import Topic
from napari_safire.session.planes import Snapshot
from napari_safire.session.queue.folder import FolderPictures
from napari_safire.session.queue.project_pictures import ProjectPictures
from napari_safire.session.queue.store import Action, PictureStore
from napari_safire.session.queue.work import QueueWork
from napari_safire.session.queue_thumbnails import QueueThumbnails

_KEPT_MS = 2_500  # until a step is kept: see session/step_keeping
_SAID: dict[Action, str] = {
    "waive": "waived",
    "reject": "rejected",
    "accept": "accepted",
    "describe": "described",
}


class QueueController:
    """Between the layers of a viewer and the work on a queue of pictures.

    A picture is also saved when its layer is removed, and when the controller closes.

    Parameters
    ----------
    controller : ViewerController

    Attributes
    ----------
    work : QueueWork
        Does it.
    pictures : QueuePictures
        Shows them.
    thumbnails : QueueThumbnails
    people, tags : tuple of str
        By whom and with which tags pictures of the open queue can be picked out.
    seen : tuple of str
        Annotators whose work on the open picture may be seen.
    changed : Signal()
        Another queue is open, or the states of its pictures were read anew.
    choices_known : Signal()
        `people` and `tags` are others.
    seen_changed : Signal()
        `seen` is another one.
    reason_wanted : Signal("waive" | "reject")
        Someone is to be asked for a reason.
    find_wanted, note_wanted : Signal()
        Someone is to type which picture to go to, or a note.
    described : Signal()
        Something else is said of the sources of the open picture.
    is_wanted : Signal()
        The dock with the queue is needed: to open one, or to be asked something.
    """

    changed = Signal()
    choices_known = Signal()
    seen_changed = Signal()
    reason_wanted = Signal(str)
    find_wanted = Signal()
    note_wanted = Signal()
    described = Signal()
    is_wanted = Signal()

    def __init__(self, controller: ViewerController) -> None:
        self._controller = controller
        self.pictures = QueuePictures(controller)
        self.work = QueueWork(controller.session, self.pictures)
        self.thumbnails = QueueThumbnails(gui_thread().deliver)
        self.people: tuple[str, ...] = ()
        self.tags: tuple[str, ...] = ()
        self.seen: tuple[str, ...] = ()
        self._looked_at: Hashable = None
        self._shown: Snapshot | None = None
        self._kept = QTimer()
        self._kept.setSingleShot(True)
        self._kept.setInterval(_KEPT_MS)
        self._kept.timeout.connect(self.work.look_at_row)
        self._store: PictureStore | None = None
        self.connections = Connections()
        for signal, slot in (
            (controller.leaving, self._leaving),
            (controller.viewer.layers.events.removed, self._layer_removed),
            (controller.shown, self.work.compare_missing),
            (controller.shown, self._follow_numbers),
            (controller.shown, self._look_at_row_later),
            (controller.viewer.cursor.events.position, self._note_activity),
            (self.work.notice, self._tell),
            (self.work.listed, self._listed),
            (self.work.rows_changed, self._look_for_tags),
            (self.work.changed, self._work_changed),
        ):
            self.connections.connect(signal, slot)
        noted = self.pictures.noted()
        if noted:  # later: whoever shows sentences does not listen yet
            gui_thread().deliver(lambda: self.work.resume(noted))

    @property
    def folder(self) -> PictureQueue | None:
        """The folder or list that is open; None where nothing is, or a project."""
        store = self.work.store
        return store.queue if isinstance(store, FolderPictures) else None

    @property
    def project(self) -> Project | None:
        """The project that is open; None where nothing is, or a folder or list."""
        store = self.work.store
        return store.project if isinstance(store, ProjectPictures) else None

    @property
    def n_done(self) -> int:
        """How many of its pictures are done, or accepted after that."""
        counts = self.work.listing.counts
        return counts["done"] + counts["accepted"]

    def go_on(self) -> None:
        """Save what was changed, and open the next picture to be seen."""
        self._with_queue(self.work.go_on)

    def go_back(self) -> None:
        """Save what was changed, and open the picture before."""
        self._with_queue(self.work.go_back)

    def finish(self) -> None:
        """Save the open picture as done and open the next one, if there is one."""
        self._with_queue(self.work.finish)

    def finish_as_authentic(self) -> None:
        """Say that all of the open picture is one source, and save it as done."""
        self._with_queue(lambda: self.work.finish(authentic=True))

    def skip(self) -> None:
        """Leave the open picture for later, and open the next one."""
        self._with_queue(self.work.skip)

    def waive(self) -> None:
        """Ask why pixels may be without a source, to save the open picture as done."""
        self._with_action("waive", lambda: self._want(lambda: self.reason_wanted.emit("waive")))

    def reject(self) -> None:
        """Ask what is to be done on the open picture, to send it back."""
        self._with_action("reject", lambda: self._want(lambda: self.reason_wanted.emit("reject")))

    def accept(self) -> None:
        """Accept the open picture as it is, and open the next one."""
        self._with_action("accept", self.work.accept)

    def find(self) -> None:
        """Let the user type which picture to go to."""
        self._with_queue(self._find)

    def _find(self) -> None:
        self.is_wanted.emit()  # what is typed in is in the dock
        self.find_wanted.emit()

    def note(self) -> None:
        """Let the user write a note, pinned to where the pointer is."""
        self._with_action("describe", lambda: self._want(self.note_wanted.emit))

    def describe(self, description: PictureDescription) -> None:
        """Say what the sources of the open picture are; it is kept at once."""
        self.work.describe(description)
        self.described.emit()

    def _want(self, ask: Callable[[], object]) -> None:
        """Ask for something in the dock with the queue, which comes forward."""
        if self.work.opened is not None:
            self.is_wanted.emit()
            ask()

    def paint(self) -> None:
        """Take the brush: the work begins with nothing."""
        self._controller.edits.paint()

    def _with_action(self, action: Action, act: Callable[[], None]) -> None:
        store = self.work.store
        if store is not None and action not in store.actions:
            self._tell(
                f"A picture of a folder or list cannot be {_SAID[action]}: open a project.", True
            )
        else:
            self._with_queue(act)

    def _with_queue(self, act: Callable[[], None]) -> None:
        if self.work.store is None:
            self._tell("No queue of pictures is open: choose a folder or a list first.", False)
            self.is_wanted.emit()
        else:
            act()

    def show_missing(self) -> None:
        """Look at the largest place of the open picture without a source."""
        missing = self.work.missing
        if missing is not None:
            self.look_at(missing.row, missing.col)

    def look_at(self, row: float, col: float) -> None:
        """Bring a place of the open picture into the middle; in its pixels."""
        image, viewer = self.pictures.image, self._controller.viewer
        if image is None:
            return
        camera = getattr(viewer, "scene", viewer).camera  # before napari 0.9 the viewer's own
        camera.center = (*camera.center[:-2], *image.data_to_world((row, col))[-2:])

    def fall_silent(self) -> None:
        """Tell no widget anything from now on: they may be half gone. What is open is saved."""
        work = self.work
        for signal in (
            work.changed,
            work.listed,
            work.rows_changed,
            work.missing_changed,
            work.conflict_changed,
            self.changed,
            self.choices_known,
            self.seen_changed,
            self.described,
            self.thumbnails.known,
        ):
            signal.block()

    def close(self) -> None:
        """Let go of viewer and session."""
        self.connections.disconnect()
        self.thumbnails.close()
        self.pictures.close()
        self._shown = None
        with suppress(RuntimeError):  # at Python's exit Qt may have deleted it before
            self._kept.stop()

    def _listed(self) -> None:
        """Of another store, thumbnails are others, and so is what can be picked out."""
        store = self.work.store
        if store is self._store or store is None:
            return
        self._store = store
        self.thumbnails.of(store.locate)
        self.people = self.tags = ()
        self.choices_known.emit()
        self.look_at_choices()

    def look_at_choices(self) -> None:
        """Look up annotators and tags of the open queue."""
        store = self._store
        if store is None:
            return

        def found(choices: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
            if store is self._store and choices != (self.people, self.tags):
                self.people, self.tags = choices
                self.choices_known.emit()

        self._controller.session.run(lambda: (store.people(), store.tags()), found)

    def _look_for_tags(self, rows: tuple[PictureRow, ...]) -> None:
        if any(tag not in self.tags for row in rows for tag in row.tags):
            self.look_at_choices()

    def _work_changed(self) -> None:
        if not self.work.doing:
            self.changed.emit()
        if self.work.opened != self._looked_at:
            self._looked_at = self.work.opened
            self.pictures.note(self.work.noted)
            self._look_who_is_seen()
            self.look_at_choices()

    def _look_who_is_seen(self) -> None:
        """Find out whose work on the open picture may be seen."""
        store, key, opened = self.work.store, self.work.key, self.work.opened

        def found(names: tuple[str, ...]) -> None:
            if opened == self.work.opened and names != self.seen:
                self.seen = names
                self.seen_changed.emit()

        if store is None or opened is None:
            found(())
        else:
            self._controller.session.run(lambda: store.annotators(key), found)

    def _look_at_row_later(self, snapshot: Snapshot) -> None:
        """Show how far the open picture is once its steps are kept, where the store does that."""
        work = self.work.work
        if work is not None and work.keeps_steps and not self._kept.isActive():
            self._kept.start()

    def _note_activity(self, event: object) -> None:
        self.work.note_activity()

    def _follow_numbers(self, snapshot: Snapshot) -> None:
        """What is said of a source follows it to another number: renumbered, undone or redone."""
        before, self._shown = self._shown, snapshot
        work = self.work.work
        if (
            work is None
            or before is None
            or before.key != snapshot.key
            or snapshot.key.picture != self.work.opened
            or not work.description.sources + work.description.notes
            or before.areas.keys() == snapshot.areas.keys()
            or sorted(before.areas.values()) != sorted(snapshot.areas.values())
        ):
            return
        numbers = renumbering(before.labels, snapshot.labels)
        if numbers:
            self.describe(work.description.renumbered(numbers))

    def _leaving(self, image: Image) -> None:
        """Save the open picture whose layer is removed, or of which the controller lets go."""
        closing = image in self._controller.viewer.layers
        # When the docks are gone, so is the place for sentences.
        complain = show_warning if closing else lambda text: self._tell(text, True)
        self.work.leave(picture_id(image), complain, closing=closing)

    def _layer_removed(self, event: Any) -> None:
        self.work.forget(picture_id(event.value))

    def _tell(self, sentence: str, failed: bool, topic: Topic | None = None) -> None:
        self._controller.notice.emit(sentence, failed, topic)
