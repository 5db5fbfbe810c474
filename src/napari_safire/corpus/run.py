"""A batch of pictures: planned, begun under the lock of its folder, answered picture by picture.

It can be stopped or killed and begun again: pictures whose results lie in the output folder,
complete, made of the same file by the same model with the same settings, are not asked again.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_safire.basis import RunBasis
from napari_safire.corpus.folder_lock import ignores_case, locked
from napari_safire.corpus.plan import first_difference, is_unchanged, make_plan, replaced_picture
from napari_safire.corpus.task import InTheWay, Task
from napari_safire.errors import Cancelled
from napari_safire.examination import Examination, ExaminationSettings, examine_image
from napari_safire.examination.export import describe_model, export_examination
from napari_safire.examination.threads import as_completed
from napari_safire.images.reading import read_image
from napari_safire.progress import Cancel, Progress

if TYPE_CHECKING:
    from napari_safire.engine import Engine

Watch = Callable[[str], AbstractContextManager[Progress | None]]
"""Makes what hears of the progress of something with a title, such as a bar."""

_MOST_JOBS = 8


def _unwatched(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Batch:
    """What is asked of which pictures, and where the results go.

    Parameters
    ----------
    inputs : sequence of Path
        Pictures, folders of pictures and list files.
    output : Path
        Made if it is missing.
    settings : ExaminationSettings
    overwrite : bool
        Results that are there are replaced, whatever they were made with.
    absolute_paths : bool
        Records say where pictures and model lie from the root on, not from the record.
    """

    inputs: Sequence[Path]
    output: Path
    settings: ExaminationSettings = field(default_factory=ExaminationSettings)
    overwrite: bool = False
    absolute_paths: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of one picture.

    Parameters
    ----------
    task : Task
    found : Examination or None
        None where the results were there already, or it failed.
    files : tuple of Path
        What was written, the record last.
    error : Exception or None
    warnings : tuple of str
        What was mended or guessed, in plain sentences.
    """

    task: Task
    found: Examination | None = None
    files: tuple[Path, ...] = ()
    error: Exception | None = None
    warnings: tuple[str, ...] = ()


_Answer = Callable[[Task, Progress | None, Cancel | None], Outcome]


class Run:
    """A batch under way; see `begin`.

    Parameters
    ----------
    batch : Batch
    tasks : sequence of Task
        From `make_plan`.

    Attributes
    ----------
    written : list of Task
        Those whose results were written, also one that an interrupt kept from being an outcome.
    """

    def __init__(self, batch: Batch, tasks: Sequence[Task]) -> None:
        self.batch = batch
        self.tasks = tasks
        self.written: list[Task] = []

    def outcomes(
        self,
        engine: Engine,
        model: str,
        *,
        jobs: int | None = None,
        watch: Watch = lambda _: nullcontext(),
    ) -> Generator[Outcome]:
        """Answer the tasks, one after the other or several at once.

        Whoever stops iterating stops the work; results are whole or not there.

        Parameters
        ----------
        engine : Engine
        model : str
            Its name or file, as the records shall say it.
        jobs : int, optional
            Pictures under way at once; default: one on a CPU, else half of the cores, 8 at most.
        watch : callable
            Called with a picture's name, or once for all where several are under way.

        Yields
        ------
        Outcome
            One a task, in order where one is under way at a time.

        Raises
        ------
        InTheWay
            Results there rest on another model or other settings.
        Cancelled
        """
        batch = self.batch
        sha256 = engine.model.checkpoint_sha256
        _require_same(self.tasks, batch.settings.basis(sha256, engine.precision))
        engine.grids_cached = jobs = jobs or _usual_jobs(engine)  # one for each picture under way
        about = describe_model(engine, model, absolute_path=batch.absolute_paths)

        def answer(task: Task, progress: Progress | None, cancel: Cancel | None) -> Outcome:
            try:
                return self._answer(task, engine, about, progress, cancel)
            except Cancelled:
                raise
            except Exception as error:  # the other pictures can still be done
                return Outcome(task, error=error)

        if min(jobs, len(self.tasks)) <= 1:
            yield from self._one_by_one(answer, watch)
            return
        with (
            watch("pictures") as show,
            closing(as_completed(lambda t, c: answer(t, None, c), self.tasks, jobs)) as found,
        ):
            for count, (task, came) in enumerate(found, start=1):
                if isinstance(came, Exception):
                    raise came
                if show is not None:
                    show(count, len(self.tasks), task.image.name)
                yield came

    def _one_by_one(self, answer: _Answer, watch: Watch) -> Iterator[Outcome]:
        for task in self.tasks:
            with watch(task.image.name) as show:
                outcome = answer(task, show, None)
            yield outcome

    def _answer(
        self,
        task: Task,
        engine: Engine,
        model: dict[str, str],
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> Outcome:
        """Examine a picture and write its results, unless they are there already."""
        if task.problem is not None:
            raise task.problem
        if task.saved is not None and is_unchanged(task):
            return Outcome(task)
        batch = self.batch
        image = read_image(task.image)
        found = examine_image(engine, image, batch.settings, progress=progress, cancel=cancel)
        with uninterrupted():
            files = export_examination(
                found,
                task.folder,
                task.base,
                model=model,
                device=str(engine.model.device),
                overwrite=batch.overwrite or bool(task.leftover),
                earlier=task.leftover,
                absolute_paths=batch.absolute_paths,
            )
            self.written.append(task)
        return Outcome(
            task, found, tuple(files), warnings=(*self._done_again(task), *found.warnings)
        )

    def _done_again(self, task: Task) -> tuple[str, ...]:
        if self.batch.overwrite or not task.leftover:
            return ()
        return (
            f"{task.record} is missing, or its files are not those that it describes, as after a "
            f"run that was killed: {task.image} is done again.",
        )


@contextmanager
def begin(
    batch: Batch, precision: str = "float32", waiting: Callable[[], None] | None = None
) -> Iterator[Run]:
    """Plan a batch, and keep other runs out of its folder while the block runs.

    Parameters
    ----------
    batch : Batch
    precision : str
        In which the engine will compute: results there are compared before a model is loaded.
    waiting : callable, optional
        Called once if another run is at work in the folder, before it is waited for.

    Yields
    ------
    Run

    Raises
    ------
    InTheWay
        Results there rest on something else, or a picture would be replaced.
    SafireError
        Nothing can be written to the folder.

    Examples
    --------
    >>> with begin(Batch([Path("photos")], Path("results"))) as run:            # doctest: +SKIP
    ...     for outcome in run.outcomes(engine, "safire-lite"):
    ...         print(outcome.task.image, outcome.error or outcome.files[-1:])
    """
    _require_apart(batch)
    with locked(batch.output, waiting) as unwritable:
        ignore_case = ignores_case(batch.output)
        tasks = make_plan(
            batch.inputs, batch.output, overwrite=batch.overwrite, ignore_case=ignore_case
        )
        _require_pictures_stay(tasks)
        _require_same(tasks, batch.settings.basis("", precision), model=False)
        if unwritable is not None and any(task.saved is None for task in tasks):
            raise unwritable
        yield Run(batch, tasks)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block is done, as a file after the other is renamed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread alone
        return
    interrupts: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: interrupts.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if interrupts:
        raise KeyboardInterrupt


def _usual_jobs(engine: Engine) -> int:
    """One where the model needs all cores; else as many as keep a GPU busy."""
    if engine.model.device.type == "cpu":
        return 1
    return max(1, min(_MOST_JOBS, (os.cpu_count() or 1) // 2))


def _require_apart(batch: Batch) -> None:
    output = batch.output
    if os.path.exists(output) and not os.path.isdir(output):
        raise InTheWay(f"{output} is a file, not a folder.")
    for path in batch.inputs:
        if os.path.isdir(path) and os.path.realpath(path) == os.path.realpath(output):
            raise InTheWay(
                f"The results would lie among the pictures of {path}, and be taken for some of "
                "them the next time: choose another folder."
            )


def _require_pictures_stay(tasks: Sequence[Task]) -> None:
    """Refuse before any work what could destroy one of the caller's files."""
    found = replaced_picture(tasks)
    if found is not None:
        task, picture = found
        raise InTheWay(
            f"The results of {task.image} would replace the picture {picture}: choose another "
            "folder."
        )


def _require_same(tasks: Sequence[Task], wanted: RunBasis, *, model: bool = True) -> None:
    """Refuse to mix results that rest on different things, or to replace them unasked."""
    found = first_difference(tasks, wanted, model=model)
    if found is not None:
        task, words = found
        raise InTheWay(
            f"{task.record} exists already, but was made {' and '.join(words)}: choose another "
            "folder, or add --overwrite."
        )
