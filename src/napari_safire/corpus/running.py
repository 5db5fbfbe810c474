"""Run a corpus in this process: pictures told, put into tasks, answered, committed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from napari_safire.atomic import remove_leftovers
from napari_safire.basis import RunBasis
from napari_safire.corpus.claims import remove_claims
from napari_safire.corpus.folder_lock import locked
from napari_safire.corpus.inputs.enumeration import enumerate_pictures
from napari_safire.corpus.job import CorpusJob, begin_job, refuse_inputs_in_output
from napari_safire.corpus.manifest import KnownKeys, Manifest
from napari_safire.corpus.manifest_schema import ManifestRow
from napari_safire.corpus.run import uninterrupted
from napari_safire.corpus.tasks import TASK_SIZE, CorpusTask, make_tasks
from napari_safire.corpus.under_way import UnderWay
from napari_safire.corpus.work import PICTURES, CorpusSettings, CorpusWork
from napari_safire.errors import Cancelled
from napari_safire.progress import Cancel

_ASKED_EVERY = 0.05  # seconds
_STOPS_WITHIN = 0.7  # seconds that work under way has to end by itself


@dataclass(frozen=True, slots=True)
class Corpus:
    """Which pictures, and where the manifest goes.

    Parameters
    ----------
    inputs : sequence of path-like
        See `napari_safire.corpus.inputs.enumeration.enumerate_pictures`.
    output : Path
    settings : CorpusSettings
    recursive : bool
        Go into the folders of folders.
    root : Path, optional
        Lists and tables may name pictures anywhere below it.
    retry_errors : bool
        Try pictures again that failed before.
    task_size : int
        Pictures that are committed together.
    """

    inputs: Sequence[str | os.PathLike[str]]
    output: Path
    settings: CorpusSettings = field(default_factory=CorpusSettings)
    recursive: bool = False
    root: Path | None = None
    retry_errors: bool = False
    task_size: int = TASK_SIZE


@dataclass(slots=True)
class Tally:
    """What became of the pictures so far.

    Parameters
    ----------
    there : int
        Were done before.
    done, copies, failed : int
        Answered now; of these, those whose bytes were known; those with an error.
    forged : int
    """

    there: int = 0
    done: int = 0
    copies: int = 0
    failed: int = 0
    forged: int = 0

    def count(self, row: ManifestRow) -> None:
        """Count a row."""
        self.done += 1
        self.copies += bool(row.same_as)
        self.failed += bool(row.error_class)
        self.forged += row.verdict == "forged"

    def add(self, other: Tally) -> None:
        """Add what was counted elsewhere."""
        self.done += other.done
        self.copies += other.copies
        self.failed += other.failed
        self.forged += other.forged


@contextmanager
def opened(
    corpus: Corpus, basis: RunBasis, model: str, waiting: Callable[[], None] | None = None
) -> Iterator[tuple[Manifest, Iterator[CorpusTask], Tally]]:
    """Open a corpus for one run: its manifest, and the tasks that are left.

    Parameters
    ----------
    corpus : Corpus
    basis : RunBasis
    model : str
        Name of the model.
    waiting : callable, optional
        Called once if another run is at work in the folder, before it is waited for.

    Yields
    ------
    Manifest, iterator of CorpusTask, Tally
        Tasks are told while the inputs are still being read.

    Raises
    ------
    InTheWay
        The folder holds results of something else.
    SafireError
        Nothing can be written there, or a part of the manifest is damaged.
    """
    refuse_inputs_in_output(corpus.inputs, corpus.output)
    with locked(corpus.output, waiting) as unwritable:
        if unwritable is not None:
            raise unwritable
        begin_job(corpus.output, CorpusJob(basis, model))
        remove_claims(corpus.output)  # before the parts are listed: lost runs write no more then
        manifest = Manifest(corpus.output)
        manifest.tidy()
        if (corpus.output / PICTURES).is_dir():
            remove_leftovers(corpus.output / PICTURES)
        known = KnownKeys(manifest, retry_errors=corpus.retry_errors)
        tally = Tally(there=len(known))
        pictures = enumerate_pictures(
            corpus.inputs, corpus.output, recursive=corpus.recursive, root=corpus.root
        )
        yield manifest, make_tasks(pictures, known, corpus.task_size), tally


def run_here(
    work: CorpusWork,
    tasks: Iterator[CorpusTask],
    tally: Tally,
    told: Callable[[ManifestRow], None] = lambda row: None,
    cancel: Cancel = lambda: False,
) -> None:
    """Answer tasks in this process until they end, or it is asked to stop.

    What was answered when it stops is committed, within a second, even if a picture is under way
    that takes longer; that one is then done again by the next run.

    Parameters
    ----------
    work : CorpusWork
    tasks : iterator of CorpusTask
    tally : Tally
        Is kept up to date.
    told : callable
        Takes each row when it is made, in another thread.
    cancel : callable
        Asked all the time, in this thread.

    Raises
    ------
    Cancelled
        It was asked to stop; all that was answered is committed.
    Exception
        Whatever else went wrong, with the same promise.
    """
    work.under_way = UnderWay(work.manifest.folder)
    try:
        for task in tasks:
            _run_task(work, task, tally, told, cancel)
            work.under_way.died = False  # whatever it was, it is passed
        work.end()
    finally:
        work.under_way.end()


def _run_task(
    work: CorpusWork,
    task: CorpusTask,
    tally: Tally,
    told: Callable[[ManifestRow], None],
    cancel: Cancel,
) -> None:
    """Answer a task in a thread, so that this one hears at once of signals and of `cancel`."""
    rows: list[ManifestRow] = []
    failure: list[BaseException] = []
    stop = threading.Event()

    def answer() -> None:
        try:
            for row in work.answer(task, cancel=stop.is_set):
                rows.append(row)
                told(row)
                if stop.is_set():
                    return
        except Cancelled:
            return
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=answer, name="napari-safire-corpus", daemon=True)
    thread.start()
    try:
        while thread.is_alive() and not cancel():
            thread.join(_ASKED_EVERY)
    finally:
        with uninterrupted():
            stop.set()
            thread.join(_STOPS_WITHIN)
            finished = rows[:]
            if finished:
                work.commit(finished)
                for row in finished:
                    tally.count(row)
    if failure:
        raise failure[0]
    if len(finished) < len(task.pictures):
        raise Cancelled("Stopped; the same command goes on.")
