"""kill -9 at random moments of a scripted dock session; what was shown 2 s before must be there.

Run it from the repository's root, with a screen or Xvfb, and as many rounds as there is time for::

    xvfb-run -a .venv/bin/python tests/robustness/kill_dock.py 100

Every round starts napari with the dock, an engine whose answers are foreseeable and a series of
small pictures. A script places prompts, paints, erases, partitions, undoes, commits, goes to the
next picture and marks some as done; it writes down when which labels and prompts were on screen.
After the kill the autosave and the files of the series are read as the next dock reads them. The
last line must be ``RESULT … lost 0``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1]
SHAPE = (90, 120)
PICTURES = 4
GRACE_S = 2.0
LONGEST_S = 20.0


def digest(labels: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(labels, np.uint8).tobytes()).hexdigest()[:16]


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (*SHAPE, 3), np.uint8)


# -------------------------------------------------------------------- the session that is killed


def work(folder: Path, log: Path, seed: int) -> None:
    """Go on for ever; whoever started this kills it."""
    import napari
    from fakes import FakeEngine
    from qtpy.QtWidgets import QApplication

    from napari_safire.gui.widget import SafireWidget
    from napari_safire.session.autosave import Autosave
    from napari_safire.settings import PartitionSettings

    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(kind: str, image: str, labels: np.ndarray, n_prompts: int) -> None:
        line = [time.time(), kind, image, digest(labels), n_prompts]
        os.write(out, json.dumps(line).encode() + b"\n")

    keep = Autosave.keep

    def logged(self: Autosave, name: str, image: str, made: Any, **how: Any) -> bool:
        annotation = made.annotation
        say("made", image, annotation.shown(), len(annotation.prompts))
        return keep(self, name, image, made, **how)

    Autosave.keep = logged  # type: ignore[method-assign]
    dice = random.Random(seed)
    engine = FakeEngine(step_s=0.005)
    viewer = napari.Viewer()
    viewer.window.resize(600, 400)  # where the processor draws, most of the time goes into it
    widget = SafireWidget(viewer, load_engine=lambda name, device, notice: engine)
    viewer.window.add_dock_widget(widget, name="SAFIRE", area="right")
    controller, series = widget.controller, widget.workspace.queue

    def painted(snapshot: Any) -> None:
        image = controller.session.planes[snapshot.key].pixels.sha256
        if image:
            say("shown", image, snapshot.labels, len(snapshot.annotation.prompts))

    controller.painted.connect(painted)

    def pump(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.002)

    def prompt() -> None:
        controller.mode.source = dice.randint(1, 3)
        controller.add_prompts()
        layer = controller.layer_group.prompts
        layer.add((dice.uniform(0, SHAPE[0] - 1), dice.uniform(0, SHAPE[1] - 1)))

    def stroke() -> None:
        layer = controller.sources_layer
        if layer is not None:
            layer.brush_size = dice.randint(2, 12)
            place = (dice.randrange(SHAPE[0]), dice.randrange(SHAPE[1]))
            layer.paint(place, dice.randint(0, 3))

    def partition() -> None:
        controller.set_settings(PartitionSettings("kmeans", dice.randint(1, 4), points_per_side=4))
        controller.partition()

    def go_on() -> None:
        controller.edits.commit()
        series.work.go_to(dice.choice(series.work.listing.keys))

    acts = [prompt] * 4 + [stroke] * 6 + [partition] * 2
    acts += [
        controller.edits.undo,
        controller.edits.redo,
        controller.edits.commit,
        series.finish,
    ] + [go_on] * 3
    series.work.open_queue(folder)
    while controller.plane is None or not controller.plane.pixels.sha256:
        pump(0.05)
    os.write(out, b"READY\n")
    while True:
        if controller.plane is not None:
            dice.choice(acts)()
        pump(dice.choice([0, 0.01, 0.05, 0.1, 0.3]))


# -------------------------------------------------------------------- what is left of it


def recovered(folder: Path, number: int, autosave: Path) -> dict[str, str]:
    """Labels of a picture by where the next dock finds them: in the autosave, in the files."""
    from napari_safire.annotation.codec import decode_annotation
    from napari_safire.corpus.queue import PictureQueue
    from napari_safire.corpus.queue_files import read_entry
    from napari_safire.images.pixels import PictureReader
    from napari_safire.session.autosave import Autosave

    found = {}
    kept = Autosave(autosave).find(PictureReader(picture(number)).sha256, SHAPE)
    if kept is not None:
        found["journal"] = digest(kept.made.annotation.shown())
    entry = PictureQueue.open(folder).entries()[number]
    record = json.loads(entry.record.read_text()) if entry.record.exists() else {}
    if "annotation" in record:
        made = decode_annotation(record["annotation"], SHAPE)
        found["record"] = digest(made.annotation.shown())
    labels = read_entry(entry).labels
    if labels is not None:
        found["mask"] = digest(labels)
    return found or {"nothing": digest(np.zeros(SHAPE, np.uint8))}


def check(folder: Path, log: Path, autosave: Path, killed_at: float) -> tuple[list[str], int]:
    """What was shown long enough before the kill, and is in none of the places it may be in."""
    from napari_safire.images.pixels import PictureReader

    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("[")]
    lost, checked = [], 0
    for number in range(PICTURES):
        image = PictureReader(picture(number)).sha256
        of_picture = [line for line in lines if line[2] == image]
        long_ago = [
            n
            for n, (when, kind, *_) in enumerate(of_picture)
            if kind == "shown" and when < killed_at - GRACE_S
        ]
        if not long_ago:
            continue
        checked += 1
        # That state, or any that came about after it.
        good = {line[3] for line in of_picture[long_ago[-1] :]}
        places = recovered(folder, number, autosave)
        if not good & set(places.values()):
            lost.append(f"picture {number}: {places}, last shown {of_picture[long_ago[-1]]}")
    return lost, checked


def main(rounds: int, seed: int = 17) -> int:
    from PIL import Image

    dice = random.Random(seed)
    lost: list[str] = []
    checked = states = own_deaths = 0
    for number in range(rounds):
        place = Path(tempfile.mkdtemp(prefix="kill-dock-"))
        folder, log = place / "photos", place / "log"
        folder.mkdir()
        for n in range(PICTURES):
            Image.fromarray(picture(n)).save(folder / f"p{n}.png")
        env = os.environ | {f"XDG_{what}_HOME": str(place / what) for what in ("DATA", "CONFIG")}
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        env |= {"XDG_CACHE_HOME": str(place / "CACHE"), "PYTHONPATH": path}
        command = [sys.executable, __file__, "--work", str(folder), str(log), str(number)]
        with subprocess.Popen(command, env=env, stderr=(place / "err").open("wb")) as process:
            end = time.monotonic() + 120
            while not (log.exists() and b"READY" in log.read_bytes()) and process.poll() is None:
                if time.monotonic() > end:
                    break
                time.sleep(0.05)
            until = time.monotonic() + dice.uniform(0.5, LONGEST_S)
            while time.monotonic() < until and process.poll() is None:
                time.sleep(0.01)
            killed_at = time.time()
            own_deaths += process.poll() is not None
            process.send_signal(signal.SIGKILL)
        found, n_checked = check(
            folder, log, place / "DATA/napari-safire/autosave.sqlite", killed_at
        )
        states += log.read_text().count('"shown"') if log.exists() else 0
        lost += [f"round {number}: {each}" for each in found]
        checked += n_checked
        print(f"round {number}: {n_checked} pictures checked, lost {found}", flush=True)
        if not found:
            shutil.rmtree(place)
        else:
            print(f"  left in {place}", flush=True)
    print(
        f"RESULT rounds {rounds}, died by itself {own_deaths}, states shown {states}, "
        f"pictures checked {checked}, lost {len(lost)}"
    )
    return int(bool(lost))


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.path.insert(0, str(TESTS))
        sys.exit(main(int(sys.argv[1])))
