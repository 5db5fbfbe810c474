"""A project proved: its chain, state, objects, adjudications, pictures and the models it names."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from napari_safire.errors import DatasetError
from napari_safire.images.files import file_sha256, why_unreadable
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project import projections
from napari_safire.project.chain.events import BEGINNING, Event
from napari_safire.project.pictures import (
    ProjectPicture,
    picture_path,
    project_pictures,
)
from napari_safire.project.store import Project
from napari_safire.project.team.adjudicating import proved
from napari_safire.text import printable

_OBJECTS_OF: dict[str, tuple[str, ...]] = {
    "picture.added": ("begin",),
    "picture.controlled": ("labels",),
    "work.saved": ("labels", "annotation", "decisions"),
    "review.analysed": ("record", "labels"),
}


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of a proof.

    Parameters
    ----------
    n_events, n_objects, n_pictures : int
        How many were looked at.
    head : str
        SHA-256 of the last event: whoever noted it can prove later that nothing before was changed.
    problems : tuple of str
        What is wrong, in sentences; empty: nothing.
    remarks : tuple of str
        What is worth knowing and proves nothing.
    models : tuple of str
        SHA-256 of the models that helped.
    """

    n_events: int
    n_objects: int
    n_pictures: int
    head: str
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    models: tuple[str, ...]


def verify(
    project: Project,
    *,
    head: str = "",
    known_models: Collection[str] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Verification:
    """Prove a project; nothing is changed.

    The chain proves that no event was changed, left out or put in between since a hash of it was
    noted elsewhere. Without such a hash it proves that nobody did so by accident.

    Parameters
    ----------
    project : Project
    head : str
        A hash noted earlier, or its begin: it must be in the chain.
    known_models : collection of str, optional
        SHA-256 of the models that this machine has, for a remark on those that it lacks.
    progress, cancel : callable, optional

    Returns
    -------
    Verification
    """
    chain = _Chain(head)
    problems = [*_of_file(project), *_of_chain(project, chain, head, cancel)]
    problems += _of_objects(project, chain.objects, progress, cancel)
    problems += _of_adjudications(project, progress, cancel)
    pictures = list(project_pictures(project))
    problems += _of_pictures(project, pictures, progress, cancel)
    missing = set() if known_models is None else chain.models - set(known_models)
    remarks = [f"The model {digest[:12]}… is not on this machine." for digest in sorted(missing)]
    return Verification(
        chain.n_events,
        len(chain.objects),
        len(pictures),
        chain.last,
        tuple(problems),
        tuple(chain.remarks + remarks),
        tuple(sorted(chain.models)),
    )


def verify_chain(
    project: Project, *, head: str = "", cancel: Cancel | None = None
) -> tuple[str, ...]:
    """Prove the chain and the state of a project alone; see `verify`.

    Parameters
    ----------
    project : Project
    head : str
        A hash noted earlier, or its begin: it must be in the chain.
    cancel : callable, optional

    Returns
    -------
    tuple of str
        What is wrong, in sentences; empty: nothing.
    """
    return (*_of_file(project), *_of_chain(project, _Chain(head), head, cancel))


def _of_file(project: Project) -> Iterator[str]:
    """What SQLite itself finds wrong, also in indices, which no event needs to be read."""
    for (found,) in project.ask("PRAGMA integrity_check(5)"):
        if found != "ok":
            yield f"The database is damaged: {printable(found)}."


def _of_chain(project: Project, chain: _Chain, head: str, cancel: Cancel | None) -> Iterator[str]:
    broken = False
    try:
        for event in project.events():
            chain.take(event)
            report(None, cancel, event.sequence, 0, "reading the events")
    except DatasetError as error:
        broken = True
        yield str(error)
    yield from chain.problems
    if head and not chain.head_found:
        yield f"No event has the hash {printable(head)}: this is another chain."
    elif not broken and not chain.problems and not _state_fits(project):
        yield "The state is not what the events say: `napari-safire project rebuild`."


def _of_objects(
    project: Project, objects: Collection[str], progress: Progress | None, cancel: Cancel | None
) -> Iterator[str]:
    for number, digest in enumerate(sorted(objects)):
        report(progress, cancel, number, len(objects), "checking the masks")
        problem = project.objects.problem(digest)
        if problem:
            yield problem


def _of_adjudications(
    project: Project, progress: Progress | None, cancel: Cancel | None
) -> Iterator[str]:
    adjudicated = _adjudicated(project)
    for number, (key, annotator, name) in enumerate(adjudicated):
        report(progress, cancel, number, len(adjudicated), "checking the adjudications")
        try:
            proved(project, key, annotator)
        except DatasetError as error:
            yield f"{name}: {error}"


def _of_pictures(
    project: Project,
    pictures: Sequence[ProjectPicture],
    progress: Progress | None,
    cancel: Cancel | None,
) -> Iterator[str]:
    for number, picture in enumerate(pictures):
        report(progress, cancel, number, len(pictures), "checking the pictures")
        path = picture_path(project, picture)
        problem = why_unreadable(path) or ""
        if not problem and file_sha256(path) != picture.file_sha256:
            problem = f"{printable(path)} was changed since it was added: its hash is another."
        if problem:
            yield problem


def objects_of(event: Event) -> Iterator[str]:
    """SHA-256 of the objects that an event names."""
    for name in _OBJECTS_OF.get(event.kind, ()):
        digest = event.body.get(name)
        if isinstance(digest, str):
            yield digest
    judged = (event.body.get("judgement") or {}).get("labels")
    if judged:
        yield judged
    for source in (event.body.get("description") or {}).get("sources", ()):
        mask = source["donor"]["mask"]
        if mask:
            yield mask


def _adjudicated(project: Project) -> list[tuple[str, str, str]]:
    """Picture, adjudicator and the picture's name, of works that follow from decisions."""
    return project.ask(
        "SELECT w.picture, w.annotator, p.name FROM work w JOIN picture p ON p.id = w.picture "
        "WHERE w.decisions IS NOT NULL ORDER BY p.position, w.annotator"
    )


class _Chain:
    """The events, one after the other, each held against the one before."""

    def __init__(self, head: str) -> None:
        self._wanted = head.lower()
        self.head_found = False
        self.n_events, self.last, self._time = 0, BEGINNING, ""
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.objects: set[str] = set()
        self.models: set[str] = set()

    def take(self, event: Event) -> None:
        self.n_events += 1
        if event.sequence != self.n_events:
            self.problems.append(f"Events before number {event.sequence} are missing.")
            self.n_events = event.sequence
        if event.previous != self.last:
            self.problems.append(f"Event {event.sequence} does not follow the one before it.")
        if event.digest() != event.sha256:
            self.problems.append(f"Event {event.sequence} was changed: its hash is another.")
        if _is_before(event.at, self._time):
            self.remarks.append(f"A clock was set back before event {event.sequence} ({event.at}).")
        self.last, self._time = event.sha256, event.at
        if self._wanted and event.sha256.startswith(self._wanted):
            self.head_found = True
        self.objects.update(objects_of(event))
        basis = event.body.get("basis")
        if isinstance(basis, dict):
            self.models.add(str(basis["checkpoint_sha256"]))


def _is_before(time: str, other: str) -> bool:
    try:
        return bool(other) and datetime.fromisoformat(time) < datetime.fromisoformat(other)
    except ValueError:  # the event's hash tells that somebody changed it
        return False


def _state_fits(project: Project) -> bool:
    """Whether the state is what the events make, made anew in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        projections.rebuild(memory, project.events())
        made = projections.state_digest(memory)
    compare: Callable[[Any], str] = projections.state_digest
    return project.database.read(compare) == made
