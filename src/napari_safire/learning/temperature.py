"""How sure a cut of patches may be: the temperature that makes its probabilities true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment, minimize_scalar
from scipy.special import log_softmax

from napari_safire.learning.known_patches import overlap_with_truth
from napari_safire.types import FloatImage, SourcePartition

_RANGE = (-3.0, 5.0)  # of the logarithm; within it lies all between "no idea" and "certain"


@dataclass(frozen=True, slots=True, eq=False)
class DividedPatches:
    """Patches of a picture whose truth is known.

    Parameters
    ----------
    logits : (K, N) float32 array
        Of the partition's sources, made with inverse temperature 1.
    source : (N,) int array
        The source that is the patch's true one.
    """

    logits: FloatImage
    source: npt.NDArray[np.int64]


def divided_patches(partition: SourcePartition, truth: npt.NDArray[np.integer]) -> DividedPatches:
    """Match the sources of a partition with the true ones, one to one.

    Parameters
    ----------
    partition : SourcePartition
        Of patches, made with inverse temperature 1.
    truth : (H, W) integer array

    Returns
    -------
    DividedPatches
        Without patches of true sources that the partition has no counterpart for.
    """
    logits = np.stack([region.low_res_logits for region in partition.representatives])
    overlap, there = overlap_with_truth(logits.argmax(axis=0), len(logits), truth)
    logits = logits.reshape(len(logits), -1)
    matched = np.full(len(overlap), -1, dtype=np.int64)
    rows, cols = linear_sum_assignment(overlap, maximize=True)
    matched[rows] = cols
    source = matched[there]
    known = source >= 0
    return DividedPatches(logits[:, known], source[known])


def fit_inverse_temperature(divided: Sequence[DividedPatches]) -> float:
    """Find whose probabilities lose least on the true sources (temperature scaling).

    Every picture counts the same.

    Parameters
    ----------
    divided : sequence of DividedPatches
        Those of one source say nothing and are left out.

    Raises
    ------
    ValueError
        None has two sources.
    """
    useful = [one for one in divided if len(one.logits) > 1 and one.source.size]
    if not useful:
        raise ValueError("A temperature is that of divided pictures: none has two sources.")

    def loss(log_inverse: float) -> float:
        return float(np.mean([_loss(one, np.exp(log_inverse)) for one in useful]))

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded").x))


def _loss(one: DividedPatches, inverse_temperature: float) -> float:
    chances = log_softmax(inverse_temperature * one.logits, axis=0)
    return -float(np.take_along_axis(chances, one.source[None], axis=0).mean())
