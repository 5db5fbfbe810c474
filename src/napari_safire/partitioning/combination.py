"""One verdict out of several kinds of evidence: a sum of log odds, each limited and told.

A logistic regression over few scores. It is stored as one term for each, so that what is missing
adds nothing, and so that everybody can see what a verdict rests on. That the scores are weighed
together, not multiplied as if they were independent, is what the fit is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label
from scipy.special import logit

from napari_safire.forgery import NETWORK, Calibration, Contribution, ForgeryMap
from napari_safire.partitioning.verdict import judge_sum
from napari_safire.types import FloatImage

_SURE = 1e-9  # of probabilities of the network: closer to 0 or 1 says nothing more
_ACCUSED = 0.75  # heatmap where other evidence accuses: above the half, below what is certain
_HALF = 0.5
_MOSTLY, _HARDLY = 0.5, 0.2  # of a part that other traces accuse, where they tell ends apart
_MUTED = 0.45  # highest value of the network's map where it does not carry the verdict


@dataclass(frozen=True, slots=True)
class Term:
    """What a score adds to the log odds of forgery.

    Parameters
    ----------
    weight : float
        Log odds for each unit of the score; 0 or more, for all scores speak for a forgery.
    neutral : float
        Score that says nothing either way.
    low, high : float
        The score is limited to these, so that no single one decides by an extreme.

    Raises
    ------
    ValueError
        A weight below 0, or limits out of order.
    """

    weight: float
    neutral: float = 0.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        values = (self.weight, self.neutral, self.low, self.high)
        if not (np.isfinite(values).all() and self.weight >= 0 and self.low <= self.high):
            raise ValueError(
                f"A term of weight {self.weight}, neutral at {self.neutral}, limits {self.low} and "
                f"{self.high}: give finite numbers, a weight of 0 or more, and limits in order."
            )

    def log_odds(self, score: float) -> float:
        """Natural log of the factor by which a score changes the odds of forgery."""
        return self.weight * (min(max(score, self.low), self.high) - self.neutral)


@dataclass(frozen=True, slots=True, eq=False)
class CombinationRule:
    """How kinds of evidence are weighed; stored with the model whose network it counts.

    Parameters
    ----------
    terms : mapping of str to Term
        By name: "network" (its score is the log odds of its own calibration) and names of forensic
        views.
    calibration : Calibration
        Of the sum of the terms' log odds: slope, intercept, thresholds and rates.
    """

    terms: Mapping[str, Term]
    calibration: Calibration

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the forensic views that are counted."""
        return tuple(name for name in self.terms if name != NETWORK)


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What one forensic view says, as far as it is weighed.

    Parameters
    ----------
    score : float or None
        None where the view does not apply.
    words : str
        What was found, or why the view does not apply.
    region : (H, W) bool array, optional
        What it accuses.
    """

    score: float | None
    words: str
    region: npt.NDArray[np.bool_] | None = None


def combine(
    forgery: ForgeryMap, findings: Mapping[str, Finding], rule: CombinationRule
) -> ForgeryMap:
    """Weigh a network's answer together with other evidence.

    Parameters
    ----------
    forgery : ForgeryMap
        Of the network alone.
    findings : mapping of str to Finding
        By view; those that the rule does not name are passed over.
    rule : CombinationRule

    Returns
    -------
    ForgeryMap
        With contributions. Its score is the probability of forgery, at even odds, by all evidence.
        A network that cannot be trusted here (`ForgeryMap.obstacle`) adds nothing; the verdict is
        then "forged" by other evidence or stays "inconclusive", never "no forgery found".
    """
    contributions: dict[str, Contribution] = {NETWORK: _of_network(forgery, rule)}
    regions = {}
    for name in rule.views:
        found = findings.get(name) or Finding(None, "not looked at")
        if found.score is None:
            contributions[name] = Contribution(0.0, found.words)
            continue
        one = Contribution(rule.terms[name].log_odds(found.score), found.words)
        contributions[name] = one
        if found.region is not None and one.weight in ("weak", "strong"):
            regions[name] = found.region
    total = sum(one.log_odds for one in contributions.values())
    said = judge_sum(total, rule.calibration, forgery.heatmap.shape, contributions)
    verdict, reason = said.verdict, said.reason
    if forgery.obstacle and verdict != "forged":
        verdict, reason = "inconclusive", forgery.obstacle
    return replace(
        forgery,
        heatmap=_with_regions(forgery.heatmap, contributions[NETWORK], regions),
        score=said.score,
        verdict=verdict,
        reason=reason,
        calibration=rule.calibration,
        contributions=MappingProxyType(contributions),
        regions=MappingProxyType(regions),
    )


def network_score(forgery: ForgeryMap) -> float | None:
    """Log odds of forgery by the network's own calibration; None where it is not trusted."""
    if forgery.obstacle or forgery.calibration is None:
        return None
    return float(logit(np.clip(forgery.score, _SURE, 1 - _SURE)))


def _of_network(forgery: ForgeryMap, rule: CombinationRule) -> Contribution:
    score, term = network_score(forgery), rule.terms.get(NETWORK)
    if score is None or term is None:
        return Contribution(0.0, forgery.obstacle or "not counted")
    return Contribution(term.log_odds(score), f"by itself {_percent(forgery.score)} at even odds")


def _percent(probability: float) -> str:
    return (
        "above 99 %" if probability > 0.99 else f"{max(probability, 0.01):.0%}".replace("%", " %")
    )


def _with_regions(
    heatmap: FloatImage,
    network: Contribution,
    regions: Mapping[str, npt.NDArray[np.bool_]],
) -> FloatImage:
    """Lay what other evidence accuses over the network's map.

    Where the network by itself says nothing, its map is only where a paste would be if there were
    one: it is then lowered below the half, so that the map shows what the verdict rests on.
    """
    if not regions:
        return heatmap
    ground = heatmap if network.weight in ("weak", "strong") else heatmap * np.float32(_MUTED)
    accused = np.zeros(heatmap.shape, bool)
    for name, region in regions.items():
        others = [other for key, other in regions.items() if key != name]
        accused |= _pasted_ends(region, [ground > _HALF, *others])
    return np.where(accused, np.maximum(ground, np.float32(_ACCUSED)), ground)


def _pasted_ends(
    region: npt.NDArray[np.bool_], others: Sequence[npt.NDArray[np.bool_]]
) -> npt.NDArray[np.bool_]:
    """Leave out parts that nothing else accuses, if something else accuses another part.

    Copy-move marks both ends. Which was pasted can be told by other traces alone: if they accuse
    most of one part and hardly any of another, that other one is where the pixels came from.
    """
    parts, count = label(region)
    if count < 2 or not others:
        return region
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    traces = np.logical_or.reduce(list(others))
    shares = np.bincount(parts[traces], minlength=count + 1)[1:] / sizes
    if shares.max() < _MOSTLY:
        return region
    left = np.append(False, shares > _HARDLY)
    return np.asarray(left[parts])
