"""Layers go while napari's canvas holds the current OpenGL context; see docs/napari-issue.md."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from napari.components import ViewerModel


def guard_canvas(viewer: ViewerModel) -> None:
    """Keep napari alive when layers are removed, whoever removes them.

    napari frees what a removed layer has on the graphics card at once, in whichever OpenGL context
    is current. After Qt has put the window together that is Qt's own, which shares names with the
    canvas: buffers then vanish under the canvas, and one of its next drawings ends in a
    segmentation fault. The order in which layers come and go does not matter to this; that the
    canvas's context is current does.

    The guard stays for as long as the canvas lives: our layers are still there when the dock is
    closed. It holds nothing but the canvas itself; to ask for it again changes nothing.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        One without a window needs nothing.
    """
    canvas = canvas_of(viewer)
    if canvas is None:
        return
    # Where another version calls it otherwise, the dock works as before, and the test of pairs of
    # pictures (tests/process/test_series_pairs.py) tells.
    try:
        context, make_current = canvas._scene_canvas.context, canvas.native.makeCurrent
    except AttributeError:
        return
    if "finish" in vars(context):
        return
    finish = context.finish

    def finish_here() -> None:
        # At the last moment: garbage and events before it may change the context.
        with suppress(RuntimeError):  # Qt may have deleted it: then there is nothing to draw
            make_current()
        finish()

    context.finish = finish_here


def canvas_of(viewer: ViewerModel) -> Any:
    """What draws the layers of a viewer; None for one without a window.

    napari has no public name for it; this is the one place where it is asked for.
    """
    window: Any = getattr(viewer, "window", None)
    return getattr(getattr(window, "_qt_viewer", None), "canvas", None)
