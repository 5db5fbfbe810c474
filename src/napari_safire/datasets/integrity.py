"""Whether a data set is what its lists say, before anything is trained or scored on it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Literal

from napari_safire.datasets.catalogue import find_set, pair_set
from napari_safire.datasets.near_duplicates import Hash, near_duplicates, perceptual_hash
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.files import why_unreadable
from napari_safire.images.lists import ListEntry, list_folder, parse_list
from napari_safire.images.masks import MaskKind
from napari_safire.images.reading import read_image
from napari_safire.images.truth import kind_of_masks, read_truth

ProblemKind = Literal[
    "line", "empty", "missing", "unreadable", "mask", "repeated", "leak", "inside", "near",
    "inverted", "warning", "assumed",
]  # fmt: skip
REMARKS: tuple[ProblemKind, ...] = ("warning", "assumed")
"""Kinds of problems that leave the data set usable: what was assumed or mended in reading it."""

_FEW_MASKS = 4  # say nothing of what most masks are like


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a data set.

    Parameters
    ----------
    kind : str
        "line": a line that is no entry. "empty": a list without entries. "missing": a file that is
        not there, or may not be looked at. "unreadable": a picture that cannot be read. "mask": a
        mask that cannot be the mask of its picture.
        "repeated": a picture twice in one list. "leak": a picture in two lists. "inside": a list
        of which every picture stands in another. "near": pictures of two lists that look alike.
        "inverted": most masks of a list call most of their picture forged. "warning": something
        in a picture, a mask or a list was assumed or mended. "assumed": as what the masks of a list
        were read.
    list_file : Path
        Or the folder, if that was checked.
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
    forged: float | None = None  # share of the picture
    looks: Hash | None = None


@dataclass
class _Seen:
    """What is remembered of one list."""

    pictures: dict[str, Path] = field(default_factory=dict)  # by content
    names: set[Path] = field(default_factory=set)
    unread: int = 0
    masks: int = 0
    mostly_forged: int = 0
    looks: list[tuple[Path, str, Hash]] = field(default_factory=list)


def check_lists(
    lists: Sequence[Path],
    root: str | os.PathLike[str] | None = None,
    kind: MaskKind | None = "binary",
    *,
    set_name: str | None = None,
    near: int | None = None,
    workers: int = 4,
) -> Iterator[tuple[int, int, list[Problem]]]:
    """Read every picture and mask of some lists, which are meant to have no picture in common.

    Parameters
    ----------
    lists : sequence of Path
        For example those for training and for validation. With `set_name` also folders of that set.
    root : path-like, optional
        Default: each list's own folder.
    kind : {"binary", "sources"} or None
        Of the masks, as in `read_truth`; not used with `set_name`, which says it. None: told for
        each list from its masks.
    set_name : str, optional
        A data set as for `napari_safire.datasets.catalogue.entries_of`.
    near : int, optional
        Also tell which pictures of different lists look alike: their perceptual hashes differ in at
        most so many of 64 bits.
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
        A list cannot be read, its root folder is missing, or there is no such data set.
    """
    entries, found = _all_entries(lists, root, kind, set_name)
    yield 0, len(entries), found
    seen = {path: _Seen() for path in dict.fromkeys(lists)}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        results = pool.map(lambda one: _read(one[1], one[2], look=near is not None), entries)
        for done, ((path, entry, _), result) in enumerate(
            zip(entries, results, strict=True), start=1
        ):
            found = [Problem(what, path, sentence) for what, sentence in result.problems]
            found += _known_already(seen, path, entry.image, result)
            _remember(seen[path], entry.image, result)
            if done == len(entries):
                found += _of_whole_lists(seen, near)
            yield done, len(entries), found


def _all_entries(
    lists: Sequence[Path],
    root: str | os.PathLike[str] | None,
    kind: MaskKind | None,
    set_name: str | None,
) -> tuple[list[tuple[Path, ListEntry, MaskKind]], list[Problem]]:
    """Entries of all lists, each with its list and the kind of its mask; and problems of lists."""
    entries: list[tuple[Path, ListEntry, MaskKind]] = []
    found: list[Problem] = []
    for path in dict.fromkeys(lists):
        parsed, bad = _entries(path, root, set_name)
        found += bad
        own_kind, told = _kind_of(path, parsed, kind)
        found += told
        entries += [(path, entry, own_kind) for entry in parsed]
    if not entries and not found:
        raise DatasetError("No list was given: there is nothing to check.")
    if not entries and all(problem.kind == "empty" for problem in found):
        raise DatasetError(f"{', '.join(map(str, lists))}: no entries, nothing to check.")
    return entries, found


def _entries(
    path: Path, root: str | os.PathLike[str] | None, set_name: str | None
) -> tuple[list[ListEntry], list[Problem]]:
    """Entries of a list or of a data set's folder, and what is wrong before any file is read."""
    if set_name is not None and os.path.isdir(path):
        paired = pair_set(set_name, path)
        sentences = [f"{picture} has no mask." for picture in paired.without_mask]
        return list(paired.entries), [Problem("missing", path, text) for text in sentences]
    parsed = parse_list(path, list_folder(path, root))
    problems = [Problem("line", path, f"{path}, {line}.") for line in parsed.problems]
    problems += [Problem("warning", path, note) for note in parsed.notes]
    if not parsed.entries and not parsed.problems:
        problems.append(Problem("empty", path, f"{path} has no entries: there is nothing in it."))
    rule = None if set_name is None else find_set(set_name)[0].rule
    return [replace(entry, rule=rule) for entry in parsed.entries], problems


def _kind_of(
    path: Path, entries: Sequence[ListEntry], kind: MaskKind | None
) -> tuple[MaskKind, list[Problem]]:
    """As what the masks of a list are read, and a remark where that was not asked for."""
    ruled = next((entry.rule for entry in entries if entry.rule is not None), None)
    if ruled is not None:
        return ruled.kind, []
    if kind is not None or all(entry.mask is None for entry in entries):
        return kind or "binary", []
    told = kind_of_masks(entries) or "binary"
    meaning = {
        "binary": "forged where not black; `evaluate` and `train` need `--kind binary` for it",
        "sources": "grey 50 x k is source k; with `--kind binary`, all but source 0 is forged",
    }
    return told, [
        Problem("assumed", path, f"The masks of {path} were read as {told}: {meaning[told]}.")
    ]


def _known_already(
    seen: dict[Path, _Seen], path: Path, image: Path, result: _Read
) -> list[Problem]:
    """Whether this picture, or one of the same content, came before."""
    if result.sha256 is None:
        return []
    if image in seen[path].names:
        return [Problem("repeated", path, f"{image} stands in {path} more than once.")]
    for other_list, other in seen.items():
        twin = other.pictures.get(result.sha256)
        if twin is not None and other_list == path:
            sentence = f"{image} has the same content as {twin}, in {path}."
            return [Problem("repeated", path, sentence)]
        if twin is not None:
            sentence = f"{image} of {path} stands in {other_list} as well, as {twin}."
            return [Problem("leak", path, sentence)]
    return []


def _remember(seen: _Seen, image: Path, result: _Read) -> None:
    if result.sha256 is None:
        seen.unread += 1
        return
    seen.names.add(image)
    seen.pictures.setdefault(result.sha256, image)
    if result.forged is not None:
        seen.masks += 1
        seen.mostly_forged += result.forged > 0.5
    if result.looks is not None:
        seen.looks.append((image, result.sha256, result.looks))


def _of_whole_lists(seen: dict[Path, _Seen], near: int | None) -> list[Problem]:
    """What shows only when all has been read."""
    problems = []
    for path, other in permutations(seen, 2):
        inner, outer = seen[path].pictures.keys(), seen[other].pictures.keys()
        same_order = list(seen).index(path) > list(seen).index(other)
        if inner and inner <= outer and (inner != outer or same_order) and not seen[path].unread:
            sentence = f"{path} is inside {other}: all its {len(inner)} pictures stand there."
            problems.append(Problem("inside", path, sentence))
    for path, one in seen.items():
        if one.masks >= _FEW_MASKS and one.mostly_forged > one.masks / 2:
            sentence = (
                f"{one.mostly_forged} of the {one.masks} masks of {path} call more than half of "
                "their picture forged: perhaps black means forged here, as in the set NC16."
            )
            problems.append(Problem("inverted", path, sentence))
    if near is not None:
        for path, other in combinations(seen, 2):
            problems += _alike(path, seen[path].looks, other, seen[other].looks, near)
    return problems


def _alike(
    path: Path,
    ours: list[tuple[Path, str, Hash]],
    other: Path,
    theirs: list[tuple[Path, str, Hash]],
    most: int,
) -> list[Problem]:
    problems = []
    for i, j, bits in near_duplicates([one[2] for one in ours], [one[2] for one in theirs], most):
        if ours[i][1] != theirs[j][1]:  # else it is a leak, and said already
            sentence = (
                f"{theirs[j][0]} of {other} looks like {ours[i][0]} of {path} ({bits} of 64 bits "
                "of their perceptual hashes differ)."
            )
            problems.append(Problem("near", other, sentence))
    return problems


def _read(entry: ListEntry, kind: MaskKind, *, look: bool) -> _Read:
    """Read picture and mask of an entry; whatever is wrong with one is no more than its problem."""
    files = [entry.image, *([entry.mask] if entry.mask is not None else [])]
    missing = [reason for file in files if (reason := why_unreadable(file)) is not None]
    if missing:
        return _Read(None, tuple(("missing", reason) for reason in missing))
    try:
        image = read_image(entry.image)
        sha256 = hashlib.sha256(image.pixels.tobytes()).hexdigest()
        looks = perceptual_hash(image.pixels) if look else None
    except Exception as error:
        return _Read(None, (("unreadable", _sentence(entry.image, error)),))
    problems: list[tuple[ProblemKind, str]] = [("warning", text) for text in image.warnings]
    forged = None
    if entry.mask is not None:
        try:
            truth = read_truth(entry, kind, shape=(image.pixels.shape[0], image.pixels.shape[1]))
            mask = truth.labels
            forged = float(mask.mean()) if kind == "binary" else None
            empty = mask.min() == mask.max()
        except Exception as error:
            problems.append(("mask", _sentence(entry.mask, error)))
        else:
            problems += [("warning", text) for text in truth.warnings]
            if empty:
                sentence = (
                    f"The mask {entry.mask} has one value only: if {entry.image} is authentic, "
                    "give it the mask None."
                )
                problems.append(("mask", sentence))
    return _Read(sha256, tuple(problems), forged, looks)


def _sentence(file: Path, error: Exception) -> str:
    """What is wrong with a file, whatever was raised."""
    if isinstance(error, SafireError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{file} does not fit in memory: cut the picture into parts."
    return f"{file} cannot be read ({type(error).__name__}: {error})."
