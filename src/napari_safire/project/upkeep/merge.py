"""Two copies of a project that were worked on apart become one; nothing of either is lost.

Events of the other copy are appended to this one's chain, each with its *origin*: when, by whom and
under which hash it was first written. Where both went on with the same work, the other's becomes a
second opinion under a name of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from napari_safire.errors import DatasetError
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project.chain.events import Draft, Event
from napari_safire.project.people import second_opinion_name
from napari_safire.project.store import Project
from napari_safire.project.upkeep.verify import objects_of
from napari_safire.text import printable

_WORKED = ("work.saved", "work.done", "work.reopened", "work.rejected", "work.accepted")
_NOT_JOINED = ("project.created", "settings.changed")


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of a merge.

    Parameters
    ----------
    n_common : int
        Events that both copies had.
    n_joined : int
        Events of the other copy that were appended.
    second_opinions : tuple of (str, str, str)
        Picture, annotator, and the name under which the other's work is kept.
    """

    n_common: int
    n_joined: int
    second_opinions: tuple[tuple[str, str, str], ...]


def merge(
    project: Project,
    other: Project,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Merged:
    """Join what was done in another copy.

    Parameters
    ----------
    project : Project
        Gets the events.
    other : Project
        Is only read. Merge the other way round, too, where both are to go on.
    progress, cancel : callable, optional

    Returns
    -------
    Merged
        Merging once more joins nothing.

    Raises
    ------
    DatasetError
        It is another project, or one of its objects is gone or damaged.
    SafireError
        Nothing can be written.
    """
    if project.id != other.id:
        raise DatasetError(
            f"{printable(other.folder)} is no copy of {printable(project.folder)}: their projects "
            "were created apart. Export one of them and import it instead."
        )
    ours, theirs = list(project.events()), list(other.events())
    n_common = 0
    for mine, its in zip_longest(ours, theirs):
        if mine is None or its is None or mine.sha256 != its.sha256:
            break
        n_common += 1
    known = {event.first_sha256: event for event in ours}
    new = [
        event
        for event in theirs[n_common:]
        if event.first_sha256 not in known and event.kind not in _NOT_JOINED
    ]
    for number, event in enumerate(new):
        report(progress, cancel, number, len(new), "copying masks")
        for digest in objects_of(event):
            project.objects.copy_from(other.objects, digest)
    joining = _Joining(ours[n_common:], theirs[n_common:])

    def make(connection: sqlite3.Connection) -> Sequence[Draft]:
        return joining.drafts(new, connection)

    made = project.append_made(make)
    return Merged(n_common, len(made), joining.second_opinions)


class _Joining:
    """Makes drafts of the events of another copy."""

    def __init__(self, ours: Sequence[Event], theirs: Sequence[Event]) -> None:
        first = {event.first_sha256: event for event in ours}
        there = {event.first_sha256 for event in theirs}
        self._apart = {
            _key(event)
            for event in ours
            if event.kind in _WORKED and event.first_sha256 not in there
        }
        # Under which names an earlier merge has kept what the other went on with since.
        self._names = {
            _key(event): str(first[event.first_sha256].body["annotator"])
            for event in theirs
            if event.kind in _WORKED and event.first_sha256 in first
        }
        self._names = {key: name for key, name in self._names.items() if name != key[1]}
        self.second_opinions: tuple[tuple[str, str, str], ...] = ()

    def drafts(self, events: Sequence[Event], connection: sqlite3.Connection) -> Sequence[Draft]:
        """Make them by what is there at this moment."""
        pictures = {row[0] for row in connection.execute("SELECT id FROM picture")}
        revisions: dict[tuple[str, str], int] = {
            (picture, annotator): revision
            for picture, annotator, revision in connection.execute(
                "SELECT picture, annotator, revision FROM work"
            )
        }
        names = dict(self._names)
        found = []
        for event in events:
            if event.kind == "picture.added":
                if event.picture in pictures:
                    continue
                pictures.add(event.picture)
            body: Mapping[str, Any] = event.body
            if event.kind.startswith("work."):
                key = _key(event)
                if key in self._apart and key not in names and event.kind in _WORKED:
                    names[key] = _free_name(key, event, revisions)
                body = _renamed(body, names.get(key, key[1]), event, revisions)
            found.append(Draft(event.kind, event.picture, body, event.as_origin()))
        self.second_opinions = tuple(
            (*key, name) for key, name in names.items() if key not in self._names
        )
        return found


def _key(event: Event) -> tuple[str, str]:
    return event.picture, str(event.body["annotator"])


def _free_name(key: tuple[str, str], event: Event, revisions: Mapping[tuple[str, str], int]) -> str:
    picture, annotator = key
    taken = {other for where, other in revisions if where == picture}
    return second_opinion_name(annotator, str(event.as_origin()["machine"]), taken)


def _renamed(
    body: Mapping[str, Any], name: str, event: Event, revisions: dict[tuple[str, str], int]
) -> dict[str, Any]:
    """The body with another annotator, and the revision that comes next here."""
    changed = json.loads(json.dumps(dict(body))) | {"annotator": name}
    key = (event.picture, name)
    if event.kind == "work.saved":
        revisions[key] = revisions.get(key, 0) + 1
    if "revision" in changed:
        changed["revision"] = revisions.get(key, 0)
    return changed
