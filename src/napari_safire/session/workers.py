"""Work off the viewer's thread: one worker, one thread, urgent jobs first.

A model answers one question at a time; two threads that share two cores make each other slower.
So all work of one kind goes through one `Worker`. A click must not wait for a grid of 256 prompts,
though: whenever a long job asks ``cancel()`` (the engine does so between two batches) the urgent
jobs that wait are done first, in the same thread. What nobody has asked for yet, such as embedding
the next picture ahead, gives way to all other jobs in the same manner.

There is no thread while there is nothing to do: it starts with the first job and ends after the
last one, so that nothing is left over when a viewer closes. Python's exit waits for the step that
is being done, and no longer: a job whose program has ended counts as cancelled. Workers that keep
what users made are *lasting*: the exit waits for all of their jobs.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from napari_safire.errors import Cancelled
from napari_safire.progress import Cancel, Progress

Deliver = Callable[[Callable[[], None]], None]
"""Takes a call made in any thread and makes it in the thread that owns the results."""

Work = Callable[[Progress, Cancel], Any]


@dataclass(eq=False)
class Job:
    """One piece of work and what follows it.

    Parameters
    ----------
    title : str
        For the progress bar: "Reading the picture's traces".
    work : callable
        ``work(progress, cancel)``, called in the worker's thread.
    done : callable
        Takes the result, in the owner's thread; not called for a cancelled job.
    failed : callable
        Takes the exception, in the owner's thread; not called for a cancelled job.
    urgent : bool
        Goes before, and in between the steps of, jobs that are not.
    topic : hashable, optional
        A newer job on the same topic cancels this one: stale answers are dropped.
    ahead : bool
        Nobody waits for it yet: it comes after all others, and gives way to them between its steps.
    """

    title: str
    work: Work
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    urgent: bool = False
    topic: Hashable | None = None
    ahead: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)


class Worker:
    """Does jobs one after the other in a thread of its own.

    Parameters
    ----------
    deliver : callable
        Makes a call in the owner's thread; results, failures and reports go through it.
    watch : callable, optional
        ``watch(job, done, total, stage)`` in the owner's thread, when a job that is not urgent
        starts (0, 0, its title), reports progress, and with None for the job when all is done.
        What is done ahead is not reported.
    lasting : bool
        Python's exit waits for all jobs, and one that comes even later is done at once.
    """

    def __init__(
        self,
        deliver: Deliver,
        watch: Callable[[Job | None, int, int, str], None] | None = None,
        *,
        lasting: bool = False,
    ) -> None:
        self._deliver = deliver
        self._watch = watch
        self._lasting = lasting
        self._lock = threading.Lock()
        self._urgent: deque[Job] = deque()
        self._others: deque[Job] = deque()
        self._ahead: deque[Job] = deque()
        self._running: list[Job] = []  # the last one is being done, those before it wait for it
        self._on_the_way: list[Job] = []  # done, but the owner has not been told yet
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether any job is waiting or being done."""
        with self._lock:
            return bool(self._waiting() or self._running)

    @property
    def settled(self) -> bool:
        """Whether all jobs are done and their owner has heard of them."""
        with self._lock:
            return not self._unanswered()

    def submit(self, job: Job) -> Job:
        """Queue a job; older jobs on its topic are cancelled.

        Raises
        ------
        RuntimeError
            The worker is closed.
        """
        too_late = False
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{job.title!r} came after the worker was closed.")
            if job.topic is not None:
                for other in self._unanswered():
                    if other.topic == job.topic:
                        other.cancelled.set()
            waiting = self._ahead if job.ahead else self._urgent if job.urgent else self._others
            waiting.append(job)
            if self._thread is None:
                # Not a daemon: a daemon in the middle of a matrix product crashes Python's exit.
                self._thread = threading.Thread(target=self._drain, name="napari-safire")
                try:
                    self._thread.start()
                except RuntimeError:  # Python is at its end and gives out no more threads
                    self._thread = None
                    if not self._lasting:
                        raise
                    too_late = True
        if too_late:
            self._drain()
        return job

    def cancel(self, *, urgent: bool = True) -> None:
        """Stop everything that waits or runs; with ``urgent=False`` only what takes long.

        Answers that are on their way are dropped as well: they belong to what was before.
        """
        with self._lock:
            for job in self._unanswered():
                if urgent or not job.urgent:
                    job.cancelled.set()

    def expect(self, job: Job) -> None:
        """Somebody waits for a job that was done ahead: it gives way to urgent ones only."""
        with self._lock:
            job.ahead = False
            if job in self._ahead:
                self._ahead.remove(job)
                self._others.append(job)

    def cancel_topic(self, topic: Hashable) -> None:
        """Stop what waits or runs on a topic."""
        with self._lock:
            for job in self._unanswered():
                if job.topic == topic:
                    job.cancelled.set()

    def close(self) -> None:
        """Stop everything and take no more jobs; nothing is delivered after this call."""
        with self._lock:
            self._closed = True
            jobs = self._unanswered()
            for waiting in (self._urgent, self._others, self._ahead):
                waiting.clear()
        for job in jobs:
            job.cancelled.set()
            # They hold widgets, and a widget must not lose its last reference in our thread.
            job.done = job.failed = _ignore

    def finish(self, timeout: float) -> bool:
        """Wait until all jobs are done, whether their owner has heard of them or not.

        Parameters
        ----------
        timeout : float
            Seconds.

        Returns
        -------
        bool
            False if they were not done in time.
        """
        end = time.monotonic() + timeout
        while self.busy:
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.join(min(left, 0.1))
        return True

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end; false if it did not in time."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _waiting(self) -> list[Job]:
        """Return all jobs that nobody has begun; call it with the lock."""
        return [*self._urgent, *self._others, *self._ahead]

    def _unanswered(self) -> list[Job]:
        """Return all jobs whose owner has heard nothing yet; call it with the lock."""
        return [*self._waiting(), *self._running, *self._on_the_way]

    def _drain(self) -> None:
        while True:
            while (job := self._next(self._urgent, self._others, self._ahead)) is not None:
                self._do(job)
            # Before this thread gives up its place, or the next one's first report came earlier.
            self._report(None, 0, 0, "")
            with self._lock:
                if not self._waiting():
                    self._thread = None
                    return

    def _serve(self, *queues: deque[Job]) -> None:
        while (job := self._next(*queues)) is not None:
            self._do(job)

    def _next(self, *queues: deque[Job]) -> Job | None:
        """Take the next job, if there is one; from here on it counts as running."""
        with self._lock:
            for jobs in queues:
                if jobs:
                    self._running.append(jobs[0])
                    return jobs.popleft()
        return None

    def _do(self, job: Job) -> None:
        def cancel() -> bool:
            # Downloads ask from a thread of their own as well.
            if not job.urgent and threading.current_thread() is self._thread:
                self._serve(self._urgent, *((self._others,) if job.ahead else ()))
            return self._is_over(job)

        def progress(done: int, total: int, stage: str) -> None:
            self._report(job, done, total, stage)

        try:
            if self._is_over(job):
                return
            if not job.urgent:
                self._report(job, 0, 0, job.title)
            result = job.work(progress, cancel)
        except Cancelled:
            # Also where a job stops itself: whoever asked for it needs no answer.
            return
        except Exception as error:
            self._answer(job, error, failed=True)
        else:
            self._answer(job, result)
        finally:
            with self._lock:
                self._running.remove(job)

    def _answer(self, job: Job, value: Any, *, failed: bool = False) -> None:
        def call() -> None:
            with self._lock:
                self._on_the_way.remove(job)
            # Asked again in the owner's thread: it may have cancelled or closed meanwhile.
            if not (job.cancelled.is_set() or self._closed):
                (job.failed if failed else job.done)(value)

        with self._lock:
            if self._closed:
                return
            self._on_the_way.append(job)
        self._deliver(call)

    def _is_over(self, job: Job) -> bool:
        """Whether nobody waits for a job: it was cancelled, or the program came to its end."""
        at_end = not self._lasting and not threading.main_thread().is_alive()
        return at_end or job.cancelled.is_set()

    def _report(self, job: Job | None, done: int, total: int, stage: str) -> None:
        watch = self._watch
        if watch is None or self._closed or (job is not None and (job.urgent or job.ahead)):
            return

        def call() -> None:
            if not (self._closed or (job is not None and job.cancelled.is_set())):
                watch(job, done, total, stage)

        self._deliver(call)


def _ignore(_: Any) -> None:
    """Take an answer that nobody waits for."""
