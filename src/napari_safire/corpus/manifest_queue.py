"""The queue of pictures that are chosen of a manifest, wherever they lie."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from napari_safire.corpus.queue import PictureQueue
from napari_safire.corpus.triage.choice import Choice, choose
from napari_safire.corpus.triage.source import open_manifest
from napari_safire.corpus.triage.tables import places
from napari_safire.errors import DatasetError
from napari_safire.images.lists import enumerated
from napari_safire.progress import Cancel
from napari_safire.text import printable

QUEUE_CHOICE = Choice(top=500)
"""What somebody looks at who says nothing else: the highest scores first."""


def manifest_queue(
    path: str | os.PathLike[str],
    choice: Choice = QUEUE_CHOICE,
    output: str | os.PathLike[str] | None = None,
    *,
    cancel: Cancel | None = None,
) -> PictureQueue:
    """Find pictures of a manifest to go through.

    Parameters
    ----------
    path : path-like
        See `napari_safire.corpus.triage.source.open_manifest`.
    choice : Choice
        Which of them, in which order.
    output : path-like, optional
        The folder of masks and records; default: ``<folder>_masks`` or ``<file>_masks`` beside it.
        Pictures have their place there by their path below the folder that the manifest's own lies
        in, others by their whole path: another choice finds the same masks again.
    cancel : callable, optional

    Returns
    -------
    PictureQueue

    Raises
    ------
    DatasetError
        The manifest cannot be read, the choice cannot be understood, or no file is chosen.
    """
    given = Path(os.path.abspath(path))
    chosen = choose(open_manifest(given), choice, cancel=cancel)
    found = places(chosen)
    pictures = tuple(dict.fromkeys(place.file for place in found if place.file is not None))
    left_out = [place.why_no_file for place in found if place.file is None]
    shown = printable(given.name)
    if not pictures:
        why = left_out[0] if left_out else "no picture fulfils the condition: change it."
        raise DatasetError(f"{shown} gives nothing to go through: {why}")
    if output is None:
        output = given.parent / f"{given.name if given.is_dir() else given.stem}_masks"
    notes = (f"{shown}: {enumerated(left_out)}",) if left_out else ()
    queue = PictureQueue(given.parent, pictures, Path(os.path.abspath(output)), notes=notes)
    _require_different(map(queue.key, pictures), shown)
    return queue


def _require_different(keys: Iterable[str], shown: str) -> None:
    """Refuse two pictures in one place: what is made of one would be taken for the other's."""
    known: set[str] = set()
    for key in keys:
        if key in known:
            raise DatasetError(
                f"{shown} names two pictures that share a place for masks ({printable(key)}): "
                "choose one of them by a condition."
            )
        known.add(key)
