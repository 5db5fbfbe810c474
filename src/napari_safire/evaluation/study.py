"""A study: several models on several sets, one after the other, in a folder that can be resumed.

===============================  ==============================================================
``<set>/<model>/``               scores as they came; what makes the same command go on
``<set>/<model>.csv``            the same in the order of the list, broken entries included
``<set>/<model>-pictures/``      thumbnails of the gallery
===============================  ==============================================================

The report beside them is made by `napari_safire.evaluation.report`.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock, Timeout

from napari_safire.atomic import require_writable
from napari_safire.errors import SafireError
from napari_safire.evaluation.entries import EvaluatedEntry, Task, in_list_order
from napari_safire.evaluation.gallery import Example, make_examples
from napari_safire.evaluation.results import write_results
from napari_safire.evaluation.saved_scores import JOB, SavedScores
from napari_safire.evaluation.scoring import (
    ScoringSettings,
    basis_of,
    evaluate_entries,
)
from napari_safire.images.lists import ListEntry
from napari_safire.parquet_parts import PARTS
from napari_safire.progress import Progress
from napari_safire.synthesis.degradations import NONE, Degradation

if TYPE_CHECKING:
    from napari_safire.engine import Engine


class Evaluate(Protocol):
    """Scores entries, and keeps the scores: `evaluate_here`, or on other machines."""

    def __call__(
        self,
        engine: Engine,
        tasks: Iterable[Task],
        settings: ScoringSettings,
        *,
        jobs: int = 1,
        saved: SavedScores | None = None,
    ) -> Generator[EvaluatedEntry]:
        """Score entries that are not saved, and yield each as it is done and kept."""
        ...


def evaluate_here(
    engine: Engine,
    tasks: Iterable[Task],
    settings: ScoringSettings,
    *,
    jobs: int = 1,
    saved: SavedScores | None = None,
) -> Generator[EvaluatedEntry]:
    """Score entries by `evaluate_entries`, and keep what is new.

    Parameters
    ----------
    engine, tasks, settings, jobs
        As of `evaluate_entries`.
    saved : SavedScores, optional
        Where scores are looked up and kept.

    Yields
    ------
    EvaluatedEntry
    """
    known = None if saved is None else saved.known
    with closing(evaluate_entries(engine, tasks, settings, jobs=jobs, known=known)) as results:
        for result in results:
            if saved is not None:
                saved.save(result)
            yield result


class _Show(Protocol):
    """Hears how far a study is, and of each result as it comes."""

    def __call__(self, step: int, what: str, result: EvaluatedEntry | None = None) -> None: ...


# What the report writes: into the study's folder, and into each set's.
REPORT_FILES = (REPORT, SUMMARY) = ("report.html", "summary.csv")
ROBUSTNESS_FILES = (ROBUSTNESS, ROBUSTNESS_CHART) = ("robustness.csv", "robustness.svg")


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A list of pictures and how they are scored.

    Parameters
    ----------
    name : str
    entries : tuple of ListEntry
    settings : ScoringSettings
    notes : tuple of str
        What was assumed in reading the list.
    """

    name: str
    entries: tuple[ListEntry, ...]
    settings: ScoringSettings
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """What is evaluated on what.

    Parameters
    ----------
    sets : tuple of EvaluationSet
    models : tuple of str
        Names or files. Differences are taken against the first.
    degradations : tuple of Degradation
        "none" is always among them, and first.
    folder : Path, optional
        Where results go; without one nothing is written, and nothing can be resumed.
    jobs : int
        Pictures under way at once.
    examples : int
        Pictures of each kind in a gallery; 0 for none.

    Raises
    ------
    ValueError
        Nothing to do, or two sets or models that cannot be told apart.
    """

    sets: tuple[EvaluationSet, ...]
    models: tuple[str, ...]
    degradations: tuple[Degradation, ...] = (NONE,)
    folder: Path | None = None
    jobs: int = 1
    examples: int = 8

    def __post_init__(self) -> None:
        if not self.sets or not self.models:
            raise ValueError("A study needs a set and a model at least.")
        for what, names in (("set", [s.name for s in self.sets]), ("model", list(self.models))):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"The {what} {twice[0]} is named twice: name each {what} once.")
        ordered = tuple(dict.fromkeys((NONE, *self.degradations)))
        object.__setattr__(self, "degradations", ordered)

    @property
    def n_tasks(self) -> int:
        """Pictures to be scored, over all sets, degradations and models."""
        entries = sum(len(a_set.entries) for a_set in self.sets)
        return entries * len(self.degradations) * len(self.models)


@dataclass(frozen=True, slots=True)
class SetScores:
    """What one model scored on one set.

    Parameters
    ----------
    set : EvaluationSet
    model : str
        Its short name.
    checkpoint_sha256 : str
    results : tuple of EvaluatedEntry
        By degradation, then in the order of the list.
    examples : tuple of Example
    """

    set: EvaluationSet
    model: str
    checkpoint_sha256: str
    results: tuple[EvaluatedEntry, ...]
    examples: tuple[Example, ...] = ()

    def good(self, degradation: Degradation = NONE) -> list[EvaluatedEntry]:
        """Results without error under one degradation."""
        return [r for r in self.results if r.degradation == degradation and r.error is None]

    @property
    def warnings(self) -> list[str]:
        """What was assumed or mended in list, pictures and masks, each sentence once."""
        of_files = (text for result in self.results for text in result.warnings)
        return list(dict.fromkeys((*self.set.notes, *of_files)))

    @property
    def broken(self) -> list[EvaluatedEntry]:
        """Entries that could not be scored, each once, however often it was degraded."""
        first: dict[int, EvaluatedEntry] = {}
        for result in self.results:
            if result.error is not None:
                first.setdefault(result.number, result)
        return list(first.values())


def run_study(
    study: Study,
    open_model: Callable[[str], Engine],
    progress: Progress | None = None,
    on_result: Callable[[EvaluatedEntry], None] = lambda _: None,
    evaluate: Evaluate = evaluate_here,
) -> list[SetScores]:
    """Score every model on every set; go on where an earlier run of the study stopped.

    Parameters
    ----------
    study : Study
    open_model : callable
        Loads one of the study's models. Only one is in memory at a time.
    progress : callable, optional
        Called as ``progress(done, total, what)``.
    on_result : callable
        Called with each result as it comes.
    evaluate : callable
        Scores entries, here or on other machines.

    Returns
    -------
    list of SetScores
        Model by model, and within each in the order of the sets.

    Raises
    ------
    SafireError
        The folder holds results of another model, of other settings or of another algorithm; it
        cannot be written; or another program is writing to it.
    Cancelled
    """
    scores: list[SetScores] = []
    done = 0

    def show(step: int, what: str, result: EvaluatedEntry | None = None) -> None:
        nonlocal done
        done += step
        if result is not None:
            on_result(result)
        if progress is not None:
            progress(done, study.n_tasks, what)

    with _reserved(study.folder):
        _try_outputs(study)
        for model, label in zip(study.models, short_names(study.models), strict=True):
            if scores:
                gc.collect()  # an engine is a cycle of references: gone before the next one comes
            scores += _scores_of_model(study, open_model, model, label, (show, evaluate))
    return scores


def short_names(names: Sequence[str]) -> list[str]:
    """Names of files without folder and suffix, as far as they stay different.

    Parameters
    ----------
    names : sequence of str
        Paths, or plain names, which stay as they are.

    Returns
    -------
    list of str

    Examples
    --------
    >>> short_names(["runs/a/list.txt", "runs/b/list.txt", "safire-lite"])
    ['a/list', 'b/list', 'safire-lite']
    """

    def shortened(name: str, depth: int) -> str:
        path = PurePath(name)
        if len(path.parts) < 2 and not re.search(r"\.(txt|csv|pth|pt|safetensors)$", name, re.I):
            return name
        return "/".join(path.with_suffix("").parts[-depth:])

    for depth in (1, 2, 3):
        short = [shortened(name, depth) for name in names]
        if len(set(short)) == len(names):
            return short
    return list(names)


def folder_name(name: str) -> str:
    """Return a name that can stand in a path; different for different names.

    Examples
    --------
    >>> folder_name("safire-lite"), folder_name("a/list")
    ('safire-lite', 'a_list-9fe44d1e')
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60]
    if plain == name:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"


def _scores_of_model(
    study: Study,
    open_model: Callable[[str], Engine],
    model: str,
    label: str,
    ways: tuple[_Show, Evaluate],
) -> list[SetScores]:
    show, _ = ways
    engine = open_model(model)
    engine.grids_cached = study.jobs  # one for each picture under way
    scores = []
    for a_set in study.sets:
        results = _results(study, engine, a_set, label, ways)
        examples: list[Example] = []
        if study.folder is not None:
            place = study.folder / folder_name(a_set.name)
            write_results(place / f"{folder_name(label)}.csv", results)
            if study.examples:
                examples = make_examples(
                    engine,
                    [r for r in results if r.degradation == NONE],
                    a_set.settings,
                    place / f"{folder_name(label)}-pictures",
                    study.examples,
                    on_picture=lambda name: show(0, f"{label}: gallery, {name}"),
                )
        sha256 = engine.model.checkpoint_sha256
        scores.append(SetScores(a_set, label, sha256, tuple(results), tuple(examples)))
    return scores


def _results(
    study: Study,
    engine: Engine,
    a_set: EvaluationSet,
    label: str,
    ways: tuple[_Show, Evaluate],
) -> list[EvaluatedEntry]:
    show, evaluate = ways
    tasks = [
        Task(number, entry, degradation)
        for degradation in study.degradations
        for number, entry in enumerate(a_set.entries)
    ]
    results = []
    with (
        _saved_scores(study, engine, a_set, label) as saved,
        closing(evaluate(engine, tasks, a_set.settings, jobs=study.jobs, saved=saved)) as scored,
    ):
        for result in scored:
            results.append(result)
            name = result.entry.image.name
            show(1, f"{label}: {a_set.name}, {result.degradation.name}, {name}", result)
    return in_list_order(results, study.degradations)


@contextmanager
def _saved_scores(
    study: Study, engine: Engine, a_set: EvaluationSet, label: str
) -> Iterator[SavedScores | None]:
    """Where results are looked up and kept; nowhere without a folder."""
    if study.folder is None:
        yield None
        return
    folder = study.folder / folder_name(a_set.name) / folder_name(label)
    with SavedScores(folder, basis_of(engine, a_set.settings)) as saved:
        yield saved


@contextmanager
def _reserved(folder: Path | None) -> Iterator[None]:
    """Make the folder, and keep other programs from writing to it."""
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SafireError(
            f"Another evaluation is writing to {folder}: wait for it, or choose another folder."
        ) from error
    except OSError as error:
        raise _no_folder(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _try_outputs(study: Study) -> None:
    """Try every file that the study and its report will write, before a model is loaded."""
    if study.folder is None:
        return
    files = [study.folder / name for name in REPORT_FILES]
    for a_set in study.sets:
        place = study.folder / folder_name(a_set.name)
        if len(study.degradations) > 1:
            files += [place / name for name in ROBUSTNESS_FILES]
        for label in map(folder_name, short_names(study.models)):
            files += [place / f"{label}.csv", place / label / JOB, place / label / PARTS / "a"]
            if study.examples:
                files.append(place / f"{label}-pictures" / "picture.jpg")
    for file in files:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _no_folder(file.parent, error) from error
        require_writable(file)


def _no_folder(folder: Path, error: OSError) -> SafireError:
    return SafireError(f"The folder {folder} cannot be used: {error.strerror or error}.")
