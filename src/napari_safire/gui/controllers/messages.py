"""What users are told: one list for all docks of a viewer, which may each show it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from psygnal import Signal

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.session.messages import Message, Topic, state_of

_READING_S = 6  # how long a note stays at least, whatever begins meanwhile


@dataclass(frozen=True, slots=True)
class _Said:
    message: Message
    at: float


class Messages:
    """Messages of the picture that is worked on, the latest first, and those of none.

    A message goes when it is closed, when its picture is, when what it is about has changed, or (a
    note) when something else begins after it could be read. Over other pictures it is not shown.

    Parameters
    ----------
    controller : ViewerController

    Attributes
    ----------
    changed : Signal()
        `shown` may be others.
    """

    changed = Signal()

    def __init__(self, controller: ViewerController) -> None:
        self._controller = controller
        self._said: list[_Said] = []
        self.connections = Connections()
        session = controller.session
        for signal, slot in (
            (controller.notice, self.tell),
            (controller.plane_changed, self._look_again),
            (controller.shown, self._look_again),
            (session.embedded, self._look_again),
            (session.partitioned, self._look_again),
            (session.model_changed, self._look_again),
            (session.progress, self._something_begins),
        ):
            self.connections.connect(signal, slot)

    @property
    def shown(self) -> list[Message]:
        """Those of the picture that is worked on, and of none."""
        key = self._controller.key
        found = [said.message for said in reversed(self._said)]
        return [m for m in found if m.everywhere or m.key == key]

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
        self._look_again()

    def clear(self) -> None:
        """Take all messages away."""
        self._said = []
        self._look_again()

    def close_message(self, message: Message) -> None:
        """Take a message away for good."""
        self._said = [said for said in self._said if said.message is not message]
        self._look_again()

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
        self._look_again()

    def _look_again(self, event: object = None) -> None:
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
        self.changed.emit()
