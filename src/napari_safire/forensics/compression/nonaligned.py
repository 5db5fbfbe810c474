"""A former compression of a JPEG on another grid than its own: which blocks carry its steps.

The coefficients of blocks on the former grid lie near multiples of the former steps, to within the
errors of the latest compression if that had finer steps. What was pasted, painted or moved in
between does not lie on them. T. Bianchi, A. Piva, "Detection of nonaligned double JPEG compression
based on integer periodicity maps", IEEE TIFS 7 (2012), find the grid by the periods of histograms
at each shift; "Image forgery localization via block-grained analysis of JPEG artifacts", IEEE TIFS
7 (2012), give the mixture that blocks are judged by. The distribution of blocks that do not carry
the steps is taken from the same pixels half a block further, as there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from napari_safire.forensics.compression.blocks import LEAST_BLOCKS, mixture_share
from napari_safire.forensics.compression.coefficients import (
    BASIS,
    BLOCK,
    ZIGZAG,
    block_coefficients,
)
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

FREQUENCIES = ZIGZAG[1:28]
_SEARCHED = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (3, 3))
_SEARCHED_STEPS = np.arange(2, 33)
_MOST_STEP = 64
_STRIP = 64  # rows worked on at once
_MOST_SEARCHED = 3_000_000  # pixels: enough of any picture to find its grid
_COARSE = 2  # bins for each unit of a coefficient, to find periods
_REACH = {True: 1024, False: 256}  # of a coefficient: constant part, others
_LIVE = 0.6  # a block that varies less lies on every grid
_FINE = 4  # bins for each unit, to compare distributions
_RANGE = 256
_AGREEING = 3  # frequencies that show the grid
_LEAST_PERIOD = 5.0  # standard deviations, in each of them
_LEAST_LEAD = 1.5  # over the next grid: the latest compression shines through on several
_LEAST_VALUES = 32  # that are not zero
_LEAST_STEP_PERIOD = 4.0  # of a step in a frequency, once the grid is known
_LEAST_GAIN = 12.0  # of log-likelihood for the steps of one frequency
_LEAST_SHARE = 0.05
_MOST_RATIO = 4.0  # log of a block's ratio by one frequency: one odd value proves nothing
_ROUNDING = 0.25  # standard deviation of a coefficient of rounded pixels, at least
_OF_STEPS = (0.4, 0.7, 1.0)  # the same after a compression, over those of its steps
_STRAY = 0.005  # share of blocks on the grid whose coefficient lies anywhere
_CLIPPED = (1.0, 254.0)


@dataclass(frozen=True, slots=True, eq=False)
class FormerCompression:
    """The grid of a former compression, and what blocks on it say.

    Parameters
    ----------
    grid : (int, int) or None
        Row and column, 0 to 7, where its blocks begin; None if none stands out.
    strength : float
        Of the periods on the strongest grid, in standard deviations: the third strongest of six
        frequencies.
    steps : dict of (int, int) to int
        By frequency; only those that tell.
    share : float
        Of blocks that carry them, over these frequencies.
    log_ratios : (h, w) float32 array
        Log-likelihood of not carrying the steps over carrying them, for each block of the grid;
        ``nan`` where nothing can be said.
    """

    grid: tuple[int, int] | None
    strength: float
    steps: dict[tuple[int, int], int]
    share: float
    log_ratios: FloatImage


def former_compression(
    luminance: FloatImage,
    clipped: npt.NDArray[np.bool_],
    latest: npt.NDArray[np.int64],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FormerCompression:
    """Find the strongest grid and hold each of its blocks against it.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
    clipped : (H, W) bool array
        Pixels at the end of a channel's range: their blocks are left out.
    latest : (8, 8) int array
        Steps of the compression that the pixels were decoded from: its own grid, which begins at
        row 0, column 0, is left out, and so are steps that are not coarser.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between strips of rows, and between frequencies.

    Returns
    -------
    FormerCompression

    Raises
    ------
    Cancelled
    """
    centred = luminance - np.float32(128)
    grid, strength = _strongest_grid(centred, latest, progress, cancel)
    nothing = np.full((luminance.shape[0] // BLOCK, luminance.shape[1] // BLOCK), np.nan)
    if strength < _LEAST_PERIOD:
        return FormerCompression(None, strength, {}, 0.0, nothing.astype(np.float32))
    apart = _apart(grid)
    on = block_coefficients(centred, grid)
    off = block_coefficients(centred, apart)[_unclipped(luminance, clipped, apart)]
    usable = _unclipped(luminance, clipped, grid)
    found = _compared(on, off, usable, latest, progress, cancel)
    return replace(found, grid=grid, strength=strength)


def _compared(
    on: FloatImage,
    off: FloatImage,
    usable: npt.NDArray[np.bool_],
    latest: npt.NDArray[np.int64],
    progress: Progress | None,
    cancel: Cancel | None,
) -> FormerCompression:
    """Hold blocks on a grid against those half a block further, frequency by frequency."""
    ratios, told = np.zeros(on.shape[:2], np.float32), np.zeros(on.shape[:2], bool)
    steps: dict[tuple[int, int], int] = {}
    shares = []
    for number, at in enumerate(FREQUENCIES):
        report(progress, cancel, number, len(FREQUENCIES), "comparing histograms")
        if usable.sum() < LEAST_BLOCKS:
            break
        bins = _bins(on[..., at[0], at[1]])
        deviations, least = _errors(latest, at)
        fitted = _fit(
            np.bincount(bins[usable], minlength=_RANGE * _FINE + 1).astype(float),
            np.bincount(_bins(off[:, at[0], at[1]]), minlength=_RANGE * _FINE + 1),
            deviations,
            least,
        )
        if fitted is None:
            continue
        steps[at], share, table = fitted
        shares.append(share)
        ratios += table[bins]
        told |= np.abs(table[bins]) > 0.05
    ratios[~(usable & told)] = np.nan
    share = float(np.mean(shares)) if shares else 0.0
    return FormerCompression(None, 0.0, steps, share, ratios)


def _apart(grid: tuple[int, int]) -> tuple[int, int]:
    """Half a block further, but not on the grid of the latest compression."""
    half = BLOCK // 2
    other = (grid[0] + half) % BLOCK, (grid[1] + half) % BLOCK
    return (half - 1, half + 1) if other == (0, 0) else other


def _errors(latest: npt.NDArray[np.int64], at: tuple[int, int]) -> tuple[tuple[float, ...], int]:
    """Standard deviations that a coefficient's error may have, and the least step that shows."""
    # the errors of a block on another grid are those of all frequencies around this one
    near = latest[: at[0] + 2, : at[1] + 2].astype(float)
    of_steps = float(np.sqrt((near**2).mean() / 12))
    return tuple(max(_ROUNDING, of_steps * part) for part in _OF_STEPS), int(latest[at]) + 1


def _unclipped(
    luminance: FloatImage, clipped: npt.NDArray[np.bool_], grid: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    bad = (luminance < _CLIPPED[0]) | (luminance > _CLIPPED[1]) | clipped
    part = bad[grid[0] :, grid[1] :]
    down, across = part.shape[0] // BLOCK, part.shape[1] // BLOCK
    blocks = part[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK)
    usable: npt.NDArray[np.bool_] = ~np.any(blocks, axis=(1, 3))
    return usable


# ------------------------------------------------------------------------------------ the grid


def _strongest_grid(
    centred: FloatImage,
    latest: npt.NDArray[np.int64],
    progress: Progress | None,
    cancel: Cancel | None,
) -> tuple[tuple[int, int], float]:
    """Grid whose coefficients have the strongest period, in standard deviations of chance."""
    sums = np.zeros((len(_SEARCHED), BLOCK * BLOCK, len(_SEARCHED_STEPS)))
    counts = np.zeros_like(sums)
    starts = range(0, centred.shape[0] - 2 * BLOCK, _STRIP)
    every = max(1, round(centred.size / _MOST_SEARCHED))
    tables = [_waves(at == (0, 0)) for at in _SEARCHED]
    for start in starts[::every]:
        report(progress, cancel, start, centred.shape[0], "looking for a grid")
        strip = centred[start : start + _STRIP + BLOCK - 1]
        found = every_block(strip, _SEARCHED)
        live = np.abs(found[1:4]).sum(axis=0) > _LIVE
        down, across = np.ogrid[: found.shape[1], : found.shape[2]]
        grids = ((start + down) % BLOCK) * BLOCK + across % BLOCK
        for number, (waves, counted) in enumerate(tables):
            n_bins = len(waves)
            bins = np.minimum(np.abs(found[number]) * _COARSE + 0.5, n_bins - 1).astype(np.int64)
            flat = (grids * n_bins + bins)[live]
            seen = np.bincount(flat, minlength=BLOCK * BLOCK * n_bins).reshape(-1, n_bins)
            sums[number] += seen @ waves
            counts[number] += seen @ counted
    periods = sums / np.sqrt(np.maximum(counts, 1) / 2)
    periods -= np.median(periods, axis=1, keepdims=True)  # what all grids show is no grid's
    periods[:, 0] = 0
    for number, at in enumerate(_SEARCHED):
        periods[number][:, latest[at] >= _SEARCHED_STEPS] = 0
    strengths = np.sort(periods.max(axis=2), axis=0)[-_AGREEING]
    strongest, second = (int(grid) for grid in np.argsort(-strengths)[:2])
    leads = strengths[strongest] >= _LEAST_LEAD * strengths[second]
    return divmod(strongest, BLOCK), float(strengths[strongest]) if leads else 0.0


def every_block(pixels: FloatImage, frequencies: tuple[tuple[int, int], ...]) -> FloatImage:
    """Coefficients of the block that begins at each pixel.

    Parameters
    ----------
    pixels : (H, W) float32 array
    frequencies : tuple of (int, int)

    Returns
    -------
    (frequencies, H - 7, W - 7) float32 array
    """
    windows = np.lib.stride_tricks.sliding_window_view
    by_row = {u: windows(pixels, BLOCK, axis=0) @ BASIS[u] for u in {u for u, _ in frequencies}}
    found: FloatImage = np.stack(
        [windows(by_row[u], BLOCK, axis=1) @ BASIS[v] for u, v in frequencies]
    )
    return found


def _waves(constant: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(bins, steps): a wave of each step's period, and which bins count."""
    values = np.arange(_REACH[constant] * _COARSE)[:, None] / _COARSE
    counted = np.ones((len(values), len(_SEARCHED_STEPS)))
    if not constant:  # the peak at zero is everywhere
        counted = (values >= _SEARCHED_STEPS / 2).astype(float)
    counted[-1] = 0  # all beyond
    return np.cos(2 * np.pi * values / _SEARCHED_STEPS) * counted, counted


# ---------------------------------------------------------------------------------- the mixture


def _bins(values: FloatImage) -> npt.NDArray[np.int64]:
    return np.minimum(np.abs(values) * _FINE + 0.5, _RANGE * _FINE).astype(np.int64)


def _fit(
    observed: npt.NDArray[np.float64],
    off_grid: npt.NDArray[np.int64],
    deviations: tuple[float, ...],
    least_step: int,
) -> tuple[int, float, FloatImage] | None:
    """Step, share of blocks that carries it, log ratio by bin; None if no step tells."""
    without = gaussian_filter1d(off_grid.astype(float), 1.0, mode="mirror")
    without += 1e-3 * without.sum() / len(without)
    without /= without.sum()
    best: tuple[float, int, float, npt.NDArray[np.float64]] | None = None
    for step in _likely_steps(observed, least_step):
        for deviation in deviations:
            comb = _comb(without, step, deviation)
            share, gain = mixture_share(observed, without, comb)
            if best is None or gain > best[0]:
                best = gain, step, share, comb
    if best is None or best[0] < _LEAST_GAIN or best[2] < _LEAST_SHARE:
        return None
    _, step, share, comb = best
    ratio = np.clip(np.log(without / comb), -_MOST_RATIO, _MOST_RATIO).astype(np.float32)
    ratio[-1] = 0  # all beyond
    return step, share, ratio


def _likely_steps(observed: npt.NDArray[np.float64], least_step: int) -> list[int]:
    """Three steps with the strongest period: a mixture is fitted to these only."""
    values = np.arange(len(observed)) / _FINE
    strengths = {}
    for step in range(least_step, _MOST_STEP + 1):
        # of a density that only falls, no wave from half a period on is positive
        counted = (values >= step / 2) & (values < _RANGE)
        number = observed[counted].sum()
        if number < _LEAST_VALUES:
            break  # and fewer for all coarser ones
        wave = np.cos(2 * np.pi * values[counted] / step)
        strengths[step] = float(observed[counted] @ wave) / np.sqrt(number / 2)
    likely = sorted(strengths, key=lambda step: -strengths[step])[:3]
    return [step for step in likely if strengths[step] > _LEAST_STEP_PERIOD]


def _comb(without: npt.NDArray[np.float64], step: int, deviation: float) -> npt.NDArray[np.float64]:
    """What a compression makes of a distribution: multiples of a step, and an error."""
    n = len(without)
    levels = np.floor(np.arange(n) / _FINE / step + 0.5).astype(np.int64)
    weights = np.bincount(levels, weights=without)
    places = np.arange(len(weights)) * step * _FINE
    inside = places < n - 1
    comb = np.zeros(n)
    comb[places[inside]] = weights[inside]
    comb[0] *= 2  # both signs meet at zero, whose bin is half as wide
    comb = gaussian_filter1d(comb, deviation * _FINE, mode="mirror")
    comb[0] /= 2
    comb[-1] = without[-1]
    comb /= comb.sum()
    return np.asarray((1 - _STRAY) * comb + _STRAY * without)
