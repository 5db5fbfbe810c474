"""Files as lists name them: found on the disk, what keeps one from being read, pictures below."""

from __future__ import annotations

import errno
import fnmatch
import glob
import hashlib
import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePath

from napari_safire.decoding.names import is_picture_name, surely_picture
from napari_safire.errors import DatasetError
from napari_safire.text import brief

_NO_PICTURES = frozenset(
    {".txt", ".csv", ".json", ".jsonl", ".npz", ".npy", ".toml", ".md", ".html"}
)
_LONGEST_PATH = 4096  # characters; longer ones no system opens


def why_unreadable(path: str | os.PathLike[str], called: str = "") -> str | None:
    """Say what keeps a path from being read as a file; nothing is opened, nothing raised.

    Parameters
    ----------
    path : path-like
        Of any length, with any characters, allowed to be looked at or not.
    called : str
        What the sentence calls it; default: its path.

    Returns
    -------
    str or None
        A sentence that names the path; None if a regular file is there that may be read.

    Examples
    --------
    >>> print(why_unreadable("gone.png"))
    gone.png does not exist: check its name and folder.
    """
    name = brief(called or path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"{name} does not exist: check its name and folder."
    except OSError as error:
        return f"{name} cannot be looked at: {error.strerror or error}."
    except ValueError as error:  # a null character in the name
        return f"{name} is no name of a file: {error}."
    if stat.S_ISDIR(mode):
        return f"{name} is a folder: give one of the files inside it."
    if not stat.S_ISREG(mode):  # a pipe or a device might never end
        return f"{name} is not a regular file: copy it to a file first."
    if not os.access(path, os.R_OK):
        return f"{name} cannot be read: Permission denied."
    return None


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits.

    Raises
    ------
    OSError
        Also where a folder, a pipe or a device has the name: of those there is no end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DiskNames:
    """Finds files under the names that they have on the disk. Folders are listed once each.

    Copies of a data set differ in case (``.JPG``) and Unicode form ("é" as one character or two, as
    archives and lists made on a Mac have it).
    """

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[Path]]] = {}

    def find(self, file: Path) -> Path:
        """Return the path of the file on the disk.

        A file that does not exist is looked for under a name, and in folders of names, that differ
        in case or Unicode form only. If there is none, or more than one, the path stays as it is.
        """
        if len(os.fspath(file)) > _LONGEST_PATH or os.path.lexists(file):
            return file
        there = next((folder for folder in file.parents if os.path.exists(folder)), None)
        if there is None:
            return file
        for part in file.relative_to(there).parts:
            same = self._names_in(there).get(plain_name(part), [])
            exact = [path for path in same if path.name == part]
            if len(exact or same) != 1:
                return file
            (there,) = exact or same
        return there

    def _names_in(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._folders:
            names: dict[str, list[Path]] = defaultdict(list)
            try:
                for name in os.listdir(folder):
                    names[plain_name(name)].append(folder / name)
            except OSError:  # no folder, or one that may not be looked into: nothing is found
                names.clear()
            self._folders[folder] = names
        return self._folders[folder]


def composed(name: str) -> str:
    """Return a name in the Unicode form that has one character where it can."""
    return unicodedata.normalize("NFC", name)


def plain_name(name: str) -> str:
    """Return what names have in common that differ in case or Unicode form only."""
    return composed(name).casefold()


def is_picture_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a picture: by its name, or where that says nothing by its content.

    True also for pictures that cannot be read, so that they are told and not passed over.
    """
    path = Path(path)
    if is_picture_name(path.name):
        return True
    if path.suffix.lower() in _NO_PICTURES or why_unreadable(path) is not None:
        return False
    try:
        with open(path, "rb") as file:
            return surely_picture(file.read(32))
    except OSError:  # it does not call itself a picture, and nobody can look
        return False


def files_matching(pattern: str) -> Iterator[Path]:
    """Tell the files that a pattern names, as they are found; hidden ones not.

    Links to folders are not followed where ``**`` stands: they may lead round in a ring.

    Parameters
    ----------
    pattern : str
        ``photos/*.jpg``; ``**`` stands for any folders, none too.

    Yields
    ------
    Path
        Whole paths.
    """
    parts = Path(os.path.abspath(pattern)).parts
    yield from _matching(Path(parts[0]), parts[1:])


def _matching(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    if not parts:
        if folder.is_file():
            yield folder
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        rest = rest or ("*",)
        while rest[0] == "**":
            rest = rest[1:] or ("*",)
        for place in _folders_from(folder):
            yield from _matching(place, rest)
    elif glob.has_magic(part):
        for name in sorted(_names_in(folder)):
            if fnmatch.fnmatch(name, part) and (part[0] == "." or name[0] != "."):
                yield from _matching(folder / name, rest)
    else:
        yield from _matching(folder / part, rest)


def _folders_from(folder: Path) -> Iterator[Path]:
    """A folder and those below it, but hidden ones and links."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        yield place
        try:
            with os.scandir(place) as entries:
                below = [
                    Path(entry.path)
                    for entry in entries
                    if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
                ]
        except OSError:  # as in `_names_in`
            continue
        waiting += sorted(below, reverse=True)


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # it is no folder, or nobody may look: as of a pattern in a shell
        return []


def files_below(folder: Path) -> list[PurePath]:
    """List the files in a folder and its subfolders, relative to it and sorted; hidden ones not.

    Raises
    ------
    DatasetError
        If a folder cannot be read.
    """
    try:
        found = [
            PurePath(os.path.relpath(os.path.join(where, name), folder))
            for where, _, names in os.walk(folder, onerror=_refuse)
            for name in names
            if not name.startswith(".")
        ]
    except OSError as error:
        raise DatasetError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    return sorted(found)


def pictures_below(folder: Path) -> dict[PurePath, None]:
    """Pictures in the folder and its subfolders, relative to it, sorted; a dict for its look-up."""
    return dict.fromkeys(file for file in files_below(folder) if is_picture_file(folder / file))


def _refuse(error: OSError) -> None:
    raise error
