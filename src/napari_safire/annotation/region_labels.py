"""From regions to labels: uniting, excluding, previewing, and how sure the labels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_safire.annotation.annotation import Labels, SourcePrompt
from napari_safire.geometry import Geometry
from napari_safire.types import FloatImage, PointPrompt, SourcePartition, SourceRegion

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from napari_safire.partitioning.prompt_grid import PromptGrid

_STRIP_PIXELS = 4_000_000
_KEPT_PIXELS = 2_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model is asked: points of one source that are answered together.

    Parameters
    ----------
    points : tuple of PointPrompt
        One at least.
    others : tuple of PointPrompt
        Points of other sources, which count against the region; empty where the model is not told.
    """

    points: tuple[PointPrompt, ...]
    others: tuple[PointPrompt, ...] = ()


class Unions:
    """The logits of the united regions of each source, so that one more prompt costs one prompt.

    For one picture, and for one thread. Of large pictures nothing is kept.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[list[SourceRegion], FloatImage]] = {}

    def united(
        self, source: int, regions: list[SourceRegion], rows: csr_array, cols: csr_array
    ) -> FloatImage:
        """Largest logit of some regions at each pixel; the caller must not write to it."""
        done, logits = self._known.get(source, ([], None))
        if done != regions[: len(done)] or logits is None:
            done, logits = [], None
        for region in regions[len(done) :]:
            more = _upsampled(region, rows, cols)
            logits = more if logits is None else np.maximum(logits, more, out=logits)
        assert logits is not None
        if logits.size <= _KEPT_PIXELS:
            self._known[source] = (list(regions), logits)
        return logits


def asked_for(prompts: Sequence[SourcePrompt], jointly: bool) -> dict[SourcePrompt, Asked]:
    """Which points have to be asked together for each prompt.

    Parameters
    ----------
    prompts : sequence of SourcePrompt
    jointly : bool
        Whether the model answers all points of a source together, and is told those of the other
        sources (`napari_safire.engine.Engine.answers_by_patches`). Those that exclude are asked
        alone.
    """
    if not jointly:
        return {prompt: Asked((prompt.point,)) for prompt in prompts}
    included = [prompt for prompt in prompts if not prompt.exclude]
    of_source = {
        source: Asked(
            tuple(p.point for p in included if p.source == source),
            tuple(p.point for p in included if p.source != source),
        )
        for source in {prompt.source for prompt in included}
    }
    return {
        prompt: Asked((prompt.point,)) if prompt.exclude else of_source[prompt.source]
        for prompt in prompts
    }


def compose_labels(
    prompts: Sequence[SourcePrompt],
    regions: Mapping[SourcePrompt, SourceRegion],
    geometry: Geometry,
    unions: Unions | None = None,
) -> Labels:
    """Label every pixel by the prompts that claim it.

    The logit of a source is the largest of its prompts' logits (the union of their regions);
    where a prompt that excludes is positive, its source claims nothing. Where several sources
    claim a pixel, the largest logit wins, as in a partition.

    Parameters
    ----------
    prompts : sequence of SourcePrompt
    regions : mapping of SourcePrompt to SourceRegion
        The region of every prompt; prompts that were answered together share one.
    geometry : Geometry
        Of the picture.
    unions : Unions, optional
        What is known from the last call for this picture.

    Returns
    -------
    (H, W) uint8 array
        0 where nothing is claimed.
    """
    height, width = geometry.image_shape
    labels: Labels = np.zeros((height, width), np.uint8)
    if not prompts:
        return labels
    n_rows, n_cols = regions[prompts[0]].low_res_logits.shape
    rows, cols = geometry.interpolation(0, n_rows), geometry.interpolation(1, n_cols)
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        strip = slice(top, top + step)
        kept = unions if unions is not None and step >= height else Unions()
        _label_strip(labels[strip], prompts, regions, rows[strip], cols, kept)
    return labels


def _label_strip(
    labels: Labels,
    prompts: Sequence[SourcePrompt],
    regions: Mapping[SourcePrompt, SourceRegion],
    rows: csr_array,
    cols: csr_array,
    unions: Unions,
) -> None:
    best: FloatImage | float = 0.0
    sources = sorted({p.source for p in prompts if not p.exclude})
    for source in sources:
        of_source = [p for p in prompts if p.source == source]
        included = list(dict.fromkeys(regions[p] for p in of_source if not p.exclude))
        united = unions.united(source, included, rows, cols)
        for prompt in of_source:
            if prompt.exclude:
                outside = _upsampled(regions[prompt], rows, cols) <= 0
                united = united * outside
        np.copyto(labels, np.uint8(source), where=united > best)
        if source != sources[-1]:
            best = np.maximum(united, best)


def _upsampled(region: SourceRegion, rows: csr_array, cols: csr_array) -> FloatImage:
    logits: FloatImage = rows @ (region.low_res_logits @ cols.T)
    return logits


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


def partition_uncertainty(
    partition: SourcePartition, stability: FloatImage | None = None
) -> FloatImage:
    """How little there is to be said for the source of each pixel.

    Parameters
    ----------
    partition : SourcePartition
    stability : (H, W) float32 array in [0, 1], optional
        From `Engine.stability`; without, only the margin counts.

    Returns
    -------
    (H, W) float32 array in [0, 1]
        1 minus the smaller of the stability and the margin between the two largest softmax
        probabilities: a pixel is certain only if its source is both clear and found again. 0 for
        one source.
    """
    uncertainty = np.zeros(partition.representatives[0].geometry.image_shape, np.float32)
    if partition.n_sources < 2:
        return uncertainty
    for rows, probabilities in partition.probability_strips():
        probabilities.partition(partition.n_sources - 2, axis=0)
        certain = probabilities[-1] - probabilities[-2]
        if stability is not None:
            np.minimum(certain, stability[rows], out=certain)
        uncertainty[rows] = 1 - certain
    return uncertainty
