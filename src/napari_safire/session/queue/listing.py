"""Which pictures of a queue are gone through, in which order, and how far each of them is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from copy import copy


class Listing:
    """Pictures in an order, with their states; 100,000 of them fit.

    It is made once for a `PictureQuery`. Where a state changes, `set_state` is told; nothing is
    looked up again.

    Parameters
    ----------
    keys : sequence of str
        All that the query lets by, in order, whatever their state.
    states : sequence of str
        That of each.
    wanted : collection of str
        The states to be seen; empty: all.
    counts : mapping of str to int, optional
        How many pictures of the whole queue are in each state. Default: of `keys`.

    Examples
    --------
    >>> listing = Listing(["a", "b", "c"], ["done", "begun", "done"], wanted=["done"])
    >>> listing.shown, listing.following(0), listing.preceding(0), listing.counts["done"]
    (('a', 'c'), 2, None, 2)
    """

    def __init__(
        self,
        keys: Sequence[str],
        states: Sequence[str],
        wanted: Collection[str] = (),
        counts: dict[str, int] | None = None,
    ) -> None:
        self.keys = tuple(keys)
        self._states = list(states)
        self._wanted = frozenset(wanted)
        self._positions = {key: n for n, key in enumerate(self.keys)}
        self._shown: tuple[str, ...] | None = None
        self.counts = Counter(self._states) if counts is None else Counter(counts)

    def with_wanted(self, wanted: Collection[str]) -> Listing:
        """Return the same pictures, of which those in other states are to be seen."""
        found = copy(self)
        found._states, found.counts = list(self._states), Counter(self.counts)
        found._wanted, found._shown = frozenset(wanted), None
        return found  # keys and places are the same: of 100,000, a fortieth of a second

    @property
    def shown(self) -> tuple[str, ...]:
        """Keys of the pictures to be seen now: those in one of the wanted states, in order."""
        if self._shown is None:
            pairs = zip(self.keys, self._states, strict=True)
            self._shown = (
                tuple(key for key, state in pairs if state in self._wanted)
                if self._wanted
                else self.keys
            )
        return self._shown

    def position(self, key: str) -> int | None:
        """Return the place of a picture in `keys`; None if it is not among them."""
        return self._positions.get(key)

    def state(self, key: str) -> str:
        """Return how far a picture of `keys` is."""
        return self._states[self._positions[key]]

    def set_state(self, key: str, state: str, before: str | None = None) -> None:
        """Note that a picture is in another state.

        Parameters
        ----------
        key : str
            Need not be in `keys`.
        state : str
        before : str, optional
            Where it was, for the counts of those that are not in `keys`.
        """
        position = self._positions.get(key)
        if position is not None:
            before, self._states[position] = self._states[position], state
        if before is None or before == state:
            return
        self.counts[before] -= 1
        self.counts[state] += 1
        if self._wanted:
            self._shown = None

    def following(self, position: int, wanted: Collection[str] | None = None) -> int | None:
        """Find the next picture to be seen.

        Parameters
        ----------
        position : int
            In `keys`; it itself is not considered. -1 to begin with the first.
        wanted : collection of str, optional
            In one of these states; empty: in any. Default: the listing's own.

        Returns
        -------
        int or None
            A position in `keys`; None behind the last.
        """
        return self._first(range(max(0, position + 1), len(self.keys)), wanted)

    def preceding(self, position: int, wanted: Collection[str] | None = None) -> int | None:
        """Find the picture before; see `following`."""
        return self._first(range(min(len(self.keys), position) - 1, -1, -1), wanted)

    def _first(self, places: range, wanted: Collection[str] | None) -> int | None:
        states = self._wanted if wanted is None else wanted
        return next((n for n in places if not states or self._states[n] in states), None)
