"""What a batch has to do: which pictures, under which names, and what is there already."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_safire.basis import RunBasis
from napari_safire.corpus.naming import folded
from napari_safire.corpus.output_folder import OutputFolder, RecordHead, look_into
from napari_safire.corpus.queue import PictureQueue
from napari_safire.corpus.result_names import assign_names, name_at
from napari_safire.corpus.task import InTheWay, Task
from napari_safire.errors import DatasetError, ImageReadError, SafireError
from napari_safire.examination.export import results_by_base
from napari_safire.images.files import file_sha256
from napari_safire.images.list_text import LIST_SUFFIXES, list_root, looks_like_list
from napari_safire.images.lists import parse_list
from napari_safire.images.records.head import read_head, result_names


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
    folders = {folder: look_into(folder) for folder in {t.folder: None for t in tasks.values()}}
    sound: dict[Path, dict[str, Task]] = {folder: {} for folder in folders}
    for key, task in tasks.items():
        if task.problem is None:
            sound[task.folder][key] = task
    for folder, of_folder in sound.items():
        tasks |= _named(of_folder, folders[folder], ignore_case, tasks.keys())
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
        if task.saved is None:
            continue
        basis = task.saved.basis
        if id(basis) not in told:
            other = wanted if model else replace(wanted, checkpoint_sha256=basis.checkpoint_sha256)
            told[id(basis)] = _in_words(basis, other)
        if told[id(basis)]:
            return task, told[id(basis)]
    return None


def is_unchanged(task: Task) -> bool:
    """Look whether a saved result is still what its record describes, of the picture as it is now.

    Parameters
    ----------
    task : Task
        With a result that is there.

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
    assert task.saved is not None
    try:
        sha256 = file_sha256(task.image)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageReadError(f"{task.image} cannot be read: {reason}.") from error
    if sha256 != task.saved.picture_sha256:
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
            queue = PictureQueue.open(path)
            base, pictures, notes = queue.base, queue.pictures, queue.notes
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


def _with_state(task: Task, folder: OutputFolder, overwrite: bool) -> Task:
    """Add what lies at the place of the results."""
    if task.problem is not None:
        return task
    leftover = (*task.leftover, *folder.by_base.get(task.base, ()))
    record = folder.record(task.base)
    if record is not None and record.saved is not None and not overwrite:
        return replace(task, saved=record.saved, leftover=leftover)
    if folder.problem is not None:
        return replace(task, problem=folder.problem)
    if record is not None:
        problem = _in_the_way(task, record, overwrite)
        if problem is not None:
            return replace(task, problem=problem)
    return replace(task, leftover=leftover)


def _in_the_way(task: Task, record: RecordHead, overwrite: bool) -> InTheWay | None:
    if record.by_hand:
        return InTheWay(
            f"{task.record} holds labels that were made by hand: move it away, or choose another "
            "folder."
        )
    if overwrite or record.torn or record.saved is not None:
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


def _named(
    tasks: Mapping[str, Task], folder: OutputFolder, ignore_case: bool, others: Collection[str]
) -> dict[str, Task]:
    """Give each of the tasks of one folder a base of its own."""
    images = {key: task.image for key, task in tasks.items()}
    given = assign_names(images, folder, ignore_case=ignore_case, others=others)
    bases = set(given.values())
    owners: dict[str, str] = {}
    named = {}
    for key, base in given.items():
        problem = None
        if owners.setdefault(folded(base) if ignore_case else base, key) != key:
            problem = InTheWay(f"{images[key]} would get the same result names as {base}.")
        stem = name_at(images[key], folder.path)
        leftover: list[str] = []
        if stem not in bases and f"{stem}.json" not in folder.names:
            # Of a picture that had this name until the run was killed, and gets another one now.
            leftover = folder.by_base.pop(stem, [])
        named[key] = replace(tasks[key], base=base, leftover=tuple(leftover), problem=problem)
    return named
