"""Harmonic interpolation: the smoothest surface with given values around a hole.

What seamless cloning needs (Perez, Gangnet, Blake, "Poisson Image Editing", SIGGRAPH 2003): content
plus the harmonic fill through its mismatch at the border has the content's gradients and no seam.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

Values = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SOLVED_AT_ONCE = 4_000  # unknowns
_SWEEPS = 12
_STEPS = ((0, 1), (0, -1), (1, 1), (1, -1))  # axis, direction


def harmonic_fill(values: Values, known: Mask, hole: Mask) -> Values:
    """Fill a hole harmonically.

    Cascadic multigrid (Bornemann, Deuflhard 1996): exact on a coarse grid, then a few sweeps on
    each finer one. Fine enough for pictures, where half a grey level is all that can be seen.

    Parameters
    ----------
    values : (H, W, C) float32 array
    known : (H, W) bool array
        Where `values` hold; pixels that are neither known nor hole take no part (no flux).
    hole : (H, W) bool array

    Returns
    -------
    (H, W, C) float32 array
        Harmonic in the hole, `values` where known, 0 elsewhere. A part of the hole that touches
        nothing known is 0.
    """
    fixed = np.where(known[..., None], values, np.float32(0))
    if int(hole.sum()) <= _SOLVED_AT_ONCE or min(hole.shape) < 4:
        return _solve(fixed, known, hole)
    coarse = harmonic_fill(*_halve(fixed, known, hole))
    rough = np.repeat(np.repeat(coarse, 2, 0), 2, 1)[: hole.shape[0], : hole.shape[1]]
    return _smooth(np.where(hole[..., None], rough, fixed), known, hole)


def _halve(values: Values, known: Mask, hole: Mask) -> tuple[Values, Mask, Mask]:
    pad = [(0, side % 2) for side in hole.shape]

    def sums(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        array = np.pad(array, pad + [(0, 0)] * (array.ndim - 2))
        return array[::2, ::2] + array[1::2, ::2] + array[::2, 1::2] + array[1::2, 1::2]

    weight = sums(known.astype(np.float32))
    means = (sums(values) / np.maximum(weight, 1)[..., None]).astype(np.float32)
    # The border stays, be it one pixel wide; it may move inwards by less than a coarse pixel.
    open_cells = (weight == 0) & (sums(hole.astype(np.float32)) > 0)
    return means, np.asarray(weight > 0), np.asarray(open_cells)


def _beside(array: Values) -> Values:
    """Sum of the four neighbours of each pixel; those outside count 0."""
    total = np.zeros_like(array)
    total[1:] += array[:-1]
    total[:-1] += array[1:]
    total[:, 1:] += array[:, :-1]
    total[:, :-1] += array[:, 1:]
    return total


def _smooth(values: Values, known: Mask, hole: Mask) -> Values:
    takes_part = (known | hole).astype(np.float32)
    count = _beside(takes_part)
    weight = np.where(hole & (count > 0), 0.8 / np.maximum(count, 1), 0).astype(np.float32)
    for _ in range(_SWEEPS):  # damped Jacobi
        values = values + weight[..., None] * (_beside(values) - count[..., None] * values)
    return values


def _solve(values: Values, known: Mask, hole: Mask) -> Values:
    filled = values.copy()
    unknowns = int(hole.sum())
    if unknowns == 0 or not known.any():
        return filled
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(unknowns)
    padded_number = np.pad(number, 1, constant_values=-1)
    padded_known = np.pad(known, 1)
    padded_values = np.pad(values.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    rows, cols = (index + 1 for index in np.nonzero(hole))
    diagonal = np.zeros(unknowns)
    right = np.zeros((unknowns, values.shape[2]))
    entries = []
    for axis, step in _STEPS:
        place = (rows + step * (axis == 0), cols + step * (axis == 1))
        at_border, other = padded_known[place], padded_number[place]
        right += np.where(at_border[:, None], padded_values[place], 0)
        linked = other >= 0
        diagonal += at_border | linked
        entries.append((np.nonzero(linked)[0], other[linked]))
    # A trace of weight towards 0 keeps parts that touch nothing known solvable.
    links = np.concatenate([pair[0] for pair in entries]), np.concatenate([p[1] for p in entries])
    matrix = sparse.diags(diagonal + 1e-9) - sparse.csr_matrix(
        (np.ones(len(links[0])), links), shape=(unknowns, unknowns)
    )
    filled[hole] = splu(matrix.tocsc()).solve(right).astype(np.float32)
    return filled
