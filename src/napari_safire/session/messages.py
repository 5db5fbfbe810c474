"""What users are told: each sentence belongs to a picture, and to a state of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_safire.session.planes import Plane, PlaneKey

Severity = Literal["note", "failure"]
Stage = Literal["", "picture", "prompts", "partition", "labels"]
"""What of a plane a sentence is about: once that is another one, the sentence is outdated."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What a sentence belongs to.

    Parameters
    ----------
    key : PlaneKey or None
        None: no picture; it then stays over all of them.
    stage : Stage
        Empty: it holds as long as the plane is open.
    """

    key: PlaneKey | None
    stage: Stage = ""


ANYWHERE = Topic(None)
"""Of sentences about the model, the disk or a process: no picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A sentence for the user, as it is shown.

    Parameters
    ----------
    text : str
    severity : {"note", "failure"}
    key : PlaneKey or None
        The plane it is shown over; None while no plane is.
    stage : Stage
    state : object
        What the plane's `stage` was when this was said: `is_outdated` compares.
    everywhere : bool
        Shown whatever is worked on.
    """

    text: str
    severity: Severity = "note"
    key: PlaneKey | None = None
    stage: Stage = ""
    state: object = None
    everywhere: bool = False

    def is_outdated(self, plane: Plane | None) -> bool:
        """Whether it no longer holds.

        Parameters
        ----------
        plane : Plane or None
            The plane of its key, if it is still open.
        """
        if self.everywhere:
            return False
        if plane is None:
            return self.key is not None
        return state_of(plane, self.stage) is not self.state


def state_of(plane: Plane | None, stage: Stage) -> object:
    """Give what a message about a stage is compared by."""
    if plane is None or not stage:
        return None
    if stage == "picture":
        return plane.embedding
    if stage == "partition":
        return plane.partition
    state = None if plane.snapshot is None else plane.snapshot.annotation
    if state is None or stage == "labels":
        return state
    return state.prompts
