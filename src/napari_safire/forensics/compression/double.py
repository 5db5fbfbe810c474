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
from scipy.special import ndtr

from napari_safire.forensics.compression.blocks import LEAST_BLOCKS, mixture_share
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
_LEAST_SHARE = 0.5  # of blocks compressed twice: a finer or an absent first step passes as few
_LEAST_GAIN = 20.0  # of log-likelihood for one more first step: chance finds less in 63 tries
_LEAST_FREQUENCIES = 4  # a first table shows in several
_MOST_RATIO = 4.0  # log of a block's ratio by one frequency: one odd value proves nothing
_LEAST_VALUES = 32  # that are not zero
_LEAST_PERIOD = 3.0  # standard deviations
_MOST_BEND = 3.0  # of a logarithm
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
    jpeg: JpegCoefficients,
    clipped: npt.NDArray[np.bool_] | None = None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> DoubleCompression:
    """Look for the steps of an earlier table in a JPEG's coefficients.

    Parameters
    ----------
    jpeg : JpegCoefficients
    clipped : (H, W) bool array, optional
        Pixels at the end of a channel's range: their blocks are left out, as are those that the
        luminance shows to be clipped.
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
    usable = _usable_blocks(jpeg, clipped)
    ratios = np.zeros(jpeg.blocks.shape[:2], np.float32)
    told = np.zeros(ratios.shape, bool)
    steps: dict[tuple[int, int], int] = {}
    shares = []
    if usable.sum() >= LEAST_BLOCKS:
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
    if len(steps) < _LEAST_FREQUENCIES:
        steps, shares = {}, []
        told[:] = False
    ratios[~(usable & told)] = np.nan
    return DoubleCompression(steps, float(np.mean(shares)) if shares else 0.0, ratios)


def _usable_blocks(
    jpeg: JpegCoefficients, clipped: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.bool_]:
    """Blocks without clipped pixels: clipping changes coefficients after they were quantised."""
    pixels = jpeg.luminance
    bad = (pixels < _CLIPPED[0]) | (pixels > _CLIPPED[1])
    if clipped is not None:
        bad[: clipped.shape[0], : clipped.shape[1]] |= clipped
    down, across = jpeg.blocks.shape[:2]
    inside = np.zeros((down, across), bool)  # whole blocks: the rest was filled up by the encoder
    inside[: jpeg.shape[0] // BLOCK, : jpeg.shape[1] // BLOCK] = True
    found: npt.NDArray[np.bool_] = inside & ~bad.reshape(down, BLOCK, across, BLOCK).any(
        axis=(1, 3)
    )
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
    fine = _like_observed(fine / fine.sum(), observed, step)
    once = _levels(np.arange(_RANGE * _FINE) / _FINE, fine, step, 0.0)
    best: tuple[float, int, float, npt.NDArray[np.float64]] | None = None
    for first in range(1, _MOST_STEP + 1):
        if first == step or (first > step and not _in_waves(observed, first / step)):
            continue
        centres, weights = _quantised(fine, first)
        twice = _levels(centres, weights, step, _ROUNDING)
        share, gain = mixture_share(observed, once, twice)
        if best is None or gain > best[0]:
            best = gain, first, share, twice
    if best is None or best[0] < _LEAST_GAIN or best[2] < _LEAST_SHARE:
        return None
    _, first, share, twice = best
    if first < step:
        return None  # seen, but what finer steps leave is too little to judge blocks by
    ratio = np.clip(np.log(once / twice), -_MOST_RATIO, _MOST_RATIO).astype(np.float32)
    return first, share, ratio


def _in_waves(observed: npt.NDArray[np.int64], period: float) -> bool:
    """Whether levels come and go with a period, which no density that only falls shows."""
    levels = np.arange(_MOST_LEVEL)
    counted = levels >= period / 2
    number = observed[:-1][counted].sum()
    wave = np.cos(2 * np.pi * levels[counted] / period)
    return bool(number >= _LEAST_VALUES) and bool(
        observed[:-1][counted] @ wave > _LEAST_PERIOD * np.sqrt(number / 2)
    )


def _like_observed(
    fine: npt.NDArray[np.float64], observed: npt.NDArray[np.int64], step: int
) -> npt.NDArray[np.float64]:
    """Bend a distribution smoothly towards what was observed.

    Blocks half a block further hold edges between blocks, so their distribution is wider. A curve
    and the peak at zero are fitted; what two quantisations leave is neither.
    """
    expected = _levels(np.arange(len(fine)) / _FINE, fine, step, 0.0) * observed.sum()
    levels = np.arange(_MOST_LEVEL)
    weights = np.sqrt(expected[:-1] + 0.5)
    ratios = np.log((observed[:-1] + 0.5) / (expected[:-1] + 0.5))
    curve = np.linalg.lstsq(_bends(levels) * weights[:, None], ratios * weights, rcond=1e-6)[0]
    at = np.minimum(np.arange(len(fine)) / _FINE / step, _MOST_LEVEL)
    bent = fine * np.exp(np.clip(_bends(at) @ curve, -_MOST_BEND, _MOST_BEND))
    return np.asarray(bent / bent.sum())


def _bends(levels: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.stack([levels < 0.5, np.ones(len(levels)), levels, np.sqrt(levels)], axis=1).astype(
        float
    )


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
