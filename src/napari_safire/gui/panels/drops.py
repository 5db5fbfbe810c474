"""What is dropped on the dock: a model, a queue of pictures, or pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from napari.components import ViewerModel
from napari.errors import MultipleReaderError, NoAvailableReaderError, ReaderPluginError
from qtpy.QtGui import QDropEvent

from napari_safire.errors import SafireError
from napari_safire.images.list_text import LIST_SUFFIXES

Dropped = Literal["model", "queue", "pictures"]

_MODELS = (".safetensors", ".pth", ".pt")


def dropped_paths(event: QDropEvent) -> list[Path]:
    """Files and folders of this machine that a drop brings."""
    data = event.mimeData()
    paths = [Path(url.toLocalFile()) for url in data.urls()] if data is not None else []
    return [path for path in paths if path.is_absolute() and path.exists()]


def kind_of(paths: Sequence[Path]) -> Dropped:
    """What paths are to the dock; several at once are pictures.

    Parameters
    ----------
    paths : sequence of Path
        At least one.
    """
    path = paths[0]
    if path.suffix.lower() in _MODELS and path.is_file():
        return "model"
    if len(paths) == 1 and (path.is_dir() or path.suffix.lower() in LIST_SUFFIXES):
        return "queue"
    return "pictures"


def open_pictures(viewer: ViewerModel, paths: Sequence[Path]) -> str:
    """Open pictures as napari would if they were dropped on its canvas.

    Parameters
    ----------
    viewer : ViewerModel
    paths : sequence of Path

    Returns
    -------
    str
        Why some could not be opened; empty if all were.
    """
    problems = []
    for path in paths:
        try:
            try:
                viewer.open(str(path))
            except MultipleReaderError:  # ours knows masks and records, and reads the rest as well
                viewer.open(str(path), plugin="napari-safire")
        except (NoAvailableReaderError, ReaderPluginError, SafireError, OSError, ValueError) as e:
            problems.append(f"{path.name} cannot be opened: {getattr(e, 'original_error', e)}")
    return " ".join(problems)
