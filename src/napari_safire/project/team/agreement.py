"""How far annotators agree on the sources of a picture, whatever numbers they gave them.

Each score is the same in either order of the annotators and under any numbering of their sources.
Pixels that one of two left without a source are missing: they count in no score, but in
`Agreement.n_compared`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import MOST_SOURCES, Labels
from napari_safire.metrics import (
    alpha_of_coincidences,
    ari_of_counts,
    boundary_f,
    coincidence_matrix,
    confusion_matrix,
    miou_of_counts,
)
from napari_safire.partitioning.matching import matched_pairs
from napari_safire.project.team.alignment import (
    Alignment,
    alignment_of_counts,
    checked_works,
)

if TYPE_CHECKING:
    from napari_safire.evaluation.summary import Mean

CountArray = npt.NDArray[np.int64]
TOLERANCE = 2.0
"""Pixels that boundaries may lie apart and still be the same."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two annotators on one picture.

    Parameters
    ----------
    p_miou : float
        Mean IoU of matched sources; those of the annotator who has more of them count, so that a
        source without a partner counts 0. The lower of ``miou_of_counts`` in either direction.
    p_ari : float
        Adjusted Rand index.
    alpha : float
        Krippendorff's alpha on matched sources; those without a partner are values of their own.
        Sources are matched by the very pixels that are counted, so that chance agreement comes out
        a little high where sources are few. ``nan`` where both know one common source only.
    boundary_f : float
        `napari_safire.metrics.boundary_f` at `TOLERANCE`.
    n_pixels, n_compared, n_agreed : int
        Of the picture; with a source from both; with the same source from both.
    matched : tuple of (int, int)
        Sources that are the same, each annotator's number.

    Notes
    -----
    Without a compared pixel the four scores are ``nan``.
    """

    p_miou: float
    p_ari: float
    alpha: float
    boundary_f: float
    n_pixels: int
    n_compared: int
    n_agreed: int
    matched: tuple[tuple[int, int], ...] = ()

    def scores(self) -> dict[str, float]:
        """Return the four scores by name, for tables and means."""
        return {
            "p_miou": self.p_miou,
            "p_ari": self.p_ari,
            "alpha": self.alpha,
            "boundary_f": self.boundary_f,
        }


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """Agreement of several annotators on one picture.

    Parameters
    ----------
    pairs : dict of (str, str) to Agreement
        Of each two annotators, in the order in which they were given.
    alpha : float
        Krippendorff's alpha of all of them together, on sources with common numbers.
    """

    pairs: dict[tuple[str, str], Agreement]
    alpha: float


def agreement(first: Labels, second: Labels, *, tolerance: float = TOLERANCE) -> Agreement:
    """Compare the labels of two annotators.

    Parameters
    ----------
    first, second : (H, W) uint8 array
        Sources from 1; 0 is no source.
    tolerance : float
        Of boundaries, in pixels.

    Returns
    -------
    Agreement

    Raises
    ------
    DatasetError
        They cannot be of one picture.
    """
    one, other = checked_works((first, second))
    return _agreement_of_counts(confusion_matrix(one, other), one, other, tolerance)


def agreement_of_all(
    works: Mapping[str, Labels], *, tolerance: float = TOLERANCE
) -> GroupAgreement:
    """Compare the labels of two or more annotators.

    Parameters
    ----------
    works : mapping of str to (H, W) uint8 array
        By annotator.
    tolerance : float
        Of boundaries, in pixels.

    Returns
    -------
    GroupAgreement

    Raises
    ------
    DatasetError
        They cannot be of one picture.
    """
    names = list(works)
    labels = checked_works([works[name] for name in names])
    counts = {
        (i, j): confusion_matrix(labels[i], labels[j])
        for i, j in combinations(range(len(labels)), 2)
    }
    pairs = {
        (names[i], names[j]): _agreement_of_counts(pair, labels[i], labels[j], tolerance)
        for (i, j), pair in counts.items()
    }
    if len(labels) <= 2:
        return GroupAgreement(pairs, next((pair.alpha for pair in pairs.values()), math.nan))
    return GroupAgreement(pairs, _alpha_of_all(labels, counts))


def means_with_intervals(
    values: Sequence[Mapping[str, float]], *, seed: int = 0
) -> dict[str, Mean]:
    """Means of scores over pictures with 95 % intervals.

    Parameters
    ----------
    values : sequence of mapping
        The scores of one picture each; those that are ``nan`` are left out.
    seed : int
        Of the bootstrap by picture.

    Returns
    -------
    dict of str to Mean
        By the names of the scores. The interval is ``nan`` for fewer than two pictures: one
        picture says nothing about others.
    """
    from napari_safire.evaluation.summary import summarise  # scipy.stats is slow to load

    return {
        name: mean if mean.n > 1 else replace(mean, low=math.nan, high=math.nan)
        for name, mean in summarise(values, seed=seed).items()
    }


def _agreement_of_counts(
    counts: CountArray, first: Labels, second: Labels, tolerance: float
) -> Agreement:
    both = counts[1:, 1:]
    n_compared = int(both.sum())
    if not n_compared:
        nan = math.nan
        return Agreement(nan, nan, nan, nan, first.size, 0, 0)
    inside = np.zeros_like(counts)
    inside[1:, 1:] = both
    # Matched on compared pixels alone, as everything else.
    alignment = alignment_of_counts(2, {(0, 1): inside})
    coincidences = _coincidences(both, alignment)
    return Agreement(
        p_miou=min(miou_of_counts(both), miou_of_counts(both.T)),
        p_ari=ari_of_counts(both),
        alpha=alpha_of_coincidences(coincidences),
        boundary_f=boundary_f(first, second, tolerance=tolerance, where=(first > 0) & (second > 0)),
        n_pixels=first.size,
        n_compared=n_compared,
        n_agreed=int(np.trace(coincidences)) // 2,
        matched=alignment.matched(0, 1),
    )


def _coincidences(both: CountArray, alignment: Alignment) -> CountArray:
    """Coincidences of two annotators under common numbers, from what their sources share."""
    size = alignment.highest
    common = np.zeros((size, size), np.int64)
    rows, columns = np.nonzero(both)
    own, other = alignment.numbers
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        common[own[row + 1] - 1, other[column + 1] - 1] = both[row, column]
    return common + common.T


def _alpha_of_all(labels: Sequence[Labels], counts: Mapping[tuple[int, int], CountArray]) -> float:
    """Alpha of three or more: those whose sources overlap most lend their numbers first."""
    agreed = [0.0] * len(labels)
    for both, shared in counts.items():
        rows, columns = matched_pairs(shared[1:, 1:])
        for person in both:
            agreed[person] += float(shared[1:, 1:][rows, columns].sum())
    order = sorted(range(len(labels)), key=lambda person: -agreed[person])
    of_order = {
        (i, j): counts[a, b] if a < b else counts[b, a].T
        for (i, a), (j, b) in combinations(enumerate(order), 2)
    }
    values = []
    for person, own in zip(order, alignment_of_counts(len(order), of_order).numbers, strict=True):
        table = np.zeros(MOST_SOURCES + 1, np.uint16)  # together more than labels can hold
        table[list(own)] = list(own.values())
        values.append(table[labels[person]])
    return alpha_of_coincidences(coincidence_matrix(values))
