"""Hear the wish that a run may stop: from signals, or from the program that started it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from napari_safire.progress import Cancel

_SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1")  # the last one is SLURM's warning
STOP = "stop"
_STDIN = 0


@contextmanager
def stoppable(*, by_stdin: bool = False) -> Iterator[Cancel]:
    """Hear SIGTERM, SIGINT and SIGUSR1 while the block runs; call it in the main thread.

    The block has to ask. A SIGINT (Ctrl-C) after another wish raises KeyboardInterrupt.

    Parameters
    ----------
    by_stdin : bool
        Also hear a line ``stop`` on stdin, for systems without SIGTERM, and its end, which says
        that the program at the other end is gone.

    Yields
    ------
    callable
        Whether anyone wished it.
    """
    heard: list[str] = []

    def hear(number: int, _: object) -> None:
        if heard and number == signal.SIGINT:
            raise KeyboardInterrupt
        heard.append(signal.Signals(number).name)

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]  # Windows
    before = {number: signal.signal(number, hear) for number in numbers}
    if by_stdin:
        # A daemon: nothing else can end a thread that waits for a line.
        threading.Thread(target=_listen, args=(heard,), name="stdin", daemon=True).start()
    try:
        yield lambda: bool(heard)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(heard: list[str]) -> None:
    # Not sys.stdin, whose lock a waiting thread would hold when Python ends, which aborts it.
    waiting = b""
    while True:
        try:
            came = os.read(_STDIN, 4096)
        except OSError:
            came = b""
        if not came:
            heard.append("end of stdin")
            return
        *lines, waiting = (waiting + came).split(b"\n")
        if STOP.encode() in (line.strip() for line in lines):
            heard.append(STOP)
