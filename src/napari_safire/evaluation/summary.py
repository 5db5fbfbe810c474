"""Means with their uncertainty: bootstrap intervals, paired differences, exact shares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from napari_safire.evaluation.entries import EvaluatedEntry

_N_RESAMPLES = 2000
_COUNTS_AT_ONCE = 1_000_000

# What an answer that says nothing scores: another score, or a number. The floor of the official
# p_mIoU depends on how the masks number their sources; the hungarian one is its upper bound.
FLOORS: Mapping[str, str | float] = {
    "p_miou_hungarian": "p_miou_floor",
    "p_miou_official": "p_miou_floor",
    "p_ari": 0.0,
    "f1_fixed": "f1_floor",
    "f1_best": "f1_floor",
    "mcc": 0.0,
    "auc": 0.5,
    "ap": "ap_floor",
}
# What tables of several models have columns for.
MAIN_SCORES = {
    "sources": ("p_miou_hungarian", "p_miou_official", "p_ari", "n_sources_right", "f1_fixed"),
    "binary": ("f1_fixed", "f1_best", "mcc", "auc", "ap"),
}


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean over images with its 95 % confidence interval.

    Parameters
    ----------
    mean, low, high : float
        The interval is the percentile interval of a bootstrap over images.
    n : int
        Images for which the value is defined.
    """

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a number of images, with the exact 95 % interval of the share.

    Parameters
    ----------
    count, total : int
    low, high : float
        Clopper and Pearson (1934): at least 95 % whatever the true share, also for 0 of n.
    """

    count: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """``count / total``."""
        return self.count / self.total


def summarise(
    values: Iterable[Mapping[str, float]], *, seed: int = 0, intervals: bool = True
) -> dict[str, Mean]:
    """Means of what the mappings have, by name.

    Parameters
    ----------
    values : iterable of mapping of str to float
        ``nan`` counts as not defined.
    seed : int
        Of the bootstrap.
    intervals : bool
        False: the interval is ``nan``.

    Returns
    -------
    dict of str to Mean
        In the order in which names first occur; names without any defined value are left out.
    """
    columns: dict[str, list[float]] = {}
    for mapping in values:
        for name, value in mapping.items():
            columns.setdefault(name, []).append(value)
    defined = {
        name: np.array([value for value in column if not np.isnan(value)], dtype=np.float64)
        for name, column in columns.items()
    }
    defined = {name: column for name, column in defined.items() if column.size}
    ends = _intervals(defined, seed) if intervals else {}
    return {
        name: Mean(float(c.mean()), *ends.get(name, (math.nan, math.nan)), int(c.size))
        for name, c in defined.items()
    }


def differences(
    first: Sequence[EvaluatedEntry], second: Sequence[EvaluatedEntry], *, seed: int = 0
) -> dict[str, Mean]:
    """Mean differences, second minus first, over the images that both scored.

    The bootstrap is paired: an image is drawn with the scores of both, so that what makes images
    easy or hard for all models does not count as uncertainty.

    Parameters
    ----------
    first, second : sequence of EvaluatedEntry
        Of the same list: entries belong together by number and degradation.
    seed : int

    Returns
    -------
    dict of str to Mean
    """
    before = {(r.number, r.degradation): r.scores for r in first}
    return summarise(
        (
            {
                name: value - partner[name]
                for name, value in result.scores.items()
                if name in partner
            }
            for result in second
            if (partner := before.get((result.number, result.degradation))) is not None
        ),
        seed=seed,
    )


def floor_of(score: str, means: Mapping[str, Mean]) -> float:
    """Mean that a blank map or a single source would have, or ``nan`` where there is no such.

    Parameters
    ----------
    score : str
    means : mapping of str to Mean
        From `summarise`.

    Returns
    -------
    float
    """
    floor = FLOORS.get(score, math.nan)
    if isinstance(floor, float):
        return floor
    return means[floor].mean if floor in means else math.nan


def share(count: int, total: int) -> Share:
    """Share of images with its exact interval.

    Parameters
    ----------
    count, total : int
        ``0 <= count <= total``, and at least one image.

    Returns
    -------
    Share

    Raises
    ------
    ValueError
        Numbers that are no share.

    Examples
    --------
    >>> round(share(0, 10).high, 3)
    0.308
    """
    if not 0 <= count <= total or total < 1:
        raise ValueError(f"{count} of {total} is no share: count images that there are.")
    interval = binomtest(count, total).proportion_ci(0.95, method="exact")
    return Share(count, total, interval.low, interval.high)


VERDICTS = ("forged", "no forgery found", "inconclusive")


def verdict_shares(results: Iterable[EvaluatedEntry]) -> dict[bool, dict[str, Share]]:
    """Shares of verdicts among authentic (True) and forged (False) images.

    Parameters
    ----------
    results : iterable of EvaluatedEntry

    Returns
    -------
    dict of bool to dict of str to Share
        "forged" of the authentic ones is the false-alarm rate. Groups without images are left out.
    """
    groups: dict[bool, list[str | None]] = {True: [], False: []}
    for result in results:
        groups[result.authentic].append(result.verdict)
    return {
        authentic: {verdict: share(found.count(verdict), len(found)) for verdict in VERDICTS}
        for authentic, found in groups.items()
        if found
    }


def _intervals(
    columns: Mapping[str, npt.NDArray[np.float64]], seed: int
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of the means; columns of one length share their resamples."""
    of_length: dict[int, list[str]] = {}
    for name, column in columns.items():
        of_length.setdefault(column.size, []).append(name)
    found: dict[str, tuple[float, float]] = {}
    for length, names in of_length.items():
        values = np.stack([columns[name] for name in names])  # (scores, images)
        means = np.concatenate([drawn @ values.T / length for drawn in _resamples(length, seed)])
        lows, highs = np.quantile(means, [0.025, 0.975], axis=0)
        found |= {
            name: (float(low), float(high))
            for name, low, high in zip(names, lows, highs, strict=True)
        }
    return found


def _resamples(length: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """How often each image is drawn, (resamples, images), some resamples at a time.

    With counts the means of all scores are one product.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _COUNTS_AT_ONCE // length)
    for begin in range(0, _N_RESAMPLES, step):
        rows = min(step, _N_RESAMPLES - begin)
        drawn = rng.integers(length, size=(rows, length)) + length * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * length).reshape(rows, length)
