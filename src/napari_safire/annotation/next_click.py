"""Next best click: the point whose prompt would settle most uncertain pixels.

Every patch of the picture has a doubt: how probable it is, by the answers to the present prompts,
that it is of no known source or of another than the most probable one. The next click is proposed
where most of that lies close together. Choosing the click after which least doubt is expected was
worse: it believes what the model expects of itself (docs/lab-notes.md, "Next best click"). How many
pixels the click is expected to settle is asked of the model in the same way as a click is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from napari_safire.annotation.annotation import MOST_SOURCES, Annotation, Mask, SourcePrompt
from napari_safire.annotation.answers import ask_regions
from napari_safire.annotation.region_labels import Asked, asked_for
from napari_safire.geometry import Geometry
from napari_safire.partitioning.patches import STRIDE, patch_at, patch_centre
from napari_safire.types import Embedding, FloatImage, PointPrompt, SourcePartition, SourceRegion

if TYPE_CHECKING:
    from napari_safire.engine import Engine

_NEAR = 2.0  # patches: standard deviation of what lies close together; 1.5 to 3 do as well
_LIKELY = 0.1  # sources less probable than this at the point are not tried
_FEWEST_PIXELS = 1.0  # below, nothing is uncertain
_LOOKED_AT = 1_000_000  # pixels of a picture that are looked at, on a regular lattice
_OPEN, _DIVIDED, _CERTAIN = range(3)  # what is known of a pixel

Regions = Mapping[Asked, SourceRegion]


@dataclass(frozen=True, slots=True)
class NextClick:
    """A proposal.

    Parameters
    ----------
    point : PointPrompt
        Where to click.
    settles : int
        Pixels that are expected to become certain by it.
    uncertain : int
        Pixels that are expected to be wrong or without a source now.
    """

    point: PointPrompt
    settles: int
    uncertain: int


def next_click(
    engine: Engine,
    embedding: Embedding,
    state: Annotation,
    regions: Regions | None = None,
    partition: SourcePartition | None = None,
) -> NextClick | None:
    """Find the point whose prompt would settle most uncertain pixels.

    Protected pixels are certain. Settled ones are as certain as the partition they came from, or
    wholly without one; pixels without a source are uncertain.

    Parameters
    ----------
    engine : Engine
    embedding : Embedding
        Of the picture.
    state : Annotation
    regions : mapping of Asked to SourceRegion, optional
        Those that are known; what is missing is asked.
    partition : SourcePartition, optional
        That the labels came from.

    Returns
    -------
    NextClick or None
        None if nothing is uncertain, or every uncertain place was clicked.

    Raises
    ------
    OutOfMemory, ModelFailure
        As `Engine.segment`.
    """
    doubts = _Doubts(engine, embedding, state, dict(regions or {}), partition)
    live = state.live_prompts
    logits = doubts.logits(live)
    pixels = doubts.pixels(logits)
    shape, geometry = pixels.shape, embedding.geometry
    place = _densest(pixels, [patch_at(geometry, shape, prompt.point) for prompt in live])
    if place is None:
        return None
    point = patch_centre(geometry, *place)
    left = 0.0
    for source, share in _possible_sources(live, logits[:, *place]):
        after = doubts.logits([*live, SourcePrompt(point, source)])
        left += share * float(doubts.pixels(after).sum())
    now = float(pixels.sum())
    return NextClick(point, max(0, round(now - left)), round(now))


class _Doubts:
    """How uncertain the patches of a picture are, with these prompts or others."""

    def __init__(
        self,
        engine: Engine,
        embedding: Embedding,
        state: Annotation,
        regions: dict[Asked, SourceRegion],
        partition: SourcePartition | None,
    ) -> None:
        self._engine, self._embedding, self._regions = engine, embedding, regions
        self._shape = embedding.features.shape[1:]
        kept = _kept(state, partition is not None)
        self._open = _pixels_by_patch(embedding.geometry, kept == _OPEN, self._shape)
        self._divided = _pixels_by_patch(embedding.geometry, kept == _DIVIDED, self._shape)
        self._of_partition: FloatImage = np.zeros(self._shape, np.float32)
        if partition is not None:
            of_sources = [self._at_patches(found) for found in partition.representatives]
            self._of_partition = 1 - softmax(np.stack(of_sources), axis=0).max(axis=0)

    def logits(self, prompts: Sequence[SourcePrompt]) -> FloatImage:
        """(K + 1, h, w): of each source with prompts, by number; last, 0 for none of them."""
        asked = asked_for(prompts, self._engine.answers_by_patches)
        missing = [one for one in dict.fromkeys(asked.values()) if one not in self._regions]
        if missing:
            self._regions |= ask_regions(self._engine, self._embedding, missing)
        found: list[FloatImage] = []
        for source in _sources(prompts):
            mine = [prompt for prompt in prompts if prompt.source == source]
            united = np.maximum.reduce(
                [self._at_patches(self._regions[asked[p]]) for p in mine if not p.exclude]
            )
            for prompt in mine:
                if prompt.exclude:
                    outside = self._at_patches(self._regions[asked[prompt]]) <= 0
                    united = np.where(outside, united, np.minimum(united, 0))
            found.append(united)
        return np.stack([*found, np.zeros(self._shape, np.float32)])

    def pixels(self, logits: FloatImage) -> FloatImage:
        """(h, w): how many pixels of each patch are expected to be wrong or without a source."""
        doubt = np.ones(self._shape, np.float32)
        if len(logits) > 1:
            doubt = 1 - softmax(logits, axis=0)[:-1].max(axis=0)
        divided = self._divided * np.minimum(doubt, self._of_partition)
        return np.asarray(self._open * doubt + divided, dtype=np.float32)

    def _at_patches(self, region: SourceRegion) -> FloatImage:
        """What a region's logits are at the centres of the patches."""
        logits, geometry = region.low_res_logits, region.geometry
        if logits.shape == self._shape:
            return logits
        rows, cols = (
            geometry.interpolation(
                axis, logits.shape[axis], STRIDE * np.arange(n) + STRIDE / 2 - 0.5
            )
            for axis, n in enumerate(self._shape)
        )
        return np.asarray(rows @ (logits @ cols.T), dtype=np.float32)


def _kept(state: Annotation, has_partition: bool) -> npt.NDArray[np.uint8]:
    """(H, W): what is known of each pixel beside the present prompts."""
    settled, protected = state.settled.unpack(), state.protected.unpack()
    preview = state.preview
    if preview is not None and preview.origin == "partition":
        settled = preview.labels.unpack()
    kept = np.where(settled > 0, _DIVIDED if has_partition else _CERTAIN, _OPEN).astype(np.uint8)
    if preview is not None and preview.origin == "prompts":
        kept[preview.labels.unpack() > 0] = _OPEN
    kept[protected] = _CERTAIN
    return kept


def _pixels_by_patch(geometry: Geometry, mask: Mask, shape: tuple[int, ...]) -> FloatImage:
    """(h, w): how many pixels of a mask lie in each patch, those between two in parts."""
    step = max(1, math.isqrt(mask.size // _LOOKED_AT))
    rows, cols = (geometry.interpolation(axis, n)[::step] for axis, n in enumerate(shape))
    looked_at = mask[::step, ::step].astype(np.float32)
    scale = mask.size / looked_at.size
    return np.asarray(rows.T @ (looked_at @ cols), dtype=np.float32) * np.float32(scale)


def _sources(prompts: Sequence[SourcePrompt]) -> list[int]:
    return sorted({prompt.source for prompt in prompts if not prompt.exclude})


def _densest(pixels: FloatImage, clicked: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Where most uncertain pixels lie close together, but for patches that were clicked."""
    near = gaussian_filter(pixels, _NEAR, mode="constant")
    near[pixels <= 0] = -1
    for place in clicked:
        near[place] = -1
    if pixels.sum() < _FEWEST_PIXELS or near.max() <= 0:
        return None
    row, col = np.unravel_index(int(near.argmax()), near.shape)
    return int(row), int(col)


def _possible_sources(
    prompts: Sequence[SourcePrompt], logits: FloatImage
) -> list[tuple[int, float]]:
    """Sources that a point may be of, one that has no prompt yet among them, and their shares."""
    sources = _sources(prompts)
    another = next((k for k in range(1, MOST_SOURCES + 1) if k not in sources), None)
    shares = softmax(logits)
    likely = [
        (source, float(share))
        for source, share in zip([*sources, another], shares, strict=True)
        if source is not None and share >= _LIKELY
    ]
    total = sum(share for _, share in likely)
    return [(source, share / total) for source, share in likely]
