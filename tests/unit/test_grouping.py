"""Which pieces belong together: all groupings, their probabilities, and how they are fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_spectral import blocks, embedded, engine_of

from napari_safire.engine.rules import PatchRules
from napari_safire.learning.grouping import KnownPieces, fit_grouping, known_pieces
from napari_safire.partitioning.grouping import GroupingRule, all_groupings, signs
from napari_safire.partitioning.n_sources import Pieces, pieces_of
from napari_safire.partitioning.spectral import patch_spectrum

PLAIN = GroupingRule(20.0, 0.0, -10.0, (0.0,) * 5)  # one source from a cosine of .5

EVEN = np.full(6, 1 / 6)


def likeness_of(sources: np.ndarray, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    directions = np.eye(8)[sources] + noise * rng.standard_normal((len(sources), 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions @ directions.T


@pytest.mark.parametrize(("pieces", "ways"), [(1, 1), (2, 1), (3, 4), (4, 14), (5, 51), (6, 202)])
def test_there_are_as_many_groupings_as_bell_says(pieces: int, ways: int) -> None:
    labels = all_groupings(pieces)
    assert labels.shape == (ways, pieces)
    same = labels[:, :, None] == labels[:, None, :]
    assert len(np.unique(same.reshape(ways, -1), axis=0)) == ways
    for grouping in labels:
        assert set(grouping) == set(range(grouping.max() + 1))
    assert pieces == 1 or labels.max(axis=1).min() == 1


@pytest.mark.parametrize("pieces", [0, 7])
def test_more_pieces_than_auto_asks_for_are_refused(pieces: int) -> None:
    with pytest.raises(ValueError, match=f"{pieces} pieces cannot be grouped"):
        all_groupings(pieces)


@pytest.mark.parametrize("sources", [[0, 1, 1, 0, 1, 1], [0, 1, 2, 0, 0, 2], [0, 1, 2, 3, 4, 5]])
def test_clear_pieces_are_grouped_by_their_sources(sources: list[int]) -> None:
    groupings = PLAIN.groupings(likeness_of(np.array(sources)), EVEN)
    assert groupings.number == len(set(sources))
    best = groupings.best()
    assert best.tolist() == sources  # groups are named in the order of their first piece
    assert (groupings.best(groupings.number) == best).all()
    for number in (2, 3, 6):
        assert groupings.best(number).max() + 1 == number
    assert [groupings.best(far).max() + 1 for far in (0, 1, 50)] == [2, 2, 6]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    pieces=st.integers(1, 6),
    slope=st.floats(-5, 5),
    size=st.floats(-2, 2),
)
def test_probabilities_are_those_of_the_sums_over_pairs(
    seed: int, pieces: int, slope: float, size: float
) -> None:
    rng = np.random.default_rng(seed)
    rule = GroupingRule(slope, size, 0.3, tuple(rng.normal(size=5)))
    likeness = likeness_of(rng.integers(0, 3, pieces), noise=0.5, seed=seed)
    shares = rng.dirichlet(np.ones(pieces))
    groupings = rule.groupings(likeness, shares)
    weights = []
    for labels in groupings.labels:
        pairs = [
            slope * likeness[a, b] + size * np.log(min(shares[a], shares[b]) + 0.001) + 0.3
            for a in range(pieces)
            for b in range(a)
            if labels[a] == labels[b]
        ]
        number = labels.max() + 1
        weights.append(np.exp(sum(pairs) + (rule.numbers[number - 2] if number > 1 else 0)))
    np.testing.assert_allclose(groupings.probabilities, np.array(weights) / sum(weights))
    assert groupings.of_number.sum() == pytest.approx(1)
    assert groupings.number == groupings.of_number.argmax() <= pieces
    # Which piece comes first changes nothing.
    order = rng.permutation(pieces)
    shuffled = rule.groupings(likeness[np.ix_(order, order)], shares[order])
    np.testing.assert_allclose(shuffled.of_number, groupings.of_number, atol=1e-12)


def test_the_probable_number_is_not_that_of_the_most_probable_grouping() -> None:
    """Many groupings in three groups, each improbable, together outweigh the one in two."""
    groupings = GroupingRule(0.0, 0.0, 0.05, (0.6, 0.0, 0.0, 0.0, 0.0)).groupings(np.eye(6), EVEN)
    assert groupings.best().max() + 1 == 2
    assert groupings.number > 2


def test_what_was_drawn_from_a_rule_is_fitted_to_it() -> None:
    true = GroupingRule(3.0, 0.6, 1.0, (-0.3, 0.2, 0.5, -0.4, 0.0))
    rng = np.random.default_rng(0)
    known = []
    for seed in range(500):
        likeness = likeness_of(rng.integers(0, 4, 6), noise=0.4, seed=seed)
        shares = rng.dirichlet(np.ones(6))
        groupings = true.groupings(likeness, shares)
        drawn = rng.choice(len(groupings.labels), p=groupings.probabilities)
        known.append(KnownPieces(likeness, shares, groupings.labels[drawn]))
    fitted = fit_grouping(known)
    assert fitted.slope == pytest.approx(true.slope, abs=0.6)
    assert fitted.size == pytest.approx(true.size, abs=0.3)

    def loss(rule: GroupingRule) -> float:
        return -sum(
            np.log(groupings.probabilities[(groupings.labels == one.sources).all(axis=1)][0])
            for one in known
            for groupings in [rule.groupings(one.likeness, one.shares)]
        ) / len(known)

    # No worse than the truth itself, but for the penalty; much better than knowing nothing.
    assert loss(fitted) < loss(true) + 0.02
    assert loss(fitted) < loss(replace(fitted, slope=0.0)) - 0.2


def test_numbers_that_never_occur_stay_finite() -> None:
    likeness = likeness_of(np.array([0, 1, 1, 0, 1, 1]))
    known = [KnownPieces(likeness, EVEN, np.array([5, 3, 3, 5, 3, 3]))]
    fitted = fit_grouping(known * 3)
    assert max(abs(value) for value in fitted.numbers) < 10
    assert fitted.groupings(likeness, EVEN).number == 2


def test_pictures_of_one_source_fit_nothing() -> None:
    with pytest.raises(ValueError, match="several sources; there is none"):
        fit_grouping([KnownPieces(np.ones((6, 6)), EVEN, np.zeros(6, dtype=int))])


def test_pieces_get_the_source_that_most_of_them_is_of() -> None:
    truth = blocks(12, 24, 3)
    pieces = pieces_of(patch_spectrum(embedded(truth)), 0, 2.0)
    known = known_pieces(pieces, np.kron(truth, np.ones((16, 16), dtype=np.uint8)) * 50)
    winners = pieces.logits.argmax(axis=0)
    for piece, source in enumerate(known.sources):
        assert np.bincount(truth[winners == piece]).argmax() == source
    assert known.likeness.shape == (6, 6)
    np.testing.assert_allclose(known.shares, np.bincount(winners.ravel()) / winners.size)
    np.testing.assert_allclose(np.diag(known.likeness), 1, rtol=1e-4)
    # Pieces and their likeness stand in the same order.
    same = known.sources[:, None] == known.sources
    assert known.likeness[same].min() > known.likeness[~same].max()


def joined(pieces: Pieces, labels: list[int]) -> np.ndarray:
    return pieces.grouped(np.array(labels))


def test_grouped_pieces_share_their_patches() -> None:
    pieces = pieces_of(patch_spectrum(embedded(blocks(12, 24, 3))), 0, 2.0)
    np.testing.assert_array_equal(joined(pieces, list(range(6))), pieces.logits)
    sources = joined(pieces, [0, 1, 0, 1, 0, 1])
    assert sources.shape == (2, 12, 24)
    shares = [np.exp(some).sum(axis=0) for some in (sources, pieces.logits)]
    np.testing.assert_allclose(*shares, rtol=1e-5)


def test_a_model_divides_by_its_rule_of_grouping() -> None:
    truth = blocks(12, 24, 3)
    grouping = GroupingRule(20.0, 0.0, -8.0, (0.0,) * 5)
    rules = PatchRules(grouping, inverse_temperature=2.0, least_score=1.0)
    engine = engine_of(rules)
    embedding = embedded(truth, of=engine)
    partition = engine.partition(embedding)
    assert partition.n_sources == 3
    assert list(partition.number_probabilities) == [2, 3, 4, 5, 6]
    assert sum(partition.number_probabilities.values()) == pytest.approx(1)
    assert max(partition.number_probabilities.items(), key=lambda item: item[1])[0] == 3
    assert not engine.partition(embedding, "kmeans", 2).number_probabilities, "it was given"
    assert engine.count_sources(embedding, [1.0, 99.0]) == (3, 1)
    heatmap = engine.localize(embedding).heatmap
    ground = np.kron(truth, np.ones((16, 16), dtype=int)) == 0
    assert ((heatmap < 0.5) == ground).mean() > 0.95
    assert engine.stability(embedding, partition, 2).mean() > 0.9
    of_one = engine_of(replace(rules, least_score=99.0))
    single = of_one.partition(embedding)
    assert single.n_sources == 1
    assert not single.number_probabilities
    assert (of_one.localize(embedding).heatmap > 0.5).any()
    # So does one whose rule says that everything is of two sources.
    of_two = replace(grouping, numbers=(99.0, 0.0, 0.0, 0.0, 0.0))
    assert engine_of(replace(rules, grouping=of_two)).partition(embedding).n_sources == 2


def test_signs_are_those_of_the_pairs_put_together() -> None:
    likeness = np.array([[1, 0.5, -0.2], [0.5, 1, 0.1], [-0.2, 0.1, 1]])
    found = signs(likeness, np.array([0.5, 0.3, 0.2]))
    # 0 and 1 together; 0 and 2; 1 and 2; none.
    np.testing.assert_allclose(sorted(found[:, 0]), [-0.2, 0, 0.1, 0.5])
    smaller = np.log(np.array([0.201, 0.201, 0.301, 1.0]))
    np.testing.assert_allclose(sorted(found[:, 1]), smaller)
    assert sorted(found[:, 2]) == [0, 1, 1, 1]
    np.testing.assert_array_equal(found[:, 3:].sum(axis=0), [3, 1, 0, 0, 0])
