"""Unlimited undo: states in a row, and a cursor among them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class _Step(Generic[S]):
    state: S
    title: str
    origin: str = ""


class History(Generic[S]):
    """States in the order they came about, and which of them is the present one.

    Keep frozen values here: the history hands out the very objects it was given.

    Parameters
    ----------
    initial : S
        The state before anything was done.

    Examples
    --------
    >>> history = History("empty")
    >>> history.record("one prompt", "Add prompt")
    >>> history.undo(), history.redo_title, history.redo()
    ('empty', 'Add prompt', 'one prompt')
    """

    def __init__(self, initial: S) -> None:
        self._steps: list[_Step[S]] = [_Step(initial, "")]
        self._cursor = 0

    def __len__(self) -> int:
        """Count the states, the initial one included."""
        return len(self._steps)

    @property
    def state(self) -> S:
        """The present state."""
        return self._steps[self._cursor].state

    @property
    def previous(self) -> S | None:
        """The state before the present one; None at the initial state."""
        return self._steps[self._cursor - 1].state if self.can_undo else None

    @property
    def can_undo(self) -> bool:
        """Whether there is a state before the present one."""
        return self._cursor > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a state after the present one."""
        return self._cursor < len(self._steps) - 1

    @property
    def undo_title(self) -> str | None:
        """What `undo` would take back."""
        return self._steps[self._cursor].title if self.can_undo else None

    @property
    def redo_title(self) -> str | None:
        """What `redo` would do again."""
        return self._steps[self._cursor + 1].title if self.can_redo else None

    @property
    def origins(self) -> tuple[str, ...]:
        """Where the states up to the present one were taken from, if from elsewhere."""
        return tuple(step.origin for step in self._steps[: self._cursor + 1] if step.origin)

    def record(self, state: S, title: str, origin: str = "") -> None:
        """Make a state the present one; what could be redone is dropped.

        A state that equals the present one is not recorded and drops nothing.

        Parameters
        ----------
        state : S
        title : str
            What was done, for "Undo <title>".
        origin : str
            Where the state was taken from, if from elsewhere; see `origins`.
        """
        if not _same(state, self.state):
            self._cursor += 1
            self._steps[self._cursor :] = [_Step(state, title, origin)]
        elif origin:
            self._steps[self._cursor] = replace(self._steps[self._cursor], origin=origin)

    def amend(self, state: S) -> None:
        """Replace the present state; what can be undone and redone stays.

        For what arrives late: the answer to a prompt belongs to the step that placed the prompt.
        """
        self._steps[self._cursor] = replace(self._steps[self._cursor], state=state)

    def begin_with(self, state: S) -> None:
        """Make a state the initial one; all others are dropped."""
        self._steps, self._cursor = [_Step(state, "")], 0

    def undo(self) -> S:
        """Go back by one state and return it.

        Raises
        ------
        IndexError
            At the initial state.
        """
        if not self.can_undo:
            raise IndexError("There is nothing to undo: this is the initial state.")
        self._cursor -= 1
        return self.state

    def redo(self) -> S:
        """Go forward by one state and return it.

        Raises
        ------
        IndexError
            At the latest state.
        """
        if not self.can_redo:
            raise IndexError("There is nothing to redo: this is the latest state.")
        self._cursor += 1
        return self.state


def _same(one: object, other: object) -> bool:
    return one is other or bool(one == other)
