"""What those who ask the model share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_safire.session.annotation_store import AnnotationStore
from napari_safire.session.chosen_model import ChosenModel
from napari_safire.session.messages import Stage
from napari_safire.session.planes import PlaneKey, Planes
from napari_safire.session.workers import Worker


@dataclass(frozen=True, slots=True, eq=False)
class ModelJobs:
    """Where questions to the model go, and what their answers change.

    Parameters
    ----------
    planes : Planes
    annotations : AnnotationStore
    worker : Worker
        That of the model.
    chosen : ChosenModel
    failing : callable
        Gives what takes the error of a job on a plane and stage.
    """

    planes: Planes
    annotations: AnnotationStore
    worker: Worker
    chosen: ChosenModel
    failing: Callable[[PlaneKey, Stage], Callable[[Exception], None]]
