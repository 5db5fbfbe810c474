"""What a proof of a report says: one line for each thing that was looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from napari_safire.annotation.checked_values import Damaged
from napari_safire.errors import SafireError

State = Literal["right", "wrong", "not checked"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    what : str
        "report.pdf", "picture", "event log" and so on.
    state : {"right", "wrong", "not checked"}
    words : str
        What was found, or why it was not looked at, in a sentence.
    """

    what: str
    state: State
    words: str


def right(what: str, words: str) -> Check:
    """Return a check that holds."""
    return Check(what, "right", words)


def wrong(what: str, words: str) -> Check:
    """Return a check that does not."""
    return Check(what, "wrong", words)


def unchecked(what: str, words: str) -> Check:
    """Return a check that could not be made."""
    return Check(what, "not checked", words)


def settled(what: str, problems: Iterable[str], fine: str) -> Check:
    """Return a check that holds if there are no problems; the first few are told."""
    found = [problem for problem in problems if problem]
    if not found:
        return right(what, fine)
    more = f" And {len(found) - 3} more." if len(found) > 3 else ""
    return wrong(what, " ".join(found[:3]) + more)


def tried(what: str, make: Callable[[], Iterator[Check]], other_version: bool) -> Iterator[Check]:
    """Make checks of what may be of a form that this program does not know."""
    try:
        yield from make()
    except (Damaged, KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        words = f"It has a form that this program does not know ({error})."
        yield unchecked(what, words) if other_version else wrong(what, words)
    except SafireError as error:
        yield unchecked(what, str(error))
