"""A project on disk: one folder with the chain of events, the state made of them, and objects.

::

    <folder>/project.sqlite      events and state
    <folder>/objects/ab/…        labels and annotations, named by their SHA-256

Pictures stay where they are; the project knows them by path, hashes and how they are decoded.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from napari_safire.errors import DatasetError, SafireError
from napari_safire.project import projections
from napari_safire.project.chain import schema
from napari_safire.project.chain.database import Database, Journal, safe_journal
from napari_safire.project.chain.event_table import (
    all_events,
    insert_event,
    last_event,
    some_events,
)
from napari_safire.project.chain.events import Draft, Event, following
from napari_safire.project.objects import Objects
from napari_safire.project.people import annotator_name, checked_name, machine_name
from napari_safire.project.revisions import Expected, require
from napari_safire.project.settings import ProjectSettings, read_settings
from napari_safire.text import printable

T = TypeVar("T")

DATABASE = "project.sqlite"
_AT_ONCE = 2_000  # events in one transaction, so that others wait for half a second at most


class Project:
    """Ground truth of a set of pictures, by one person or many. Make one with `create` or `open`.

    Calls may come from any thread. Every change is one event (`napari_safire.project.chain`).

    Parameters
    ----------
    folder : Path
    database : Database
    author : str
        In whose name events are written.

    Attributes
    ----------
    objects : Objects
        Labels and annotations, by their hashes.
    """

    def __init__(self, folder: Path, database: Database, author: str) -> None:
        self.folder, self.author = folder, author
        self.database = database
        self.objects = Objects(folder / "objects")

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        name: str = "",
        *,
        author: str | None = None,
        settings: ProjectSettings | None = None,
        journal: Journal | None = None,
    ) -> Self:
        """Begin a project in a folder.

        Parameters
        ----------
        folder : path-like
            Made if it is missing; it may hold pictures.
        name : str
            Default: that of the folder.
        author : str, optional
            Default: the name chosen for this machine.
        settings : ProjectSettings
        journal : {"wal", "rollback"}, optional
            Default: what is safe on the folder's drive.

        Returns
        -------
        Project

        Raises
        ------
        SafireError
            There is a project already, or the folder cannot be written to.
        """
        folder, settings = Path(os.path.abspath(folder)), settings or ProjectSettings()
        if author:
            checked_name(author)  # a wrong one leaves no folder behind
        try:
            if (folder / DATABASE).exists() and not was_never_begun(folder):
                raise SafireError(f"{printable(folder)} holds a project already: open it.")
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SafireError(
                f"The folder {printable(folder)} cannot be made ({error.strerror}): choose another."
            ) from error
        project = cls._of(folder, author, journal, read_only=False)
        begun = {"name": printable(name or folder.name), "id": secrets.token_hex(16)}
        project.append(
            [
                Draft("project.created", body=begun),
                Draft("settings.changed", body={"settings": settings.as_record()}),
            ]
        )
        return project

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        *,
        author: str | None = None,
        journal: Journal | None = None,
        read_only: bool = False,
    ) -> Self:
        """Open the project of a folder.

        Parameters
        ----------
        folder : path-like
            The folder, or its ``project.sqlite``.
        author, journal
            As of `create`.
        read_only : bool
            Change nothing. Also so where the folder may not be written to.

        Returns
        -------
        Project

        Raises
        ------
        DatasetError
            There is none, it is damaged, or of a newer version of this program.
        """
        folder = Path(os.path.abspath(folder))
        folder = folder.parent if folder.name == DATABASE else folder
        path = folder / DATABASE
        if not path.is_file():
            raise DatasetError(
                f"{printable(folder)} holds no project: create one with `napari-safire project "
                "create`, or in the Curate dock."
            )
        writable = os.access(path, os.W_OK) and os.access(folder, os.W_OK)
        project = cls._of(folder, author, journal, read_only=read_only or not writable)
        if project.head is None:
            project.close()
            raise DatasetError(
                f"The project {printable(folder)} was never begun: whoever created it was stopped. "
                "Create it again."
            )
        return project

    @classmethod
    def _of(
        cls, folder: Path, author: str | None, journal: Journal | None, *, read_only: bool
    ) -> Self:
        database = Database(folder / DATABASE, journal or safe_journal(folder), read_only=read_only)
        name = checked_name(author) if author else annotator_name()
        project = cls(folder, database, name)
        try:
            project._make_ready()
        except BaseException:
            database.close()
            raise
        return project

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files; nothing that was written waits for it."""
        self.database.close()

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed."""
        return self.database.read_only

    # ---------------------------------------------------------------- events

    def append(
        self, drafts: Sequence[Draft], expected: Sequence[Expected] = ()
    ) -> tuple[Event, ...]:
        """Write events, and what they change, in one transaction.

        Parameters
        ----------
        drafts : sequence of Draft
        expected : sequence of Expected
            Revisions that must still be there.

        Returns
        -------
        tuple of Event

        Raises
        ------
        Changed
            Somebody else has saved meanwhile.
        SafireError
            Nothing can be written; nothing was.
        """
        return self.append_made(lambda connection: drafts, expected)

    def append_made(
        self,
        make: Callable[[sqlite3.Connection], Sequence[Draft]],
        expected: Sequence[Expected] = (),
    ) -> tuple[Event, ...]:
        """As `append`, for events that depend on what is there at that moment.

        Parameters
        ----------
        make : callable
            Looks at the state, inside the transaction, and gives the drafts; may be called again.
        expected : sequence of Expected
        """

        def act(connection: sqlite3.Connection) -> tuple[Event, ...]:
            for revision in expected:
                require(connection, revision)
            drafts = make(connection)
            previous = last_event(connection)
            made = []
            for draft in drafts:
                previous = following(draft, previous, self.author, machine_name())
                insert_event(connection, previous)
                projections.apply(connection, previous)
                made.append(previous)
            return tuple(made)

        return self.database.write(act)

    def append_many(
        self,
        drafts: Sequence[Draft],
        told: Callable[[int, int], None] = lambda done, total: None,
        still: Callable[[sqlite3.Connection, Draft], bool] = lambda connection, draft: True,
    ) -> None:
        """Write many events in several transactions, so that others are not kept waiting.

        Parameters
        ----------
        drafts : sequence of Draft
        told : callable
            Takes how many are written, and how many there are.
        still : callable
            Asked of each inside its transaction: false where another process has made it needless.
        """
        for start in range(0, len(drafts), _AT_ONCE):
            some = drafts[start : start + _AT_ONCE]
            self.append_made(partial(_wanted, some, still))
            told(min(len(drafts), start + _AT_ONCE), len(drafts))

    def events(self, after: int = 0, picture: str | None = None) -> Iterator[Event]:
        """Go through the events in their order.

        Parameters
        ----------
        after : int
            Sequence number; 0 for all.
        picture : str, optional
            Only those of this picture.

        Yields
        ------
        Event

        Raises
        ------
        DatasetError
            One of them cannot be read.
        """
        while True:
            batch = self.database.read(partial(some_events, after=after, picture=picture))
            if not batch:
                return
            yield from batch
            after = batch[-1].sequence

    @property
    def head(self) -> Event | None:
        """The last event."""
        return self.database.read(last_event)

    # ---------------------------------------------------------------- state

    def ask(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Ask the state something in SQL.

        Parameters
        ----------
        sql : str
        values : sequence or mapping

        Returns
        -------
        list of tuple
        """
        return self.database.read(lambda connection: connection.execute(sql, values).fetchall())

    @property
    def name(self) -> str:
        """What the project is called."""
        return str(self.ask("SELECT name FROM project")[0][0])

    @property
    def id(self) -> str:
        """What tells this project, and its copies, from all others."""
        return str(self.ask("SELECT id FROM project")[0][0])

    @property
    def settings(self) -> ProjectSettings:
        """How it is worked on."""
        return read_settings(json.loads(self.ask("SELECT settings FROM project")[0][0]))

    def change_settings(self, settings: ProjectSettings) -> None:
        """Work on it in another way from now on."""
        self.append([Draft("settings.changed", body={"settings": settings.as_record()})])

    def rebuild(self) -> bool:
        """Make the state anew from the events.

        Returns
        -------
        bool
            Whether it was what the events say.
        """

        def act(connection: sqlite3.Connection) -> bool:
            before = projections.state_digest(connection)
            projections.rebuild(connection, all_events(connection))
            return projections.state_digest(connection) == before

        return self.database.write(act)

    def _make_ready(self) -> None:
        database, name = self.database, printable(self.folder)
        database.read(lambda connection: schema.refuse_foreign(connection, name))
        if database.read_only:
            database.read(lambda connection: schema.refuse_newer(connection, name))
            if not database.read(schema.is_up_to_date):
                raise DatasetError(
                    f"The state of the project {name} is not that of its events: another version "
                    "or program wrote to it. `napari-safire project rebuild` makes it anew; where "
                    "it may not be written to, that of a copy."
                )
            return
        database.alone(lambda connection: schema.migrate(connection, name))
        if not database.read(schema.is_up_to_date):
            database.write(
                lambda connection: (
                    None
                    if schema.is_up_to_date(connection)
                    else projections.rebuild(connection, all_events(connection))
                )
            )


def is_project(path: str | os.PathLike[str]) -> bool:
    """Whether a folder, or the database in it, is a project."""
    given = Path(path)
    try:
        return (given if given.name == DATABASE else given / DATABASE).is_file()
    except OSError:  # a name that is too long is none of a folder
        return False


def _wanted(
    drafts: Sequence[Draft],
    still: Callable[[sqlite3.Connection, Draft], bool],
    connection: sqlite3.Connection,
) -> Sequence[Draft]:
    return [draft for draft in drafts if still(connection, draft)]


def was_never_begun(folder: str | os.PathLike[str]) -> bool:
    """Whether a project has no event: whoever created it was stopped before the first."""
    if not is_project(folder):
        return False
    path = Path(os.path.abspath(folder)) / DATABASE
    database = Database(path, safe_journal(path.parent), read_only=True)
    try:
        return database.read(lambda connection: schema.is_empty(connection))
    except SafireError:
        return False
    finally:
        database.close()
