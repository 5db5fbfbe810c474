"""What users are told, over the sections of the dock: each message can be closed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from qtpy.QtWidgets import QFrame, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.folded_text import FoldedLabel
from napari_safire.session.messages import Message, Topic, state_of

_MOST_SHOWN = 3
_READING_S = 6  # how long a note stays at least, whatever begins meanwhile


@dataclass(frozen=True, slots=True)
class _Said:
    message: Message
    at: float


class MessageBar(QWidget):
    """Messages of the picture that is worked on, the latest first, and those of none.

    A message goes when it is closed, when its picture is, when what it is about has changed, or (a
    note) when something else begins after it could be read. Over other pictures it is not shown.

    Parameters
    ----------
    controller : ViewerController
    """

    def __init__(self, controller: ViewerController) -> None:
        super().__init__()
        self._controller = controller
        self._said: list[_Said] = []
        self.connections = Connections()
        self.rows: list[MessageRow] = []
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(4)
        session = controller.session
        for signal, slot in (
            (controller.notice, self.tell),
            (controller.plane_changed, self._show),
            (controller.shown, self._show),
            (session.embedded, self._show),
            (session.partitioned, self._show),
            (session.model_changed, self._show),
            (session.progress, self._something_begins),
        ):
            self.connections.connect(signal, slot)
        self.hide()

    @property
    def messages(self) -> list[Message]:
        """Those that are shown, the latest first."""
        key = self._controller.key
        found = [said.message for said in reversed(self._said)]
        return [m for m in found if m.everywhere or m.key == key]

    def text(self) -> str:
        """All that is shown, unfolded, a line for each message."""
        return "\n".join(_marked(message) for message in self.messages)

    def tell(self, sentence: str, failed: bool = False, topic: Topic | None = None) -> None:
        """Show a sentence.

        Parameters
        ----------
        sentence : str
        failed : bool
            Whether something went wrong; such a message stays until it no longer holds.
        topic : Topic, optional
            What it belongs to; default: what is worked on now.
        """
        everywhere = topic is not None and topic.key is None
        topic = topic or Topic(self._controller.key)
        plane = None if topic.key is None else self._controller.session.planes.find(topic.key)
        message = Message(
            sentence,
            "failure" if failed else "note",
            topic.key,
            topic.stage,
            state_of(plane, topic.stage),
            everywhere,
        )
        self._said = [said for said in self._said if said.message.text != sentence]
        self._said.append(_Said(message, time.monotonic()))
        self._show()

    def clear(self) -> None:
        """Take all messages away."""
        self._said = []
        self._show()

    def close_message(self, message: Message) -> None:
        """Take a message away for good."""
        self._said = [said for said in self._said if said.message is not message]
        self._show()

    def _something_begins(self, text: str, done: int, total: int) -> None:
        if not text or done:
            return
        now = time.monotonic()
        self._said = [
            said
            for said in self._said
            if said.message.severity == "failure"
            or said.message.stage  # goes with what it is about
            or now - said.at <= _READING_S
        ]
        self._show()

    def _show(self, event: object = None) -> None:
        planes, key = self._controller.session.planes, self._controller.key
        kept = []
        for said in self._said:
            message = said.message
            plane = None if message.key is None else planes.find(message.key)
            # What was said while there was no picture goes with the first one.
            without = message.key is None and not message.everywhere
            if not message.is_outdated(plane) and not (without and key is not None):
                kept.append(said)
        self._said = kept
        shown = self.messages[:_MOST_SHOWN]
        if [row.message for row in self.rows] != shown:
            body = self.layout()
            assert body is not None
            for row in self.rows:
                body.removeWidget(row)
                row.hide()
                row.deleteLater()
            self.rows = [MessageRow(self, message) for message in shown]
            for row in self.rows:
                body.addWidget(row)
        self.setVisible(bool(shown))


class MessageRow(QFrame):
    """One message and the button that closes it.

    Parameters
    ----------
    bar : MessageBar
    message : Message
    """

    def __init__(self, bar: MessageBar, message: Message) -> None:
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
        self.close_button.clicked.connect(lambda checked=False: bar.close_message(message))
        line = QHBoxLayout(self)
        line.setContentsMargins(4, 4, 0, 4)
        line.setSpacing(2)
        line.addWidget(self.label, 1)
        line.addWidget(self.close_button)


def _marked(message: Message) -> str:
    return f"⚠ {message.text}" if message.severity == "failure" else message.text
