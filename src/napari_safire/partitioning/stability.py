"""How steadily a picture falls into its sources: the partition made again with jitter.

Part of what is clustered is left out at random and k-means starts elsewhere; a place is as stable
as often as it comes into the same source again (stability of a clustering under subsampling, here
place by place: Ben-Hur, Elisseeff and Guyon 2002; Hennig 2007). Where the repetitions disagree, the
partition hangs on chance, however sure its logits are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from napari_safire.partitioning.clustering import Density, cluster_part, repeated_dbscan
from napari_safire.partitioning.matching import match_sources
from napari_safire.partitioning.n_sources import Pieces, pieces_of
from napari_safire.partitioning.prompt_grid import PromptGrid
from napari_safire.partitioning.spectral import MOST_SOURCES, PatchSpectrum, patch_spectrum
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import Embedding, FloatImage, SourcePartition

REPEATING = "repeating the partition"
_PART = 2 / 3  # of what is clustered is clustered again
_REPEATS_OF_DBSCAN = 16
# Of eps. Sources that lie apart are still apart at a larger eps, what chance has put together is
# not; at a smaller one, the densest source falls to pieces (docs/lab-notes.md).
_LARGEST_FACTOR = 4.0

Sources = npt.NDArray[np.int64]
Again = Callable[[np.random.Generator], Sources]
Joined = Callable[[Pieces, int], FloatImage]


def stability_of_prompts(
    grid: PromptGrid,
    partition: SourcePartition,
    repeats: int,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FloatImage:
    """Repeat a partition that was made of prompts.

    Parameters
    ----------
    grid : PromptGrid
        That the partition was made of; only its features are used, nothing is decoded.
    partition : SourcePartition
        Of several sources. By "dbscan": so are the repetitions, each at another eps, from the
        partition's to four times as much. By another method: they are k-means with their number.
    repeats : int
    progress, cancel : callable, optional

    Returns
    -------
    (H, W) float32 array in [0, 1]
        See `napari_safire.Engine.stability`.
    """
    sources, agreement = _agreement_of_prompts(grid, partition, repeats, progress, cancel)
    return _at_pixels(partition, sources, agreement, grid.geometry.content_shape)


def less_sure(grid: PromptGrid, partition: SourcePartition) -> SourcePartition:
    """Take DBSCAN's sources for as sure as they are found again.

    The confidence of a region says how good its mask is. It does not say whether the region is a
    source: with another eps, or other prompts, DBSCAN may find others. So it is multiplied with the
    share of the repetitions that put the source's prompts into it again.

    Parameters
    ----------
    grid : PromptGrid
        That the partition was made of.
    partition : SourcePartition
        By "dbscan".
    """
    if not grid.valid.any():
        return partition
    sources, agreement = _agreement_of_prompts(grid, partition, _REPEATS_OF_DBSCAN)
    regions = (
        replace(region, confidence=region.confidence * float(agreement[sources == k].mean()))
        for k, region in enumerate(partition.representatives)
    )
    return replace(partition, representatives=tuple(regions))


def _agreement_of_prompts(
    grid: PromptGrid,
    partition: SourcePartition,
    repeats: int,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> tuple[Sources, FloatImage]:
    """Sources of the prompts, and how often they are the same again: both (side, side)."""
    side = round(len(grid.prompts) ** 0.5)
    valid = np.flatnonzero(grid.valid)
    features = grid.features[valid]

    def again(rng: np.random.Generator) -> Sources:
        found = np.zeros(len(grid.prompts), dtype=np.int64)
        chosen = _part_of(np.arange(len(valid)), rng)
        if partition.method == "dbscan":
            density = Density(partition.parameters["eps"], partition.parameters["min_samples"])
            factor = _LARGEST_FACTOR ** rng.uniform()
            found[valid] = repeated_dbscan(features, density, chosen, factor)
        else:
            found[valid] = cluster_part(features, chosen, partition.n_sources, _seed(rng))
        return found.reshape(side, side)

    sources = partition.prompt_sources.reshape(side, side)
    return sources, _agreement(sources, again, partition, repeats, progress, cancel)


def stability_of_patches(
    embedding: Embedding,
    spectrum: PatchSpectrum,
    partition: SourcePartition,
    repeats: int,
    joined: Joined,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FloatImage:
    """Repeat a partition that was cut from the embedding's patches.

    Parameters
    ----------
    embedding : Embedding
    spectrum : PatchSpectrum
        Of that embedding.
    partition : SourcePartition
        Of several sources, from `napari_safire.partitioning.spectral.partition_of_patches`.
    repeats : int
    joined : callable
        Joins pieces to so many sources, and gives their (K, h, w) logits.
    progress, cancel : callable, optional

    Returns
    -------
    (H, W) float32 array in [0, 1]
        See `napari_safire.Engine.stability`.
    """
    n_sources = partition.n_sources
    # Sources whose number was not given were joined of more pieces, and are so again.
    of_pieces = partition.method == "auto"
    count = MOST_SOURCES if of_pieces else n_sources

    def again(rng: np.random.Generator) -> Sources:
        part = patch_spectrum(embedding, count, _part_of(spectrum.compared, rng))
        # A temperature scales the logits, but hardly changes which is the largest.
        pieces = pieces_of(part, _seed(rng), inverse_temperature=1.0, count=count)
        logits = joined(pieces, n_sources) if of_pieces else pieces.logits
        return logits.argmax(axis=0)

    sources = np.stack([region.low_res_logits for region in partition.representatives]).argmax(0)
    agreement = _agreement(sources, again, partition, repeats, progress, cancel)
    return _at_pixels(partition, sources, agreement, embedding.geometry.frame_shape)


def _agreement(
    sources: Sources,
    again: Again,
    partition: SourcePartition,
    repeats: int,
    progress: Progress | None,
    cancel: Cancel | None,
) -> FloatImage:
    """(m, n): share of the repetitions that put a place into the source it has in ``sources``."""
    same = np.zeros(sources.shape, dtype=np.int64)
    for number in range(repeats):
        report(progress, cancel, number, repeats, REPEATING)
        found = again(np.random.default_rng((partition.seed, number)))
        names = match_sources(sources + 1, found, int(found.max()) + 1)
        same += names[found] == sources + 1
    report(progress, cancel, repeats, repeats, REPEATING)
    return np.asarray(same / repeats, dtype=np.float32)


def _at_pixels(
    partition: SourcePartition,
    sources: Sources,
    agreement: FloatImage,
    extent: tuple[float, float],
) -> FloatImage:
    """Give each pixel the agreement of the nearest place of its own source.

    A place beyond the border tells how steadily the *other* source is found. Not interpolated: so
    each value is a share that was counted, and the pixel's margin shows finer detail anyway.

    Parameters
    ----------
    partition : SourcePartition
    sources, agreement : (m, n) array
        Of a lattice of places; sources below 0 are none.
    extent : (float, float)
        What the lattice covers evenly, in model pixels from the frame's top left corner.
    """
    geometry = partition.representatives[0].geometry
    steps = [extent[a] / (geometry.scale[a] * sources.shape[a]) for a in (0, 1)]  # image pixels
    rows, cols = (
        ((np.arange(length) + 0.5) / step).astype(np.int64).clip(0, count - 1)
        for length, step, count in zip(geometry.image_shape, steps, sources.shape, strict=True)
    )
    by_source = np.empty((partition.n_sources, *sources.shape), dtype=np.float32)
    for source, values in enumerate(by_source):
        nearest = distance_transform_edt(
            sources != source, sampling=steps, return_distances=False, return_indices=True
        )
        values[:] = agreement[tuple(nearest)]
    stability = np.empty(geometry.image_shape, dtype=np.float32)
    for values, labels, row in zip(stability, partition.labels, rows, strict=True):
        values[:] = by_source[labels, row, cols]
    return stability


def _part_of(indices: Sources, rng: np.random.Generator) -> Sources:
    """Return a random two thirds, in order; of one the one."""
    count = max(1, round(_PART * len(indices)))
    return np.sort(rng.choice(indices, count, replace=False))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))
