"""The lane of jobs: order, urgency, cancelling, failing, closing, and many threads at once."""

from __future__ import annotations

import gc
import queue
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_safire.errors import Cancelled
from napari_safire.progress import Cancel, Progress, report
from napari_safire.session.workers import Job, Worker

PATIENCE = 60.0  # seconds; a guard against hanging


class Owner:
    """Makes what a lane delivers, in the thread of the test, and writes down what it hears."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.answers: list[Any] = []
        self.failures: list[Exception] = []
        self.reports: list[tuple[str | None, int, int, str]] = []
        self.heard_in: set[threading.Thread] = set()
        self.lane = Worker(self.calls.put, self._watch)

    def job(self, name: Any, work: Callable[[Progress, Cancel], Any], **options: Any) -> Job:
        return Job(str(name), work, self._done, self.failures.append, **options)

    def submit(
        self, name: Any, work: Callable[[Progress, Cancel], Any] | None = None, **options: Any
    ) -> Job:
        """Submit a job that answers its name, or what its work gives."""
        return self.lane.submit(self.job(name, work or (lambda progress, cancel: name), **options))

    def make_calls(self) -> None:
        while not self.calls.empty():
            self.calls.get()()

    def settle(self) -> None:
        """Until nothing is left to do or to deliver."""
        self.until(lambda: not self.lane.busy)
        assert self.lane.join(PATIENCE)
        self.make_calls()

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            self.make_calls()
            time.sleep(0.001)

    def _done(self, answer: Any) -> None:
        self.heard_in.add(threading.current_thread())
        self.answers.append(answer)

    def _watch(self, job: Job | None, done: int, total: int, stage: str) -> None:
        self.heard_in.add(threading.current_thread())
        self.reports.append((None if job is None else job.title, done, total, stage))


class Gate:
    """Work that says when it begins and then waits, asking whether to stop."""

    def __init__(self, answer: Any = "gate") -> None:
        self.began = threading.Event()
        self.open = threading.Event()
        self.answer = answer

    def __call__(self, progress: Progress, cancel: Cancel) -> Any:
        self.began.set()
        end = time.monotonic() + PATIENCE
        while not self.open.wait(0.001):
            report(progress, cancel, 0, 1, "waiting")
            if time.monotonic() > end:
                raise TimeoutError("nobody opened the gate")
        return self.answer

    def wait(self) -> None:
        assert self.began.wait(PATIENCE)


@pytest.fixture
def owner() -> Iterator[Owner]:
    made = Owner()
    yield made
    made.lane.close()
    assert made.lane.join(PATIENCE)


def safire_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "napari-safire"]


# ------------------------------------------------------------------- order


def test_jobs_are_done_in_their_order_in_one_other_thread(owner: Owner) -> None:
    threads = set()

    def work_of(number: int) -> Callable[[Progress, Cancel], int]:
        def work(progress: Progress, cancel: Cancel) -> int:
            threads.add(threading.current_thread().name)
            return number

        return work

    gate = Gate()
    owner.submit("gate", gate)
    for number in range(20):
        owner.submit(number, work_of(number))
    gate.open.set()
    owner.settle()
    assert owner.answers == ["gate", *range(20)]
    assert threads == {"napari-safire"}
    assert owner.heard_in == {threading.current_thread()}


def test_urgent_jobs_go_before_those_that_wait(owner: Owner) -> None:
    gate = Gate()
    owner.submit("gate", gate, urgent=True)
    gate.wait()
    owner.submit("slow")
    owner.submit("first click", urgent=True)
    owner.submit("second click", urgent=True)
    gate.open.set()
    owner.settle()
    assert owner.answers == ["gate", "first click", "second click", "slow"]


def test_urgent_jobs_are_done_between_the_steps_of_a_long_one(owner: Owner) -> None:
    gate = Gate("grid")
    owner.submit("grid", gate)
    gate.wait()
    owner.submit("click", urgent=True)
    owner.until(lambda: owner.answers == ["click"])
    gate.open.set()
    owner.settle()
    assert owner.answers == ["click", "grid"]


def test_what_is_done_ahead_gives_way_to_all_other_jobs(owner: Owner) -> None:
    gate = Gate("ahead")
    owner.submit("ahead", gate, ahead=True)
    gate.wait()
    owner.submit("next ahead", ahead=True)
    owner.submit("partition")
    owner.submit("click", urgent=True)
    owner.until(lambda: owner.answers == ["click", "partition"])
    gate.open.set()
    owner.settle()
    assert owner.answers == ["click", "partition", "ahead", "next ahead"]
    assert "ahead" not in {title for title, *_ in owner.reports}


def test_what_was_done_ahead_is_finished_first_once_somebody_waits_for_it(owner: Owner) -> None:
    gate, waiting = Gate("ahead"), Gate("other")
    running = owner.submit("ahead", gate, ahead=True)
    gate.wait()
    second = owner.submit("second ahead", ahead=True)
    owner.lane.expect(running)
    owner.lane.expect(second)
    owner.submit("embed", waiting)
    owner.submit("click", urgent=True)
    owner.until(lambda: owner.answers == ["click"])
    gate.open.set()
    waiting.open.set()
    owner.settle()
    assert owner.answers == ["click", "ahead", "second ahead", "other"]


def test_urgent_jobs_do_not_interrupt_each_other(owner: Owner) -> None:
    gate = Gate("first")
    owner.submit("first", gate, urgent=True)
    gate.wait()
    owner.submit("second", urgent=True)
    for _ in range(20):
        owner.make_calls()
        time.sleep(0.001)
    assert owner.answers == []
    gate.open.set()
    owner.settle()
    assert owner.answers == ["first", "second"]


def test_an_urgent_job_that_fails_does_not_touch_the_one_it_interrupts(owner: Owner) -> None:
    def fail(progress: Progress, cancel: Cancel) -> None:
        raise ValueError("no such place")

    gate = Gate("grid")
    owner.submit("grid", gate)
    gate.wait()
    owner.submit("click", fail, urgent=True)
    owner.until(lambda: len(owner.failures) == 1)
    gate.open.set()
    owner.settle()
    assert owner.answers == ["grid"]


def test_asking_from_another_thread_does_no_urgent_work_there(owner: Owner) -> None:
    """Downloads ask from threads of their own whether to stop."""
    threads: list[threading.Thread] = []

    def click(progress: Progress, cancel: Cancel) -> str:
        threads.append(threading.current_thread())
        return "click"

    began, submitted = threading.Event(), threading.Event()

    def download(progress: Progress, cancel: Cancel) -> str:
        began.set()
        assert submitted.wait(PATIENCE)
        asked = threading.Thread(target=cancel)
        asked.start()
        asked.join(PATIENCE)
        assert threads == []
        cancel()
        return "download"

    owner.submit("download", download)
    assert began.wait(PATIENCE)
    owner.submit("click", click, urgent=True)
    submitted.set()
    owner.settle()
    assert owner.failures == []
    assert [thread.name for thread in threads] == ["napari-safire"]


@given(st.lists(st.booleans(), max_size=30))
def test_whatever_is_submitted_while_busy_comes_urgent_first_and_else_in_order(
    kinds: list[bool],
) -> None:
    owner, gate = Owner(), Gate()
    owner.submit("gate", gate, urgent=True)
    gate.wait()
    for number, urgent in enumerate(kinds):
        owner.submit(number, urgent=urgent)
    gate.open.set()
    owner.settle()
    urgent_ones = [number for number, urgent in enumerate(kinds) if urgent]
    others = [number for number, urgent in enumerate(kinds) if not urgent]
    assert owner.answers == ["gate", *urgent_ones, *others]


# ------------------------------------------------------------------- cancelling


def test_a_newer_job_on_a_topic_replaces_the_older_ones(owner: Owner) -> None:
    gate = Gate("running")
    owner.submit("running", gate, topic="place")
    gate.wait()
    owner.submit("waiting", topic="place")
    owner.submit("elsewhere", topic="other place")
    owner.submit("newest", topic="place")
    owner.settle()
    assert owner.answers == ["elsewhere", "newest"]
    assert owner.failures == []


def test_an_answer_that_was_overtaken_on_its_way_is_dropped(owner: Owner) -> None:
    owner.submit("old", topic="place")
    assert owner.lane.join(PATIENCE)
    assert not owner.calls.empty()
    owner.submit("new", topic="place")
    owner.settle()
    assert owner.answers == ["new"]


@pytest.mark.parametrize("how", ["cancel", "cancel_topic"])
def test_an_answer_on_its_way_is_dropped_by_cancel(owner: Owner, how: str) -> None:
    """Else the embedding of one model could arrive after another was chosen."""
    owner.submit("old", topic="place")
    assert owner.lane.join(PATIENCE)
    getattr(owner.lane, how)(*(["place"] if how == "cancel_topic" else []))
    owner.settle()
    assert owner.answers == []


def test_jobs_without_a_topic_do_not_replace_each_other(owner: Owner) -> None:
    for number in range(5):
        owner.submit(number)
    owner.settle()
    assert owner.answers == [0, 1, 2, 3, 4]


def test_cancel_stops_what_runs_and_what_waits(owner: Owner) -> None:
    gate = Gate()
    owner.submit("running", gate)
    gate.wait()
    owner.submit("waiting")
    owner.submit("urgent", urgent=True)
    owner.lane.cancel()
    owner.settle()
    assert owner.answers == []
    assert owner.failures == []
    owner.submit("afterwards")
    owner.settle()
    assert owner.answers == ["afterwards"]


def test_cancel_can_spare_what_is_urgent(owner: Owner) -> None:
    gate = Gate("click")
    owner.submit("click", gate, urgent=True)
    gate.wait()
    owner.submit("grid")
    owner.lane.cancel(urgent=False)
    gate.open.set()
    owner.settle()
    assert owner.answers == ["click"]


def test_cancel_topic_stops_that_topic_only(owner: Owner) -> None:
    gate = Gate("here")
    owner.submit("here", gate, topic="here")
    gate.wait()
    owner.submit("there", topic="there")
    owner.lane.cancel_topic("there")
    owner.lane.cancel_topic("nowhere")
    gate.open.set()
    owner.settle()
    assert owner.answers == ["here"]


def test_cancel_from_a_second_thread_stops_a_job(owner: Owner) -> None:
    gate = Gate()
    owner.submit("running", gate)
    gate.wait()
    other = threading.Thread(target=owner.lane.cancel)
    other.start()
    other.join(PATIENCE)
    owner.settle()
    assert owner.answers == []
    assert owner.failures == []


def test_a_job_that_does_not_ask_is_finished_but_its_answer_is_dropped(owner: Owner) -> None:
    began, go = threading.Event(), threading.Event()
    finished = []

    def deaf(progress: Progress, cancel: Cancel) -> str:
        began.set()
        assert go.wait(PATIENCE)
        finished.append(True)
        return "deaf"

    owner.submit("deaf", deaf)
    assert began.wait(PATIENCE)
    owner.lane.cancel()
    go.set()
    owner.settle()
    assert finished == [True]
    assert owner.answers == []


def test_a_job_may_give_up_by_itself(owner: Owner) -> None:
    def give_up(progress: Progress, cancel: Cancel) -> None:
        raise Cancelled

    owner.submit("giving up", give_up)
    owner.settle()
    assert owner.answers == []
    assert owner.failures == []


# ------------------------------------------------------------------- failing


@pytest.mark.parametrize("error", [ValueError("wrong"), MemoryError(), OSError(28, "full")])
def test_what_a_job_raises_is_handed_over_and_the_lane_goes_on(
    owner: Owner, error: Exception
) -> None:
    def fail(progress: Progress, cancel: Cancel) -> None:
        raise error

    owner.submit("failing", fail)
    owner.submit("next")
    owner.settle()
    assert owner.failures == [error]
    assert owner.answers == ["next"]


def test_a_done_that_raises_does_so_in_its_owners_thread_and_stops_nothing(owner: Owner) -> None:
    def explode(answer: Any) -> None:
        raise LookupError("the layer is gone")

    owner.lane.submit(Job("odd", lambda progress, cancel: 1, explode, owner.failures.append))
    owner.submit("next")
    assert owner.lane.join(PATIENCE)
    with pytest.raises(LookupError, match="layer is gone"):
        owner.make_calls()
    owner.settle()
    assert owner.answers == ["next"]
    assert owner.failures == []


# ------------------------------------------------------------------- reports


def test_reports_tell_of_long_jobs_and_of_the_end(owner: Owner) -> None:
    def work(progress: Progress, cancel: Cancel) -> None:
        for step in range(3):
            report(progress, cancel, step, 3, "stepping")

    owner.submit("long", work)
    owner.settle()
    assert owner.reports == [
        ("long", 0, 0, "long"),
        *[("long", step, 3, "stepping") for step in range(3)],
        (None, 0, 0, ""),
    ]


def test_reports_do_not_tell_of_urgent_jobs(owner: Owner) -> None:
    owner.submit("click", lambda p, c: report(p, c, 1, 2, "clicking"), urgent=True)
    owner.settle()
    assert owner.reports == [(None, 0, 0, "")]


def test_a_cancelled_job_is_reported_no_more(owner: Owner) -> None:
    gate = Gate()
    owner.submit("long", gate)
    gate.wait()
    owner.lane.cancel()
    owner.settle()
    assert owner.reports == [(None, 0, 0, "")]


def test_the_end_is_the_last_report_however_jobs_come(owner: Owner) -> None:
    """A job that comes while the lane winds up must not have its bar taken away."""
    for number in range(300):
        owner.submit(number)
        time.sleep(0.0002 * (number % 4))
    owner.settle()
    titles = [title for title, *_ in owner.reports]
    assert titles[-1] is None
    started = [title for title in titles if title is not None]
    assert started == [str(number) for number in range(300)]


def test_a_lane_needs_nobody_who_watches() -> None:
    owner = Owner()
    lane = Worker(owner.calls.put)
    lane.submit(owner.job("quiet", lambda p, c: report(p, c, 1, 1, "")))
    assert lane.join(PATIENCE)
    owner.make_calls()
    assert owner.answers == [None]


# ------------------------------------------------------------------- closing, threads


def test_there_is_no_thread_while_there_is_nothing_to_do(owner: Owner) -> None:
    assert safire_threads() == []
    for number in range(3):
        owner.submit(number)
        owner.settle()
        assert safire_threads() == []
    assert owner.answers == [0, 1, 2]


def test_never_more_than_one_thread_works(owner: Owner) -> None:
    most = 0

    def work(progress: Progress, cancel: Cancel) -> None:
        nonlocal most
        most = max(most, len(safire_threads()))

    for number in range(500):
        owner.submit(number, work)
        if number % 7 == 0:
            time.sleep(0.0005)
    owner.settle()
    assert len(owner.answers) == 500
    assert most == 1


def test_closing_in_the_middle_stops_the_work_and_drops_all_that_was_to_be_said(
    owner: Owner,
) -> None:
    gate = Gate()
    owner.submit("done", urgent=True)
    assert owner.lane.join(PATIENCE)
    owner.submit("running", gate)
    gate.wait()
    owner.submit("waiting")
    owner.lane.close()
    assert owner.lane.join(PATIENCE)
    owner.make_calls()
    assert owner.answers == []
    assert owner.failures == []
    assert owner.reports == []
    assert safire_threads() == []
    assert not owner.lane.busy


def test_closing_twice_is_no_mistake_but_submitting_afterwards_is(owner: Owner) -> None:
    owner.lane.close()
    owner.lane.close()
    with pytest.raises(RuntimeError, match="'late' came after the worker was closed"):
        owner.submit("late")


def test_nothing_is_delivered_after_closing(owner: Owner) -> None:
    began, go = threading.Event(), threading.Event()

    def deaf(progress: Progress, cancel: Cancel) -> str:
        began.set()
        assert go.wait(PATIENCE)
        progress(1, 2, "late")
        return "late"

    owner.submit("deaf", deaf)
    assert began.wait(PATIENCE)
    owner.make_calls()
    owner.lane.close()
    go.set()
    assert owner.lane.join(PATIENCE)
    assert owner.calls.empty()


def test_closing_lets_go_of_what_the_jobs_would_have_called() -> None:
    """Widgets must not lose their last reference in the thread of a lane."""

    class Widget:
        def take(self, answer: Any) -> None:
            raise AssertionError("it was closed")

    owner, widget, gate = Owner(), Widget(), threading.Event()
    began = threading.Event()

    def deaf(progress: Progress, cancel: Cancel) -> None:
        began.set()
        assert gate.wait(PATIENCE)

    for name in ("running", "waiting"):
        owner.lane.submit(Job(name, deaf, widget.take, widget.take))
    assert began.wait(PATIENCE)
    trace = weakref.ref(widget)
    owner.lane.close()
    del widget
    gc.collect()
    assert trace() is None
    assert safire_threads()  # while the work still goes on
    gate.set()
    assert owner.lane.join(PATIENCE)


def test_join_says_whether_the_thread_ended(owner: Owner) -> None:
    assert owner.lane.join(0)
    gate = Gate()
    owner.submit("running", gate)
    gate.wait()
    assert not owner.lane.join(0.01)
    gate.open.set()
    assert owner.lane.join(PATIENCE)


def test_a_program_that_ends_waits_for_one_step_and_not_for_the_job() -> None:
    script = """
import threading, time
from napari_safire.progress import report
from napari_safire.session.workers import Job, Worker

began = threading.Event()

def work(progress, cancel):
    for step in range(100_000):
        began.set()
        report(progress, cancel, step, 100_000, "endless")
        time.sleep(0.01)

lane = Worker(lambda call: None)
for number in range(10):
    lane.submit(Job(str(number), work, print, print))
began.wait()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0
    assert ended.stderr == ""


# ------------------------------------------------------------------- many at once


def test_thousands_of_jobs_from_several_threads_are_each_answered_once(owner: Owner) -> None:
    def submit_many(first: int) -> None:
        for number in range(first, first + 500):
            owner.submit(number, urgent=number % 3 == 0)

    threads = [threading.Thread(target=submit_many, args=(500 * k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    owner.until(lambda: not any(thread.is_alive() for thread in threads))
    owner.settle()
    assert sorted(owner.answers) == list(range(3000))
    for first in range(0, 3000, 500):  # each thread's own order holds among jobs of one kind
        for rest in (0, 1):
            own = [n for n in owner.answers if first <= n < first + 500 and (n % 3 == 0) == rest]
            assert own == sorted(own)


def test_submitting_cancelling_and_closing_at_once_leaves_nothing_behind() -> None:
    for _ in range(20):
        owner = Owner()
        refused = threading.Event()

        def submit_many(owner: Owner = owner, refused: threading.Event = refused) -> None:
            for number in range(2000):
                try:
                    owner.submit(
                        number,
                        lambda p, c: report(p, c, 0, 1, "step"),
                        urgent=number % 2 == 0,
                        topic=number % 5,
                    )
                except RuntimeError:
                    refused.set()
                    return

        threads = [threading.Thread(target=submit_many) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            owner.lane.cancel()
            owner.lane.cancel_topic(3)
            owner.make_calls()
        owner.lane.close()
        heard = len(owner.answers)
        for thread in threads:
            thread.join(PATIENCE)
        assert owner.lane.join(PATIENCE)
        owner.make_calls()
        assert len(owner.answers) == heard
        assert owner.failures == []
        assert not owner.lane.busy
        assert safire_threads() == []
