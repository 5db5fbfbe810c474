"""The answer to whether a picture was forged: where, how likely, and what that rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_safire.types import FloatImage

Verdict = Literal["forged", "no forgery found", "inconclusive"]
NO_EVIDENCE = "If anything were pasted, most likely here: no evidence that it was."
NETWORK = "network"
SCORED_VIEWS = (
    "thumbnail", "double compression", "compression grid", "JPEG compatibility", "copy-move",
    "network-made content", "comparison",
)  # fmt: skip
"""Forensic views with a score, which models may count; here, so that a model's file can be checked
without them."""
_LEAST_LOG_ODDS = float(np.log(1.5))  # below, it hardly changes the odds
_STRONG_LOG_ODDS = float(np.log(10))  # ENFSI 2015: from here on "moderate support" and more


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a verdict rests on: a logistic curve and the two thresholds on its output.

    The curve is fitted with authentic and forged pictures counting the same: it gives the
    probability of forgery *at even odds*. `likelihood_ratio` is what it says whatever the odds,
    `with_prior` the probability at other odds. All rates are those of the pictures that it was
    fitted on.

    Parameters
    ----------
    slope, intercept : float
        ``P(forged) = 1 / (1 + exp(-(slope * statistic + intercept)))`` (Platt scaling).
    forged_above, clean_below : float
        Verdict "forged" at or above the first, "no forgery found" at or below the second.
    false_alarm_rate : float
        Share of authentic calibration images at or above ``forged_above``.
    basis : str
        One sentence: on which images this was fitted.
    miss_rate : float, optional
        Share of forged calibration images at or below ``clean_below``; None where it was not
        kept, as by models of earlier versions.
    highest_false_alarm_rate : float, optional
        The same share as ``false_alarm_rate`` in that kind of authentic images where it is highest
        (such as those compressed once more); None where no kinds were told apart.
    n_authentic, n_forged : int, optional
        Pictures it was fitted on; None where that was not kept.

    Raises
    ------
    ValueError
        Numbers that are not finite, thresholds out of order, or rates that are no shares.
    """

    slope: float
    intercept: float
    forged_above: float
    clean_below: float
    false_alarm_rate: float
    basis: str
    miss_rate: float | None = None
    highest_false_alarm_rate: float | None = None
    n_authentic: int | None = None
    n_forged: int | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept)):
            raise ValueError(
                f"A calibration's slope and intercept must be finite, not {self.slope} and "
                f"{self.intercept}: fit the calibration again."
            )
        if not 0 <= self.clean_below <= self.forged_above <= 1:
            raise ValueError(
                f"Calibration thresholds must be 0 <= clean_below <= forged_above <= 1, not "
                f"{self.clean_below} and {self.forged_above}: fit the calibration again."
            )
        for name in ("n_authentic", "n_forged"):
            number = getattr(self, name)
            if number is not None and not (isinstance(number, int) and number > 0):
                raise ValueError(
                    f"A calibration's {name} is a number of pictures, not {number}: fit the "
                    "calibration again."
                )
        for name in ("false_alarm_rate", "miss_rate", "highest_false_alarm_rate"):
            rate = getattr(self, name)
            known = rate is not None
            if (known and not 0 <= rate <= 1) or (name == "false_alarm_rate" and not known):
                raise ValueError(
                    f"A calibration's {name} is a share, 0 to 1, not {rate}: fit the calibration "
                    "again."
                )

    @property
    def likelihood_bounds(self) -> tuple[float, float]:
        """Smallest and largest likelihood ratio that so many pictures can support.

        Beyond the pictures that it was fitted on, a logistic curve only extrapolates. That none of
        N authentic pictures looks as suspicious as the one at hand still leaves a share of about
        1 / (N + 1) (rule of succession): so a ratio is never above N + 1, nor below 1 / (M + 1)
        with M forged ones. Where the numbers were not kept, they are the fewest with which the
        stored rates are possible. (For the same reason: Vergeer et al., "Numerical likelihood
        ratios outputted by LR systems are often based on extrapolation: when to stop
        extrapolating?", Science & Justice 56, 2016.)
        """
        authentic = self.n_authentic or max(
            _fewest(self.false_alarm_rate), _fewest(self.highest_false_alarm_rate)
        )
        forged = self.n_forged or _fewest(self.miss_rate)
        return 1 / (forged + 1), float(authentic + 1)

    def likelihood_ratio(self, probability: float) -> float:
        """How many times as likely such a score is of a forgery as of an authentic picture.

        Parameters
        ----------
        probability : float
            At even odds, from `probability`.

        Returns
        -------
        float
            Within `likelihood_bounds`.
        """
        low, high = self.likelihood_bounds
        if probability >= 1:
            return high
        return float(np.clip(probability / (1 - probability), low, high))

    def with_prior(self, probability: float, prior: float) -> float:
        """Return the probability of forgery at other odds than even ones.

        Parameters
        ----------
        probability : float
            At even odds, from `probability`.
        prior : float
            Probability of forgery before the picture was seen, between 0 and 1.

        Returns
        -------
        float
            By Bayes' rule from `likelihood_ratio`, and so within its bounds.

        Raises
        ------
        ValueError
            The prior does not lie between 0 and 1: nothing could change it.

        Examples
        --------
        >>> calibration = Calibration(1, 0, 0.9, 0.1, 0.05, "", n_authentic=200, n_forged=200)
        >>> round(calibration.with_prior(0.97, 0.01), 2)
        0.25
        """
        if not 0 < prior < 1:
            raise ValueError(
                f"A prior probability of forgery lies between 0 and 1, not at {prior}: give a "
                "share such as 0.05."
            )
        odds = self.likelihood_ratio(probability) * prior / (1 - prior)
        return odds / (1 + odds)

    def probability(self, statistic: float) -> float:
        """Probability, at even odds, that an image with this separation statistic is forged."""
        return float(1.0 / (1.0 + np.exp(-(self.slope * statistic + self.intercept))))


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one kind of evidence adds to a verdict.

    Parameters
    ----------
    log_odds : float
        Natural logarithm of the factor by which it changes the odds of forgery: above 0 it speaks
        for a forgery, below 0 against one; 0 where it does not apply.
    words : str
        What was found, or why it does not apply, in plain words.
    """

    log_odds: float
    words: str

    @property
    def weight(self) -> str:
        """How much it says, in words: "strong", "weak", "nothing", "against"."""
        if self.log_odds < -_LEAST_LOG_ODDS:
            return "against"
        if self.log_odds < _LEAST_LOG_ODDS:
            return "nothing"
        return "strong" if self.log_odds >= _STRONG_LOG_ODDS else "weak"


@dataclass(frozen=True, slots=True, eq=False)
class ForgeryMap:
    """The binary answer: where, how likely, and what that rests on.

    Parameters
    ----------
    heatmap : (H, W) float32 array in [0, 1]
    score : float
        Image-level probability of forgery at even odds where the model is calibrated, else the raw
        statistic squeezed to [0, 1].
    verdict : {"forged", "no forgery found", "inconclusive"}
    reason : str
        Why this verdict, in sentences of at most 20 words. On which pictures it rests is said by
        ``calibration.basis``.
    calibration : Calibration or None
        None where the model has none; the verdict is then always "inconclusive".
    obstacle : str
        Why the score of the network is not trusted, whatever it is; empty if it is.
    contributions : mapping of str to Contribution
        What each kind of evidence adds to the score, by name: "network" and names of forensic
        views. Empty where the network alone was asked.
    regions : mapping of str to (H, W) bool array
        What forensic views accuse, by their name; the heatmap holds them too.
    """

    heatmap: FloatImage
    score: float
    verdict: Verdict
    reason: str
    calibration: Calibration | None = None
    obstacle: str = ""
    contributions: Mapping[str, Contribution] = field(default_factory=lambda: MappingProxyType({}))
    regions: Mapping[str, npt.NDArray[np.bool_]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    @property
    def caveat(self) -> str:
        """What has to stand beside the heatmap; empty if the verdict is "forged".

        A heatmap is a conditional statement: where a paste would be, if there were one.
        """
        return "" if self.verdict == "forged" else NO_EVIDENCE

    @property
    def likelihood_ratio(self) -> float | None:
        """See `Calibration.likelihood_ratio`; None without a calibration.

        Like `score` it is there for inconclusive pictures too, and to be trusted as little there.
        """
        if self.calibration is None:
            return None
        return self.calibration.likelihood_ratio(self.score)

    def with_prior(self, prior: float) -> float | None:
        """Return the probability of forgery at a prior; None without a calibration.

        Parameters
        ----------
        prior : float
            See `Calibration.with_prior`.

        Returns
        -------
        float or None

        Raises
        ------
        ValueError
            The prior does not lie between 0 and 1.
        """
        if self.calibration is None:
            return None
        return self.calibration.with_prior(self.score, prior)


def _fewest(rate: float | None) -> int:
    """Fewest pictures of which a share can be exactly this one."""
    if rate is None:
        return 1
    share = Fraction(rate).limit_denominator(1_000_000)
    return share.denominator if float(share) == rate else 1
