"""One line in which a reason is asked for, in the dock: no dialog that hides the picture."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QFrame, QLineEdit, QVBoxLayout

from napari_safire.gui.panels.section import Rows, button, wrapped


class ReasonLine(QFrame):
    """A question, a line to answer in, and two buttons; hidden while nothing is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._act: Callable[[str], None] | None = None
        self.asked = wrapped()
        self.line = QLineEdit()
        self.line.setAccessibleName("Reason")
        self.line.returnPressed.connect(self._answer)
        self.line.textChanged.connect(lambda text: self.yes.setEnabled(bool(text.strip())))
        self.yes = button("OK", "Go on with this reason.", self._answer)
        self.no = button("Not now", "Leave it as it is.", self.hide)
        body = QVBoxLayout(self)
        body.setContentsMargins(4, 4, 4, 4)
        for widget in (self.asked, self.line, Rows([self.yes, self.no], 2)):
            body.addWidget(widget)
        self.hide()

    def ask(self, question: str, answer: str, act: Callable[[str], None]) -> None:
        """Ask for a sentence.

        Parameters
        ----------
        question : str
        answer : str
            What the button says that gives it.
        act : callable
            Takes the sentence, which is never empty.
        """
        self._act = act
        self.asked.setText(question)
        self.line.clear()
        self.yes.setText(answer)
        self.yes.setEnabled(False)
        self.show()
        self.line.setFocus()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Leave it as it is on Escape."""
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.hide()
            return
        super().keyPressEvent(event)

    def _answer(self) -> None:
        text = self.line.text().strip()
        if text and self._act is not None:
            self.hide()
            self._act(text)
