"""The form of what a case is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QLineEdit, QVBoxLayout, QWidget

from napari_safire.gui.panels.review.text_box import TextBox
from napari_safire.gui.panels.section import Rows, button, form
from napari_safire.review.codec import as_record
from napari_safire.review.values import CaseDescription

_LINES = {
    "number": ("Number", "Number of the case in your laboratory."),
    "title": ("Title", "What the case is called."),
    "organisation": ("Organisation", "Who examines."),
    "requested_by": ("Requested by", "Who asks."),
    "received": ("Received", "When, from whom and how the picture came."),
}
_BOXES = {
    "question": ("Question", "What is to be answered.", 2),
    "notes": ("Notes", "What else belongs to the case.", 2),
}


class CaseForm(QWidget):
    """Fields of a `CaseDescription`.

    Attributes
    ----------
    edited : Signal()
        The user has typed something.
    wanted : Signal()
        It is to be kept.
    """

    edited = Signal()
    wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, QLineEdit] = {}
        self.boxes: dict[str, TextBox] = {}
        fields = form()
        for name in ("number", "title", "question", "organisation", "requested_by", "received"):
            fields.addRow(*self._field(name))
        fields.addRow(*self._field("notes"))
        self.blind = QCheckBox("Blind first look")
        self.blind.setToolTip(
            "Hide the model's verdict, and those of others, until a reviewer has given their own."
        )
        self.blind.toggled.connect(lambda _: self.edited.emit())
        fields.addRow("", self.blind)
        self.keep = button("Keep", "Keep these data with the case.", self.wanted.emit)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.addLayout(fields)
        body.addWidget(Rows([self.keep], 1))

    def _field(self, name: str) -> tuple[str, QWidget]:
        if name in _BOXES:
            title, help_text, lines = _BOXES[name]
            box = self.boxes[name] = TextBox(title, help_text, lines)
            box.edited.connect(self.edited)
            return title, box
        title, help_text = _LINES[name]
        line = self.lines[name] = QLineEdit()
        line.setAccessibleName(title)
        line.setToolTip(help_text)
        line.textEdited.connect(lambda _: self.edited.emit())
        return title, line

    @property
    def values(self) -> dict[str, Any]:
        """What stands in the fields, by their names."""
        texts = {name: line.text().strip() for name, line in self.lines.items()}
        texts |= {name: box.text.strip() for name, box in self.boxes.items()}
        return {**texts, "blind": self.blind.isChecked()}

    @property
    def description(self) -> CaseDescription:
        """The same as a value.

        Raises
        ------
        DatasetError
            A text is too long.
        """
        return CaseDescription(**self.values)

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show what was typed before, or is kept; what is missing is empty."""
        usual = as_record(CaseDescription())
        shown = {name: values.get(name, usual[name]) for name in usual}
        for name, line in self.lines.items():
            if not line.hasFocus():
                line.setText(str(shown[name]))
        for name, box in self.boxes.items():
            if not box.hasFocus():
                box.show_text(str(shown[name]))
        with QSignalBlocker(self.blind):
            self.blind.setChecked(bool(shown["blind"]))
