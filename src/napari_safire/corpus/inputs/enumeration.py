"""Tell the pictures of inputs one by one, in memory that does not grow with their number."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from napari_safire.corpus.inputs.picture import CorpusPicture, Input, InputProblem
from napari_safire.corpus.inputs.remote import is_address, remote_pictures, shown_address
from napari_safire.corpus.inputs.shards import SHARD_SUFFIXES, members_of
from napari_safire.corpus.inputs.tables import TABLE_SUFFIXES, paths_in
from napari_safire.decoding.names import is_picture_name
from napari_safire.errors import SafireError
from napari_safire.images.files import files_matching, is_picture_file, why_unreadable
from napari_safire.images.records.paths import recorded_path
from napari_safire.text import brief, printable

_AT_ONCE = 4_096  # names that are sorted together, so that neighbours on the disk come together


def enumerate_pictures(
    inputs: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    recursive: bool = False,
    root: str | os.PathLike[str] | None = None,
) -> Iterator[Input]:
    """Tell the pictures of inputs, and what among them is none.

    Parameters
    ----------
    inputs : iterable of path-like
        Pictures, folders, patterns (``photos/**/*.jpg``), list files and tables (CSV, TSV, Parquet
        with a column of paths), tar shards, addresses (``s3://…``, by fsspec).
    output : path-like
        Names of files are told from here; nothing below it is taken for a picture.
    recursive : bool
        Go into the folders of folders.
    root : path-like, optional
        Lists and tables may name pictures anywhere below this folder; default: below the folder
        that their own paths are relative to.

    Yields
    ------
    CorpusPicture or InputProblem
        A picture that several inputs name comes several times.
    """
    output = Path(os.path.abspath(output))
    root = None if root is None else Path(os.path.abspath(root))
    for given in inputs:
        try:
            yield from _of_input(os.fspath(given), output, recursive, root)
        except (SafireError, OSError, ValueError) as error:
            called = os.fspath(given)
            shown = printable(shown_address(called) if is_address(called) else called)
            reason = getattr(error, "strerror", None) or str(error)
            yield InputProblem(shown, reason if shown in reason else f"{shown}: {reason}")


def _of_input(given: str, output: Path, recursive: bool, root: Path | None) -> Iterator[Input]:
    if is_address(given):
        yield from remote_pictures(given, recursive=recursive)
        return
    path = Path(os.path.abspath(given))
    if os.path.isdir(path):
        yield from _below(path, output, recursive)
    elif not os.path.lexists(path) and glob.has_magic(given):
        yield from _matching(given, output, root)
    else:
        yield from _of_file(path, output, root)


def _of_file(path: Path, output: Path, root: Path | None) -> Iterator[Input]:
    suffix = path.suffix.lower()
    if suffix in SHARD_SUFFIXES:
        yield from members_of(path, recorded_path(path, output))
    elif suffix in TABLE_SUFFIXES:
        for written in paths_in(path, root):
            if isinstance(written, InputProblem):
                yield written
            elif is_address(written):
                yield from remote_pictures(written, recursive=False)
            else:
                yield _picture(written, recorded_path(written, output))
    else:
        yield _picture(os.fspath(path), recorded_path(path, output))


def _below(folder: Path, output: Path, recursive: bool) -> Iterator[Input]:
    """Pictures of a folder; of its folders after its own, so that few names wait."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        below: list[Path] = []
        begin = recorded_path(place / "x", output)[:-1]  # what the names of all files there share
        try:
            for entry in _listed(place):
                if entry.is_dir(follow_symlinks=False):
                    path = Path(entry.path)
                    if path != output:
                        below.append(path)
                elif entry.name.lower().endswith(SHARD_SUFFIXES):
                    yield from members_of(Path(entry.path), begin + entry.name)
                elif is_picture_name(entry.name) or is_picture_file(entry.path):
                    yield _picture(entry.path, begin + entry.name)
        except OSError as error:  # of this folder alone: the others go on
            shown = printable(begin.rstrip("/"))
            reason = error.strerror or error
            yield InputProblem(shown, f"The folder {shown} cannot be read: {reason}.")
        if recursive:
            waiting += sorted(below, reverse=True)


def _listed(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What a folder holds and does not hide, some thousand in order at a time."""
    with os.scandir(folder) as entries:
        visible = (entry for entry in entries if not entry.name.startswith("."))
        while some := sorted(islice(visible, _AT_ONCE), key=lambda entry: entry.name):
            yield from some


def _matching(pattern: str, output: Path, root: Path | None) -> Iterator[Input]:
    n_found = 0
    for path in files_matching(pattern):
        if not path.is_relative_to(output):
            n_found += 1
            yield from _of_file(path, output, root)
    if not n_found:
        problem = f"Nothing is called like {printable(pattern)}: check the pattern."
        yield InputProblem(printable(pattern), problem)


def _picture(path: str, name: str) -> Input:
    try:
        status = os.stat(path)
        is_readable = stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK)
    except (OSError, ValueError):
        is_readable = False
    if not is_readable:
        # As the manifest calls it: not with this machine's folders and its user's name.
        problem = why_unreadable(path, name) or f"{brief(name)} cannot be read: try again."
        return InputProblem(printable(name), problem)
    stamp = f"{status.st_size}:{status.st_mtime_ns}"
    return CorpusPicture(name, "file", path, size=status.st_size, stamp=stamp)
