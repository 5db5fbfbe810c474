"""Which pictures of a queue are gone through, in which order, and how they are counted."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from napari_safire.session.queue.listing import Listing
from napari_safire.session.queue.worked_time import IDLE_S, WorkedTime

STATES = ("untouched", "begun", "done")
KEYS = "abcdefghijkl"

some_states = st.lists(st.sampled_from(STATES), max_size=len(KEYS))


def listing_in(states: list[str], wanted: tuple[str, ...] = ()) -> Listing:
    return Listing(KEYS[: len(states)], states, wanted)


@given(some_states, st.sets(st.sampled_from(STATES), min_size=1))
def test_going_on_meets_every_wanted_picture_once(states: list[str], wanted: set[str]) -> None:
    listing = listing_in(states, tuple(wanted))
    forth: list[int] = []
    here = listing.following(-1)
    while here is not None:
        forth.append(here)
        here = listing.following(here)
    assert forth == [n for n, state in enumerate(states) if state in wanted]
    assert listing.shown == tuple(KEYS[n] for n in forth)
    back: list[int] = []
    here = listing.preceding(len(states))
    while here is not None:
        back.append(here)
        here = listing.preceding(here)
    assert back == forth[::-1]
    assert listing.counts.total() == len(states)


def test_nothing_lies_beyond_the_ends() -> None:
    listing = listing_in(["done"], ("untouched",))
    for position in (-5, -1, 0, 1, 7):
        assert listing.following(position) is None
        assert listing.preceding(position) is None
    assert listing_in([]).following(0) is listing_in([]).preceding(0) is None
    assert listing_in(["done"]).position("z") is None


@given(some_states.filter(bool), st.data())
def test_a_changed_state_is_counted_and_seen_as_if_listed_anew(
    states: list[str], data: st.DataObject
) -> None:
    listing = listing_in(states, ("begun",))
    assert listing.shown is not None
    for _ in range(3):
        place = data.draw(st.integers(0, len(states) - 1))
        states[place] = data.draw(st.sampled_from(STATES))
        listing.set_state(KEYS[place], states[place])
    anew = listing_in(states, ("begun",))
    assert listing.shown == anew.shown
    assert +listing.counts == +anew.counts


def test_states_of_pictures_that_a_search_hides_are_counted_too() -> None:
    listing = Listing(["a"], ["begun"], counts={"begun": 1, "untouched": 1})
    listing.set_state("b", "done", "untouched")
    assert +listing.counts == Counter(begun=1, done=1)


def test_time_worked_leaves_idle_time_out_and_loses_nothing_that_was_not_kept() -> None:
    now = 0.0
    worked = WorkedTime(lambda: now)
    for step in (0.0, 10.0, IDLE_S, IDLE_S + 0.5, 5.0):
        now += step
        worked.note()
    seconds = worked.take()
    assert seconds == 10 + IDLE_S + 5
    worked.give_back(seconds)
    now += 2
    assert worked.take() == seconds + 2
    assert worked.take() == 0


def test_other_wanted_states_leave_the_listing_before_as_it_is() -> None:
    before = Listing(["a", "b", "c"], ["done", "begun", "done"], wanted=["done"])
    after = before.with_wanted(["begun"])
    assert (before.shown, after.shown) == (("a", "c"), ("b",))
    after.set_state("a", "begun")
    assert (before.shown, before.state("a"), before.counts["done"]) == (("a", "c"), "done", 2)
    assert (after.shown, after.counts["begun"]) == (("a", "b"), 2)
