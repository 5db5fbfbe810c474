"""Which blocks of a picture can have come out of one JPEG, and which cannot.

A picture that was decoded from a JPEG keeps, in each block of the former grid, coefficients that
are near multiples of the quantisation steps, however it is stored now. What was painted, pasted or
made by a network afterwards does not. J. Fridrich, M. Goljan, R. Du, "Steganalysis based on JPEG
compatibility", SPIE 4518 (2001); steps from the coefficients' period: Z. Fan, R. de Queiroz,
"Identification of bitmap compression history", IEEE TIP 12 (2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import dct
from scipy.ndimage import binary_closing, binary_propagation, label, sum_labels, uniform_filter

from napari_safire.forensics.compression.coefficients import BLOCK, block_coefficients
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

_N = BLOCK * BLOCK
_STEPS = np.arange(2, 100)  # larger ones leave hardly any coefficient but zero
_LOW = (1, 2, 3, 4, 8, 9, 10, 11, 16, 17, 18, 24, 25, 32)  # 8 * down + across: they find the grid
_BEST = 8  # of them: fine steps show at higher frequencies, coarse ones at lower
_SCREENED, _SAMPLED = 1500, 6000  # blocks
_FINALISTS = 6  # grids that are looked at again
_LEAST_COUNT = 40  # coefficients that are not zero
_LEAST_PEAK = 7.0  # standard deviations; pictures that were no JPEG stay below 6.5 (lab notes)
_STANDS_OUT = 1.3  # times the next grid: what was resized has many that are alike
_LEAST_TOLD = 6  # frequencies
_TOLERANCE = 1.4  # grey levels: four times what rounding to 8 bits leaves
_LEAST_STEP = 4  # finer steps leave no room between multiples
_LEAST_MISS = 0.02
_LEAST_SHARPNESS = (
    0.8  # decoded pictures: .803 and more; after a gamma of .8 or 1.15 rarely so much
)
_STRIP = 256  # rows of blocks
_NEIGHBOURS = 3  # blocks a side that are judged together
_AGAINST = 4.0  # log likelihood ratio of a block and those around it
_FITS = -1.0  # a block that fits by itself is not in a region
_WEAK_NEIGHBOURS, _WEAKLY_AGAINST = 5, 1.0  # beside what is clear
_LEAST_REGION = 50.0  # log likelihood ratio of a region; authentic pictures stay below 15
_CLIPPED = 2, 253
_PAGE = 0.9  # share of the picture that a photograph on a page does not fill
_BESIDE = 0.03  # of its blocks that may not fit


@dataclass(frozen=True, slots=True, eq=False)
class Compatibility:
    """Blocks against the former compression of their picture.

    Parameters
    ----------
    grid : (int, int)
        Row and column where the blocks of the former compression begin.
    steps : (8, 8) int array
        Quantisation steps that were told; 0 where none.
    ratios : (h, w) float32 array
        Natural logarithm of the likelihood ratio of each block: above 0 it is no block of that
        compression. ``nan`` where nothing tells.
    sharpness : float
        Share of the coefficients near a multiple that are within half the tolerance of it: rounding
        to 8 bits leaves .8 and more, changed brightness or colours mostly less.
    """

    grid: tuple[int, int]
    steps: npt.NDArray[np.int64]
    ratios: FloatImage
    sharpness: float

    @property
    def unchanged(self) -> bool:
        """Whether the pixels are as they were decoded; else blocks misfit for other reasons."""
        return self.sharpness > _LEAST_SHARPNESS


def compatibility(
    luminance: FloatImage,
    clipped: npt.NDArray[np.bool_],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Compatibility | None:
    """Find a picture's former compression, and hold every block against it.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
    clipped : (H, W) bool array
        Pixels at the end of their range, from `out_of_range`: their blocks say nothing.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between parts of the work.

    Returns
    -------
    Compatibility or None
        None where the picture shows no former compression.

    Raises
    ------
    Cancelled
    """
    report(progress, cancel, 0, 4, "looking for a former grid")
    grid = former_grid(luminance, clipped)
    if grid is None:
        return None
    report(progress, cancel, 1, 4, "reading the steps")
    sample = _sample(luminance, clipped, grid, _SAMPLED, np.arange(_N))
    steps = former_steps(sample)
    if (steps >= _LEAST_STEP).sum() < _LEAST_TOLD:
        return None
    report(progress, cancel, 2, 4, "comparing the blocks")
    missed, told, near = _compare(luminance, clipped, grid, steps, cancel)
    kept = steps[steps >= _LEAST_STEP]
    ratios = _weigh(missed, told, 2 * _TOLERANCE / kept)
    hits = (told & ~missed)[ratios < _FITS][:, kept > _LEAST_STEP]
    sharpness = float(near[ratios < _FITS][:, kept > _LEAST_STEP][hits].mean()) if hits.any() else 0
    ratios[~told.any(axis=2)] = np.nan
    report(progress, cancel, 4, 4, "comparing the blocks")
    return Compatibility(grid, steps.reshape(BLOCK, BLOCK), ratios, sharpness)


def foreign_regions(ratios: FloatImage) -> tuple[npt.NDArray[np.bool_], float]:
    """Find regions whose blocks cannot come from the picture's former compression.

    Parameters
    ----------
    ratios : (h, w) float32 array
        From `Compatibility`.

    Returns
    -------
    regions : (h, w) bool array
    strongest : float
        Log likelihood ratio of the strongest region, 0 if there is none at all.
    """
    around = np.ones((3, 3))
    numbers, count = label(_joined(ratios, _NEIGHBOURS) > _AGAINST, around)
    if not count:
        return np.zeros(ratios.shape, bool), 0.0
    sums = sum_labels(np.maximum(np.nan_to_num(ratios), 0), numbers, np.arange(1, count + 1))
    strong = np.concatenate([[False], sums > _LEAST_REGION])[numbers]
    # smooth places say little each, but all the same thing
    weak = strong | (_joined(ratios, _WEAK_NEIGHBOURS) > _WEAKLY_AGAINST)
    grown = binary_propagation(strong, around, weak)
    grown = binary_closing(grown, around) | grown
    return grown & ~(ratios < _FITS), float(sums.max())


def _joined(ratios: FloatImage, side: int) -> FloatImage:
    """Mean over neighbours that tell, as if a third of them did at least."""
    told = np.isfinite(ratios)
    total = uniform_filter(np.nan_to_num(ratios), side, mode="constant")
    share = uniform_filter(told.astype(np.float32), side, mode="constant")
    return np.asarray(total / np.maximum(share, 1 / 3), np.float32)


def lies_in_a_page(ratios: FloatImage) -> bool:
    """Whether what fits is a rectangle and nothing around it does: a photograph on a screenshot.

    Parameters
    ----------
    ratios : (h, w) float32 array
        From `Compatibility`.
    """
    fits, not_fits = ratios < 0, ratios > 0
    if not fits.any():
        return False
    spans = []
    for axis in (1, 0):
        counts = fits.sum(axis=axis)
        inside = np.flatnonzero(counts > counts.max() / 4)  # letters fit by chance here and there
        spans.append(slice(inside[0], inside[-1] + 1))
    box = tuple(spans)
    around = not_fits.sum() - not_fits[box].sum(), fits.sum() - fits[box].sum()
    return bool(
        fits[box].size < _PAGE * ratios.size
        and not_fits[box].sum() < _BESIDE * fits[box].sum()
        and around[0] > around[1]
    )


def out_of_range(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Mark pixels of (H, W, 3) colours that decoding may have cut off."""
    low, high = _CLIPPED
    ends = (rgb <= low) | (rgb >= high)
    return np.asarray(ends[..., 0] | ends[..., 1] | ends[..., 2])


def former_grid(luminance: FloatImage, clipped: npt.NDArray[np.bool_]) -> tuple[int, int] | None:
    """Find the grid on which coefficients are nearest to multiples of anything.

    Parameters
    ----------
    luminance : (H, W) float32 array
    clipped : (H, W) bool array

    Returns
    -------
    (int, int) or None
        Row and column, 0 to 7; None if no grid stands out.
    """
    low = np.array(_LOW)
    peaks = np.zeros(_N)
    for number in range(_N):
        sample = _sample(luminance, clipped, divmod(number, BLOCK), _SCREENED, low)
        peaks[number] = _peak(sample, _STEPS[:24])
    finalists = np.argsort(peaks)[-_FINALISTS:]
    for number in finalists:
        sample = _sample(luminance, clipped, divmod(int(number), BLOCK), _SAMPLED, low)
        peaks[number] = _peak(sample, _STEPS)
    second, best = finalists[peaks[finalists].argsort()[-2:]]
    if peaks[best] < max(_LEAST_PEAK, _STANDS_OUT * peaks[second]):
        return None
    return divmod(int(best), BLOCK)


def _peak(sample: FloatImage, steps: npt.NDArray[np.int64]) -> float:
    """How far the strongest period stands out, over all frequencies, in standard deviations."""
    strongest = [_combs(column, steps)[0].max(initial=0.0) for column in sample.T]
    return float(np.sqrt(np.mean(np.square(sorted(strongest)[-_BEST:]))))


def _sample(
    luminance: FloatImage,
    clipped: npt.NDArray[np.bool_],
    grid: tuple[int, int],
    most: int,
    frequencies: npt.NDArray[np.int64],
) -> FloatImage:
    """(n, frequencies) coefficients of blocks spread evenly, without clipped ones."""
    blocks, cut_off = _blocks_of(luminance, grid), _blocks_of(clipped, grid)
    count = blocks.shape[0] * blocks.shape[1]
    if count > most:
        chosen = np.random.default_rng(0).choice(count, most, replace=False)
        at = chosen // blocks.shape[1], chosen % blocks.shape[1]
        blocks, cut_off = blocks[at], cut_off[at]
    whole = ~cut_off.any(axis=(-2, -1))
    pixels = blocks[whole].reshape(-1, _N)
    return np.asarray(pixels @ _BASIS[:, frequencies], np.float32)


def _blocks_of(pixels: npt.NDArray[Any], grid: tuple[int, int]) -> npt.NDArray[Any]:
    """(h, w, 8, 8) view of the blocks of a grid that lie whole in the picture."""
    part = pixels[grid[0] :, grid[1] :]
    down, across = part.shape[0] // BLOCK, part.shape[1] // BLOCK
    blocks = part[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK)
    return blocks.transpose(0, 2, 1, 3)


def _combs(
    values: npt.NDArray[np.float32], steps: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How nearly coefficients are multiples of each step: standard deviations, and mean cosine.

    Steps rise; 0 from the first on that has too few coefficients. It is asked a thousand times a
    picture, for some hundred values each: what is the same for all steps is done outside the loop.
    """
    sizes = np.sort(np.abs(values))
    starts = sizes.searchsorted(0.6 * steps)
    left = len(sizes) - starts
    waves = (2 * np.pi / steps).astype(np.float32)
    sums, cosines = np.zeros(len(steps), np.float32), np.empty_like(sizes)
    for index, start in enumerate(starts[left >= _LEAST_COUNT].tolist()):
        some = np.multiply(sizes[start:], waves[index], out=cosines[start:])
        sums[index] = np.add.reduce(np.cos(some, out=some))
    means = np.asarray(sums / np.maximum(left, 1).astype(np.float32), np.float64)
    return means * np.sqrt(2 * left), means


def former_steps(sample: FloatImage) -> npt.NDArray[np.int64]:
    """Read the quantisation steps off coefficients.

    Parameters
    ----------
    sample : (n, 64) float32 array
        Unquantised coefficients on the former grid.

    Returns
    -------
    (64,) int array
        0 where nothing tells.
    """
    steps = np.zeros(_N, np.int64)
    shares = np.zeros(_N)
    for frequency in range(1, _N):
        peaks, means = _combs(sample[:, frequency], _STEPS)
        best = int(peaks.argmax())
        if peaks[best] < _LEAST_PEAK:
            continue
        # multiples of a step are multiples of its divisors too: the largest that is as good
        as_good = (means > 0.85 * means[best]) & (peaks > max(0.4 * peaks[best], _LEAST_PEAK - 1))
        as_good &= _STEPS % _STEPS[best] == 0
        last = int(np.flatnonzero(as_good).max())
        steps[frequency], shares[frequency] = _STEPS[last], means[last]
    told = steps > 0
    if told.any():
        steps[shares < 0.6 * np.median(shares[told])] = 0
    return steps


def _compare(
    luminance: FloatImage,
    clipped: npt.NDArray[np.bool_],
    grid: tuple[int, int],
    steps: npt.NDArray[np.int64],
    cancel: Cancel | None,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(h, w, frequencies): no multiple of the step; tells at all; nearly on a multiple."""
    kept = np.flatnonzero(steps >= _LEAST_STEP)
    height, width = ((n - start) // BLOCK for n, start in zip(luminance.shape, grid, strict=True))
    missed = np.zeros((height, width, len(kept)), bool)
    told = np.zeros((height, width, len(kept)), bool)
    near = np.zeros((height, width, len(kept)), bool)
    for top in range(0, height, _STRIP):
        report(None, cancel, 2, 4, "comparing the blocks")
        rows = slice(grid[0] + top * BLOCK, grid[0] + min(height, top + _STRIP) * BLOCK)
        blocks = block_coefficients(luminance[rows], (0, grid[1])).reshape(-1, width, _N)[..., kept]
        told[top : top + _STRIP] = np.abs(blocks) > _TOLERANCE
        blocks -= steps[kept] * np.rint(blocks / steps[kept])
        missed[top : top + _STRIP] = np.abs(blocks) > _TOLERANCE
        near[top : top + _STRIP] = np.abs(blocks) < _TOLERANCE / 2
    inside = clipped[grid[0] :, grid[1] :][: height * BLOCK, : width * BLOCK]
    told[inside.reshape(height, BLOCK, width, BLOCK).any(axis=(1, 3))] = False
    return missed & told, told, near


def _weigh(
    missed: npt.NDArray[np.bool_], told: npt.NDArray[np.bool_], chance: npt.NDArray[np.float64]
) -> FloatImage:
    """Add up what each coefficient says: how often ones of the compression miss is learned."""
    n_told = told.sum(axis=2)
    good = (missed.sum(axis=2) < 0.25 * n_told) & (n_told >= 2)
    ratios = np.zeros(n_told.shape, np.float32)
    for _ in range(3):
        counts = told[good].sum(axis=0)
        misses = (missed[good].sum(axis=0) + 1) / (counts + 2)
        misses = np.clip(misses, _LEAST_MISS, 0.5)
        against = np.log(np.maximum((1 - chance) / misses, 1)).astype(np.float32)
        for_it = np.log(np.minimum(chance / (1 - misses), 1)).astype(np.float32)
        ratios = missed @ against + (told & ~missed) @ for_it
        good = (ratios < 0) & (n_told >= 2)
    return np.asarray(ratios, np.float32)


def _basis() -> FloatImage:
    """(64, 64) products of cosines: a block of pixels, in a row, to its coefficients."""
    waves = dct(np.eye(BLOCK), axis=0, norm="ortho")
    return np.asarray(np.kron(waves, waves).T, np.float32)


_BASIS = _basis()
