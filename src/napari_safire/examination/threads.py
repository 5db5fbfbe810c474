"""Many pictures at once: while the model reads one, others are decoded, clustered and written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from napari_safire.progress import Cancel

T = TypeVar("T")
R = TypeVar("R")


def as_completed(
    work: Callable[[T, Cancel], R], tasks: Iterable[T], jobs: int
) -> Generator[tuple[T, R | Exception]]:
    """Do a piece of work for every task, several at once, and yield each as it is done.

    If the caller stops iterating, or an exception of its own goes through (Ctrl-C), no further
    task is begun, the ones under way are asked to stop, and only then it goes on.

    Parameters
    ----------
    work : callable
        ``work(task, cancel)``, called in threads; ``cancel()`` says whether it should stop.
    tasks : iterable
        Taken one by one as there is room.
    jobs : int
        Tasks under way at once.

    Yields
    ------
    task : object
    outcome : object or Exception
        What `work` returned or raised.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}, but at least one task must be under way.")
    stop = threading.Event()
    left = iter(tasks)
    with ThreadPoolExecutor(jobs, "napari-safire") as workers:

        def begin(count: int) -> dict[Future[R], T]:
            return {workers.submit(work, task, stop.is_set): task for task in islice(left, count)}

        under_way = begin(jobs)
        try:
            while under_way:
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                finished = [(under_way.pop(future), future) for future in done]
                under_way |= begin(len(done))
                for task, future in finished:
                    error = future.exception()
                    if error is not None and not isinstance(error, Exception):
                        raise error
                    yield task, error if error is not None else future.result()
        finally:
            stop.set()
