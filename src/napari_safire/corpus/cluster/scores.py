"""Entries of lists scored by the workers of a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from napari_safire.corpus.asking import EngineSource
from napari_safire.corpus.cluster.flow import Flow
from napari_safire.evaluation.entries import EvaluatedEntry, Task
from napari_safire.evaluation.scoring import (
    Known,
    ScoringSettings,
    broken_entry,
    evaluate_entries,
    known_result,
)

if TYPE_CHECKING:
    from distributed import Client

_TOGETHER = 16  # entries that are lost with a worker, and scored again
_LOST = "Every worker that took it was lost, as by too little memory: score it by itself."

About = tuple[EngineSource, ScoringSettings]
Group = tuple[Task, ...]


def score_group(about: About, tasks: Group) -> list[EvaluatedEntry]:
    """Score some entries; what a worker does."""
    source, settings = about
    return list(evaluate_entries(source.open(), tasks, settings))


def evaluate_on_cluster(
    client: Client,
    source: EngineSource,
    tasks: Iterable[Task],
    settings: ScoringSettings,
    known: Known | None = None,
) -> Generator[EvaluatedEntry]:
    """Score entries on a cluster, and yield each as it is done, in any order.

    Parameters
    ----------
    client : Client
    source : EngineSource
    tasks : iterable of Task
    settings : ScoringSettings
    known : callable, optional
        As of `napari_safire.evaluation.scoring.evaluate_entries`; asked here.

    Yields
    ------
    EvaluatedEntry

    Raises
    ------
    SafireError
        The scheduler is gone, or a group fails again and again.
    """
    there: deque[EvaluatedEntry] = deque()
    flow = Flow(client, score_group, (source, settings), _groups(tasks, known, there))
    more = True
    while more:
        more = flow.fill()
        while there:
            yield there.popleft()
        for group, results in flow.done(lambda: False) if more else ():
            if results is not None:
                yield from results
            elif len(group) > 1:
                middle = len(group) // 2
                flow.again(group[:middle], group[middle:])
            else:
                yield broken_entry(group[0], _LOST)


def _groups(
    tasks: Iterable[Task], known: Known | None, there: deque[EvaluatedEntry]
) -> Iterator[Group]:
    """Entries that have to be scored, some at a time; others are put aside."""
    waiting: list[Task] = []
    for task in tasks:
        earlier = None if known is None else known_result(task, known)
        if earlier is not None:
            there.append(earlier)
            continue
        waiting.append(task)
        if len(waiting) == _TOGETHER:
            yield tuple(waiting)
            waiting = []
    if waiting:
        yield tuple(waiting)
