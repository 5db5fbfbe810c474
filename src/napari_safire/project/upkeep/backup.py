"""A copy of a project made while others work, and a new one of what a damaged one still has."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from napari_safire.atomic import remove_leftovers, rename, staging_folder
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.records.paths import whole_path
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project.chain.database import LONGEST_VALUE
from napari_safire.project.chain.event_table import COLUMNS, read_event
from napari_safire.project.chain.events import Draft, Event
from napari_safire.project.chain.schema import own_triggers
from napari_safire.project.objects import Objects
from napari_safire.project.pictures import move_picture, picture_path, project_pictures
from napari_safire.project.settings import ProjectSettings, read_settings
from napari_safire.project.store import DATABASE, Project
from napari_safire.project.upkeep.verify import objects_of
from napari_safire.sqlite_files import trust_little
from napari_safire.text import printable

_LONGEST = 1 << 40  # bytes of a database that is believed


def back_up(
    project: Project,
    folder: str | os.PathLike[str],
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Path:
    """Copy a project as it is at one moment, whoever works on it meanwhile.

    Parameters
    ----------
    project : Project
    folder : path-like
        Must not exist; its parent must. It has this name only once the copy is whole.
    progress, cancel : callable, optional

    Returns
    -------
    Path
        The folder. Pictures are not copied; from another place `look_after` finds them again.

    Raises
    ------
    SafireError
        The folder exists, or cannot be written to.
    DatasetError
        An object is gone or damaged; `napari-safire project verify` tells which.
    """
    target = Path(os.path.abspath(folder))
    if os.path.lexists(target):
        raise SafireError(f"{printable(target)} exists: give a backup a new name.")
    try:
        remove_leftovers(target.parent)
        with staging_folder(target.parent) as staging:
            whole = staging / target.name
            whole.mkdir()
            _copy_database(project, whole / DATABASE)
            with Project.open(whole, author=project.author, read_only=True) as copy:
                wanted = {digest for event in copy.events() for digest in objects_of(event)}
            objects = Objects(whole / "objects")
            for number, digest in enumerate(sorted(wanted)):
                report(progress, cancel, number, len(wanted), "copying masks")
                objects.copy_from(project.objects, digest)
            rename(whole, target)
    except OSError as error:
        raise SafireError(
            f"{printable(target)} cannot be written: {error.strerror or error}."
        ) from error
    return target


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was saved of a damaged project.

    Parameters
    ----------
    folder : Path
        Of the new project.
    n_events : int
        That were read and hold.
    lost : tuple of str
        What could not be, in sentences.
    """

    folder: Path
    n_events: int
    lost: tuple[str, ...]


def recover(
    damaged: str | os.PathLike[str], folder: str | os.PathLike[str], author: str | None = None
) -> Recovered:
    """Save into a new project what can be read of one whose database is damaged.

    Every event that is whole and has its own hash is taken over with its origin, even if others
    before it are lost; the new chain begins anew.

    Parameters
    ----------
    damaged : path-like
        Folder of the damaged project; it is only read.
    folder : path-like
        Of the new one; must not exist; its parent must. It has this name only once it is whole.
    author : str, optional

    Returns
    -------
    Recovered

    Raises
    ------
    DatasetError
        Nothing can be read.
    """
    path = Path(os.path.abspath(damaged))
    path = path.parent if path.name == DATABASE else path
    events, lost = _readable_events(path / DATABASE)
    if not events:
        raise DatasetError(f"No event of {printable(path)} can be read: fetch a backup.")
    old, target = Objects(path / "objects"), Path(os.path.abspath(folder))
    drafts = _drafts(events, lost)
    try:
        with _named_when_whole(target) as whole:
            name = f"{path.name} (recovered)"
            with Project.create(whole, name, author=author, settings=_settings(events)) as project:
                for digest in dict.fromkeys(d for event in events for d in objects_of(event)):
                    try:
                        project.objects.copy_from(old, digest)
                    except DatasetError as error:
                        lost.append(str(error))
                project.append_many(drafts)
    except OSError as error:
        raise SafireError(
            f"{printable(target)} cannot be written: {error.strerror or error}."
        ) from error
    with Project.open(target, author=author) as project:
        lost += _found_from_here(project, path)
    return Recovered(target, len(drafts), tuple(lost))


@contextmanager
def _named_when_whole(target: Path) -> Iterator[Path]:
    """Make a project's folder that has its name only at the end."""
    if os.path.lexists(target):
        raise SafireError(f"{printable(target)} exists: give the new project another name.")
    remove_leftovers(target.parent)
    with staging_folder(target.parent) as staging:
        whole = staging / target.name
        whole.mkdir()
        yield whole
        rename(whole, target)


def _settings(events: Sequence[Event]) -> ProjectSettings:
    """The last that can be read: above all how many annotate a picture, not seeing each other."""
    found = [e.body["settings"] for e in events if e.kind == "settings.changed"]
    return read_settings(found[-1] if found else {})


def _drafts(events: Sequence[Event], lost: list[str]) -> list[Draft]:
    """Make drafts of events that do not contradict each other; say which do."""
    pictures: set[str] = set()
    drafts = []
    for event in events:
        if event.kind in ("project.created", "settings.changed"):
            continue
        if event.kind == "picture.added":
            if event.picture in pictures:
                lost.append(f"Event {event.sequence} adds a picture once more.")
                continue
            pictures.add(event.picture)
        elif event.picture not in pictures:
            lost.append(f"Event {event.sequence} is of a picture whose beginning is lost.")
            continue
        drafts.append(Draft(event.kind, event.picture, event.body, event.as_origin()))
    return drafts


def _found_from_here(project: Project, former: Path) -> list[str]:
    """Note where pictures lie that were known relative to the damaged project's folder."""
    problems = []
    for picture in project_pictures(project):
        there = whole_path(picture.path, former)
        if os.path.isfile(picture_path(project, picture)) or not os.path.isfile(there):
            continue
        try:
            move_picture(project, picture, there)
        except (DatasetError, OSError) as error:
            problems.append(str(error))
    return problems


def _copy_database(project: Project, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copy:

        def act(connection: sqlite3.Connection) -> None:
            connection.backup(copy)

        if project.read_only:
            project.database.read(act)
        else:
            project.database.alone(act)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, until it is opened to be written


def _readable_events(path: Path) -> tuple[list[Event], list[str]]:
    """Events that are whole, read one by one around damaged pages."""
    found: list[Event] = []
    lost: list[str] = []
    missing: list[int] = []
    try:
        with _whole_file(path) as whole, closing(_connected(whole)) as connection:
            # An event takes more than 200 bytes: whatever number stands in a damaged page.
            last = _last_readable(connection, _size(whole) // 200 + 1)
            for number in range(1, last + 1):
                try:
                    row = connection.execute(
                        f"SELECT {COLUMNS} FROM event WHERE sequence = ?",  # noqa: S608 (columns and marks are ours, values are bound)
                        (number,),
                    ).fetchone()
                    event = None if row is None else read_event(row)
                except (sqlite3.Error, DatasetError, UnicodeDecodeError):
                    event = None
                if event is not None and event.digest() == event.sha256:
                    found.append(event)
                else:
                    missing.append(number)
    except (sqlite3.Error, OSError) as error:
        lost.append(f"{printable(path)} cannot be read further: {error}.")
    end = found[-1].sequence if found else 0
    lost += [f"Event {number} is lost or was changed." for number in missing if number < end]
    if missing and missing[-1] > end:
        lost.append(f"What came after event {end} is lost or was changed, if anything did.")
    return found, lost


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    trust_little(connection, LONGEST_VALUE, own_triggers())
    return connection


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A file that is as long as its head says: SQLite reads nothing at all of a shorter one."""
    with path.open("rb") as file:
        head = file.read(100)
    page = int.from_bytes(head[16:18], "big")
    length = (65_536 if page == 1 else page) * int.from_bytes(head[28:32], "big")
    if length <= path.stat().st_size or length > _LONGEST:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / DATABASE
        shutil.copyfile(path, whole)
        log = path.with_name(f"{path.name}-wal")
        if log.is_file():
            shutil.copyfile(log, whole.with_name(log.name))
        os.truncate(whole, length)  # longer, by empty pages
        yield whole


def _size(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())


def _last_readable(connection: sqlite3.Connection, most: int) -> int:
    """The largest sequence number that can be found, at most the given one.

    Where the end cannot be read, all that is beyond it looks as if it were there, and damaged.
    """
    try:
        row = connection.execute("SELECT max(sequence) FROM event").fetchone()
    except sqlite3.Error:
        return most
    return min(int(row[0] or 0), most)
