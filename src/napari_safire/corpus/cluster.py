"""The tasks of a corpus on the workers of a dask cluster: the same tasks, the same parts.

dask runs the tasks of a lost worker again and promises no more than *at least once*; that a picture
stands in the manifest once follows from the parts (`napari_safire.corpus.manifest`). The output
folder must be the same on all machines. A run is found again by it: a client that was lost is
replaced by the same command, which begins with what is committed.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_safire.basis import RunBasis
from napari_safire.corpus.asking import OpenAsk, opened_once
from napari_safire.corpus.manifest import PARTS, Manifest
from napari_safire.corpus.running import Tally
from napari_safire.corpus.tasks import CorpusTask
from napari_safire.corpus.work import CorpusSettings, CorpusWork
from napari_safire.errors import Cancelled, SafireError
from napari_safire.examination import Examination
from napari_safire.images.reading import ReadImage
from napari_safire.progress import Cancel
from napari_safire.text import printable

if TYPE_CHECKING:
    from distributed import Client

_WINDOW = 3  # tasks in flight for each worker: one at work, one waiting, one on its way
_RETRIES = 2  # of a task that raised, such as on a disk that was full for a moment
_LOST_WORKERS = 3  # by a task, until it is divided to find the picture that costs them
_ASKED_EVERY = 0.1  # seconds, whether to stop
_WORKERS_WITHIN = 60.0  # seconds until there must be one
_LOST = "Every worker that took it was lost, as by too little memory: examine it by itself."
_LIFETIME = "2 hours"  # of a worker of a local cluster, then it is replaced: memory creeps


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
    """

    output: str
    settings: CorpusSettings
    basis: RunBasis
    source: OpenAsk
    run: str


def answer_task(job: ClusterJob, task: CorpusTask) -> tuple[Tally, bool]:
    """Answer a task and commit it; what a worker does.

    Returns
    -------
    Tally, bool
        Of this task, and whether it was answered to its end.
    """
    manifest = Manifest(Path(job.output))
    work = CorpusWork(manifest, job.settings, job.basis, opened_once(job.source))
    stop = _StopFile(manifest.folder, job.run)
    tally, rows = Tally(), []
    with suppress(Cancelled):
        for row in work.answer(task, cancel=stop):
            rows.append(row)
            tally.count(row)
            if stop():
                break
    if rows:
        work.commit(task, rows)
    return tally, len(rows) == len(task.pictures)


class _StopFile:
    """Whether the client has asked its workers to stop; looked for now and then."""

    def __init__(self, folder: Path, run: str) -> None:
        self._path = folder / f".stop-{run}"
        self._looked = 0.0
        self._stopped = False

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._stopped and now - self._looked > _ASKED_EVERY:
            self._looked, self._stopped = now, self._path.exists()
        return self._stopped

    def ask(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


@contextmanager
def cluster_client(
    *, workers: int = 0, scheduler: str = "", scheduler_file: str = ""
) -> Iterator[Client]:
    """Reach a cluster, or begin one on this machine.

    Parameters
    ----------
    workers : int
        Of a cluster on this machine, one thread each; 0: another one is reached.
    scheduler, scheduler_file : str
        Address of a running scheduler, or the file that tells it.

    Yields
    ------
    Client

    Raises
    ------
    SafireError
        distributed is not installed, or nobody answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise SafireError(
            "Several workers need dask.distributed: install napari-safire[distributed]."
        ) from error
    import dask

    cluster = None
    dask.config.set({"distributed.scheduler.allowed-failures": _LOST_WORKERS})
    try:
        if workers:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=":0",
                lifetime=_LIFETIME,
                lifetime_stagger="10 minutes",
                lifetime_restart=True,
            )
            client = Client(cluster)
        elif scheduler_file:
            client = Client(scheduler_file=scheduler_file, timeout=_WORKERS_WITHIN)
        else:
            client = Client(scheduler, timeout=_WORKERS_WITHIN)
    except (OSError, TimeoutError, ValueError) as error:
        raise SafireError(
            f"No scheduler answers at {printable(scheduler or scheduler_file or 'this machine')} "
            f"({printable(error)[:120]}): start one, or check the address."
        ) from error
    try:
        yield client
    finally:
        with suppress(Exception):  # a scheduler that is gone cannot be told good-bye
            client.close(timeout=2)
        if cluster is not None:
            with suppress(Exception):
                cluster.close(timeout=5)


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
    stop = _StopFile(Path(job.output) / PARTS, job.run)
    flow = _Flow(client, job, tasks)
    try:
        while flow.fill():
            for found in flow.done(cancel):
                _add(tally, found)
                told(found)
            if cancel():
                raise Cancelled("Stopped; the same command goes on.")
    except BaseException:
        stop.ask()
        flow.let_commit()
        raise
    finally:
        stop.remove()


class _Flow:
    """Tasks on their way through a cluster, a bounded number at a time."""

    def __init__(self, client: Client, job: ClusterJob, tasks: Iterator[CorpusTask]) -> None:
        from distributed import as_completed

        self._client, self._job, self._tasks = client, job, tasks
        self._sent = client.scatter(job, broadcast=True, hash=False)
        self._under_way: dict[Any, CorpusTask] = {}
        self._again: deque[CorpusTask] = deque()
        self._answers = as_completed(with_results=False)
        self._number = 0

    def fill(self) -> bool:
        """Submit as many tasks as there is room for; false when none is left."""
        n_workers = len(self._client.scheduler_info(n_workers=-1)["workers"])
        room = _WINDOW * max(1, n_workers) - len(self._under_way)
        while room > 0:
            task = self._again.popleft() if self._again else next(self._tasks, None)
            if task is None:
                break
            self._number += 1
            key = f"safire-{self._job.run}-{self._number}-{task.name[:12]}"
            future = self._client.submit(
                answer_task, self._sent, task, key=key, retries=_RETRIES, pure=False
            )
            self._under_way[future] = task
            self._answers.add(future)
            room -= 1
        return bool(self._under_way)

    def done(self, cancel: Cancel) -> Iterator[Tally]:
        """Tell what came of tasks that are done, if any are within a moment."""
        until = time.monotonic() + _ASKED_EVERY
        while time.monotonic() < until and not cancel():
            if self._answers.has_ready():
                for future in self._answers.next_batch(block=False):
                    yield self._result(future, self._under_way.pop(future))
                return
            time.sleep(0.01)

    def _result(self, future: Any, task: CorpusTask) -> Tally:
        from distributed import KilledWorker

        try:
            found: tuple[Tally, bool] = future.result(timeout=30)
        except KilledWorker:
            return self._divided(task)
        except SafireError:
            raise
        except Exception as error:
            raise SafireError(
                f"A task could not be done by any worker ({type(error).__name__}: "
                f"{printable(error)[:200]}): what is committed stays; the same command goes on."
            ) from error
        return found[0]

    def _divided(self, task: CorpusTask) -> Tally:
        """Look in halves of a task for the picture that costs the workers their life."""
        number = len(task.pictures)
        if number > 1:
            self._again += (task.part(0, number // 2), task.part(number // 2, number))
            return Tally()
        work = CorpusWork(
            Manifest(Path(self._job.output)), self._job.settings, self._job.basis, _nobody
        )
        row = work.failed(task.pictures[0], task.attempts[0], "WorkerLost", _LOST)
        work.commit(task, [row])
        tally = Tally()
        tally.count(row)
        return tally

    def let_commit(self) -> None:
        """Give workers a moment to commit what they have answered."""
        until = time.monotonic() + 0.8
        while time.monotonic() < until and any(f.status == "pending" for f in self._under_way):
            time.sleep(0.02)


def _nobody(image: ReadImage, cancel: Cancel | None) -> Examination:
    raise NotImplementedError("nothing is asked here")


def new_run() -> str:
    """Name a run of a client."""
    return secrets.token_hex(6)


def _add(tally: Tally, found: Tally) -> None:
    tally.done += found.done
    tally.copies += found.copies
    tally.failed += found.failed
    tally.forged += found.forged
