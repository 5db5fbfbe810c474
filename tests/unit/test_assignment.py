"""Who works on what, who may see what, and hidden control pictures."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_agreement import renumbered

from napari_safire.errors import DatasetError
from napari_safire.metrics import p_miou
from napari_safire.project.team.assignment import (
    Assignable,
    Assigned,
    AssignmentRule,
    Assignments,
    assign,
)
from napari_safire.project.team.controls import (
    ControlScore,
    score_control,
    scores_over_time,
    with_controls,
)
from napari_safire.project.visibility import (
    PictureWorks,
    StateChange,
    blind_revisions,
    may_see,
    visible_works,
)

NAMES = ("ann", "bo", "cy", "dee")


def pictures(n: int, begin: int = 0) -> list[Assignable]:
    return [Assignable(f"p{k:04d}") for k in range(begin, begin + n)]


def loads(found: Assignments) -> Counter[str]:
    return Counter(given.annotator for given in found.made)


@given(st.integers(0, 30), st.integers(1, 4), st.integers(0, 99), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_even_different_and_the_same_again(n, each, seed, later):
    rule = AssignmentRule(NAMES, each, seed=seed)
    found = assign(pictures(n), rule)
    assert found == assign(pictures(n), rule)
    assert found.short == {}
    assert len(set(found.made)) == len(found.made) == n * each  # nobody twice on one picture
    shares = [loads(found)[name] for name in NAMES]
    assert max(shares) - min(shares) <= 1
    # Pictures that come later change nothing, whether what was is told or not.
    more = pictures(n + later)
    assert assign(more, rule).made[: n * each] == found.made
    added = assign(more, rule, existing=found.made)
    assert found.made + added.made == assign(more, rule).made


def test_everybody_meets_everybody():
    found = assign(pictures(60), AssignmentRule(NAMES, 2))
    by_picture = defaultdict(list)
    for given_ in found.made:
        by_picture[given_.picture].append(given_.annotator)
    met = Counter(frozenset(names) for names in by_picture.values())
    assert {met[frozenset(pair)] for pair in combinations(NAMES, 2)} == {10}


def test_the_seed_draws_other_lots():
    drawn = {assign(pictures(8), AssignmentRule(NAMES, seed=seed)).made for seed in range(5)}
    assert len(drawn) > 1


def test_a_second_annotator_is_never_the_first():
    first = assign(pictures(20), AssignmentRule(NAMES)).made
    second = assign(pictures(20), AssignmentRule(NAMES, 2), existing=first).made
    assert len(second) == 20
    assert not set(first) & set(second)
    # An adjudicator is neither of both, and adjudications count apart.
    both = first + second
    third = assign(pictures(20), AssignmentRule(NAMES), besides=both).made
    assert len(third) == 20
    assert not set(both) & set(third)


def test_quotas():
    rule = AssignmentRule(NAMES, quotas={"ann": 2, "bo": 0})
    found = assign(pictures(12), rule)
    assert loads(found) == {"ann": 2, "cy": 5, "dee": 5}
    # Where all have one, they are filled alike: half of each.
    rule = AssignmentRule(NAMES, quotas={"ann": 4, "bo": 8, "cy": 12, "dee": 16})
    assert loads(assign(pictures(20), rule)) == {"ann": 2, "bo": 4, "cy": 6, "dee": 8}
    found = assign(pictures(42), rule)
    assert loads(found) == {"ann": 4, "bo": 8, "cy": 12, "dee": 16}
    assert found.short == dict.fromkeys(("p0040", "p0041"), "all quotas are full")
    # What was given away before counts.
    again = assign(pictures(42), rule, existing=found.made)
    assert again.made == ()
    assert set(again.short) == {"p0040", "p0041"}


def test_tags():
    mixed = [
        Assignable("x", frozenset({"text"})),
        Assignable("y", frozenset({"face", "night"})),
        Assignable("z"),
    ]
    rule = AssignmentRule(
        ("ann", "bo"), 1, tags={"ann": frozenset({"text", "night"}), "bo": frozenset({"face"})}
    )
    found = assign(mixed, rule)
    assert found.made == (Assigned("x", "ann"), Assigned("y", "bo"))
    assert found.short == {"z": "nobody else takes its tags"}
    two = AssignmentRule(("ann", "bo"), 2, tags=rule.tags)
    assert set(assign(mixed, two).short) == {"x", "z"}
    # Who has no tags takes all.
    assert assign(mixed, AssignmentRule(("ann", "bo"), 2, tags={"ann": frozenset()})).short


def test_nobody_is_left_for_a_picture():
    given_ = [Assigned("p0000", "ann"), Assigned("p0000", "bo")]
    found = assign(pictures(1), AssignmentRule(("ann", "bo")), besides=given_)
    assert found.short == {"p0000": "everybody has a part in it already"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((("ann",), 2), "2 annotators of 1"),
        (((), 1), "1 annotators of 0"),
        ((("ann",), 0), "0 annotators of 1"),
        ((("ann", "ann"), 1), "named twice"),
        ((("ann",), 1, {"bo": 3}), "'bo' has a quota"),
        ((("ann",), 1, {"ann": -3}), "quota of 'ann' is -3"),
        ((("ann",), 1, {}, {"cy": frozenset()}), "'cy' has a quota or tags"),
    ],
)
def test_rules_that_cannot_be_kept(arguments, words):
    with pytest.raises(DatasetError, match=words):
        AssignmentRule(*arguments)


@pytest.mark.parametrize(
    ("needed", "states", "seen"),
    [
        (2, {"ann": "done", "bo": "begun"}, ("ann",)),
        (2, {"ann": "begun", "bo": "done"}, ("ann",)),
        (2, {"ann": "done"}, ("ann",)),  # the second one is not found yet: it may be who looks
        (2, {"ann": "done", "bo": "done"}, ("ann", "bo")),
        (2, {"ann": "accepted", "bo": "done"}, ("ann", "bo")),
        (2, {"ann": "rejected", "bo": "done"}, ("ann",)),  # sent back: blind again
        (1, {"ann": "done", "bo": "assigned"}, ("ann",)),
        (1, {"ann": "done"}, ("ann",)),
    ],
)
def test_nobody_sees_anothers_work_before_all_are_done(needed, states, seen):
    works = PictureWorks(needed, states)
    assert visible_works("ann", works) == seen
    for owner in states:
        assert may_see(owner, owner, works)
    # Adjudicators see no earlier than the annotators do.
    assert may_see("adjudicator", "ann", works) == works.all_done


def test_nobody_waits_for_adjudicators():
    def work(annotator: str, role: str, state: str) -> SimpleNamespace:
        return SimpleNamespace(annotator=annotator, role=role, state=state)

    both = [work("ann", "annotator", "done"), work("bo", "annotator", "done")]
    works = PictureWorks.of([*both, work("cy", "adjudicator", "begun")], 2)
    assert visible_works("cy", works) == ("ann", "bo", "cy")
    assert visible_works("dee", works) == ("ann", "bo", "cy")
    half = PictureWorks.of([both[0], work("cy", "adjudicator", "begun")], 2)
    assert visible_works("cy", half) == ("cy",)


def test_only_what_was_made_blind_tells_agreement():
    changes = [
        StateChange("ann", "begun", 0),
        StateChange("ann", "done", 3),
        StateChange("bo", "begun", 0),
        StateChange("ann", "begun", 3),  # she went on before he was done: still blind
        StateChange("ann", "done", 4),
        StateChange("bo", "done", 1),
        StateChange("bo", "begun", 1),  # he has seen hers by now
        StateChange("bo", "done", 2),
    ]
    assert blind_revisions(changes, 2) == {"ann": 4, "bo": 1}
    assert blind_revisions(changes[:5], 2) == {}
    assert blind_revisions(changes[:2], 1) == {"ann": 3}
    assert blind_revisions(changes, 3) == {}


CONTROLS = [f"c{k}" for k in range(40)]


@given(st.integers(0, 60), st.floats(0, 0.5), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_controls_are_mixed_in(n, share, seed):
    queue = [f"p{k}" for k in range(n)]
    mixed = with_controls(queue, CONTROLS, share, annotator="ann", seed=seed)
    assert mixed == with_controls(queue, CONTROLS, share, annotator="ann", seed=seed)
    assert [name for name in mixed if name[0] == "p"] == queue
    drawn = [name for name in mixed if name[0] == "c"]
    assert len(set(drawn)) == len(drawn)
    expected = min(share * n / (1 - share), len(CONTROLS))
    assert math.floor(expected) <= len(drawn) <= math.ceil(expected)
    # Nobody gets one again.
    again = with_controls(queue, CONTROLS, share, annotator="ann", seed=seed, known=drawn)
    assert not set(drawn) & set(again)


def test_the_order_tells_nothing():
    queue = [f"p{k}" for k in range(90)]
    places: list[int] = []
    drawn = []
    for person in range(60):
        mixed = with_controls(queue, CONTROLS, 0.1, annotator=f"person {person}", seed=3)
        places += [k for k, name in enumerate(mixed) if name[0] == "c"]
        drawn.append([name for name in mixed if name[0] == "c"])
    assert len(places) == 600
    # Ten equal parts of the queue hold 60 each, but for chance (standard deviation 7).
    assert all(30 < n < 90 for n in np.bincount(np.array(places) // 10, minlength=10))
    assert len({tuple(names) for names in drawn}) == 60  # others, in another order, for everybody
    used = Counter(name for names in drawn for name in names)
    assert len(used) == 40
    assert max(used.values()) < 35


def test_pictures_given_away_one_by_one_have_controls_too():
    n_drawn = sum(
        len(with_controls([f"p{k}"], CONTROLS, 0.2, annotator="ann", seed=1)) - 1
        for k in range(200)
    )
    assert 25 < n_drawn < 75  # 50 are expected


def test_controls_that_run_out_and_shares_out_of_range():
    queue = [f"p{k}" for k in range(20)]
    mixed = with_controls(queue, ["c0", "c0", "p3"], 0.5, annotator="ann", seed=0)
    assert sorted(set(mixed) - set(queue)) == ["c0"]
    assert len(mixed) == 21
    assert with_controls(queue, [], 0.5, annotator="ann", seed=0) == tuple(queue)
    assert with_controls([], ["c0"], 0.5, annotator="ann", seed=0) == ()
    for share in (-0.1, 0.51, math.nan):
        with pytest.raises(DatasetError, match=r"give 0 to 0\.5"):
            with_controls(queue, CONTROLS, share, annotator="ann", seed=0)


OF = {"annotator": "ann", "picture": "c1", "at": "2026-11-29T15:00:00Z"}


def test_scores_of_a_control_by_hand():
    truth = np.array([[1] * 6 + [2] * 4], np.uint8)
    assert score_control(truth, renumbered(truth, 1), **OF).p_miou == 1
    one = score_control(truth, np.ones_like(truth), **OF)
    assert one.p_miou == one.floor == pytest.approx(0.6 / 2)
    assert one.p_ari == 0
    assert score_control(truth, np.zeros_like(truth), **OF).p_miou == 0
    # Open pixels are missed, not a source: 4 of 6 and 4 of 4.
    open_ = np.array([[9] * 4 + [0] * 2 + [3] * 4], np.uint8)
    assert score_control(truth, open_, **OF).p_miou == pytest.approx((4 / 6 + 1) / 2)
    # Where the truth is not known, nothing counts.
    partly = np.array([[1] * 4 + [0] * 2 + [2] * 4], np.uint8)
    found = score_control(partly, truth, **OF)
    assert (found.p_miou, found.p_ari, found.boundary_f) == (1, 1, 1)
    labels = np.array([[1, 1, 1, 2, 2, 2, 2, 2, 2, 2]], np.uint8)
    found = score_control(truth, labels, **OF)
    assert found.p_miou == pytest.approx(p_miou(truth - 1, labels - 1, variant="hungarian"))
    with pytest.raises(DatasetError, match="holds no source"):
        score_control(np.zeros_like(truth), truth, **OF)
    with pytest.raises(DatasetError, match="different pictures"):
        score_control(truth, truth.T, **OF)


def scored(annotator: str, at: str, p: float) -> ControlScore:
    return ControlScore(annotator, f"c{at}", at, p, p, p, 0.3)


def test_scores_over_time():
    days = [scored("ann", f"2026-11-{day:02d}T10:00:00Z", day / 100) for day in range(1, 26)]
    bo = scored("bo", "2026-11-05T09:00:00+02:00", 0.5)
    rows = scores_over_time([*days[::-1], bo], per_group=10)
    assert [(row.annotator, row.n) for row in rows] == [
        ("ann", 10),
        ("ann", 10),
        ("ann", 5),
        ("bo", 1),
    ]
    assert rows[0].begin == days[0].at
    assert rows[0].end == days[9].at
    assert rows[0].means["p_miou"].mean == pytest.approx(0.055)
    assert 0.01 < rows[0].means["p_miou"].low < 0.055 < rows[0].means["p_miou"].high < 0.1
    assert rows[0].means["floor"].mean == pytest.approx(0.3)
    assert math.isnan(rows[3].means["p_miou"].low)  # one picture says nothing about others
    assert scores_over_time([]) == ()
    # Times are compared as times, whatever zone they are written in.
    mixed = [scored("ann", at, 0.5) for at in ("2026-11-05T10:30:00Z", "2026-11-05T12:00:00+02:00")]
    assert scores_over_time(mixed)[0].begin == mixed[1].at
    with pytest.raises(DatasetError, match="'yesterday'"):
        scores_over_time([scored("ann", "yesterday", 0.5)])
    with pytest.raises(DatasetError, match="row of 0"):
        scores_over_time(days, per_group=0)
