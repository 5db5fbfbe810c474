"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_safire.errors import SafireError


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
        os.replace(temporary, target)
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
