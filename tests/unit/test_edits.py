"""Edits of label images: by hand on small pictures, by property on random ones."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_safire.annotation.edits import (
    absorb,
    fill_holes,
    merge,
    split,
)
from napari_safire.annotation.islands import remove_islands

CORNERS = np.ones((3, 3))
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", ">i4"]
# Every edit on source 1.
EDITS = {
    "merge": partial(merge, sources=[1], into=2),
    "split": partial(split, source=1),
    "absorb": partial(absorb, source=1),
    "fill_holes": partial(fill_holes, source=1),
    "remove_islands": partial(remove_islands, smaller_than=5, source=1),
    "remove_islands_of_all": partial(remove_islands, smaller_than=5),
}


def picture(text: str, dtype: str = "uint8") -> np.ndarray:
    """Labels drawn as digits; a dot is 0."""
    rows = text.replace(".", "0").split()
    return np.array([[int(digit) for digit in row] for row in rows], dtype)


def masks(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return st.one_of(st.none(), hnp.arrays(bool, shape))


@st.composite
def label_images(draw: st.DrawFn, most: int = 4) -> np.ndarray:
    """Small pictures, speckled or with runs, which always hold source 1."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
    labels = draw(
        hnp.arrays(
            draw(st.sampled_from(DTYPES)),
            shape,
            elements=st.integers(0, most),
            fill=st.integers(0, most),
        )
    )
    if not (labels == 1).any():
        labels[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = 1
    return labels


def pieces_of(mask: np.ndarray) -> list[np.ndarray]:
    labelled, count = ndimage.label(mask, CORNERS)
    return [labelled == piece for piece in range(1, count + 1)]


# -- what holds for every edit -------------------------------------------------------------------


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@given(data=st.data())
def test_an_edit_returns_a_new_array_and_leaves_its_input_and_protected_pixels(edit, data):
    labels = data.draw(label_images())
    protected = data.draw(masks(labels.shape))
    before = labels.copy()
    labels.flags.writeable = False
    after = edit(labels, protected=protected)
    assert after.dtype == labels.dtype
    assert after.shape == labels.shape
    assert after.flags.writeable
    assert not np.shares_memory(after, labels)
    np.testing.assert_array_equal(labels, before)
    if protected is not None:
        np.testing.assert_array_equal(after[protected], before[protected])


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@given(data=st.data())
def test_an_edit_of_a_wholly_protected_picture_changes_nothing(edit, data):
    labels = data.draw(label_images())
    after = edit(labels, protected=np.ones(labels.shape, bool))
    np.testing.assert_array_equal(after, labels)


@pytest.mark.parametrize("name", ["split", "fill_holes", "remove_islands", "remove_islands_of_all"])
@given(data=st.data())
def test_a_second_time_changes_nothing_more(name, data):
    labels = data.draw(label_images())
    protected = data.draw(masks(labels.shape))
    once = EDITS[name](labels, protected=protected)
    if not (once == 1).any():  # all of it were islands: a source that is not there is no edit
        return
    np.testing.assert_array_equal(EDITS[name](once, protected=protected), once)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@given(data=st.data())
def test_an_edit_does_not_hang_on_memory_order_or_dtype(edit, data):
    labels = data.draw(label_images())
    expected = edit(labels)
    np.testing.assert_array_equal(edit(np.asfortranarray(labels)), expected)
    np.testing.assert_array_equal(edit(np.repeat(labels, 2, axis=1)[:, ::2]), expected)
    np.testing.assert_array_equal(edit(labels.astype("uint64")), expected)


BAD_ARRAYS = {
    "three axes": (np.ones((2, 2, 2), int), None, "shape"),
    "float": (np.ones((2, 2)), None, "float64"),
    "bool": (np.ones((2, 2), bool), None, "bool"),
    "negative": (np.array([[1, -3]]), None, "-3"),
    "protected of another shape": (np.ones((2, 2), int), np.ones((2, 3), bool), "shape"),
    "protected of integers": (np.ones((2, 2), int), np.ones((2, 2), int), "int64"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize(("labels", "protected", "named"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_arrays_that_are_no_labels_are_refused(edit, labels, protected, named):
    with pytest.raises(ValueError, match=named):
        edit(labels, protected=protected)


@pytest.mark.parametrize(
    "edit",
    [
        lambda labels, source: merge(labels, [1, source]),
        split,
        absorb,
        fill_holes,
        lambda labels, source: remove_islands(labels, 5, source),
    ],
)
@pytest.mark.parametrize("source", [5, 0, -1, 256, 1.5])
def test_a_source_that_does_not_occur_is_refused_with_those_that_do(edit, source):
    with pytest.raises(ValueError, match=rf"no source {source} .*choose one of 1, 3"):
        edit(picture("1.3"), source)


def test_the_list_of_sources_in_a_message_is_cut():
    with pytest.raises(ValueError, match=r"choose one of 1, 2, .*, 12 and 38 more\."):
        split(np.arange(51)[None], 99)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (2, 2)])
def test_labels_without_sources_say_so(shape):
    with pytest.raises(ValueError, match="no source at all"):
        absorb(np.zeros(shape, int), 1)


def test_numbers_at_the_end_of_the_dtype_are_sources_like_others():
    last = np.iinfo(np.uint64).max
    labels = np.array([[1, 0, last, 0, last, last]], np.uint64)
    assert split(labels, last).tolist() == [[1, 0, 2, 0, last, last]]
    assert merge(labels, [1], last).tolist() == [[last, 0, last, 0, last, last]]
    assert absorb(labels, 1).tolist() == [[last, 0, last, 0, last, last]]
    assert remove_islands(labels, 2, last).tolist() == [[1, 0, 0, 0, last, last]]


# -- merge ---------------------------------------------------------------------------------------


def test_merged_sources_take_the_first_number_or_the_one_given():
    labels = picture("12.3")
    assert merge(labels, [2, 3]).tolist() == [[1, 2, 0, 2]]
    assert merge(labels, [2, 3], 1).tolist() == [[1, 1, 0, 1]]
    assert merge(labels, [2, 3], 9).tolist() == [[1, 9, 0, 9]]
    assert merge(labels, np.array([3, 1])).tolist() == [[3, 2, 0, 3]]


@given(labels=label_images(), data=st.data())
def test_merging_changes_the_merged_pixels_and_no_other(labels, data):
    present = [int(k) for k in np.unique(labels) if k]
    sources = data.draw(st.lists(st.sampled_from(present), min_size=1))
    into = data.draw(st.integers(1, 100))
    after = merge(labels, sources, into)
    merged = np.isin(labels, sources)
    assert (after[merged] == into).all()
    np.testing.assert_array_equal(after[~merged], labels[~merged])


@pytest.mark.parametrize("into", [0, -2, 256])
def test_sources_cannot_be_merged_into_what_is_no_source(into):
    with pytest.raises(ValueError, match=rf"into {into}: give a number from 1 to 255"):
        merge(picture("12"), [1, 2], into)


def test_a_broken_number_is_not_rounded():
    with pytest.raises(TypeError):
        merge(picture("12"), [1, 2], 1.5)


def test_merging_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        merge(picture("12"), [])


# -- split ---------------------------------------------------------------------------------------


def test_pieces_are_numbered_by_size_with_the_smallest_free_numbers():
    labels = picture(
        """
        1.111.3
        ...1..3
        11....3
        .1...13
        """
    )
    # The two pieces of one pixel come in reading order.
    expected = picture(
        """
        4.111.3
        ...1..3
        22....3
        .2...53
        """
    )
    assert split(labels, 1).tolist() == expected.tolist()


def test_pieces_that_touch_at_corners_are_one():
    labels = picture("1. .1")
    np.testing.assert_array_equal(split(labels, 1), labels)


@given(labels=label_images())
def test_splitting_makes_each_piece_a_source(labels):
    after = split(labels, 1)
    region = labels == 1
    np.testing.assert_array_equal(after[~region], labels[~region])
    pieces = pieces_of(region)
    numbers = [np.unique(after[piece]) for piece in pieces]
    assert all(len(number) == 1 for number in numbers)
    numbers = [int(number[0]) for number in numbers]
    assert len(set(numbers)) == len(pieces)
    assert not set(numbers) & {int(k) for k in np.unique(labels[~region])}
    sizes = {number: piece.sum() for number, piece in zip(numbers, pieces, strict=True)}
    assert sizes[1] == max(sizes.values())
    others = [sizes[number] for number in sorted(set(numbers) - {1})]
    assert others == sorted(others, reverse=True)
    # Merging the pieces gives the source back.
    np.testing.assert_array_equal(merge(after, numbers, 1), labels)


def test_a_protected_piece_takes_no_number():
    labels = picture("111.11.1")
    protected = labels == 9
    protected[0, 4:6] = True
    assert split(labels, 1, protected=protected).tolist() == [[1, 1, 1, 0, 1, 1, 0, 2]]


@pytest.mark.parametrize(("dtype", "most"), [("uint8", 255), ("int8", 127)])
def test_more_pieces_than_numbers_are_refused(dtype, most):
    labels = np.zeros((1, 2 * most + 1), dtype)
    labels[0, 1::2] = 1
    assert len(np.unique(split(labels, 1))) == most + 1
    labels[0, 0] = 2
    with pytest.raises(ValueError, match=rf"{most} pieces.*2 of the {most} numbers"):
        split(labels, 1)


# -- absorb --------------------------------------------------------------------------------------


def test_an_absorbed_source_goes_to_the_nearest_others():
    assert absorb(picture("2111133"), 1).tolist() == picture("2223333").tolist()
    assert absorb(picture("2.11.33"), 1).tolist() == picture("2.23.33").tolist()


@given(labels=label_images(), data=st.data())
def test_absorbed_pixels_take_a_label_that_no_other_is_nearer_than(labels, data):
    protected = data.draw(masks(labels.shape))
    after = absorb(labels, 1, protected=protected)
    region = labels == 1
    np.testing.assert_array_equal(after[~region], labels[~region])
    if protected is not None:
        region &= ~protected
    others = np.argwhere(labels > 1)
    for place in np.argwhere(region):
        if not len(others):
            assert after[tuple(place)] == 0
            continue
        distances = ((others - place) ** 2).sum(1)
        nearest = {int(labels[tuple(p)]) for p in others[distances == distances.min()]}
        assert int(after[tuple(place)]) in nearest


@pytest.mark.parametrize("far", [(150, 5), (5, 190), (199, 199), (100, 100)])
def test_the_nearest_other_source_may_be_far_away(far):
    labels = np.zeros((200, 200), np.uint8)
    labels[90:95, 90:95] = 1
    labels[far] = 2
    labels[0, 0] = 3
    after = absorb(labels, 1)
    distance = [
        np.hypot(*(np.indices(labels.shape) - np.reshape(place, (2, 1, 1))))
        for place in (far, (0, 0))
    ]
    expected = np.where(distance[0] < distance[1], 2, 3)
    np.testing.assert_array_equal(after[90:95, 90:95], expected[90:95, 90:95])


@pytest.mark.parametrize("quarter_turns", range(4))
def test_a_source_straight_on_is_nearer_than_one_aslant(quarter_turns):
    # 64 rows and columns away, but further than the other, which is 70 rows away.
    labels = np.zeros((216, 66), np.uint8)
    labels[150, 0] = 1
    labels[80, 0] = 2
    labels[214, 64] = 3
    labels = np.rot90(labels, quarter_turns)
    assert (absorb(labels, 1)[labels == 1] == 2).all()


def test_a_source_without_others_becomes_unassigned():
    assert absorb(picture("11."), 1).tolist() == [[0, 0, 0]]
    protected = np.array([[True, False, False]])
    assert absorb(picture("11."), 1, protected=protected).tolist() == [[1, 0, 0]]


# -- fill holes ----------------------------------------------------------------------------------


def test_holes_are_filled_whatever_they_hold_and_corners_enclose():
    labels = picture(
        """
        .11...
        1.21.1
        1231.1
        .11.11
        .....1
        """
    )
    assert (
        fill_holes(labels, 1).tolist()
        == picture(
            """
        .11...
        1111.1
        1111.1
        .11.11
        .....1
        """
        ).tolist()
    )


@given(labels=label_images(), data=st.data())
def test_filled_pixels_are_those_that_scipy_fills(labels, data):
    protected = data.draw(masks(labels.shape))
    after = fill_holes(labels, 1, protected=protected)
    filled = ndimage.binary_fill_holes(labels == 1)
    if protected is not None:
        filled &= ~protected | (labels == 1)
    np.testing.assert_array_equal(after, np.where(filled, 1, labels))


# -- remove islands ------------------------------------------------------------------------------


def test_an_island_goes_to_the_longest_border_and_not_to_the_largest_neighbour():
    labels = picture(
        """
        22222222
        22333222
        22313222
        22222222
        """
    )
    assert remove_islands(labels, 2).tolist() == np.where(labels == 1, 3, labels).tolist()


def test_islands_of_one_source_only():
    labels = picture("2221222322")
    assert remove_islands(labels, 2, 1).tolist() == picture("2222222322").tolist()
    assert remove_islands(labels, 2).tolist() == picture("2222222222").tolist()


def test_an_island_in_the_unassigned_becomes_unassigned_and_holes_stay():
    labels = picture(
        """
        222...
        2.2.1.
        222...
        """
    )
    assert remove_islands(labels, 2).tolist() == np.where(labels == 1, 0, labels).tolist()


def test_on_a_tie_a_source_wins_over_none_and_the_smaller_number_over_the_larger():
    assert remove_islands(picture("..122"), 2).tolist() == picture("..222").tolist()
    assert remove_islands(picture("33122"), 2).tolist() == picture("33222").tolist()


def test_islands_that_touch_only_each_other_join_instead_of_trading_labels():
    assert remove_islands(picture("12"), 2).tolist() == picture("22").tolist()
    assert remove_islands(picture("112"), 3).tolist() == picture("111").tolist()
    # 3 joins 2, and together they are large enough to stay.
    assert remove_islands(picture("3311 2211"), 3).tolist() == picture("2211 2211").tolist()


def test_a_picture_of_one_piece_stays():
    labels = picture("11 11")
    np.testing.assert_array_equal(remove_islands(labels, 100), labels)


def test_an_island_with_a_protected_pixel_stays_whole():
    labels = picture("2221122211222")
    protected = np.zeros(labels.shape, bool)
    protected[0, 3] = True
    after = remove_islands(labels, 3, protected=protected)
    assert after.tolist() == picture("2221122222222").tolist()


@given(labels=label_images(), data=st.data())
def test_no_island_is_left_and_nothing_else_changes(labels, data):
    protected = data.draw(masks(labels.shape))
    if protected is None:
        protected = np.zeros(labels.shape, bool)
    source = data.draw(st.sampled_from([None, 1]))
    smaller_than = data.draw(st.integers(0, 20))
    after = remove_islands(labels, smaller_than, source, protected=protected)
    candidates = [source] if source else [int(k) for k in np.unique(labels) if k]
    changed = after != labels
    for k in candidates:
        for piece in pieces_of(after == k):
            assert piece.sum() >= smaller_than or piece.all() or protected[piece].any()
        for piece in pieces_of(labels == k):
            if piece.sum() >= smaller_than or protected[piece].any():
                assert not changed[piece].any()
            else:  # goes or stays as a whole
                assert len(np.unique(after[piece])) == 1
    assert not changed[~np.isin(labels, candidates)].any()


@given(labels=label_images(), data=st.data())
def test_a_single_island_takes_the_label_of_its_longest_border(labels, data):
    pieces = [piece for piece in pieces_of(labels == 1) if not piece.all()]
    assume(pieces)
    island = data.draw(st.sampled_from(pieces))
    smallest = int(island.sum()) + 1
    # Everything but the one island is protected, so only that one can go.
    after = remove_islands(labels, smallest, 1, protected=~island)
    edges = {}
    for row, col in np.argwhere(island):
        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            r, c = row + down, col + right
            if 0 <= r < labels.shape[0] and 0 <= c < labels.shape[1] and not island[r, c]:
                edges[int(labels[r, c])] = edges.get(int(labels[r, c]), 0) + 1
    longest = {k for k, length in edges.items() if length == max(edges.values())}
    assert set(np.unique(after[island]).tolist()) <= longest
    np.testing.assert_array_equal(after[~island], labels[~island])


def test_thousands_of_islands_vanish_from_a_large_picture():
    rng = np.random.default_rng(0)
    clean = np.ones((600, 900), np.int32)
    clean[:, 300:] = 2
    clean[300:, 600:] = 0
    labels = clean.copy()
    # Apart from each other and from the borders of the regions, so that each has one neighbour.
    rows, cols = (axis.ravel() for axis in np.mgrid[5:595:10, 5:895:10])
    labels[rows, cols] = rng.integers(3, 200, len(rows))
    labels[rows, cols + 1] = labels[rows, cols]
    np.testing.assert_array_equal(remove_islands(labels, 3), clean)


def test_a_negative_number_of_pixels_is_refused():
    with pytest.raises(ValueError, match="-1 pixels"):
        remove_islands(picture("12"), -1)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0)])
def test_an_empty_picture_has_no_islands(shape):
    assert remove_islands(np.zeros(shape, np.uint8), 5).shape == shape
