"""A whole curation by a real mouse in real windows: two annotators, a kill, adjudication, exports.

    python tests/robustness/curation_session.py /tmp/session   # pictures and files stay there

Five composites of known truth are cut from the demo picture that ships with the package. Anna and
Berta paint their sources blind, each in a napari of their own under Xvfb, with real presses, moves
and releases of the mouse; Anna's program is killed (SIGKILL) in the middle of a stroke and started
again. Carla decides where both disagree, a leader accepts, and the truth goes into every format.

It ends with a line for each step and exit code 1 if anything is not what it has to be:

- after the kill all strokes that had ended two seconds before are there;
- nobody sees the other's work before both are done;
- the adjudicated labels are Anna's where both agree, and those chosen elsewhere;
- each export, imported into an empty project, gives the same masks;
- the chain of the project is whole.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "window"))  # for its hand
SHAPE = (240, 320)
PIECES = {"a": (0, 0), "b": (20, 250), "c": (330, 80), "d": (300, 480), "e": (0, 500)}
DONOR = (420, 120)  # where what is pasted comes from
SHIFT = 14  # pixels that Berta sees the pasted region further to the right
BRUSH = 24
KILLED = 2  # in which picture of Anna's, from 0


def region(number: int) -> tuple[int, int, int, int]:
    """Rows and columns of what is pasted: top, left, bottom, right."""
    top, left = 60 + 12 * number, 70 + 20 * number
    return top, left, top + 3 * BRUSH, left + 5 * BRUSH


# -------------------------------------------------------------------- the pictures


def make_pictures(folder: Path) -> None:
    """Composites of two pieces of the demo picture."""
    from napari_safire.gui.io.samples import demo_composite

    demo = np.asarray(demo_composite()[0][0])
    folder.mkdir(parents=True)
    for number, (name, (row, col)) in enumerate(PIECES.items()):
        pixels = demo[row : row + SHAPE[0], col : col + SHAPE[1]].copy()
        top, left, bottom, right = region(number)
        height, width = bottom - top, right - left
        pixels[top:bottom, left:right] = demo[
            DONOR[0] : DONOR[0] + height, DONOR[1] : DONOR[1] + width
        ]
        Image.fromarray(pixels).save(folder / f"{name}.png")


# -------------------------------------------------------------------- an annotator at work


class Window:
    """A napari with the Curate dock, and the hand that works in it."""

    def __init__(self, project: Path, shots: Path) -> None:
        import napari
        from hand import Hand, wait_idle, wait_until

        self.wait_until, self._wait_idle = wait_until, wait_idle
        self.shots = shots
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1280, 800)
        _, self.curate = self.viewer.window.add_plugin_dock_widget("napari-safire", "SAFIRE Curate")
        self.work, self.controller = self.curate.workspace.queue.work, self.curate.controller
        self.hand = Hand(self.viewer)
        self.work.open_queue(project)
        self.settle()

    def settle(self) -> None:
        self.wait_until(lambda: self.work.opened is not None and not self.work.doing)
        self._wait_idle(self.controller)

    def shoot(self, name: str) -> None:
        from hand import pump

        pump(0.3)
        self.viewer.window._qt_window.grab().save(str(self.shots / f"{name}.png"))

    def press(self, button: object) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.settle()

    def labels(self) -> np.ndarray:
        layer = self.controller.sources_layer
        return np.zeros(SHAPE, np.uint8) if layer is None else np.asarray(layer.data).copy()

    def brush(self, source: int, size: int = BRUSH) -> object:
        """Take the brush by its key, and napari's square of some pixels."""
        self.controller.mode.source = source
        self.hand.press("Shift+D")
        self.settle()
        layer = self.controller.sources_layer
        assert layer is not None
        layer.brush_size = size
        return layer

    def fill(self, source: int) -> None:
        """Give all that is free to a source, with the bucket."""
        layer = self.brush(source)
        layer.mode = "fill"
        self.hand.click(layer, 4, 4)
        self.settle()

    def paint(self, source: int, box: tuple[int, int, int, int]) -> None:
        """Paint a box in strokes from left to right."""
        layer = self.brush(source)
        top, left, bottom, right = box
        for row in range(top + BRUSH // 2, bottom, BRUSH // 2):
            self.hand.drag(layer, (row, left + BRUSH // 2), (row, right - BRUSH // 2))
        self.settle()

    def describe(self, source: int, kind: str) -> None:
        """Say what a source is, in the form."""
        self.controller.mode.source = source
        self.settle()
        box = self.curate.descriptions.type
        box.setCurrentText(kind)
        box.activated.emit(box.currentIndex())
        self.settle()

    def begin_stroke(self, source: int) -> None:
        """Press and move the mouse, and do not let go."""
        from hand import pump
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        layer = self.brush(source)
        place = self.hand.position(layer, 200, 40)
        QTest.mousePress(self.hand.canvas, Qt.MouseButton.LeftButton, pos=place)
        for step in range(4):
            QTest.mouseMove(self.hand.canvas, place + QPoint(12 * step, 0))
            pump(0.02)


def annotate(project: Path, folder: Path, shift: int) -> None:
    """Work through all pictures that are not done; killed once if the folder says so."""
    name = os.environ["NAPARI_SAFIRE_ANNOTATOR"]
    window = Window(project, folder / "shots")
    made = folder / name
    made.mkdir(exist_ok=True)
    while True:
        row = window.work.row
        assert row is not None
        number = "abcde".index(row.name[0])
        if row.state == "done":
            break
        top, left, bottom, right = region(number)
        if not (made / f"{row.name}.before kill.npy").exists():
            window.shoot(f"{name} {number} open")
            window.fill(1)
            window.paint(2, (top, left + shift, bottom, right + shift))
        else:  # it goes on where it was killed
            np.save(made / f"{row.name}.after kill.npy", window.labels())
            window.shoot(f"{name} {number} after the kill")
            window.paint(2, (top, left + shift, bottom, right + shift))
        if number == KILLED and shift == 0 and not (made / f"{row.name}.after kill.npy").exists():
            np.save(made / f"{row.name}.before kill.npy", window.labels())
            from hand import pump

            pump(2.2)
            window.begin_stroke(3)
            print("IN A STROKE", flush=True)
            time.sleep(60)  # until it is killed
        window.describe(1, "authentic background")
        window.describe(2, "splice")
        np.save(made / f"{row.name}.npy", window.labels())
        seen = sorted({*row.annotators} - {name})
        (made / f"{row.name}.seen").write_text(json.dumps(seen))
        window.press(window.curate.queue.done)
        window.shoot(f"{name} {number} done")
        if window.work.row is None or window.work.row.state == "done":
            break
    window.viewer.close()


def adjudicate(project: Path, folder: Path) -> None:
    """Take Anna's and Berta's side in turn, region by region, until nothing is open."""
    from hand import pump

    window = Window(project, folder / "shots")
    made = folder / "Carla"
    made.mkdir(exist_ok=True)
    section = window.curate.adjudication
    for key in tuple(window.work.listing.keys):
        window.work.go_to(key)
        window.settle()
        window.wait_until(lambda: section.work.standing is not None)
        name = window.work.row.name
        window.shoot(f"Carla {name} open")
        side = 0
        while section.work.standing.n_open:
            window.press(section.forward)
            window.press(section.first if side % 2 == 0 else section.second)
            pump(0.1)
            window.settle()
            side += 1
        np.save(made / f"{name}.npy", window.labels())
        window.shoot(f"Carla {name} decided")
        window.press(window.curate.queue.done)
        window.settle()
    window.viewer.close()


# -------------------------------------------------------------------- the whole session


def run(words: list[str], name: str, **options: object) -> subprocess.Popen:
    command = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24", sys.executable, __file__, *words]
    return subprocess.Popen(command, env=os.environ | {"NAPARI_SAFIRE_ANNOTATOR": name},
                            stdout=subprocess.PIPE, text=True, start_new_session=True,
                            **options)  # type: ignore[call-overload]  # fmt: skip


def project_command(*words: object, name: str = "Dora") -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from napari_safire.cli import main; main()", "project",
         *map(str, words)],
        env=os.environ | {"NAPARI_SAFIRE_ANNOTATOR": name}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"project {words}: {done.stderr}")
    return done.stdout


def session(folder: Path) -> list[str]:
    """Go through all of it; give what was wrong."""
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "shots").mkdir(parents=True)
    project, problems = folder / "project", []
    os.environ |= {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in
                   ("CONFIG", "DATA", "CACHE")}  # fmt: skip
    make_pictures(folder / "pictures")
    project_command("create", project, folder / "pictures", "--annotators", "2")
    project_command("assign", project, "Anna", "Berta")
    anna = run(["--annotate", str(project), str(folder), "0"], "Anna")
    assert anna.stdout is not None
    for line in anna.stdout:
        if line.startswith("IN A STROKE"):
            os.killpg(anna.pid, 9)
            break
    anna.wait()
    print("killed in the middle of a stroke", flush=True)
    for name, shift in (("Anna", 0), ("Berta", SHIFT)):
        if run(["--annotate", str(project), str(folder), str(shift)], name).wait():
            return [f"{name}'s window ended with an error"]
        print(f"{name} is done", flush=True)
    problems += after_the_kill(folder)
    print(project_command("agree", project), end="")
    project_command("assign", project, "Carla", "--role", "adjudicator")
    if run(["--adjudicate", str(project), str(folder)], "Carla").wait():
        return [*problems, "Carla's window ended with an error"]
    print("adjudicated", flush=True)
    problems += decided(folder)
    for name in PIECES:
        project_command("judge", project, f"{name}.png", "Carla", "accept")
    problems += exported(folder, project)
    print(project_command("verify", project), end="")
    print(project_command("stats", project), end="")
    return problems


def after_the_kill(folder: Path) -> list[str]:
    name = f"{list(PIECES)[KILLED]}.png"
    before = np.load(folder / "Anna" / f"{name}.before kill.npy")
    after = np.load(folder / "Anna" / f"{name}.after kill.npy")
    lost = int((after != before)[before > 0].sum())
    print(f"after the kill: {lost} of {(before > 0).sum():,} painted pixels differ", flush=True)
    problems = [f"{lost} pixels were lost by the kill"] if lost else []
    for file in (*(folder / "Anna").glob("*.seen"), *(folder / "Berta").glob("*.seen")):
        others = json.loads(file.read_text())
        problems += [f"{file} saw {others}"] if others else []
    return problems


def decided(folder: Path) -> list[str]:
    problems = []
    for name in PIECES:
        one, other, found = (np.load(folder / who / f"{name}.png.npy") for who in
                             ("Anna", "Berta", "Carla"))  # fmt: skip
        agreed = one == other
        if not np.array_equal(found[agreed], one[agreed]):
            problems.append(f"{name}: agreed pixels were changed")
        if ((found != one) & (found != other)).any():
            problems.append(f"{name}: neither had some of what was decided")
    return problems


def exported(folder: Path, project: Path) -> list[str]:
    from napari_safire.project.exchange import import_truth
    from napari_safire.project.formats.catalogue import FORMATS
    from napari_safire.project.pictures import project_pictures
    from napari_safire.project.store import Project
    from napari_safire.project.work import find_work, read_labels

    problems = []
    for kind in FORMATS:
        target = folder / "exports" / kind
        target.parent.mkdir(exist_ok=True)
        told = project_command("export", project, target, "--format", kind, "--accepted")
        print(f"{kind}: {told.strip().splitlines()[-1]}", flush=True)
        with Project.create(folder / "imports" / kind, author="Eve") as second:
            import_truth(second, target, unpack=folder / "unpacked" / kind)
            for picture in project_pictures(second):
                work = find_work(second, picture.id, "Eve")
                assert work is not None
                found = read_labels(second, work)
                name = next(one for one in PIECES if f"{one}." in picture.name)
                expected = np.load(folder / "Carla" / f"{name}.png.npy")
                if not np.array_equal(found == found[0, 0], expected == expected[0, 0]):
                    problems.append(f"{kind}: {picture.name} came back differently")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--annotate", nargs=3)
    parser.add_argument("--adjudicate", nargs=2)
    given = parser.parse_args()
    if given.annotate:
        project, folder, shift = given.annotate
        annotate(Path(project), Path(folder), int(shift))
    elif given.adjudicate:
        adjudicate(*map(Path, given.adjudicate))
    else:
        problems = session(given.folder.absolute())
        for problem in problems:
            print(f"WRONG: {problem}")
        print("RESULT " + (f"{len(problems)} problems" if problems else "all right"))
        sys.exit(bool(problems))


if __name__ == "__main__":
    main()
