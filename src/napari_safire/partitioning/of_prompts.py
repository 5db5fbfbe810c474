"""From clustered prompts to a partition of the picture, and to the binary forgery map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from napari_safire.forgery import Calibration, ForgeryMap
from napari_safire.geometry import Geometry
from napari_safire.partitioning.clustering import (
    NOISE,
    Clusters,
    Density,
    cluster_auto,
    cluster_dbscan,
    cluster_kmeans,
    separation,
)
from napari_safire.partitioning.prompt_grid import PromptGrid
from napari_safire.partitioning.silence import NOTHING_FOUND, SAME_FOR_ALL
from napari_safire.partitioning.uninformative import Reasons, measure_informativeness
from napari_safire.partitioning.verdict import judge
from napari_safire.types import FloatImage, SourcePartition, SourceRegion

_STRIP_PIXELS = 4_000_000

RegionsOf = Callable[[Sequence[int]], list[SourceRegion]]


def cluster_prompts(
    grid: PromptGrid,
    method: str,
    n_sources: int | None = None,
    seed: int = 0,
    density: Density | None = None,
    threshold: float = 0.0,
) -> Clusters:
    """Source of each prompt of the grid, `NOISE` for those without a feature.

    A picture where no prompt has a feature is one source: every prompt belongs to it.

    Parameters
    ----------
    grid : PromptGrid
    method : {"kmeans", "dbscan", "auto"}
    n_sources, seed : int
        For "kmeans".
    density : Density
        For "dbscan".
    threshold : float
        For "auto".
    """
    clusters = np.full(len(grid.prompts), NOISE, dtype=np.int64)
    valid = grid.valid
    if not valid.any():
        return np.zeros(len(grid.prompts), dtype=np.int64)
    features = grid.features[valid]
    if method == "kmeans":
        assert n_sources is not None
        clusters[valid] = cluster_kmeans(features, n_sources, seed)
    elif method == "dbscan":
        assert density is not None
        clusters[valid] = cluster_dbscan(features, density.eps, density.min_samples)
    else:
        clusters[valid] = cluster_auto(features, threshold)
    return clusters


def make_partition(
    grid: PromptGrid,
    clusters: Clusters,
    method: str,
    parameters: dict[str, Any],
    seed: int,
    regions_of: RegionsOf | None = None,
) -> SourcePartition:
    """Let the most confident prompt of each cluster stand for it; the strongest logit wins a pixel.

    Softmax keeps the order of logits, so labels come from the logits themselves, in strips.

    Parameters
    ----------
    grid : PromptGrid
    clusters : (P,) int array
    method, parameters, seed
        Recorded in the partition.
    regions_of : callable, optional
        Gives the regions of prompts, by their indices, where the grid holds none.
    """
    names = np.unique(clusters[clusters != NOISE])
    regions = _representatives(grid, clusters, names, regions_of)
    labels = label_pixels(grid.geometry, [region.low_res_logits for region in regions])
    labels, order = largest_first(labels, len(regions))
    sources = np.full(len(clusters), NOISE, dtype=np.int64)
    for rank, position in enumerate(order):
        sources[clusters == names[position]] = rank
    ordered = tuple(regions[k] for k in order)
    asked = MappingProxyType(dict(parameters))
    n_dropped = int((~grid.valid).sum())
    return SourcePartition(labels, ordered, method, asked, seed, grid.prompts, sources, n_dropped)


def label_pixels(geometry: Geometry, low_res_logits: Sequence[FloatImage]) -> npt.NDArray[np.uint8]:
    """Index of the largest logit at each pixel of the picture, (H, W) uint8."""
    height, width = geometry.image_shape
    labels = np.zeros((height, width), dtype=np.uint8)
    if len(low_res_logits) < 2:
        return labels
    rows = geometry.interpolation(0, low_res_logits[0].shape[0])
    cols = geometry.interpolation(1, low_res_logits[0].shape[1])
    halves = [logits @ cols.T for logits in low_res_logits]
    step = max(1, _STRIP_PIXELS // (width * len(halves)))
    for top in range(0, height, step):
        strip = rows[top : top + step]
        best = strip @ halves[0]
        for k, half in enumerate(halves[1:], start=1):
            values = strip @ half
            wins = values > best
            labels[top : top + step][wins] = k
            np.maximum(best, values, out=best)
    return labels


def largest_first(
    labels: npt.NDArray[np.uint8], n_sources: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Number sources by size.

    Returns
    -------
    labels : (H, W) uint8 array
        0 is the largest source.
    order : (K,) int array
        For each new number the old one.
    """
    order = np.argsort(-np.bincount(labels.ravel(), minlength=n_sources), kind="stable")
    rank = np.empty(len(order), dtype=np.uint8)
    rank[order] = np.arange(len(order), dtype=np.uint8)
    return rank[labels], order


def make_forgery_map(
    grid: PromptGrid,
    clusters: Clusters,
    calibration: Calibration | None,
    regions_of: RegionsOf | None = None,
    uninformative: Reasons | None = None,
    silence: str = "",
) -> ForgeryMap:
    """Combine two sources to one map: ``(front + 1 - back) / 2``, the front being the smaller.

    Parameters
    ----------
    grid : PromptGrid
    clusters : (P,) int array
        Two sources (one if the picture gives no more).
    calibration : Calibration or None
    regions_of
        As in `make_partition`.
    uninformative : (h, w) uint8 array, optional
        `Embedding.uninformative`: the verdict accuses nothing that cannot be read.
    silence : str
        Why the embedding says nothing; see `judge`. What the grid does not say is found here.

    Returns
    -------
    ForgeryMap
    """
    names = np.unique(clusters[clusters != NOISE])
    valid = clusters != NOISE
    statistic = separation(grid.features[valid & grid.valid], clusters[valid & grid.valid])
    if len(names) < 2:
        heatmap: FloatImage = np.zeros(grid.geometry.image_shape, dtype=np.float32)
    else:
        regions = _representatives(grid, clusters, names, regions_of)
        back, front = expit(regions[0].logits), expit(regions[1].logits)
        if (front > 0.5).sum() > (back > 0.5).sum():
            front, back = back, front
        heatmap = np.asarray((front + 1 - back) / 2, dtype=np.float32)
    if not silence and not grid.responds:
        silence = SAME_FOR_ALL
    elif not silence and grid.valid.sum() < 2:
        silence = NOTHING_FOUND
    informativeness = measure_informativeness(uninformative, grid.geometry, heatmap)
    said = judge(statistic, calibration, grid.geometry.image_shape, informativeness, silence)
    return ForgeryMap(heatmap, said.score, said.verdict, said.reason, calibration, said.obstacle)


def _representatives(
    grid: PromptGrid,
    clusters: Clusters,
    names: Clusters,
    regions_of: RegionsOf | None,
) -> list[SourceRegion]:
    """For each cluster the region of its most confident prompt."""
    chosen = []
    for name in names:
        mine = np.flatnonzero(clusters == name)
        chosen.append(int(mine[np.argmax(grid.confidence[mine])]))
    return regions_of(chosen) if regions_of else [grid.region(index) for index in chosen]
