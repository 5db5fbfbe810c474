"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from napari_safire.errors import NotWritten, SafireError
from napari_safire.text import printable

_STAGING = re.compile(r"\.napari-safire-[0-9a-f]{12}")
_HELD = ".lock"
_HAS_SHARING_VIOLATIONS = os.name == "nt"
_PAUSES = (0.01, 0.04, 0.1, 0.2, 0.4)  # seconds


def rename(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Give a file another name on its disk, in place of whatever had it.

    On Windows neither may be open in another program, and virus scanners open every new file for a
    moment: it is tried for three quarters of a second there.

    Parameters
    ----------
    source, target : path-like

    Raises
    ------
    OSError
        It cannot be done; `PermissionError` where another program has one of them open.
    """
    for pause in _PAUSES if _HAS_SHARING_VIOLATIONS else ():
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    os.replace(source, target)


def not_written(folder: str | os.PathLike[str], error: OSError) -> NotWritten:
    """Say that a folder takes no results, and what to do.

    Parameters
    ----------
    folder : path-like
    error : OSError

    Returns
    -------
    NotWritten
    """
    # What libraries make of a system's error is seldom shorter than what the system says.
    reason = os.strerror(error.errno) if error.errno else error
    return NotWritten(
        f"The results cannot be written to {printable(folder)} ({reason}): make room or give the "
        "rights, and go on with the same command."
    )


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name and give it its own name at the end.

    A reader, or a program killed half-way, sees the old file or the new one, never a part. (The
    guarantee is against killed programs, not against power cuts: nothing is forced to the disk.)

    Parameters
    ----------
    path : path-like
        Where the file shall be. Its folder must exist; a file already there is replaced.

    Yields
    ------
    Path
        A name in the same folder with the same suffix, not yet in use: write here.

    Raises
    ------
    SafireError
        If the folder is missing, `path` is a folder, or the block ended without writing the file.

    Notes
    -----
    If the block raises, the temporary file is removed and the exception goes on.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = pathlib.Path(folder) / "notes.txt"
    ...     with atomic_path(target) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     target.read_text()
    'whole'
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise SafireError(f"The folder {target.parent} does not exist: create it first.")
    if target.is_dir():
        raise SafireError(f"{target} is a folder: give the name of a file.")
    # Not tempfile.mkstemp, whose files nobody else may read. The name is cut, because stem and
    # random part together may be longer than a file name can be.
    temporary = target.with_name(
        f".{target.stem[:40]}.{secrets.token_hex(6)}.tmp{target.suffix[:10]}"
    )
    try:
        yield temporary
        if not temporary.exists():
            raise SafireError(f"Nothing was written for {target}: this is a bug, please report it.")
        rename(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(path: str | os.PathLike[str]) -> None:
    """Try whether a file could be written, before the work whose result it shall hold.

    Nothing is left behind, and a file already there is not changed.

    Parameters
    ----------
    path : path-like
        Where the file shall be; its folder must exist.

    Raises
    ------
    SafireError
        It could not: the folder is missing or may not be written to, `path` is a folder, its name
        is longer than the file system allows, or the file is open in another program.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.is_file():
            with target.open("ab"):  # on Windows, a table that is open in Excel refuses this
                pass
        else:
            with suppress(FileNotFoundError):
                os.lstat(target)  # a name may be too long, or have characters that none may have
        tried = target.with_name(f".{secrets.token_hex(6)}.tmp")
        try:
            tried.touch(exist_ok=False)
        finally:
            tried.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SafireError(f"{target} cannot be written: {reason}.") from error


@contextmanager
def atomic_files(
    folder: str | os.PathLike[str], last: str, *, stale: Iterable[str] = ()
) -> Iterator[Path]:
    """Write files that belong together, of which one says that they are complete.

    They are written in a folder of their own first. Then the former `last` file and the `stale`
    ones go, the new ones are renamed, and `last`, the record, comes last: whoever is killed at any
    point leaves either no record or one whose files are those that it describes.

    Parameters
    ----------
    folder : path-like
        Must exist. Files in it that have the new names are replaced.
    last : str
        Name of the file without which the others do not count.
    stale : iterable of str
        Names of files in the folder that belong to the former `last` file.

    Yields
    ------
    Path
        A folder on the same disk: write the files there under the names they shall have.

    Raises
    ------
    SafireError
        If the block ended without writing `last`.

    Notes
    -----
    If the block raises, nothing changes and the exception goes on. What a killed program leaves
    is removed by `remove_leftovers`.
    """
    target = Path(folder)
    with staging_folder(target) as staging:
        yield staging
        names = sorted(path.name for path in staging.iterdir() if path.name != _HELD)
        if last not in names:
            raise SafireError(
                f"Nothing was written for {target / last}: this is a bug, please report it."
            )
        for name in (last, *sorted(set(stale) - set(names))):
            (target / name).unlink(missing_ok=True)
        for name in sorted(names, key=lambda name: name == last):
            rename(staging / name, target / name)


@contextmanager
def staging_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder for files that are not complete yet, on the disk where they shall lie.

    Parameters
    ----------
    folder : path-like
        Must exist.

    Yields
    ------
    Path
        It is removed at the end, with what was not renamed; where the program is killed, by
        `remove_leftovers`.
    """
    staging = Path(folder) / f".napari-safire-{secrets.token_hex(6)}"
    staging.mkdir()
    held = FileLock(staging / _HELD)  # says that its writer is alive: it dies with the process
    try:
        with held.acquire():
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_leftovers(folder: str | os.PathLike[str], names: Iterable[str] | None = None) -> int:
    """Remove what `atomic_files` left in a folder when its program was killed.

    Parameters
    ----------
    folder : path-like
    names : iterable of str, optional
        Names in the folder, where they are known already.

    Returns
    -------
    int
        How many were removed. Those of a program that is alive stay.
    """
    folder, count = Path(folder), 0
    for name in os.listdir(folder) if names is None else names:
        if _STAGING.fullmatch(name) is None:
            continue
        held = FileLock(folder / name / _HELD)
        try:
            held.acquire(timeout=0)
        except (Timeout, OSError):  # at work, or none of ours to remove
            continue
        held.release()
        shutil.rmtree(folder / name, ignore_errors=True)
        count += not (folder / name).exists()
    return count
