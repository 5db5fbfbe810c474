"""The chain of changes: every one says who, when and what, and holds the hash of the one before.

All else that a project knows is a projection of these events and can be made again from them. An
event is never changed and never removed; what was wrong is said by a later one.

========================  =====================================================================
kind                      body
========================  =====================================================================
project.created           name, id
settings.changed          settings: all of them
picture.added             path, file_sha256, pixels_sha256, shape, orientation, decoder, format,
                          tags, begin: labels that came with it
picture.moved             path
picture.identified        pixels_sha256, shape, orientation, decoder, format
picture.flagged           problem; empty: it is as it was again
picture.tagged            tags: all of them
picture.removed           reason
picture.returned          (nothing)
picture.scored            score, verdict, uncertainty, basis
picture.compared          revisions by annotator; p_miou, p_ari, boundary_f, alpha
picture.controlled        labels: the known truth; none: it is no control any more
work.assigned             annotator, role
work.withdrawn            annotator: an assignment that nothing was made of
work.saved                annotator, role, revision, labels, annotation, description, basis,
                          seconds, title, n_sources, n_unassigned, decisions, begun_from, version
work.done                 annotator, revision, waiver, authentic
work.reopened             annotator, revision
work.rejected             annotator, revision, note
work.accepted             annotator, revision
case.described            case: what is reviewed, and why
review.begun              blind: whether the author is to see the model's verdict after their own
review.shown              (nothing): the model's verdict was shown to the author
review.analysed           record, labels, basis, verdict: what the model and the views said
review.checked            answers: the author's whole checklist
review.noted              finding, revision, file_sha256
review.judged             judgement, revision: the author's own
review.signed             signature
review.reported           files: their SHA-256 by name; head: that the report tells of
========================  =====================================================================

Labels, annotations, decisions and records are SHA-256 of objects (`napari_safire.project.objects`).
What a review's values hold is said by `napari_safire.review.codec`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

KINDS = frozenset(
    {
        "project.created", "settings.changed", "picture.added", "picture.moved",
        "picture.identified", "picture.flagged", "picture.tagged", "picture.removed",
        "picture.returned", "picture.scored", "picture.compared", "picture.controlled",
        "work.assigned", "work.withdrawn", "work.saved", "work.done", "work.reopened",
        "work.rejected", "work.accepted", "case.described", "review.begun", "review.shown",
        "review.analysed", "review.checked", "review.noted", "review.judged", "review.signed",
        "review.reported",
    }
)  # fmt: skip
BEGINNING = "0" * 64
"""What stands in place of the hash before the first event."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A change that is to become an event.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    picture : str
        Its id; empty where no single picture is meant.
    body : mapping
        JSON values.
    origin : mapping or None
        Of an event that was made in another copy of the project: see `Event`.
    """

    kind: str
    picture: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"There is no kind of event {self.kind!r}: see project/chain/events.py."
            )


@dataclass(frozen=True, slots=True)
class Event:
    """One change.

    Parameters
    ----------
    sequence : int
        From 1, without gaps. It tells the order, whatever the clock says.
    at : str
        When, in UTC, as ISO 8601 with milliseconds.
    author, machine : str
        Who made the event, and where.
    kind : str
    picture : str
    body : mapping
    origin : mapping or None
        Of an event that was made in another copy of the project and joined later: its ``sequence``,
        ``at``, ``author``, ``machine`` and ``sha256`` there.
    previous : str
        `sha256` of the event before.
    sha256 : str
        Of all of the above.
    """

    sequence: int
    at: str
    author: str
    machine: str
    kind: str
    picture: str
    body: Mapping[str, Any]
    origin: Mapping[str, Any] | None
    previous: str
    sha256: str

    @property
    def made_by(self) -> str:
        """Who made the change, wherever that was."""
        return self.author if self.origin is None else str(self.origin["author"])

    @property
    def made_at(self) -> str:
        """When the change was made, wherever that was."""
        return self.at if self.origin is None else str(self.origin["at"])

    @property
    def first_sha256(self) -> str:
        """Hash under which the change was first written down, in whichever copy."""
        return self.sha256 if self.origin is None else str(self.origin["sha256"])

    def digest(self) -> str:
        """Compute what `sha256` has to be."""
        values = [
            self.sequence, self.at, self.author, self.machine, self.kind, self.picture,
            dict(self.body), None if self.origin is None else dict(self.origin), self.previous,
        ]  # fmt: skip
        return hashlib.sha256(canonical(values).encode()).hexdigest()

    def as_origin(self) -> dict[str, Any]:
        """Return what another copy notes of this event; of one that was joined, the first."""
        if self.origin is not None:
            return dict(self.origin)
        names = ("sequence", "at", "author", "machine", "sha256")
        return {name: getattr(self, name) for name in names}


def following(draft: Draft, previous: Event | None, author: str, machine: str) -> Event:
    """Make the event that comes after another one.

    Parameters
    ----------
    draft : Draft
    previous : Event or None
        None for the first.
    author, machine : str

    Returns
    -------
    Event
    """
    event = Event(
        sequence=1 if previous is None else previous.sequence + 1,
        at=now(),
        author=author,
        machine=machine,
        kind=draft.kind,
        picture=draft.picture,
        body=MappingProxyType(json.loads(canonical(dict(draft.body)))),
        origin=None if draft.origin is None else MappingProxyType(dict(draft.origin)),
        previous=BEGINNING if previous is None else previous.sha256,
        sha256="",
    )
    object.__setattr__(event, "sha256", event.digest())
    return event


def canonical(value: Any) -> str:
    """Write JSON values in the one form that hashes are made of: sorted, ASCII, without spaces.

    Raises
    ------
    ValueError, TypeError
        A number is not finite, or a value is none of JSON's.
    """
    return json.dumps(
        value, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":")
    )


def now() -> str:
    """Return the time of the machine's clock, as events have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
