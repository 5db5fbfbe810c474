"""Whether a new model is better than the old one, on pictures that neither has learned from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError

FEWEST = 5  # resampled units: with four, even a gain in each is chance once in 16 times
_FALSE_ALARM_MARGIN = 0.05
_RISK = 0.05
_N_RESAMPLES = 10_000

Units = Literal["groups", "pictures"]


@dataclass(frozen=True, slots=True)
class PictureScore:
    """What a model made of one held-out picture.

    Parameters
    ----------
    score : float
        The measure, higher is better; NaN where it is not defined.
    suspicion : float
        How likely the model thinks a forgery, on any scale that grows; NaN where not known.
    authentic : bool
        The truth: all of one source.
    error : str or None
        Why there are no scores, in one sentence.
    warnings : tuple of str
        What was assumed or mended in the picture and its mask.
    """

    score: float = math.nan
    suspicion: float = math.nan
    authentic: bool = False
    error: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Old and new model on the same pictures, and what follows.

    Parameters
    ----------
    measure : str
        Name of the score that was compared.
    old, new : float
        Means over pictures.
    difference : float
        Mean of new minus old, picture by picture.
    low, high : float
        5 % and 95 % quantile of that mean in a bootstrap over ``units``.
    pictures, groups : int
        That were compared.
    units : {"groups", "pictures"}
        What was resampled: groups (pictures of one are not independent), or pictures where there
        are fewer than five groups.
    false_alarms_old, false_alarms_new : float or None
        See `false_alarms`; None where fewer than five pictures are authentic, or forged.
    better : bool
        The new model is proposed.
    reasons : tuple of str
        Plain sentences.
    """

    measure: str
    old: float
    new: float
    difference: float
    low: float
    high: float
    pictures: int
    groups: int
    units: Units
    false_alarms_old: float | None
    false_alarms_new: float | None
    better: bool
    reasons: tuple[str, ...]


def compare(
    groups: Sequence[str],
    old: Sequence[PictureScore],
    new: Sequence[PictureScore],
    *,
    measure: str = "score",
    seed: int = 0,
) -> Comparison:
    """Decide between two models.

    The new one is better if the mean difference, picture by picture, is above zero even at the
    lower end of a bootstrap (5 % quantile): a gain that is chance only once in twenty times. A
    model in use is not exchanged for one that is perhaps as good, so there is no margin below zero.
    And where authentic pictures were held out too, false alarms may not rise by more than 0.05.
    That one is no interval: of ten authentic pictures the standard error is about 0.1, so nothing
    could be shown of them, and in doubt the old model stays.

    Parameters
    ----------
    groups : sequence of str
        Of each picture; see `napari_safire.datasets.groups`.
    old, new : sequence of PictureScore
        Of the same pictures in the same order.
    measure : str
    seed : int
        Of the bootstrap.

    Returns
    -------
    Comparison

    Raises
    ------
    DatasetError
        Fewer than five pictures have a score under both models.
    """
    both = require_scored(old, new, measure=measure)
    scored = [(groups[i], old[i].score, new[i].score) for i in both]
    names = sorted({group for group, _, _ in scored})
    units: Units = "groups" if len(names) >= FEWEST else "pictures"
    before, after = (np.array([pair[i] for pair in scored]) for i in (1, 2))
    members = [names.index(group) for group, _, _ in scored] if units == "groups" else None
    low, high = _interval(after - before, members, seed)
    alarms = [false_alarms(some) for some in (old, new)]
    difference = float((after - before).mean())
    gained = low > 0
    steady = None in alarms or alarms[1] <= alarms[0] + _FALSE_ALARM_MARGIN  # type: ignore[operator]
    return Comparison(
        measure, float(before.mean()), float(after.mean()), difference, low, high,
        len(scored), len(names), units, alarms[0], alarms[1], gained and steady,
        _reasons(measure, difference, low, len(scored), units, len(names), alarms, steady),
    )  # fmt: skip


def require_scored(*models: Sequence[PictureScore], measure: str) -> list[int]:
    """Find the pictures that have a score under every model.

    Raises
    ------
    DatasetError
        They are fewer than five. Ask with the old model before the new one is trained.
    """
    scored = [i for i, one in enumerate(zip(*models, strict=True)) if all(map(_is_scored, one))]
    if len(scored) < FEWEST:
        raise DatasetError(
            f"Only {len(scored)} held-out pictures have the score {measure!r}, {FEWEST} are needed "
            "to compare two models: hold out more pictures with masks."
        )
    return scored


def _is_scored(one: PictureScore) -> bool:
    return math.isfinite(one.score)


def false_alarms(scores: Sequence[PictureScore]) -> float | None:
    """Share of authentic pictures called forged, the mean over all rates of detection.

    The mean over forged pictures of the share of authentic ones that look at least as forged: one
    minus the area under the ROC curve. It needs no threshold, and so no calibration, which a model
    loses by learning.

    Returns
    -------
    float or None
        None with fewer than five pictures of either kind.
    """
    known = [one for one in scores if math.isfinite(one.suspicion)]
    authentic = np.array([one.suspicion for one in known if one.authentic])
    forged = np.array([one.suspicion for one in known if not one.authentic])
    if min(len(authentic), len(forged)) < FEWEST:
        return None
    above = (authentic[:, None] > forged) + 0.5 * (authentic[:, None] == forged)
    return float(above.mean())


def _interval(
    differences: npt.NDArray[np.float64], members: Sequence[int] | None, seed: int
) -> tuple[float, float]:
    """Quantiles of the mean when whole units are drawn with replacement."""
    unit = np.arange(len(differences)) if members is None else np.asarray(members)
    sums, counts = np.bincount(unit, differences), np.bincount(unit)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(_N_RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [_RISK, 1 - _RISK])
    return float(low), float(high)


def _reasons(
    measure: str,
    difference: float,
    low: float,
    pictures: int,
    units: Units,
    groups: int,
    alarms: Sequence[float | None],
    steady: bool,
) -> tuple[str, ...]:
    verdict = "a gain" if low > 0 else "no gain that is more than chance"
    said = [
        f"{measure} changed by {difference:+.4f} on {pictures} held-out pictures of {groups} "
        f"groups; 95 % of the resampled means are above {low:+.4f}: {verdict}."
    ]
    if units == "pictures":
        said.append(
            f"There were fewer than {FEWEST} groups, so pictures were resampled: pictures of one "
            "group resemble each other, and the interval is too narrow."
        )
    if alarms[0] is None or alarms[1] is None:
        said.append(
            f"False alarms were not compared: fewer than {FEWEST} authentic or {FEWEST} forged "
            "pictures were held out."
        )
    else:
        said.append(
            f"False alarms went from {alarms[0]:.3f} to {alarms[1]:.3f}, "
            + (
                f"not more than {_FALSE_ALARM_MARGIN} up."
                if steady
                else f"more than {_FALSE_ALARM_MARGIN} up: too many."
            )
        )
    return tuple(said)
