"""A dock that is closed and opened again goes on with the layers it had made, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from fakes import FakeEngine
from napari.components import ViewerModel
from PIL import Image

from napari_safire.annotation.recorded import ANNOTATED
from napari_safire.gui.layers.image_planes import Channels
from napari_safire.session.planes import Pixels
from napari_safire.settings import PartitionSettings

from .conftest import Dock, open_dock
from .hand import ModelHand, pump, wait_until

SHAPE = (120, 160)


@pytest.fixture
def opened(viewer: ViewerModel, hand: ModelHand) -> Callable[[], contextmanager[Dock]]:
    @contextmanager
    def open_one() -> Iterator[Dock]:
        dock = open_dock(viewer, hand, FakeEngine())
        one = next(dock)
        one.settle()
        yield one
        next(dock, None)

    return open_one


def names(viewer: ViewerModel) -> list[str]:
    return [layer.name for layer in viewer.layers]


def labels(viewer: ViewerModel, name: str = "picture: sources") -> np.ndarray:
    return np.asarray(viewer.layers[name].data).copy()


def annotation(dock: Dock):
    plane = dock.controller.plane
    assert plane is not None
    assert plane.snapshot is not None
    return plane.snapshot.annotation


def open_queue(dock: Dock, folder: Path, n_pictures: int) -> None:
    """Open a folder of pictures, made if there is none."""
    folder.mkdir(exist_ok=True)
    for number in range(n_pictures):
        Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(folder / f"p{number}.png")
    dock.workspace.queue.work.open_queue(folder)
    settle_queue(dock)


def settle_queue(dock: Dock) -> None:
    wait_until(lambda: not dock.workspace.queue.work.doing)
    dock.settle()


def make_work(dock: Dock) -> None:
    """Sources, a verdict with its map, and a prompt that is a preview."""
    dock.controller.partition()
    dock.settle()
    dock.controller.edits.commit()
    dock.controller.mode.source = 3
    dock.controller.add_prompts()
    dock.settle()
    dock.hand.click(dock.controller.image, 50, 60)
    dock.settle()


def test_all_of_the_work_goes_on_in_the_layers_that_hold_it(viewer: ViewerModel, opened) -> None:
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    with opened() as first:
        make_work(first)
        made, forgery = annotation(first), first.controller.plane.forgery
        layers, shown = list(viewer.layers), labels(viewer)
    with opened() as second:
        assert list(viewer.layers) == layers
        assert annotation(second) == made
        assert second.controller.plane.forgery is forgery
        assert second.controller.sources_layer is viewer.layers["picture: sources"]
        np.testing.assert_array_equal(labels(viewer), shown)
        assert not second.widget.autosaved_work.isVisible()  # it is here already
        assert second.controller.plane.snapshot.undo_title is None
        second.hand.click(second.controller.image, 90, 120)
        second.settle()
        assert len(annotation(second).live_prompts) == 2
        second.controller.partition()
        second.settle()
        assert list(viewer.layers) == layers


def test_what_was_done_while_no_dock_was_open_is_taken_in(viewer: ViewerModel, opened) -> None:
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    with opened() as first:
        make_work(first)
        made = annotation(first)
    viewer.layers["picture: sources"].data[:10, :10] = 7
    viewer.layers["picture: prompts"].add([[100, 20]])
    before = names(viewer)
    with opened() as second:
        assert (labels(viewer)[:10, :10] == 7).all()
        now = annotation(second)
        assert now.protected.unpack()[:10, :10].all()
        assert [p.point for p in now.prompts][:-1] == [p.point for p in made.prompts]
        assert (now.prompts[-1].point.row, now.prompts[-1].point.col) == (100, 20)
        assert now.is_answered
        for _ in range(2):
            second.controller.edits.undo()
            second.settle()
        assert annotation(second) == made
        assert names(viewer) == before


def test_a_preview_that_was_hidden_is_not_taken_for_erased(viewer: ViewerModel, opened) -> None:
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    with opened() as first:
        make_work(first)
        made = annotation(first)
        first.controller.session.annotations.show_preview(first.controller.key, False)
        first.settle()
    with opened() as second:
        assert annotation(second) == made


def test_a_verdict_of_other_pixels_is_dropped_and_told(viewer: ViewerModel, opened) -> None:
    """It was shown over the new pixels, and a record paired it with their hash."""
    image = viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    with opened() as first:
        make_work(first)
        shown = labels(viewer)
    image.data = np.ones((*SHAPE, 3), np.uint8)
    with opened() as second:
        pump(0.05)
        assert second.controller.plane.forgery is None
        assert second.controller.plane.predictions.partition is None
        assert not second.controller.layer_group.heatmap.data.any()
        assert "has other pixels now" in second.widget.message.text()
        assert annotation(second).is_answered  # the live prompt was asked again
        np.testing.assert_array_equal(labels(viewer), shown)  # what was settled is the user's
        about = second.controller.sources_layer.metadata["napari_safire"]
        assert about[ANNOTATED][()].predictions.forgery is None


def test_layers_of_another_size_stay_the_users(viewer: ViewerModel, opened) -> None:
    image = viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    with opened() as first:
        make_work(first)
        image.data = np.zeros((60, 80, 3), np.uint8)
        first.settle()
        first.controller.partition()
        first.settle()
        assert "picture: sources [1]" in names(viewer)
        old = labels(viewer)
    before = names(viewer)
    with opened() as second:
        assert second.controller.sources_layer is viewer.layers["picture: sources [1]"]
        assert second.controller.layer_group.prompts is None
        np.testing.assert_array_equal(labels(viewer), old)
        assert names(viewer) == before


def test_sources_lead_to_their_picture_in_the_next_dock(viewer: ViewerModel, opened) -> None:
    image = viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    other = viewer.add_image(np.ones((*SHAPE, 3), np.uint8), name="other")
    with opened() as first:
        viewer.layers.selection.active = image
        make_work(first)
        viewer.layers.selection.active = other
    with opened() as second:
        assert second.controller.image is other
        viewer.layers.selection.active = viewer.layers["picture: sources"]
        second.settle()
        assert second.controller.image is image
        assert annotation(second).prompts


def test_every_slice_of_a_stack_comes_back(viewer: ViewerModel, opened) -> None:
    viewer.add_image(np.zeros((3, *SHAPE), np.uint8), name="picture")
    with opened() as first:
        for step in (0, 2):
            viewer.dims.set_current_step(0, step)
            first.settle()
            first.controller.partition()
            first.settle()
        shown = labels(viewer)
        assert shown[0].any()
        assert shown[2].any()
    before = names(viewer)
    with opened() as second:
        np.testing.assert_array_equal(labels(viewer), shown)
        for step in (0, 2):
            viewer.dims.set_current_step(0, step)
            second.settle()
            assert second.controller.plane.forgery is not None
            np.testing.assert_array_equal(annotation(second).shown(), shown[step])
        assert names(viewer) == before


def test_channels_that_were_chosen_stay_chosen(viewer: ViewerModel, opened) -> None:
    image = viewer.add_image(np.zeros((3, *SHAPE), np.uint8), name="picture")
    colours = Channels((0, 1, 2))
    with opened() as first:
        first.controller.work_on(image, colours)
        first.settle()
        make_work(first)
        made = annotation(first)
    with opened() as second:
        assert second.controller.picture.channels == colours
        assert second.controller.sources_layer is viewer.layers["picture: sources"]
        assert annotation(second) == made
        for channels in (None, colours, Channels((1,))):  # nobody asks for planes that are gone
            second.controller.work_on(image, channels)
            second.settle()
            assert second.controller.picture.channels == channels
        second.controller.partition()
        second.settle()
        assert second.controller.plane.partition is not None
    with opened() as third:
        assert third.controller.picture.channels == Channels((1,))


def test_a_map_that_is_adopted_is_no_reason_to_ask_for_a_plane_that_is_gone(
    viewer: ViewerModel, opened
) -> None:
    image = viewer.add_image(np.zeros((3, *SHAPE), np.uint8), name="picture")
    with opened() as first:
        first.controller.work_on(image, Channels((0, 1, 2)))
        first.settle()
        make_work(first)
    for name in ("sources", "prompts", "forgery map (no evidence)"):
        viewer.layers[f"picture: {name}"].metadata["napari_safire"].pop("channels", None)
    with opened() as second:  # as slices
        second.controller.work_on(image, Channels((0, 1, 2)))
        second.settle()
        second.controller.partition()
        second.settle()
        assert second.controller.plane.partition is not None


def test_a_verdict_that_came_with_a_record_is_dropped_with_its_pixels_too(
    viewer: ViewerModel, opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its labels were shown before the pixels had been read, and so known by their hash."""
    with opened() as first:
        open_queue(first, tmp_path / "photos", 2)
        first.controller.partition()
        first.settle()
        first.widget.workspace.queue.go_on()
        settle_queue(first)
        first.engine.gate = gate = Event()
        identify = Pixels.identify
        monkeypatch.setattr(Pixels, "identify", lambda self: gate.wait(20) and identify(self))
        first.widget.workspace.queue.go_back()
        wait_until(lambda: "p0.png: sources" in names(viewer))
        pump(0.2)
        gate.set()
        settle_queue(first)
        assert first.controller.plane.forgery is not None
    before = len(viewer.layers)
    viewer.layers["p0.png"].data = np.ones((*SHAPE, 3), np.uint8)
    viewer.layers["p0.png"].metadata.pop("napari_safire_queue")  # which would open its own anew
    with opened() as second:
        assert second.controller.plane.forgery is None
        assert len(viewer.layers) == before


def test_a_dock_that_is_opened_again_goes_on_with_the_queue(
    viewer: ViewerModel, opened, tmp_path: Path
) -> None:
    """It had forgotten that there was one; layers of its picture were nobody's."""
    folder = tmp_path / "photos"
    with opened() as first:
        open_queue(first, folder, 3)
        first.workspace.queue.work.choose_output(tmp_path / "mine")
        settle_queue(first)
        first.workspace.queue.go_on()
        settle_queue(first)
        make_work(first)
    with opened() as second:
        settle_queue(second)
        work = second.workspace.queue.work
        assert (work.key, work.place) == ("p1.png", 1)
        assert names(viewer).count("p1.png") == 1
        assert "open before" not in second.widget.message.text()
        second.controller.edits.commit()
        second.settle()
        shown = labels(viewer, "p1.png: sources")
        second.workspace.queue.go_on()
        settle_queue(second)
        assert "p1.png" not in names(viewer)
        second.workspace.queue.go_back()
        settle_queue(second)
        np.testing.assert_array_equal(labels(viewer, "p1.png: sources"), shown)
    assert (tmp_path / "mine" / "p1.png.json").exists()
    assert not (tmp_path / "photos_masks").exists()


@pytest.mark.parametrize("saved", [False, True])
def test_a_picture_that_is_open_already_is_gone_on_with_by_the_queue(
    viewer: ViewerModel, opened, tmp_path: Path, saved: bool
) -> None:
    """Newer work, in layers of the picture from before, was neither saved nor spoken of."""
    folder = tmp_path / "photos"
    with opened() as dock:
        if saved:  # the queue has other work of it
            open_queue(dock, folder, 2)
            dock.controller.set_settings(PartitionSettings("kmeans", 2, points_per_side=4))
            dock.controller.partition()
            dock.settle()
            recorded = labels(viewer, "p0.png: sources")
            dock.workspace.queue.go_on()
            settle_queue(dock)
        else:
            folder.mkdir()
            Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(folder / "p0.png")
        (image,) = viewer.open(folder / "p0.png", plugin="napari")
        image.name = "p0.png"
        dock.controller.work_on(image)
        dock.settle()
        make_work(dock)
        shown = labels(viewer, "p0.png: sources")
        open_queue(dock, folder, 2)
        assert names(viewer).count("p0.png") == 1
        assert "p0.png was open before: its work goes on." in dock.widget.message.text()
        np.testing.assert_array_equal(labels(viewer, "p0.png: sources"), shown)
        dock.workspace.queue.go_on()
        settle_queue(dock)
        dock.workspace.queue.go_back()
        settle_queue(dock)
        np.testing.assert_array_equal(labels(viewer, "p0.png: sources"), shown)
        if saved:
            assert not np.array_equal(shown, recorded)
