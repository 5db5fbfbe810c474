"""Which pieces of a cut belong together: every way of grouping them has a probability.

A threshold on how alike two pieces are decides pair by pair, and one wrong pair makes the number of
sources wrong. There are only 202 ways of grouping six pieces in two groups or more, so all are
weighed: the log-odds of every pair that a grouping puts together, and how common its number of
groups is. Of the number of sources that is most probable over all groupings more are right than of
the number in the most probable grouping (docs/lab-notes.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from napari_safire.partitioning.spectral import MOST_SOURCES
from napari_safire.types import FloatImage

_LEAST_SHARE = 0.001  # keeps the logarithm of a piece without informative patches finite
FEWEST = 2  # groups: whether there is only one is asked of the multi-source score


@dataclass(frozen=True, slots=True)
class GroupingRule:
    """How much more probable a grouping is that puts two pieces together.

    Stored with the model; fitted by `napari_safire.learning.grouping`.

    Parameters
    ----------
    slope, size, offset : float
        The log-odds that two pieces are of one source are ``slope * cosine + size * log(share) +
        offset``, with the cosine of their mean features and the smaller one's share of the picture:
        the mean of a small piece is less certain.
    numbers : tuple of float
        What is added for a grouping in 2, 3, ... 6 groups.
    """

    slope: float
    size: float
    offset: float
    numbers: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.numbers) != MOST_SOURCES - FEWEST + 1:
            raise ValueError(
                f"numbers has {len(self.numbers)} entries, but must have one for each number of "
                f"sources from {FEWEST} to {MOST_SOURCES}."
            )
        if not np.isfinite(self.weights).all():
            raise ValueError(f"{astuple(self)} holds numbers that are not finite.")

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Of the `signs`, in their order."""
        return np.array([self.slope, self.size, self.offset, *self.numbers])

    @classmethod
    def of_weights(cls, weights: Iterable[float]) -> GroupingRule:
        """Make a rule of the weights of the `signs`."""
        slope, size, offset, *numbers = (float(weight) for weight in weights)
        return cls(slope, size, offset, tuple(numbers))

    def groupings(self, likeness: FloatImage, shares: FloatImage) -> Groupings:
        """Weigh all ways of grouping some pieces.

        Parameters
        ----------
        likeness : (P, P) float array
            Cosines of the pieces' mean features, P at most 6.
        shares : (P,) float array
            Of the picture that each piece has.
        """
        probabilities = softmax(signs(likeness, shares) @ self.weights)
        return Groupings(all_groupings(len(likeness)), probabilities)

    def count(self, likeness: FloatImage, shares: FloatImage, score: float, least: float) -> int:
        """Estimate the number of sources: 1 where the ``score`` is below ``least``.

        Parameters
        ----------
        likeness, shares
            As in `groupings`.
        score : float
            `napari_safire.partitioning.n_sources.multi_source_score`.
        least : float
        """
        return self.groupings(likeness, shares).number if score >= least else 1


@dataclass(frozen=True, slots=True, eq=False)
class Groupings:
    """All ways of grouping P pieces, in two groups at least, and how probable they are.

    Parameters
    ----------
    labels : (M, P) int array
        The group of each piece, 0 to K - 1.
    probabilities : (M,) float array
        They add up to 1: that there are several sources is taken for granted.
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]

    @property
    def number(self) -> int:
        """Most probable number of groups; 1 if there is a single piece."""
        return int(self.of_number.argmax())

    @property
    def of_number(self) -> npt.NDArray[np.float64]:
        """(P + 1,): probability of each number of groups, from 0 up."""
        pieces = self.labels.shape[1]
        numbers = _numbers(self.labels)
        return np.asarray(np.bincount(numbers, self.probabilities, minlength=pieces + 1), float)

    def best(self, number: int | None = None) -> npt.NDArray[np.int64]:
        """Give the (P,) groups of the most probable grouping, of all or of those in ``number``.

        Of a number that there is not, the groupings in the nearest one count.
        """
        numbers = _numbers(self.labels)
        wanted = np.ones(len(numbers), dtype=bool)
        if number is not None:
            wanted = numbers == np.clip(number, numbers.min(), numbers.max())
        return self.labels[np.where(wanted, self.probabilities, -1.0).argmax()]


@lru_cache
def all_groupings(pieces: int) -> npt.NDArray[np.int64]:
    """(M, P): all ways of grouping pieces, in two groups at least; of a single piece, the one.

    Raises
    ------
    ValueError
        More than six pieces: the ways are thousands, and "auto" never asks.
    """
    if not 1 <= pieces <= MOST_SOURCES:
        raise ValueError(f"{pieces} pieces cannot be grouped: there must be 1 to {MOST_SOURCES}.")
    found = [[0]]
    for _ in range(pieces - 1):  # the next piece joins a group that there is, or founds one
        found = [[*groups, k] for groups in found for k in range(max(groups) + 2)]
    labels = np.array(found[1:] if pieces > 1 else found)  # the first puts all together
    labels.flags.writeable = False
    return labels


def signs(likeness: FloatImage, shares: FloatImage) -> npt.NDArray[np.float64]:
    """What speaks for each grouping: the sums that `GroupingRule` weighs.

    Parameters
    ----------
    likeness : (P, P) float array
    shares : (P,) float array

    Returns
    -------
    (M, 3 + 5) float array
        Of the pairs that are put together the sums of their cosines and of the logarithms of the
        smaller share, and their number; then 1 where the groups are 2, 3, ... 6.
    """
    labels = all_groupings(len(likeness))
    first, second = np.triu_indices(len(likeness), 1)
    together = (labels[:, first] == labels[:, second]).astype(np.float64)
    smaller = np.log(np.minimum(shares[first], shares[second]) + _LEAST_SHARE)
    of_pairs = np.column_stack([np.asarray(likeness)[first, second], smaller, np.ones(len(first))])
    numbers = _numbers(labels)[:, None] == np.arange(FEWEST, MOST_SOURCES + 1)
    return np.column_stack([together @ of_pairs, numbers])


def _numbers(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.asarray(labels.max(axis=1) + 1)
