"""What is said of a picture: odds, reasons, and what could settle the question."""

from __future__ import annotations

import dataclasses
import re
from itertools import product
from math import log

import numpy as np
import pytest

from napari_safire.forgery import Calibration, ForgeryMap
from napari_safire.partitioning.silence import NOTHING_FOUND, SAME_EVERYWHERE, SAME_FOR_ALL
from napari_safire.partitioning.uninformative import Informativeness, Uninformative
from napari_safire.partitioning.verdict import judge

LIMITS = Calibration(
    1.0, 0.0, 0.7, 0.2, 0.05, "calibrated on a test.", 0.04, 0.09, n_authentic=200, n_forged=100
)
MOST_WORDS = 20


def at(
    probability: float, calibration: Calibration | None = LIMITS, **how: object
) -> tuple[float, str, str]:
    """Judge a picture whose score is this probability."""
    statistic = log(probability / (1 - probability))
    statistic = abs(statistic) if calibration is None else statistic  # distances are never below 0
    arguments = {"image_shape": (1000, 1000)} | how
    return judge(statistic, calibration, **arguments)[:3]  # type: ignore[arg-type]


def sentences(text: str) -> list[str]:
    return [one for one in re.split(r"(?<=[.?!]) ", text) if one]


# -- sentences -----------------------------------------------------------------------------------

GONE = Uninformative(dark=0.31, saturated=0.3, flat=0.22)
ALL = product(
    (0.001, 0.2, 0.45, 0.7, 0.999),
    ((127, 64_000), (300, 400), (3000, 4000)),
    (None, Informativeness(GONE, Uninformative()), Informativeness(Uninformative(), GONE)),
    (LIMITS, None, dataclasses.replace(LIMITS, miss_rate=None, highest_false_alarm_rate=None)),
    ("", SAME_EVERYWHERE, SAME_FOR_ALL, NOTHING_FOUND),
)


def test_every_reason_is_short_sentences_and_says_what_could_settle_it() -> None:
    for probability, shape, known, calibration, silence in ALL:
        score, verdict, reason = at(
            probability, calibration, image_shape=shape, informativeness=known, silence=silence
        )
        assert 0 <= score <= 1
        for sentence in sentences(reason):
            assert len(sentence.split()) <= MOST_WORDS, sentence
            assert sentence[-1] in ".?"
        if "probability of forgery" in reason:
            assert "At even odds" in reason
        if verdict == "inconclusive":
            assert "could settle it" in reason or "another model" in reason


@pytest.mark.parametrize(
    ("probability", "nearer", "away", "further"),
    [(0.3, "no forgery found", "0.10", "0.40"), (0.65, "forged", "0.05", "0.45")],
)
def test_between_the_thresholds_it_says_which_side_and_how_near(
    probability: float, nearer: str, away: str, further: str
) -> None:
    _, verdict, reason = at(probability)
    assert verdict == "inconclusive"
    assert f"the probability of forgery is {probability:.2f}." in reason
    assert '0.20 for "no forgery found", 0.70 for "forged"' in reason
    assert f'nearer to "{nearer}": {away} away, and {further} from' in reason


def test_the_distances_fit_the_numbers_that_are_shown() -> None:
    limits = dataclasses.replace(LIMITS, clean_below=0.2716, forged_above=0.6836)
    reason = at(0.5051, limits)[2]
    assert "the probability of forgery is 0.51." in reason
    assert '0.27 for "no forgery found", 0.68 for "forged"' in reason
    assert 'nearer to "forged": 0.17 away, and 0.24 from' in reason


@pytest.mark.parametrize(("probability", "words"), [(0.004, "below 0.01"), (0.996, "above 0.99")])
def test_no_probability_is_said_to_be_none_or_one(probability: float, words: str) -> None:
    assert f"the probability of forgery is {words}." in at(probability)[2]


def test_right_between_them_it_is_nearer_to_none() -> None:
    reason = at(0.5, dataclasses.replace(LIMITS, clean_below=0.25, forged_above=0.75))[2]
    assert "as near to the one as to the other: 0.25 away." in reason


def test_numbers_that_differ_are_shown_to_differ() -> None:
    reason = at(0.6996)[2]
    assert "the probability of forgery is 0.6996." in reason
    assert '0.7000 for "forged"' in reason


@pytest.mark.parametrize(
    ("shape", "words"),
    [((511, 900), "A larger version"), ((512, 900), "An earlier, less compressed version")],
)
def test_what_could_settle_it_fits_the_picture(shape: tuple[int, int], words: str) -> None:
    assert f"{words} could settle it." in at(0.5, image_shape=shape)[2]


@pytest.mark.parametrize("silence", [SAME_EVERYWHERE, SAME_FOR_ALL, NOTHING_FOUND])
@pytest.mark.parametrize("probability", [0.01, 0.99])
def test_a_model_that_does_not_respond_gives_no_verdict(silence: str, probability: float) -> None:
    _, verdict, reason = at(probability, silence=silence)
    assert verdict == "inconclusive"
    assert reason == silence


# -- odds ----------------------------------------------------------------------------------------


def test_the_likelihood_ratio_is_the_odds_at_even_odds() -> None:
    assert LIMITS.likelihood_ratio(0.5) == pytest.approx(1)
    assert LIMITS.likelihood_ratio(0.9) == pytest.approx(9)
    assert LIMITS.likelihood_ratio(0.1) == pytest.approx(1 / 9)
    assert "9.0 times as likely for a forgery as for an authentic picture." in at(0.9)[2]
    assert "9.0 times as likely for an authentic picture as for a forgery." in at(0.1)[2]


@pytest.mark.parametrize("probability", [0.9999999, 1.0])
def test_no_ratio_is_larger_than_the_calibration_supports(probability: float) -> None:
    assert LIMITS.likelihood_ratio(probability) == 201
    assert LIMITS.likelihood_ratio(1 - probability) == pytest.approx(1 / 101)
    if probability < 1:
        assert "201 times" in at(probability)[2]
        assert "Its calibration supports no larger ratio." in at(probability)[2]
        assert "101 times as likely for an authentic picture" in at(1 - probability)[2]


def test_of_older_calibrations_the_rates_tell_how_many_pictures_there_were_at_least() -> None:
    shipped = dataclasses.replace(
        LIMITS, n_authentic=None, n_forged=None, false_alarm_rate=39 / 756, miss_rate=10 / 186,
        highest_false_alarm_rate=39 / 402,
    )  # fmt: skip
    assert shipped.likelihood_bounds == (1 / 94, 253)  # 13 / 252 and 5 / 93
    unknown = dataclasses.replace(shipped, miss_rate=None)
    assert unknown.likelihood_bounds == (1 / 2, 253)


def test_a_prior_changes_the_probability_by_bayes_rule() -> None:
    assert LIMITS.with_prior(0.9, 0.5) == pytest.approx(0.9)
    assert LIMITS.with_prior(0.9, 0.1) == pytest.approx(0.5)
    assert LIMITS.with_prior(0.97, 0.01) == pytest.approx(0.246, abs=1e-3)
    assert LIMITS.with_prior(1.0, 0.5) == pytest.approx(201 / 202)
    for prior in (0, 1, -0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            LIMITS.with_prior(0.9, prior)


def test_a_forgery_map_offers_both() -> None:
    heatmap = np.zeros((2, 2), np.float32)
    found = ForgeryMap(heatmap, 0.9, "forged", "", LIMITS)
    assert found.likelihood_ratio == pytest.approx(9)
    assert found.with_prior(0.1) == pytest.approx(0.5)
    raw = ForgeryMap(heatmap, 0.9, "inconclusive", "")
    assert raw.likelihood_ratio is None
    assert raw.with_prior(0.1) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"slope": float("nan")}, {"intercept": float("inf")}, {"false_alarm_rate": float("nan")},
        {"false_alarm_rate": None}, {"miss_rate": 2.0}, {"n_authentic": 0}, {"n_forged": 1.5},
        {"forged_above": float("nan")},
    ],
)  # fmt: skip
def test_a_damaged_calibration_is_refused(damage: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="calibration"):
        dataclasses.replace(LIMITS, **damage)
