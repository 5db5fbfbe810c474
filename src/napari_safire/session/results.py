"""What comes of the model's answers: previews of prompts, and partitions with their numbers.

These are functions of what they are given; who asks, and in which lane, is the session's business.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_safire.basis import RunBasis
from napari_safire.errors import SafireError
from napari_safire.progress import Cancel, Progress
from napari_safire.session.annotation import MOST_SOURCES, Annotation, Preview
from napari_safire.session.history import PackedLabels
from napari_safire.session.numbering import numbers_like
from napari_safire.session.predictions import PartitionPredictions, Predictions
from napari_safire.session.region_labels import (
    Unions,
    compose_labels,
    nearest_regions,
)
from napari_safire.settings import PartitionSettings
from napari_safire.types import ForgeryMap, PointPrompt, SourcePartition, SourceRegion

if TYPE_CHECKING:
    from napari_safire.engine import Engine, PromptGrid


@dataclass(frozen=True, slots=True)
class Partitioned:
    """What the model lane hands over after a partition."""

    grid: PromptGrid
    partition: SourcePartition
    forgery: ForgeryMap

    def predictions(self, settings: PartitionSettings, checkpoint_sha256: str) -> Predictions:
        """Take what is to be kept of it beside the annotation, numbered 1 .. K for the moment."""
        regions = self.partition.representatives
        return Predictions(
            RunBasis(checkpoint_sha256, asdict(settings)),
            MappingProxyType({region.prompt: region.confidence for region in regions}),
            PartitionPredictions.of(self.partition, tuple(range(1, len(regions) + 1))),
            self.forgery,
        )


def points_outside(count: int) -> str:
    """Tell the user that points are no prompts."""
    return (
        f"{count} point{'s lie' if count > 1 else ' lies'} outside the picture and "
        f"{'are' if count > 1 else 'is'} not asked."
    )


def previewed(
    state: Annotation,
    regions: dict[PointPrompt, SourceRegion],
    grid: PromptGrid | None,
    unions: Unions,
) -> Annotation:
    """Answer the live prompts without the model: exactly if all were asked, else by the grid."""
    live = state.live_prompts
    missing = [prompt.point for prompt in live if prompt.point not in regions]
    if not live or (missing and grid is None):
        return state
    if missing and grid is not None:
        regions = regions | nearest_regions(missing, grid)
    geometry = regions[live[0].point].geometry
    labels = compose_labels(live, regions, geometry, unions)
    return state.with_preview(
        Preview(PackedLabels.pack(labels), "prompts", live, exact=not missing)
    )


def partitioned(
    engine: Engine,
    embedding: Any,
    settings: PartitionSettings,
    forgery: ForgeryMap | None,
    progress: Progress,
    cancel: Cancel,
) -> Partitioned:
    """Ask the grid and divide the picture.

    Raises
    ------
    SafireError
        There are more sources than labels can hold.
    """
    side, seed = settings.points_per_side, settings.seed
    grid = engine.grid(embedding, side, progress=progress, cancel=cancel)
    partition = engine.partition(embedding, **asdict(settings), progress=progress, cancel=cancel)
    if forgery is None:
        forgery = engine.localize(embedding, seed, side, progress=progress, cancel=cancel)
    if partition.n_sources > MOST_SOURCES:
        raise SafireError(
            f"The picture was divided into {partition.n_sources} sources, more than the "
            f"{MOST_SOURCES} that labels can hold: raise eps or choose a number of sources."
        )
    return Partitioned(grid, partition, forgery)


def with_partition(state: Annotation, partition: SourcePartition) -> Annotation:
    """Lay a partition over what is there, as a preview.

    Numbers and protected pixels are those of the state it is laid over, not of the one that was
    shown when the model was asked: the user may have painted meanwhile.
    """
    if state.live_prompts:
        state = state.commit()  # what the prompts found stays under the partition
    numbers = numbers_like(
        partition.labels, partition.n_sources, state.shown(), state.protected.unpack()
    )
    seeds = zip(numbers, (region.prompt for region in partition.representatives), strict=True)
    labels = np.array(numbers, np.uint8)[partition.labels]
    return state.with_preview(Preview(PackedLabels.pack(labels), "partition", seeds=tuple(seeds)))
