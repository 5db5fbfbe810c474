"""The way back from a worker thread to Qt's."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from threading import Condition

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

Call = Callable[[], None]


class GuiThread(QObject):
    """Makes calls in the thread it was made in, one after the other, from its event loop.

    It has no parent on purpose: a worker that ends after the dock was closed still finds it. Take
    `gui_thread`, which lives as long as the program: one that a worker were the last to hold would
    be deleted in the wrong thread.
    """

    _called = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._calls: deque[Call] = deque()
        self._arrived = Condition()
        self._called.connect(self._make_next, Qt.ConnectionType.QueuedConnection)

    def deliver(self, call: Call) -> None:
        """Make a call in this object's thread, soon; callable from any thread."""
        with self._arrived:
            self._calls.append(call)
            self._arrived.notify()
        with suppress(RuntimeError):  # at Python's exit Qt may have gone before the last worker
            self._called.emit()

    @property
    def idle(self) -> bool:
        """Whether no call waits to be made."""
        with self._arrived:
            return not self._calls

    def work_off(self, until: Callable[[], bool], seconds: float) -> None:
        """Make calls as they arrive, without the event loop, until a condition holds.

        While this waits, nothing is drawn: where windows are drawn by the processor, a worker
        then has it for itself.

        Parameters
        ----------
        until : callable
        seconds : float
            How long at most; give less than what a user notices.
        """
        end = time.monotonic() + seconds
        while not until():
            with self._arrived:
                left = end - time.monotonic()
                if not self._calls and (left <= 0 or not self._arrived.wait(left)):
                    return
            self._make_next()

    def _make_next(self) -> None:
        with self._arrived:
            call = self._calls.popleft() if self._calls else None
        if call is not None:  # else `work_off` was quicker than the event loop
            _make(call)


@cache
def gui_thread() -> GuiThread:
    """Return the one way back; to be asked for in Qt's thread."""
    return GuiThread()


def _make(call: Call) -> None:
    call()
