"""How sure a cut of cells may be: the sharpness that makes its probabilities true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment, minimize_scalar
from scipy.special import log_softmax

from napari_safire.learning.known_cells import overlap_with_truth
from napari_safire.types import FloatImage, SourcePartition

_RANGE = (-3.0, 5.0)  # of the logarithm; within it lies all between "no idea" and "certain"


@dataclass(frozen=True, slots=True, eq=False)
class DividedCells:
    """Cells of a picture whose truth is known.

    Parameters
    ----------
    logits : (K, N) float32 array
        Of the partition's sources, made with sharpness 1.
    source : (N,) int array
        The source that is the cell's true one.
    """

    logits: FloatImage
    source: npt.NDArray[np.int64]


def divided_cells(partition: SourcePartition, truth: npt.NDArray[np.integer]) -> DividedCells:
    """Match the sources of a partition with the true ones, one to one.

    Parameters
    ----------
    partition : SourcePartition
        Of cells, made with sharpness 1.
    truth : (H, W) integer array

    Returns
    -------
    DividedCells
        Without cells of true sources that the partition has no counterpart for.
    """
    logits = np.stack([region.low_res_logits for region in partition.representatives])
    overlap, there = overlap_with_truth(logits.argmax(axis=0), len(logits), truth)
    logits = logits.reshape(len(logits), -1)
    matched = np.full(len(overlap), -1, dtype=np.int64)
    rows, cols = linear_sum_assignment(overlap, maximize=True)
    matched[rows] = cols
    source = matched[there]
    known = source >= 0
    return DividedCells(logits[:, known], source[known])


def fit_sharpness(divided: Sequence[DividedCells]) -> float:
    """Find the sharpness whose probabilities lose least on the true sources (temperature scaling).

    Every picture counts the same.

    Parameters
    ----------
    divided : sequence of DividedCells
        Those of one source say nothing and are left out.

    Raises
    ------
    ValueError
        None has two sources.
    """
    useful = [one for one in divided if len(one.logits) > 1 and one.source.size]
    if not useful:
        raise ValueError("Sharpness is that of divided pictures: none has two sources.")

    def loss(log_sharpness: float) -> float:
        return float(np.mean([_loss(one, np.exp(log_sharpness)) for one in useful]))

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded").x))


def _loss(one: DividedCells, sharpness: float) -> float:
    chances = log_softmax(sharpness * one.logits, axis=0)
    return -float(np.take_along_axis(chances, one.source[None], axis=0).mean())
