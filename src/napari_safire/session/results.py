"""What comes of the model's answers: previews of prompts, and partitions with their numbers.

These are functions of what they are given; who asks, and in which worker, is the
session's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from napari_safire.annotation.annotation import MOST_SOURCES, Annotation, Preview
from napari_safire.annotation.numbering import numbers_like
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import PartitionPredictions, Predictions
from napari_safire.basis import RunBasis
from napari_safire.errors import SafireError
from napari_safire.examination import examine_whole
from napari_safire.forgery import ForgeryMap
from napari_safire.partitioning.patches import Patches, patches_of
from napari_safire.progress import Cancel, Progress
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding, SourcePartition

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.partitioning.prompt_grid import PromptGrid


@dataclass(frozen=True, slots=True)
class Partitioned:
    """What the model worker hands over after a partition.

    Parameters
    ----------
    partition : SourcePartition
    forgery : ForgeryMap
    grid : PromptGrid or None
        What it rests on with published models.
    patches : Patches or None
        What it rests on with models that answer by patches.
    numbers : mapping of int to float
        How probable each number of sources is; empty where the model does not tell.
    """

    partition: SourcePartition
    forgery: ForgeryMap
    grid: PromptGrid | None = None
    patches: Patches | None = None
    numbers: Mapping[int, float] = field(default_factory=dict)

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


def partitioned(
    engine: Engine,
    embedding: Embedding,
    settings: PartitionSettings,
    forgery: ForgeryMap | None,
    progress: Progress,
    cancel: Cancel,
) -> Partitioned:
    """Divide the picture, and give what this rests on: a grid of prompts, or the patches.

    Raises
    ------
    SafireError
        There are more sources than labels can hold.
    """
    by_patches = engine.answers_by_patches and settings.method != "dbscan"
    grid = None
    if not by_patches:  # before the partition, which then uses it
        grid = engine.grid(embedding, settings.points_per_side, progress=progress, cancel=cancel)
    partition, forgery = examine_whole(
        engine, embedding, settings, progress, cancel, forgery=forgery
    )
    if partition.n_sources > MOST_SOURCES:
        raise SafireError(
            f"The picture was divided into {partition.n_sources} sources, more than the "
            f"{MOST_SOURCES} that labels can hold: raise eps or choose a number of sources."
        )
    if not by_patches:
        return Partitioned(partition, forgery, grid)
    numbers = engine.source_numbers(embedding)
    return Partitioned(partition, forgery, None, patches_of(embedding), numbers)


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
