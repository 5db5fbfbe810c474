"""Agreement of annotators: the same whoever comes first and however sources are numbered."""

from __future__ import annotations

import dataclasses
import math

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_safire.errors import DatasetError
from napari_safire.metrics import (
    alpha_of_coincidences,
    boundary_f,
    coincidence_matrix,
    confusion_matrix,
    p_ari,
    p_miou,
)
from napari_safire.project.team.agreement import (
    agreement,
    agreement_of_all,
    means_with_intervals,
)
from napari_safire.project.team.alignment import align
from napari_safire.project.team.disagreement import disagreements


def works(n: int, shape: tuple[int, int], seed: int, *, least: int = 0, most: int = 4):
    """n label images that resemble each other: one drawn, the others with a third drawn anew."""
    rng = np.random.default_rng(seed)
    first = rng.integers(least, most + 1, shape).astype(np.uint8)
    found = [first]
    for _ in range(n - 1):
        other = rng.integers(least, most + 1, shape).astype(np.uint8)
        found.append(np.where(rng.random(shape) < 0.3, other, first))
    return found


def renumbered(labels: np.ndarray, seed: int) -> np.ndarray:
    """The same sources under other numbers, up to 255; 0 stays."""
    table = np.concatenate([[0], np.random.default_rng(seed).permutation(255) + 1])
    return table.astype(np.uint8)[labels]


def assert_same(one: object, other: object) -> None:
    for name in ("p_miou", "p_ari", "alpha", "boundary_f"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-7, nan_ok=True)
    assert (one.n_compared, one.n_agreed) == (other.n_compared, other.n_agreed)


SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(SEEDS, SHAPES, SEEDS)
@settings(max_examples=40, deadline=None)
def test_order_and_numbers_play_no_part(seed, shape, numbering):
    a, b = works(2, shape, seed)
    straight = agreement(a, b)
    assert_same(straight, agreement(b, a))
    assert_same(straight, agreement(renumbered(a, numbering), renumbered(b, numbering + 1)))


@given(SEEDS, SHAPES, SEEDS)
@settings(max_examples=15, deadline=None)
def test_one_agrees_with_oneself_fully(seed, shape, numbering):
    (a,) = works(1, shape, seed, least=1)
    found = agreement(a, renumbered(a, numbering))
    assert (found.p_miou, found.p_ari, found.boundary_f) == (1, 1, 1)
    assert found.n_agreed == found.n_compared == a.size
    # One source leaves nothing that chance could miss.
    assert found.alpha == 1 if len(np.unique(a)) > 1 else math.isnan(found.alpha)


@given(SEEDS, SHAPES, st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_alpha_is_that_of_the_package(seed, shape, n):
    values = works(n, shape, seed)
    table = np.stack([labels.ravel() for labels in values]).astype(float)
    table[table == 0] = np.nan
    ours = alpha_of_coincidences(coincidence_matrix(values))
    paired = table[:, np.count_nonzero(~np.isnan(table), axis=0) > 1]
    if len(np.unique(paired[~np.isnan(paired)])) < 2:  # the package divides 0 by 0, or refuses
        assert math.isnan(ours)
    else:
        theirs = krippendorff.alpha(table, level_of_measurement="nominal")
        assert ours == pytest.approx(theirs, abs=1e-12)


def test_alpha_of_two_is_counted_from_the_matched_sources():
    a, b = works(2, (30, 40), 5)
    found = agreement(a, renumbered(b, 1))
    matched = renumbered(b, 1).astype(int)
    own = {other: mine for mine, other in found.matched}
    common = np.vectorize(lambda n: own.get(n, n + 1000) if n else 0)(matched)
    table = np.stack([a.ravel(), common.ravel()]).astype(float)
    table[table == 0] = np.nan
    assert found.alpha == pytest.approx(
        krippendorff.alpha(table, level_of_measurement="nominal"), abs=1e-12
    )


def test_known_answers_by_hand():
    # 10 pixels: A has 4 + 6, B has 5 + 5; 4 and 5 of them agree.
    a = np.array([[1] * 4 + [2] * 6], np.uint8)
    b = np.array([[7] * 5 + [3] * 5], np.uint8)
    found = agreement(a, b)
    assert found.matched == ((1, 7), (2, 3))
    assert (found.n_pixels, found.n_compared, found.n_agreed) == (10, 10, 9)
    assert found.p_miou == pytest.approx((4 / 5 + 5 / 6) / 2)
    assert found.p_miou == pytest.approx(p_miou(a - 1, b, variant="hungarian"))
    assert found.p_ari == p_ari(a, b)
    # Coincidences 8, 1, 1, 10 of 20 values: observed 2 / 20, expected 2 * 9 * 11 / (20 * 19).
    assert found.alpha == pytest.approx(1 - (2 / 20) / (2 * 9 * 11 / (20 * 19)))
    assert found.boundary_f == 1  # the boundaries lie one pixel apart


def test_a_source_that_only_one_has_counts_nothing():
    a = np.array([[1, 1, 2, 2]], np.uint8)
    b = np.array([[1, 1, 2, 3]], np.uint8)
    for found in (agreement(a, b), agreement(b, a)):
        assert found.p_miou == pytest.approx((1 + 1 / 2) / 3)
    # The published p_mIoU asks one of both only, and forgets it.
    assert p_miou(a - 1, b - 1, variant="hungarian") == pytest.approx((1 + 1 / 2) / 2)


def test_pixels_without_a_source_are_missing():
    a = np.array([[1, 1, 2, 2, 0, 0]], np.uint8)
    b = np.array([[1, 1, 2, 2, 2, 0]], np.uint8)
    found = agreement(a, b)
    assert (found.p_miou, found.p_ari, found.alpha, found.boundary_f) == (1, 1, 1, 1)
    assert (found.n_pixels, found.n_compared, found.n_agreed) == (6, 4, 4)


@pytest.mark.parametrize(
    ("a", "b"),
    [(np.zeros((3, 4)), np.zeros((3, 4))), (np.zeros((3, 4)), np.ones((3, 4)))],
)
def test_without_compared_pixels_nothing_is_said(a, b):
    found = agreement(a.astype(np.uint8), b.astype(np.uint8))
    assert all(math.isnan(score) for score in found.scores().values())
    assert found.n_compared == 0
    assert found.matched == ()


def test_one_source_each():
    one = np.full((3, 4), 9, np.uint8)
    found = agreement(one, np.full((3, 4), 200, np.uint8))
    assert (found.p_miou, found.p_ari, found.boundary_f) == (1, 1, 1)
    assert math.isnan(found.alpha)
    two = one.copy()
    two[0] = 1
    found = agreement(one, two)
    assert (found.p_ari, found.boundary_f, found.n_agreed) == (0, 0, 8)
    assert found.p_miou == pytest.approx((8 / 12 + 0) / 2)


def test_255_sources_each():
    a = np.arange(1, 256, dtype=np.uint8).reshape(15, 17)
    found = agreement(a, a[::-1, ::-1].copy())
    assert found.p_miou == 1
    assert found.alpha == 1
    # No two alike: 255 pixels, each with a source of its own, against one source.
    found = agreement(a, np.ones_like(a))
    assert found.n_agreed == 1
    assert found.p_ari == 0


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (np.ones((4, 3), np.uint8), "3 x 4 pixels, another one 4 x 3"),
        (np.ones((3, 4)), "float64"),
        (np.ones((3, 4, 3), np.uint8), r"\(3, 4, 3\)"),
        (np.ones((0, 4), np.uint8), r"\(0, 4\)"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(other, words):
    one = np.ones((3, 4), np.uint8)
    for compared in (agreement, lambda a, b: disagreements([a, b]), lambda a, b: align([a, b])):
        with pytest.raises(DatasetError, match=words):
            compared(one, other)
    with pytest.raises(DatasetError, match="no labels to compare"):
        align([])


def test_agreement_of_three():
    a, b, c = works(3, (20, 30), 3)
    found = agreement_of_all({"ann": a, "bo": renumbered(b, 1), "cy": renumbered(c, 2)})
    assert list(found.pairs) == [("ann", "bo"), ("ann", "cy"), ("bo", "cy")]
    assert_same(found.pairs["bo", "cy"], agreement(b, c))
    # Numbers are the same here to begin with, and matching finds them again.
    assert found.alpha == pytest.approx(alpha_of_coincidences(coincidence_matrix([a, b, c])))
    turned = agreement_of_all({"cy": c, "ann": renumbered(a, 3), "bo": b})
    assert turned.alpha == pytest.approx(found.alpha)
    assert agreement_of_all({"ann": a, "bo": b}).alpha == agreement(a, b).alpha
    assert math.isnan(agreement_of_all({"ann": a}).alpha)


def test_intervals_are_over_pictures_and_seeded():
    pictures = [agreement(*works(2, (12, 12), seed)) for seed in range(12)]

    def mean_scores(some, seed=0):
        return means_with_intervals([one.scores() for one in some], seed=seed)

    means = mean_scores(pictures, seed=1)
    assert means == mean_scores(pictures, seed=1) != mean_scores(pictures, seed=2)
    p = [found.p_miou for found in pictures]
    assert means["p_miou"].mean == pytest.approx(np.mean(p))
    assert means["p_miou"].n == 12
    assert min(p) < means["p_miou"].low < means["p_miou"].mean < means["p_miou"].high < max(p)
    undefined = dataclasses.replace(pictures[0], alpha=math.nan)
    assert mean_scores([undefined, *pictures[1:]])["alpha"].n == 11
    alone = mean_scores(pictures[:1])["p_miou"]
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)
    assert alone.mean == p[0]


def test_boundaries_match_within_the_tolerance():
    def split(at: int) -> np.ndarray:
        labels = np.ones((8, 40), np.uint8)
        labels[:, at:] = 2
        return labels

    scores = [boundary_f(split(20), split(20 + moved)) for moved in range(5)]
    assert scores == [1, 1, 1, 0, 0]
    assert boundary_f(split(20), split(24), tolerance=4) == 1
    assert boundary_f(split(20), split(21), tolerance=0) == 0
    # Two boundaries against one of them: all of one are found, half of the others.
    three = split(10)
    three[:, 30:] = 3
    assert boundary_f(split(10), three) == boundary_f(three, split(10)) == pytest.approx(2 / 3)
    counted = np.ones((8, 40), bool)
    counted[:, 25:] = False
    assert boundary_f(split(10), three, where=counted) == 1
    with pytest.raises(ValueError, match="tolerance is -1"):
        boundary_f(three, three, tolerance=-1)
    with pytest.raises(ValueError, match="shapes"):
        boundary_f(three, three[1:])


@given(SEEDS, SHAPES, st.floats(0, 12))
@settings(max_examples=25, deadline=None)
def test_boundaries_against_a_plain_search(seed, shape, tolerance):
    a, b = works(2, shape, seed, most=2)
    edges = []
    for labels in (a, b):
        right = np.pad(labels[:, :-1] != labels[:, 1:], ((0, 0), (0, 1)))
        down = np.pad(labels[:-1] != labels[1:], ((0, 1), (0, 0)))
        edges.append(np.argwhere(right | down))

    def share(some, others):
        near = [(((others - place) ** 2).sum(axis=1) <= tolerance**2).any() for place in some]
        return np.mean(near)

    if not len(edges[0]) or not len(edges[1]):
        expected = float(len(edges[0]) == len(edges[1]))
    else:
        p, r = share(*edges), share(*edges[::-1])
        expected = 2 * p * r / (p + r) if p + r else 0.0
    assert boundary_f(a, b, tolerance=tolerance) == pytest.approx(expected)


def test_common_numbers():
    a = np.array([[1, 1, 1, 4, 4, 0]], np.uint8)
    b = np.array([[9, 9, 2, 2, 2, 2]], np.uint8)
    c = np.array([[5, 5, 5, 6, 6, 7]], np.uint8)
    found = align([a, b, c])
    assert found.numbers[0] == {1: 1, 4: 4}
    assert found.numbers[1] == {9: 1, 2: 4}
    assert found.numbers[2] == {5: 1, 6: 4, 7: 2}  # 2 is the smallest free number
    assert found.renumbered([a, b, c])[2].tolist() == [[1, 1, 1, 4, 4, 2]]
    assert found.matched(0, 1) == ((1, 9), (4, 2))
    assert align([b]).numbers == ({2: 2, 9: 9},)


def test_more_sources_together_than_labels_hold():
    a = np.arange(1, 256, dtype=np.uint8).reshape(15, 17)
    halves = np.repeat(a, 2, axis=1)
    left, right = halves.copy(), np.ones_like(halves)
    right[:, ::2] = halves[:, ::2]  # 255 sources again, but half of each is source 1
    left[:, ::2] = 1
    assert agreement(left, right).n_compared == halves.size  # agreement can still be told
    assert confusion_matrix(left, right).sum() == halves.size
    with pytest.raises(DatasetError, match="labels hold 255"):
        disagreements([left, right])
