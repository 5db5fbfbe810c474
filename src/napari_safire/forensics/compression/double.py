"""Blocks that were compressed twice on the same grid, and those that were not.

A JPEG that is opened, edited and saved again carries the steps of its first table in its
coefficients, except where something was pasted over: what was pasted lay on another grid, if it
was compressed at all. T. Bianchi, A. Piva, "Image forgery localization via block-grained analysis
of JPEG artifacts", IEEE TIFS 7 (2012); A. Popescu, H. Farid, "Statistical tools for digital
forensics" (2004). The distribution of one compression is estimated as they do, from the decoded
picture shifted by half a block; that of two is made of it by quantising twice, instead of by a
formula, so that rounding between the two is counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter
from scipy.special import ndtr

from napari_safire.forensics.compression.coefficients import (
    BLOCK,
    ZIGZAG,
    JpegCoefficients,
    block_coefficients,
)
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

FREQUENCIES = ZIGZAG[1:16]
"""Low ones: they hold many values that are not zero."""
_HALF = BLOCK // 2
_MOST_STEP = 64  # of the first table: coarser ones leave no low frequencies to count
_ROUNDING = 0.3  # standard deviation of a coefficient: pixels were rounded and clipped between
_RANGE = 1024  # of a coefficient
_FINE = 4  # bins of a sample for each unit
_MOST_LEVEL = 24  # quantised values beyond are counted together
_EM_STEPS = 12
_LEAST_SHARE = 0.05  # of blocks compressed twice, else nothing is said of them
_LEAST_GAIN = 12.0  # of log-likelihood for one more first step: chance finds less in 63 tries
_MOST_RATIO = 4.0  # log of a block's ratio by one frequency: one odd value proves nothing
_CLIPPED = (1.0, 254.0)


@dataclass(frozen=True, slots=True, eq=False)
class DoubleCompression:
    """First steps that were found, and what blocks say.

    Parameters
    ----------
    first_steps : dict of (int, int) to int
        By frequency; only those that tell.
    share : float
        Of blocks compressed twice, over these frequencies.
    log_ratios : (h, w) float32 array
        Log-likelihood of one compression over that of two for each block; ``nan`` where nothing
        can be said: clipped, or no coefficient that tells.
    """

    first_steps: dict[tuple[int, int], int]
    share: float
    log_ratios: FloatImage


def double_compression(
    jpeg: JpegCoefficients, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> DoubleCompression:
    """Look for the steps of an earlier table in a JPEG's coefficients.

    Parameters
    ----------
    jpeg : JpegCoefficients
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between frequencies.

    Returns
    -------
    DoubleCompression

    Raises
    ------
    Cancelled
    """
    usable = _usable_blocks(jpeg)
    ratios = np.zeros(jpeg.blocks.shape[:2], np.float32)
    told = np.zeros(ratios.shape, bool)
    steps: dict[tuple[int, int], int] = {}
    shares = []
    if usable.sum() >= 64:
        samples = block_coefficients(jpeg.luminance, (_HALF, _HALF))
        for number, at in enumerate(FREQUENCIES):
            report(progress, cancel, number, len(FREQUENCIES), "comparing histograms")
            values = jpeg.blocks[..., at[0], at[1]]
            fitted = _fit(values[usable], samples[..., at[0], at[1]], int(jpeg.table[at]))
            if fitted is None:
                continue
            steps[at], share, table = fitted
            shares.append(share)
            of_block = table[np.minimum(np.abs(values), _MOST_LEVEL)]
            ratios += of_block
            told |= np.abs(of_block) > 0.05
    ratios[~(usable & told)] = np.nan
    return DoubleCompression(steps, float(np.mean(shares)) if shares else 0.0, ratios)


def _usable_blocks(jpeg: JpegCoefficients) -> npt.NDArray[np.bool_]:
    """Blocks without clipped pixels: clipping changes coefficients after they were quantised."""
    pixels = jpeg.luminance
    down, across = jpeg.blocks.shape[:2]
    blocks = pixels.reshape(down, BLOCK, across, BLOCK)
    low, high = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
    inside = np.zeros((down, across), bool)  # whole blocks: the rest was filled up by the encoder
    inside[: jpeg.shape[0] // BLOCK, : jpeg.shape[1] // BLOCK] = True
    found: npt.NDArray[np.bool_] = (low > _CLIPPED[0]) & (high < _CLIPPED[1]) & inside
    return found


def _fit(
    values: npt.NDArray[np.int16], samples: npt.NDArray[np.float32], step: int
) -> tuple[int, float, FloatImage] | None:
    """First step, share of blocks with it, and log ratio by absolute level; None if none tells."""
    observed = np.bincount(np.minimum(np.abs(values), _MOST_LEVEL), minlength=_MOST_LEVEL + 1)
    fine = np.bincount(
        np.minimum(np.abs(samples).ravel() * _FINE + 0.5, _RANGE * _FINE - 1).astype(np.int64),
        minlength=_RANGE * _FINE,
    ).astype(float)
    fine /= fine.sum()
    once = _levels(np.arange(_RANGE * _FINE) / _FINE, fine, step, 0.0)
    best: tuple[float, int, float, npt.NDArray[np.float64]] | None = None
    none = float(observed @ np.log(once))
    for first in range(1, _MOST_STEP + 1):
        if first == step:
            continue  # leaves nothing that one compression does not leave
        centres, weights = _quantised(fine, first)
        twice = _levels(centres, weights, step, _ROUNDING)
        share = _share(observed, once, twice)
        gain = float(observed @ np.log(share * twice + (1 - share) * once)) - none
        if best is None or gain > best[0]:
            best = gain, first, share, twice
    if best is None or best[0] < _LEAST_GAIN or best[2] < _LEAST_SHARE:
        return None
    _, first, share, twice = best
    ratio = np.clip(np.log(once / twice), -_MOST_RATIO, _MOST_RATIO).astype(np.float32)
    return first, share, ratio


def _quantised(
    fine: npt.NDArray[np.float64], step: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Values that a first quantisation leaves, and how often each is."""
    levels = np.floor(np.arange(_RANGE * _FINE) / _FINE / step + 0.5).astype(np.int64)
    weights = np.bincount(levels, weights=fine)
    return np.arange(len(weights), dtype=np.float64) * step, weights.astype(np.float64)


def _levels(
    centres: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], step: int, blur: float
) -> npt.NDArray[np.float64]:
    """How probable each absolute quantised level is, of values with a normal error."""
    deviation = max(blur, 0.5 / _FINE)
    reach = math.ceil((_MOST_LEVEL + 1) * step / max(centres[1] - centres[0], 1e-9)) + 2
    near, often = centres[:reach], weights[:reach]
    edges = (np.arange(_MOST_LEVEL + 1) + 0.5) * step
    within = ndtr((edges[:, None] - near) / deviation) - ndtr((-edges[:, None] - near) / deviation)
    cumulative = within @ often
    cumulative[-1] = weights.sum()  # the last level holds all beyond
    probability = np.diff(cumulative, prepend=0.0) + 1e-4 / (_MOST_LEVEL + 1)
    return np.asarray(probability / probability.sum())


def _share(
    observed: npt.NDArray[np.int64],
    once: npt.NDArray[np.float64],
    twice: npt.NDArray[np.float64],
) -> float:
    """Maximum likelihood share of `twice` in a mixture (expectation maximisation)."""
    share = 0.5
    for _ in range(_EM_STEPS):
        of_twice = share * twice / (share * twice + (1 - share) * once)
        share = float(observed @ of_twice / observed.sum())
    return share


def contrast(log_ratios: FloatImage, window: int = 5) -> tuple[FloatImage, float]:
    """Mean log ratio around each block, and how far its two sides lie apart.

    Parameters
    ----------
    log_ratios : (h, w) float32 array
        ``nan`` where nothing can be said.
    window : int
        Blocks a side.

    Returns
    -------
    smooth : (h, w) float32 array
        ``nan`` where less than a third of the window tells.
    apart : float
        The lesser of: how strongly the strongest hundredth of blocks says "once", and how strongly
        the median block says "twice". Above 0 only if both are in the picture.
    """
    told = np.isfinite(log_ratios)
    share = uniform_filter(told.astype(np.float32), window, mode="constant")
    sums = uniform_filter(np.where(told, log_ratios, 0).astype(np.float32), window, mode="constant")
    smooth = np.where(share > 1 / 3, sums / np.maximum(share, 1e-6), np.nan).astype(np.float32)
    known = smooth[np.isfinite(smooth)]
    if known.size < 64:
        return smooth, 0.0
    once, twice = float(np.quantile(known, 0.99)), -float(np.median(known))
    return smooth, max(0.0, min(once, twice))
