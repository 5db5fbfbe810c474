"""Entries of lists scored by the workers of a cluster, which keep what they score."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_safire.corpus.asking import EngineSource
from napari_safire.corpus.cluster.flow import Flow
from napari_safire.corpus.cluster.stop_file import StopFile, new_run
from napari_safire.errors import Cancelled
from napari_safire.evaluation.entries import EvaluatedEntry, Task
from napari_safire.evaluation.saved_scores import SavedScores, commit_scores
from napari_safire.evaluation.scoring import (
    ScoringSettings,
    broken_entry,
    evaluate_entries,
    known_result,
)
from napari_safire.forensics.cache import RESULTS
from napari_safire.parquet_parts import PARTS

if TYPE_CHECKING:
    from distributed import Client

_TOGETHER = 16  # entries that are lost with a worker, and scored again
_LOST = "Every worker that took it was lost, as by too little memory: score it by itself."

Group = tuple[Task, ...]
Answer = tuple[list[EvaluatedEntry], str]
"""What came of a group, and the name of the part that holds it, "" where none does."""


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """What a worker has to know.

    Parameters
    ----------
    source : EngineSource
    settings : ScoringSettings
    folder : str
        Where scores are kept; "" for nowhere.
    run : str
        Of this client; a file of this name tells its workers to stop.
    """

    source: EngineSource
    settings: ScoringSettings
    folder: str
    run: str

    @property
    def stop(self) -> StopFile:
        """Whether the client has asked its workers to stop."""
        return StopFile(Path(self.folder, PARTS), self.run)


def score_group(job: ScoringJob, tasks: Group) -> Answer:
    """Score some entries and keep the scores, before anybody hears of them; what a worker does."""
    stop = job.stop if job.folder else lambda: False
    results: list[EvaluatedEntry] = []
    engine = job.source.open()
    with (
        suppress(Cancelled),
        closing(evaluate_entries(engine, tasks, job.settings, cancel=stop)) as scored,
    ):
        for result in scored:
            results.append(result)
            RESULTS.clear()  # else half a gigabyte of views gathers in each worker
            if stop():
                break
    return results, commit_scores(job.folder, results) if job.folder else ""


def evaluate_on_cluster(
    client: Client,
    source: EngineSource,
    tasks: Iterable[Task],
    settings: ScoringSettings,
    saved: SavedScores | None = None,
) -> Generator[EvaluatedEntry]:
    """Score entries on a cluster, and yield each as it is done, in any order.

    Parameters
    ----------
    client : Client
    source : EngineSource
    tasks : iterable of Task
    settings : ScoringSettings
    saved : SavedScores, optional
        Scores that are there are not asked for again. Workers that reach its folder under the same
        path keep there what they score; what others score is kept here.

    Yields
    ------
    EvaluatedEntry

    Raises
    ------
    SafireError
        The scheduler is gone, or a group fails again and again.
    """
    there: deque[EvaluatedEntry] = deque()
    folder = "" if saved is None else str(saved.folder.absolute())
    job = ScoringJob(source, settings, folder, new_run())
    flow = Flow(client, score_group, job, _groups(tasks, saved, there))
    more = True
    try:
        while more:
            more = flow.fill()
            while there:
                yield there.popleft()
            for group, answer in flow.done(lambda: False) if more else ():
                if answer is not None:
                    yield from _kept(*answer, saved)
                elif len(group) > 1:
                    middle = len(group) // 2
                    flow.again(group[:middle], group[middle:])
                else:
                    yield broken_entry(group[0], _LOST)
    except BaseException:
        if saved is not None:
            job.stop.ask()
            flow.wait_a_moment()
        raise
    finally:
        if saved is not None:
            job.stop.remove()


def _kept(
    results: list[EvaluatedEntry], part: str, saved: SavedScores | None
) -> list[EvaluatedEntry]:
    """Keep results, unless the worker's part of them has come to the folder."""
    if saved is not None:
        keep = saved.note if saved.holds(part) else saved.save
        for result in results:
            keep(result)
    return results


def _groups(
    tasks: Iterable[Task], saved: SavedScores | None, there: deque[EvaluatedEntry]
) -> Iterator[Group]:
    """Entries that have to be scored, some at a time; others are put aside."""
    waiting: list[Task] = []
    for task in tasks:
        earlier = None if saved is None else known_result(task, saved.known)
        if earlier is not None:
            there.append(earlier)
            continue
        waiting.append(task)
        if len(waiting) == _TOGETHER:
            yield tuple(waiting)
            waiting = []
    if waiting:
        yield tuple(waiting)
