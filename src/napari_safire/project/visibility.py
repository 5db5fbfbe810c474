"""Who may see whose work: nobody another's, until all who annotate the picture are done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from napari_safire.project.work import Work

FINISHED = frozenset({"done", "accepted"})


@dataclass(frozen=True, slots=True)
class PictureWorks:
    """The state of all work on one picture.

    Parameters
    ----------
    needed : int
        How many annotators the picture needs. Until so many are done, one who has not begun yet
        may be among those who look.
    states : mapping of str to str
        By annotator: "assigned", "begun", "done", "rejected" or "accepted".
    deciding : tuple of str
        Who adjudicates it: nobody waits for these.
    """

    needed: int
    states: Mapping[str, str]
    deciding: tuple[str, ...] = ()

    @classmethod
    def of(cls, works: Iterable[Work], needed: int) -> Self:
        """Put together what `napari_safire.project.work.works` gives.

        Parameters
        ----------
        works : iterable of Work
            Of one picture.
        needed : int
            The project's `annotators_per_picture`.
        """
        known = tuple(works)
        return cls(
            needed,
            {work.annotator: work.state for work in known if work.role == "annotator"},
            tuple(work.annotator for work in known if work.role == "adjudicator"),
        )

    @property
    def all_done(self) -> bool:
        """Whether every annotator is done, and as many as the picture needs."""
        done = [name for name, state in self.states.items() if state in FINISHED]
        return len(done) == len(self.states) and len(done) >= max(self.needed, 1)


def may_see(viewer: str, owner: str, works: PictureWorks) -> bool:
    """Whether somebody may see, or begin from, the work of somebody else.

    Parameters
    ----------
    viewer, owner : str
    works : PictureWorks

    Returns
    -------
    bool
        One's own always. Adjudicators and leaders see no earlier than others: what they know, they
        can tell.
    """
    return viewer == owner or works.all_done


def visible_works(viewer: str, works: PictureWorks) -> tuple[str, ...]:
    """Name the annotators and adjudicators whose work somebody may see, sorted."""
    known = {*works.states, *works.deciding}
    return tuple(sorted(owner for owner in known if may_see(viewer, owner, works)))


@dataclass(frozen=True, slots=True)
class StateChange:
    """An annotator's work on a picture came into a state.

    Parameters
    ----------
    annotator : str
    state : str
        As in `PictureWorks`, or "withdrawn": nobody waits for this annotator any more.
    revision : int
        The latest one of the work at this moment, 0 before the first.
    """

    annotator: str
    state: str
    revision: int


def blind_revisions(changes: Iterable[StateChange], needed: int) -> dict[str, int]:
    """Find the revisions that were made before anybody could see another's work.

    Only these tell how far annotators agree: who has seen the other's work and goes on revises
    their own with it in mind.

    Parameters
    ----------
    changes : iterable of StateChange
        All of one picture, in their order.
    needed : int
        As in `PictureWorks`.

    Returns
    -------
    dict of str to int
        By annotator, as they were when all were done for the first time; empty before.
    """
    states: dict[str, str] = {}
    revisions: dict[str, int] = {}
    for change in changes:
        if change.state == "withdrawn":
            states.pop(change.annotator, None)
            revisions.pop(change.annotator, None)
        else:
            states[change.annotator] = change.state
            revisions[change.annotator] = change.revision
        if PictureWorks(needed, states).all_done:
            return revisions
    return {}
