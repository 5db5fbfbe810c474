"""How alike pieces of one source are: fitted on pictures whose sources are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from napari_safire.learning.known_patches import overlap_with_truth
from napari_safire.partitioning.grouping import GroupingRule, all_groupings, signs
from napari_safire.partitioning.n_sources import Pieces
from napari_safire.types import FloatImage

# For each weight squared, beside the mean log-likelihood of a picture: eight weights of a hundred
# pictures hardly notice, but numbers of sources that do not occur stay finite.
_PENALTY = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class KnownPieces:
    """The pieces of a picture whose sources are known.

    Parameters
    ----------
    likeness : (P, P) float array
        Cosines of their mean features.
    shares : (P,) float array
        Of the picture that each has.
    sources : (P,) int array
        The true source that most of each piece is of.
    """

    likeness: FloatImage
    shares: FloatImage
    sources: npt.NDArray[np.int64]


def known_pieces(pieces: Pieces, truth: npt.NDArray[np.integer]) -> KnownPieces:
    """Name the true source of each piece.

    Parameters
    ----------
    pieces : Pieces
    truth : (H, W) integer array
        True sources of the picture that was cut.

    Returns
    -------
    KnownPieces
    """
    winners = pieces.logits.argmax(axis=0)
    overlap, _ = overlap_with_truth(winners, len(pieces.logits), truth)
    return KnownPieces(pieces.likeness, pieces.shares, overlap.argmax(axis=0))


def fit_grouping(known: Sequence[KnownPieces]) -> GroupingRule:
    """Make the true groupings as probable as can be (maximum likelihood).

    The model is log-linear and small enough to be summed over all groupings, so the best weights
    are the only best ones.

    Parameters
    ----------
    known : sequence of KnownPieces
        Pictures of which all pieces are of one source say nothing, and are left out.

    Returns
    -------
    GroupingRule

    Raises
    ------
    ValueError
        There is no picture with pieces of several sources.
    """
    pictures = [
        (signs(one.likeness, one.shares), _true_grouping(one.sources))
        for one in known
        if len(np.unique(one.sources)) > 1
    ]
    if not pictures:
        raise ValueError("Groupings are fitted on pictures of several sources; there is none.")

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        value = _PENALTY * float(weights @ weights)
        slope = 2 * _PENALTY * weights
        for found, true in pictures:
            scores = found @ weights
            value += float(logsumexp(scores) - scores[true]) / len(pictures)
            slope += (softmax(scores) @ found - found[true]) / len(pictures)
        return value, slope

    fitted = minimize(loss, np.zeros(pictures[0][0].shape[1]), jac=True, method="L-BFGS-B").x
    return GroupingRule.of_weights(fitted)


def _true_grouping(sources: npt.NDArray[np.int64]) -> int:
    """Which of `all_groupings` puts pieces together just as their sources do."""
    labels = all_groupings(len(sources))
    same = labels[:, :, None] == labels[:, None, :]
    return int((same == (sources[:, None] == sources)).all(axis=(1, 2)).argmax())
