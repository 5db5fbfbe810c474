"""Whether probabilities mean what they say: reliability and expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions of about the same height, and what came of them.

    Parameters
    ----------
    predicted, observed : float
        Weighted means of the predictions and of the outcomes.
    weight : float
        Share of all weight that lies in the bin.
    n : int
        Number of predictions.
    """

    predicted: float
    observed: float
    weight: float
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predictions against outcomes; see `reliability`.

    Parameters
    ----------
    bins : tuple of ReliabilityBin
        Those that hold a prediction, ascending.
    expected_error : float
        Expected calibration error (ECE), in [0, 1]; 0 is best.
    """

    bins: tuple[ReliabilityBin, ...]
    expected_error: float

    @property
    def n(self) -> int:
        """Number of predictions."""
        return sum(one.n for one in self.bins)


def reliability(
    predicted: npt.ArrayLike,
    observed: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    n_bins: int = 10,
) -> Reliability:
    """Compare predictions with outcomes in bins of equal width.

    The expected calibration error is the mean over the predictions of the distance between the mean
    prediction and the mean outcome of their bin (Naeini, Cooper and Hauskrecht, "Obtaining well
    calibrated probabilities using Bayesian binning", AAAI 2015; Guo et al., "On calibration of
    modern neural networks", ICML 2017). It grows with few predictions a bin: chance alone makes
    some.

    Parameters
    ----------
    predicted : (N,) array_like of float in [0, 1]
    observed : (N,) array_like of float in [0, 1]
        0 and 1 for events, or a share, such as the accuracy that was predicted.
    weights : (N,) array_like of float above 0, optional
        Default: all the same.
    n_bins : int
        1.0 belongs to the last.

    Returns
    -------
    Reliability

    Raises
    ------
    ValueError
        Nothing to compare, different lengths, values out of range (NaN too), or no bins.

    Examples
    --------
    >>> reliability([0.1, 0.1, 0.9, 0.9], [0, 0, 1, 0]).expected_error
    0.25
    """
    values, outcomes, shares = _checked(predicted, observed, weights)
    if n_bins < 1:
        raise ValueError(f"There cannot be {n_bins} bins: ask for one at least.")
    shares = shares / shares.sum()
    place = np.minimum((values * n_bins).astype(np.int64), n_bins - 1)
    bins = []
    for k in np.unique(place):
        here = place == k
        weight = float(shares[here].sum())
        bins.append(
            ReliabilityBin(
                predicted=float(shares[here] @ values[here]) / weight,
                observed=float(shares[here] @ outcomes[here]) / weight,
                weight=weight,
                n=int(here.sum()),
            )
        )
    error = sum(one.weight * abs(one.predicted - one.observed) for one in bins)
    return Reliability(tuple(bins), error)


def _checked(
    predicted: npt.ArrayLike, observed: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    values = np.asarray(predicted, dtype=np.float64)
    outcomes = np.asarray(observed, dtype=np.float64)
    shares = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or not values.size or not values.shape == outcomes.shape == shares.shape:
        raise ValueError(
            f"Predictions, outcomes and weights have the shapes {values.shape}, {outcomes.shape} "
            f"and {shares.shape}: give lists of one length, with an entry at least."
        )
    for what, numbers in (("predictions", values), ("outcomes", outcomes)):
        if not ((numbers >= 0) & (numbers <= 1)).all():
            raise ValueError(
                f"The {what} reach from {numbers.min():g} to {numbers.max():g}: give numbers in "
                "[0, 1]."
            )
    if not ((shares > 0) & np.isfinite(shares)).all():
        raise ValueError(f"The least weight is {shares.min():g}: give finite weights above 0.")
    return values, outcomes, shares


def balanced_weights(happened: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Weights under which events and their absence count the same in total.

    Parameters
    ----------
    happened : (N,) array_like of bool

    Returns
    -------
    (N,) float array

    Raises
    ------
    ValueError
        Everything happened, or nothing.
    """
    events = np.asarray(happened, dtype=bool)
    if events.all() or not events.any():
        raise ValueError(
            f"Of {events.size} events {events.sum()} happened: some have to, and some not."
        )
    return np.where(events, 1 / events.sum(), 1 / (~events).sum())
