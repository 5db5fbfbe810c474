"""Saves that rest on a revision: who saves second is told, and writes over nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from napari_safire.errors import SafireError
from napari_safire.text import printable


@dataclass(frozen=True, slots=True)
class Expected:
    """The revision that a change rests on.

    Parameters
    ----------
    picture, annotator : str
    revision : int
        0: no work is there yet.
    unaccepted : bool
        It must not have been accepted meanwhile either.
    """

    picture: str
    annotator: str
    revision: int
    unaccepted: bool = False


class Changed(SafireError):
    """Somebody else has saved since the work was opened; nothing was written.

    Attributes
    ----------
    picture, annotator : str
        Whose work it is.
    revision : int
        That is there now.
    by, at : str
        Who saved it, and when.
    """

    def __init__(self, picture: str, annotator: str, revision: int, by: str, at: str) -> None:
        super().__init__(
            f"Changed by {printable(by)} at {at[:16].replace('T', ' ')} UTC since you opened it: "
            "take theirs, keep yours as a second opinion, or look at both."
        )
        self.picture, self.annotator, self.revision = picture, annotator, revision
        self.by, self.at = by, at


def require(connection: sqlite3.Connection, expected: Expected) -> None:
    """Raise `Changed` unless a revision is still there; inside a transaction."""
    row = connection.execute(
        "SELECT revision, by, at, state FROM work WHERE picture = ? AND annotator = ?",
        (expected.picture, expected.annotator),
    ).fetchone()
    revision, by, at, state = row or (0, "", "", "")
    if revision != expected.revision or (expected.unaccepted and state == "accepted"):
        raise Changed(expected.picture, expected.annotator, revision, by, at)
