"""A stroke changes its own pixels, whatever arrives between it and its taking effect."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
from fakes import FakeEngine
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers import source_layer
from napari_safire.session.autosave import Autosave
from napari_safire.session.planes import Plane
from napari_safire.session.session import Session
from napari_safire.settings import PartitionSettings

from .conftest import Dock
from .hand import pump, wait_until

SHAPE = (120, 160)
STROKE = np.s_[50:54, 60:80]  # 80 pixels


class Model:
    """A viewer without a window, with a controller."""

    def __init__(
        self,
        engine: FakeEngine,
        shape: tuple[int, ...] = SHAPE,
        autosave: Autosave | None = None,
    ) -> None:
        self.engine = engine
        self.viewer = ViewerModel()
        self.image: Image = self.viewer.add_image(np.zeros(shape, np.uint8), name="picture")
        self.session = Session(gui_thread().deliver, lambda name, device, notice: engine, autosave)
        self.session.choose_model("fake", "cpu")
        self.controller = ViewerController(self.viewer, self.session)
        self.settle()

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            gui_thread().work_off(condition, 0.01)

    def settle(self) -> None:
        for _ in range(3):
            self.until(lambda: self.session.idle)
            QApplication.processEvents()

    @property
    def plane(self) -> Plane:
        assert self.controller.plane is not None
        return self.controller.plane

    @property
    def layer(self) -> Labels:
        layer = self.controller.sources_layer
        assert layer is not None
        return layer

    @property
    def labels(self) -> np.ndarray:
        return np.asarray(self.layer.data)

    @property
    def n_protected(self) -> int:
        assert self.plane.snapshot is not None
        return int(self.plane.snapshot.annotation.protected.unpack().sum())

    def partition(self, n_sources: int) -> None:
        self.session.partitions.run(
            self.plane.key, PartitionSettings("kmeans", n_sources, points_per_side=2)
        )


@pytest.fixture
def model(qapp: QApplication) -> Iterator[Model]:
    made = Model(FakeEngine())
    yield made
    made.controller.close()
    assert made.session.join(10)


def assert_stripes(labels: np.ndarray, where: np.ndarray, count: int) -> None:
    """Somewhere, the labels are those of a partition of the fake engine."""
    stripes = np.broadcast_to(np.digitize(np.arange(SHAPE[1]), [53, 106]), SHAPE)
    found = [set(np.unique(labels[where & (stripes == k)])) for k in range(count)]
    assert [len(numbers) for numbers in found] == [1] * count
    assert len(set.union(*found)) == count


def brush(layer: Labels) -> None:
    layer.paint((52, 70), 9)


def fill(layer: Labels) -> None:
    layer.contiguous = True
    layer.fill((52, 70), 9)


def polygon(layer: Labels) -> None:
    layer.paint_polygon([(50, 60), (50, 70), (60, 70), (60, 60)], 9)


def script(layer: Labels) -> None:
    data = np.array(layer.data)
    data[STROKE] = 9
    layer.data = data


def script_in_place(layer: Labels) -> None:
    layer.data[STROKE] = 9
    layer.refresh()


def eraser(layer: Labels) -> None:
    layer.paint((52, 70), 0)


WAYS = (brush, fill, polygon, script, script_in_place, eraser)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_painted_during_a_partition_is_all_that_is_protected(
    model: Model, way: Callable[[Labels], None]
) -> None:
    model.partition(2)
    model.settle()
    before = model.labels.copy()
    if way is fill:
        model.layer.data[STROKE] = 7  # something to fill
        model.layer.refresh()
        model.settle()
        before = model.labels.copy()
    # The result is there, and waits for the thread of the viewer when the stroke is painted.
    model.partition(3)
    assert model.session._model_worker.finish(20)
    way(model.layer)
    stroke = model.labels != before
    painted = model.labels.copy()
    model.settle()
    assert model.n_protected == stroke.sum() > 0
    np.testing.assert_array_equal(model.labels[stroke], painted[stroke])
    assert_stripes(model.labels, ~stroke, 3)


def test_a_stroke_right_after_undo_does_not_undo_the_undo(model: Model) -> None:
    model.partition(2)
    model.settle()
    model.layer.data[:20] = 5
    model.layer.refresh()
    model.settle()
    model.controller.edits.undo()
    assert model.session.annotations._worker.finish(20)  # undone, but not shown yet
    model.layer.data[STROKE] = 9
    model.layer.refresh()
    model.settle()
    assert not (model.labels == 5).any()
    assert (model.labels[STROKE] == 9).all()
    assert (model.labels == 9).sum() == model.n_protected == 80


def test_strokes_while_several_results_arrive(model: Model) -> None:
    painted = np.zeros(SHAPE, bool)
    for number, count in enumerate((2, 4, 3, 5, 2)):
        model.partition(count)
        if model.controller.sources_layer is None:
            model.settle()
        row = 10 * number
        model.layer.data[row : row + 4, :20] = 9
        model.layer.refresh()
        painted[row : row + 4, :20] = True
    model.settle()
    assert model.n_protected == painted.sum() == 400
    assert (model.labels[painted] == 9).all()
    assert set(np.unique(model.labels[~painted])) == {1, 2}


def test_naparis_undo_after_a_result_touches_the_strokes_pixels_only(model: Model) -> None:
    model.partition(2)
    model.settle()
    before = model.labels.copy()
    model.layer.paint((52, 70), 9)
    stroke = model.labels == 9
    model.settle()
    model.partition(3)
    model.settle()
    model.layer.undo()
    model.settle()
    assert model.n_protected == stroke.sum()
    np.testing.assert_array_equal(model.labels[stroke], before[stroke])
    assert_stripes(model.labels, ~stroke, 3)


def test_what_is_erased_is_unassigned_whatever_is_predicted(model: Model) -> None:
    model.partition(2)
    model.settle()
    model.layer.data[STROKE] = 0
    model.layer.refresh()
    model.partition(4)
    model.settle()
    assert (model.labels[STROKE] == 0).all()
    assert (model.labels == 0).sum() == 80


def test_a_label_that_is_no_source_is_refused_and_the_rest_stays(model: Model) -> None:
    model.partition(2)
    model.settle()
    before = model.labels.copy()
    told: list[str] = []
    model.controller.notice.connect(lambda text, failed: told.append(text))
    wide = before.astype(np.int32)
    wide[STROKE] = 300
    model.layer.data = wide
    model.settle()
    assert any("255" in text for text in told)
    np.testing.assert_array_equal(model.labels, before)
    assert model.n_protected == 0


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((60, 80), np.uint8),
        np.zeros(SHAPE, np.int8),
        dask.array.zeros(SHAPE, dtype=np.uint8),
    ],
    ids=["another shape", "too few values", "lazy"],
)
def test_labels_that_cannot_hold_the_sources_are_left_to_the_user(model: Model, data: Any) -> None:
    model.partition(2)
    model.settle()
    told: list[str] = []
    model.controller.notice.connect(lambda text, failed: told.append(text))
    before, layer = model.labels.copy(), model.layer
    layer.data = data
    model.settle()
    model.controller.edits.commit()
    model.settle()
    assert any("the sources go into a new layer" in text for text in told)
    assert model.layer is not layer
    np.testing.assert_array_equal(model.labels, before)
    assert model.n_protected == 0


def test_what_is_painted_on_a_picture_of_another_shape_than_before_is_kept(
    qapp: QApplication, tmp_path: Path
) -> None:
    autosave = Autosave(tmp_path / "journal.sqlite")
    model = Model(FakeEngine(), SHAPE, autosave)
    model.partition(2)
    model.settle()
    model.layer.data[STROKE] = 9
    model.image.data = np.zeros((30, 40), np.uint8)
    model.settle()
    model.controller.close()
    assert model.session.join(10)
    kept = autosave.find(_sha(np.zeros(SHAPE, np.uint8)), SHAPE)
    assert kept is not None
    assert (kept.made.annotation.shown()[STROKE] == 9).all()


def test_strokes_on_a_stack_stay_on_their_slices(qapp: QApplication) -> None:
    model = Model(FakeEngine(), (3, *SHAPE))
    model.partition(2)
    model.settle()
    model.partition(3)
    layer = model.layer
    layer.n_edit_dimensions = 3
    layer.brush_size = 5
    layer.paint((0, 52, 70), 9)  # a ball, which reaches the slices below
    ball = model.labels == 9
    model.settle()
    assert ball[1].any()
    assert not ball[2].all()
    np.testing.assert_array_equal(model.labels == 9, ball)
    planes = model.session.planes.of(model.image.unique_id)
    protected = {
        plane.key.index: plane.snapshot.annotation.protected.unpack()
        for plane in planes
        if plane.snapshot is not None
    }
    for index in np.ndindex(3):
        if ball[index].any():
            np.testing.assert_array_equal(protected[index], ball[index])
    here = model.plane.key.index
    for index in np.ndindex(3):
        assert (model.labels[index][~ball[index]] > 0).all() == (index == here)
    model.controller.close()


def test_strokes_that_no_event_told_of_are_kept_at_closing(
    qapp: QApplication, tmp_path: Path
) -> None:
    autosave = Autosave(tmp_path / "journal.sqlite")
    model = Model(FakeEngine(), (2, *SHAPE), autosave)
    model.partition(2)
    model.settle()
    model.layer.data[(0, *STROKE)] = 9
    model.layer.data[1, 5, 5] = 3
    planes = [np.zeros(SHAPE, np.uint8)] * 2
    model.controller.close()
    kept = autosave.find(_sha(planes[0]), SHAPE)
    assert kept is not None
    with np.errstate(all="ignore"):
        shown = kept.made.annotation.shown()
    # Both slices are the same picture: whichever was changed last is offered first.
    assert (shown[STROKE] == 9).all() or shown[5, 5] == 3
    other = autosave.find(_sha(planes[0]), SHAPE, [kept.work])
    assert other is not None


def _sha(picture: np.ndarray) -> str:
    from napari_safire.images.pixels import PictureReader

    return PictureReader(picture).sha256


def test_a_prompt_right_after_undo_does_not_undo_the_undo(model: Model) -> None:
    model.controller.add_prompts()
    points = model.controller.layer_group.prompts if model.controller.layer_group else None
    assert isinstance(points, Points)
    points.add((30, 40))
    model.settle()
    points.add((60, 100))
    model.settle()
    model.controller.edits.undo()
    assert model.session.annotations._worker.finish(20)
    points.add((90, 40))
    model.settle()
    assert points.data.tolist() == [[30, 40], [90, 40]]
    assert model.labels[30, 40] == 1
    assert model.labels[60, 100] == 0
    assert model.labels[90, 40] == 1


def test_a_prompt_right_after_commit_leaves_what_was_committed(model: Model) -> None:
    model.controller.add_prompts()
    points = model.controller.layer_group.prompts if model.controller.layer_group else None
    assert isinstance(points, Points)
    points.add((30, 40))
    model.settle()
    model.controller.edits.commit()
    points.add((60, 100))
    model.settle()
    snapshot = model.plane.snapshot
    assert snapshot is not None
    assert [prompt.live for prompt in snapshot.annotation.prompts] == [False, True]
    assert snapshot.annotation.settled.unpack()[30, 40] == 1


def test_a_brush_stroke_in_a_window_during_a_partition(dock: Dock) -> None:
    image = dock.viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock.settle()
    controller = dock.controller
    assert controller.plane is not None
    assert dock.engine is not None
    controller.session.partitions.run(
        controller.plane.key, PartitionSettings("kmeans", 2, points_per_side=2)
    )
    dock.settle()
    layer = controller.sources_layer
    assert layer is not None
    dock.viewer.layers.selection.active = layer
    layer.mode = "paint"
    layer.brush_size = 6
    layer.selected_label = 9
    pump()
    gate = threading.Event()
    partition = dock.engine.partition

    def held(*args: object, **how: object) -> object:
        gate.wait(20)
        return partition(*args, **how)

    dock.engine.partition = held
    controller.session.partitions.run(
        controller.plane.key, PartitionSettings("kmeans", 4, points_per_side=2)
    )
    dock.hand.drag(image, (50, 60), (50, 90))
    gate.set()
    dock.settle()
    stroke = np.asarray(layer.data) == 9
    snapshot = controller.plane.snapshot
    assert snapshot is not None
    np.testing.assert_array_equal(snapshot.annotation.protected.unpack(), stroke)
    assert 60 < stroke.sum() < 600
    assert set(np.unique(np.asarray(layer.data)[~stroke])) == {1, 2, 3, 4}


def test_a_long_stroke_is_kept_before_it_ends_and_is_one_step(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 in the middle of it lost all of it."""
    monkeypatch.setattr(source_layer, "PART_S", 0.0)
    image = dock.viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock.settle()
    controller = dock.controller
    plane = controller.plane
    assert plane is not None
    controller.session.partitions.run(plane.key, PartitionSettings("kmeans", 2, points_per_side=2))
    dock.settle()
    layer = controller.sources_layer
    assert layer is not None
    before = np.asarray(layer.data).copy()
    dock.viewer.layers.selection.active = layer
    layer.mode, layer.brush_size, layer.selected_label = "paint", 6, 9
    pump()
    first, last = dock.hand.position(image, 50, 40), dock.hand.position(image, 50, 110)
    QTest.mousePress(dock.hand.canvas, Qt.MouseButton.LeftButton, pos=first)
    for step in range(1, 6):
        QTest.mouseMove(dock.hand.canvas, first + (last - first) * step / 5)
        pump(0.02)
    wait_until(lambda: controller.session.annotations.settled)
    assert plane.snapshot is not None
    kept = plane.history.state.settled.unpack() == 9
    assert 60 < kept.sum() <= (np.asarray(layer.data) == 9).sum()
    QTest.mouseRelease(dock.hand.canvas, Qt.MouseButton.LeftButton, pos=last)
    dock.settle()
    shown = np.asarray(layer.data) == 9
    np.testing.assert_array_equal(plane.snapshot.annotation.protected.unpack(), shown)
    dock.hand.drag(image, (80, 40), (80, 60))  # another stroke is another step
    dock.settle()
    controller.edits.undo()
    dock.settle()
    np.testing.assert_array_equal(np.asarray(layer.data) == 9, shown)
    controller.edits.undo()
    dock.settle()
    np.testing.assert_array_equal(np.asarray(layer.data), before)
