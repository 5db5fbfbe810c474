"""What was made of pictures, kept on disk after every step: a crash loses nothing.

One SQLite file holds the latest state of each piece of work. Nothing in it is ever executed: states
are what `annotation.codec` makes, and what cannot be read is left out.

Work is *saved* once files that the user chose hold it. Saved work is not offered again, and goes
when the autosave has grown large; other work stays until the user forgets it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from platformdirs import user_data_path

from napari_safire.annotation.annotation import Annotation
from napari_safire.annotation.codec import decode_annotation, encode_annotation
from napari_safire.annotation.forgery_codec import encode_forgery
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.errors import DatasetError
from napari_safire.sqlite_files import trust_little
from napari_safire.text import printable

T = TypeVar("T")

_MOST_ROWS = 1000
_MOST_BYTES = 2 << 30
_LARGEST_STATE = 256 << 20  # one row; of 200 megapixels painted at random
_RETRY_S = 0.02
_LOCKED_S = 5.0
_TABLES = """
CREATE TABLE IF NOT EXISTS work (
    work TEXT NOT NULL,
    image_sha256 TEXT NOT NULL,
    changed REAL NOT NULL,
    saved INTEGER NOT NULL,
    took_up TEXT NOT NULL,
    size INTEGER NOT NULL,
    state BLOB NOT NULL,
    forgery BLOB NOT NULL,
    PRIMARY KEY (image_sha256, work)
);
CREATE INDEX IF NOT EXISTS work_changed ON work (changed);
CREATE INDEX IF NOT EXISTS work_name ON work (work);
"""


@dataclass(frozen=True, slots=True)
class AutosavedWork:
    """Work of an earlier session.

    Parameters
    ----------
    work : str
        Names it in the autosave.
    made : AnnotatedPlane
    changed : datetime
        When it was last changed, with time zone.
    """

    work: str
    made: AnnotatedPlane
    changed: datetime


class Autosave:
    """Keeps the latest state of the work on each picture.

    Every call opens the file anew: calls come from worker threads that change, and from several
    processes at once. No call raises for a disk that is full or read-only, or a file that is
    damaged; `problem` then says so.

    Parameters
    ----------
    path : Path, optional
        Default: ``autosave.sqlite`` in the user's data folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or user_data_path("napari-safire") / "journal.sqlite"
        self.problem = ""

    def keep(
        self,
        work: str,
        image_sha256: str,
        made: AnnotatedPlane,
        *,
        saved: bool = False,
        took_up: Sequence[str] = (),
        map_is_kept: bool = False,
    ) -> bool:
        """Write down a state of some work in place of the last one.

        Parameters
        ----------
        work : str
            Names the work.
        image_sha256 : str
            Of the pixels.
        made : AnnotatedPlane
        saved : bool
            Whether files that the user chose hold this state.
        took_up : sequence of str
            Names of earlier work that is part of this one.
        map_is_kept : bool
            The forgery map was written with an earlier state: it is large, and seldom changes.

        Returns
        -------
        bool
            False where it could not be written; see `problem`.
        """
        without_map = replace(made.predictions, forgery=None)
        state = json.dumps(encode_annotation(made.annotation, without_map)).encode()
        now = datetime.now(UTC).timestamp()

        def write(connection: sqlite3.Connection) -> bool:
            _mark_saved(connection, took_up, saved)
            earlier = json.dumps(sorted({*took_up, *_taken_up(connection, took_up)}))
            if map_is_kept:
                written = connection.execute(
                    "UPDATE work SET changed = ?, saved = ?, took_up = ?, state = ?, "
                    "size = length(forgery) + ? WHERE image_sha256 = ? AND work = ?",
                    (now, saved, earlier, state, len(state), image_sha256, work),
                )
                if written.rowcount:
                    return True
            forgery = json.dumps(encode_forgery(made.predictions.forgery)).encode()
            size = len(state) + len(forgery)
            connection.execute(
                "INSERT OR REPLACE INTO work VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (work, image_sha256, now, saved, earlier, size, state, forgery),
            )
            return True

        return self._do(write, otherwise=False, then=self._make_room)

    def find(
        self, image_sha256: str, shape: tuple[int, int], besides: Collection[str] = ()
    ) -> AutosavedWork | None:
        """Return the latest readable work on a picture that was neither saved nor taken up.

        Parameters
        ----------
        image_sha256 : str
        shape : (int, int)
            Of the picture; states of another shape are left out.
        besides : collection of str
            Names of work that is not meant, because it is going on.
        """
        if not self.path.is_file():
            return None

        def read(connection: sqlite3.Connection) -> AutosavedWork | None:
            rows = connection.execute(
                "SELECT work, took_up FROM work WHERE image_sha256 = ? AND NOT saved "
                "ORDER BY changed DESC",
                (image_sha256,),
            ).fetchall()
            hidden = set(besides)
            for work, earlier in rows:
                if work in hidden:
                    hidden.update(_names(earlier))
                    continue
                if not isinstance(work, str):
                    continue  # damaged
                found = _read(connection, image_sha256, work, shape)
                # Where all was undone, what had been taken up is all that there is.
                if found is not None and found.made.annotation != Annotation.empty(shape):
                    return found
            return None

        return self._do(read, otherwise=None)

    def forget(self, image_sha256: str, besides: Collection[str] = ()) -> None:
        """Drop all work on a picture, but for some that is going on."""

        def delete(connection: sqlite3.Connection) -> None:
            rows = connection.execute(
                "SELECT rowid, work FROM work WHERE image_sha256 = ?", (image_sha256,)
            ).fetchall()
            for row, work in rows:
                if work not in besides:
                    connection.execute("DELETE FROM work WHERE rowid = ?", (row,))

        self._do(delete, otherwise=None)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Drop the oldest saved work while there is too much; what was never saved stays."""
        count, size = connection.execute("SELECT count(*), total(size) FROM work").fetchone()
        if count <= _MOST_ROWS and size <= _MOST_BYTES:
            return
        saved = connection.execute(
            "SELECT rowid, size FROM work WHERE saved ORDER BY changed"
        ).fetchall()
        for row, row_size in saved:
            if count <= _MOST_ROWS and size <= _MOST_BYTES:
                return
            connection.execute("DELETE FROM work WHERE rowid = ?", (row,))
            count -= 1
            size -= row_size if isinstance(row_size, int) else 0
        if count > _MOST_ROWS or size > _MOST_BYTES:
            self.problem = (
                f"The autosave is large, {_MOST_ROWS} pictures or {_MOST_BYTES >> 30} GiB that "
                "were never saved: save or forget some."
            )

    def _do(
        self,
        act: Callable[[sqlite3.Connection], T],
        otherwise: T,
        then: Callable[[sqlite3.Connection], None] | None = None,
    ) -> T:
        """Do something in one transaction; gives `otherwise` where that is not possible."""
        self.problem = ""
        deadline = time.monotonic() + _LOCKED_S
        while True:
            try:
                return self._transacted(act, then)
            except (OSError, sqlite3.Error, ValueError, OverflowError) as error:
                # SQLite itself does not wait where another process opens or closes the file, or
                # has written since this one began to read: nothing was changed, so once more.
                if _is_locked(error) and time.monotonic() < deadline:
                    time.sleep(_RETRY_S)
                    continue
                self.problem = (
                    f"Your work cannot be kept in {printable(self.path)} ({printable(error)}): "
                    "save the labels yourself."
                )
                return otherwise

    def _transacted(
        self,
        act: Callable[[sqlite3.Connection], T],
        then: Callable[[sqlite3.Connection], None] | None,
    ) -> T:
        self._refuse_other_than_files()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_LOCKED_S)) as connection:
            # A damaged row must not take more memory than the largest good one.
            trust_little(connection, 2 * _LARGEST_STATE)
            # Readers and writers of several processes do not wait for each other, and a killed
            # process leaves a file that is whole.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_TABLES)
            with connection:
                answer = act(connection)
            if then is not None:
                with connection:
                    then(connection)
            return answer

    def _refuse_other_than_files(self) -> None:
        """Raise for what SQLite would wait for without end, or would replace."""
        for ending in ("", "-wal", "-shm", "-journal"):
            path = self.path.with_name(self.path.name + ending)
            if path.exists() and not path.is_file():
                raise OSError(f"{path.name} is no file")


def _is_locked(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)  # with their extensions


def _read(
    connection: sqlite3.Connection, image_sha256: str, work: str, shape: tuple[int, int]
) -> AutosavedWork | None:
    """Some work, or None for what is damaged or of another shape."""
    try:
        (changed, state, forgery), *_ = connection.execute(
            "SELECT changed, state, forgery FROM work WHERE image_sha256 = ? AND work = ?",
            (image_sha256, work),
        ).fetchall()
        when = datetime.fromtimestamp(changed, UTC)
        record = json.loads(state)
        made = decode_annotation(record | {"forgery": None}, shape)
    except _DAMAGED:
        return None
    try:
        made = decode_annotation(record | {"forgery": json.loads(forgery)}, shape)
    except _DAMAGED:
        return AutosavedWork(work, made, when)  # the map can be made again, the work cannot
    return AutosavedWork(work, made, when)


_DAMAGED = (
    DatasetError, ValueError, TypeError, OverflowError, RecursionError, OSError, sqlite3.Error,
)  # fmt: skip


def _names(text: Any) -> tuple[str, ...]:
    """The names in a list of a row; none, if it is damaged."""
    try:
        names = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return ()
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _taken_up(connection: sqlite3.Connection, works: Sequence[str]) -> set[str]:
    """What some work had taken up in its turn."""
    found: set[str] = set()
    for work in works:
        for (text,) in connection.execute("SELECT took_up FROM work WHERE work = ?", (work,)):
            found.update(_names(text))
    return found


def _mark_saved(connection: sqlite3.Connection, works: Sequence[str], saved: bool) -> None:
    """Saved work saves what it took up; it stays so, if this is changed afterwards."""
    for work in (*works, *_taken_up(connection, works)) if saved else ():
        connection.execute("UPDATE work SET saved = 1 WHERE work = ?", (work,))
