"""Pairs of regions of a picture that may be copies of each other, found in two ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.transform import resize

from napari_safire.forensics.copy_move.alignment import LEAST_PEAK, find_shifts
from napari_safire.forensics.copy_move.geometry import Move, find_moves, moved
from napari_safire.forensics.copy_move.keypoints import Matches, find_keypoints, match_keypoints
from napari_safire.forensics.copy_move.verification import (
    Surface,
    Verified,
    seed_of_shift,
    verify,
)
from napari_safire.progress import Cancel, Progress, report, within
from napari_safire.types import FloatImage

_SAME_MOVE = 6.0  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the search came to.

    Parameters
    ----------
    verified : tuple of Verified
        In pixels of the searched picture.
    scale : (float, float)
        Rows and columns of the picture for one of the searched one.
    """

    verified: tuple[Verified, ...]
    scale: tuple[float, float]


def candidates(
    luminance: FloatImage,
    *,
    most_pixels: int = 3_200_000,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Found:
    """Find pairs of regions that may show the same pixels, and compare them.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
    most_pixels : int
        Larger pictures are made smaller: time and memory grow with them.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between parts.

    Returns
    -------
    Found

    Raises
    ------
    Cancelled
    """
    report(progress, cancel, 0, 100, "finding keypoints")
    image, scale = _at_working_size(luminance, most_pixels)
    keypoints = find_keypoints(image, progress=within(progress, 0, 40), cancel=cancel)
    matches = match_keypoints(keypoints, progress=within(progress, 40, 60), cancel=cancel)
    report(progress, cancel, 60, 100, "grouping matches")
    moves = find_moves(matches)
    surface = Surface.of(image)
    report(progress, cancel, 70, 100, "finding shifts")
    shifts = find_shifts(surface.fine)
    peaks = _standing_out(shifts)
    verified: list[Verified | None] = []
    for number, move in enumerate(moves):
        report(progress, cancel, 75 + 15 * number // len(moves), 100, "comparing pixels")
        peak = max((p for shift, p in peaks if _is_shift(move, shift)), default=0.0)
        verified.append(verify(surface, keypoints, matches, move, peak=peak))
    for number, (shift, peak) in enumerate(peaks):
        report(progress, cancel, 90 + 10 * number // len(peaks), 100, "comparing pixels")
        if any(one and one.starts.any() and _is_shift(one.move, shift) for one in verified):
            continue
        seed = seed_of_shift(surface, shift)
        move = _followed(matches, shift)
        verified.append(verify(surface, keypoints, matches, move, seed=seed, peak=peak))
    return Found(tuple(one for one in verified if one), scale)


def _at_working_size(
    luminance: FloatImage, most_pixels: int
) -> tuple[FloatImage, tuple[float, float]]:
    """Make a picture smaller if it is larger; give also rows and columns for one of the result."""
    scale = float(np.sqrt(luminance.size / most_pixels))
    if scale <= 1:
        return luminance, (1.0, 1.0)
    times = int(scale)  # means of whole pixels first: a filter over 100 megapixels takes long
    height, width = (n // times for n in luminance.shape)
    parts = luminance[: height * times, : width * times].reshape(height, times, width, times)
    image = parts.mean(axis=(1, 3), dtype=np.float32) if times > 1 else luminance
    size = max(1, round(height * times / scale)), max(1, round(width * times / scale))
    smaller = np.asarray(resize(image, size, order=1, anti_aliasing=True), np.float32)
    return smaller, (height * times / size[0], width * times / size[1])


def _standing_out(
    shifts: list[tuple[npt.NDArray[np.float64], float]],
) -> list[tuple[npt.NDArray[np.float64], float]]:
    """Shifts with what their peak is above the highest other one: a lattice has many alike."""
    result = []
    for shift, peak in shifts:
        others = (p for other, p in shifts if np.linalg.norm(other - shift) > _SAME_MOVE)
        result.append((shift, peak - max(0.0, max(others, default=0.0) - LEAST_PEAK)))
    return result


def _followed(matches: Matches, shift: npt.NDArray[np.float64]) -> Move:
    """A shift with the matches that follow it."""
    follow = np.linalg.norm(matches.ends - matches.starts - shift, axis=1) < _SAME_MOVE
    against = np.linalg.norm(matches.starts - matches.ends - shift, axis=1) < _SAME_MOVE
    return Move(
        np.column_stack([np.eye(2), shift]),
        np.concatenate([matches.starts[follow], matches.ends[against]]),
        np.concatenate([matches.ends[follow], matches.starts[against]]),
    )


def _is_shift(move: Move, shift: npt.NDArray[np.float64]) -> bool:
    """Whether a move is nothing but a given shift, or its opposite."""
    if not len(move):
        off = move.affine[:, 2]
    else:
        off = (moved(move.affine, move.starts) - move.starts).mean(axis=0)
    if abs(np.log2(move.zoom)) > 0.02 or abs(move.turn) > 1.0:
        return False
    return bool(min(np.linalg.norm(off - shift), np.linalg.norm(off + shift)) < _SAME_MOVE)
