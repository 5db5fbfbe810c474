"""Several tasks at once: each is answered once, a stop reaches all, errors stay with their task."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from napari_safire.examination.threads import as_completed


@pytest.mark.parametrize("jobs", [1, 3, 50])
def test_every_task_is_answered_once(jobs: int) -> None:
    found = list(as_completed(lambda task, cancel: task * task, range(20), jobs))
    assert sorted(found) == [(n, n * n) for n in range(20)]


def test_as_many_as_asked_are_under_way_and_no_more() -> None:
    jobs = 3
    together = threading.Barrier(jobs, timeout=30)
    lock = threading.Lock()
    at_once, most = 0, 0

    def work(task: int, cancel: Callable[[], bool]) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait()
        with lock:
            at_once -= 1
        together.wait()

    assert len(list(as_completed(work, range(2 * jobs), jobs))) == 2 * jobs
    assert most == jobs


def test_an_error_is_the_outcome_of_its_task() -> None:
    def work(task: int, cancel: Callable[[], bool]) -> int:
        if task == 2:
            raise ValueError("bad picture")
        return task

    found = dict(as_completed(work, range(4), 2))
    assert isinstance(found.pop(2), ValueError)
    assert found == {0: 0, 1: 1, 3: 3}


def test_tasks_are_taken_as_there_is_room() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    found = as_completed(lambda task, cancel: task, tasks(), 2)
    for _ in range(5):
        next(found)
    found.close()
    assert len(taken) < 20


def test_who_stops_listening_stops_the_work() -> None:
    begun: list[int] = []
    stopped: list[int] = []

    def work(task: int, cancel: Callable[[], bool]) -> int:
        begun.append(task)
        if task:
            while not cancel():
                pass
            stopped.append(task)
        return task

    found = as_completed(work, range(100), 2)
    assert next(found) == (0, 0)
    found.close()
    assert sorted(stopped) == sorted(task for task in begun if task)
    assert len(begun) < 10
    assert not [t for t in threading.enumerate() if t.name.startswith("napari-safire")]


def test_no_jobs_are_refused() -> None:
    with pytest.raises(ValueError, match="jobs is 0"):
        next(as_completed(lambda task, cancel: task, [1], 0))
