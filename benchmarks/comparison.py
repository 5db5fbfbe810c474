"""Comparing views on a large picture, in a real napari window: frames a second, and who waits.

xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/comparison.py                # 4000 x 3000
xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/comparison.py --size 12000x8400

A picture in colour, a map at its full size, a map of blocks and labels lie over each other. A frame
is asked for when the one before has been drawn: by dragging the line with the mouse, by a turn of
blinking, by the slider of the opacity; and, for comparison, by nothing but a redraw of the same
layers, or by the eyes of napari's own list. "own" is the time of our own calls in it. Where there
is no graphics card, as under Xvfb, the processor draws.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "window"), str(TESTS)]  # for its hand and its engine

FRAMES = 60
GOAL = 30.0
MOST_BLOCKED_S = 0.1


@dataclass(frozen=True)
class Frames:
    """What drawing one thing after the other took, in seconds a frame."""

    what: str
    frames: list[float]
    own: list[float]

    def __str__(self) -> str:
        rate = len(self.frames) / sum(self.frames)
        ninth = sorted(self.frames)[int(0.9 * len(self.frames))]
        return (
            f"{self.what:<44} {rate:6.1f} frames / s   median {self._ms(self.frames):5.1f} ms   "
            f"90 % {1000 * ninth:5.1f} ms   own {self._ms(self.own):5.2f} ms"
        )

    @staticmethod
    def _ms(seconds: list[float]) -> float:
        return 1000 * statistics.median(seconds)


class Window:
    """A viewer with layers of one picture and the dock."""

    def __init__(self, height: int, width: int) -> None:
        import napari
        from fakes import FakeEngine
        from hand import pump, wait_idle

        from napari_safire.gui.review import ReviewWidget

        self.viewer = viewer = napari.Viewer(show_welcome_screen=False)
        viewer.window.resize(1280, 800)
        pump(0.5)
        dock = ReviewWidget(viewer, load_engine=lambda name, device, notice: FakeEngine())
        viewer.window.add_dock_widget(dock, name="SAFIRE Review", area="right")
        pump(0.5)
        dock.compare.unfold()
        dock.compare.further.unfold()
        dock.compare.loupe_box.setChecked(True)
        dice = np.random.default_rng(0)
        picture = dice.integers(0, 255, (height, width, 3), dtype=np.uint8)
        viewer.add_image(picture, name="picture")
        blocks = dice.random((height // 32, width // 32), dtype=np.float32)
        viewer.add_image(dice.random((height, width), dtype=np.float32), name="map")
        viewer.add_image(blocks, name="blocks", scale=(32, 32), opacity=0.6)
        labels = np.zeros((height, width), np.uint8)
        labels[height // 5 : height // 2, width // 4 :] = 1
        viewer.add_labels(labels, name="labels", opacity=0.5)
        viewer.layers.selection.active = viewer.layers["picture"]
        pump(0.5)
        wait_idle(dock.controller)
        self.comparison = dock.workspace.comparison
        self.canvas = viewer.window._qt_viewer.canvas
        self.dock = dock
        self._drawn = False
        self.canvas._scene_canvas.events.draw.connect(self._note, position="last")

    def _note(self, event: object = None) -> None:
        self._drawn = True

    def frames(self, what: str, act: Callable[[int], Any]) -> Frames:
        """Draw many, each after a call."""
        from qtpy.QtWidgets import QApplication

        taken, own = [], []
        for number in range(FRAMES + 5):
            begun = time.perf_counter()
            act(number)
            called = time.perf_counter()
            self.canvas._scene_canvas.update()
            self._drawn = False
            while not self._drawn:
                QApplication.processEvents()
            taken.append(time.perf_counter() - begun)
            own.append(called - begun)
        return Frames(what, taken[5:], own[5:])

    def call(self, what: str, act: Callable[[], Any]) -> float:
        """Tell how long a call holds the viewer's thread, and how long drawing takes after it."""
        from hand import pump

        begun = time.perf_counter()
        act()
        called = time.perf_counter()
        pump()
        drawn = time.perf_counter()
        print(f"{what:<44} call {1000 * (called - begun):4.0f} ms, "
              f"drawn after {1000 * (drawn - begun):4.0f} ms")  # fmt: skip
        pump(0.2)
        return called - begun


def measure(window: Window) -> list[Frames]:
    """Swipe, blink, fade, and napari's own frames of the same layers."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    viewer, comparison = window.viewer, window.comparison
    found = []
    pairs = (("map", "blocks"), ("picture", "map"), ("picture", "labels"))
    for pair in pairs:
        names = " | ".join(pair)
        shown = {"picture", *pair}
        for layer in viewer.layers:
            layer.visible = layer.name in shown
        found.append(window.frames(f"napari's redraw, {names}", lambda n: None))
        comparison.choose(pair)
        comparison.begin("swipe")
        line = comparison.marks.line
        assert line is not None
        QTest.mousePress(line, Qt.MouseButton.LeftButton, pos=QPoint(4, 100))

        def drag(number: int, line: Any = line) -> None:
            to = 100 + 10 * (number % 40)
            QTest.mouseMove(line, QPoint(to - line.x(), 100))

        found.append(window.frames(f"swipe, {names}", drag))
        QTest.mouseRelease(line, Qt.MouseButton.LeftButton, pos=QPoint(4, 100))
        comparison.begin("opacity")
        found.append(window.frames(f"opacity, {names}", lambda n: comparison.move((n % 20) / 20)))
        comparison.begin("blink")
        found.append(window.frames(f"blink, {names}", lambda n: comparison.blink()))
        comparison.end()
    top = viewer.layers["map"]
    found.append(
        window.frames("napari's own eye, picture | map", lambda n: setattr(top, "visible", n % 2))
    )
    comparison.choose([layer.name for layer in viewer.layers])
    comparison.begin("grid")
    found.append(window.frames("side by side, four views", lambda n: None))
    comparison.end()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="4000x3000", help="columns x rows")
    width, height = map(int, parser.parse_args().size.split("x"))
    window = Window(height, width)
    print(f"{width} x {height}; canvas {window.canvas.size[1]} x {window.canvas.size[0]}")
    found = measure(window)
    print(*found, sep="\n")
    comparison = window.comparison
    longest = 0.0
    comparison.choose(["picture", "map", "blocks", "labels"])
    for mode in ("swipe", "blink", "opacity", "grid"):
        longest = max(longest, window.call(f"begin: {mode}", lambda m=mode: comparison.begin(m)))
        longest = max(longest, window.call(f"end: {mode}", comparison.end))
    print(f"The longest call takes {1000 * longest:.0f} ms; {1000 * MOST_BLOCKED_S:.0f} are asked.")
    slow = [f for f in found if f.what[:5] in ("swipe", "blink")]
    rate = min(len(f.frames) / sum(f.frames) for f in slow)
    print(f"The slowest swipe or blinking: {rate:.1f} frames a second; {GOAL:g} are asked.")
    window.dock.close_work()
    window.viewer.close()


if __name__ == "__main__":
    main()
