"""The questions before a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QLineEdit, QVBoxLayout, QWidget

from napari_safire.gui.panels.section import beside, leave_wheel, plain
from napari_safire.review.values import ANSWERS, CHECKLIST, Checked

_OPEN = "\N{EN DASH}"


class ChecklistForm(QWidget):
    """Each question with its answer; a note where the answer is not yes.

    Attributes
    ----------
    edited : Signal()
        The user has answered something.
    """

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, QComboBox] = {}
        self.notes: dict[str, QLineEdit] = {}
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(4)
        for name, question in CHECKLIST.items():
            box = self.boxes[name] = QComboBox()
            box.addItems([_OPEN, *ANSWERS])
            box.setAccessibleName(question)
            leave_wheel(box)
            box.setFixedWidth(92)
            box.activated.connect(lambda _: self._answered())
            note = self.notes[name] = QLineEdit()
            note.setAccessibleName(f"Note on: {question}")
            note.setPlaceholderText("what is known of it")
            note.textEdited.connect(lambda _: self.edited.emit())
            body.addWidget(beside(plain(question), box))
            body.addWidget(note)
        self._show_notes()

    @property
    def answers(self) -> tuple[Checked, ...]:
        """Those that were given, in the order of the questions.

        Raises
        ------
        DatasetError
            A note is too long.
        """
        return tuple(
            Checked(name, box.currentText(), self.notes[name].text().strip())  # type: ignore[arg-type]
            for name, box in self.boxes.items()
            if box.currentText() != _OPEN
        )

    @property
    def n_open(self) -> int:
        """How many questions have no answer."""
        return sum(box.currentText() == _OPEN for box in self.boxes.values())

    @property
    def values(self) -> dict[str, list[str]]:
        """What stands in the form: answer and note by question."""
        return {
            name: [box.currentText(), self.notes[name].text()]
            for name, box in self.boxes.items()
            if box.currentText() != _OPEN or self.notes[name].text()
        }

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show what was typed before; what does not fit is left out."""
        for name, box in self.boxes.items():
            answer, note = _pair(values.get(name))
            with QSignalBlocker(box):
                box.setCurrentText(answer if answer in ANSWERS else _OPEN)
            if not self.notes[name].hasFocus():
                self.notes[name].setText(note)
        self._show_notes()

    def show_answers(self, answers: tuple[Checked, ...]) -> None:
        """Show answers that were kept."""
        self.show_values({one.question: [one.answer, one.note] for one in answers})

    def _answered(self) -> None:
        self._show_notes()
        self.edited.emit()

    def _show_notes(self) -> None:
        for name, box in self.boxes.items():
            note = self.notes[name]
            note.setVisible(box.currentText() in ("no", "not known") or bool(note.text()))


def _pair(value: Any) -> tuple[str, str]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return str(value[0]), str(value[1])
    return _OPEN, ""
