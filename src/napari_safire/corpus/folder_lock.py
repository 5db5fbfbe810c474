"""A folder of results that can be written to, tried before work begins, by one run at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from napari_safire.errors import SafireError

LOCK = ".napari-safire.lock"
"""Lies in the folder while a run works there. The system lets go of it when the run dies."""

_POLL_S = 0.05


@contextmanager
def locked(
    folder: str | os.PathLike[str], waiting: Callable[[], None] | None = None
) -> Iterator[SafireError | None]:
    """Keep other runs out of a folder while the block runs; wait for one that is there.

    Parameters
    ----------
    folder : path-like
        Made if it is missing, and removed in the end if nothing was written.
    waiting : callable, optional
        Called once if another run is at work there.

    Yields
    ------
    SafireError or None
        Why nothing can be written there. Whoever only reads may go on all the same.
    """
    folder = Path(folder)
    made: list[Path] = []
    lock = FileLock(folder / LOCK, mode=0o666)  # a colleague must be able to take over
    problem = None
    try:
        try:
            _acquire(lock, folder, made, waiting)
        except OSError as error:
            reason = error.strerror or error
            problem = SafireError(
                f"Nothing can be written to {folder}: {reason}. Choose another folder."
            )
        yield problem
    finally:
        if lock.is_locked:
            # All of it before the lock is let go of: another run might hold it later, and one that
            # waits would find folders half removed, and not know who made them.
            _remove(folder, made)
            lock.release()
            if os.name == "nt":  # removes no open file
                _remove(folder, made)
        else:
            _remove_empty(made)


def _remove(folder: Path, made: list[Path]) -> None:
    with suppress(OSError):  # open, or another run's already
        (folder / LOCK).unlink()
    _remove_empty(made)


def _remove_empty(made: list[Path]) -> None:
    for path in reversed(made):
        with suppress(OSError):  # there is something in it, or it is gone
            path.rmdir()


def ignores_case(folder: Path) -> bool:
    """Whether a locked folder takes names for one that differ in case only."""
    return os.path.exists(folder / LOCK.upper())  # not Path.exists, which raises for long names


def _acquire(
    lock: FileLock, folder: Path, made: list[Path], waiting: Callable[[], None] | None
) -> None:
    # One try at a time: while filelock waits by itself, it makes a folder anew that the other run
    # has removed, and then nobody knows that it was made here.
    while True:
        _make(folder, made)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if waiting is not None:
                waiting()
                waiting = None
            time.sleep(_POLL_S)
        except FileNotFoundError:  # the other run has removed the folder, which it had made
            if folder.exists():
                raise
        else:
            if (folder / LOCK).exists():
                return
            lock.release()  # what the other run has removed keeps nobody out


def _make(folder: Path, made: list[Path]) -> None:
    missing = []
    for path in (folder, *folder.parents):
        if path.exists():
            break
        missing.append(path)
    for path in reversed(missing):
        with suppress(FileExistsError):
            path.mkdir()
            made.append(path)
    if not folder.is_dir():
        raise NotADirectoryError(0, "it is a file, not a folder")
