"""A record and the files that it names, replaced together by one rename.

The record names each file by its SHA-256 and takes its own name first: from then on it counts, and
a file beside it whose hash is another is not believed. Two programs that save under one name come
one after the other.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from napari_safire.atomic import rename
from napari_safire.errors import SafireError
from napari_safire.images.files import file_sha256
from napari_safire.text import printable

_LOCK_S = 20.0
_POLL_S = 0.01


class _Anything:
    """See `ANYTHING`."""


ANYTHING: Final = _Anything()
"""What is expected at the place of a record by whoever was asked to replace whatever is there."""

Expected = str | None | _Anything


class RecordChanged(SafireError):
    """A record is not what it was when the work on it began: somebody else has saved."""


def record_sha256(path: Path) -> str | None:
    """SHA-256 of what lies at the place of a record; None if nothing does."""
    try:
        return file_sha256(path) if path.is_file() else None
    except FileNotFoundError:  # gone a moment ago
        return None


def rename_together(staging: Path, record: Path, others: Sequence[str], expected: Expected) -> str:
    """Give a record and its files the names under which they count, if the record there allows it.

    Parameters
    ----------
    staging : Path
        The folder in which all of them lie under the names that they shall have.
    record : Path
        Where the record shall lie.
    others : sequence of str
        Names of the files beside it.
    expected : str, None or ANYTHING
        SHA-256 of the record that is to be replaced; None: there was none.

    Returns
    -------
    str
        SHA-256 of the new record.

    Raises
    ------
    RecordChanged
        Something else lies there. Nothing was replaced.
    SafireError
        Another program saves in the folder, and does not end.
    """
    digest = file_sha256(staging / record.name)
    with _folder_lock(record.parent):
        if not isinstance(expected, _Anything):
            found = record_sha256(record)
            if found != expected:
                was = "there was no record" if expected is None else "its record was another"
                raise RecordChanged(
                    f"{printable(record)} was saved by somebody else: when you began, {was}. "
                    "Nothing was replaced; save to another folder, or open it anew."
                )
        # From the first rename on the new record counts, and tells its own files by their hashes.
        for name in (record.name, *others):
            rename(staging / name, record.with_name(name))
    return digest


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Have a folder for oneself among those that ask; leaves no file, also where it is killed."""
    if sys.platform == "win32":  # a folder cannot be locked there, and a lock's file goes by itself
        # Not the name of the lock of a run (`corpus.folder_lock`), during which people may save.
        from filelock import FileLock, Timeout

        try:
            with FileLock(folder / ".napari-safire-saving.lock", timeout=_LOCK_S):
                yield
        except Timeout as error:
            raise _busy(folder) from error
        return
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise SafireError(f"The folder {folder} cannot be opened: {error.strerror}.") from error
    try:
        end = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
                    break  # a file system without locks: what was expected is checked all the same
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                if time.monotonic() > end:
                    raise _busy(folder) from error
                time.sleep(_POLL_S)
            else:
                break
        yield
    finally:
        os.close(handle)  # which gives the lock back


def _busy(folder: Path) -> SafireError:
    return SafireError(f"Another program has been saving in {folder} for long: try again later.")
