"""What a batch has to do: which pictures, under which names, and what is there already.

A picture's results begin with its name without the suffix, ``a_sources.png``. Where two pictures
would share that (``a.jpg`` and ``a.png``, ``IMG_2.jpg`` and ``img_2.jpg``), each gets its whole
name, as in a series: ``a.jpg_sources.png``; and where these are alike too (pictures of two
folders), a hash of where it lies. What was made once keeps its names when such a neighbour comes
later, because records say whose they are.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from napari_safire.atomic import remove_leftovers
from napari_safire.basis import RunBasis
from napari_safire.corpus.naming import folded, marked, result_base
from napari_safire.corpus.queue import PictureQueue
from napari_safire.errors import DatasetError, ImageReadError, SafireError
from napari_safire.examination.export import results_by_base
from napari_safire.images.files import file_sha256
from napari_safire.images.lists import parse_list
from napari_safire.images.mask_pairs import LIST_SUFFIXES, list_root, looks_like_list
from napari_safire.images.records.head import (
    EXAMINATION_FORMAT,
    SOURCES_FORMAT,
    read_head,
    record_format,
    result_names,
)
from napari_safire.images.records.paths import found_path

_LEVELS = 3  # name without suffix, whole name, whole name with a hash


class InTheWay(SafireError):
    """Something lies where results should go, and nobody said that it may be replaced."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept in memory of a complete result: bytes, where its record has kilobytes.

    Parameters
    ----------
    basis : RunBasis
        Without the picture; one value for all results that were asked the same.
    picture_sha256 : str or None
    """

    basis: RunBasis
    picture_sha256: str | None


@dataclass(frozen=True, slots=True)
class Task:
    """One picture, and where its results go.

    Parameters
    ----------
    image : Path
    folder : Path
        Below the output folder as the picture lies below that of its list.
    base : str
        Begin of the names of its results.
    kept : Kept or None
        The result that is there already, if its record is complete and its files are there.
    leftover : tuple of str
        Names of all that lies there of a result of this picture, complete or not.
    problem : Exception or None
        Why nothing can be made of the picture, or the folder or list in its place.
    notes : tuple of str
        What was assumed in reading the list whose first picture it is.
    """

    image: Path
    folder: Path
    base: str = ""
    kept: Kept | None = None
    leftover: tuple[str, ...] = ()
    problem: Exception | None = None
    notes: tuple[str, ...] = ()

    @property
    def record(self) -> Path:
        """The record, which comes last: where it lies, the results are complete."""
        return self.folder / f"{self.base}.json"


@dataclass(frozen=True, slots=True)
class _Record:
    """What the plan has to know of a file that lies where a record should.

    Parameters
    ----------
    owner : str or None
        Path of its picture, as it is written; None if it does not say so.
    kept : Kept or None
        If it is complete.
    torn : bool
        It is one of a batch of this version, but not complete.
    by_hand : bool
        It is one of labels that were made by hand.
    """

    owner: str | None = None
    kept: Kept | None = None
    torn: bool = False
    by_hand: bool = False


@dataclass(slots=True)
class _Folder:
    """A folder of results: its names are listed once, records are read as they are asked for."""

    path: Path
    names: frozenset[str] = frozenset()
    problem: SafireError | None = None
    by_base: dict[str, list[str]] = field(default_factory=dict)
    records: dict[str, _Record] = field(default_factory=dict)
    bases: dict[str, RunBasis] = field(default_factory=dict)  # shared, by their digests

    def record(self, base: str) -> _Record | None:
        name = f"{base}.json"
        if name not in self.names:
            return None
        if base not in self.records:
            self.records[base] = _read_kept(self.path / name, self.names, self.bases)
        return self.records[base]


def make_plan(
    inputs: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    ignore_case: bool = False,
) -> list[Task]:
    """Find all pictures, give their results names, and see which are there already.

    Parameters
    ----------
    inputs : iterable of path-like
        Pictures, folders of pictures and list files.
    output : path-like
        Need not exist. Every folder in it that is to hold results is listed once, and what killed
        runs left there is removed.
    overwrite : bool
        Results that are there do not count, and only records of labels made by hand are in the way.
    ignore_case : bool
        The output's file system takes names for one that differ in case only.

    Returns
    -------
    list of Task
        Every picture once, in order. What is wrong with one is its `problem`.
    """
    output = Path(output)
    tasks: dict[str, Task] = {}
    for path in inputs:
        for task in _find(Path(path), output):
            told = task.problem
            key = os.path.abspath(task.image) if told is None else f"\0{told}"  # no path
            tasks.setdefault(key, task)
    folders: dict[Path, _Folder] = {}
    for task in tasks.values():
        if task.folder not in folders:
            folders[task.folder] = _look_into(task.folder)
    by_folder: defaultdict[Path, list[str]] = defaultdict(list)
    for key, task in tasks.items():
        if task.problem is None:
            by_folder[task.folder].append(key)
    for folder, keys in by_folder.items():
        _name(tasks, keys, folders[folder], ignore_case)
    return [_with_state(task, folders[task.folder], overwrite) for task in tasks.values()]


def replaced_picture(tasks: Sequence[Task]) -> tuple[Task, Path] | None:
    """Find a picture that lies where the results of another, or its own, would go.

    Returns
    -------
    (Task, Path) or None
        Whose results, and the picture.
    """
    real: dict[Path, str] = {}

    def entry(path: Path) -> tuple[str, str]:
        if path.parent not in real:
            real[path.parent] = os.path.realpath(path.parent)
        return real[path.parent], path.name

    tasks = [task for task in tasks if task.problem is None]
    inputs = {entry(task.image) for task in tasks}
    inputs |= {
        (os.path.dirname(target), os.path.basename(target))
        for task in tasks
        if os.path.islink(task.image)
        for target in [os.path.realpath(task.image)]
    }
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for folder, name in inputs:
        by_folder[folder].append(name)
    by_base = {folder: results_by_base(names) for folder, names in by_folder.items()}
    for task in tasks:
        folder, _ = entry(task.record)
        if folder in by_base:
            for name in by_base[folder].get(task.base, ()):
                return task, task.folder / name
    return None


def first_difference(
    tasks: Iterable[Task], wanted: RunBasis, *, model: bool = True
) -> tuple[Task, tuple[str, ...]] | None:
    """Find a result that rests on something else than what is asked now.

    Parameters
    ----------
    tasks : iterable of Task
    wanted : RunBasis
        Without a picture.
    model : bool
        Compare the model too.

    Returns
    -------
    (Task, tuple of str) or None
        The first, and what differs in words that follow "was made".
    """
    told: dict[int, tuple[str, ...]] = {}
    for task in tasks:
        if task.kept is None:
            continue
        basis = task.kept.basis
        if id(basis) not in told:
            other = wanted if model else replace(wanted, checkpoint_sha256=basis.checkpoint_sha256)
            told[id(basis)] = _in_words(basis, other)
        if told[id(basis)]:
            return task, told[id(basis)]
    return None


def is_unchanged(task: Task) -> bool:
    """Look whether a kept result is still what its record describes, of the picture as it is now.

    Parameters
    ----------
    task : Task
        With a `Kept` result.

    Returns
    -------
    bool
        False if a file of the result was changed or is gone: it has to be made again.

    Raises
    ------
    ImageReadError
        If the picture cannot be read.
    SafireError
        If the picture is another file than the one whose result is there.
    """
    assert task.kept is not None
    try:
        sha256 = file_sha256(task.image)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageReadError(f"{task.image} cannot be read: {reason}.") from error
    if sha256 != task.kept.picture_sha256:
        raise SafireError(
            f"{task.record} was made of another file than {task.image} is now: add --overwrite, or "
            "choose another folder."
        )
    try:
        about = read_head(task.record)
        hashes = about["files_sha256"]
        return all(file_sha256(task.folder / name) == hashes[name] for name in result_names(about))
    except (SafireError, OSError, KeyError, TypeError):
        return False


# ------------------------------------------------------------------------------ pictures


def _find(path: Path, output: Path) -> Iterator[Task]:
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    try:
        if os.path.isdir(path):  # not Path.is_dir, which raises for names that are too long
            series = PictureQueue.open(path)
            base, pictures, notes = series.base, series.pictures, series.notes
        elif path.suffix.lower() in LIST_SUFFIXES:
            base, pictures, problems, notes = _listed(path)
        else:
            yield Task(path, output)
            return
    except (SafireError, OSError, ValueError) as error:
        yield Task(path, output, problem=error)
        return
    for problem in problems:
        yield Task(path, output, problem=DatasetError(f"{path}, {problem}"))
    for picture in pictures:
        if "\0" in str(picture):
            wrong = ImageReadError(f"{picture} cannot be the name of a file: correct {path}.")
            yield Task(picture, output, problem=wrong)
        else:
            yield Task(picture, output / picture.relative_to(base).parent, notes=notes)
            notes = ()  # told once


def _listed(path: Path) -> tuple[Path, tuple[Path, ...], tuple[str, ...], tuple[str, ...]]:
    """Pictures of a list, there or not, what is wrong with its lines, and what was assumed.

    Masks do not matter here, so that they need not be there either.
    """
    if not looks_like_list(path):
        return Path(), tuple(PictureQueue.open(path).pictures), (), ()  # says what is wrong
    base = list_root(path)
    parsed = parse_list(path, base)
    pictures = tuple(dict.fromkeys(entry.image for entry in parsed.entries))
    return base, pictures, parsed.problems, parsed.notes


# ----------------------------------------------------------------------- what is there


def _look_into(folder: Path) -> _Folder:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return _Folder(folder)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return _Folder(
            folder, problem=SafireError(f"Results cannot be written to {folder}: {reason}.")
        )
    remove_leftovers(folder, names)
    problem = None
    if not os.access(folder, os.W_OK | os.X_OK):
        problem = SafireError(
            f"Results cannot be written to {folder}: you may not. Choose another folder."
        )
    return _Folder(folder, frozenset(names), problem, results_by_base(names))


def _read_kept(path: Path, names: frozenset[str], bases: dict[str, RunBasis]) -> _Record:
    try:
        head = read_head(path)
    except SafireError:  # cut short, or somebody else's
        return _Record(torn=record_format(path) == EXAMINATION_FORMAT or _is_empty(path))
    about = head.get("image")
    owner = about.get("path") if isinstance(about, dict) else None
    owner = owner if isinstance(owner, str) else None
    basis = RunBasis.from_record(head.get("basis"))
    if basis is None or head["format"] != EXAMINATION_FORMAT:
        return _Record(owner, by_hand=head["format"] == SOURCES_FORMAT)
    try:
        there = names.issuperset(result_names(head)) and isinstance(head["files_sha256"], dict)
    except (SafireError, KeyError):
        there = False
    if not there:
        return _Record(owner, torn=True)
    shared = replace(basis, picture_sha256=None)
    return _Record(owner, Kept(bases.setdefault(shared.digest, shared), basis.picture_sha256))


def _is_empty(path: Path) -> bool:
    """Whether nothing is in a file, as after a power cut: nobody loses anything by it."""
    return path.is_file() and path.stat().st_size == 0


def _with_state(task: Task, folder: _Folder, overwrite: bool) -> Task:
    """Add what lies at the place of the results."""
    if task.problem is not None:
        return task
    leftover = (*task.leftover, *folder.by_base.get(task.base, ()))
    record = folder.record(task.base)
    if record is not None and record.kept is not None and not overwrite:
        return replace(task, kept=record.kept, leftover=leftover)
    if folder.problem is not None:
        return replace(task, problem=folder.problem)
    if record is not None:
        problem = _in_the_way(task, record, overwrite)
        if problem is not None:
            return replace(task, problem=problem)
    return replace(task, leftover=leftover)


def _in_the_way(task: Task, record: _Record, overwrite: bool) -> InTheWay | None:
    if record.by_hand:
        return InTheWay(
            f"{task.record} holds labels that were made by hand: move it away, or choose another "
            "folder."
        )
    if overwrite or record.torn or record.kept is not None:
        return None
    return InTheWay(
        f"{task.record} exists already, and is no complete result of this version: choose another "
        "folder, or add --overwrite."
    )


def _in_words(basis: RunBasis, wanted: RunBasis) -> tuple[str, ...]:
    words = []
    for difference in basis.differences(wanted):
        if difference == "model":
            words.append("with another model")
        elif difference == "settings (precision)":
            before, now = basis.settings.get("precision"), wanted.settings.get("precision")
            words.append(f"in {before}, not in {now}")
        elif difference.startswith("algorithm"):
            words.append(f"by another version: {difference}")
        else:
            words.append(f"with other {difference}")
    return tuple(words)


# -------------------------------------------------------------------------------- names


def _name(tasks: dict[str, Task], keys: Sequence[str], folder: _Folder, ignore_case: bool) -> None:
    """Give each of the tasks in one folder a base of its own."""
    given: dict[str, str] = {}

    def fold(base: str, n: int) -> str:
        return folded(base) if n == 0 or ignore_case else base

    # First those whose results lie there already: they keep their names.
    taken: set[str] = set()
    for exact in (True, False):
        for key in keys:
            if key in given:
                continue
            image = tasks[key].image
            for n in range(_LEVELS):
                base = _candidate(image, folder.path, n)
                owned = _owns(image, key, folder, base, exact, tasks)
                if owned and fold(base, n) not in taken:
                    given[key] = base
                    taken.add(fold(base, n))
                    break
    # Then the others. Who shares a name does so whether the other one is done already or not: else
    # names would depend on how far a run came before it was killed.
    names = {
        key: [fold(_candidate(tasks[key].image, folder.path, n), n) for n in range(_LEVELS - 1)]
        for key in keys
    }
    alike = [Counter(of_key[n] for of_key in names.values()) for n in range(_LEVELS - 1)]
    left = {
        key: next((n for n, name in enumerate(names[key]) if alike[n][name] == 1), _LEVELS - 1)
        for key in keys
        if key not in given
    }
    while True:
        sharing: defaultdict[str, list[str]] = defaultdict(list)
        for key, n in left.items():
            base = _candidate(tasks[key].image, folder.path, n)
            given[key] = base
            sharing[fold(base, n)].append(key)
        up = [
            key
            for base, group in sharing.items()
            for key in group
            if left[key] < _LEVELS - 1
            and (
                len(group) > 1
                or base in taken
                or _of_another(tasks[key].image, folder.record(given[key]))
            )
        ]
        if not up:
            break
        for key in up:
            left[key] += 1
    for base, group in sharing.items():
        for key in group[1:]:  # two hashes of eight digits that are the same
            problem = InTheWay(f"{tasks[key].image} would get the same result names as {base}.")
            tasks[key] = replace(tasks[key], problem=problem)
    bases = set(given.values())
    for key, base in given.items():
        stem = _candidate(tasks[key].image, folder.path, 0)
        leftover: list[str] = []
        if stem not in bases and f"{stem}.json" not in folder.names:
            # Of a picture that had this name until the run was killed, and gets another one now.
            leftover = folder.by_base.pop(stem, [])
        tasks[key] = replace(tasks[key], base=base, leftover=tuple(leftover))


def _candidate(image: Path, folder: Path, level: int) -> str:
    if level == 0:
        return result_base(image.stem)
    whole = result_base(image.name)
    if level == 1:
        return whole
    where = os.path.abspath(image)
    with suppress(ValueError):  # on another drive of Windows
        where = os.path.relpath(where, folder)  # moves along with the results
    return marked(whole, PurePath(where).as_posix())


def _owns(
    image: Path, key: str, folder: _Folder, base: str, exact: bool, tasks: Mapping[str, Task]
) -> bool:
    """Whether a record is that of a picture: by its path, or by its name if it was moved."""
    record = folder.record(base)
    if record is None or record.owner is None:
        return False
    found = found_path(record.owner, folder.path / f"{base}.json")
    if found is not None and os.path.abspath(found) == key:
        return True
    if exact or PurePath(record.owner).name != image.name:
        return False
    return found is None or os.path.abspath(found) not in tasks


def _of_another(image: Path, record: _Record | None) -> bool:
    return (
        record is not None
        and record.owner is not None
        and PurePath(record.owner).name != image.name
    )
