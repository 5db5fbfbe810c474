"""Where a point of a picture lies: on it or not, and at which position of the model's frame.

Pixel ``(row, col)`` is the centre of that pixel, as in napari: the top left pixel covers
``-0.5 <= row < 0.5``. The model works on a *frame* of its own (a square of ``image_size`` for the
ViT, the padded image itself for the lite model); `Geometry` is the only place that knows how the
two are related.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def inside(lengths: Sequence[float], positions: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Tell which positions lie on a picture, the edges of its outermost pixels included.

    Parameters
    ----------
    lengths : sequence of D float
        Pixels along each axis: rows and columns.
    positions : (..., D) array_like
        In pixels; not a number is nowhere.

    Returns
    -------
    (...) bool array
    """
    where = np.asarray(positions, dtype=np.float64)
    within = (where >= -0.5) & (where <= np.asarray(lengths, dtype=np.float64) - 0.5)
    return np.asarray(within.all(axis=-1), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Geometry:
    """How image pixels lie in the model's frame.

    Parameters
    ----------
    image_shape : (int, int)
        Rows and columns of the image.
    frame_shape : (int, int)
        Rows and columns of the model's frame, in model pixels; the decoder's logits cover it.
    content_shape : (float, float)
        The part of the frame that the image covers, from its top left corner. The rest is padding.
    """

    image_shape: tuple[int, int]
    frame_shape: tuple[int, int]
    content_shape: tuple[float, float]

    @property
    def scale(self) -> tuple[float, float]:
        """Model pixels per image pixel, along rows and along columns."""
        return (
            self.content_shape[0] / self.image_shape[0],
            self.content_shape[1] / self.image_shape[1],
        )

    def contains(self, row: float, col: float) -> bool:
        """Whether the point lies on the image (pixel edges included)."""
        return bool(inside(self.image_shape, (row, col)))

    def to_model_xy(self, row: float, col: float) -> tuple[float, float]:
        """Model ``(x, y)`` of an image point; pixel centres map to pixel centres."""
        scale_row, scale_col = self.scale
        return (col + 0.5) * scale_col - 0.5, (row + 0.5) * scale_row - 0.5

    def interpolation(
        self, axis: int, n_logits: int, positions: npt.ArrayLike | None = None
    ) -> csr_array:
        """Bilinear weights that take logits to image pixels along one axis.

        A logit map over the whole frame is brought to the image's own size by
        ``rows @ logits @ cols.T``, where ``rows`` and ``cols`` are these matrices for axis 0 and 1:
        padding is cropped and the size changed in one bilinear step (pixel centres to pixel
        centres, borders held), as ``align_corners=False`` in PyTorch.

        Parameters
        ----------
        axis : {0, 1}
        n_logits : int
            Length of the logit map along the axis.
        positions : (N,) array_like, optional
            Where to sample, in model pixels; default: the centre of every image pixel.

        Returns
        -------
        (N, n_logits) sparse float32 array
            Two weights a row that sum to one. Dense, the products would take four times as long,
            and leave NumPy's threads spinning on the cores that the model needs next.
        """
        from scipy.sparse import csr_array  # slow to load: not before it is needed

        if positions is None:
            centres = (np.arange(self.image_shape[axis]) + 0.5) * self.scale[axis]
        else:
            centres = np.asarray(positions, dtype=np.float64) + 0.5
        where = np.clip(centres * (n_logits / self.frame_shape[axis]) - 0.5, 0, n_logits - 1)
        lower = np.minimum(where.astype(np.int64), max(n_logits - 2, 0))
        share = (where - lower).astype(np.float32)
        upper = np.minimum(lower + 1, n_logits - 1)
        values = np.stack([1 - share, share], axis=1).ravel()
        columns = np.stack([lower, upper], axis=1).ravel()
        begins = np.arange(len(where) + 1) * 2
        return csr_array((values, columns, begins), shape=(len(where), n_logits))

    def to_image_size(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Bring (h4, w4) logits over the frame to (H, W) float32 logits over the image."""
        rows = self.interpolation(0, logits.shape[0])
        cols = self.interpolation(1, logits.shape[1])
        return np.ascontiguousarray((rows @ np.asarray(logits, dtype=np.float32)) @ cols.T)

    def to_image_rc(self, x: float, y: float) -> tuple[float, float]:
        """Image ``(row, col)`` of a model point: the inverse of `to_model_xy`."""
        scale_row, scale_col = self.scale
        return (y + 0.5) / scale_row - 0.5, (x + 0.5) / scale_col - 0.5
