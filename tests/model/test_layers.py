"""Pictures as users bring them: transformed, stacked, huge, changed and removed under way."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import dask.array as da
import numpy as np
import pytest
from dock_steps import SHAPE, click, disc, engine, labels, message, open_image, prompts, stack
from fakes import FakeEngine
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_safire.annotation.annotation import PLACE_DECIMALS
from napari_safire.geometry import Geometry
from napari_safire.gui.layers.image_planes import PictureLayer
from napari_safire.images.pixels import PictureReader
from napari_safire.types import Embedding, PointPrompt, SourceRegion

from .conftest import Dock
from .hand import pump, wait_until

# ---------------------------------------------------------------- placed anywhere


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((*SHAPE, 3), np.uint8),
        np.zeros((*SHAPE, 4), np.uint8),
        np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint16).reshape(SHAPE),
        np.linspace(-1, 1, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE),
        np.eye(*SHAPE, dtype=bool),
        np.full(SHAPE, 7, np.int64),
    ],
    ids=["RGB", "RGBA", "uint16", "float", "bool", "int64"],
)
def test_pictures_of_all_kinds_of_pixels_are_segmented(dock: Dock, pixels: np.ndarray) -> None:
    image = open_image(dock, pixels)
    place = click(dock, image, 50, 60)
    np.testing.assert_array_equal(labels(dock), disc(*place))


# ---------------------------------------------------------------- channels


class Seeing(FakeEngine):
    """Keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def embed(self, image: Any, **more: Any) -> Embedding:
        self.seen.append(image)
        return super().embed(image, **more)


def watch(dock: Dock) -> list[Any]:
    """All pictures that the engine is shown from now on."""
    seeing = Seeing()
    engine(dock).embed = seeing.embed  # type: ignore[method-assign]
    return seeing.seen


def test_the_first_axis_can_be_chosen_to_hold_colours(dock: Dock) -> None:
    seen = watch(dock)
    pixels = np.stack([np.full(SHAPE, value, np.uint8) for value in (10, 20, 30)])
    image = open_image(dock, pixels)
    assert seen[-1].shape == SHAPE
    section = dock.widget.picture
    assert section.channels.isVisible()
    section.channels.setFocus()
    QTest.keyClick(section.channels, Qt.Key.Key_Down)
    dock.settle()
    assert seen[-1].shape == (*SHAPE, 3)
    assert seen[-1][0, 0].tolist() == [10, 20, 30]
    dock.viewer.dims.set_current_step(0, 2)
    place = click(dock, image, 50, 60)
    assert len(place) == 2
    np.testing.assert_array_equal(labels(dock), disc(*place))
    # Other channels: the model looks again, prompts and labels stay.
    layer = prompts(dock)
    section.picks[0].setFocus()
    QTest.keyClick(section.picks[0], Qt.Key.Key_Up)
    dock.settle()
    assert seen[-1][0, 0].tolist() == [20, 20, 30]
    assert prompts(dock) is layer
    np.testing.assert_array_equal(labels(dock), disc(*place))
    second = click(dock, image, 90, 120)
    np.testing.assert_array_equal(labels(dock), disc(*place) | disc(*second))
    # One channel three times is grey.
    QTest.keyClick(section.picks[2], Qt.Key.Key_Down)
    dock.settle()
    assert seen[-1].tolist() == pixels[1].tolist()


# ---------------------------------------------------------------- stacks


def test_each_slice_has_its_own_prompts_embedding_and_labels(dock: Dock) -> None:
    seen = watch(dock)
    image = open_image(dock, stack(4))
    dock.viewer.dims.set_current_step(0, 1)
    dock.settle()
    first = click(dock, image, 50, 60)
    assert first[0] == 1
    dock.viewer.dims.set_current_step(0, 3)
    wait_until(
        lambda: dock.controller.plane is not None and dock.controller.plane.embedding is not None
    )
    dock.settle()
    assert not labels(dock)[3].any()
    second = click(dock, image, 70, 100)
    assert second[0] == 3
    np.testing.assert_array_equal(labels(dock)[1], disc(*first[1:]))
    np.testing.assert_array_equal(labels(dock)[3], disc(*second[1:]))
    assert not labels(dock)[[0, 2]].any()
    counted = len(seen)
    dock.viewer.dims.set_current_step(0, 1)
    pump(0.4)
    dock.settle()
    third = click(dock, image, 52, 70)
    assert len(seen) == counted  # the slice's embedding was kept
    np.testing.assert_array_equal(labels(dock)[1], disc(*first[1:]) | disc(*third[1:]))
    dock.hand.press("U")  # undo is the slice's own
    dock.settle()
    np.testing.assert_array_equal(labels(dock)[1], disc(*first[1:]))
    np.testing.assert_array_equal(labels(dock)[3], disc(*second[1:]))
    assert sorted(prompts(dock).data[:, 0].tolist()) == [1, 3]


def test_only_the_slice_where_the_slider_rests_is_read(dock: Dock) -> None:
    seen = watch(dock)
    open_image(dock, stack(12))
    dock.viewer.dims.set_current_step(0, 0)
    pump(0.4)
    dock.settle()
    seen.clear()
    for step in range(1, 12):
        dock.viewer.dims.set_current_step(0, step)
    wait_until(lambda: bool(seen))
    dock.settle()
    assert [int(plane[0, 0]) for plane in seen] == [11]


def test_series_of_stacks_and_of_colour_pictures(dock: Dock) -> None:
    image = open_image(dock, stack(2, 3), scale=(2.0, 5.0, 0.5, 0.5))
    dock.viewer.dims.set_current_step((0, 1), (1, 2))
    dock.settle()
    place = click(dock, image, 50, 60)
    assert place[:2] == (1, 2)
    np.testing.assert_array_equal(labels(dock)[1, 2], disc(*place[2:]))
    assert labels(dock).sum() == labels(dock)[1, 2].sum()
    dock.viewer.layers.clear()
    dock.settle()
    colours = np.stack([stack(3)] * 3, axis=-1)
    image = open_image(dock, colours, rgb=True, name="series")
    dock.viewer.dims.set_current_step(0, 2)
    dock.settle()
    assert dock.controller.picture is not None
    assert dock.controller.picture.lengths == (3, *SHAPE)
    place = click(dock, image, 50, 60)
    assert place[0] == 2
    np.testing.assert_array_equal(labels(dock)[2], disc(*place[1:]))


def test_all_slices_are_partitioned_and_cancel_stops_in_the_middle(dock: Dock) -> None:
    open_image(dock, stack(6))
    fake = engine(dock)
    fake.step_s = 0.02
    button = dock.widget.partition.run_all
    dock.press(button)
    wait_until(lambda: fake.calls.count("partition") >= 2)
    dock.press(dock.widget.status.cancel)
    dock.settle()
    done = [bool(plane.any()) for plane in labels(dock)]
    assert any(done)
    assert not all(done)
    fake.step_s = 0
    dock.press(button)
    dock.settle()
    for plane in labels(dock):
        assert set(np.unique(plane)) == {1, 2}
    assert dock.controller.layer_group is not None
    assert dock.controller.layer_group.heatmap is not None
    assert dock.controller.layer_group.heatmap.data.shape == (6, *SHAPE)
    assert (dock.controller.layer_group.heatmap.data[:, 0, 0] == 1).all()


# ---------------------------------------------------------------- large


def test_of_multiscale_images_the_full_resolution_is_worked_on(dock: Dock) -> None:
    seen = watch(dock)
    full = np.zeros((480, 640), np.uint8)
    image = open_image(dock, [full, full[::2, ::2], full[::4, ::4]], multiscale=True)
    assert seen[-1].shape == (480, 640)
    place = click(dock, image, 300, 500)
    assert place == pytest.approx((300, 500), abs=1)
    np.testing.assert_array_equal(labels(dock), disc(*place, shape=(480, 640)))
    assert dock.controller.sources_layer is not None
    assert not dock.controller.sources_layer.multiscale


class Coarse(Seeing):
    """Answers in logits of an eighth of the size, as real models do."""

    def embed(self, image: Any, **more: Any) -> Embedding:
        self.seen.append(image)
        shape = (int(image.shape[0]), int(image.shape[1]))
        geometry = Geometry(shape, shape, (float(shape[0]), float(shape[1])))
        return Embedding(np.zeros((2, 4, 4), np.float32), geometry, "large", "fake")

    def segment(self, embedding: Embedding, points: Iterable[PointPrompt]) -> list[SourceRegion]:
        height, width = embedding.image_shape
        rows, cols = np.ogrid[4:height:8, 4:width:8]
        return [
            SourceRegion(
                point,
                (500 - np.hypot(rows - point.row, cols - point.col)).astype(np.float32),
                embedding.geometry,
                0.7,
            )
            for point in points
        ]


def test_a_large_lazy_image_is_handed_on_lazily_and_never_read_on_the_way(dock: Dock) -> None:
    read: list[tuple[int, ...]] = []

    def block(block_info: Any = None) -> np.ndarray:
        read.append(block_info[None]["chunk-location"])
        return np.zeros(block_info[None]["chunk-shape"], np.uint8)

    lazy = da.map_blocks(block, chunks=((1000,) * 6, (1000,) * 5), dtype=np.uint8)
    coarse = Coarse()
    engine(dock).embed = coarse.embed  # type: ignore[method-assign]
    engine(dock).segment = coarse.segment  # type: ignore[method-assign]
    small = lazy[::10, ::10]
    image = open_image(dock, [lazy, small], multiscale=True, contrast_limits=(0, 255))
    dock.settle()
    assert len(coarse.seen) == 1
    assert isinstance(coarse.seen[0], da.Array)
    assert coarse.seen[0].shape == (6000, 5000)
    read.clear()  # napari has drawn it
    dock.controller.session.reread(image.unique_id)
    dock.controller.segment()
    dock.settle()
    assert isinstance(coarse.seen[-1], da.Array)
    assert read == []
    place = click(dock, image, 3000, 2500)
    assert labels(dock).shape == (6000, 5000)
    area = int((labels(dock) == 1).sum())
    assert area == pytest.approx(np.pi * 500**2, rel=0.02)
    assert place == pytest.approx((3000, 2500), abs=10)


# ---------------------------------------------------------------- several images


def test_two_images_have_their_own_layers_and_selecting_one_works_on_it(dock: Dock) -> None:
    one = open_image(dock, np.zeros(SHAPE, np.uint8), name="one")
    two = open_image(dock, np.ones((90, 100), np.uint8), name="two", translate=(0, 200))
    dock.viewer.reset_view()
    pump(0.1)
    assert dock.controller.image is two
    second = click(dock, two, 40, 50)
    assert labels(dock).shape == (90, 100)
    dock.viewer.layers.selection.active = one
    dock.settle()
    assert dock.controller.image is one
    assert dock.widget.picture.image.currentText() == "one"
    first = click(dock, one, 50, 60)
    np.testing.assert_array_equal(labels(dock), disc(*first))
    dock.viewer.layers.selection.active = dock.viewer.layers["two: sources"]
    dock.settle()
    assert dock.controller.image is two
    np.testing.assert_array_equal(labels(dock), disc(*second, shape=(90, 100)))
    dock.hand.press("U")
    dock.settle()
    assert not labels(dock).any()
    np.testing.assert_array_equal(dock.viewer.layers["one: sources"].data, disc(*first))


def test_a_renamed_reordered_and_hidden_image_goes_on_working(dock: Dock) -> None:
    image = open_image(dock, np.zeros(SHAPE, np.uint8))
    place = click(dock, image, 50, 60)
    image.name = "evidence 7"
    assert dock.widget.picture.image.currentText() == "evidence 7"
    dock.viewer.layers.move(0, len(dock.viewer.layers))
    image.visible = False
    dock.settle()
    second = click(dock, image, 60, 120)
    np.testing.assert_array_equal(labels(dock), disc(*place) | disc(*second))


def test_two_images_of_one_name_are_not_mixed_up(dock: Dock) -> None:
    one = open_image(dock, np.zeros(SHAPE, np.uint8), name="same")
    first = click(dock, one, 50, 60)
    of_one = dock.controller.sources_layer
    two = open_image(dock, np.ones(SHAPE, np.uint8), name="same")
    dock.viewer.layers.selection.active = two
    dock.settle()
    second = click(dock, two, 80, 120)
    assert dock.controller.sources_layer is not of_one
    np.testing.assert_array_equal(labels(dock), disc(*second))
    assert of_one is not None
    np.testing.assert_array_equal(of_one.data, disc(*first))


# ---------------------------------------------------------------- removed under way


def test_an_image_removed_while_it_is_read_leaves_nothing_behind(dock: Dock) -> None:
    engine(dock).gate = threading.Event()
    dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    dock.press(dock.widget.prompts.add)
    dock.hand.click(dock.viewer.layers["picture"], 50, 60)
    pump(0.1)
    dock.viewer.layers.remove("picture")
    pump(0.1)
    assert dock.controller.image is None
    assert dock.widget.picture.image.itemText(0) == "no image open"
    dock.settle()  # the job was cancelled: the gate need not open
    assert "picture: sources" not in dock.viewer.layers
    assert message(dock) == ""
    engine(dock).gate.set()
    other = open_image(dock, np.zeros(SHAPE, np.uint8), name="other")
    place = click(dock, other, 50, 60)
    np.testing.assert_array_equal(labels(dock), disc(*place))


def test_a_removed_image_leaves_its_results_but_they_are_no_pictures(dock: Dock) -> None:
    open_image(dock, np.zeros(SHAPE, np.uint8))
    dock.press(dock.widget.partition.run)
    dock.settle()
    dock.viewer.layers.remove("picture")
    dock.settle()
    assert "picture: forgery map (no evidence)" in dock.viewer.layers
    assert dock.controller.image is None
    assert dock.controller.images == []
    dock.viewer.layers.selection.active = dock.viewer.layers["picture: forgery map (no evidence)"]
    dock.settle()
    assert dock.controller.image is None


def test_when_one_of_two_images_is_removed_the_other_is_worked_on(dock: Dock) -> None:
    one = open_image(dock, np.zeros(SHAPE, np.uint8), name="one")
    open_image(dock, np.ones(SHAPE, np.uint8), name="two")
    dock.viewer.layers.remove("two")
    dock.settle()
    assert dock.controller.image is one
    place = click(dock, one, 50, 60)
    np.testing.assert_array_equal(labels(dock), disc(*place))


def test_sources_removed_under_way_are_made_again_with_all_slices(dock: Dock) -> None:
    image = open_image(dock, stack(3))
    dock.viewer.dims.set_current_step(0, 0)
    dock.settle()
    first = click(dock, image, 50, 60)
    dock.viewer.dims.set_current_step(0, 2)
    pump(0.4)
    dock.settle()
    gate, exact = threading.Event(), FakeEngine.segment

    def segment(embedding: Embedding, points: Iterable[PointPrompt]) -> list[SourceRegion]:
        assert gate.wait(60)
        return exact(engine(dock), embedding, points)

    engine(dock).segment = segment  # type: ignore[method-assign]
    dock.hand.click(image, 70, 100)
    pump(0.1)
    dock.viewer.layers.remove("picture: sources")
    pump(0.1)
    gate.set()
    dock.settle()
    second = prompts(dock).data[-1].round(PLACE_DECIMALS)
    assert dock.controller.sources_layer in dock.viewer.layers
    np.testing.assert_array_equal(labels(dock)[2], disc(*second[1:]))
    np.testing.assert_array_equal(labels(dock)[0], disc(*first[1:]))


def test_a_removed_forgery_map_comes_back_with_the_next_partition(dock: Dock) -> None:
    open_image(dock, np.zeros(SHAPE, np.uint8))
    for _ in range(2):
        dock.press(dock.widget.partition.run)
        dock.settle()
        assert "picture: forgery map (no evidence)" in dock.viewer.layers
        dock.viewer.layers.remove("picture: forgery map (no evidence)")


# ---------------------------------------------------------------- other pixels


def test_replaced_pixels_are_read_and_the_prompts_answered_anew(dock: Dock) -> None:
    seen = watch(dock)
    image = open_image(dock, np.zeros(SHAPE, np.uint8))
    place = click(dock, image, 50, 60)
    asked = engine(dock).calls.count("segment")
    image.data = np.full(SHAPE, 9, np.uint8)
    dock.settle()
    assert [int(pixels[0, 0]) for pixels in seen] == [0, 9]
    assert engine(dock).calls.count("segment") == asked + 1
    np.testing.assert_array_equal(labels(dock), disc(*place))
    assert prompts(dock).features["confidence"].tolist() == [0.8]


def test_pixels_replaced_while_the_old_ones_are_read_win(dock: Dock) -> None:
    seen = watch(dock)
    gate = threading.Event()
    watched = engine(dock).embed

    def embed(image: Any, **more: Any) -> Embedding:
        assert gate.wait(60)
        return watched(image, **more)

    engine(dock).embed = embed  # type: ignore[method-assign]
    image = dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    pump(0.1)
    image.data = np.full(SHAPE, 9, np.uint8)
    pump(0.1)
    gate.set()
    dock.settle()
    assert int(seen[-1][0, 0]) == 9
    plane = dock.controller.plane
    assert plane is not None
    assert plane.embedding is not None
    assert plane.embedding.image_sha256 == PictureReader(np.full(SHAPE, 9, np.uint8)).sha256


@pytest.mark.parametrize("shape", [(80, 200), (3, *SHAPE), (3, 80, 200)])
def test_data_of_another_shape_begin_anew(dock: Dock, shape: tuple[int, ...]) -> None:
    image = open_image(dock, np.zeros(SHAPE, np.uint8))
    click(dock, image, 50, 60)
    dock.press(dock.widget.partition.run)
    dock.settle()
    image.data = np.zeros(shape, np.uint8)
    dock.settle()
    assert "another shape" in message(dock)
    assert dock.controller.image is image
    assert dock.controller.images == [image]
    dock.viewer.reset_view()
    pump(0.1)
    place = click(dock, image, 40, 70)
    assert labels(dock).shape == shape
    index = tuple(int(i) for i in place[:-2])
    found = labels(dock)[index]
    np.testing.assert_array_equal(found, disc(*place[-2:], shape=shape[-2:]))


def test_a_stack_that_grows_begins_anew(dock: Dock) -> None:
    image = open_image(dock, stack(2))
    click(dock, image, 50, 60)
    image.data = stack(5)
    dock.settle()
    dock.viewer.dims.set_current_step(0, 4)
    dock.settle()
    place = click(dock, image, 50, 60)
    np.testing.assert_array_equal(labels(dock)[4], disc(*place[1:]))


# ---------------------------------------------------------------- other views


def test_rolled_axes_give_a_notice_and_rolling_back_recovers(dock: Dock) -> None:
    image = open_image(dock, stack(3))
    dock.press(dock.widget.prompts.add)
    dock.viewer.dims.roll()
    pump(0.1)
    assert "roll the axes back" in message(dock)
    assert dock.controller.plane is None
    assert prompts(dock).mode == "pan_zoom"
    dock.press(dock.widget.prompts.add)
    assert "roll the axes back" in message(dock)
    assert prompts(dock).mode == "pan_zoom"
    dock.viewer.dims.roll()
    dock.viewer.dims.roll()
    pump(0.1)
    dock.viewer.reset_view()
    assert dock.controller.plane is not None
    assert prompts(dock).mode == "add"  # the tool is back in hand
    place = click(dock, image, 50, 60)
    assert labels(dock)[int(place[0]), 50, 60] == 1


# ---------------------------------------------------------------- bad input


def test_without_a_picture_every_button_says_so_or_is_grey(dock: Dock) -> None:
    for button in (dock.widget.prompts.add, dock.widget.prompts.segment):
        dock.press(button)
        assert "open one first" in message(dock)
        dock.workspace.messages.clear()
    for key in ("Shift+M", "G", "K", "Shift+X", "U", "Shift+U", "Shift+G"):
        dock.hand.press(key)
        dock.settle()
        assert "open one first" in message(dock), key
        dock.workspace.messages.clear()
    assert engine(dock).calls == []
    assert len(dock.viewer.layers) == 0


@pytest.fixture
def waves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images named "waves" hold complex numbers: napari has such layers, but cannot draw them."""
    real = PictureLayer.array.fget  # type: ignore[attr-defined]

    def array(picture: PictureLayer) -> Any:
        data = real(picture)
        return data.astype(np.complex64) if picture.layer.name == "waves" else data

    monkeypatch.setattr(PictureLayer, "array", property(array))


@pytest.mark.usefixtures("waves")
def test_a_picture_of_complex_numbers_is_refused_with_a_sentence(dock: Dock) -> None:
    open_image(dock, np.zeros(SHAPE, np.uint8), name="waves")
    assert "waves holds complex64 values: only real numbers" in message(dock)
    assert dock.controller.image is None
    dock.press(dock.widget.prompts.add)
    assert "open one first" in message(dock)
    assert engine(dock).calls == []
    good = open_image(dock, np.zeros(SHAPE, np.uint8), name="good")
    place = click(dock, good, 50, 60)
    np.testing.assert_array_equal(labels(dock), disc(*place))
    dock.viewer.layers.selection.active = dock.viewer.layers["waves"]
    dock.settle()
    assert "only real numbers" in message(dock)
    dock.viewer.layers.selection.active = good
    dock.settle()
    assert dock.controller.image is good
    np.testing.assert_array_equal(labels(dock), disc(*place))


class _Odd:
    """What a picture asks of a layer, for data that napari itself would not open."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.ndim = data, data.ndim
        self.name, self.rgb, self.multiscale = "odd", False, False


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (np.zeros((0, 40)), "odd is empty: its shape is (0, 40)."),
        (np.zeros((3, 40, 0)), "odd is empty"),
        (np.zeros(40), "one axis only"),
        (np.array([["a", None]], dtype=object), "only real numbers"),
        (np.zeros((4, 4), "datetime64[s]"), "only real numbers"),
        (np.zeros((4, 4), np.complex128), "only real numbers"),
        (np.zeros((4, 4), "U3"), "only real numbers"),
    ],
    ids=["no rows", "no columns", "one axis", "objects", "dates", "complex", "text"],
)
def test_data_that_are_no_picture_are_named(data: np.ndarray, sentence: str) -> None:
    assert sentence in PictureLayer(_Odd(data)).problem()  # type: ignore[arg-type]


@pytest.mark.usefixtures("waves")
def test_data_that_become_no_picture_are_refused_and_good_ones_taken_again(dock: Dock) -> None:
    image = open_image(dock, np.zeros(SHAPE, np.uint8))
    click(dock, image, 50, 60)
    image.name = "waves"
    image.data = np.ones(SHAPE, np.uint8)
    dock.settle()
    assert "only real numbers" in message(dock)
    assert dock.controller.plane is None
    image.name = "picture"
    dock.viewer.layers.selection.active = None
    dock.viewer.layers.selection.active = image
    dock.settle()
    place = click(dock, image, 60, 60)
    np.testing.assert_array_equal(labels(dock), disc(*place))


def test_a_picture_of_one_pixel(dock: Dock) -> None:
    image = open_image(dock, np.full((1, 1), 7, np.uint8))
    dock.viewer.reset_view()
    pump(0.1)
    click(dock, image, 0, 0)
    assert labels(dock).tolist() == [[1]]
    dock.press(dock.widget.partition.run)
    dock.settle()


def test_the_real_model_says_so_where_no_pixel_is_a_number(lite_dock: Dock) -> None:
    lite_dock.viewer.add_image(np.full((64, 80), np.nan, np.float32), name="nothing")
    lite_dock.settle()
    assert "The picture has no finite pixel" in message(lite_dock)
    good = open_image(lite_dock, np.full((64, 80), 7, np.uint8), name="good")
    lite_dock.viewer.reset_view()
    pump(0.1)
    click(lite_dock, good, 30, 40)
    assert labels(lite_dock)[30, 40] in (0, 1)
    assert np.isfinite(prompts(lite_dock).features["confidence"]).all()


def test_the_real_model_answers_for_a_picture_of_one_pixel(lite_dock: Dock) -> None:
    image = open_image(lite_dock, np.full((1, 1), 7, np.uint8))
    lite_dock.viewer.reset_view()
    pump(0.1)
    click(lite_dock, image, 0, 0)
    assert np.isfinite(prompts(lite_dock).features["confidence"]).all()
    assert message(lite_dock) == ""


@pytest.mark.parametrize("data", [np.zeros((5, 5), np.float32), np.zeros(SHAPE, np.uint8)])
def test_maps_whose_data_were_replaced_are_let_go(dock: Dock, data: np.ndarray) -> None:
    image = open_image(dock, np.zeros((*SHAPE, 3), np.uint8))
    first = maps(dock)
    for layer in first:
        layer.data = data
    image.data = image.data + 9
    dock.settle()
    second = maps(dock)
    assert len({*first, *second}) == 4
    assert all(layer in dock.viewer.layers for layer in first)  # they are the user's


def maps(dock: Dock) -> list[Image]:
    """Forgery map and uncertainty of the picture, partitioned anew."""
    dock.controller.partition()
    dock.settle()
    dock.controller.show_uncertainty()
    dock.settle()
    dock.controller.show_forgery_map()
    group = dock.controller.layer_group
    assert group is not None
    made = [layer for layer in (group.heatmap, group.uncertainty) if layer is not None]
    assert len(made) == 2
    assert all(layer.data.shape == SHAPE and layer.data.any() for layer in made)
    return made
