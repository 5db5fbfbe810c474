"""Layers go while napari's canvas holds the current OpenGL context; see docs/napari-issue.md."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from napari.components import ViewerModel

from napari_safire.gui.controllers.connections import Connections


def guard_canvas(viewer: ViewerModel, connections: Connections) -> None:
    """Keep napari alive when layers are removed, whoever removes them.

    napari frees what a removed layer has on the graphics card at once, in whichever OpenGL context
    is current. After Qt has put the window together that is Qt's own, which shares names with the
    canvas: buffers then vanish under the canvas, and one of its next drawings ends in a
    segmentation fault. The order in which layers come and go does not matter to this; that the
    canvas's context is current does.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        One without a window needs nothing.
    connections : Connections
        Of whoever wants it; undoing them ends the guard.
    """
    window: Any = getattr(viewer, "window", None)  # none: a viewer without a canvas
    # napari has no public name for it. Where another version calls it otherwise, the dock works as
    # before, and the test of pairs of pictures (tests/window/test_series_pairs.py) tells.
    try:
        canvas = window._qt_viewer.canvas
        context, make_current = canvas._scene_canvas.context, canvas.native.makeCurrent
    except AttributeError:
        return
    connections.connect(_Finishing(context), make_current)


class _Finishing:
    """The moment before a canvas carries out what waits, outside of drawing: as a signal."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def connect(self, slot: Callable[[], None]) -> None:
        """Call a slot each time. At the last moment: garbage and events may change the context."""
        finish = self._context.finish

        def finish_here() -> None:
            with suppress(RuntimeError):  # Qt may have deleted it: then there is nothing to draw
                slot()
            finish()

        self._context.finish = finish_here

    def disconnect(self, slot: Callable[[], None]) -> None:
        """Leave the context as it was."""
        self._context.__dict__.pop("finish", None)
