"""Whether two regions show the same pixels, or only things that look alike.

A keypoint describes shapes; windows of one facade have the same. The pixels themselves are compared
after the map: zero-mean normalised cross-correlation in small windows, and the correlation of what
is left without shapes, where two photographs of like things differ.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy.ndimage import (
    binary_closing,
    binary_dilation,
    binary_fill_holes,
    binary_opening,
    gaussian_filter,
    label,
    map_coordinates,
    maximum_filter,
    minimum_filter,
    uniform_filter,
)
from scipy.spatial import ConvexHull, QhullError
from skimage.draw import polygon2mask

from napari_safire.forensics.copy_move.alignment import aligned, evened
from napari_safire.forensics.copy_move.geometry import Affine, Move, moved
from napari_safire.forensics.copy_move.keypoints import Keypoints, Matches
from napari_safire.types import FloatImage

_WINDOW = 9
_LEAST_VARIANCE = 4.0  # grey levels squared: below, windows hold hardly more than rounding
_SAME = 0.95
_GROWN_FROM = 0.8
_FINE_FROM = 0.55  # correlation of residuals in a window: noise that was copied
_MARGIN = 64  # pixels around the matches in which a region may grow
_FROM_SHIFT = 15  # pixels of a window in which a shift's residuals are correlated
_LEAST_AREA = 150  # pixels
_NEAR = 4.0  # pixels between a match's end and where the map sends it
_PASSES = 2  # on the seed, then on what grew from it
_COARSE = 1.5  # pixels of blur under which shapes go

Mask = npt.NDArray[np.bool_]
Window = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Traits:
    """What tells a copy from a thing that looks alike, of one pair of regions.

    Parameters
    ----------
    matches : float
        log10 of one and the keypoints that match.
    peak : float
        Standard deviations by which the shift stands out from others; 0 if there is none.
    same : float
        Share of the region whose windows correlate above .95.
    fine : float
        Correlation of residuals (shapes above 1 pixel taken away) in the region.
    lowest : float
        The same in windows; a fifth of the region's windows are below.
    coarse : float
        Correlation in hull and region of what is finer than 1.5 pixels, strong edges most.
    difference : float
        Mean absolute difference after gain and offset, over mean absolute contrast.
    distance : float
        log10 of pixels between the ends.
    resembling : float
        Share of the region's keypoints that look like third places as well.
    alone : float
        Share of the region's matches that go where its map sends them; 0.5 if it has none.
    flat : float
        Share of pixels equal to all their neighbours.
    two_tone : float
        Share of pixels in the region's two most frequent tones.
    """

    matches: float = 0.0
    peak: float = 0.0
    same: float = 0.0
    fine: float = 0.0
    lowest: float = 0.0
    coarse: float = 0.0
    difference: float = 1.0
    distance: float = 0.0
    resembling: float = 0.0
    alone: float = 0.5
    flat: float = 0.0
    two_tone: float = 0.0

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the traits."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A picture and what is left of it without shapes.

    Parameters
    ----------
    image : (H, W) float32 array in 0 .. 255
    fine : (H, W) float32 array
        Residual of about one contrast everywhere.
    coarse : (H, W) float32 array
        Grey levels, without what is broader than 1.5 pixels.
    flat : (H, W) bool array
        Pixels that equal their neighbours.
    """

    image: FloatImage
    fine: FloatImage
    coarse: FloatImage
    flat: Mask

    @classmethod
    def of(cls, image: FloatImage) -> Surface:
        """Prepare a picture."""
        flat = maximum_filter(image, 3) - minimum_filter(image, 3) < 0.02
        coarse = image - gaussian_filter(image, _COARSE)
        return cls(image, evened(image), coarse, flat)


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """A move with the regions that show the same.

    Parameters
    ----------
    move : Move
    traits : Traits
    starts, ends : (H, W) bool array
        Both regions, in pixels of the picture that was compared.
    """

    move: Move
    traits: Traits
    starts: Mask
    ends: Mask


def seed_of_shift(surface: Surface, shift: npt.NDArray[np.float64]) -> Mask:
    """Where a picture's residual is the same as that a shift away, at the shift's start."""
    rows, cols = (int(n) for n in shift)
    height, width = surface.fine.shape
    here = np.s_[: height - rows, max(0, -cols) : width - max(0, cols)]
    there = np.s_[rows:, max(0, cols) : width - max(0, -cols)]
    a, b = surface.fine[here], surface.fine[there]
    together = uniform_filter(a * b, _FROM_SHIFT)
    spread = uniform_filter(a * a, _FROM_SHIFT) * uniform_filter(b * b, _FROM_SHIFT)
    seed = np.zeros((height, width), bool)
    seed[here] = together > _FINE_FROM * np.sqrt(np.maximum(spread, 1e-4))
    seed = binary_opening(seed, iterations=3)
    numbers, count = label(seed)
    if not count:
        return seed
    return np.asarray(numbers == np.bincount(numbers.ravel())[1:].argmax() + 1)


def verify(
    surface: Surface,
    keypoints: Keypoints,
    matches: Matches,
    move: Move,
    *,
    seed: Mask | None = None,
    peak: float = 0.0,
) -> Verified | None:
    """Compare the pixels of both ends of a move.

    Parameters
    ----------
    surface : Surface
    keypoints : Keypoints
        All of the picture.
    matches : Matches
        All of the picture.
    move : Move
        In pixels of the surface.
    seed : (H, W) bool array, optional
        Where it was found, instead of the hull of its matches.
    peak : float
        Height of the shift's peak.

    Returns
    -------
    Verified or None
        None if hardly any pixel is left to compare.
    """
    shape = surface.image.shape
    if seed is None and move.zoom < 1:  # look from the smaller end at the larger
        move = Move(move.inverse(), move.ends, move.starts)
    seed = _seed(move.starts, shape) if seed is None else seed
    lies_on, affine = seed, move.affine
    for _ in range(_PASSES):
        places = np.argwhere(lies_on)
        if len(places) < _LEAST_AREA:
            return None
        affine = _snapped(aligned(surface.coarse, affine, places), places)
        window = _window(places, shape)
        look = _compare(surface, affine, window)
        region, held = _grown(look, lies_on[window], _within(move.starts, window))
        lies_on = np.zeros(shape, bool)
        lies_on[window] = region
    if held.sum() >= 3:  # the others are chance agreements somewhere else
        move = Move(affine, move.starts[held], move.ends[held])
    move = Move(affine, move.starts, move.ends)
    hull = (_seed(move.starts, shape) if len(move) > 2 else seed)[window] & look.inside
    traits = _traits(surface, keypoints, matches, move, window, look, region, hull, peak)
    return Verified(move, traits, lies_on, _pushed(lies_on, move))


def _within(places: npt.NDArray[np.float64], window: Window) -> npt.NDArray[np.float64]:
    return places - np.array([part.start for part in window])


def _snapped(affine: Affine, places: npt.NDArray[np.int64]) -> Affine:
    """A whole-pixel shift, where a map is hardly anything else: then pixels agree exactly."""
    corners = np.array([places.min(axis=0), places.max(axis=0), places.mean(axis=0)])
    shift = np.rint((moved(affine, corners) - corners).mean(axis=0))
    if np.abs(moved(affine, corners) - corners - shift).max() < 0.35:
        return np.column_stack([np.eye(2), shift])
    return affine


def _window(places: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Window:
    low, high = places.min(axis=0), places.max(axis=0) + 1
    margin = np.maximum(_MARGIN, (high - low) // 2)
    low, high = np.maximum(low - margin, 0), np.minimum(high + margin, shape)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """Both ends' pixels on each other, in one window."""

    inside: Mask
    zncc: FloatImage
    difference: FloatImage
    contrast: FloatImage
    fine: tuple[FloatImage, FloatImage]
    coarse: tuple[FloatImage, FloatImage]
    alike: FloatImage


def _compare(surface: Surface, affine: Affine, window: Window) -> _Look:
    rows, cols = np.mgrid[window].astype(np.float32)
    to = np.stack(
        [
            affine[0, 0] * rows + affine[0, 1] * cols + affine[0, 2],
            affine[1, 0] * rows + affine[1, 1] * cols + affine[1, 2],
        ]
    ).astype(np.float32)
    height, width = surface.image.shape
    inside = (to[0] >= 0) & (to[0] <= height - 1) & (to[1] >= 0) & (to[1] <= width - 1)
    images = (surface.image, surface.fine, surface.coarse)
    whole = bool((affine == np.rint(affine)).all())
    order = 0 if whole else 1
    here = [image[window] for image in images]
    there = [
        map_coordinates(image, to, order=order, mode="nearest", output=np.float32)
        for image in images
    ]
    mean_a, mean_b = uniform_filter(here[0], _WINDOW), uniform_filter(there[0], _WINDOW)
    a, b = here[0] - mean_a, there[0] - mean_b
    var_a, var_b = uniform_filter(a * a, _WINDOW), uniform_filter(b * b, _WINDOW)
    zncc = uniform_filter(a * b, _WINDOW) / np.sqrt(
        np.maximum(var_a, _LEAST_VARIANCE) * np.maximum(var_b, _LEAST_VARIANCE)
    )
    zncc[~inside] = -1
    together = uniform_filter(here[1] * there[1], _WINDOW + 2)
    power = uniform_filter(here[1] ** 2, _WINDOW + 2) * uniform_filter(there[1] ** 2, _WINDOW + 2)
    alike = together / np.sqrt(np.maximum(power, 1e-4))
    alike[~inside] = -1
    return _Look(
        inside,
        zncc,
        np.abs(a - b),
        (np.abs(a) + np.abs(b)) / 2,
        (here[1], there[1]),
        (here[2], there[2]),
        alike,
    )


def _seed(places: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Mask:
    """Hull of matches; discs around them if they lie on a line."""
    try:
        corners = places[ConvexHull(places).vertices]
        hull = np.asarray(polygon2mask(shape, corners), bool)
    except QhullError:
        hull = np.zeros(shape, bool)
    if hull.sum() >= _LEAST_AREA:
        return hull
    mask = np.zeros(shape, np.float32)
    mask[_indices(places, shape)] = 1
    return np.asarray(uniform_filter(mask, 2 * _WINDOW + 1) > 0)


def _indices(
    places: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    at = np.rint(places).astype(np.int64)
    return np.clip(at[:, 0], 0, shape[0] - 1), np.clip(at[:, 1], 0, shape[1] - 1)


def _grown(
    look: _Look, seed: Mask, starts: npt.NDArray[np.float64]
) -> tuple[Mask, npt.NDArray[np.bool_]]:
    """The connected places that correlate and hold most matches, and which matches these are."""
    alike = (look.zncc > _GROWN_FROM) | (look.alike > _FINE_FROM)
    alike = binary_opening(alike, iterations=2)
    alike = binary_closing(np.pad(alike, 5), iterations=5)[5:-5, 5:-5]
    # matches lie on edges of regions as well: they belong to what is near
    numbers, count = label(binary_dilation(alike, iterations=_WINDOW // 2))
    if not count:
        return alike, np.zeros(len(starts), bool)
    at = numbers[_indices(starts, alike.shape)] if len(starts) else np.empty(0, int)
    counts = np.bincount(at if len(starts) else numbers[seed], minlength=count + 1)
    counts[0] = 0
    if not counts.any():
        return np.zeros_like(alike), np.zeros(len(starts), bool)
    most = int(counts.argmax())
    return binary_fill_holes(alike & (numbers == most)) & look.inside, at == most


def _correlation(pair: tuple[FloatImage, FloatImage], where: Mask) -> float:
    a, b = (image[where].astype(np.float64) for image in pair)
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 1e-6 else 0.0


def _traits(
    surface: Surface,
    keypoints: Keypoints,
    matches: Matches,
    move: Move,
    window: Window,
    look: _Look,
    region: Mask,
    hull: Mask,
    peak: float,
) -> Traits:
    both = hull | region
    if not (hull.any() and region.any()):
        return Traits()
    image = surface.image[window][both]
    tones = np.bincount((image / 8).astype(np.int64), minlength=32)
    tones = np.sort(np.convolve(tones, [1, 1])[::2])
    lies_in = np.zeros(surface.image.shape, bool)
    lies_in[window] = both
    inside = lies_in[_indices(keypoints.places, lies_in.shape)]
    centre = np.argwhere(lies_in).mean(axis=0)
    away = float(np.linalg.norm(moved(move.affine, centre[None])[0] - centre))
    return Traits(
        matches=float(np.log10(1 + len(move))),
        peak=peak,
        same=float((look.zncc[region] > _SAME).mean()),
        fine=_correlation(look.fine, region),
        lowest=float(np.quantile(look.alike[region], 0.2)),
        coarse=_correlation(look.coarse, both),
        difference=float(look.difference[hull].mean() / (look.contrast[hull].mean() + 0.5)),
        distance=float(np.log10(1 + away)),
        resembling=float(keypoints.resembling(move.affine, inside)),
        alone=_alone(matches, move.affine, lies_in),
        flat=float(surface.flat[window][both].mean()),
        two_tone=float(tones[-2:].sum() / tones.sum()),
    )


def _alone(matches: Matches, affine: Affine, region: Mask) -> float:
    starts = np.concatenate([matches.starts, matches.ends])
    ends = np.concatenate([matches.ends, matches.starts])
    inside = region[_indices(starts, region.shape)]
    if not inside.any():
        return 0.5
    off = np.linalg.norm(moved(affine, starts[inside]) - ends[inside], axis=1)
    return float((off < _NEAR).mean())


def _pushed(region: Mask, move: Move) -> Mask:
    """Where the map sends a region."""
    sent = np.zeros(region.shape, bool)
    places = np.argwhere(region)
    if not len(places):
        return sent
    box = np.array([places.min(axis=0), places.max(axis=0)])
    corners = np.array([[r, c] for r in box[:, 0] for c in box[:, 1]], float)
    reached = moved(move.affine, corners)
    low = np.clip(np.floor(reached.min(axis=0)).astype(int), 0, np.array(region.shape) - 1)
    high = np.clip(np.ceil(reached.max(axis=0)).astype(int) + 1, 1, region.shape)
    window = slice(low[0], high[0]), slice(low[1], high[1])
    rows, cols = np.mgrid[window]
    back = moved(move.inverse(), np.stack([rows, cols], axis=-1).reshape(-1, 2))
    at = np.rint(back).astype(np.int64)
    inside = ((at >= 0) & (at < region.shape)).all(axis=1)
    values = np.zeros(len(at), bool)
    values[inside] = region[at[inside, 0], at[inside, 1]]
    sent[window] = values.reshape(rows.shape)
    return sent
