"""What is dropped on the dock: models, a queue of pictures, or pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari.components import ViewerModel
from napari.errors import MultipleReaderError
from qtpy.QtGui import QDropEvent

from napari_safire.corpus.inputs.tables import TABLE_SUFFIXES
from napari_safire.corpus.triage.source import is_result_of_corpus
from napari_safire.images.files import why_unreadable
from napari_safire.project.store import is_project
from napari_safire.text import printable

_MODELS = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True, slots=True)
class Dropped:
    """What paths are to the dock, each by itself.

    Parameters
    ----------
    model : Path or None
    queue : Path or None
        A folder, a list, a manifest or a project, where it is the only one beside a model.
    pictures : tuple of Path
    problems : tuple of str
        Why others are nothing of these.
    """

    model: Path | None = None
    queue: Path | None = None
    pictures: tuple[Path, ...] = ()
    problems: tuple[str, ...] = ()


def dropped_paths(event: QDropEvent) -> list[Path]:
    """Names of files and folders of this machine that a drop brings; some may not be there."""
    data = event.mimeData()
    paths = [Path(url.toLocalFile()) for url in data.urls()] if data is not None else []
    return [path for path in paths if path.is_absolute()]


def sort_dropped(paths: Sequence[Path]) -> Dropped:
    """Tell what each of several paths is to the dock."""
    problems = {path: None if path.is_dir() else why_unreadable(path) for path in paths}
    told = [problem for problem in problems.values() if problem]
    good = [path for path, problem in problems.items() if not problem]
    models = [path for path in good if path.suffix.lower() in _MODELS and path.is_file()]
    others = tuple(path for path in good if path not in models)
    told += [
        f"{printable(path.name)} is not used: one model works at a time." for path in models[1:]
    ]
    model = models[0] if models else None
    if len(others) == 1 and (
        others[0].is_dir() or others[0].suffix.lower() in TABLE_SUFFIXES or is_project(others[0])
    ):
        return Dropped(model, others[0], (), tuple(told))
    return Dropped(model, None, others, tuple(told))


def is_result_or_list(queue: Path) -> bool:
    """Whether a queue is a list, a table or a manifest, and no folder of pictures."""
    return not queue.is_dir() or is_result_of_corpus(queue)


def open_pictures(viewer: ViewerModel, paths: Iterable[Path]) -> list[str]:
    """Open pictures as napari would if they were dropped on its canvas.

    Parameters
    ----------
    viewer : ViewerModel
    paths : iterable of Path

    Returns
    -------
    list of str
        Why some could not be opened; empty if all were.
    """
    problems = []
    for path in paths:
        try:
            try:
                viewer.open(str(path))
            except MultipleReaderError:  # ours knows masks and records, and reads the rest as well
                viewer.open(str(path), plugin="napari-safire")
        except Exception as error:  # whatever a reader, anybody's, makes of a damaged file
            why = getattr(error, "original_error", error)
            reason = str(why) or type(why).__name__
            problems.append(f"{printable(path.name)} cannot be opened: {reason}")
    return problems
