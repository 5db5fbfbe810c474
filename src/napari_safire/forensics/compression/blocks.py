"""From what each block says to a posterior, regions and a score.

Two views compare blocks by a log-likelihood ratio: those that carry the steps of a former
compression, and those that do not. What follows from the ratios is the same for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_opening, label, uniform_filter
from scipy.special import expit

from napari_safire.forensics.compression.coefficients import BLOCK
from napari_safire.types import FloatImage

LEAST_BLOCKS = 64
"""Fewer tell nothing of a picture."""
_LEAST_KNOWN = 1 / 3  # of a window
_TEMPER = 0.3  # of a mean ratio to be log odds: frequencies and neighbours depend on each other
_SURE = 2.0  # log odds of a block that counts as one of a region
_LEAST_REGION = 12  # blocks: smaller specks are chance
_EM_STEPS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What blocks and their neighbours say.

    Parameters
    ----------
    ratios : (h, w) float32 array
        Mean log-likelihood ratio of a block's neighbourhood; ``nan`` where too few blocks tell.
    posterior : (h, w) float32 array in [0, 1]
        Probability that a block lacks the former compression, at even odds before.
    lacking, carrying : (h, w) bool array
        Connected blocks of which each is sure, specks left out.
    mostly_carrying : bool
        Whether more blocks carry the former compression than surely lack it.
    score : float
        Logarithm of one more than the evidence of the fewer kind; 0 if one kind is missing.
    """

    ratios: FloatImage
    posterior: FloatImage
    lacking: npt.NDArray[np.bool_]
    carrying: npt.NDArray[np.bool_]
    mostly_carrying: bool
    score: float


def judge_blocks(log_ratios: FloatImage, window: int) -> Judgement:
    """Smooth log-likelihood ratios and find the blocks that differ.

    Parameters
    ----------
    log_ratios : (h, w) float32 array
        Above 0 where a block lacks the former compression; ``nan`` where nothing can be said.
    window : int
        Blocks a side.

    Returns
    -------
    Judgement
    """
    told = np.isfinite(log_ratios)
    share = uniform_filter(told.astype(np.float32), window, mode="constant")
    sums = uniform_filter(np.where(told, log_ratios, 0).astype(np.float32), window, mode="constant")
    known = share >= _LEAST_KNOWN - 1e-3
    smooth = np.where(known, sums / np.maximum(share, 1e-6), np.nan).astype(np.float32)
    log_odds = _TEMPER * smooth
    enough = known.sum() >= LEAST_BLOCKS
    lacking = _without_specks(enough & known & (log_odds > _SURE))
    carrying = _without_specks(enough & known & (log_odds < -_SURE))
    mostly_carrying = bool((smooth < 0).sum() >= lacking.sum())
    score = 0.0
    if lacking.any() and (smooth < 0).any():
        against = np.where(carrying, -log_odds - _SURE, 0)
        if mostly_carrying:
            against = np.where(smooth < 0, -log_odds, 0)
        evidence = float((log_odds[lacking] - _SURE).sum()), float(against.sum())
        score = float(np.log1p(min(evidence)))
    return Judgement(
        smooth, expit(log_odds).astype(np.float32), lacking, carrying, mostly_carrying, score
    )


def _without_specks(found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Leave regions that are at least two blocks wide and have twelve blocks."""
    opened = binary_opening(found, np.ones((2, 2), bool))
    numbers, _ = label(opened)
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    kept: npt.NDArray[np.bool_] = sizes[numbers] >= _LEAST_REGION
    return kept


def pixels_of(
    blocks: npt.NDArray[np.bool_], shape: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> npt.NDArray[np.bool_]:
    """Mark the pixels of blocks.

    Parameters
    ----------
    blocks : (h, w) bool array
    shape : (int, int)
        Rows and columns of the picture.
    origin : (int, int)
        Row and column where the first block begins.

    Returns
    -------
    (H, W) bool array
    """
    mask = np.zeros(shape, bool)
    grown = np.repeat(np.repeat(blocks, BLOCK, axis=0), BLOCK, axis=1)
    part = mask[origin[0] :, origin[1] :][: grown.shape[0], : grown.shape[1]]
    part |= grown[: part.shape[0], : part.shape[1]]
    return mask


def mixture_share(
    observed: npt.NDArray[np.float64] | npt.NDArray[np.int64],
    other: npt.NDArray[np.float64],
    mixed: npt.NDArray[np.float64],
) -> tuple[float, float]:
    """Maximum likelihood share of one distribution in a mixture of two (by EM).

    Parameters
    ----------
    observed : (n,) array
        Counts.
    other, mixed : (n,) array
        Probabilities, nowhere 0.

    Returns
    -------
    share : float
        Of `mixed`.
    gain : float
        Log-likelihood over that of `other` alone.
    """
    share = 0.5
    for _ in range(_EM_STEPS):
        of_mixed = share * mixed / (share * mixed + (1 - share) * other)
        share = float(observed @ of_mixed / observed.sum())
    gain = observed @ np.log((share * mixed + (1 - share) * other) / other)
    return share, float(gain)
