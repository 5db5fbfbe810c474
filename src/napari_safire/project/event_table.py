"""Events as rows of their table."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any

from napari_safire.errors import DatasetError
from napari_safire.project.events import Event, canonical

COLUMNS = "sequence, at, author, machine, kind, picture, body, origin, previous, sha256"


def insert_event(connection: sqlite3.Connection, event: Event) -> None:
    """Add an event to the table; in a transaction, after the last one."""
    connection.execute(
        f"INSERT INTO event ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        f"SELECT {COLUMNS} FROM event ORDER BY sequence DESC LIMIT 1"
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
        f"SELECT {COLUMNS} FROM event WHERE sequence > ? {where} ORDER BY sequence LIMIT 1000",
        values,
    )
    return [read_event(row) for row in rows]


def all_events(connection: sqlite3.Connection) -> Iterator[Event]:
    """Go through all events, inside one transaction."""
    for row in connection.execute(f"SELECT {COLUMNS} FROM event ORDER BY sequence"):
        yield read_event(row)


def read_event(row: Sequence[Any]) -> Event:
    """Make an event of a row of its table.

    Raises
    ------
    DatasetError
        The row is damaged.
    """
    sequence, at, author, machine, kind, picture, body, origin, previous, sha256 = row
    try:
        return Event(
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
    except (ValueError, TypeError, RecursionError) as error:
        raise DatasetError(f"Event {sequence} is damaged: {error}.") from error
