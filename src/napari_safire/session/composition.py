"""From regions to labels: uniting, excluding, previewing, and how sure the labels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_safire.session.annotation import MOST_SOURCES, Labels, SourcePrompt
from napari_safire.types import FloatImage, Geometry, PointPrompt, SourcePartition, SourceRegion

if TYPE_CHECKING:
    from napari_safire.engine import PromptGrid

_STRIP_PIXELS = 4_000_000


def compose_labels(
    prompts: Sequence[SourcePrompt],
    regions: Mapping[PointPrompt, SourceRegion],
    geometry: Geometry,
) -> Labels:
    """Label every pixel by the prompts that claim it.

    The logit of a source is the largest of its prompts' logits (the union of their regions);
    where a prompt that excludes is positive, its source claims nothing. Where several sources
    claim a pixel, the largest logit wins, as in a partition.

    Parameters
    ----------
    prompts : sequence of SourcePrompt
    regions : mapping of PointPrompt to SourceRegion
        The region of every prompt.
    geometry : Geometry
        Of the picture.

    Returns
    -------
    (H, W) uint8 array
        0 where nothing is claimed.
    """
    height, width = geometry.image_shape
    labels: Labels = np.zeros((height, width), np.uint8)
    if not prompts:
        return labels
    n_rows, n_cols = next(iter(regions.values())).low_res_logits.shape
    rows, cols = geometry.interpolation(0, n_rows), geometry.interpolation(1, n_cols)
    halves = {p.point: regions[p.point].low_res_logits @ cols.T for p in prompts}  # (h4, W)
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        strip = rows[top : top + step]
        best = np.zeros((len(strip), width), np.float32)
        for source in sorted({p.source for p in prompts}):
            united: FloatImage | None = None
            for prompt in prompts:
                if prompt.source == source and not prompt.exclude:
                    logits = strip @ halves[prompt.point]
                    united = logits if united is None else np.maximum(united, logits, out=united)
            if united is None:
                continue
            for prompt in prompts:
                if prompt.source == source and prompt.exclude:
                    united[strip @ halves[prompt.point] > 0] = 0
            wins = united > best
            labels[top : top + step][wins] = source
            np.maximum(best, united, out=best)
    return labels


def nearest_regions(
    points: Sequence[PointPrompt], grid: PromptGrid
) -> dict[PointPrompt, SourceRegion]:
    """For each point the region of the nearest prompt of the grid: a preview without the model."""
    places = np.array([(prompt.row, prompt.col) for prompt in grid.prompts])
    found = {}
    for point in points:
        distances = np.hypot(*(places - (point.row, point.col)).T)
        found[point] = grid.region(int(distances.argmin()))
    return found


def numbers_like(labels: Labels, n_sources: int, shown: Labels | None) -> tuple[int, ...]:
    """Number the sources of a partition so that they keep the numbers they are shown with.

    Sources are matched one to one with what is shown so that as many pixels as possible keep
    their number (and colour); the others get the smallest free numbers, larger sources first.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Sources 0 .. K-1, largest first.
    n_sources : int
        K.
    shown : (H, W) uint8 array or None
        Labels from 1; 0 is no source.

    Returns
    -------
    tuple of int
        For each source its number, from 1.
    """
    if shown is None or not shown.any():
        return tuple(range(1, n_sources + 1))
    from scipy.optimize import linear_sum_assignment  # slow to load: not before a viewer opens

    pairs = shown.astype(np.int64).ravel() * n_sources + labels.ravel()
    overlap = np.bincount(pairs, minlength=256 * n_sources).reshape(256, n_sources)[1:]
    rows, sources = linear_sum_assignment(overlap, maximize=True)
    numbers = {
        int(source): int(row) + 1
        for row, source in zip(rows, sources, strict=True)
        if overlap[row, source]
    }
    free = (number for number in range(1, MOST_SOURCES + 1) if number not in numbers.values())
    return tuple(numbers[k] if k in numbers else next(free) for k in range(n_sources))


def partition_uncertainty(partition: SourcePartition) -> FloatImage:
    """How close the two strongest sources of each pixel are.

    Parameters
    ----------
    partition : SourcePartition

    Returns
    -------
    (H, W) float32 array in [0, 1]
        1 minus the margin between the two largest softmax probabilities; 0 for one source.
    """
    uncertainty = np.zeros(partition.representatives[0].geometry.image_shape, np.float32)
    if partition.n_sources < 2:
        return uncertainty
    for rows, probabilities in partition.probability_strips():
        probabilities.partition(partition.n_sources - 2, axis=0)
        uncertainty[rows] = 1 - (probabilities[-1] - probabilities[-2])
    return uncertainty
