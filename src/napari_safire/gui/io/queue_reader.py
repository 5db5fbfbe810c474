"""What napari is told to open that has no layers, but is gone through: it opens its dock."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtCore import QTimer

from napari_safire.errors import DatasetError

if TYPE_CHECKING:
    from napari.types import LayerData

_NO_LAYERS: list[Any] = [(None,)]  # npe2's sign that a reader has done its work


def read_queue(path: str | os.PathLike[str]) -> list[LayerData]:
    """Go through a project, a manifest or a table of pictures in the docks of the current viewer.

    The dock *SAFIRE Curate* comes forward, or *SAFIRE Review* where that alone is open.

    Parameters
    ----------
    path : path-like
        The folder of the project, or the ``project.sqlite`` in it; results of a corpus; or a table
        with a column of paths, such as `napari-safire triage --list` writes.

    Returns
    -------
    list
        npe2's "no layers".

    Raises
    ------
    DatasetError
        There is no viewer that could show it.
    """
    viewer = napari.current_viewer()
    if viewer is None:
        raise DatasetError(
            f"{path} is a project or names pictures: it is opened in the dock SAFIRE Curate of a "
            "viewer, and there is none."
        )
    # Once napari has done with reading: it shows what it has read first.
    QTimer.singleShot(0, partial(_open, viewer, os.fspath(path)))
    return _NO_LAYERS


def _open(viewer: napari.Viewer, path: str) -> None:
    from napari_safire.gui.curate import CurateWidget  # which reads pictures as well
    from napari_safire.gui.dock import bring_forward
    from napari_safire.gui.review import ReviewWidget
    from napari_safire.gui.workspace import workspace_of

    there = workspace_of(viewer)
    review = None if there is None else there.dock(ReviewWidget)
    if there is None or review is None or there.dock(CurateWidget) is not None:
        there = bring_forward(viewer, CurateWidget).workspace
    there.queue.work.open_queue(path)
