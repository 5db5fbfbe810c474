"""The SQLite file of a project, shared by several processes and machines.

On a disk of this machine readers and writers do not wait for each other (write-ahead log). On a
network drive the log's shared memory does not work: there a rollback journal is used, and whoever
writes holds a lease, a small file that says who it is.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import psutil

from napari_safire.errors import DatasetError, SafireError
from napari_safire.project.chain.schema import own_triggers
from napari_safire.project.people import machine_name
from napari_safire.sqlite_files import trust_little
from napari_safire.text import brief, printable

T = TypeVar("T")
Journal = Literal["wal", "rollback"]

SHARED = "project.shared"
"""An empty file that says: several machines reach this folder, see `say_shared`."""
LONGEST_VALUE = 64 << 20
"""Bytes of a value; labels and annotations lie beside the database."""
_WAIT_S = 30.0
_PAUSE_S = 0.02
_LEASE = "project.lease"
_LEASE_S = 60.0
"""Age at which a lease was left behind by a machine that is gone: a change takes less than a
second."""
_NETWORK = (
    "nfs", "cifs", "smb", "smbfs", "afpfs", "9p", "ncpfs", "webdav", "davfs", "fuse.sshfs",
    "fuse.rclone", "fuse.gvfsd-fuse", "fuse.davfs", "ceph", "glusterfs", "lustre", "beegfs",
    "gpfs", "afs", "vboxsf", "prl_fs", "fuse.vmhgfs-fuse",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Connected:
    connection: sqlite3.Connection
    file: tuple[int, int] | None  # identity of what it was opened on


class Database:
    """One connection to read and one to write, each for one thread at a time.

    Parameters
    ----------
    path : Path
        Of the SQLite file.
    journal : {"wal", "rollback"}
    read_only : bool
        The file is not changed, nor is anything beside it where its folder may not be written to.
    """

    def __init__(self, path: Path, journal: Journal, *, read_only: bool = False) -> None:
        self.path, self.journal, self.read_only = path, journal, read_only
        self._reading, self._writing = threading.RLock(), threading.RLock()
        self._reader: _Connected | None = None
        self._writer: _Connected | None = None

    def read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Ask for something, of one state of the file.

        Raises
        ------
        SafireError
            Another program keeps the file to itself for half a minute.
        DatasetError
            The file is damaged, or no project.
        """
        with self._reading:

            def asked() -> T:
                self._reader = self._connected(self._reader)
                connection = self._reader.connection
                connection.execute("BEGIN")
                try:
                    return ask(connection)
                finally:
                    connection.execute("ROLLBACK")

            return self._patient(asked)

    def write(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Change something, in one transaction: all of it or nothing.

        Raises
        ------
        SafireError
            The file is read-only, the disk is full, or another program keeps it to itself for half
            a minute.
        DatasetError
            The file is damaged.
        """
        if self.read_only:
            raise SafireError(
                f"The project {self._name} may not be written to: have its folder made writable, "
                "or work on a copy."
            )
        with self._writing:

            def acted() -> T:
                self._writer = self._connected(self._writer)
                connection = self._writer.connection
                with self._lease():
                    connection.execute("BEGIN IMMEDIATE")
                    try:
                        answer = act(connection)
                        connection.execute("COMMIT")
                    except BaseException:
                        if connection.in_transaction:
                            connection.execute("ROLLBACK")
                        raise
                return answer

            return self._patient(acted)

    def alone(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the writing connection outside a transaction."""
        with self._writing:

            def acted() -> T:
                self._writer = self._connected(self._writer)
                with self._lease():
                    return act(self._writer.connection)

            return self._patient(acted)

    def close(self) -> None:
        """Let go of the file."""
        with self._reading, self._writing:
            for connected in (self._reader, self._writer):
                if connected is not None:
                    connected.connection.close()
            self._reader = self._writer = None

    # ---------------------------------------------------------------- connections

    @property
    def _name(self) -> str:
        return printable(self.path.parent)

    def _connected(self, before: _Connected | None) -> _Connected:
        """The connection there is, or one that is made; refused where the file is gone.

        SQLite would go on with a file that was removed or replaced, and all that is written be lost
        with it. On network drives files have no lasting identity.
        """
        if before is None:
            connection = self._connect()
            return _Connected(connection, _identity(self.path))
        now = _identity(self.path)
        if now is None or (self.journal == "wal" and now != before.file):
            raise SafireError(
                f"The project {self._name} was removed or replaced while it was open: put it back, "
                "or close it here and open what is there now."
            )
        return before

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            _address(self.path, self.read_only),
            uri=True,
            timeout=_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        trust_little(connection, LONGEST_VALUE, own_triggers())
        connection.execute("PRAGMA foreign_keys = ON")
        if not self.read_only:
            mode = "WAL" if self.journal == "wal" else "DELETE"
            connection.execute(f"PRAGMA journal_mode = {mode}")
            connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _patient(self, act: Callable[[], T]) -> T:
        """Do it once more while SQLite itself does not wait for another process."""
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                return act()
            except sqlite3.Error as error:
                code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
                if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    if time.monotonic() > deadline:
                        raise SafireError(
                            f"Another program has been writing to the project {self._name} for "
                            f"{_WAIT_S:.0f} seconds: try again when it has ended."
                        ) from error
                    time.sleep(_PAUSE_S)
                    continue
                raise self._said(error, code) from error
            except UnicodeDecodeError as error:  # Python's, of what SQLite says of damaged text
                said = sqlite3.DatabaseError("what is wrong cannot be told")
                raise self._said(said, sqlite3.SQLITE_CORRUPT) from error

    def _said(self, error: sqlite3.Error, code: int) -> SafireError:
        name, told = self._name, brief(error, 120)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return DatasetError(
                f"The project {name} is damaged ({told}): `napari-safire project recover` saves "
                "what can be read into a new one."
            )
        if code == sqlite3.SQLITE_FULL:
            return SafireError(f"The disk of the project {name} is full: make room, then go on.")
        if self.read_only and code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            return SafireError(
                f"A program was stopped while it wrote to the project {name}, whose last changes "
                "can be read only where its folder can be written to: `napari-safire project "
                "rebuild` there, or of a copy."
            )
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
            return SafireError(
                f"The project {name} cannot be written to ({told}): have its folder made "
                "writable, or work on a copy."
            )
        if code == sqlite3.SQLITE_IOERR:
            return SafireError(f"The disk of the project {name} fails ({told}): check it.")
        return DatasetError(f"The project {name} cannot be used: {told}.")

    def _unwritable(self, error: OSError) -> SafireError:
        return SafireError(
            f"The project {self._name} cannot be written to ({error.strerror or error}): make "
            "room, or have its folder made writable."
        )

    # ---------------------------------------------------------------- lease

    @contextmanager
    def _lease(self) -> Iterator[None]:
        """Be the only one to write, on drives where SQLite's own locks cannot be trusted."""
        if self.journal == "wal":
            yield
            return
        path = self.path.with_name(_LEASE)
        deadline = time.monotonic() + _WAIT_S
        look_again = 0.0
        content = json.dumps({"machine": machine_name(), "process": os.getpid()}).encode()
        while True:
            try:
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                if time.monotonic() >= look_again:
                    _remove_old_lease(path)
                    look_again = time.monotonic() + 1.0
                if time.monotonic() > deadline:
                    raise SafireError(
                        f"{_lease_holder(path)} has been writing to the project {self._name} for "
                        f"{_WAIT_S:.0f} seconds: try again when it has ended."
                    ) from None
                time.sleep(_PAUSE_S)
            except OSError as error:
                raise self._unwritable(error) from error
            else:
                break
        try:
            with os.fdopen(handle, "wb", buffering=0) as file:
                try:
                    file.write(content)
                except OSError as error:
                    raise self._unwritable(error) from error
            yield
        finally:
            with suppress(FileNotFoundError):
                path.unlink()


def safe_journal(folder: Path) -> Journal:
    """Tell which journal is safe in a folder: by its drive, and by what was said of it.

    Parameters
    ----------
    folder : Path
        Need not exist.

    Returns
    -------
    {"wal", "rollback"}
        "rollback" on a network drive, and where `say_shared` has said that other machines come
        by one: on the machine whose disk it is, nothing else tells so.
    """
    shared = (folder / SHARED).exists()
    return "rollback" if shared or file_system(folder).lower().startswith(_NETWORK) else "wal"


def say_shared(folder: Path, shared: bool) -> None:
    """Say that several machines reach a folder, or that one alone does; for whoever opens it next.

    Raises
    ------
    SafireError
        The folder cannot be written to.
    """
    try:
        if shared:
            (folder / SHARED).touch()
        else:
            (folder / SHARED).unlink(missing_ok=True)
    except OSError as error:
        raise SafireError(
            f"{printable(folder)} cannot be written to ({error.strerror}): have it made writable."
        ) from error


def file_system(folder: Path) -> str:
    """Name the file system that a folder lies on; empty where the machine does not say."""
    whole = Path(os.path.realpath(folder))
    try:
        mounts = psutil.disk_partitions(all=True)
    except OSError:
        return ""
    if os.name == "nt" and os.fspath(whole).startswith("\\\\"):  # a share without a letter
        return "cifs"
    below = [mount for mount in mounts if whole.is_relative_to(mount.mountpoint)]
    if not below:
        return ""
    # Of several at one place the last one is what is seen there.
    deepest = max(len(mount.mountpoint) for mount in below)
    nearest = [mount for mount in below if len(mount.mountpoint) == deepest][-1]
    return "cifs" if "remote" in nearest.opts.split(",") else str(nearest.fstype)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of its name; None where nothing can be found there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _address(path: Path, read_only: bool) -> str:
    if not read_only:
        return f"{path.absolute().as_uri()}?mode=rwc"
    # Where nothing may be written beside it, a log cannot be shared: nobody writes there either.
    # What stands in a log that is left there counts all the same; an immutable file has none.
    frozen = not os.access(path.parent, os.W_OK) and not _has_log(path)
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if frozen else ''}"


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.is_file() and log.stat().st_size > 0


def _remove_old_lease(path: Path) -> None:
    with suppress(OSError):
        # By the drive's own clock: that of this machine may be minutes ahead of it, or behind.
        now = path.with_name(f"{path.name}.{secrets.token_hex(6)}.now")
        try:
            now.touch()
            age = now.stat().st_mtime - path.stat().st_mtime
        finally:
            now.unlink(missing_ok=True)
        if age > _LEASE_S:
            # Renamed first: of two that find it old, one alone may remove it.
            old = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}")
            path.rename(old)
            old.unlink()


def _lease_holder(path: Path) -> str:
    try:
        values = json.loads(path.read_bytes())
        return f"Process {int(values['process'])} on {printable(values['machine'])}"
    except (OSError, ValueError, KeyError, TypeError):
        return "Another machine"
