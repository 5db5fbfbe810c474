"""Small pictures that a file carries, against the picture itself.

Cameras make them by other means than a reduction of the whole: they shift, sharpen and frame them,
and leave them as they are when a picture is turned. So the picture is laid over the small one
first: turned by quarters, shifted, and, where it does not fit as a whole, as a part of it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.feature import match_template

from napari_safire.types import FloatImage

MOST_DIFFERENCE = 16.0
"""Grey levels in a place of 7 x 7: more than in any of 16 untouched files of cameras (11.1)."""

_MOST_THUMBNAIL = 4_000_000  # pixels
_LONGEST = 320  # a larger one is compared at this size
_LEAST = 24  # pixels a side that are left to compare
_SHIFT = 0.07  # of the shorter side
_FITS = 0.95  # correlation at which no part is sought
_FITS_AS_PART = 0.9
_PARTS = (1.16, 1.08, *(0.93**k for k in range(1, 14)))  # sides; above 1 the thumbnail is the part
_PLACE = 7
_DARK = 24  # grey levels of the bars that cameras add
_BORDER = 3


@dataclass(frozen=True, slots=True, eq=False)
class ThumbnailFit:
    """A thumbnail laid over its picture.

    Parameters
    ----------
    difference : (h, w) float32 array
        Least mean absolute difference of the channels within one pixel, in grey levels; rows and
        columns run as in the picture.
    correlation : float
        After the fit.
    turned : int
        Quarters by which the picture is turned against the thumbnail.
    part : float
        Side of what the picture shows of the thumbnail; 1 for all.
    peak : float
        Greatest mean difference in a place of 7 x 7 pixels.
    """

    difference: FloatImage
    correlation: float
    turned: int
    part: float
    peak: float

    @property
    def score(self) -> float:
        """0 for none; 1 at 16 grey levels, 2 more for each doubling."""
        return float(np.log2(1 + (self.peak / MOST_DIFFERENCE) ** 2))


def thumbnail_pixels(stored: bytes | None) -> npt.NDArray[np.uint8] | None:
    """Decode an embedded thumbnail.

    Returns
    -------
    (h, w, 3) uint8 array or None
        None if there is none, or none that can be decoded.
    """
    if not stored:
        return None
    try:
        with Image.open(io.BytesIO(stored), formats=("JPEG", "TIFF")) as image:
            if image.width * image.height > _MOST_THUMBNAIL:
                return None
            image.thumbnail((_LONGEST, _LONGEST), Image.Resampling.BOX)
            return np.asarray(image.convert("RGB"))
    except Exception:  # on damaged files Pillow raises nearly anything
        return None


def fit_thumbnail(
    rgb: npt.NDArray[np.uint8], thumbnail: npt.NDArray[np.uint8]
) -> ThumbnailFit | None:
    """Lay a thumbnail over its picture and compare.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    thumbnail : (h, w, 3) uint8 array

    Returns
    -------
    ThumbnailFit or None
        None where either is too small or too long to compare.
    """
    small = np.asarray(Image.fromarray(rgb).resize(_bounded(rgb.shape[:2]), Image.Resampling.BOX))
    tries = []
    for turned in range(4):
        bars_off = _without_bars(thumbnail, *np.rot90(small, turned).shape[:2])
        if min(bars_off.shape[:2]) < _LEAST:
            continue
        shown = _resized(np.rot90(small, turned), bars_off.shape[:2])
        at, correlation = _place(shown, bars_off)
        tries.append((correlation + 0.02 * (turned == 0), turned, 1.0, shown, bars_off, at))
    if not tries:
        return None
    best = max(tries, key=lambda found: found[0])
    if best[0] < _FITS:
        best = max([best, *_crops(small, thumbnail)], key=lambda found: found[0])
    correlation, turned, part, shown, stored, at = best
    return _compared(shown, stored, at, turned, part)


def _toned(channel: FloatImage, before: FloatImage, after: FloatImage) -> FloatImage:
    """A channel under the cubic curve that brings one set of values nearest to another."""

    def powers(values: FloatImage) -> FloatImage:
        return np.stack([(values / 255) ** k for k in range(4)], axis=-1)

    terms = powers(before).reshape(-1, 4)
    inner = terms.T @ terms + 1e-3 * np.eye(4, dtype=np.float32)
    curve = np.linalg.solve(inner, terms.T @ after.ravel())
    return np.asarray(powers(channel) @ curve, np.float32)


def other_proportions(shape: tuple[int, int], thumbnail: npt.NDArray[np.uint8]) -> bool:
    """Whether a thumbnail has other proportions than a picture, without dark bars that explain it.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the picture, turned as the thumbnail is.
    thumbnail : (h, w, 3) uint8 array
    """
    height, width = thumbnail.shape[:2]
    ratio = (width / height) / (shape[1] / shape[0])
    if abs(np.log(ratio)) < 0.03:
        return False
    rows = max(1, round((height - width * shape[0] / shape[1]) / 2))
    cols = max(1, round((width - height * shape[1] / shape[0]) / 2))
    edges = (thumbnail[:, :cols], thumbnail[:, -cols:]) if ratio > 1 else (
        thumbnail[:rows], thumbnail[-rows:]
    )  # fmt: skip
    return any(float(edge.mean()) > _DARK for edge in edges)


def _crops(
    small: npt.NDArray[np.uint8], thumbnail: npt.NDArray[np.uint8]
) -> list[tuple[float, int, float, FloatImage, FloatImage, tuple[int, int]]]:
    """The picture as a part of the thumbnail, at every size."""
    found = []
    stored = _softened(thumbnail)
    for turned in range(4):
        rows, cols = np.rot90(small, turned).shape[:2]
        whole = min(stored.shape[0] / rows, stored.shape[1] / cols)
        for part in _PARTS:
            size = round(rows * whole * part), round(cols * whole * part)
            if min(size) < _LEAST:
                break
            shown = _resized(np.rot90(small, turned), size)
            inner, outer = (shown, stored) if part < 1 else (stored, shown)
            if any(i > o for i, o in zip(inner.shape, outer.shape, strict=True)):
                continue
            scores = match_template(outer.mean(axis=2), inner.mean(axis=2))
            row, col = np.unravel_index(int(scores.argmax()), scores.shape)
            place = (int(row), int(col)) if part < 1 else (-int(row), -int(col))
            if scores.max() < _FITS_AS_PART:
                continue
            found.append((float(scores.max()) - 0.02, turned, part, shown, stored, place))
    return found


def _place(shown: FloatImage, stored: FloatImage) -> tuple[tuple[int, int], float]:
    """Where the middle of the picture lies in the thumbnail, and how well it fits there."""
    reach = max(2, round(_SHIFT * min(shown.shape[:2])))
    middle = shown[reach:-reach, reach:-reach].mean(axis=2)
    scores = match_template(stored.mean(axis=2), middle)
    row, col = np.unravel_index(int(scores.argmax()), scores.shape)
    return (int(row) - reach, int(col) - reach), float(scores.max())


def _compared(
    shown: FloatImage, stored: FloatImage, at: tuple[int, int], turned: int, part: float
) -> ThumbnailFit:
    """Difference where both overlap; other brightness and contrast are no difference."""
    rows, cols = (np.arange(n) + start for n, start in zip(shown.shape[:2], at, strict=True))
    inside = np.ix_(
        (rows >= 1) & (rows < stored.shape[0] - 1), (cols >= 1) & (cols < stored.shape[1] - 1)
    )
    rows, cols = np.clip(rows, 1, stored.shape[0] - 2), np.clip(cols, 1, stored.shape[1] - 2)
    least = np.full(shown.shape[:2], np.inf, np.float32)
    overlap = stored[np.ix_(rows, cols)][inside], shown[inside]
    toned = np.stack(
        [_toned(stored[..., c], overlap[0][..., c], overlap[1][..., c]) for c in range(3)], axis=-1
    )
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            fitted = toned[np.ix_(rows + down, cols + across)]
            least = np.minimum(least, np.abs(shown - fitted).mean(axis=2))
    known = np.zeros(least.shape, bool)
    known[inside] = True
    known[:_BORDER] = known[-_BORDER:] = known[:, :_BORDER] = known[:, -_BORDER:] = False
    a, b = shown[known].ravel(), toned[np.ix_(rows, cols)][known].ravel()
    spread = float(a.std() * b.std())
    correlation = float(((a - a.mean()) * (b - b.mean())).mean()) / spread if spread > 1e-6 else 1.0
    whole = uniform_filter(known.astype(np.float32), _PLACE, mode="constant") > 0.999
    means = uniform_filter(np.where(known, least, 0), _PLACE, mode="constant")
    peak = float(means[whole].max()) if whole.any() else 0.0
    least[~known] = np.nan
    upright = np.ascontiguousarray(np.rot90(least, -turned)).astype(np.float32)
    return ThumbnailFit(upright, correlation, turned, part, peak)


def _bounded(shape: tuple[int, ...]) -> tuple[int, int]:
    """Columns and rows of a picture that is no longer than twice the longest thumbnail."""
    scale = min(1.0, 2 * _LONGEST / max(shape[:2]))
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _without_bars(thumbnail: npt.NDArray[np.uint8], rows: int, cols: int) -> FloatImage:
    """The largest middle part with the picture's proportions: cameras add bars beside it."""
    height, width = thumbnail.shape[:2]
    down, across = min(height, round(width * rows / cols)), min(width, round(height * cols / rows))
    top, left = (height - down) // 2, (width - across) // 2
    return _softened(thumbnail[top : top + down, left : left + across])


def _resized(rgb: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> FloatImage:
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return _softened(np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BOX)))


def _softened(rgb: npt.NDArray[np.uint8]) -> FloatImage:
    """Without the fine detail that one camera sharpens and another leaves out."""
    return np.asarray(gaussian_filter(rgb.astype(np.float32), (1, 1, 0)), np.float32)
