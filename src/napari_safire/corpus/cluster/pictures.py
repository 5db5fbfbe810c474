"""The tasks of a corpus on the workers of a cluster: the same tasks, the same parts.

That a picture stands in the manifest once follows from the parts (`napari_safire.corpus.manifest`);
that the same bytes are examined once, from an index that the client keeps and from claims
(`napari_safire.corpus.known_content`, `claims`).
The output folder must be the same on all machines. A run is found again by it: a client that was
lost is replaced by the same command, which begins with what is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_safire.basis import RunBasis
from napari_safire.corpus.asking import OpenAsk
from napari_safire.corpus.claims import Claims, PutOffPicture, TaskClaims, remove_claims
from napari_safire.corpus.cluster.flow import Flow
from napari_safire.corpus.cluster.put_off import PutOff
from napari_safire.corpus.cluster.stop_file import StopFile
from napari_safire.corpus.known_content import KnownContent, PartContent, PublishedContent
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.running import Tally
from napari_safire.corpus.tasks import TASK_SIZE, CorpusTask, part_name
from napari_safire.corpus.work import CorpusSettings, CorpusWork, failed_row
from napari_safire.errors import Cancelled
from napari_safire.parquet_parts import PARTS
from napari_safire.progress import Cancel

if TYPE_CHECKING:
    from distributed import Client

_REMOVERS = 8
"""Threads that remove claims: a file server takes a millisecond for each."""
_LOST = "Every worker that took it was lost, as by too little memory: examine it by itself."


@dataclass(frozen=True, slots=True)
class ClusterJob:
    """What a worker has to know.

    Parameters
    ----------
    output : str
    settings : CorpusSettings
    basis : RunBasis
    source : callable
        Opens what answers (`napari_safire.corpus.asking`).
    run : str
        Of this client; a file of this name tells its workers to stop.
    sandbox : bool
        Pictures are decoded in processes that can do nothing else.
    """

    output: str
    settings: CorpusSettings
    basis: RunBasis
    source: OpenAsk
    run: str
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """What a worker tells of a task; its rows stand in the manifest.

    Parameters
    ----------
    tally : Tally
    content : PartContent or None
        None where no part was written.
    claimed : tuple of str
        Content that was claimed; the claims may go when it was published.
    put_off : tuple of PutOffPicture
    """

    tally: Tally
    content: PartContent | None = None
    claimed: tuple[str, ...] = ()
    put_off: tuple[PutOffPicture, ...] = ()


def answer_task(job: ClusterJob, task: CorpusTask) -> TaskAnswer:
    """Answer a task and commit it; what a worker does.

    Raises
    ------
    SafireError
        Nothing can be written, or another run has begun in the folder.
    """
    output = Path(job.output)
    manifest = Manifest(output)
    claims = Claims(output, job.run)
    mine = TaskClaims(claims, regardless=task.was_put_off)
    known = PublishedContent(manifest)
    work = CorpusWork(manifest, job.settings, job.basis, job.source(), known)
    work.claims = mine
    stop = StopFile(manifest.folder, job.run)
    tally, rows = Tally(), []
    with ExitStack() as open_things:
        open_things.enter_context(suppress(Cancelled))
        if job.sandbox:
            from napari_safire.images.sandbox import SandboxedDecoder

            work.decoder = open_things.enter_context(SandboxedDecoder())
        for row in work.answer(task, cancel=stop):
            rows.append(row)
            tally.count(row)
            if stop():
                break
    claims.check()  # pictures of a run that was lost are the next one's to answer
    content = work.commit(rows) if rows else None
    return TaskAnswer(tally, content, tuple(mine.made), tuple(mine.put_off))


def run_on_cluster(
    client: Client,
    job: ClusterJob,
    tasks: Iterator[CorpusTask],
    tally: Tally,
    told: Callable[[Tally], None] = lambda tally: None,
    cancel: Cancel = lambda: False,
) -> None:
    """Have tasks answered by the workers of a cluster, a bounded number at a time.

    Parameters
    ----------
    client : Client
    job : ClusterJob
    tasks : iterator of CorpusTask
    tally : Tally
        Is kept up to date.
    told : callable
        Takes the tally of each task that is done.
    cancel : callable

    Raises
    ------
    Cancelled
        It was asked to stop: workers have committed what they had answered.
    SafireError
        The scheduler is gone, or a task fails again and again; what is committed stays.
    """
    output = Path(job.output)
    stop = StopFile(output / PARTS, job.run)
    content = _Content(output, job.run)
    flow = Flow(client, answer_task, job, tasks)
    put_off = PutOff()
    try:
        while flow.fill() or put_off:
            for task, answer in flow.done(cancel):
                if answer is None:
                    found = _lost(flow, job, task)
                else:
                    found = answer.tally
                    content.take_in(answer)
                    put_off.add(answer.put_off, flow.submitted)
                tally.add(found)
                told(found)
            if cancel():
                raise Cancelled("Stopped; the same command goes on.")
            again = put_off.due(flow.oldest, everything=flow.oldest > flow.submitted)
            if again:
                content.publish()  # of those that were under way
                flow.again(*again)
        content.publish()
    except BaseException:
        stop.ask()
        flow.wait_a_moment()
        raise
    finally:
        stop.remove()
        content.close()
    remove_claims(output)


class _Content:
    """What workers have found, on its way into the index that they look into."""

    def __init__(self, output: Path, run: str) -> None:
        self._claims = Claims(output, run)
        self._claims.begin()
        self._known = KnownContent(Manifest(output))
        self._claimed: list[str] = []
        self._threads = ThreadPoolExecutor(_REMOVERS, "napari-safire-claims")
        self.publish()  # what earlier runs have found

    def take_in(self, answer: TaskAnswer) -> None:
        """Take notice of a task that is done."""
        self._claimed += answer.claimed
        if answer.content is not None:
            self._known.take_in(answer.content)
        if self._known.is_due:
            self.publish()

    def publish(self) -> None:
        """Publish what is known, then take away claims on it."""
        self._known.publish()
        for start in range(0, len(self._claimed), TASK_SIZE):
            self._threads.submit(self._claims.remove, self._claimed[start : start + TASK_SIZE])
        self._claimed = []

    def close(self) -> None:
        """Take away no more: the rest goes with all claims of the run."""
        self._threads.shutdown(cancel_futures=True)


def _lost(flow: Flow[CorpusTask, TaskAnswer], job: ClusterJob, task: CorpusTask) -> Tally:
    """Look in halves of a task for the picture that costs the workers their life."""
    tally, number = Tally(), len(task.pictures)
    if number > 1:
        flow.again(task.part(0, number // 2), task.part(number // 2, number))
        return tally
    row = failed_row(task.pictures[0], task.attempts[0], "WorkerLost", _LOST)
    Manifest(Path(job.output)).write_part(part_name([row]), [row])
    tally.count(row)
    return tally
