"""Events as rows of their table."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any

from napari_safire.annotation.checked_values import Damaged
from napari_safire.errors import DatasetError
from napari_safire.project.chain.event_bodies import refuse_damaged
from napari_safire.project.chain.events import KINDS, Event, canonical
from napari_safire.text import brief, printable

COLUMNS = "sequence, at, author, machine, kind, picture, body, origin, previous, sha256"
_WAY_OUT = "`napari-safire project recover` saves the others into a new project"


def insert_event(connection: sqlite3.Connection, event: Event) -> None:
    """Add an event to the table; in a transaction, after the last one.

    Raises
    ------
    DatasetError
        It could not be read again.
    """
    try:
        refuse_damaged(event)
    except Damaged as error:
        raise DatasetError(f"This cannot be kept in a project: {error}.") from error
    connection.execute(
        f"INSERT INTO event ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 (columns and marks are ours, values are bound)
        (
            event.sequence, event.at, event.author, event.machine, event.kind, event.picture,
            canonical(dict(event.body)),
            None if event.origin is None else canonical(dict(event.origin)),
            event.previous, event.sha256,
        ),
    )  # fmt: skip


def last_event(connection: sqlite3.Connection) -> Event | None:
    """Return the last event; None where there is none."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM event ORDER BY sequence DESC LIMIT 1"  # noqa: S608 (columns and marks are ours, values are bound)
    ).fetchone()
    return None if row is None else read_event(row)


def some_events(
    connection: sqlite3.Connection, after: int, picture: str | None = None
) -> list[Event]:
    """Return at most a thousand events after a sequence number, of one picture if asked."""
    if picture is None:
        where, values = "", [after]
    else:
        where, values = "AND picture = ?", [after, picture]  # type: ignore[list-item]
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM event WHERE sequence > ? {where} ORDER BY sequence LIMIT 1000",  # noqa: S608 (columns and marks are ours, values are bound)
        values,
    )
    return [read_event(row) for row in rows]


def all_events(connection: sqlite3.Connection) -> Iterator[Event]:
    """Go through all events, inside one transaction."""
    for row in connection.execute(f"SELECT {COLUMNS} FROM event ORDER BY sequence"):  # noqa: S608 (columns and marks are ours, values are bound)
        yield read_event(row)


def all_events_of(connection: sqlite3.Connection, picture: str) -> Iterator[Event]:
    """Go through all events of a picture, inside one transaction."""
    query = f"SELECT {COLUMNS} FROM event WHERE picture = ? ORDER BY sequence"  # noqa: S608 (columns and marks are ours, values are bound)
    for row in connection.execute(query, (picture,)):
        yield read_event(row)


def has_event(connection: sqlite3.Connection, sha256: str) -> bool:
    """Whether an event has this hash."""
    found = connection.execute("SELECT 1 FROM event WHERE sha256 = ? LIMIT 1", (sha256,))
    return found.fetchone() is not None


def read_event(row: Sequence[Any]) -> Event:
    """Make an event of a row of its table.

    Raises
    ------
    DatasetError
        The row is damaged, or of a kind that this version does not know.
    """
    sequence, at, author, machine, kind, picture, body, origin, previous, sha256 = row
    texts = (at, author, machine, kind, picture, body, origin or "", previous, sha256)
    if type(sequence) is not int or not all(type(text) is str for text in texts):
        raise DatasetError(
            f"Event {brief(sequence, 20)} is damaged: a text of it is none; {_WAY_OUT}."
        )
    if kind not in KINDS:
        raise DatasetError(
            f"Event {sequence} is of a kind that this version does not know "
            f"({printable(kind)[:40]}): update napari-safire."
        )
    try:
        event = Event(
            sequence,
            at,
            author,
            machine,
            kind,
            picture,
            MappingProxyType(json.loads(body)),
            None if origin is None else MappingProxyType(json.loads(origin)),
            previous,
            sha256,
        )
        refuse_damaged(event)
    except (ValueError, TypeError, RecursionError, Damaged) as error:
        raise DatasetError(f"Event {sequence} is damaged: {error}; {_WAY_OUT}.") from error
    except DatasetError as error:
        raise DatasetError(f"Event {sequence} is damaged ({error}); {_WAY_OUT}.") from error
    return event
