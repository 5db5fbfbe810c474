"""Layers go while napari's canvas holds the current OpenGL context; see docs/napari-issue.md."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from napari.components import ViewerModel

from napari_safire.gui.connections import Connections


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
    # before, and the test of pairs of pictures (tests/gui/test_series_pairs.py) tells.
    try:
        canvas = window._qt_viewer.canvas.native
    except AttributeError:
        return

    def make_current(event: Any = None) -> None:
        with suppress(RuntimeError):  # Qt may have deleted it: then there is nothing to draw
            canvas.makeCurrent()

    events = viewer.layers.events
    # First, before the canvas itself hears of it. The second ends a removal of many at once.
    for signal in (events.removed, events.end_batch):
        connections.connect(signal, make_current, position="first")
