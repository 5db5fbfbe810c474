"""kill -9 while somebody works on a project: what was shown two seconds before is in it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
from queue_owner import make_pictures

from napari_safire.images.lists import ListEntry
from napari_safire.project.adding import add_pictures
from napari_safire.project.store import Project
from napari_safire.project.upkeep.verify import verify
from napari_safire.project.work import find_work, read_labels

TESTS = Path(__file__).parents[1]
GRACE_S = 2.0

WORK = """
import json, random, sys, time
from hashlib import sha256
from pathlib import Path
from queue_owner import Owner
from napari_safire.session.queue.project_pictures import ProjectPictures

folder, log = Path(sys.argv[1]), open(sys.argv[2], "a")
owner, dice = Owner(folder), random.Random(3)
owner.work.open_store(lambda: ProjectPictures.open(folder, "anna"), "project")
owner.settle()

def say(snapshot):
    digest = sha256(snapshot.labels.tobytes()).hexdigest()
    log.write(json.dumps([time.time(), digest]) + "\\n")
    log.flush()

owner.session.changed.connect(say)
while True:
    before = owner.plane.snapshot
    owner.paint(dice.randint(1, 250), row=dice.randint(0, 20))
    owner.until(lambda: owner.plane.snapshot is not before)
    time.sleep(0.05)
"""


def test_a_kill_loses_two_seconds_of_work_at_most(tmp_path: Path) -> None:
    photos = make_pictures(tmp_path / "photos", 1)
    folder, log = tmp_path / "project", tmp_path / "shown.jsonl"
    with Project.create(folder, author="anna") as project:
        (picture,) = add_pictures(project, [ListEntry(photos / "0.png", None)]).ids
    child = subprocess.Popen(
        [sys.executable, "-c", WORK, str(folder), str(log)],
        env={"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
    )
    end = time.monotonic() + 60
    while not (log.exists() and _seconds(log) > 1.25 * GRACE_S):
        assert time.monotonic() < end, "it has not begun"
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    killed = time.time()
    child.wait(10)
    shown = _shown(log)
    old_enough = [digest for at, digest in shown if at < killed - GRACE_S]
    with Project.open(folder) as project:
        assert verify(project).problems == ()
        work = find_work(project, picture, "anna")
        assert work is not None
        labels = read_labels(project, work)
        events = [event for event in project.events() if event.kind == "work.saved"]
        assert [event.body["revision"] for event in events] == list(range(1, len(events) + 1))
    kept = sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()
    order = [digest for _, digest in shown]
    assert kept in order
    assert order.index(kept) >= order.index(old_enough[-1])


def _shown(log: Path) -> list[tuple[float, str]]:
    lines = log.read_text().splitlines(keepends=True)
    return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]


def _seconds(log: Path) -> float:
    shown = _shown(log)
    return shown[-1][0] - shown[0][0] if shown else 0.0
