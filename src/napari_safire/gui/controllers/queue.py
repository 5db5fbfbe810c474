"""The queue of pictures of one viewer: gone through by whatever dock or key, saved on the way."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from psygnal import Signal

from napari_safire.corpus.queue import PictureQueue
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.queue_pictures import QueuePictures
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.session.messages import Topic
from napari_safire.session.queue.folder import FolderPictures
from napari_safire.session.queue.store import Action, PictureStore
from napari_safire.session.queue.work import QueueWork
from napari_safire.session.queue_thumbnails import QueueThumbnails

_SAID: dict[Action, str] = {"waive": "waived", "reject": "rejected", "accept": "accepted"}


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
    is_wanted : Signal()
        Someone wants to go on in a queue, and none is open.
    """

    changed = Signal()
    choices_known = Signal()
    seen_changed = Signal()
    reason_wanted = Signal(str)
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
        self._store: PictureStore | None = None
        self.connections = Connections()
        for signal, slot in (
            (controller.leaving, self._leaving),
            (controller.viewer.layers.events.removed, self._layer_removed),
            (controller.shown, self.work.compare_missing),
            (self.work.notice, self._tell),
            (self.work.listed, self._listed),
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
    def n_done(self) -> int:
        """How many of its pictures are done."""
        return self.work.listing.counts["done"]

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
        self._with_action("waive", lambda: self.reason_wanted.emit("waive"))

    def reject(self) -> None:
        """Ask what is to be done on the open picture, to send it back."""
        self._with_action("reject", lambda: self.reason_wanted.emit("reject"))

    def accept(self) -> None:
        """Accept the open picture as it is, and open the next one."""
        self._with_action("accept", self.work.accept)

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
        image, missing = self.pictures.image, self.work.missing
        if image is None or missing is None:
            return
        viewer = self._controller.viewer
        camera = getattr(viewer, "scene", viewer).camera  # before napari 0.9 the viewer's own
        row, col = image.data_to_world((missing.row, missing.col))[-2:]
        camera.center = (*camera.center[:-2], row, col)

    def close(self) -> None:
        """Let go of viewer and session."""
        self.connections.disconnect()
        self.thumbnails.close()

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

    def _work_changed(self) -> None:
        if not self.work.doing:
            self.changed.emit()
        if self.work.opened != self._looked_at:
            self._looked_at = self.work.opened
            self.pictures.note(self.work.noted)
            self._look_who_is_seen()

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

    def _leaving(self, image: Image) -> None:
        """Save the open picture whose layer is removed, or of which the controller lets go."""
        closing = image in self._controller.viewer.layers
        # When the docks are gone, so is the place for sentences.
        complain = show_warning if closing else lambda text: self._tell(text, True)
        self.work.leave(image.unique_id, complain, closing=closing)

    def _layer_removed(self, event: Any) -> None:
        self.work.forget(event.value.unique_id)

    def _tell(self, sentence: str, failed: bool, topic: Topic | None = None) -> None:
        self._controller.notice.emit(sentence, failed, topic)
