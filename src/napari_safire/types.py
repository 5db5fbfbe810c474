"""The values that rooms hand to each other: frozen, NumPy only, row/col in image pixels.

Pixel ``(row, col)`` is the centre of that pixel, as in napari: the top left pixel covers
``-0.5 <= row < 0.5`` (`napari_safire.geometry`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.geometry import Geometry, inside

FloatImage = npt.NDArray[np.float32]
LabelImage = npt.NDArray[np.integer[Any]]
_STRIP_VALUES = 4_000_000  # what is made at once of arrays of the picture's own size


@dataclass(frozen=True, slots=True)
class PointPrompt:
    """One positive point. SAFIRE was trained with single points: one prompt is one point.

    Parameters
    ----------
    row, col : float
        Position in image pixels.
    """

    row: float
    col: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.row) and np.isfinite(self.col)):
            raise ValueError(
                f"The prompt ({self.row}, {self.col}) is not a position: give finite row and "
                "column."
            )

    def lies_in(self, shape: Sequence[float]) -> bool:
        """Whether the point lies on a picture.

        Parameters
        ----------
        shape : (rows, cols)
            Of the picture, in pixels.

        Returns
        -------
        bool
            True on its edges too, half a pixel beyond the centres of the outer pixels.
        """
        return bool(inside(shape, (self.row, self.col)))


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What the encoder says of one image; every later stage starts from it.

    Parameters
    ----------
    features : (C, h, w) float32 array
        One feature vector for each 16 x 16 patch of the model's frame.
    geometry : Geometry
        How the image lies in that frame.
    image_sha256, checkpoint_sha256 : str
        Hashes of the pixels and of the weights: together they identify the embedding.
    warnings : tuple of str
        What had to be mended in the image before it could be embedded, in plain sentences.
    uninformative : (h, w) uint8 array, optional
        For each feature vector whether a camera's traces can be in its patch: 0 if so, else the
        reason (1 dark, 2 saturated, 3 flat; `napari_safire.partitioning.uninformative`). None: not
        known.
    """

    features: FloatImage
    geometry: Geometry
    image_sha256: str
    checkpoint_sha256: str
    warnings: tuple[str, ...] = ()
    uninformative: npt.NDArray[np.uint8] | None = None

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return self.geometry.image_shape


@dataclass(frozen=True, slots=True, eq=False)
class SourceRegion:
    """The source region that contains a prompt.

    The region keeps the decoder's small logit map and makes arrays of the image's own size when
    asked: a grid of 256 regions of a 100-megapixel image then costs megabytes, not gigabytes.

    Parameters
    ----------
    prompt : PointPrompt
    low_res_logits : (h4, w4) float32 array
        The decoder's output over the model's frame.
    geometry : Geometry
    confidence : float
        Predicted pixel accuracy of the mask (the reference calls it ``predicted_iou``, but trains
        it on accuracy). Of a model whose file has a "confidence_calibration": the accuracy that
        such predictions had in the pictures it was calibrated on, in [0, 1]. Of all others the raw
        output of the model: not clipped, mostly in [0, 1].
    """

    prompt: PointPrompt
    low_res_logits: FloatImage
    geometry: Geometry
    confidence: float

    @property
    def logits(self) -> FloatImage:
        """(H, W) float32 logits, positive inside the region; computed at each access."""
        return self.geometry.to_image_size(self.low_res_logits)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W) bool, ``logits > 0``; computed at each access."""
        return self.logits > 0


@dataclass(frozen=True, slots=True, eq=False)
class SourcePartition:
    """The image divided into its sources.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Source of each pixel, ``0 .. n_sources - 1``; 0 is the largest source. Equal to the argmax
        of `probabilities`, up to the rounding of near ties.
    representatives : tuple of SourceRegion
        For each source the region that stands for it, in the order of the labels.
    method : str
        "kmeans", "dbscan" or "auto".
    parameters : mapping
        Everything else that is needed to make this partition again.
    seed : int
    prompts : tuple of PointPrompt
        The grid.
    prompt_sources : (P,) int array
        Source of each prompt, or -1 where the prompt was dropped or is noise.
    n_dropped : int
        Prompts whose mask is empty and which therefore have no feature.
    number_probabilities : mapping of int to float
        Where the number of sources was estimated, how probable each one was, given that there are
        several; empty where it was given, where the model cannot tell, and for a single source.
    """

    labels: npt.NDArray[np.uint8]
    representatives: tuple[SourceRegion, ...]
    method: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    seed: int = 0
    prompts: tuple[PointPrompt, ...] = ()
    prompt_sources: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )
    n_dropped: int = 0
    number_probabilities: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def n_sources(self) -> int:
        """Number of sources, K."""
        return len(self.representatives)

    def probability_strips(self) -> Iterator[tuple[slice, FloatImage]]:
        """Softmax over the sources' logits, a strip of rows at a time.

        Yields
        ------
        rows : slice
        probabilities : (K, h, W) float32 array
            The caller may write to it.
        """
        geometry = self.representatives[0].geometry
        low_res = np.stack([region.low_res_logits for region in self.representatives])
        rows = geometry.interpolation(0, low_res.shape[1])  # (H, h4)
        cols = geometry.interpolation(1, low_res.shape[2])
        halves = [logits @ cols.T for logits in low_res]  # K times (h4, W)
        height, width = geometry.image_shape
        step = max(1, _STRIP_VALUES // (width * self.n_sources))
        for top in range(0, height, step):
            strip = slice(top, min(top + step, height))
            weights = rows[strip]
            values = np.stack([weights @ half for half in halves])
            values -= values.max(axis=0)
            np.exp(values, out=values)
            values /= values.sum(axis=0)
            yield strip, values

    @property
    def probabilities(self) -> FloatImage:
        """(K, H, W) float32 softmax over the sources' logits; computed at each access."""
        shape = self.representatives[0].geometry.image_shape
        whole = np.empty((self.n_sources, *shape), np.float32)
        for rows, values in self.probability_strips():
            whole[:, rows] = values
        return whole
