"""What fills the place of a removed object: an interface, and two classical methods.

"biharmonic" bends the surroundings smoothly into the hole and puts their grain back; "clone" covers
the hole with parts of the same picture that continue its surroundings. Learned methods come in as
plug-ins (`napari_safire.synthesis.plugins`).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft, ndimage
from skimage.restoration import inpaint_biharmonic

from napari_safire.synthesis.harmonic import harmonic_fill

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_BIHARMONIC_PIXELS = 6_000  # of the hole, in the reduced picture
_GRAIN_SIDE = 32
_SEARCH_SIDE = 192  # of the reduced picture in which shifts are sought
_RING = 3  # pixels around the hole that a shift has to continue, in the reduced picture
_MOST_PARTS = 12


class Inpainter(Protocol):
    """Fills the hole of a picture.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
        Not to be changed in place.
    mask : (H, W) bool array
        The hole: neither empty nor the whole picture.
    rng : numpy.random.Generator
        All randomness, so that the same state gives the same pixels.

    Returns
    -------
    (H, W, 3) uint8 array
        `pixels` outside the hole, new content inside.
    """

    def __call__(self, pixels: Pixels, mask: Mask, rng: np.random.Generator, /) -> Pixels:
        """Fill the hole."""
        ...


def biharmonic(pixels: Pixels, mask: Mask, rng: np.random.Generator) -> Pixels:
    """Continue the surroundings smoothly and give the result their grain.

    The biharmonic equation (scikit-image) is solved on a picture reduced until the hole has some
    thousand pixels; a harmonic fill takes away what the reduction left at the border. The grain is
    spot noise (Galerne, Gousseau, Morel, "Random Phase Textures", 2011): it has the covariance of
    the high frequencies around the hole, between pixels and between colours.
    """
    box = _box(mask, margin=24)
    part, hole = pixels[box].astype(np.float32), mask[box]
    grain_free = ndimage.gaussian_filter(part, (1.0, 1.0, 0))
    smooth = _reduced_biharmonic(part, hole)
    # Not the border itself is met, which is grainy, but the grain-free picture.
    mismatch = np.where(hole[..., None], 0, _outside_mean(part, hole) - smooth).astype(np.float32)
    smooth = smooth + harmonic_fill(mismatch, ~hole, hole)
    filled = smooth + _grain(part - grain_free, hole, rng)
    return _put(pixels, mask, box, filled)


def clone(pixels: Pixels, mask: Mask, rng: np.random.Generator) -> Pixels:
    """Cover the hole with shifted parts of the same picture, without seams.

    For each part the shift is taken whose content continues the surroundings best (least squares
    over a ring, by FFT); what it cannot cover, since there it would fetch the hole itself, is left
    to the next. Each part is blended by a Poisson solve (`napari_safire.synthesis.harmonic`).
    """
    del rng  # the best shift is the best shift
    canvas = pixels.astype(np.float32)
    left = mask.copy()
    for _ in range(_MOST_PARTS):
        shift = _best_shift(canvas, mask, left)
        if shift is None:
            break
        content, there = _shifted(canvas, mask, shift)
        part = left & there
        if not part.any():
            break
        canvas = _blended(canvas, content, part, ~left & there)
        left &= ~part
        if not left.any():
            break
    if left.any():  # no shift reaches it: a hole almost as large as the picture
        canvas = np.where(left[..., None], harmonic_fill(canvas, ~left, left), canvas)
    return _put(pixels, mask, (slice(None), slice(None)), canvas)


def _box(mask: Mask, margin: int) -> tuple[slice, slice]:
    rows, cols = ndimage.find_objects(mask.astype(np.int8))[0]
    return (
        slice(max(0, rows.start - margin), rows.stop + margin),
        slice(max(0, cols.start - margin), cols.stop + margin),
    )


def _put(
    pixels: Pixels, mask: Mask, box: tuple[slice, slice], values: npt.NDArray[np.float32]
) -> Pixels:
    filled = pixels.copy()
    hole = mask[box]
    filled[box][hole] = np.clip(np.rint(values[hole]), 0, 255).astype(np.uint8)
    return filled


# --- biharmonic -----------------------------------------------------------------------------------


def _outside_mean(part: npt.NDArray[np.float32], hole: Mask) -> npt.NDArray[np.float32]:
    """The picture without its grain, as far as known pixels alone tell."""
    weight = ndimage.gaussian_filter((~hole).astype(np.float32), 2.0)
    means = ndimage.gaussian_filter(np.where(hole[..., None], 0, part), (2.0, 2.0, 0))
    return means / np.maximum(weight, 1e-3)[..., None]


def _reduced_biharmonic(part: npt.NDArray[np.float32], hole: Mask) -> npt.NDArray[np.float32]:
    factor = max(1, int(np.ceil(np.sqrt(hole.sum() / _BIHARMONIC_PIXELS))))
    factor = min(factor, max(1, min(hole.shape) // 8))
    size = tuple(-(-side // factor) for side in hole.shape)
    pad = [(0, factor * small - side) for small, side in zip(size, hole.shape, strict=True)]
    known = np.pad(~hole, pad, mode="edge").astype(np.float32)
    sums = np.pad(np.where(hole[..., None], 0, part), [*pad, (0, 0)], mode="edge")
    weight = known.reshape(size[0], factor, size[1], factor).sum((1, 3))
    sums = sums.reshape(size[0], factor, size[1], factor, 3).sum((1, 3))
    small_hole = weight < factor**2 / 2
    small = sums / np.maximum(weight, 1)[..., None]
    solved = inpaint_biharmonic(small.astype(np.float64) / 255, small_hole, channel_axis=-1) * 255
    # Far extrapolation overshoots; the surroundings' range does not.
    reliable = small[~small_hole]
    if reliable.size:
        solved = np.clip(solved, reliable.min(0), reliable.max(0))
    shape = (size[1] * factor, size[0] * factor)
    planes = [
        np.asarray(
            Image.fromarray(solved[..., k].astype(np.float32)).resize(
                shape, Image.Resampling.BILINEAR
            )
        )
        for k in range(3)
    ]
    return np.stack(planes, -1)[: hole.shape[0], : hole.shape[1]]


def _grain(
    residual: npt.NDArray[np.float32], hole: Mask, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    patch = _typical_patch(residual, ~ndimage.binary_dilation(hole, iterations=5))
    spots = (patch - patch.mean((0, 1))) / np.sqrt(patch.shape[0] * patch.shape[1])
    # By FFT, cyclically: noise has no beginning. (scipy.signal takes half a second to import.)
    size = tuple(fft.next_fast_len(side) for side in hole.shape)
    spectrum = fft.rfft2(rng.standard_normal(size, dtype=np.float32))
    planes = [fft.irfft2(spectrum * fft.rfft2(spots[..., k], size), size) for k in range(3)]
    return np.stack(planes, -1)[: hole.shape[0], : hole.shape[1]].astype(np.float32)


def _typical_patch(residual: npt.NDArray[np.float32], usable: Mask) -> npt.NDArray[np.float32]:
    """The patch of middling energy among those around the hole that are wholly known."""
    side = min(_GRAIN_SIDE, *usable.shape)
    step = max(1, side // 2)
    found = []
    for row in range(0, usable.shape[0] - side + 1, step):
        for col in range(0, usable.shape[1] - side + 1, step):
            place = (slice(row, row + side), slice(col, col + side))
            share = usable[place].mean()
            patch = np.where(usable[place][..., None], residual[place], 0)
            energy = float((patch**2).mean() / max(share, 1e-6))
            found.append((share, energy, patch))
    most = max(share for share, _, _ in found)
    best = sorted(
        ((energy, patch) for share, energy, patch in found if share >= most - 1e-9),
        key=lambda pair: pair[0],
    )
    typical = best[len(best) // 2][1] / np.sqrt(max(most, 1e-6))
    return typical.astype(np.float32)


# --- clone ----------------------------------------------------------------------------------------


def _best_shift(canvas: npt.NDArray[np.float32], mask: Mask, left: Mask) -> tuple[int, int] | None:
    """Rows and columns from the hole to the content that continues its surroundings."""
    factor = max(1, -(-max(mask.shape) // _SEARCH_SIDE))
    grey = canvas[::factor, ::factor].mean(-1) / 255
    hole, unfilled = mask[::factor, ::factor], left[::factor, ::factor]
    if hole.all() or not unfilled.any():
        return None
    cost = _cost_of_shifts(grey, hole, unfilled)
    if not np.isfinite(cost).any():
        return None
    best = np.unravel_index(int(np.argmin(cost)), cost.shape)
    row, col = (
        int(place) - length if place > length // 2 else int(place)
        for place, length in zip(best, cost.shape, strict=True)
    )
    return factor * row, factor * col


def _cost_of_shifts(
    grey: npt.NDArray[np.float32], hole: Mask, unfilled: Mask
) -> npt.NDArray[np.float64]:
    """Mean squared difference on the ring, plus what is not covered; shifts modulo the shape."""
    size = tuple(fft.next_fast_len(2 * side) for side in hole.shape)

    def spectrum(array: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
        return fft.rfft2(array.astype(np.float64), size)

    def correlate(
        weights: npt.NDArray[np.complex128], values: npt.NDArray[np.complex128]
    ) -> npt.NDArray[np.float64]:
        """Sum over p of weights(p) * values(p + shift), for every shift."""
        return fft.irfft2(np.conj(weights) * values, size)

    ring = ndimage.binary_dilation(unfilled, iterations=_RING) & ~unfilled
    known = spectrum(~hole)
    content = np.where(hole, 0, grey)
    around = np.where(ring, grey, 0)
    compared = correlate(spectrum(ring), known)
    difference = (
        correlate(spectrum(around**2), known)
        - 2 * correlate(spectrum(around), spectrum(content))
        + correlate(spectrum(ring), spectrum(content**2))
    )
    covered = correlate(spectrum(unfilled), known) / unfilled.sum()
    usable = (covered > 1e-6) & (compared > 0.3 * ring.sum())
    if not usable.any():
        usable = covered > 1e-6
    error = np.maximum(difference / np.maximum(compared, 1), 0)
    # An uncovered pixel costs as much as a difference of 90 grey levels.
    return np.where(usable, error + (1 - covered) * (90 / 255) ** 2, np.inf)


def _shifted(
    canvas: npt.NDArray[np.float32], mask: Mask, shift: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Content at p + shift, and where it is known."""
    content, there = np.zeros_like(canvas), np.zeros_like(mask)
    target, source = [], []
    for step, side in zip(shift, mask.shape, strict=True):
        target.append(slice(max(0, -step), max(0, side - max(0, step))))
        source.append(slice(max(0, step), max(0, side - max(0, -step))))
    content[tuple(target)] = canvas[tuple(source)]
    there[tuple(target)] = ~mask[tuple(source)]
    return content, there


def _blended(
    canvas: npt.NDArray[np.float32], content: npt.NDArray[np.float32], part: Mask, known: Mask
) -> npt.NDArray[np.float32]:
    box = _box(part, margin=2)
    inside = part[box]
    # What is left for other shifts, or has no content to compare, lets nothing flow through.
    border = known[box] & ndimage.binary_dilation(inside)
    correction = harmonic_fill(canvas[box] - content[box], border, inside)
    blended = canvas.copy()
    blended[box][inside] = content[box][inside] + correction[inside]
    return blended
