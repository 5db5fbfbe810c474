"""The tasks of a corpus on the workers of a cluster: the same tasks, the same parts.

That a picture stands in the manifest once follows from the parts (`napari_safire.corpus.manifest`).
The output folder must be the same on all machines. A run is found again by it: a client that was
lost is replaced by the same command, which begins with what is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_safire.basis import RunBasis
from napari_safire.corpus.asking import OpenAsk
from napari_safire.corpus.cluster.flow import Flow
from napari_safire.corpus.cluster.stop_file import StopFile
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.running import Tally
from napari_safire.corpus.tasks import CorpusTask
from napari_safire.corpus.work import CorpusSettings, CorpusWork, failed_row
from napari_safire.errors import Cancelled
from napari_safire.parquet_parts import PARTS
from napari_safire.progress import Cancel

if TYPE_CHECKING:
    from distributed import Client

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


def answer_task(job: ClusterJob, task: CorpusTask) -> Tally:
    """Answer a task and commit it; what a worker does.

    Returns
    -------
    Tally
        Of this task.
    """
    manifest = Manifest(Path(job.output))
    work = CorpusWork(manifest, job.settings, job.basis, job.source())
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
    if rows:
        work.commit(task, rows)
    return tally


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
    stop = StopFile(Path(job.output) / PARTS, job.run)
    flow = Flow(client, answer_task, job, tasks)
    try:
        while flow.fill():
            for task, result in flow.done(cancel):
                found = _lost(flow, job, task) if result is None else result
                tally.add(found)
                told(found)
            if cancel():
                raise Cancelled("Stopped; the same command goes on.")
    except BaseException:
        stop.ask()
        flow.wait_a_moment()
        raise
    finally:
        stop.remove()


def _lost(flow: Flow[CorpusTask, Tally], job: ClusterJob, task: CorpusTask) -> Tally:
    """Look in halves of a task for the picture that costs the workers their life."""
    tally, number = Tally(), len(task.pictures)
    if number > 1:
        flow.again(task.part(0, number // 2), task.part(number // 2, number))
        return tally
    row = failed_row(task.pictures[0], task.attempts[0], "WorkerLost", _LOST)
    Manifest(Path(job.output)).write_part(task.name, [row])
    tally.count(row)
    return tally
