"""A corpus on many workers, simulated: how long it takes, what failures cost, what waits for what.

    python benchmarks/simulate_cluster.py --workers 1 2 --pictures 600 --rate 3.1
    python benchmarks/simulate_cluster.py --workers 1000 --pictures 100000000 --rate 3.1 --mtbf 24

A discrete-event simulation of `napari_safire.corpus.cluster`: tasks of 256 pictures that begin
small, three in flight for each worker, a scheduler and a client that handle one task at a time, a
file server of limited speed, workers that are lost (exponential, mean time between failures in
hours) and come back after a while, and whose task is then done again. What goes in is measured
(docs/scale.md says how); the first command is held against runs of one and two workers.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
from dataclasses import dataclass, field

WINDOW = 3  # tasks in flight for each worker, as corpus/cluster/flow.py has it


@dataclass(frozen=True)
class Measured:
    """What was measured of one worker, the scheduler and the disks.

    Parameters
    ----------
    rate : float
        Pictures a second of a worker.
    spread : float
        Standard deviation of a picture's time over its mean.
    scheduler : float
        Seconds of scheduler and client for a task.
    bytes_each : float
        That are read for a picture.
    disk : float
        Bytes a second that the file server gives to all workers together.
    begin : float
        Seconds until a worker that begins has its model.
    """

    rate: float
    spread: float = 0.6
    scheduler: float = 0.037
    bytes_each: float = 3e6
    disk: float = 5e9
    begin: float = 8.0


@dataclass
class Outcome:
    """What came of a simulated run."""

    seconds: float = 0.0
    done: int = 0
    again: int = 0
    lost_workers: int = 0
    scheduler_busy: float = 0.0
    waiting: list[float] = field(default_factory=list)


def simulate(
    pictures: int, workers: int, measured: Measured, mtbf_hours: float, size: int, seed: int
) -> Outcome:
    """Run it once."""
    rng = random.Random(seed)
    outcome, clock = Outcome(), 0.0
    numbers = itertools.count()
    sizes = _sizes(pictures, size)
    waiting: list[int] = []
    events: list[tuple[float, int, str, int]] = []
    life: dict[int, int] = dict.fromkeys(range(workers), 0)
    at_work: dict[int, int] = {}
    queued: dict[int, list[int]] = {worker: [] for worker in range(workers)}
    scheduler_free = 0.0
    in_flight = 0
    disk_share = measured.disk / workers

    def push(at: float, what: str, worker: int) -> None:
        heapq.heappush(events, (at, next(numbers), f"{what}:{life[worker]}", worker))

    def hand_out() -> None:
        """Give tasks to the workers that have the fewest, one after the other by the scheduler."""
        nonlocal scheduler_free, in_flight
        while in_flight < WINDOW * workers:
            task = waiting.pop() if waiting else next(sizes, 0)
            if not task:
                return
            worker = min(hungry, key=lambda w: len(queued[w]) + (w in at_work), default=None)
            if worker is None:
                waiting.append(task)
                return
            scheduler_free = max(scheduler_free, clock) + measured.scheduler
            outcome.scheduler_busy += measured.scheduler
            in_flight += 1
            queued[worker].append(task)
            if len(queued[worker]) + (worker in at_work) >= WINDOW:
                hungry.discard(worker)
            if worker not in at_work:
                _begin(worker, max(scheduler_free, clock))

    def _begin(worker: int, at: float) -> None:
        task = queued[worker].pop(0)
        at_work[worker] = task
        mean = task / measured.rate
        model = max(0.0, rng.gauss(mean, measured.spread * mean / task**0.5))
        push(at + max(model, task * measured.bytes_each / disk_share), "done", worker)

    hungry = set(range(workers))
    for worker in range(workers):
        if mtbf_hours:
            push(rng.expovariate(1 / (3600 * mtbf_hours)), "lost", worker)
    clock = measured.begin
    hand_out()
    while outcome.done < pictures and events:
        clock, _, told, worker = heapq.heappop(events)
        what, lived = told.split(":")
        if int(lived) != life[worker]:
            continue
        if what == "done":
            outcome.done += at_work.pop(worker)
            in_flight -= 1
            hungry.add(worker)
            if queued[worker]:
                _begin(worker, clock)
        elif what == "lost":
            outcome.lost_workers += 1
            life[worker] += 1
            back = [*queued[worker], *([at_work.pop(worker)] if worker in at_work else [])]
            outcome.again += sum(back[len(queued[worker]) :])
            waiting += back
            in_flight -= len(back)
            queued[worker].clear()
            hungry.discard(worker)
            push(clock + measured.begin, "back", worker)
        else:
            hungry.add(worker)
            push(clock + rng.expovariate(1 / (3600 * mtbf_hours)), "lost", worker)
        hand_out()
    outcome.seconds = clock
    return outcome


def _sizes(pictures: int, size: int):  # type: ignore[no-untyped-def]
    now, left = min(8, size), pictures
    while left > 0:
        yield min(now, left)
        left -= now
        now = min(2 * now, size)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options.add_argument("--pictures", type=int, default=600)
    options.add_argument("--rate", type=float, required=True, help="pictures a second of a worker")
    options.add_argument("--scheduler", type=float, default=0.037, help="seconds for a task")
    options.add_argument("--bytes", type=float, default=3e6, help="of a picture")
    options.add_argument("--disk", type=float, default=5e9, help="bytes a second, for all workers")
    options.add_argument("--begin", type=float, default=8.0, help="until a worker works")
    options.add_argument("--mtbf", type=float, default=0.0, help="hours; 0: nothing is lost")
    options.add_argument("--task-size", type=int, default=256)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    measured = Measured(
        given.rate, scheduler=given.scheduler, bytes_each=given.bytes, disk=given.disk,
        begin=given.begin,
    )  # fmt: skip
    for workers in given.workers:
        found = simulate(given.pictures, workers, measured, given.mtbf, given.task_size, given.seed)
        ideal = given.pictures / (given.rate * workers)
        print(
            f"{workers:,} workers: {found.done:,} pictures in {found.seconds:,.0f} s "
            f"({found.seconds / 3600:.2f} h), {ideal / found.seconds:.3f} of the ideal; "
            f"{found.lost_workers:,} workers lost, {found.again / found.done:.4f} done again; "
            f"scheduler busy {found.scheduler_busy / found.seconds:.3f}"
        )


if __name__ == "__main__":
    main()
