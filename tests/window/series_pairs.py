"""Go through a series in which every kind of work follows every other one, in a real window.

Run by test_series_pairs in a process of its own, because what it looks for kills napari::

    xvfb-run -a python tests/window/series_pairs.py FOLDER [KIND ...]

It makes its pictures in the folder and ends with a line "went through 25 pairs" (of all kinds).
Whether a frame that reads what is gone ends in a segmentation fault is up to the driver; so every
time something is freed, it is looked whether the canvas's own context is current
(docs/napari-issue.md).
"""

from __future__ import annotations

import gc
import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("LP_NUM_THREADS", "0")  # the software renderer: one thread
sys.path.insert(0, str(Path(__file__).parents[1]))

import napari
import numpy as np
from fakes import FakeEngine
from napari.layers import Points
from PIL import Image
from PyQt6.sip import unwrapinstance as address
from qtpy.QtGui import QOpenGLContext
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication
from vispy.gloo import glir

from napari_safire.gui.widget import SafireWidget

KINDS = ("nothing", "prompt", "partition", "painted", "done")
SHAPE = (48, 64)


def around(n_kinds: int) -> list[int]:
    """A round in which each pair of neighbours occurs once, itself beside itself among them."""
    follows = {kind: list(range(n_kinds)) for kind in range(n_kinds)}
    path, round_ = [0], []
    while path:  # Hierholzer's
        if follows[path[-1]]:
            path.append(follows[path[-1]].pop())
        else:
            round_.append(path.pop())
    return round_


class Frees:
    """Counts what vispy frees on the graphics card: in the canvas's context, and in another one."""

    def __init__(self, canvas: QOpenGLWidget) -> None:
        self.counts = {True: 0, False: 0}
        for kind in (glir.GlirProgram, glir.GlirBuffer, glir.GlirTexture):
            self._watch(kind, canvas)

    def _watch(self, kind: Any, canvas: QOpenGLWidget) -> None:
        free = kind.delete

        def delete(glir_object: Any) -> None:
            current = QOpenGLContext.currentContext()
            own = current is not None and address(current) == address(canvas.context())
            self.counts[own] += 1
            free(glir_object)

        kind.delete = delete


class Walk:
    """A viewer with a dock, and what a user does with one picture."""

    def __init__(self, folder: Path) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(1000, 700)
        engine = FakeEngine()
        self.widget = SafireWidget(self.viewer, load_engine=lambda name, device, notice: engine)
        self.viewer.window.add_dock_widget(self.widget, name="SAFIRE", area="right")
        self.series = self.widget.workspace.queue
        self.canvas = self.viewer.window._qt_viewer.canvas
        self.n_frames = 0
        self.canvas.events.draw.connect(self._count)
        # napari collects garbage with each layer that goes, .2 s each with all of its modules and
        # the window; what a picture leaves is looked through still.
        gc.collect()
        gc.freeze()
        self.series.work.open_queue(folder)
        self.settle()

    def _count(self, event: Any) -> None:
        self.n_frames += 1

    def settle(self) -> None:
        """Until all is done, and a frame of it was drawn."""
        end = time.monotonic() + 30
        quiet = 0
        while quiet < 4:
            QApplication.processEvents()
            busy = self.series.work.doing or not self.widget.controller.idle
            quiet = 0 if busy else quiet + 1
            assert time.monotonic() < end, "it does not come to rest"
            time.sleep(0.005)
        before = self.n_frames
        self.canvas.native.update()
        while self.n_frames == before:
            QApplication.processEvents()
            assert time.monotonic() < end, "nothing is drawn"
        QApplication.processEvents()  # Qt puts the window together

    def work(self, kind: str) -> None:
        """Do something with the open picture, and go on."""
        controller = self.widget.controller
        if kind == "prompt":
            controller.add_prompts()
            self.settle()
            layer = next(one for one in self.viewer.layers if isinstance(one, Points))
            layer.add((20, 20))
        elif kind != "nothing":
            controller.partition()
        self.settle()
        if kind == "painted":
            layer = controller.sources_layer
            assert layer is not None
            layer.mode = "paint"
            layer.paint((10, 10), 2)
            self.settle()
        if kind == "done":
            self.series.finish()
        else:
            self.series.go_on()
        self.settle()


def main() -> None:
    folder = Path(sys.argv[1])
    chosen = sys.argv[2:] or KINDS
    kinds = [chosen[n] for n in around(len(chosen))]
    pairs = set(pairwise(kinds))
    assert len(pairs) == len(chosen) ** 2
    folder.mkdir()
    for number in range(len(kinds) + 1):
        pixels = np.full((*SHAPE, 3), 20 + 7 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"p{number}.png")
    walk = Walk(folder)
    frees = Frees(walk.viewer.window._qt_viewer.canvas.native)
    for number, kind in enumerate(kinds):
        print(number, kind, flush=True)
        walk.work(kind)
    listing = walk.series.work.listing
    assert walk.series.work.place == len(kinds), walk.series.work.place
    states = [listing.state(key) for key in listing.keys]
    expected = {"nothing": "untouched", "done": "done"}
    assert states == [expected.get(kind, "begun") for kind in kinds] + ["untouched"], states
    assert frees.counts[True], frees.counts
    assert not frees.counts[False], frees.counts
    walk.widget.close_work()
    walk.viewer.close()
    print(f"went through {len(pairs)} pairs", flush=True)


if __name__ == "__main__":
    main()
