"""The queue of pictures of one viewer: gone through by whatever dock or key, saved on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from psygnal import Signal

from napari_safire.corpus.queue import PictureQueue
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.queue_pictures import QueuePictures
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.session.messages import Topic
from napari_safire.session.queue.folder import FolderPictures
from napari_safire.session.queue.work import QueueWork


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
    changed : Signal()
        Another queue is open, or the states of its pictures were read anew.
    is_wanted : Signal()
        Someone wants to go on in a queue, and none is open.
    """

    changed = Signal()
    is_wanted = Signal()

    def __init__(self, controller: ViewerController) -> None:
        self._controller = controller
        self.pictures = QueuePictures(controller)
        self.work = QueueWork(controller.session, self.pictures)
        self.connections = Connections()
        for signal, slot in (
            (controller.leaving, self._leaving),
            (controller.viewer.layers.events.removed, self._layer_removed),
            (controller.shown, self.work.compare_missing),
            (self.work.notice, self._tell),
            (self.work.changed, self._work_changed),
        ):
            self.connections.connect(signal, slot)

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

    def _work_changed(self) -> None:
        if not self.work.doing:
            self.changed.emit()

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
