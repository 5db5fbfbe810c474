"""Queue: picture after picture of a folder or list, each with its own masks and state."""

from __future__ import annotations

import os

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QFrame, QVBoxLayout

from napari_safire.corpus.queue import STATES
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.panels.section import (
    FoldedSection,
    Rows,
    button,
    elided_combo,
    form,
    wrapped,
)
from napari_safire.project.queries import PictureQuery
from napari_safire.text import isolated, printable

LISTS = "Lists (*.txt *.csv);;All files (*)"


class QueueSection(FoldedSection):
    """Go through the pictures of a folder or list; what was made is saved on the way.

    Parameters
    ----------
    queue : QueueController
        Does it; this shows how far it is.
    """

    def __init__(self, queue: QueueController) -> None:
        super().__init__("Queue", "Go through the pictures of a folder or a list.")
        self._queue, self.work = queue, queue.work
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
            (queue.is_wanted, self.unfold),
            (self.work.changed, self._show),
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
            self._queue.go_back,
        )
        self.forward = button(
            "Next picture", "Save what was changed and go to the next picture.", self._queue.go_on
        )
        self.done = button(
            "Done, next",
            "Save this picture as done and go to the next one. Every pixel must have a source.",
            self._queue.finish,
        )
        self.authentic = button(
            "Authentic, next",
            "Say that all of this picture is one source, that nothing was put into it, and go to "
            "the next one.",
            self._queue.finish_as_authentic,
        )

    def _make_question(self) -> None:
        self.question = QFrame()
        self.question.setFrameShape(QFrame.Shape.StyledPanel)
        self.asked = wrapped()
        self.asked.setTextFormat(Qt.TextFormat.PlainText)
        self.show_rest = button(
            "Show them", "Look at the largest place without a source.", self._queue.show_missing
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

    def open_queue(self, path: str | os.PathLike[str]) -> None:
        """See `QueueWork.open_queue`."""
        self.unfold()
        self.work.open_queue(path)

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
        folder = self._queue.folder
        self.output.setToolTip(
            "Choose the folder for masks and records."
            + (f" Now: {folder.output}" if folder is not None else "")
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
