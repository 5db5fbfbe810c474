"""Frames a second of a stroke of 200 pixels' width, in a real window with the real dock.

xvfb-run -a python benchmarks/brush.py                          # 4,000 x 3,000 pixels
xvfb-run -a python benchmarks/brush.py --bare                   # napari alone, no dock
xvfb-run -a python benchmarks/brush.py --profile brush.txt      # where our own time goes

A real mouse paints over the picture: pressed, moved as fast as the viewer takes it, released. Told
are the frames that the canvas drew from press to release, a second; the processor time of the
viewer's own thread a frame, which does not depend on what else the machine does; the longest time
between two frames; how long the release took, and until the stroke was kept. "Hover" moves the
mouse without painting: the most that this machine draws. With --profile one more stroke is painted
under cProfile, which says what of the viewer's thread is napari_safire's.

The exit code is 1 if the median stroke has fewer than 20 frames a second.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "window"))  # for its hand

MOVES = 120
WANTED = 20.0  # frames a second


class Painter:
    """A window with a picture, and a hand that paints."""

    def __init__(self, size: tuple[int, int], width: int, bare: bool) -> None:
        import napari
        from hand import Hand

        self.viewer = napari.Viewer()
        self.viewer.window.resize(1600, 1000)
        self.hand = Hand(self.viewer)
        rows, cols = size
        pixels = np.random.default_rng(0).integers(0, 256, (rows, cols, 3), np.uint8)
        self.controller: Any = None
        if not bare:
            from napari_safire.gui.widget import SafireWidget

            widget = SafireWidget(self.viewer)
            self.viewer.window.add_dock_widget(widget, name="SAFIRE", area="right")
            self.controller = widget.controller
            self.controller.embed_on_selection = False
        self.image = self.viewer.add_image(pixels, name="picture")
        if bare:
            self.layer = self.viewer.add_labels(np.zeros(size, np.uint8), name="sources")
        else:
            self.settle()
            self.controller.edits.read_strokes()
            self.layer = self._sources()
        self.layer.brush_size = width
        self.frames: list[float] = []
        scene = self.viewer.window._qt_viewer.canvas._scene_canvas
        scene.events.draw.connect(lambda event: self.frames.append(time.perf_counter()))

    def _sources(self) -> Any:
        """The dock's own layer, which it makes when there is something to show."""
        stripes = np.zeros(self.image.data.shape[:2], np.uint8)
        stripes[: len(stripes) // 8] = 1
        given = self.viewer.add_labels(stripes, name="given")
        self.viewer.layers.selection.active = self.image
        self.settle()
        self.controller.edits.import_labels(given)
        self.settle()
        self.viewer.layers.remove(given)
        self.settle()
        return self.controller.sources_layer

    def settle(self) -> None:
        """Until nothing is under way."""
        from hand import pump

        while self.controller is not None and not self.controller.idle:
            pump(0.01)
        pump(0.3)

    def stroke(
        self, label: int, profile: cProfile.Profile | None = None, *, hover: bool = False
    ) -> tuple[float, ...]:
        """Paint across the picture; frames a second; seconds: work a frame, pause, after."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QApplication

        self.viewer.layers.selection.active = self.layer
        self.layer.selected_label = label
        self.layer.mode = "paint"
        self.settle()
        rows, cols = self.image.data.shape[:2]
        share = np.linspace(0, 1, MOVES)
        down, across = rows * (0.5 + 0.2 * np.sin(9 * share)), cols * (0.15 + 0.7 * share)
        places = [self.hand.position(self.image, *at) for at in zip(down, across, strict=True)]
        canvas, left = self.hand.canvas, Qt.MouseButton.LeftButton
        self.frames.clear()
        if profile is not None:
            profile.enable()
        begin, worked = time.perf_counter(), time.thread_time()
        if not hover:
            QTest.mousePress(canvas, left, pos=places[0])
        for place in places[1:]:
            QTest.mouseMove(canvas, place)
            QApplication.processEvents()
        end, worked = time.perf_counter(), time.thread_time() - worked
        if not hover:
            QTest.mouseRelease(canvas, left, pos=places[-1])
        QApplication.processEvents()
        released = time.perf_counter() - end
        if self.controller is not None:
            while not self.controller.idle:
                QApplication.processEvents()
                time.sleep(0.001)
        kept = time.perf_counter() - end
        if profile is not None:
            profile.disable()
        drawn = [begin, *(at for at in self.frames if at <= end), end]
        self.settle()
        frames = max(1, len(drawn) - 2)
        pause = float(np.diff(drawn).max())
        return frames / (end - begin), worked / frames, pause, released, kept


def main() -> int:
    """Run the benchmark; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--size", default="4000x3000", metavar="WxH")
    add("--width", type=int, default=200, help="of the brush, pixels (default: 200)")
    add("--strokes", type=int, default=4)
    add("--bare", action="store_true", help="napari's own Labels layer, without the dock")
    add("--profile", type=Path, metavar="FILE", help="write where the time of one stroke goes")
    arguments = parser.parse_args()
    cols, rows = (int(side) for side in arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as home:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            os.environ[name] = home
        painter = Painter((rows, cols), arguments.width, arguments.bare)
        print("| stroke | frames a second | thread's work a frame, ms | longest pause, ms | "
              "release, ms | until kept, ms |\n|---|---|---|---|---|---|")  # fmt: skip
        rates = []
        for number in range(arguments.strokes + 1):
            rate, *times = painter.stroke(1 + number, hover=number == 0)
            name = str(number) if number else "hover"
            rates += [rate] if number else []
            spent = " | ".join(f"{1e3 * seconds:.0f}" for seconds in times)
            print(f"| {name} | {rate:.1f} | {spent} |", flush=True)
        if arguments.profile is not None:
            profile = cProfile.Profile()
            painter.stroke(9, profile)
            with arguments.profile.open("w") as file:
                stats = pstats.Stats(profile, stream=file).sort_stats("cumulative")
                stats.print_stats("napari_safire")
                stats.print_stats(60)
        painter.viewer.close()
    return int(float(np.median(rates)) < WANTED)


if __name__ == "__main__":
    sys.exit(main())
