"""A box for longer texts, as plain as they are kept."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QFocusEvent, QTextCursor
from qtpy.QtWidgets import QPlainTextEdit, QSizePolicy


class TextBox(QPlainTextEdit):
    """Several lines of text; Tab goes on to the next control.

    Parameters
    ----------
    name, help_text : str
    lines : int
        That are seen at once.
    """

    edited = Signal()
    """Emitted when the user has changed it."""
    left = Signal()
    """Emitted when the keyboard goes elsewhere."""

    def __init__(self, name: str, help_text: str, lines: int) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setToolTip(help_text)
        self.setTabChangesFocus(True)
        margin = 2 * self.document().documentMargin() + 4  # type: ignore[union-attr]
        self.setFixedHeight(round(lines * self.fontMetrics().lineSpacing() + margin))
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.textChanged.connect(self.edited)

    @property
    def text(self) -> str:
        """What stands in it."""
        return self.toPlainText()

    def show_text(self, text: str) -> None:
        """Show a text that nobody has typed here; the same text leaves the cursor where it is."""
        if text != self.text:
            self.blockSignals(True)
            self.setPlainText(text)
            self.moveCursor(QTextCursor.MoveOperation.End)  # where one goes on
            self.blockSignals(False)

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        """Tell that it was left."""
        super().focusOutEvent(event)
        self.left.emit()
