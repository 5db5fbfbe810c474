"""Processors' seconds of evidence by the previous way and as it is made now, in turn.

python benchmarks/previous.py PICTURE [--repeats 3]

- votes for JPEG grids: one grid after the other, each block by a product of matrices, against all
  blocks from the rows' transforms (`napari_safire.forensics.compression.zeros`);
- search for a former JPEG's grid: a mean at a time, against sums over what was sorted once;
- periods of resampling: each window by itself, against derivatives made once a row of windows.

The first line is one decoding of the picture, for comparison. Set OMP_NUM_THREADS=1: products of
matrices in several threads wait for each other, and then take up to twice as long. Says how many
votes differ: the previous way left coefficients near the limit to rounding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.fft import dct

from napari_safire.forensics import Picture
from napari_safire.forensics.compression import compatibility
from napari_safire.forensics.compression.coefficients import BLOCK
from napari_safire.forensics.compression.grid import N_GRIDS, NO_VOTE, grid_votes
from napari_safire.forensics.processing.resampling import resampling_strengths, strongest_period
from napari_safire.forensics.tiles import by_strips

_ONE_WAY = dct(np.eye(BLOCK), axis=0, norm="ortho")
_TRANSFORM = np.kron(_ONE_WAY, _ONE_WAY).T[:, 1:].astype(np.float32)


def votes_before(luminance: np.ndarray) -> np.ndarray:
    """Votes, one grid after the other."""

    def of_rows(rows: slice) -> np.ndarray:
        part = luminance[rows]
        best, votes = np.zeros(part.shape, np.uint8), np.full(part.shape, NO_VOTE, np.uint8)
        for grid in range(N_GRIDS):
            top, left = divmod(grid, BLOCK)
            down, across = (part.shape[0] - top) // BLOCK, (part.shape[1] - left) // BLOCK
            whole = np.s_[top : top + BLOCK * down, left : left + BLOCK * across]
            blocks = part[whole].reshape(down, BLOCK, across, BLOCK).transpose(0, 2, 1, 3)
            small = np.abs((blocks.reshape(-1, N_GRIDS) - np.float32(128)) @ _TRANSFORM) < 0.499
            zeros = small.sum(axis=1, dtype=np.uint8)
            zeros[zeros == N_GRIDS - 1] = 0
            zeros = np.repeat(np.repeat(zeros.reshape(down, across), BLOCK, 1), BLOCK, 0)
            np.copyto(votes[whole], NO_VOTE, where=zeros == best[whole])
            np.copyto(votes[whole], grid, where=zeros > best[whole])
            np.maximum(best[whole], zeros, out=best[whole])
        return votes

    return by_strips(of_rows, luminance.shape, overlap=BLOCK, multiple=BLOCK)


def combs_before(values: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strengths of periods, a step at a time."""
    sizes = np.sort(np.abs(values))
    peaks, means = np.zeros(len(steps)), np.zeros(len(steps))
    for index, step in enumerate(steps):
        some = sizes[np.searchsorted(sizes, 0.6 * step) :]
        if len(some) < compatibility._LEAST_COUNT:
            break
        means[index] = np.cos(np.float32(2 * np.pi / step) * some).mean()
        peaks[index] = means[index] * np.sqrt(2 * len(some))
    return peaks, means


def former_grid_before(*given: np.ndarray) -> tuple[int, int] | None:
    """Search for a former grid with `combs_before`."""
    now = compatibility._combs
    compatibility._combs = combs_before
    try:
        return compatibility.former_grid(*given)
    finally:
        compatibility._combs = now


def periods_before(luminance: np.ndarray, cell: int = 64) -> np.ndarray:
    """Strengths of periods, each window by itself."""
    height, width = luminance.shape
    strengths = np.zeros((max(1, height // cell), max(1, width // cell)), np.float32)
    for row, col in np.ndindex(strengths.shape):
        top = min(max(0, row * cell + cell // 2 - 2 * cell), max(0, height - 4 * cell))
        left = min(max(0, col * cell + cell // 2 - 2 * cell), max(0, width - 4 * cell))
        window = luminance[top : top + 4 * cell, left : left + 4 * cell]
        strengths[row, col] = min(strongest_period(window, axis).strength for axis in (0, 1))
    return strengths


def seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    """Processors' seconds, and what was found."""
    begin = time.process_time()
    found = function()
    return time.process_time() - begin, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    picture = Picture.read(options.picture)
    grey, clipped = picture.luminance, compatibility.out_of_range(picture.rgb)
    decoding = np.median([seconds(lambda: Picture.read(options.picture))[0] for _ in range(3)])
    print(f"{picture.shape[1]} x {picture.shape[0]}: decoded in {decoding:.2f} s")
    ways = (
        ("votes for grids", lambda: votes_before(grey), lambda: grid_votes(grey)),
        (
            "former grid",
            lambda: former_grid_before(grey, clipped),
            lambda: compatibility.former_grid(grey, clipped),
        ),
        ("periods", lambda: periods_before(grey), lambda: resampling_strengths(grey)),
    )
    for name, before, now in ways:
        taken = []
        for _ in range(options.repeats):
            first, second = seconds(before), seconds(now)
            taken.append((first[0], second[0]))
        was, is_ = np.median(taken, axis=0)
        ratios = [one / other for one, other in taken]
        same = np.asarray(first[1] != second[1])
        print(
            f"{name}: {was:.2f} s before, {is_:.2f} s now, {np.median(ratios):.1f} times as fast "
            f"({min(ratios):.1f} to {max(ratios):.1f}), {is_ / decoding:.1f} decodings; "
            f"{int(same.sum())} of {same.size} values differ"
        )


if __name__ == "__main__":
    main()
