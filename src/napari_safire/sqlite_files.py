"""SQLite files from anybody: data is read from them, nothing in them is run."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection

_DATA = re.compile(r"CREATE\s+(TABLE|(UNIQUE\s+)?INDEX)\s", re.IGNORECASE)


def trust_little(
    connection: sqlite3.Connection, longest: int, triggers: Collection[str] = ()
) -> None:
    """Keep a file's schema from running anything; to be called before anything else is asked.

    Views, triggers and virtual tables are refused: a view in the place of a table may have rows
    without end, and a trigger changes what is written.

    Parameters
    ----------
    connection : sqlite3.Connection
    longest : int
        Bytes of one value at most; whatever is longer is an error.
    triggers : collection of str
        Statements that made the triggers that such a file may have.

    Raises
    ------
    sqlite3.DatabaseError
        The connection is closed then.
    """
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
        connection.execute("PRAGMA trusted_schema = OFF")
        _refuse_programs(connection, {_plain(statement) for statement in triggers})
    except UnicodeDecodeError as error:  # Python's, of what SQLite says of a schema that is no text
        connection.close()
        raise sqlite3.DatabaseError("its schema is damaged") from error
    except BaseException:
        connection.close()
        raise


def _plain(statement: str) -> str:
    return " ".join(statement.rstrip("; \n").split())


def _refuse_programs(connection: sqlite3.Connection, triggers: Collection[str]) -> None:
    for kind, made_by in connection.execute("SELECT type, sql FROM sqlite_master"):
        # Indices of SQLite's own are made by no statement.
        if made_by is None or (isinstance(made_by, str) and _DATA.match(made_by)):
            continue
        if not isinstance(made_by, str) or _plain(made_by) not in triggers:
            what = kind if kind in ("view", "trigger") else "virtual table"
            raise sqlite3.DatabaseError(f"it holds a {what}, which might run anything")
