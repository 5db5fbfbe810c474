"""The GUI thread: it never waits for the work, and its own part of the work is short.

Two questions, answered without a clock, which a busy machine would make lie:

- *Does it wait?* Work in a worker is held until a timer of the GUI thread has beaten a number of
  times. Were the GUI thread waiting for the work, neither would ever go on.
- *Is its part short?* What goes through all pixels of a picture runs in workers only. How long the
  calls that are left take is measured by ``benchmarks/viewer_time.py --calls``.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import napari
import numpy as np
import pytest
from fakes import FakeEngine
from napari.layers import Labels
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton

from napari_safire.annotation import edits, islands
from napari_safire.annotation import region_labels as composition
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.geometry import Geometry
from napari_safire.gui.widget import SafireWidget
from napari_safire.partitioning.prompt_grid import PromptGrid, grid_points
from napari_safire.progress import report
from napari_safire.types import Embedding, FloatImage, PointPrompt, SourceRegion

from .conftest import Dock
from .hand import Hand, pump

SMALL = (120, 160)
LARGE = (3000, 4000)
COARSE = 16  # pixels of the large picture for one logit
BEATS = 15


class Heart:
    """A timer of the GUI thread, and workers that go on only while it beats."""

    def __init__(self) -> None:
        self.count = 0
        self.held: list[str] = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(5)

    def stop(self) -> None:
        self._timer.stop()

    def hold(self, what: str, step: Callable[[], object] = lambda: time.sleep(0.002)) -> None:
        """In a worker: go on when the GUI thread has been alive for a while."""
        assert threading.current_thread() is not threading.main_thread()
        begin, end = self.count, time.monotonic() + 120
        while self.count < begin + BEATS:
            step()
            if time.monotonic() > end:
                raise TimeoutError(f"The GUI thread stood still during {what}.")
        self.held.append(what)

    def holding(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, held before it begins."""

        def held(*args: Any, **kwargs: Any) -> Any:
            self.hold(what)
            return function(*args, **kwargs)

        return held

    def _beat(self) -> None:
        self.count += 1


@pytest.fixture
def heart() -> Iterator[Heart]:
    made = Heart()
    yield made
    made.stop()


class HeldEngine(FakeEngine):
    """Does nothing before the GUI thread has been alive for a while; sleeps or computes till then.

    Parameters
    ----------
    heart : Heart
    computes : bool
        NumPy's small steps hold Python's lock now and then, as the real work does.
    """

    def __init__(self, heart: Heart, computes: bool) -> None:
        super().__init__()
        self.heart = heart
        self.pixels = np.random.default_rng(0).random((200, 200))
        self.step: Callable[[], object] = self._compute if computes else self._sleep

    def _called(self, name: str) -> None:
        super()._called(name)
        self.heart.hold(name, self.step)

    def _compute(self) -> None:
        for _ in range(20):
            np.sort(self.pixels @ self.pixels, axis=0)

    def _sleep(self) -> None:
        time.sleep(0.01)


def open_dock(viewer: napari.Viewer, engine: FakeEngine, **load: Any) -> Dock:
    def load_engine(name: str, device: str, notice: Callable[[str], None]) -> FakeEngine:
        for act in load.values():
            act()
        return engine

    widget = SafireWidget(viewer, load_engine=load_engine)
    viewer.window.add_dock_widget(widget, name="SAFIRE", area="right")
    pump(0.1)
    return Dock(viewer, Hand(viewer), widget, engine)


# ------------------------------------------------------------------- it never waits


@pytest.mark.parametrize("computes", [False, True], ids=["sleeping", "computing"])
def test_the_window_lives_while_the_model_works(
    viewer: napari.Viewer, heart: Heart, computes: bool
) -> None:
    dock = open_dock(viewer, engine := HeldEngine(heart, computes))
    said: list[str] = []
    dock.controller.notice.connect(
        lambda sentence, failed: said.append(sentence) if failed else None
    )
    picture = viewer.add_image(np.zeros((2, *SMALL), np.uint8), name="picture")
    dock.settle()
    dock.press(dock.widget.prompts.add)
    dock.hand.click(picture, 60, 40)
    dock.settle()
    assert viewer.layers["picture: sources"].data[0, 60, 40] == 1
    dock.press(dock.widget.partition.run)
    dock.settle()
    dock.press(dock.widget.partition.run_all)
    dock.settle()
    assert viewer.layers["picture: sources"].data[1].all()
    assert {"embed", "segment", "grid", "partition", "localize"} <= set(heart.held)
    assert engine.threads == {"napari-safire"}
    assert said == []
    dock.widget.close_work()


def test_the_window_lives_while_a_model_is_loaded(viewer: napari.Viewer, heart: Heart) -> None:
    dock = open_dock(viewer, FakeEngine(), load=lambda: heart.hold("load"))
    viewer.add_image(np.zeros(SMALL, np.uint8))
    dock.settle()
    assert heart.held == ["load"]
    assert dock.controller.plane is not None
    assert dock.controller.plane.embedding is not None
    dock.widget.close_work()


class SlowStack:
    """Pictures of a file that is slow; napari itself gets its own at once."""

    dtype = np.dtype(np.uint8)
    shape = (2, *SMALL)
    ndim = 3

    def __init__(self, heart: Heart) -> None:
        self.heart = heart

    def __getitem__(self, where: Any) -> np.ndarray:
        if threading.current_thread().name == "napari-safire":
            self.heart.hold("read")
        return np.zeros(self.shape, self.dtype)[where]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)


def test_the_window_lives_while_a_slow_picture_is_read(heart: Heart, dock: Dock) -> None:
    dock.viewer.add_image(SlowStack(heart), contrast_limits=(0, 255))
    dock.settle()
    assert heart.held == ["read"]
    assert dock.controller.plane is not None
    assert dock.controller.plane.embedding is not None


def test_the_window_lives_while_the_machine_is_described(
    dock: Dock, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(engine: Any, cache: Any) -> dict[str, str]:
        heart.hold("describe")
        return {"torch": "2"}

    monkeypatch.setattr("napari_safire.engine.machine.describe_machine", describe)
    dock.press(dock.widget.show_diagnostics)
    dock.settle()
    assert heart.held == ["describe"]
    assert dock.widget.diagnostics.description == {"torch": "2"}


def test_the_window_lives_during_a_download(
    dock: Dock, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(name: str, *, progress: Any, cancel: Any) -> Path:
        for step in range(3):
            report(progress, cancel, step, 3, f"downloading {name}")
            heart.hold("download")
        return Path(name)

    section = "napari_safire.gui.panels.annotate.model_section"
    monkeypatch.setattr(f"{section}.model_state", lambda name: "not downloaded")
    monkeypatch.setattr("napari_safire.model.catalogue.download.download_model", download)
    box = dock.widget.model.model
    box.activated.emit(box.currentIndex())
    dock.settle()
    dock.press(dock.widget.model.download)
    dock.settle()
    assert heart.held == ["download"] * 3


def test_the_window_lives_during_edits_undo_and_uncertainty(
    dock: Dock, heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("split", "absorb", "fill_holes", "merge"):
        monkeypatch.setattr(edits, name, heart.holding(name, getattr(edits, name)))
    held = heart.holding("remove_islands", islands.remove_islands)
    monkeypatch.setattr(islands, "remove_islands", held)
    monkeypatch.setattr(
        "napari_safire.session.partitions.partition_uncertainty",
        lambda *_: heart.hold("uncertainty") or np.zeros(SMALL, np.float32),
    )
    dock.viewer.add_image(np.zeros(SMALL, np.uint8), name="picture")
    dock.settle()
    dock.press(dock.widget.partition.run)
    dock.settle()
    dock.press(dock.widget.view.buttons["uncertainty"])
    dock.settle()
    assert "picture: uncertainty" in dock.viewer.layers
    result = dock.widget.sources
    for button in (result.split, result.fill, result.islands):
        result.table.selectRow(0)
        dock.press(button)
        dock.settle()
    result.table.selectAll()
    dock.press(result.merge)
    dock.settle()
    assert heart.held == ["uncertainty", "split", "fill_holes", "remove_islands", "merge"]
    unpack = way_through_history(heart, monkeypatch)
    dock.press(dock.widget.prompts.undo)
    dock.settle()
    assert unpack() > 0
    sources = dock.controller.sources_layer
    assert sources is not None
    assert sources.data.max() == 2


def way_through_history(heart: Heart, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Hold the unpacking of labels; gives how often it was held."""
    monkeypatch.setattr(PackedLabels, "unpack", heart.holding("unpack", PackedLabels.unpack))
    return lambda: heart.held.count("unpack")


# ------------------------------------------------------------------- its own part is short

# What goes through every pixel of a picture, or decodes all that a picture was packed to.
WHOLE_PICTURE = (
    composition.compose_labels,
    composition.partition_uncertainty,
    edits.split,
    edits.fill_holes,
    islands.remove_islands,
    PackedLabels.pack.__func__,
    PackedLabels.unpack,
)


class Witness:
    """In which threads each of some functions ran."""

    def __init__(self, functions: Iterable[Any]) -> None:
        self.seen: dict[str, set[str]] = {}
        self._names = {function.__code__: function.__qualname__ for function in functions}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """As `sys.setprofile` calls it."""
        if event == "call" and frame.f_code in self._names:
            name = self._names[frame.f_code]
            self.seen.setdefault(name, set()).add(threading.current_thread().name)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """This thread, and those that begin from now on."""
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


def test_the_witness_tells_threads_apart() -> None:
    def work() -> None:
        pass

    witness = Witness([work])
    with witness.watching():
        worker = threading.Thread(target=work, name="worker")
        worker.start()
        worker.join()
        assert witness.seen == {work.__qualname__: {"worker"}}
        work()
    assert witness.seen == {work.__qualname__: {"worker", threading.main_thread().name}}
    work()


class CoarseEngine(FakeEngine):
    """Regions of a large picture with few logits, as the models give them."""

    def segment(self, embedding: Embedding, prompts: Any) -> list[SourceRegion]:
        self._called("segment")
        return [_coarse_disc(prompt, embedding.geometry) for prompt in prompts]

    def grid(self, embedding: Embedding, points_per_side: int = 16, **asked: Any) -> PromptGrid:
        self._called("grid")
        prompts, _ = grid_points(embedding.geometry, points_per_side)
        logits = np.stack([_coarse_logits(p, embedding.geometry) for p in prompts])
        features = np.array([[p.row, p.col] for p in prompts], np.float32) + 1
        confidence = np.full(len(prompts), 0.9, np.float32)
        return PromptGrid(prompts, logits, confidence, features, embedding.geometry)


def _coarse_logits(prompt: PointPrompt, geometry: Geometry) -> FloatImage:
    height, width = geometry.image_shape
    rows, cols = np.mgrid[: height // COARSE, : width // COARSE]
    distance = np.hypot(rows - prompt.row / COARSE, cols - prompt.col / COARSE)
    return (20 - distance).astype(np.float32)


def _coarse_disc(prompt: PointPrompt, geometry: Geometry) -> SourceRegion:
    return SourceRegion(prompt, _coarse_logits(prompt, geometry), geometry, 0.8)


@pytest.mark.by_hand
def test_whole_pictures_are_gone_through_in_workers_only(viewer: napari.Viewer) -> None:
    witness = Witness(WHOLE_PICTURE)
    with witness.watching():
        painted = _annotate_a_large_picture(viewer)
    assert painted.unpack()[10, 10] == 3
    assert set(witness.seen) == {function.__qualname__ for function in WHOLE_PICTURE}
    in_the_gui = [
        name for name, threads in witness.seen.items() if threading.main_thread().name in threads
    ]
    assert in_the_gui == []


def _annotate_a_large_picture(viewer: napari.Viewer) -> PackedLabels:
    """Press what there is to press; gives the labels after label 3 was painted at (10, 10)."""
    dock = open_dock(viewer, CoarseEngine())
    rng = np.random.default_rng(0)
    picture = viewer.add_image(
        rng.integers(0, 255, (*LARGE, 3), np.uint8), name="picture", contrast_limits=(0, 255)
    )
    dock.settle()

    def press(button: QAbstractButton) -> None:
        dock.widget.ensureWidgetVisible(button)
        pump(0.02)
        assert button.isEnabled()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    press(dock.widget.prompts.add)
    dock.settle()
    for place in ((1500, 2000), (1200, 1700)):
        dock.hand.click(picture, *place)
        dock.settle()
    sources = viewer.layers["picture: sources"]
    assert isinstance(sources, Labels)
    assert sources.data[1500, 2000] == 1
    for button in (dock.widget.prompts.commit, dock.widget.partition.run):
        press(button)
        dock.settle()
    assert sources.data.all()
    result = dock.widget.sources
    press(dock.widget.view.buttons["uncertainty"])
    dock.settle()
    press(dock.widget.view.buttons["forgery map"])
    for edit in (result.split, result.fill, result.islands, result.protect):
        result.table.selectRow(0)
        press(edit)
        dock.settle()
    with sources.block_history():  # as napari's own tools do; their time is napari's
        sources.fill((10, 10), 3)
    dock.settle()
    assert dock.controller.plane is not None
    assert dock.controller.plane.snapshot is not None
    painted = dock.controller.plane.snapshot.annotation.settled
    for button in (*[dock.widget.prompts.undo] * 4, dock.widget.prompts.redo):
        press(button)
        dock.settle()
    dock.widget.close_work()
    return painted
