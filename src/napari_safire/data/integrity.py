"""Whether a data set is what its lists say, before anything is trained or scored on it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_safire.data.images import read_image
from napari_safire.data.lists import ListEntry, MaskKind, list_folder, parse_list, read_mask
from napari_safire.errors import DatasetError, SafireError

ProblemKind = Literal["line", "missing", "unreadable", "mask", "repeated", "leak"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a data set.

    Parameters
    ----------
    kind : {"line", "missing", "unreadable", "mask", "repeated", "leak"}
        A line that is no entry; a file that is not there; a picture that cannot be read; a mask
        that cannot be the mask of its picture; a picture twice in one list; a picture in two lists.
    list_file : Path
    sentence : str
        Names the file.
    """

    kind: ProblemKind
    list_file: Path
    sentence: str


@dataclass(frozen=True, slots=True)
class _Read:
    """What reading one entry gave."""

    sha256: str | None
    problems: tuple[tuple[ProblemKind, str], ...] = ()


def check_lists(
    lists: Sequence[Path],
    root: str | os.PathLike[str] | None = None,
    kind: MaskKind = "binary",
    *,
    workers: int = 4,
) -> Iterator[tuple[int, int, list[Problem]]]:
    """Read every picture and mask of some lists, which are meant to have no picture in common.

    Parameters
    ----------
    lists : sequence of Path
        For example those for training and for validation.
    root : path-like, optional
        Default: each list's own folder.
    kind : {"binary", "sources"}
        Of the masks, as in `read_mask`.
    workers : int
        Threads that read files.

    Yields
    ------
    done, total : int
        Entries, of all lists.
    problems : list of Problem
        Those found since; pictures are compared by their files' content, not by their names.

    Raises
    ------
    DatasetError
        A list cannot be read, or its root folder is missing.
    """
    entries: list[tuple[Path, ListEntry]] = []
    found: list[Problem] = []
    for path in dict.fromkeys(lists):
        parsed, bad_lines = parse_list(path, list_folder(path, root))
        found += [Problem("line", path, f"{path}, {line}.") for line in bad_lines]
        entries += [(path, entry) for entry in parsed]
    if not entries and not found:
        raise DatasetError(f"{', '.join(map(str, lists))}: no entries, nothing to check.")
    yield 0, len(entries), found
    first: dict[str, tuple[Path, Path]] = {}  # content: list and picture
    seen: set[tuple[Path, Path]] = set()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        results = pool.map(lambda pair: _read(pair[1], kind), entries)
        for done, ((path, entry), result) in enumerate(zip(entries, results, strict=True), start=1):
            found = [Problem(what, path, sentence) for what, sentence in result.problems]
            if result.sha256 is not None:
                other_list, other = first.setdefault(result.sha256, (path, entry.image))
                if (path, entry.image) in seen:
                    sentence = f"{entry.image} stands in {path} more than once."
                    found.append(Problem("repeated", path, sentence))
                elif (other_list, other) != (path, entry.image):
                    found.append(_same_picture(path, entry.image, other_list, other))
                seen.add((path, entry.image))
            yield done, len(entries), found


def _same_picture(path: Path, image: Path, other_list: Path, other: Path) -> Problem:
    if path == other_list:
        return Problem("repeated", path, f"{image} has the same content as {other}, in {path}.")
    sentence = f"{image} of {path} stands in {other_list} as well, as {other}."
    return Problem("leak", path, sentence)


def _read(entry: ListEntry, kind: MaskKind) -> _Read:
    files = [entry.image, *([entry.mask] if entry.mask is not None else [])]
    missing = [file for file in files if not file.is_file()]
    if missing:
        return _Read(None, tuple(("missing", f"{file} does not exist.") for file in missing))
    try:
        image = read_image(entry.image)
    except SafireError as error:
        return _Read(None, (("unreadable", str(error)),))
    height, width = image.pixels.shape[:2]
    problems: list[tuple[ProblemKind, str]] = []
    if entry.mask is not None:
        try:
            mask = read_mask(entry, kind, shape=(height, width))
        except SafireError as error:
            problems.append(("mask", str(error)))
        else:
            if mask.min() == mask.max():
                problems.append(
                    (
                        "mask",
                        f"The mask {entry.mask} has one value only: if {entry.image} is authentic, "
                        "give it the mask None.",
                    )
                )
    return _Read(hashlib.sha256(image.pixels.tobytes()).hexdigest(), tuple(problems))
