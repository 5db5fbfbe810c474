"""Queue: picture after picture of a folder or list, each with its own masks and state."""

from __future__ import annotations

import os
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QFileDialog, QFrame, QVBoxLayout

from napari_safire.corpus.queue import STATES, PictureQueue
from napari_safire.gui.controllers.queue_pictures import QueuePictures
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.section import (
    FoldedSection,
    Rows,
    button,
    elided_combo,
    form,
    wrapped,
)
from napari_safire.project.queries import PictureQuery
from napari_safire.session.messages import Topic
from napari_safire.session.queue.folder import FolderPictures
from napari_safire.session.queue.work import QueueWork
from napari_safire.text import isolated, printable

LISTS = "Lists (*.txt *.csv);;All files (*)"


class QueueSection(FoldedSection):
    """Go through the pictures of a folder or list; what was made is saved on the way.

    `work` does it; this shows how far it is. A picture is also saved when its layer is removed, and
    when the controller closes.

    Parameters
    ----------
    controller : ViewerController
    """

    changed = Signal()
    """Emitted when another queue is open, or the states of its pictures were read anew."""

    def __init__(self, controller: ViewerController) -> None:
        super().__init__("Queue", "Go through the pictures of a folder or a list.")
        self._controller = controller
        self._pictures = QueuePictures(controller)
        self.work = QueueWork(controller.session, self._pictures)
        self._named: tuple[str, ...] = ()  # keys of what the combo box shows
        self._make_choice()
        self._make_steps()
        self._make_question()
        fields = form()
        fields.addRow("Show", self.filter)
        fields.addRow("Go to", self.jump)
        self.body.addWidget(Rows([self.folder, self.list_file, self.output], 3))
        self.body.addWidget(self.place)
        self.body.addLayout(fields)
        self.body.addWidget(Rows([self.back, self.forward, self.done, self.authentic], 2))
        self.body.addWidget(self.question)
        for signal, slot in (
            (controller.leaving, self._leaving),
            (controller.viewer.layers.events.removed, self._layer_removed),
            (controller.shown, self.work.compare_missing),
            (self.work.notice, self._tell),
            (self.work.changed, self._work_changed),
            (self.work.missing_changed, self._ask),
        ):
            self.connections.connect(signal, slot)
        self.filter.activated.connect(self._filter)
        self.jump.activated.connect(self._jump)
        self._show()

    def _make_choice(self) -> None:
        self.folder = button(
            "Folder …",
            "Go through the pictures of a folder. You can also drop it on the dock.",
            self._browse_folder,
        )
        self.list_file = button(
            "List …",
            "Go through the pictures of a list file with lines image,mask. The masks that it names "
            "are where work begins; they are never written to.",
            self._browse_list,
        )
        self.output = button("Masks …", "", self._browse_output)
        self.place = wrapped()
        self.place.setTextFormat(Qt.TextFormat.PlainText)
        self.place.setAccessibleName("Place in the queue")

    def _make_steps(self) -> None:
        self.filter = elided_combo(
            "Which pictures of the queue to go through",
            "Which pictures Previous picture, Next picture and Go to consider.",
        )
        self.filter.addItem("all", ())
        for state in STATES:
            self.filter.addItem(state, (state,))
        self.jump = elided_combo(
            "Go to a picture of the queue",
            "Go to a picture: choose it, or type a part of its name and Enter.",
        )
        self.jump.setEditable(True)
        self.jump.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        completer = self.jump.completer()
        if completer is not None:
            completer.setFilterMode(Qt.MatchFlag.MatchContains)
            completer.setCompletionMode(completer.CompletionMode.PopupCompletion)
        self.back = button(
            "Previous picture",
            "Save what was changed and go to the previous picture.",
            self.go_back,
        )
        self.forward = button(
            "Next picture", "Save what was changed and go to the next picture.", self.go_on
        )
        self.done = button(
            "Done, next",
            "Save this picture as done and go to the next one. Every pixel must have a source.",
            self.finish,
        )
        self.authentic = button(
            "Authentic, next",
            "Say that all of this picture is one source, that nothing was put into it, and go to "
            "the next one.",
            self.finish_as_authentic,
        )

    def _make_question(self) -> None:
        self.question = QFrame()
        self.question.setFrameShape(QFrame.Shape.StyledPanel)
        self.asked = wrapped()
        self.asked.setTextFormat(Qt.TextFormat.PlainText)
        self.show_rest = button(
            "Show them", "Look at the largest place without a source.", self._show_rest
        )
        self.fill_rest = button(
            "Rest to one source", "Give one source to all of them.", self.work.fill_missing
        )
        asking = QVBoxLayout(self.question)
        asking.setContentsMargins(4, 4, 4, 4)
        asking.addWidget(self.asked)
        asking.addWidget(Rows([self.show_rest, self.fill_rest], 2))
        self.question.hide()

    # ---------------------------------------------------------------- what users do

    @property
    def queue(self) -> PictureQueue | None:
        """The queue of a folder or list that is open."""
        store = self.work.store
        return store.queue if isinstance(store, FolderPictures) else None

    @property
    def n_done(self) -> int:
        """How many of its pictures are done."""
        return self.work.listing.counts["done"]

    def open_queue(self, path: str | os.PathLike[str]) -> None:
        """See `QueueWork.open_queue`."""
        self.unfold()
        self.work.open_queue(path)

    def go_on(self) -> None:
        """Open the next picture that the filter lets by."""
        self.work.go_on()

    def go_back(self) -> None:
        """Open the picture before."""
        self.work.go_back()

    def finish(self) -> None:
        """Save the open picture as done and open the next one, if there is one."""
        self.work.finish()

    def finish_as_authentic(self) -> None:
        """Say that all of the open picture is one source, and save it as done."""
        self.work.finish(authentic=True)

    def _browse_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder of pictures")
        if path:
            self.open_queue(path)

    def _browse_list(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a list of pictures", "", LISTS)
        if path:
            self.open_queue(path)

    def _browse_output(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder for the masks")
        if path:
            self.work.choose_output(path)

    def _jump(self, row: int) -> None:
        if 0 <= row < len(self._named):
            self.work.go_to(self._named[row])

    # ---------------------------------------------------------------- what happens

    def _work_changed(self) -> None:
        self._show()
        if not self.work.doing:
            self.changed.emit()

    def _leaving(self, image: Image) -> None:
        """Save the open picture whose layer is removed, or of which the controller lets go."""
        closing = image in self._controller.viewer.layers
        # When the dock is gone, so is the place for sentences.
        complain = show_warning if closing else lambda text: self._tell(text, True)
        self.work.leave(image.unique_id, complain, closing=closing)

    def _layer_removed(self, event: Any) -> None:
        self.work.forget(event.value.unique_id)

    def _tell(self, sentence: str, failed: bool, topic: Topic | None = None) -> None:
        self._controller.notice.emit(sentence, failed, topic)

    # ---------------------------------------------------------------- what is missing

    def _ask(self) -> None:
        """Show what is missing for a picture to be done, or that nothing is."""
        missing = self.work.missing
        self.question.setVisible(missing is not None and missing.n_unassigned > 0)
        if missing is not None and missing.n_unassigned:
            self.unfold()
            self.asked.setText(
                f"{missing.n_unassigned:,} pixels have no source. Most lie around row "
                f"{round(missing.row)}, column {round(missing.col)}."
            )
            self.fill_rest.setText(f"Rest to source {missing.free_number}")

    def _show_rest(self) -> None:
        image, missing = self._pictures.image, self.work.missing
        if image is None or missing is None:
            return
        viewer = self._controller.viewer
        camera = getattr(viewer, "scene", viewer).camera  # before napari 0.9 the viewer's own
        row, col = image.data_to_world((missing.row, missing.col))[-2:]
        camera.center = (*camera.center[:-2], row, col)

    # ---------------------------------------------------------------- what is shown

    def _filter(self, _: object = None) -> None:
        self.work.set_query(PictureQuery(states=self.filter.currentData()))

    def _show(self) -> None:
        work = self.work
        free, is_open = not work.doing, work.store is not None
        self.folder.setEnabled(free)
        self.list_file.setEnabled(free)
        for widget in (self.filter, self.jump, self.output):
            widget.setEnabled(free and is_open)
        self.back.setEnabled(free and work.can_go_back)
        self.forward.setEnabled(free and work.can_go_on)
        for finishing in (self.done, self.authentic):
            finishing.setEnabled(free and work.opened is not None)
        self.question.setEnabled(free)
        queue = self.queue
        self.output.setToolTip(
            "Choose the folder for masks and records."
            + (f" Now: {queue.output}" if queue is not None else "")
        )
        if work.doing:
            self.place.setText(work.doing)
            return
        self.place.setText(self._describe())
        n_pictures = len(work.listing.keys)
        self.say_beside_title(f"{work.place + 1} of {n_pictures}" if is_open else "")
        self._show_choice()

    def _show_choice(self) -> None:
        work = self.work
        shown = work.listing.shown
        with QSignalBlocker(self.jump), QSignalBlocker(self.filter):
            filters = [self.filter.itemData(n) for n in range(self.filter.count())]
            self.filter.setCurrentIndex(filters.index(work.query.states))
            if shown != self._named:  # thousands, and mostly the same ones
                self.jump.clear()
                names = {key: isolated(printable(key)) for key in shown}
                self.jump.addItems(
                    [
                        f"{n + 1}  {names[key]}"
                        for n, key in enumerate(work.listing.keys)
                        if key in names
                    ]
                )
                self._named = shown
            here = self._named.index(work.key) if work.key in self._named else -1
            self.jump.setCurrentIndex(here)
            if here < 0:
                self.jump.setEditText("")

    def _describe(self) -> str:
        work, row = self.work, self.work.row
        if row is None:
            return "Choose a folder of pictures, or a list file."
        state: str = row.state
        if work.problem:
            state = "cannot be opened"
        elif work.opened is None:
            state += ", closed"
        counts = work.listing.counts
        told = ", ".join(f"{counts[name]} {name}" for name in STATES if counts[name])
        place = f"{work.place + 1} of {len(work.listing.keys)}"
        return f"{place} · {state}\n{isolated(row.name)}\n({told})"
