"""The view of copies within a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.transform import resize

from napari_safire.forensics.copy_move.geometry import Move, find_moves
from napari_safire.forensics.copy_move.keypoints import find_keypoints, match_keypoints
from napari_safire.forensics.copy_move.verification import Agreement, Verified, high_pass, verify
from napari_safire.forensics.evidence import Evidence, Links, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress, report, within
from napari_safire.types import FloatImage

_LEAST_SAME = 0.5  # of the windows in the matches' hull: docs/lab-notes.md, copy-move
_LEAST_RESIDUAL = 0.6
_MOST_DIFFERENCE = 10.0
_LEAST_AREA = 200.0  # pixels


def copy_move(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Regions that show the same pixels twice."""
    report(progress, cancel, 0, 100, "finding keypoints")
    found = find_keypoints(picture.luminance)
    matches = match_keypoints(found, progress=within(progress, 20, 50), cancel=cancel)
    report(progress, cancel, 50, 100, "grouping matches")
    scale = found.scale
    image = _smaller(picture.luminance, scale)
    residual = high_pass(image)
    verified = []
    moves = find_moves(matches, scale)
    for number, move in enumerate(moves):
        report(progress, cancel, 60 + 40 * number // max(1, len(moves)), 100, "comparing pixels")
        checked = verify(image, residual, _scaled(move, scale))
        if is_copy(checked.agreement):
            verified.append(checked)
    verified.sort(key=lambda one: -strength(one.agreement))
    links = _links(verified, scale, picture.shape)
    score = strength(verified[0].agreement) if verified else 0.0
    return Evidence(
        links=links, table=_table(verified, len(matches)), score=score, finding=_finding(verified)
    )


def is_copy(agreement: Agreement) -> bool:
    """Whether two regions hold the same pixels, and not only things that look alike."""
    return (
        agreement.same >= _LEAST_SAME
        and agreement.residual_correlation >= _LEAST_RESIDUAL
        and agreement.difference <= _MOST_DIFFERENCE
        and agreement.area >= _LEAST_AREA
    )


def strength(agreement: Agreement) -> float:
    """Correlation of residuals by the share that is the same, for each tenfold of matches."""
    return (
        agreement.same
        * max(0.0, agreement.residual_correlation)
        * np.log10(1 + agreement.n_matches)
    )


def _smaller(luminance: FloatImage, scale: float) -> FloatImage:
    if scale == 1:
        return luminance
    size = tuple(round(n / scale) for n in luminance.shape)
    smaller: FloatImage = resize(luminance, size, order=1, anti_aliasing=True)
    return smaller.astype(np.float32, copy=False)


def _scaled(move: Move, scale: float) -> Move:
    affine = move.affine.copy()
    affine[:, 2] /= scale
    return Move(affine, move.starts / scale, move.ends / scale)


def _links(verified: list[Verified], scale: float, shape: tuple[int, int]) -> Links | None:
    if not verified:
        return None
    regions = np.zeros(shape, np.uint8)
    for number, one in reversed(list(enumerate(verified, 1))):
        regions[_enlarged(one.starts | one.ends, shape)] = number
    return Links(
        np.concatenate([one.move.starts for one in verified]) * scale,
        np.concatenate([one.move.ends for one in verified]) * scale,
        regions,
        np.repeat(np.arange(1, len(verified) + 1), [len(one.move) for one in verified]),
    )


def _enlarged(mask: npt.NDArray[np.bool_], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    rows, cols = (np.arange(n) * size // n for n, size in zip(shape, mask.shape, strict=True))
    return np.asarray(mask[rows[:, None], cols])


def _table(verified: list[Verified], n_matches: int) -> tuple[Row, ...]:
    rows = [Row("Matches that look alike", str(n_matches))]
    for number, one in enumerate(verified, 1):
        rows.append(
            Row(
                f"Pair {number}",
                f"{len(one.move)} matches, size x {one.move.zoom:.2f}, turned {one.move.turn:.0f}°",
                f"{100 * one.agreement.same:.0f} % of it shows the same pixels",
            )
        )
    return tuple(rows)


def _finding(verified: list[Verified]) -> str:
    if not verified:
        return "no region is shown twice"
    pairs = f"{len(verified)} pairs of regions" if len(verified) > 1 else "two regions"
    return f"{sum(len(one.move) for one in verified)} matches between {pairs}"


VIEW = View(
    "copy-move",
    "Regions that show the same pixels twice, moved, turned or resized. Which came first is open.",
    "Printed or drawn things repeat to the pixel on screens; smooth regions have no keypoints.",
    "Amerini et al., IEEE TIFS 2011; Lowe 2004; pixels compared after the map",
    copy_move,
    ("size",),
    "share of same pixels x correlation of residuals x log10 of matches",
)
