"""What a model's distances mean: the number of sources and the probability of forgery.

Both are settled on pictures whose photographers the model has never seen, and stored with it. Of
authentic pictures the verdict may hear of others too: learning from one does not clear it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from napari_safire.engine import Engine
from napari_safire.engine.rules import ModelRules
from napari_safire.forgery import Calibration

# Calibration fits two numbers; a heavier penalty than none keeps separable data finite.
_INVERSE_PENALTY = 10.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What the model sees in a picture whose truth is known.

    Parameters
    ----------
    n_sources : int
        True number of sources.
    statistic : float
        `napari_safire.engine.Engine.separation`.
    found : tuple of int
        Numbers of sources that method "auto" finds with all `candidates_of` its rules.
    kind : str
        Of an authentic picture: what it has in common with others, such as its last compression.
    """

    n_sources: int
    statistic: float
    found: tuple[int, ...] = ()
    kind: str = ""


def observe(engine: Engine, image: npt.NDArray[np.uint8], n_sources: int) -> Observation:
    """Look at a picture with a known number of sources, with all candidates for its threshold.

    Parameters
    ----------
    engine : Engine
    image : (H, W, 3) uint8 array
    n_sources : int
    """
    embedding = engine.embed(image)
    found = engine.count_sources(embedding, candidates_of(engine.rules))
    return Observation(n_sources, engine.separation(embedding), found)


def candidates_of(rules: ModelRules) -> tuple[float, ...]:
    """Thresholds of method "auto" among which is chosen."""
    tried = np.arange(0.02, 1.2, 0.02) if rules.patches is None else np.arange(1.5, 14.0, 0.25)
    return tuple(tried.tolist())


def choose_threshold(
    observations: Sequence[Observation], candidates: Sequence[float]
) -> tuple[float, float]:
    """Find the threshold of method "auto" that gets the number of sources right most often.

    Each true number of sources counts the same, however many pictures have it.

    Parameters
    ----------
    observations : sequence of Observation
    candidates : sequence of float
        Those that the observations were `found` with.

    Returns
    -------
    threshold : float
        Where several are as good, the one in their middle.
    accuracy : float
        Mean over the true numbers of the share of pictures with the right estimate, on the very
        pictures they were chosen by; see `numbers_right` for others.
    """
    found = np.array([o.found for o in observations])  # (pictures, candidates)
    rates = numbers_right([o.n_sources for o in observations], found)
    best = np.flatnonzero(rates == rates.max())
    middle = int(best[len(best) // 2])
    return candidates[middle], float(rates[middle])


def numbers_right(truths: Sequence[int], found: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How often the number of sources is right; each true number counts the same.

    Parameters
    ----------
    truths : sequence of int
    found : (N, C) int array
        Estimates by C rules.

    Returns
    -------
    (C,) float array
    """
    known = np.asarray(truths)
    right = found == known[:, None]
    return np.asarray(
        np.mean([right[known == number].mean(axis=0) for number in np.unique(known)], axis=0)
    )


def fit_calibration(
    observations: Sequence[Observation],
    false_alarm_rate: float,
    basis: str,
    miss_rate: float | None = None,
) -> Calibration:
    """Platt scaling of the statistic, with thresholds for stated error rates.

    Authentic and forged pictures count the same, however many there are of each: what comes out is
    a probability at even odds.

    A rate that holds on the average may hide a kind of pictures that is accused far more often (an
    authentic photograph compressed once more, say), and nobody knows which kinds a user will meet.
    So the rate of false alarms is kept in every kind that has pictures enough to see it in, as by
    conformal prediction (Vovk, "Conditional validity of inductive conformal predictors", 2012).

    Parameters
    ----------
    observations : sequence of Observation
        Authentic (one source) and forged pictures.
    false_alarm_rate : float
        Share of authentic pictures that may be called forged, of all and of each kind that has
        ``1 / false_alarm_rate`` of them or more.
    basis : str
        One sentence on the pictures.
    miss_rate : float, optional
        Share of forged pictures that may be called clean; default: as ``false_alarm_rate``. What
        lies between is inconclusive.

    Raises
    ------
    ValueError
        Authentic or forged pictures are missing, or a rate does not lie between 0 and 1.
    """
    missed = false_alarm_rate if miss_rate is None else miss_rate
    statistic = np.array([o.statistic for o in observations])
    forged = np.array([o.n_sources > 1 for o in observations])
    _check({"false_alarm_rate": false_alarm_rate, "miss_rate": missed}, forged)
    model = LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced")
    model.fit(statistic[:, None], forged)
    probability = model.predict_proba(statistic[:, None])[:, 1]
    kinds = _kinds_of_authentic(observations, fewest=round(1 / false_alarm_rate))
    groups = [probability[~forged], *(probability[kind] for kind in kinds)]
    forged_above = max(float(np.quantile(g, 1 - false_alarm_rate, method="higher")) for g in groups)
    # "At or above" is forged: step past the last authentic picture that may still pass.
    forged_above = min(1.0, float(np.nextafter(forged_above, 2)))
    clean_below = min(float(np.quantile(probability[forged], missed)), forged_above)
    alarms = [float((group >= forged_above).mean()) for group in groups]
    return Calibration(
        slope=float(model.coef_[0, 0]),
        intercept=float(model.intercept_[0]),
        forged_above=forged_above,
        clean_below=clean_below,
        false_alarm_rate=alarms[0],
        basis=basis,
        miss_rate=float((probability[forged] <= clean_below).mean()),
        highest_false_alarm_rate=max(alarms[1:], default=None),
        n_authentic=int((~forged).sum()),
        n_forged=int(forged.sum()),
    )


def _check(rates: dict[str, float], forged: npt.NDArray[np.bool_]) -> None:
    for name, rate in rates.items():
        if not 0 < rate < 1:
            raise ValueError(f"{name} is a share between 0 and 1, such as 0.05, not {rate}.")
    if forged.all() or not forged.any():
        raise ValueError("Calibration needs authentic and forged pictures; one kind is missing.")


def _kinds_of_authentic(
    observations: Sequence[Observation], fewest: int
) -> list[npt.NDArray[np.intp]]:
    """Places of the authentic pictures of each named kind that has enough of them."""
    places = defaultdict(list)
    for place, one in enumerate(observations):
        if one.n_sources == 1 and one.kind:
            places[one.kind].append(place)
    return [np.array(some) for some in places.values() if len(some) >= fewest]


def calibrations_without(
    observations: Sequence[Observation],
    folds: Sequence[int],
    false_alarm_rate: float,
    basis: str,
    miss_rate: float | None = None,
) -> dict[int, Calibration]:
    """Of each fold the calibration that has seen the other folds only.

    What it says of the fold's own pictures tells how true the calibration of all of them is (cross
    fitting), as long as folds share no photograph.

    Parameters
    ----------
    observations : sequence of Observation
    folds : sequence of int
        Of each observation.
    false_alarm_rate, basis, miss_rate
        As in `fit_calibration`.

    Returns
    -------
    dict
        Calibrations by fold.

    Raises
    ------
    ValueError
        Not one fold for each observation, or a kind of pictures stands in one fold alone.
    """
    if len(folds) != len(observations):
        raise ValueError(
            f"{len(folds)} folds for {len(observations)} observations: give one for each."
        )
    return {
        left_out: fit_calibration(
            [o for o, fold in zip(observations, folds, strict=True) if fold != left_out],
            false_alarm_rate,
            basis,
            miss_rate,
        )
        for left_out in sorted(set(folds))
    }
