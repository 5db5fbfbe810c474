"""One verdict out of several kinds of evidence, and what each adds to it."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_safire import examine
from napari_safire.engine.rules import ModelRules, read_rules
from napari_safire.errors import CheckpointError
from napari_safire.examination.evidence import weigh
from napari_safire.forensics import Picture
from napari_safire.forensics.catalogue import VIEWS
from napari_safire.forensics.evidence import Evidence
from napari_safire.forensics.view import EvidenceView
from napari_safire.forgery import NETWORK, SCORED_VIEWS, Calibration, ForgeryMap
from napari_safire.partitioning.combination import CombinationRule, Finding, Term, combine

SHAPE = (160, 200)
CALIBRATION = Calibration(1.0, 0.0, 0.9, 0.3, 0.05, "made up.", 0.2, 0.05, 200, 100)
RULE = CombinationRule(
    {
        NETWORK: Term(0.5, 0.0, -4.0, 4.0),
        "copy-move": Term(1.0, 1.0, 0.0, 6.0),
        "double compression": Term(2.0, 0.0, 0.0, 2.0),
    },
    CALIBRATION,
)
REGION = np.zeros(SHAPE, bool)
REGION[20:60, 30:90] = True


def network(probability: float, obstacle: str = "") -> ForgeryMap:
    heatmap = np.zeros(SHAPE, np.float32)
    heatmap[100:] = 0.9
    verdict = "inconclusive" if obstacle else "no forgery found"
    return ForgeryMap(heatmap, probability, verdict, "Alone.", CALIBRATION, obstacle)


def weighed(probability: float = 0.5, obstacle: str = "", **findings: Finding) -> ForgeryMap:
    names = {"copies": "copy-move", "double": "double compression"}
    named = {names[short]: finding for short, finding in findings.items()}
    return combine(network(probability, obstacle), named, RULE)


def test_log_odds_add_up_and_each_is_told() -> None:
    found = weighed(0.8, copies=Finding(3.0, "two regions"), double=Finding(0.5, "x"))
    added = {name: one.log_odds for name, one in found.contributions.items()}
    assert added == pytest.approx(
        {NETWORK: 0.5 * log(4), "copy-move": 2.0, "double compression": 1.0}
    )
    assert found.score == pytest.approx(1 / (1 + np.exp(-sum(added.values()))))
    assert found.verdict == "forged"
    assert found.contributions["copy-move"].words == "two regions"
    assert found.reason.startswith("Evidence of a forgery, each weak by itself: copy-move, double")
    assert "At even odds" in found.reason


def test_reasons_name_what_speaks_and_what_against() -> None:
    strong = weighed(0.9, copies=Finding(6.0, "")).reason
    assert strong.startswith("Strong evidence of a forgery: copy-move; weaker: network.")
    assert weighed(0.8).reason.startswith("Evidence of a forgery, weak by itself: network.")
    assert weighed(0.1).reason.startswith("Speaks against a forgery: network.")
    both = weighed(0.1, copies=Finding(6.0, "")).reason
    assert both.startswith("Strong evidence of a forgery: copy-move; against one: network.")
    assert "No evidence speaks" in weighed(0.5, copies=Finding(1.0, "")).reason
    for reason in (strong, weighed(0.1).reason):
        assert all(len(sentence.split()) <= 20 for sentence in reason.split(". "))


def test_what_is_missing_adds_nothing_and_says_why() -> None:
    found = weighed(0.5, copies=Finding(None, "not applicable: a PNG file, not a JPEG"))
    assert found.contributions["copy-move"].log_odds == 0
    assert "PNG" in found.contributions["copy-move"].words
    assert found.contributions["double compression"].words == "not looked at"
    assert found.score == pytest.approx(0.5)


def test_an_extreme_score_does_not_decide_more_than_its_limit() -> None:
    most = weighed(copies=Finding(1e9, "")).contributions["copy-move"].log_odds
    assert most == RULE.terms["copy-move"].log_odds(6.0) == 5.0


@given(st.floats(0.001, 0.999), st.floats(0, 9), st.floats(0, 9))
def test_more_evidence_never_lowers_the_score(p: float, low: float, more: float) -> None:
    one = weighed(p, copies=Finding(low, ""))
    other = weighed(p, copies=Finding(low + more, ""))
    assert other.score >= one.score


def test_a_network_that_cannot_be_trusted_clears_nothing() -> None:
    """Else a tiny or dark picture would be called authentic by want of copies."""
    silent = "A picture of 100 x 100 pixels is too small to judge."
    found = weighed(0.01, silent, copies=Finding(0.0, "no region is shown twice"))
    assert (found.verdict, found.reason) == ("inconclusive", silent)
    assert found.contributions[NETWORK].log_odds == 0
    assert found.contributions[NETWORK].words == silent
    strong = weighed(0.01, silent, copies=Finding(6.0, "", REGION))
    assert strong.verdict == "forged"


def test_the_map_gains_what_other_evidence_accuses() -> None:
    found = weighed(0.5, copies=Finding(5.0, "", REGION))
    assert set(found.regions) == {"copy-move"}
    assert (found.heatmap[REGION] > 0.5).all()
    assert (found.heatmap[~REGION] <= 0.5).all(), "the network by itself accuses nothing"
    both = weighed(0.99, copies=Finding(5.0, "", REGION))
    np.testing.assert_array_equal(both.heatmap > 0.5, REGION | (network(0.99).heatmap > 0.5))
    weak = weighed(0.5, copies=Finding(1.0, "", REGION))
    assert not weak.regions
    np.testing.assert_array_equal(weak.heatmap, network(0.5).heatmap)


def test_rules_come_back_from_a_models_file() -> None:
    rules = ModelRules(calibration=CALIBRATION, combination=RULE)
    back = read_rules(rules.as_metadata()).combination
    assert back is not None
    assert (dict(back.terms), back.calibration) == (dict(RULE.terms), RULE.calibration)


def planted_copy() -> np.ndarray:
    rng = np.random.default_rng(5)
    rough = rng.normal(128, 40, (260, 340, 3))
    smooth = np.stack([harmonic_noise(c) for c in np.moveaxis(rough, -1, 0)], axis=-1)
    picture = np.clip(smooth + rng.normal(0, 2, smooth.shape), 0, 255).astype(np.uint8)
    picture[150:240, 220:320] = picture[20:110, 30:130]
    return picture


def harmonic_noise(values: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return 128 + 5 * (gaussian_filter(values, 2) - values.mean()) + gaussian_filter(values, 12) / 9


def test_copy_move_speaks_in_a_verdict_on_pixels() -> None:
    """The whole way: pixels to views to a verdict that counts them."""
    calm = network(0.5)
    calm = replace(calm, heatmap=np.zeros((260, 340), np.float32))
    found = weigh(calm, Picture.of_pixels(planted_copy()), RULE)
    one = found.contributions["copy-move"]
    assert one.log_odds > 0
    assert "match" in one.words
    assert found.contributions["double compression"].words.startswith("not applicable")


def test_a_view_that_accuses_no_region_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a verdict would rest on what its own words deny."""
    doubtful = Evidence(score=2.0, finding="no region is shown twice")
    monkeypatch.setattr(EvidenceView, "compute", lambda *_, **__: doubtful)
    found = weigh(network(0.5), Picture.of_pixels(np.zeros((*SHAPE, 3), np.uint8)), RULE)
    assert found.contributions["copy-move"].log_odds == RULE.terms["copy-move"].log_odds(0.0)


def test_a_model_without_weights_says_that_it_is_alone() -> None:
    found = weigh(network(0.9), Picture.of_pixels(np.zeros((*SHAPE, 3), np.uint8)), None)
    assert (found.score, found.verdict) == (0.9, network(0.9).verdict)
    assert "no weights for other evidence" in found.contributions[NETWORK].words


@pytest.mark.parametrize("name", ["aura", "residual"])  # the latter has no score
def test_a_model_that_counts_an_unknown_view_is_refused_when_it_is_chosen(name: str) -> None:
    rules = ModelRules(combination=CombinationRule({name: Term(1.0)}, CALIBRATION))
    with pytest.raises(CheckpointError, match=f"it counts the view {name!r}, which this version"):
        read_rules(rules.as_metadata())


def test_the_views_that_models_may_count_are_those_with_a_score() -> None:
    assert tuple(view.name for view in VIEWS if view.score_means) == SCORED_VIEWS


def test_examine_refuses_what_is_no_choice() -> None:
    with pytest.raises(TypeError, match="engine is 'x': give an Engine"):
        examine(np.zeros((200, 200), np.uint8), engine="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='evidence is \'some\': give "all" or "none"'):
        examine(np.zeros((200, 200), np.uint8), evidence="some")  # type: ignore[arg-type]
