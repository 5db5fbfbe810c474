"""A drawn stroke snapped to the edges of the picture.

Whoever paints a source by hand follows its edge within a dozen pixels. Around the edge of the
stroke nothing is decided then: the picture's own edges divide what is inside for certain from what
is outside, by a watershed on the gradient of the colours (Meyer 1994, as in scikit-image). That
was better than a random walker, and residuals of noise added nothing (docs/lab-notes.md, "Snapping
to edges"). All is done in a box around the stroke.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import (
    distance_transform_edt,
    gaussian_gradient_magnitude,
    maximum_filter,
)

from napari_safire.annotation.annotation import Labels, Mask, Stroke
from napari_safire.errors import SafireError
from napari_safire.types import FloatImage

REACH = 14  # pixels: how far from the drawn edge the picture's is looked for
_BLUR = 1.5  # pixels: standard deviation; .7 to 2 do as well
_CORE = 0.7  # of the half width of a thin part: what is as deep inside is decided
_NO_SOURCE = 256  # for the watershed, whose 0 is undecided


def snapped(
    before: Labels,
    stroke: Stroke,
    pixels: npt.NDArray[Any],
    *,
    protected: Mask | None = None,
    reach: int = REACH,
) -> Stroke | None:
    """Move the edge of a stroke to the edge of the picture that lies near it.

    Parameters
    ----------
    before : (H, W) uint8 array
        What was shown.
    stroke : Stroke
        Of one source, or one that erases.
    pixels : (H, W) or (H, W, C) array
        The picture, of any dtype; read in the box around the stroke alone.
    protected : (H, W) bool array, optional
        Painted or protected before the stroke: it stays as it is.
    reach : int
        Pixels on both sides of the edge.

    Returns
    -------
    Stroke or None
        What it would have been, against what was shown before. Where it took pixels of its own
        source away, these have the label of their neighbours. None where nothing changes.

    Raises
    ------
    SafireError
        The stroke has several labels.
    ValueError
        ``reach`` is below 1, or the picture is of another size.
    """
    source = _checked_source(before, stroke, pixels, reach)
    corner = stroke.top, stroke.left
    rows, cols = (
        slice(max(0, start - 2 * reach), min(side, start + length + 2 * reach))
        for start, length, side in zip(corner, stroke.mask.shape, before.shape, strict=True)
    )
    earlier = before[rows, cols]
    inside = np.zeros(earlier.shape, np.bool_)
    here = replace(stroke, top=stroke.top - rows.start, left=stroke.left - cols.start)
    here.put(inside, True)
    drawn = np.where(inside, source, earlier).astype(np.int32)
    undecided = _undecided(drawn == source, inside, reach)
    if protected is not None:
        undecided &= inside | ~protected[rows, cols]
    if not undecided.any():
        return None
    decided = _divided(drawn, undecided, gradient(pixels[rows, cols]))
    # What is not of the source keeps its label; of two others that meet here no edge is moved.
    kept = np.where(earlier == source, decided, earlier)
    result = np.where(undecided, np.where(decided == source, source, kept), drawn)
    change = Stroke.between(earlier, result)
    if change is None or np.array_equal(drawn, result):
        return None
    return replace(change, top=change.top + rows.start, left=change.left + cols.start)


def _checked_source(before: Labels, stroke: Stroke, pixels: npt.NDArray[Any], reach: int) -> int:
    if reach < 1:
        raise ValueError(f"reach is {reach} pixels, but must be at least 1.")
    if pixels.shape[:2] != before.shape:
        raise ValueError(
            f"The picture has {pixels.shape[:2]} pixels, its labels {before.shape}: give those of "
            "one picture."
        )
    found = np.unique(stroke.labels[stroke.mask])
    if len(found) != 1:
        raise SafireError(
            f"The stroke has {len(found)} labels: only a stroke of one source can be snapped."
        )
    return int(found[0])


def gradient(pixels: npt.NDArray[Any]) -> FloatImage:
    """Strength of the picture's edges: the largest of its channels'.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C) array
        Of any dtype; a fourth channel is none of its colours.

    Returns
    -------
    (H, W) float32 array
    """
    channels = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]
    strength = np.zeros(channels.shape[:2], np.float32)
    for k in range(channels.shape[2]):
        values = np.nan_to_num(channels[..., k].astype(np.float32))
        np.maximum(strength, gaussian_gradient_magnitude(values, _BLUR), out=strength)
    return strength


def _undecided(of_source: Mask, inside: Mask, reach: int) -> Mask:
    """Pixels near the edge that the stroke drew, but for the middle of what is thin there."""
    edge = np.zeros(of_source.shape, np.bool_)
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        meets = (of_source[here] != of_source[there]) & (inside[here] | inside[there])
        edge[here] |= meets
        edge[there] |= meets
    if not edge.any():
        return edge
    distance = distance_transform_edt(~edge).astype(np.float32)
    undecided = distance <= reach
    for side in (of_source, ~of_source):
        deepest = maximum_filter(np.where(side, distance, 0), 2 * reach + 1)
        undecided &= ~(side & (distance > 0) & (distance >= _CORE * deepest))
    return np.asarray(undecided, dtype=np.bool_)


def _divided(labels: npt.NDArray[np.int32], undecided: Mask, edges: FloatImage) -> npt.NDArray[Any]:
    """Give undecided pixels the label whose pixels reach them over the lowest edges."""
    from skimage.segmentation import watershed  # slow to load: not before it is needed

    markers = np.where(labels == 0, _NO_SOURCE, labels)
    markers[undecided] = 0
    rim = maximum_filter(undecided, 3)  # what is decided elsewhere reaches nothing
    divided = watershed(edges, np.where(rim, markers, 0), mask=rim)
    # Undecided pixels that nothing decided reaches, as of a stroke around all there is, stay.
    divided = np.where(
        (divided == 0) | ~undecided, np.where(labels == 0, _NO_SOURCE, labels), divided
    )
    return np.where(divided == _NO_SOURCE, 0, divided)
