"""How kinds of evidence are weighed: a logistic regression with weights of at least 0.

All scores speak for a forgery, so that none may count against one because of the few pictures that
it was fitted on (a sign constraint; the same as a prior knowledge of direction).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from napari_safire.forgery import NETWORK
from napari_safire.learning.calibration import Observation, fit_calibration
from napari_safire.partitioning.combination import CombinationRule, Term

_PENALTY = 0.002  # of squared weights, against the mean log loss; scores are scaled to 0 .. 1 first
_NETWORK_LIMIT = 4.0  # log odds: beyond, a network is only overconfident
_HIGHEST = (0.25, 0.5, 0.75)  # quantiles of what is found in forgeries: limits to try
_LEAST_FOUND = 3  # forgeries in which a view has to find something to be weighed at all


@dataclass(frozen=True, slots=True)
class WeighedPicture:
    """What the kinds of evidence say of a picture whose truth is known.

    Parameters
    ----------
    forged : bool
    kind : str
        What it has in common with others; each kind counts the same on its side.
    fold : int
        Pictures with a common origin are in one fold.
    scores : mapping of str to float or None
        By name of view, and "network"; None where it does not apply.
    """

    forged: bool
    kind: str
    fold: int
    scores: Mapping[str, float | None]


def fit_combination(
    pictures: Sequence[WeighedPicture],
    names: Sequence[str],
    false_alarm_rate: float,
    basis: str,
    miss_rate: float,
) -> CombinationRule:
    """Weigh kinds of evidence, and choose the thresholds of their sum.

    Parameters
    ----------
    pictures : sequence of WeighedPicture
    names : sequence of str
        Of evidence to weigh, "network" among them.
    false_alarm_rate : float
        See `napari_safire.learning.calibration.fit_calibration`; kept in each authentic kind.
    basis : str
        One sentence on the pictures.
    miss_rate : float
        Share of forged pictures that may be called clean.

    Returns
    -------
    CombinationRule
        Without the kinds of evidence that came out with no weight.

    Raises
    ------
    ValueError
        Authentic or forged pictures are missing, or a rate does not lie between 0 and 1.
    """
    units = {name: unit for name in names if (unit := _unit(name, pictures)) is not None}
    values = _values(pictures, units)
    weights, _ = _weights(values, pictures)
    terms = {
        name: replace(unit, weight=unit.weight * float(weight))
        for (name, unit), weight in zip(units.items(), weights, strict=True)
        if weight > 0
    }
    sums = [total(p.scores, terms) for p in pictures]
    observed = [
        Observation(2 if p.forged else 1, statistic, kind=p.kind)
        for p, statistic in zip(pictures, sums, strict=True)
    ]
    calibration = fit_calibration(observed, false_alarm_rate, basis, miss_rate)
    # The slope goes into the weights, so that what a term adds is what it adds to the log odds.
    told = {
        name: replace(term, weight=term.weight * calibration.slope) for name, term in terms.items()
    }
    return CombinationRule(MappingProxyType(told), replace(calibration, slope=1.0))


def combinations_without(
    pictures: Sequence[WeighedPicture],
    names: Sequence[str],
    false_alarm_rate: float,
    basis: str,
    miss_rate: float,
) -> dict[int, CombinationRule]:
    """Of each fold the rule that has seen the other folds only (cross fitting).

    Parameters
    ----------
    pictures, names, false_alarm_rate, basis, miss_rate
        As in `fit_combination`.

    Returns
    -------
    dict
        Rules by fold.
    """
    return {
        left_out: fit_combination(
            [p for p in pictures if p.fold != left_out], names, false_alarm_rate, basis, miss_rate
        )
        for left_out in sorted({p.fold for p in pictures})
    }


def total(scores: Mapping[str, float | None], terms: Mapping[str, Term]) -> float:
    """Sum of log odds that scores add; what is missing adds nothing."""
    return sum(_added(term, scores.get(name)) for name, term in terms.items())


def _added(term: Term, score: float | None) -> float:
    return 0.0 if score is None else term.log_odds(score)


def _unit(name: str, pictures: Sequence[WeighedPicture]) -> Term | None:
    """A score's term before it is weighed: at its highest it adds 1; None if it finds too little.

    Where a score stops to say more is chosen among what it is in forgeries: the limit by which it
    tells most by itself.
    """
    if name == NETWORK:
        return Term(1 / _NETWORK_LIMIT, 0.0, -_NETWORK_LIMIT, _NETWORK_LIMIT)
    found = [p.scores.get(name) for p in pictures if p.forged]
    told = [score for score in found if score is not None and score > 0]
    if len(told) < _LEAST_FOUND:
        return None
    tried = [Term(1 / high, 0.0, 0.0, high) for high in np.quantile(told, _HIGHEST).tolist()]
    return min(tried, key=lambda unit: _weights(_values(pictures, {name: unit}), pictures)[1])


def _values(
    pictures: Sequence[WeighedPicture], units: Mapping[str, Term]
) -> npt.NDArray[np.float64]:
    rows = [[_added(unit, p.scores.get(name)) for name, unit in units.items()] for p in pictures]
    return np.array(rows, float).reshape(len(pictures), len(units))


def _weights(
    values: npt.NDArray[np.float64], pictures: Sequence[WeighedPicture]
) -> tuple[npt.NDArray[np.float64], float]:
    """Weights of at least 0, beside an intercept, with the least loss; and that loss."""
    forged = np.array([p.forged for p in pictures])
    counts = Counter((p.forged, p.kind) for p in pictures)
    share = np.array([1 / counts[p.forged, p.kind] for p in pictures])
    for side in (True, False):
        share[forged == side] /= 2 * max(share[forged == side].sum(), 1e-12)
    sign = np.where(forged, 1.0, -1.0)

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights, intercept = parameters[:-1], parameters[-1]
        margin = sign * (values @ weights + intercept)
        slope = -share * sign * expit(-margin)
        gradient = np.append(values.T @ slope + 2 * _PENALTY * weights, slope.sum())
        return float(share @ np.logaddexp(0, -margin) + _PENALTY * weights @ weights), gradient

    start = np.zeros(values.shape[1] + 1)
    bounds = [(0.0, None)] * values.shape[1] + [(None, None)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return np.asarray(found.x[:-1]), float(found.fun)
