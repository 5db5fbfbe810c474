"""What users are told, over the sections of a dock: each message can be closed."""

from __future__ import annotations

from qtpy.QtWidgets import QFrame, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.messages import Messages
from napari_safire.gui.panels.folded_text import FoldedLabel
from napari_safire.session.messages import Message

_MOST_SHOWN = 3


class MessageBar(QWidget):
    """The latest messages.

    Parameters
    ----------
    messages : Messages
    """

    def __init__(self, messages: Messages) -> None:
        super().__init__()
        self._messages = messages
        self._last: Message | None = None
        self.connections = Connections()
        self.rows: list[MessageRow] = []
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(4)
        self.connections.connect(messages.changed, self._show)
        self.hide()
        self._show()

    def text(self) -> str:
        """All that is told, unfolded, a line for each message."""
        return "\n".join(_marked(message) for message in self._shown)

    def end_with(self, sentence: str) -> None:
        """Show this sentence alone from now on, which is told nowhere else."""
        self.connections.disconnect()
        self._last = Message(sentence, everywhere=True)
        self._show()

    @property
    def _shown(self) -> list[Message]:
        return self._messages.shown if self._last is None else [self._last]

    def _show(self) -> None:
        shown = self._shown[:_MOST_SHOWN]
        if [row.message for row in self.rows] != shown:
            body = self.layout()
            assert body is not None
            for row in self.rows:
                body.removeWidget(row)
                row.hide()
                row.deleteLater()
            self.rows = [MessageRow(self._messages, message) for message in shown]
            for row in self.rows:
                body.addWidget(row)
        self.setVisible(bool(shown))


class MessageRow(QFrame):
    """One message and the button that closes it.

    Parameters
    ----------
    messages : Messages
    message : Message
    """

    def __init__(self, messages: Messages, message: Message) -> None:
        super().__init__()
        self.message = message
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.label = FoldedLabel()
        self.label.say(_marked(message))
        self.close_button = QToolButton()
        self.close_button.setText("✕")
        self.close_button.setAutoRaise(True)
        self.close_button.setAccessibleName("Close this message")
        self.close_button.setToolTip("Close this message.")
        self.close_button.clicked.connect(lambda checked=False: messages.close_message(message))
        line = QHBoxLayout(self)
        line.setContentsMargins(4, 4, 0, 4)
        line.setSpacing(2)
        line.addWidget(self.label, 1)
        line.addWidget(self.close_button)


def _marked(message: Message) -> str:
    return f"⚠ {message.text}" if message.severity == "failure" else message.text
