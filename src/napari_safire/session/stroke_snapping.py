"""The last stroke, snapped to the picture's edges: one more step, which undo takes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import Annotation, Stroke
from napari_safire.session.history import History
from napari_safire.session.planes import PlaneKey
from napari_safire.session.session import Session

PAINTED = "paint"  # the step that can be snapped, as `AnnotationStore.paint` calls it
SNAPPED = "snap to edges"


def snap_last_stroke(session: Session, key: PlaneKey, told: Callable[[str], None]) -> None:
    """Snap the stroke that was painted last on a plane, if nothing else was done since.

    Parameters
    ----------
    session : Session
    key : PlaneKey
    told : callable
        Takes a sentence on what was done, in the annotation worker.
    """
    plane = session.planes[key]

    def snap(pixels: npt.NDArray[np.generic]) -> None:
        if session.planes.has(plane):
            session.annotations.change(plane, lambda history: told(_snap(history, pixels)))

    session.run(lambda: np.asarray(plane.read()), snap)


def _snap(history: History[Annotation], pixels: npt.NDArray[np.generic]) -> str:
    from napari_safire.annotation.snapping import snapped  # scikit-image is slow to load

    before, state = history.previous, history.state
    if before is None or history.undo_title not in (PAINTED, SNAPPED):
        return "Paint a stroke first: only what was painted last is snapped."
    if history.undo_title == SNAPPED:
        return "The last stroke was snapped already."
    earlier, painted = before.shown(), state.shown()
    stroke = Stroke.between(earlier, painted)
    found = None
    if stroke is not None:
        found = snapped(earlier, stroke, pixels, protected=before.protected.unpack())
    if found is None:
        return "Nothing to snap: the stroke has no edge near one of the picture."
    made = before.painted(found)
    history.record(replace(state, settled=made.settled, protected=made.protected), SNAPPED)
    moved = int(np.count_nonzero(made.shown() != painted))
    return f"Snapped to edges: {moved:,} pixel{'' if moved == 1 else 's'} changed."
