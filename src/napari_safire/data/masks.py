"""Multi-source masks in SafireMS encoding: grey value ``50 * k`` is source k, 0 to 5."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError

STEP = 50
MAX_SOURCE = 5


def encode_sources(labels: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Grey values of source labels.

    Parameters
    ----------
    labels : (H, W) int or bool array
        Source of each pixel, 0 to 5.

    Returns
    -------
    (H, W) uint8 array
        ``50 * labels``.

    Raises
    ------
    ValueError
        For labels outside 0 to 5, which the encoding cannot hold.
    TypeError
        For labels that are not integers.

    Examples
    --------
    >>> encode_sources([[0, 1, 5]])
    array([[  0,  50, 250]], dtype=uint8)
    """
    values = _grey_integers(labels, "labels")
    if values.size and (values.min() < 0 or values.max() > MAX_SOURCE):
        raise ValueError(
            f"The labels reach from {values.min()} to {values.max()}, but SafireMS masks hold 0 to "
            f"{MAX_SOURCE}: merge sources, or save the labels as they are."
        )
    return (values.astype(np.uint8) * np.uint8(STEP)).astype(np.uint8)


def decode_sources(mask: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Source labels of grey values.

    Parameters
    ----------
    mask : (H, W) int array
        Multiples of 50 up to 250.

    Returns
    -------
    (H, W) uint8 array
        Source of each pixel, 0 to 5.

    Raises
    ------
    DatasetError
        If there is any other value; the message lists the values and how often they occur.
    TypeError, ValueError
        For arrays that are no grey picture.

    Examples
    --------
    >>> decode_sources([[0, 50, 250]])
    array([[0, 1, 5]], dtype=uint8)
    """
    values = _grey_integers(mask, "mask")
    stray = (values % STEP != 0) | (values < 0) | (values > STEP * MAX_SOURCE)
    if stray.any():
        raise DatasetError(_stray_sentence(values[stray]))
    return (values // STEP).astype(np.uint8)


def resize_mask(mask: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Bring a mask to another size by its nearest pixels, so that no new values arise.

    Parameters
    ----------
    mask : (H, W) array
        Labels, or bool.
    shape : (int, int)
        Rows and columns of the result.

    Returns
    -------
    (shape[0], shape[1]) array
        `mask` itself where it has that size.

    Examples
    --------
    >>> resize_mask(np.array([[0, 1]]), (1, 4))
    array([[0, 0, 1, 1]])
    """
    if mask.shape == tuple(shape):
        return mask
    rows, cols = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for old, new in zip(mask.shape, shape, strict=True)
    )
    return mask[np.ix_(rows, cols)]


def _grey_integers(array: npt.ArrayLike, what: str) -> npt.NDArray[np.integer]:
    values = np.asarray(array)
    if values.ndim != 2:
        raise ValueError(f"The {what} has shape {values.shape}: give an (H, W) array.")
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind not in "iu":
        raise TypeError(f"The {what} has dtype {values.dtype}: give integers.")
    return values


def _stray_sentence(stray: npt.NDArray[np.integer], n_named: int = 8) -> str:
    found, counts = np.unique(stray, return_counts=True)
    common = np.argsort(-counts, kind="stable")[:n_named]
    named = ", ".join(f"{found[i]} ({counts[i]} pixels)" for i in common)
    more = f" and {len(found) - n_named} other values" if len(found) > n_named else ""
    return (
        f"A SafireMS mask holds 0, 50, 100, 150, 200 and 250 only, this one also {named}{more}: "
        "save it again without smoothing, resizing or JPEG."
    )
