"""One 2-D plane of a picture, and what is known of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import Annotation, Labels, SourcePrompt
from napari_safire.annotation.numbering import numbers_of
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.annotation.region_labels import Asked, Unions, asked_for
from napari_safire.forgery import ForgeryMap
from napari_safire.images.pixels import PictureReader
from napari_safire.partitioning.combination import CombinationRule
from napari_safire.session.history import History
from napari_safire.session.workers import Job
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding, PointPrompt, SourcePartition, SourceRegion

if TYPE_CHECKING:
    from napari_safire.partitioning.patches import Patches
    from napari_safire.partitioning.prompt_grid import PromptGrid

_GRIDS_KEPT = 3


@dataclass(frozen=True, slots=True)
class PlaneKey:
    """Names a plane: a picture, and where in it for stacks and time series.

    Parameters
    ----------
    picture : hashable
        Whatever the owner of the session calls the picture.
    index : tuple of int
        Position along the axes before rows and columns; empty for a 2-D picture.
    """

    picture: Hashable
    index: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A state of the work on a plane, as it is to be shown.

    Parameters
    ----------
    key : PlaneKey
    annotation : Annotation
    labels : (H, W) uint8 array
        For the Labels layer; 0 is no source.
    confidences : mapping of PointPrompt to float
        Predicted pixel accuracy of the prompts that were asked.
    areas : mapping of int to int
        Pixels of each source in `labels`.
    with_preview : bool
        Whether `labels` shows the preview.
    serial : int
        Number of the owner's last change of prompts that is in it; a snapshot with an older one
        must not replace the prompts that the owner shows.
    undo_title, redo_title : str or None
        What undo would take back and redo bring back.
    """

    key: PlaneKey
    annotation: Annotation
    labels: Labels
    confidences: Mapping[PointPrompt, float]
    areas: Mapping[int, int] = field(default_factory=dict)
    with_preview: bool = True
    serial: int = 0
    undo_title: str | None = None
    redo_title: str | None = None


@dataclass(eq=False, slots=True)
class Pixels:
    """The pixels of a plane, until others take their place; no model is needed to know them by.

    Parameters
    ----------
    read : callable
        As that of the plane.
    sha256 : str
        As `PictureReader` and every embedding have it; empty before `identify`.
    looked_up : bool
        Whether earlier work on them was looked for.
    """

    read: Callable[[], Any]
    sha256: str = ""
    looked_up: bool = False

    def identify(self) -> str:
        """Return the hash; the pixels are read for it once. For the file worker alone.

        Raises
        ------
        TypeError, ValueError, OSError
            They are no picture, or cannot be read.
        """
        if not self.sha256:
            self.sha256 = PictureReader(self.read()).sha256
        return self.sha256


@dataclass(eq=False)
class Plane:
    """What is known of one plane; `history` and `unions` are for the annotation worker alone.

    Parameters
    ----------
    key : PlaneKey
    shape : (int, int)
        Rows and columns.
    read : callable
        Gives the plane as (H, W), (H, W, 3) or (H, W, 4); called in a worker thread.
    history : History of Annotation
    file : str or None
        Path of the file that the picture is said to come from.
    predictions : Predictions
        What the model said, or what was kept of it with earlier work.
    network, weighed : ForgeryMap or None
        What the network alone says, and what came of weighing it with other evidence.
    combination : CombinationRule or None
        How the model that said it weighs evidence.
    weighing : Job or None
        While it is weighed.
    work : str
        Names what is made of this plane in the autosave.
    saved : Annotation or None
        What of it is in files that the user chose; see `AnnotationStore.mark_saved`.
    kept
        What was last handed over to be kept: of which pixels, what, whether it was saved, what it
        took up, and who keeps it. For the annotation worker alone.
    last_part
        Number of the stroke that was painted last, and the state that it gave; for the annotation
        worker alone.
    map_kept
        Which map was last kept, and of which pixels; for the file worker alone.
    """

    key: PlaneKey
    shape: tuple[int, int]
    read: Callable[[], Any]
    history: History[Annotation]
    file: str | None = None
    embedding: Embedding | None = None
    jointly: bool = False  # the model answers all prompts of a source together, by patches
    grid: PromptGrid | None = None
    patches: Patches | None = None
    number_probabilities: Mapping[int, float] = field(default_factory=dict)
    partition: SourcePartition | None = None
    predictions: Predictions = field(default_factory=Predictions)
    network: ForgeryMap | None = None
    weighed: ForgeryMap | None = None
    combination: CombinationRule | None = None
    weighing: Job | None = None
    regions: dict[Asked, SourceRegion] = field(default_factory=dict)
    reading: Job | None = None
    pixels: Pixels = field(init=False)
    work: str = field(default_factory=lambda: uuid.uuid4().hex)
    saved: Annotation | None = None
    kept: tuple[Pixels, AnnotatedPlane, bool, tuple[str, ...], object] | None = None
    map_kept: tuple[Pixels | None, ForgeryMap | None] = (None, None)
    last_part: tuple[int, Annotation] | None = None
    unions: Unions = field(default_factory=Unions)
    asked: tuple[SourcePrompt, ...] | None = None
    snapshot: Snapshot | None = None
    with_preview: bool = True
    serial: int = 0

    def __post_init__(self) -> None:
        self.pixels = Pixels(self.read)

    def forget_model(self) -> None:
        """Drop what a model said; what the user made stays."""
        self.embedding = self.grid = self.patches = self.partition = self.asked = None
        self.jointly, self.number_probabilities = False, {}
        self.predictions = Predictions()
        self.network = self.weighed = self.combination = None
        if self.weighing is not None:
            self.weighing.cancelled.set()
        self.reading = self.weighing = None
        self.regions = {}
        self.unions = Unions()

    @property
    def shown_numbers(self) -> tuple[int, ...]:
        """Labels that the sources of the partition have now; empty if it is not shown (undo)."""
        if self.partition is None or self.snapshot is None:
            return ()
        return numbers_of(self.partition, self.snapshot.annotation)

    @property
    def shows_partition(self) -> bool:
        """Whether the labels are those of the partition, edited or not."""
        return bool(self.shown_numbers)

    @property
    def forgery(self) -> ForgeryMap | None:
        """The forgery map, with the verdict."""
        return self.predictions.forgery

    @property
    def numbers(self) -> tuple[int, ...]:
        """For each source of the partition the label it is shown with."""
        partition = self.predictions.partition
        return () if partition is None else partition.numbers

    @property
    def is_outdated(self) -> bool:
        """Whether the shown answer to prompts was given for other pixels or by another model."""
        state = None if self.snapshot is None else self.snapshot.annotation
        return (
            self.embedding is not None
            and state is not None
            and state.preview is not None
            and state.preview.origin == "prompts"
            and bool(self.missing(state.live_prompts))
        )

    @property
    def confidences(self) -> dict[PointPrompt, float]:
        """Predicted pixel accuracy of each prompt that was asked, now or in earlier work."""
        now = {
            point: region.confidence
            for asked, region in self.regions.items()
            for point in asked.points
        }
        return {**self.predictions.confidences, **now}

    @property
    def compared(self) -> npt.NDArray[np.float32]:
        """(N, 2): row and column of the patches or prompts that the partition rests on."""
        if self.patches is not None:
            return self.patches.centres[self.patches.compared]
        prompts = () if self.grid is None else self.grid.prompts
        return np.array([(p.row, p.col) for p in prompts], np.float32).reshape(-1, 2)

    def missing(self, live: Sequence[SourcePrompt]) -> list[Asked]:
        """What has to be asked before the prompts can be answered exactly."""
        return [
            asked
            for asked in dict.fromkeys(asked_for(live, self.jointly).values())
            if asked not in self.regions
        ]

    def is_read_for(self, settings: PartitionSettings) -> bool:
        """Whether a partition with these settings needs no run of the model."""
        if self.patches is not None and settings.method != "dbscan":
            return True
        return self.grid is not None and len(self.grid.prompts) == settings.points_per_side**2


class Planes:
    """The planes that are open, in the order in which they were opened."""

    def __init__(self) -> None:
        self._planes: dict[PlaneKey, Plane] = {}

    def __getitem__(self, key: PlaneKey) -> Plane:
        return self._planes[key]

    def __iter__(self) -> Iterator[Plane]:
        return iter(self._planes.values())

    def find(self, key: PlaneKey) -> Plane | None:
        """Return a plane, None if it was not opened or was forgotten."""
        return self._planes.get(key)

    def of(self, picture: Hashable) -> list[Plane]:
        """All planes of a picture."""
        return [plane for plane in self if plane.key.picture == picture]

    def has(self, plane: Plane) -> bool:
        """Whether it is this very plane that is open, and no later one of the same name."""
        return self._planes.get(plane.key) is plane

    def add(self, plane: Plane) -> None:
        """Take a plane in."""
        self._planes[plane.key] = plane

    def remove(self, plane: Plane) -> None:
        """Drop a plane."""
        del self._planes[plane.key]

    def clear(self) -> None:
        """Drop all planes."""
        self._planes.clear()

    def drop_old_grids(self, latest: Plane) -> None:
        """Keep the grids of a few planes only: one takes 50 MB for a picture of 1024 x 768."""
        with_grid = [plane for plane in self if plane.grid is not None]
        with_grid.sort(key=lambda plane: plane is latest)
        for plane in with_grid[:-_GRIDS_KEPT]:
            plane.grid = None
