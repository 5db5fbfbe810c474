"""Projects under fire: writers are killed, and several processes write at once.

    python tests/robustness/kill_project.py --kills 200
    python tests/robustness/kill_project.py --processes 4 --seconds 120

A writer notes every change once the project has said that it is kept. After each kill the chain
must be valid, all that was noted must be there, and nothing half-written may have its final name.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from napari_safire.errors import SafireError
from napari_safire.project.adding import add_pictures
from napari_safire.project.chain.schema import STATE_TABLES
from napari_safire.project.collecting import collect_pictures
from napari_safire.project.pictures import project_pictures, tag_picture
from napari_safire.project.revisions import Changed
from napari_safire.project.store import DATABASE, Project
from napari_safire.project.upkeep.backup import back_up
from napari_safire.project.upkeep.verify import verify
from napari_safire.project.work import Step, find_work, finish, reopen, save_step

SHAPE = (120, 160)
N_PICTURES = 5


def make_project(folder: Path) -> Path:
    """A project of a few pictures."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(N_PICTURES):
        pixels = rng.integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.png")
    with Project.create(folder / "project", author="first") as project:
        add_pictures(project, collect_pictures(photos))
    return folder / "project"


def write(folder: Path, notes: Path, name: str, seed: int, seconds: float) -> None:
    """Change a project at random until killed, noting what was kept."""
    draw = random.Random(seed)
    rng = np.random.default_rng(seed)
    end = time.monotonic() + seconds
    with notes.open("a", encoding="utf-8") as file, Project.open(folder, author=name) as project:
        pictures = [one.id for one in project_pictures(project)]

        def note(**values: object) -> None:
            file.write(json.dumps(values) + "\n")
            file.flush()

        while time.monotonic() < end:
            picture, whose = draw.choice(pictures), draw.choice(("shared", name))
            work = find_work(project, picture, whose)
            revision = 0 if work is None else work.revision
            act = draw.random()
            try:
                if act < 0.7:
                    labels = rng.integers(1, 4, SHAPE, dtype=np.uint8)
                    kept = save_step(project, picture, whose, Step(labels, title=name), revision)
                    note(act="save", labels=kept.labels, picture=picture, whose=whose, by=name)
                elif act < 0.8 and work is not None and work.state == "begun":
                    finish(project, picture, whose, revision)
                    note(act="done", picture=picture, whose=whose, by=name)
                elif act < 0.85 and work is not None and work.state == "done":
                    reopen(project, picture, whose)
                    note(act="reopen", picture=picture, whose=whose, by=name)
                elif act < 0.95:
                    tag_picture(project, picture, [str(draw.random())])
                    note(act="tag", picture=picture, by=name)
                else:
                    target = folder.parent / f"backup {name} {draw.random()}"
                    back_up(project, target)
                    note(act="backup", path=str(target), by=name)
            except Changed:
                note(act="changed", by=name)
            except SafireError as error:
                if "not" in str(error) and "done" in str(error):  # the other was quicker
                    continue
                note(act="failed", error=str(error), by=name)


def kept_events(project: Project) -> Counter[str]:
    """What the chain holds, as the writers note it."""
    names = {"work.saved": "save", "work.done": "done", "work.reopened": "reopen"}
    names["picture.tagged"] = "tag"
    return Counter(
        f"{names[event.kind]} by {event.author}" for event in project.events()
        if event.kind in names
    )  # fmt: skip


def noted(notes: Path) -> list[dict[str, str]]:
    lines = notes.read_text().splitlines() if notes.exists() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:  # killed while noting
            continue
    return found


def check(folder: Path, notes: list[dict[str, str]], *, exact: bool = False) -> list[str]:
    """What is wrong; with `exact`, nothing may be there that was not noted either."""
    problems = []
    with Project.open(folder, author="check") as project:
        problems += verify(project).problems
        there = kept_events(project)
        labels = {event.body["labels"] for event in project.events() if event.kind == "work.saved"}
        counts = Counter(f"{n['act']} by {n['by']}" for n in notes)
        for what, count in counts.items():
            act = what.split()[0]
            if act in ("save", "done", "reopen", "tag") and there[what] < count:
                problems.append(f"lost: {what}: {there[what]} of {count}")
            if exact and act in ("save", "done", "reopen", "tag") and there[what] != count:
                problems.append(f"not noted: {what}: {there[what]} of {count}")
        problems += [f"lost labels {n['labels']}" for n in notes if n["act"] == "save"
                     and n["labels"] not in labels]  # fmt: skip
    problems += [f"failed: {n['error']}" for n in notes if n["act"] == "failed"]
    for backup in folder.parent.glob("backup *"):
        with Project.open(backup, read_only=True) as copy:
            problems += [f"{backup.name}: {p}" for p in verify(copy).problems]
    return problems


def downgrade(folder: Path) -> None:
    """Make it a project of the first schema, so that opening it migrates."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        for table in reversed(STATE_TABLES):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute("DROP INDEX IF EXISTS event_by_picture")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


def start(folder: Path, notes: Path, name: str, seed: int, seconds: float) -> subprocess.Popen:
    command = [sys.executable, __file__, "--write", str(folder), str(notes), name, str(seed),
               str(seconds)]  # fmt: skip
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def kill_loop(root: Path, kills: int, seed: int = 0) -> list[str]:
    """Kill writers at random; give what was wrong."""
    folder, notes, draw = make_project(root), root / "notes", random.Random(seed)
    problems: list[str] = []
    for number in range(kills):
        if number % 5 == 4:
            downgrade(folder)
        writers = [start(folder, notes, f"writer {number} {n}", draw.randrange(1 << 30), 60)
                   for n in range(draw.choice((1, 1, 2)))]  # fmt: skip
        time.sleep(0.6 + draw.random() * 0.9)  # half of it is Python's start
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        problems += [f"kill {number}: {p}" for p in check(folder, noted(notes))]
        for backup in root.glob("backup *"):
            shutil.rmtree(backup)
        if problems:
            break
    counts = Counter(note["act"] for note in noted(notes))
    print(f"{kills} kills, {dict(counts)} kept before them: {len(problems)} problems")
    return problems


def at_once(root: Path, processes: int, seconds: float) -> list[str]:
    """Let several write at once; give what was wrong."""
    folder = make_project(root)
    writers = [start(folder, root / f"notes {n}", f"writer {n}", n, seconds)
               for n in range(processes)]  # fmt: skip
    codes = [writer.wait() for writer in writers]
    notes = [note for n in range(processes) for note in noted(root / f"notes {n}")]
    counts = Counter(note["act"] for note in notes)
    print(f"{processes} processes, {seconds:.0f} s: {dict(counts)}")
    problems = [f"a writer ended with {code}" for code in codes if code]
    return problems + check(folder, notes, exact=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", nargs=5)
    given = parser.parse_args()
    if given.write:
        folder, notes, name, seed, seconds = given.write
        write(Path(folder), Path(notes), name, int(seed), float(seconds))
        return
    with tempfile.TemporaryDirectory() as root:
        problems = []
        if given.kills:
            problems += kill_loop(Path(root) / "kills", given.kills, given.seed)
        if given.processes:
            problems += at_once(Path(root) / "at once", given.processes, given.seconds)
    for problem in problems:
        print(problem)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
