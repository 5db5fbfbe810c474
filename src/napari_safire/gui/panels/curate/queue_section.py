"""The picture of the queue that is open: where it is, how far, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QFileDialog, QFrame, QPushButton, QVBoxLayout

from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.panels.curate.reason_line import ReasonLine
from napari_safire.gui.panels.section import (
    Rows,
    Section,
    beside,
    button,
    elided_combo,
    plain,
    wrapped,
)
from napari_safire.project.queries import PictureRow
from napari_safire.session.queue.store import Beginning
from napari_safire.text import isolated

_MASKS = "Masks (*.png *.tif *.tiff *.bmp *.npz *.npy);;All files (*)"
_SEEN_BY_OTHERS = ("adjudicate", "accept", "accepted")  # stages in which somebody reviews
_BEGINNINGS = {
    "the mask that came with it": Beginning("given"),
    "nothing": Beginning("nothing"),
    "the model's partition": Beginning("partition"),
    "a mask file …": Beginning("mask"),
}


class QueueSection(Section):
    """Previous and next; done, authentic, sent back or accepted; where the work begins.

    Parameters
    ----------
    queue : QueueController
        Does it; this shows how far it is.
    show_prompts : callable
        Brings the dock with prompts and brush forward.
    """

    def __init__(self, queue: QueueController, show_prompts: Callable[[], None]) -> None:
        super().__init__("")
        self._queue, self.work = queue, queue.work
        self._last_begun = Beginning()
        self._focused: QPushButton | None = None  # that had the focus before a step
        self.place = plain()
        self.place.setAccessibleName("Place in the queue")
        self._make_steps()
        self._make_judgements()
        self._make_question()
        self._make_conflict()
        self.reason = ReasonLine()
        self.begin = elided_combo(
            "Begin from", "What the work on this picture begins from; Undo brings back what was."
        )
        self.begin.activated.connect(self._begin_from)
        self.always = QCheckBox("always")
        self.always.setToolTip("Begin new pictures of this queue in the same way.")
        self.always.toggled.connect(self._begin_always)
        self.prompts = button(
            "Prompts, brush …", "Mark sources: show the dock SAFIRE.", show_prompts
        )
        for widget in (
            self.place,
            self.conflict,
            Rows([self.back, self.forward, self.skip], 3),
            Rows([self.done, self.authentic], 2),
            Rows([self.reject, self.accept], 2),
            self.reason,
            self.question,
            beside(self.begin, self.always),
            self.prompts,
        ):
            self.body.addWidget(widget)
        for signal, slot in (
            (self.work.changed, self._show),
            (self.work.rows_changed, self._show_row),
            (self.work.missing_changed, self._ask),
            (self.work.conflict_changed, self._show_conflict),
            (queue.seen_changed, self._show_beginnings),
            (queue.reason_wanted, self._ask_reason),
        ):
            self.connections.connect(signal, slot)
        self._show_beginnings()
        self._show()
        self._ask()
        self._show_conflict()

    def _make_steps(self) -> None:
        queue = self._queue
        self.back = button(
            "Previous picture", "Save what was changed and go to the previous one.", queue.go_back
        )
        self.forward = button(
            "Next picture", "Save what was changed and go to the next one.", queue.go_on
        )
        self.skip = button(
            "Skip", "Leave this picture for later: it comes again after the others.", queue.skip
        )
        self.done = button(
            "Done, next",
            "Save this picture as done and go to the next one. Every pixel must have a source.",
            queue.finish,
        )
        self.authentic = button(
            "Authentic, next",
            "Say that all of this picture is one source, that nothing was put into it, and go to "
            "the next one.",
            queue.finish_as_authentic,
        )

    def _make_judgements(self) -> None:
        self.reject = button(
            "Reject …", "Send this picture back, with a note of what is to be done.", self._reject
        )
        self.accept = button(
            "Accept, next", "Accept this picture as it is and go to the next one.", self._accept
        )

    def _make_question(self) -> None:
        self.question, asking = _frame()
        self.asked = plain()
        self.show_rest = button(
            "Show them", "Look at the largest place without a source.", self._queue.show_missing
        )
        self.fill_rest = button(
            "Rest to one source", "Give one source to all of them.", self.work.fill_missing
        )
        self.waive = button(
            "Waive …", "Save it as done all the same, with a reason.", self._queue.waive
        )
        asking.addWidget(self.asked)
        asking.addWidget(Rows([self.show_rest, self.fill_rest, self.waive], 3))

    def _make_conflict(self) -> None:
        self.conflict, told = _frame()
        self.conflict_text = wrapped()
        self.conflict_text.setAccessibleName("What somebody else has changed")
        self.theirs = button(
            "Take theirs", "Go on from theirs; Undo brings yours back.", self.work.take_theirs
        )
        self.mine = button(
            "Keep mine too", "Keep yours as a second opinion beside theirs.", self.work.keep_mine
        )
        self.both = button(
            "Show both", "Lay theirs over the picture as another layer.", self.work.show_both
        )
        told.addWidget(self.conflict_text)
        told.addWidget(Rows([self.theirs, self.mine, self.both], 3))

    # ---------------------------------------------------------------- what users do

    def _reject(self) -> None:
        self._queue.reject()

    def _accept(self) -> None:
        self._queue.accept()

    def _ask_reason(self, what: str) -> None:
        if what == "waive":
            self.reason.ask(
                "Why may pixels be without a source?",
                "Done, next",
                lambda text: self.work.finish(waiver=text),
            )
        else:
            self.reason.ask("What is to be done on it?", "Reject, next", self.work.reject)

    def _begin_from(self, row: int) -> None:
        chosen: Beginning | None = self.begin.itemData(row)
        with QSignalBlocker(self.begin):
            self.begin.setCurrentIndex(0)
        if chosen is None:
            return
        if chosen.what == "mask":
            path, _ = QFileDialog.getOpenFileName(self, "Choose a mask to begin from", "", _MASKS)
            if not path:
                return
            chosen = Beginning("mask", Path(path))
        self.work.begin_from(chosen)
        if chosen.what == "nothing":
            self._queue.paint()
        self._last_begun = chosen
        self._begin_always(self.always.isChecked())

    def _begin_always(self, always: bool) -> None:
        """Begin new pictures as the last one was begun; a file or a person is of one alone."""
        last = self._last_begun
        general = always and last.what in ("nothing", "partition")
        self.work.beginning = last if general else Beginning()

    # ---------------------------------------------------------------- what is shown

    def _ask(self) -> None:
        """Show what is missing for a picture to be done, or that nothing is."""
        missing = self.work.missing
        self.question.setVisible(missing is not None and missing.n_unassigned > 0)
        if missing is not None and missing.n_unassigned:
            self.asked.setText(
                f"{missing.n_unassigned:,} pixels have no source. Most lie around row "
                f"{round(missing.row)}, column {round(missing.col)}."
            )
            self.fill_rest.setText(f"Rest to source {missing.free_number}")

    def _show_conflict(self) -> None:
        conflict = self.work.conflict
        self.conflict.setVisible(conflict is not None)
        if conflict is not None:
            self.conflict_text.setText(f"⚠ {conflict}")

    def _show_beginnings(self) -> None:
        with QSignalBlocker(self.begin):
            self.begin.clear()
            self.begin.addItem("Begin from …", None)
            for text, beginning in _BEGINNINGS.items():
                self.begin.addItem(text, beginning)
            for name in self._queue.seen:
                self.begin.addItem(
                    f"the work of {isolated(name)}", Beginning("work", annotator=name)
                )

    def _show_row(self, rows: tuple[PictureRow, ...]) -> None:
        """Show how far the open picture is: a step of it may have been kept."""
        if any(row.id == self.work.key for row in rows):
            self._show()

    def _keep_focus(self, free: bool) -> None:
        """Let a button that rests for a while have the focus again, not its neighbour."""
        if free and self._focused is not None:
            window = self.window()
            if window is not None and window.focusWidget() is None:
                self._focused.setFocus()
            self._focused = None
        for step in (self.back, self.forward, self.skip, self.done, self.authentic, self.accept):
            if not free and step.hasFocus():
                self._focused = step
                step.clearFocus()

    def _show(self) -> None:
        work, store = self.work, self.work.store
        free, is_shown = not work.doing, work.opened is not None
        if not free:
            self._keep_focus(free)
        actions = frozenset() if store is None else store.actions
        self.back.setEnabled(free and work.can_go_back)
        self.forward.setEnabled(free and work.can_go_on)
        self.skip.setEnabled(free and work.can_go_on)
        for widget in (self.done, self.authentic, self.reject, self.accept, self.begin):
            widget.setEnabled(free and is_shown)
        for widget, action in (
            (self.reject, "reject"),
            (self.accept, "accept"),
            (self.waive, "waive"),
        ):
            widget.setVisible(action in actions)
        stage = "" if work.row is None else work.row.stage
        self.reject.setEnabled(self.reject.isEnabled() and stage in _SEEN_BY_OTHERS)
        self.accept.setEnabled(self.accept.isEnabled() and stage == "accept")
        self.mine.setVisible("second opinion" in actions)
        for frame in (self.question, self.conflict):
            frame.setEnabled(free)
        self.place.setText(work.doing or self._describe())
        if free:
            self._keep_focus(free)

    def _describe(self) -> str:
        work, row = self.work, self.work.row
        if work.store is None:
            return "Open a folder of pictures, a list or a project."
        if row is None:
            return ""
        state: str = row.state
        if work.problem:
            state = "cannot be opened"
        elif work.opened is None:
            state += ", closed"
        if row.stage not in ("", "annotate", row.state):
            state += f", stage {row.stage}"
        place = f"{work.place + 1:,} of {len(work.listing.keys):,}" if work.place >= 0 else "aside"
        counts = work.listing.counts
        told = ", ".join(f"{counts[name]:,} {name}" for name in work.store.states if counts[name])
        sent_back = f"\nSent back: {isolated(row.note)}" if row.state == "rejected" else ""
        return f"{place} · {state}\n{isolated(row.name)}\n({told}){sent_back}"


def _frame() -> tuple[QFrame, QVBoxLayout]:
    frame = QFrame()
    frame.setFrameShape(QFrame.Shape.StyledPanel)
    frame.hide()
    layout = QVBoxLayout(frame)
    layout.setContentsMargins(4, 4, 4, 4)
    return frame, layout
