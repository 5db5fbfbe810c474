"""The tables of a project: the events, which stay, and the state, which can be made from them.

``user_version`` counts the migrations of what stays; `STATE_VERSION` that of the state, which is
not migrated but made anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache

from napari_safire.errors import DatasetError

_EVENTS = """
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    author TEXT NOT NULL,
    machine TEXT NOT NULL,
    kind TEXT NOT NULL,
    picture TEXT NOT NULL,
    body TEXT NOT NULL,
    origin TEXT,
    previous TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;
CREATE TRIGGER event_is_next BEFORE INSERT ON event
WHEN NEW.sequence != (SELECT coalesce(max(sequence), 0) + 1 FROM event)
    OR NEW.previous != coalesce(
        (SELECT sha256 FROM event ORDER BY sequence DESC LIMIT 1), printf('%064d', 0))
BEGIN SELECT raise(ABORT, 'an event must follow the last one'); END;
CREATE TRIGGER event_stays BEFORE UPDATE ON event
BEGIN SELECT raise(ABORT, 'events are never changed'); END;
CREATE TRIGGER event_remains BEFORE DELETE ON event
BEGIN SELECT raise(ABORT, 'events are never removed'); END;
"""
_EVENTS_BY_PICTURE = "CREATE INDEX event_by_picture ON event (picture, sequence);"

MIGRATIONS: tuple[str, ...] = (_EVENTS, _EVENTS_BY_PICTURE)
"""Each leads from one version of what stays to the next; never changed, only added to."""

STATE_VERSION = 3
STATE = """
CREATE TABLE state_version (number INTEGER NOT NULL, sequence INTEGER NOT NULL) STRICT;
CREATE TABLE project (name TEXT NOT NULL, id TEXT NOT NULL, settings TEXT NOT NULL) STRICT;
CREATE TABLE picture (
    id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    file_sha256 TEXT NOT NULL,
    pixels_sha256 TEXT,
    height INTEGER,
    width INTEGER,
    orientation INTEGER,
    decoder TEXT NOT NULL,
    format TEXT NOT NULL,
    tags TEXT NOT NULL,
    begin TEXT,
    problem TEXT NOT NULL,
    removed INTEGER NOT NULL,
    score REAL,
    verdict TEXT NOT NULL,
    uncertainty REAL,
    disagreement REAL,
    compared TEXT,
    control TEXT,
    stage TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX picture_by_position ON picture (removed, position);
CREATE INDEX picture_by_name ON picture (removed, name COLLATE NOCASE, position);
CREATE INDEX picture_by_score ON picture (removed, score IS NULL, score, position);
CREATE INDEX picture_by_file ON picture (file_sha256);
CREATE INDEX picture_by_pixels ON picture (pixels_sha256);
CREATE TABLE work (
    picture TEXT NOT NULL REFERENCES picture (id),
    annotator TEXT NOT NULL,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    revision INTEGER NOT NULL,
    labels TEXT,
    annotation TEXT,
    description TEXT NOT NULL,
    basis TEXT,
    decisions TEXT,
    begun_from TEXT NOT NULL,
    seconds REAL NOT NULL,
    n_sources INTEGER NOT NULL,
    n_unassigned INTEGER,
    waiver TEXT NOT NULL,
    authentic INTEGER NOT NULL,
    note TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    assigned INTEGER,
    PRIMARY KEY (picture, annotator)
) STRICT, WITHOUT ROWID;
CREATE INDEX work_by_annotator ON work (annotator, state);
CREATE INDEX work_as_given ON work (annotator, assigned, picture);
"""
STATE_TABLES = ("state_version", "project", "picture", "work")


def migrate(
    connection: sqlite3.Connection, name: str, migrations: Sequence[str] = MIGRATIONS
) -> None:
    """Bring what stays to the newest version, each step whole or not at all.

    Parameters
    ----------
    connection : Connection
        In autocommit mode.
    name : str
        Of the project, for errors.
    migrations : sequence of str
        Other than `MIGRATIONS` for tests alone.

    Raises
    ------
    DatasetError
        It was written by a newer version of this program.
    """
    refuse_newer(connection, name, len(migrations))
    for number, script in enumerate(migrations, 1):
        if _version(connection) >= number:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) < number:  # another process may have been first
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@cache
def own_triggers() -> tuple[str, ...]:
    """Return the statements that make the triggers of a project: others are not ours."""
    statements = (one for script in MIGRATIONS for one in _statements(script))
    return tuple(one for one in statements if one.lstrip().startswith("CREATE TRIGGER"))


def refuse_newer(connection: sqlite3.Connection, name: str, newest: int = len(MIGRATIONS)) -> None:
    """Raise a `DatasetError` for a file of a version that this program does not know."""
    version = _version(connection)
    if version > newest:
        raise DatasetError(
            f"The project {name} has version {version}, this program knows {newest}: update "
            "napari-safire."
        )


def refuse_foreign(connection: sqlite3.Connection, name: str) -> None:
    """Raise a `DatasetError` for the database of another program; nothing is written to it."""
    tables = _tables(connection)
    if tables and (_version(connection) < 1 or "event" not in tables):
        raise DatasetError(
            f"The database in {name} is that of another program: choose another folder."
        )


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether there is no event yet, nor anything of another program."""
    tables = _tables(connection)
    if "event" not in tables:
        return not tables
    return connection.execute("SELECT 1 FROM event LIMIT 1").fetchone() is None


def is_up_to_date(connection: sqlite3.Connection) -> bool:
    """Whether the state is of this version and of all events, and can be read as such."""
    there = connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'state_version'"
    ).fetchone()[0]
    if not there:
        return False
    (last,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM event").fetchone()
    versions = connection.execute("SELECT number, sequence FROM state_version").fetchall()
    return versions == [(STATE_VERSION, last)] and _is_readable(connection)


def _is_readable(connection: sqlite3.Connection) -> bool:
    """Whether what the state keeps as JSON is JSON; another program may have written there."""
    kept = (
        ("project", "settings", "object"), ("picture", "path", "text"),
        ("picture", "tags", "array"), ("work", "description", "object"),
        ("work", "basis", "object"),
    )  # fmt: skip
    try:
        if connection.execute("SELECT count(*) FROM project").fetchone() != (1,):
            return False
        return not any(
            connection.execute(
                # A case, for json_type fails where there is no JSON.
                f"SELECT 1 FROM {table} WHERE {column} IS NOT NULL AND "  # noqa: S608 (names of ours)
                f"CASE WHEN json_valid({column}) THEN json_type({column}) ELSE '' END != ? LIMIT 1",
                (kind,),
            ).fetchone()
            for table, column, kind in kept
        )
    except sqlite3.OperationalError:  # a table or column is missing
        return False


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    return {row[0] for row in rows}


def make_state_tables(connection: sqlite3.Connection) -> None:
    """Make empty tables of the state in place of those that are there; in a transaction."""
    for table in reversed(STATE_TABLES):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in _statements(STATE):
        connection.execute(statement)
    connection.execute("INSERT INTO state_version VALUES (?, 0)", (STATE_VERSION,))


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> list[str]:
    """The statements of a script, for `executescript` would commit between them."""
    found, begun = [], ""
    for line in script.strip().splitlines():
        begun += line + "\n"
        if sqlite3.complete_statement(begun):
            found.append(begun)
            begun = ""
    return found
