"""What edits of labels check before they change anything."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_safire.types import LabelImage

Mask = npt.NDArray[np.bool_]
_MOST_NAMED = 12


def checked(labels: LabelImage, protected: Mask | None) -> tuple[LabelImage, Mask | None]:
    """Check labels and protected pixels.

    Parameters
    ----------
    labels : (H, W) int array
    protected : (H, W) bool array or None

    Returns
    -------
    labels : (H, W) int array
    free : (H, W) bool array or None
        Where they may change; None: everywhere.

    Raises
    ------
    ValueError
        They are not of these types and shapes, or go below 0.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2:
        raise ValueError(f"The labels have shape {labels.shape}: give an (H, W) array.")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"The labels have dtype {labels.dtype}: give integers.")
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise ValueError(
            f"The labels go down to {labels.min()}: sources count from 1, and 0 is no source."
        )
    if protected is None:
        return labels, None
    protected = np.asarray(protected)
    if protected.dtype != np.bool_ or protected.shape != labels.shape:
        raise ValueError(
            f"The protected pixels are {protected.dtype} of shape {protected.shape}: give bool of "
            f"the labels' shape {labels.shape}."
        )
    return labels, ~protected


def region_of(labels: LabelImage, source: int) -> Mask:
    """Find the pixels of a source.

    Parameters
    ----------
    labels : (H, W) int array
    source : int

    Returns
    -------
    (H, W) bool array

    Raises
    ------
    ValueError
        It does not occur.
    """
    region: Mask = labels == source
    if source < 1 or not region.any():
        present = np.unique(labels)
        present = present[present > 0]
        named = ", ".join(str(number) for number in present[:_MOST_NAMED])
        more = f" and {len(present) - _MOST_NAMED} more" if len(present) > _MOST_NAMED else ""
        raise ValueError(
            f"There is no source {source} in these labels: "
            + (f"choose one of {named}{more}." if named else "they hold no source at all.")
        )
    return region
