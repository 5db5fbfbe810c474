"""The history against a list with a cursor, and packed labels against the arrays they hold."""

from __future__ import annotations

import gc
import pickle  # reviewed: what the test wrote
import weakref
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.session.history import History

# -- packed labels -------------------------------------------------------------------------------

DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="<"),
    hnp.integer_dtypes(endianness=">"),
    hnp.unsigned_integer_dtypes(endianness="<"),
    hnp.unsigned_integer_dtypes(endianness=">"),
)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12)


@given(labels=hnp.arrays(DTYPES, SHAPES))
def test_packing_and_unpacking_gives_the_same_array(labels):
    packed = PackedLabels.pack(labels)
    unpacked = packed.unpack()
    assert unpacked.dtype == labels.dtype
    assert packed.shape == labels.shape
    np.testing.assert_array_equal(unpacked, labels)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_what_is_unpacked_may_be_written_to_without_changing_the_packed(dtype):
    labels = np.ones((3, 4), dtype)
    packed = PackedLabels.pack(labels)
    labels[:] = 0
    packed.unpack()[:] = 0
    assert packed.unpack().all()


@given(one=hnp.arrays("int16", (2, 3), elements=st.integers(-1, 1)), data=st.data())
def test_packed_labels_are_equal_where_their_arrays_are(one, data):
    other = data.draw(hnp.arrays("int16", (2, 3), elements=st.integers(-1, 1)))
    a, b = PackedLabels.pack(one), PackedLabels.pack(other)
    assert (a == b) == np.array_equal(one, other)
    if a == b:
        assert hash(a) == hash(b)


@pytest.mark.parametrize("shape", [(1, 1), (2, 4), (3, 50)])
@pytest.mark.parametrize("label", [np.uint8(0), np.bool_(False), np.bool_(True), np.int64(-300)])
def test_an_image_of_one_label_is_packed_without_making_it(shape, label):
    made = PackedLabels.uniform(shape, label)
    image = np.full(shape, label)
    assert made == PackedLabels.pack(image)
    assert made.unpack().dtype == image.dtype
    np.testing.assert_array_equal(made.unpack(), image)
    image[-1, -1] = label + 1 if label.dtype.kind == "i" else not label
    assert made != PackedLabels.pack(image)


def test_an_image_of_one_label_may_have_no_pixels():
    assert PackedLabels.uniform((0, 3), np.uint8(0)).unpack().shape == (0, 3)


def test_equality_goes_by_content_and_not_by_memory_order():
    labels = np.arange(12).reshape(3, 4)
    assert PackedLabels.pack(labels) == PackedLabels.pack(np.asfortranarray(labels))
    assert PackedLabels.pack(labels) == PackedLabels.pack(np.repeat(labels, 2, axis=1)[:, ::2])


@pytest.mark.parametrize(
    "other",
    [np.zeros((3, 2), int), np.zeros((2, 3), "uint8"), np.zeros((2, 3), bool), np.eye(2, 3) > 0],
)
def test_another_shape_dtype_or_content_is_not_equal(other):
    assert PackedLabels.pack(np.zeros((2, 3), int)) != PackedLabels.pack(other)


def test_packed_labels_travel_by_pickle_and_cannot_be_changed():
    packed = PackedLabels.pack(np.arange(6).reshape(2, 3))
    again = pickle.loads(pickle.dumps(packed))
    assert again == packed
    np.testing.assert_array_equal(again.unpack(), packed.unpack())
    with pytest.raises(FrozenInstanceError):
        packed.data = b""


def test_smooth_labels_cost_a_hundredth_whatever_their_dtype():
    rows, cols = np.indices((768, 1024))
    labels = (np.hypot(rows - 300, cols - 400) < 250).astype(np.int64) + 1
    small = PackedLabels.pack(labels.astype(np.uint8))
    large = PackedLabels.pack(labels)
    assert large.nbytes == small.nbytes == len(small.data)
    assert large.nbytes < labels.size / 100
    assert PackedLabels.pack(labels == 2).nbytes < small.nbytes


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (np.zeros(3, int), r"shape \(3,\)"),
        (np.zeros((2, 2, 2), int), r"shape \(2, 2, 2\)"),
        (np.zeros((2, 2)), "float64"),
        (np.array([["a"]]), "<U1"),
        (np.zeros((1, 1), complex), "complex128"),
        (np.zeros((1, 1), object), "object"),
    ],
)
def test_what_is_no_label_image_is_not_packed(array, named):
    with pytest.raises(ValueError, match=named):
        PackedLabels.pack(array)


# -- history -------------------------------------------------------------------------------------


class ListWithCursor(RuleBasedStateMachine):
    """Any sequence of actions leaves the history as the same actions leave a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History(0)
        self.states = [0]
        self.titles = [""]
        self.cursor = 0

    @rule(state=st.integers(0, 3), title=st.text(max_size=3))
    def record(self, state: int, title: str) -> None:
        self.history.record(state, title)
        if state != self.states[self.cursor]:
            self.cursor += 1
            self.states[self.cursor :] = [state]
            self.titles[self.cursor :] = [title]

    @rule(state=st.integers(0, 3))
    def amend(self, state: int) -> None:
        self.history.amend(state)
        self.states[self.cursor] = state

    @precondition(lambda self: self.cursor > 0)
    @rule()
    def undo(self) -> None:
        self.cursor -= 1
        assert self.history.undo() == self.states[self.cursor]

    @precondition(lambda self: self.cursor < len(self.states) - 1)
    @rule()
    def redo(self) -> None:
        self.cursor += 1
        assert self.history.redo() == self.states[self.cursor]

    @precondition(lambda self: self.cursor == 0)
    @rule()
    def undo_at_the_start(self) -> None:
        with pytest.raises(IndexError, match="nothing to undo"):
            self.history.undo()

    @precondition(lambda self: self.cursor == len(self.states) - 1)
    @rule()
    def redo_at_the_end(self) -> None:
        with pytest.raises(IndexError, match="nothing to redo"):
            self.history.redo()

    @invariant()
    def the_two_agree(self) -> None:
        history, last = self.history, len(self.states) - 1
        assert history.state == self.states[self.cursor]
        assert len(history) == len(self.states)
        assert history.can_undo == (self.cursor > 0)
        assert history.can_redo == (self.cursor < last)
        assert history.undo_title == (self.titles[self.cursor] if self.cursor else None)
        assert history.redo_title == (self.titles[self.cursor + 1] if self.cursor < last else None)


TestListWithCursor = ListWithCursor.TestCase


@dataclass(frozen=True)
class Sketch:
    labels: PackedLabels
    name: str = ""


def test_states_of_packed_labels_are_compared_by_content():
    history = History(Sketch(PackedLabels.pack(np.zeros((4, 4), np.uint8))))
    history.record(Sketch(PackedLabels.pack(np.zeros((4, 4), np.uint8))), "nothing")
    assert not history.can_undo
    history.record(Sketch(PackedLabels.pack(np.ones((4, 4), np.uint8))), "paint")
    assert history.undo_title == "paint"
    assert not history.undo().labels.unpack().any()


def test_the_history_hands_out_the_objects_it_was_given():
    first, second = Sketch(PackedLabels.pack(np.eye(2) > 0)), object()
    history: History[object] = History(first)
    history.record(second, "replace")
    assert history.state is second
    assert history.undo() is first


def test_a_state_that_equals_the_present_one_keeps_what_can_be_redone():
    history = History("a")
    history.record("b", "type")
    history.undo()
    history.record("a", "nothing")
    assert history.redo() == "b"


def test_an_amended_state_keeps_its_step_and_what_can_be_redone():
    history = History("a")
    history.record("b", "Add prompt")
    history.record("c", "Paint")
    history.undo()
    history.amend("b with its answer")
    assert (history.undo_title, history.redo_title) == ("Add prompt", "Paint")
    assert (history.redo(), history.undo(), history.undo()) == ("c", "b with its answer", "a")


def test_undo_has_no_limit_and_dropped_states_are_let_go():
    history: History[object] = History(0)
    for state in range(1, 5001):
        history.record(state, "count")
    assert len(history) == 5001
    assert [history.undo() for _ in range(5000)][-1] == 0
    assert [history.redo() for _ in range(3)] == [1, 2, 3]
    history.record(Sketch(PackedLabels.pack(np.eye(2) > 0)), "sketch")
    gone = weakref.ref(history.state)
    history.undo()
    history.record(4, "count")
    gc.collect()
    assert gone() is None
    assert len(history) == 5


def test_the_origins_of_states_are_known_up_to_the_present_one():
    history = History("a")
    history.record("b", "restore", "elsewhere")
    history.amend("b with its answer")
    history.record("c", "paint")
    history.record("c", "restore", "another place")  # which held the same
    assert history.origins == ("elsewhere", "another place")
    history.undo()
    assert history.origins == ("elsewhere",)
    history.undo()
    assert history.origins == ()
    assert history.redo() == "b with its answer"
    assert history.origins == ("elsewhere",)
