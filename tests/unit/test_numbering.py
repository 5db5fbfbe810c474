"""Numbers of sources: 1 to K for a partition, what is protected kept, gaps closed on demand."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeEngine
from hypothesis import given
from hypothesis import strategies as st

from napari_safire.annotation.annotation import Annotation, Preview, SourcePrompt
from napari_safire.annotation.numbering import gap_closing, numbers_like, numbers_of, renumbered
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.session.results import with_partition
from napari_safire.types import PointPrompt

SHAPE = (24, 40)


def stripes(count: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Sources 0 .. K-1, the largest first."""
    height, width = shape
    return np.tile(np.arange(width) * count // width, (height, 1)).astype(np.uint8)


def annotated(settled: np.ndarray, protected: np.ndarray | None = None, **more) -> Annotation:
    guard = np.zeros(settled.shape, bool) if protected is None else protected
    return Annotation(PackedLabels.pack(settled), PackedLabels.pack(guard), **more)


@given(st.integers(1, 20), st.integers(1, 20), st.randoms())
def test_numbers_are_one_to_k_whatever_was_shown(shown: int, count: int, random) -> None:
    names = list(range(1, 256))
    random.shuffle(names)
    before = np.array(names[:shown], np.uint8)[stripes(shown)]
    numbers = numbers_like(stripes(count), count, before)
    assert sorted(numbers) == list(range(1, count + 1))


def test_colours_stay_where_they_can() -> None:
    assert numbers_like(stripes(3), 3, np.array([2, 3, 1], np.uint8)[stripes(3)]) == (2, 3, 1)
    # Six halve three: each third keeps its number in one of its halves.
    six = numbers_like(stripes(6), 6, np.array([2, 3, 1], np.uint8)[stripes(3)])
    assert {six[0], six[1]} & {2}
    assert {six[2], six[3]} & {3}
    assert {six[4], six[5]} & {1}


@given(
    st.integers(1, 8),
    st.lists(st.integers(1, 30), min_size=1, max_size=4, unique=True),
    st.integers(0, 10_000),
)
def test_protected_numbers_are_taken_by_nothing_else(count, held, seed) -> None:
    rng = np.random.default_rng(seed)
    shown = np.zeros(SHAPE, np.uint8)
    protected = np.zeros(SHAPE, bool)
    for number in held:
        row, col = rng.integers(0, 20), rng.integers(0, 36)
        shown[row : row + 3, col : col + 3] = number
        protected[row : row + 3, col : col + 3] = True
    there = set(np.unique(shown[protected]).tolist())
    numbers = numbers_like(stripes(count), count, shown, protected)
    assert len(set(numbers)) == count
    # No stripe is one of the small patches, so all are new and take the smallest free numbers.
    free = [n for n in range(1, 100) if n not in there]
    assert sorted(numbers) == free[:count]


def test_a_source_that_is_the_protected_one_keeps_its_number() -> None:
    labels = stripes(2)
    shown = np.zeros(SHAPE, np.uint8)
    shown[:, 19:] = 7  # the right half and a column more
    assert numbers_like(labels, 2, shown, shown == 7) == (1, 7)
    # A stroke that adds to a source does not part it from the rest of that source.
    before = np.array([1, 2], np.uint8)[labels]
    before[:4, :8] = 2
    painted = np.zeros(SHAPE, bool)
    painted[:4, :8] = True
    assert numbers_like(labels, 2, before, painted) == (1, 2)


def test_more_than_labels_can_hold_is_refused() -> None:
    labels = np.arange(255, dtype=np.uint8).reshape(15, 17)
    shown = np.zeros((15, 17), np.uint8)
    shown[0, :2] = 9
    protected = shown > 0
    with pytest.raises(ValueError, match="more than the 255"):
        numbers_like(labels, 255, shown, protected)


def test_numbers_of_a_partition_follow_merges_renumbering_and_undo() -> None:
    engine = FakeEngine()
    embedding = engine.embed(np.zeros(SHAPE))
    partition = engine.partition(embedding, n_sources=3)
    empty = Annotation.empty(SHAPE)
    shown = with_partition(empty, partition)
    assert numbers_of(partition, shown) == (1, 2, 3)
    merged = shown.edited(
        lambda labels, _: np.where(labels == 1, 2, labels), lambda n: 2 if n == 1 else n
    )
    assert numbers_of(partition, merged) == (2, 2, 3)
    assert numbers_of(partition, renumbered(merged)) == (1, 1, 2)
    assert numbers_of(partition, empty) == ()  # as after undo
    other = engine.partition(embedding, n_sources=4)
    assert numbers_of(other, shown) == ()


def test_renumbering_takes_prompts_seeds_and_protection_along() -> None:
    settled = np.array([2, 8, 17, 0], np.uint8)[stripes(4)]
    at = PointPrompt(3, 4)
    work = annotated(
        settled,
        settled == 8,
        prompts=(SourcePrompt(at, 8, live=False), SourcePrompt(at, 1, live=False)),
        seeds=((17, at), (40, at)),
    )
    done = renumbered(work)
    assert np.unique(done.shown()).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(done.shown() == 2, settled == 8)
    np.testing.assert_array_equal(done.protected.unpack(), settled == 8)
    # What only prompts or seeds have comes after what pixels have: it never meets another source.
    assert [p.source for p in done.prompts] == [2, 4]
    assert [n for n, _ in done.seeds] == [3, 5]
    assert renumbered(done) is done


def test_renumbering_sees_what_the_preview_shows() -> None:
    claimed = np.array([1, 5], np.uint8)[stripes(2)]
    work = annotated(np.zeros(SHAPE, np.uint8)).with_preview(
        Preview(PackedLabels.pack(claimed), "partition", seeds=((1, PointPrompt(0, 0)),))
    )
    assert gap_closing(work) == {1: 1, 5: 2}
    assert np.unique(renumbered(work).shown()).tolist() == [1, 2]
