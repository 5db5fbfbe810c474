"""Notes on the open picture and on its sources, each pinned to a place or to none."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QLineEdit, QListWidget, QListWidgetItem

from napari_safire.gui.controllers.pins import Pins, Place
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.section import (
    FoldedSection,
    Rows,
    button,
    elided_combo,
    form,
    sharing,
    split_tags,
)
from napari_safire.project.truth import Note, PictureDescription
from napari_safire.text import isolated

_LINES = 4  # of the list that are seen


class NotesSection(FoldedSection):
    """List of the notes, and a line to write another.

    Shown where the store of the queue holds descriptions.

    Parameters
    ----------
    controller : ViewerController
    queue : QueueController
    """

    def __init__(self, controller: ViewerController, queue: QueueController) -> None:
        super().__init__("Notes, tags", "Remarks on this picture or a place in it; its tags.")
        self._controller, self._queue = controller, queue
        self._notes: tuple[Note, ...] = ()
        self._place: Place | None = None  # of the note that is being written
        self.pins = Pins(controller, queue)
        self.list = QListWidget()
        self.list.setAccessibleName("Notes on this picture")
        self.list.setWordWrap(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setFixedHeight(_LINES * (self.fontMetrics().height() + 6))
        self.list.itemClicked.connect(self._look_at)
        self.text = QLineEdit()
        self.text.setPlaceholderText("Write a note, Enter keeps it")
        self.text.setAccessibleName("New note")
        self.text.returnPressed.connect(self._add)
        self.about: QComboBox = elided_combo("What the note is on", "The picture, or a source.")
        self.add = button("Add note", "Keep this note.", self._add)
        self.pin = button("Pin", "Pin it to a place: click on the picture.", self._ask_for_place)
        self.pin.setCheckable(True)
        self.remove = button("Remove", "Remove the selected note.", self._remove)
        self.tags = QLineEdit()
        self.tags.setAccessibleName("Tags of the picture")
        self.tags.setPlaceholderText("separated by commas")
        self.tags.editingFinished.connect(self._tag)
        fields = form()
        fields.addRow("Tags", self.tags)
        self.body.addWidget(self.list)
        self.body.addWidget(self.text)
        self.body.addWidget(sharing(self.about, self.pin))
        self.body.addWidget(Rows([self.add, self.remove], 2))
        self.body.addLayout(fields)
        for signal, slot in (
            (queue.work.changed, self._show),
            (queue.described, self._show),
            (queue.work.rows_changed, self._show_tags),
            (queue.note_wanted, self._note_wanted),
            (controller.mode.changed, self._show_sources),
            (controller.shown, self._show_sources),
        ):
            self.connections.connect(signal, slot)
        self._show()

    def close_section(self) -> None:
        """Disconnect from everything that outlives the widget."""
        super().close_section()
        self.pins.close()

    # ---------------------------------------------------------------- what users do

    def _note_wanted(self) -> None:
        """Begin a note at the place under the pointer."""
        self.unfold()
        self._take_place(self.pins.pointer())
        self.text.setFocus()

    def _ask_for_place(self) -> None:
        if self.pin.isChecked():
            self.pins.ask(self._take_place)
        else:
            self.pins.stop_asking()
            self._take_place(None)

    def _take_place(self, place: Place | None) -> None:
        self._place = place
        self.pin.setChecked(place is not None)
        self.pin.setText("Pin" if place is None else f"Pinned at {place[0]:.0f}, {place[1]:.0f}")

    def _add(self) -> None:
        text, work = self.text.text().strip(), self._queue.work.work
        if not text or work is None:
            return
        row, col = self._place or (None, None)
        note = Note(text, self.about.currentData(), row, col)
        self.pins.stop_asking()
        self._take_place(None)
        self.text.clear()
        self._say((*self._notes, note))

    def _remove(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._notes):
            self._say(self._notes[:row] + self._notes[row + 1 :])

    def _tag(self) -> None:
        row = self._queue.work.row
        if row is not None and (tags := split_tags(self.tags.text())) != row.tags:
            self._queue.work.tag(tags)

    def _look_at(self, item: QListWidgetItem) -> None:
        self.pins.look_at(self._notes[self.list.row(item)])

    def _say(self, notes: tuple[Note, ...]) -> None:
        work = self._queue.work.work
        if work is not None:
            self._queue.describe(replace(work.description, notes=notes))

    # ---------------------------------------------------------------- what is shown

    def _show(self) -> None:
        store, work = self._queue.work.store, self._queue.work.work
        self.setVisible(store is not None and "describe" in store.actions)
        self._content.setEnabled(work is not None)
        described = PictureDescription() if work is None else work.description
        if described.notes != self._notes or self.list.count() != len(described.notes):
            self._notes = described.notes
            self.list.clear()
            self.list.addItems([_line(note) for note in self._notes])
        self.say_beside_title(str(len(self._notes)) if self._notes else "")
        self._show_sources()
        self._show_tags()

    def _show_tags(self, _: object = None) -> None:
        row = self._queue.work.row
        text = "" if row is None else ", ".join(row.tags)
        if not self.tags.hasFocus() and self.tags.text() != text:
            self.tags.setText(text)

    def _show_sources(self, _: object = None) -> None:
        """Offer the picture, and the source that is worked on."""
        number, before = self._controller.mode.source, self.about.currentData()
        if self.about.count() == 2 and self.about.itemData(1) == number:
            return
        self.about.clear()
        self.about.addItem("picture", None)
        self.about.addItem(f"source {number}", number)
        self.about.setCurrentIndex(0 if before is None else 1)


def _line(note: Note) -> str:
    about = "" if note.source is None else f"source {note.source} · "
    place = "" if note.row is None else f" ({note.row:.0f}, {note.col:.0f})"
    return f"{about}{isolated(note.text)}{place}"
