"""Pictures that look alike, though their files and pixels differ.

The hash is the usual perceptual one: the picture's grey at 32 x 32, its cosine transform, and of 64
low frequencies whether each is above their median (Zauner, "Implementation and benchmarking of
perceptual image hash functions", 2010). Compression and resizing change few of the 64 bits. So do
other forgeries of the same photograph: to look alike is a reason to look, no proof of a leak.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft

Hash = npt.NDArray[np.bool_]

BITS = 64
_SIDE, _LOW = 32, 8
_LEAST_CONTRAST = 1 / 255  # standard deviation over largest value; below it the hash is noise
_ROWS = 1024  # compared at once
ALIKE_BITS = 6
"""Of 64 bits, in which perceptual hashes of near duplicates differ at most."""


def perceptual_hash(pixels: npt.NDArray[Any]) -> Hash | None:
    """Hash of what a picture looks like.

    Parameters
    ----------
    pixels : (H, W), (H, W, 3) or (H, W, 4) array

    Returns
    -------
    (64,) bool array or None
        None for a picture without contrast: all of them would look alike.
    """
    grey = pixels if pixels.ndim == 2 else pixels[..., :3].mean(axis=-1, dtype=np.float32)
    small = Image.fromarray(np.nan_to_num(grey).astype(np.float32)).resize(
        (_SIDE, _SIDE), Image.Resampling.BOX
    )
    values = np.asarray(small, np.float64)
    if values.std() <= _LEAST_CONTRAST * np.abs(values).max():
        return None
    # Columns 1 to 8: without the mean, which says nothing of the picture.
    low = fft.dctn(values)[:_LOW, 1 : _LOW + 1].ravel()
    return np.asarray(low > np.median(low))


def near_duplicates(
    first: Sequence[Hash], second: Sequence[Hash], most: int
) -> Iterator[tuple[int, int, int]]:
    """Find pairs of hashes that differ in few bits.

    Parameters
    ----------
    first, second : sequence of (64,) bool array
    most : int
        Bits in which a pair may differ.

    Yields
    ------
    i, j, bits : int
        Places in `first` and in `second`, and in how many bits these two differ.
    """
    if not first or not second:
        return
    signs = np.where(np.stack(second), np.float32(1), np.float32(-1))
    for top in range(0, len(first), _ROWS):
        rows = np.where(np.stack(first[top : top + _ROWS]), np.float32(1), np.float32(-1))
        bits = (BITS - rows @ signs.T) / 2  # products of +-1: exact in float32
        for i, j in np.argwhere(bits <= most):
            yield top + int(i), int(j), int(bits[i, j])


class AlikeGroups:
    """Groups of pictures that look like the first of each, told one by one.

    A picture is compared with the first pictures of groups alone, so that no chain of small steps
    joins two that do not look alike. Hashes that differ in at most `most` of their bits are equal
    in at least one of ``most + 1`` bands of them: only those that share one are compared.

    Parameters
    ----------
    most : int
        Bits in which a picture may differ from the first of its group.

    Raises
    ------
    ValueError
        It is no number of bits.
    """

    def __init__(self, most: int = ALIKE_BITS) -> None:
        if not 0 <= most < BITS:
            raise ValueError(f"Hashes cannot differ in {most} bits: give 0 to {BITS - 1}.")
        self._most = most
        ends = [BITS * band // (most + 1) for band in range(most + 2)]
        self._bands = [(start, (1 << (stop - start)) - 1) for start, stop in pairwise(ends)]
        self._first: list[int] = []
        self._groups: list[int] = []
        self._by_band: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    def find(self, looks: Hash) -> int | None:
        """Return the group of the first picture that one looks most like; None: it has none."""
        value = _as_number(looks)
        nearest: tuple[int, int] | None = None
        for key in self._keys(value):
            for place in self._by_band.get(key, ()):
                bits = (self._first[place] ^ value).bit_count()
                if bits <= self._most and (nearest is None or (bits, place) < nearest):
                    nearest = bits, place
        return None if nearest is None else self._groups[nearest[1]]

    def begin(self, looks: Hash, group: int) -> None:
        """Let a picture be the first of a group, whatever the group is called."""
        value = _as_number(looks)
        for key in self._keys(value):
            self._by_band[key].append(len(self._first))
        self._first.append(value)
        self._groups.append(group)

    def _keys(self, value: int) -> Iterator[tuple[int, int]]:
        for band, (start, mask) in enumerate(self._bands):
            yield band, (value >> start) & mask


def _as_number(looks: Hash) -> int:
    return int.from_bytes(np.packbits(looks).tobytes())
