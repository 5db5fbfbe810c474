"""Processor time that each call of ours takes in the viewer's thread, without napari's share."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

LONGEST_S = 0.05
_POINTS = ("data", "features", "feature_defaults", "face_color", "border_color", "symbol")


class GuiCalls:
    """A clock of the viewer's own thread.

    Making a layer, drawing it and telling its listeners is napari's, wherever it was asked for:
    the clock stands still while napari works, and runs again while napari calls us.

    Attributes
    ----------
    calls : list of (float, str)
        Seconds and name of every call of ours.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[float, str]] = []
        self._open: list[list[Any]] = []  # [title, or None for napari; seconds; begin of the last]

    def ours(self, function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
        """Return the function, timed where it runs in the viewer's thread."""
        return self._timed(function, name or getattr(function, "__qualname__", repr(function)))

    def naparis(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, during which our clock stands still."""
        return self._timed(function, None)

    @contextmanager
    def watching(self) -> Iterator[GuiCalls]:
        """Time what workers send and what the events of napari and of the controller call."""
        from napari.layers import Layer, Points
        from napari.utils.events import EventEmitter
        from qtpy.QtWidgets import QProgressBar

        from napari_safire.gui.controllers import gui_thread as way_back
        from napari_safire.gui.controllers.connections import Connections

        connect = Connections.connect

        def connect_timed(
            self_: Connections, signal: Any, slot: Callable[..., Any], **options: Any
        ) -> None:
            connect(self_, signal, self.ours(slot), **options)

        def make(call: Callable[[], None]) -> None:
            self.ours(call)()

        naparis = [
            (EventEmitter, "__call__"),
            (Layer, "refresh"),
            (type(Layer), "__call__"),
            (
                QProgressBar,
                "setRange",
            ),  # a bar that moves draws the window at once, with the canvas
            (QProgressBar, "setValue"),
        ]
        patches = [patch.object(o, name, self.naparis(getattr(o, name))) for o, name in naparis]
        for name in _POINTS:
            given = getattr(Points, name)
            patches.append(
                patch.object(Points, name, property(given.fget, self.naparis(given.fset)))
            )
        patches.append(patch.object(Connections, "connect", connect_timed))
        patches.append(patch.object(way_back, "_make", make))
        for each in patches:
            each.start()
        way_back.gui_thread.cache_clear()
        try:
            yield self
        finally:
            for each in patches:
                each.stop()
            way_back.gui_thread.cache_clear()

    def print(self) -> None:
        """Print the ten longest calls."""
        print(f"\n{len(self.calls)} calls of ours in the viewer's thread; longest, processor time:")
        for seconds, name in sorted(self.calls, reverse=True)[:10]:
            print(f"{1000 * seconds:8.1f} ms {'!' if seconds > LONGEST_S else ' '} {name}")

    def _timed(self, function: Callable[..., Any], title: str | None) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            outer = self._open[-1][0] if self._open else None
            if threading.current_thread() is not threading.main_thread() or (
                (outer is None) == (title is None)
            ):
                return function(*args, **kwargs)
            self._switch()
            self._open.append([title, 0.0, time.thread_time()])
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                _, seconds, _ = self._open.pop()
                if title is not None:
                    self.calls.append((seconds, title))
                if self._open:
                    self._open[-1][2] = time.thread_time()

        return call

    def _switch(self) -> None:
        """Write down the time of what has been running."""
        if self._open:
            running = self._open[-1]
            running[1] += time.thread_time() - running[2]
