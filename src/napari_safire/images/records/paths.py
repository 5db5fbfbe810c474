"""Paths as they stand in records and reports, and the files that they lead to."""

from __future__ import annotations

import os
from pathlib import Path


def recorded_path(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], *, absolute: bool = False
) -> str:
    """Write a path as it shall stand in a record or report.

    Relative to its folder, so that both can move together; never with the name of the user, whose
    home folder is ``~``.

    Parameters
    ----------
    path : path-like
    folder : path-like
        Where the record lies.
    absolute : bool
        The whole path instead.

    Returns
    -------
    str
        With ``/`` between folders. `found_path` finds the file again.

    Examples
    --------
    >>> recorded_path("/case/photos/a.jpg", "/case/results")
    '../photos/a.jpg'
    """
    whole, folder = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    if absolute:
        return whole.as_posix()
    home = Path(os.path.expanduser("~"))
    if home != Path(home.anchor) and whole.is_relative_to(home) and not folder.is_relative_to(home):
        return f"~/{whole.relative_to(home).as_posix()}"
    try:
        return Path(os.path.relpath(whole, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return whole.name


def near_path(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> str:
    """Write a path as it may leave the house: other folders may name people.

    Parameters
    ----------
    path : path-like
    folder : path-like
        Where the record lies.

    Returns
    -------
    str
        Relative to the folder, with ``/``, for what lies in it, or beside it or below its parent;
        else the name alone.

    Examples
    --------
    >>> near_path("/case/photos/a.jpg", "/case/results"), near_path("/home/anna/a.jpg", "/case/b")
    ('../photos/a.jpg', 'a.jpg')
    """
    whole = Path(os.path.abspath(path))
    try:
        written = Path(os.path.relpath(whole, os.path.abspath(folder))).as_posix()
    except ValueError:  # on another drive of Windows
        return whole.name
    return written if is_near(written) else whole.name


def is_near(written: str) -> bool:
    """Whether a path in a record is one that `near_path` writes."""
    parts = written.split("/")
    return parts[0] not in ("", "~") and parts.count("..") <= 1


def whole_path(written: str, folder: str | os.PathLike[str]) -> Path:
    """Return the path for which `recorded_path` gave a text, whether anything lies there or not.

    Examples
    --------
    >>> whole_path("../photos/a.jpg", "/case/results").as_posix()
    '/case/photos/a.jpg'
    """
    return Path(os.path.abspath(Path(folder, os.path.expanduser(written))))


def found_path(written: str, record: str | os.PathLike[str]) -> Path | None:
    """Find a file by its path in a record: from there, beside the record, or as it is written.

    Parameters
    ----------
    written : str
    record : path-like
        The record's own path.

    Returns
    -------
    Path or None
        None where there is no such file.
    """
    path, beside = Path(os.path.expanduser(written)), Path(record)
    # The record may have been moved along with its picture.
    there = beside.parent / path
    places = [Path(os.path.normpath(there)), there, beside.with_name(path.name), path]
    # Not Path.is_file, which raises for names that no file can have.
    return next((place for place in places if os.path.isfile(place)), None)
