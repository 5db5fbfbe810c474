"""The form in which a finding is noted, or revised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QComboBox, QFrame, QVBoxLayout

from napari_safire.gui.controllers.review.sight import Sight
from napari_safire.gui.panels.review.text_box import TextBox
from napari_safire.gui.panels.section import Rows, button, elided_combo, form, plain
from napari_safire.review.codec import as_record, read_finding
from napari_safire.review.values import FINDING_KINDS, FINDING_STATUSES, Finding, Viewport
from napari_safire.text import printable

_KINDS = {
    "observed": "Seen in the file or its pixels.",
    "derived": "Computed from them.",
    "inferred": "Concluded from other findings.",
    "not available": "Looked for, and not there to be examined.",
}
_LINES = 4


class FindingForm(QFrame):
    """What was seen, in words; what it means has its place in the verdict.

    Attributes
    ----------
    edited : Signal()
        The user has changed something.
    wanted, retaken, dropped : Signal()
        It is to be kept; of what is looked at now; not to be kept.
    """

    edited = Signal()
    wanted = Signal()
    retaken = Signal()
    dropped = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._values: dict[str, Any] = {}  # of a finding's record; the fields hold the rest
        self.about = plain()
        self.about.setAccessibleName("What the finding is of")
        self.comment = TextBox("Comment", "What you see; not what it means.", _LINES)
        self.comment.setPlaceholderText("What you see; not what it means")
        self.kind = _choice("Kind", FINDING_KINDS)
        for row, kind in enumerate(FINDING_KINDS):
            self.kind.setItemData(row, _KINDS[kind], Qt.ItemDataRole.ToolTipRole)
        self.status = _choice("Status", [s for s in FINDING_STATUSES if s != "withdrawn"])
        self.source = elided_combo("Source of the finding", "Which source it is about, if any.")
        self.in_report = QCheckBox("In the report")
        self.in_report.setToolTip("Show this finding, with its picture, in the report.")
        self.keep = button("Note", "Keep this finding with the case.", self.wanted.emit)
        self.retake = button(
            "This view instead", "Let it be of what is on screen now.", self.retaken.emit
        )
        self.drop = button("Discard", "Do not keep what was typed here.", self.dropped.emit)
        fields = form()
        fields.addRow("Kind", self.kind)
        fields.addRow("Status", self.status)
        fields.addRow("Source", self.source)
        fields.addRow("", self.in_report)
        body = QVBoxLayout(self)
        body.setContentsMargins(4, 4, 4, 4)
        body.addWidget(self.about)
        body.addWidget(self.comment)
        body.addLayout(fields)
        body.addWidget(Rows([self.keep, self.retake, self.drop], 3))
        self.comment.edited.connect(self._edited)
        for box in (self.kind, self.status, self.source):
            box.activated.connect(lambda _: self._edited())
        self.in_report.toggled.connect(lambda _: self._edited())
        self.hide()

    # ---------------------------------------------------------------- what stands in it

    @property
    def values(self) -> dict[str, Any]:
        """All of it, as it is kept until it is noted; empty while the form is not used."""
        if not self._values:
            return {}
        return self._values | {
            "comment": self.comment.text,
            "kind": self.kind.currentText(),
            "status": self.status.currentText(),
            "source": self.source.currentData(),
            "in_report": self.in_report.isChecked(),
        }

    @property
    def revision(self) -> int:
        """The revision that it goes on from; 0 for a new finding."""
        return int(self._values.get("revision", 0))

    @property
    def id(self) -> str:
        """Of the finding; empty while the form is not used."""
        return str(self._values.get("id", ""))

    def finding(self) -> Finding:
        """Return it as a value.

        Raises
        ------
        DatasetError
            The comment is too long, or something cannot be read.
        """
        return read_finding({n: v for n, v in self.values.items() if n != "revision"})

    def show_values(self, values: Mapping[str, Any], sources: Sequence[int]) -> None:
        """Show a finding as it was typed, or is kept.

        Parameters
        ----------
        values : mapping
            As of `values`; empty: nothing is noted now.
        sources : sequence of int
            That it may be about.
        """
        usual = as_record(Finding("", "")) | {"revision": 0}
        self._values = {n: values.get(n, usual[n]) for n in usual} if values else {}
        self.setVisible(bool(values))
        if not values:
            self.comment.show_text("")
            return
        shown = self._values
        with (
            QSignalBlocker(self.kind),
            QSignalBlocker(self.status),
            QSignalBlocker(self.in_report),
        ):
            self.kind.setCurrentText(str(shown["kind"]))
            self.status.setCurrentText(str(shown["status"]))
            self.in_report.setChecked(bool(shown["in_report"]))
        self.comment.show_text(str(shown["comment"]))
        self.show_sources(sources, shown["source"])
        self._show_about()
        self.keep.setText("Keep" if self.revision else "Note")

    def go_on_from(self, revision: int) -> None:
        """Let it be a revision of what somebody else has made of it meanwhile."""
        if self._values:
            self._values["revision"] = revision

    def take_sight(self, sight: Sight) -> None:
        """Let it be of another view, or part of the picture."""
        viewport = sight.viewport
        self._values |= {
            "view": sight.view,
            "parameters": dict(sight.parameters),
            "viewport": None if viewport is None else viewport_record(viewport),
        }
        self._show_about()
        self._edited()

    def show_sources(self, sources: Sequence[int], chosen: int | None) -> None:
        """Offer the picture and its sources."""
        numbers = sorted({*sources, *([] if chosen is None else [chosen])})
        with QSignalBlocker(self.source):
            self.source.clear()
            self.source.addItem("whole picture", None)
            for number in numbers:
                self.source.addItem(f"source {number}", number)
            self.source.setCurrentIndex(0 if chosen is None else 1 + numbers.index(chosen))

    def _show_about(self) -> None:
        shown = self._values
        self.about.setText(about_words(shown["view"], shown["viewport"], shown["parameters"]))

    def _edited(self) -> None:
        if self._values:
            self.edited.emit()


def about_words(
    view: str, viewport: Mapping[str, Any] | None, parameters: Mapping[str, Any]
) -> str:
    """Say of which view and part a finding is, in a line."""
    parts = [printable(view) or "picture"]
    if viewport is not None:
        # As the report counts them: all pixels of which something is seen, the last one included.
        top, left = (max(0, floor(viewport[edge])) for edge in ("row", "col"))
        bottom = ceil(viewport["row"] + viewport["height"]) - 1
        right = ceil(viewport["col"] + viewport["width"]) - 1
        parts.append(f"rows {top} to {bottom}, columns {left} to {right}")
    parts += [
        f"{printable(name).replace('_', ' ')} {printable(value)[:40]}"
        for name, value in parameters.items()
        if value is not None
    ]
    return " · ".join(parts)


def viewport_record(viewport: Viewport) -> dict[str, Any]:
    """Return a viewport as findings keep it."""
    record: dict[str, Any] = as_record(Finding("", "", viewport=viewport))["viewport"]
    return record


def _choice(name: str, words: Sequence[str]) -> QComboBox:
    box = elided_combo(f"{name} of the finding", f"{name} of the finding.")
    box.addItems(list(words))
    return box
