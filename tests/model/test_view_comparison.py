"""Comparing views: what is shown meanwhile, and that nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from dock_steps import labels, open_image
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import Qt

from napari_safire.forensics import Evidence, EvidenceMap, Links
from napari_safire.gui.controllers.compared_views import MODES, crossfaded
from napari_safire.gui.controllers.view_comparison import FASTEST, ViewComparison
from napari_safire.gui.layers.drawn_layers import Look
from napari_safire.gui.layers.image_planes import PictureLayer
from napari_safire.gui.layers.loupe import cut_out
from napari_safire.gui.layers.viewer_before import _shape_of_grid
from napari_safire.gui.layers.viewport import viewport_of
from napari_safire.gui.panels.review.compare_section import CompareSection

from .conftest import Dock
from .hand import pump

SHAPE = (120, 160)
PLACED: dict[str, Any] = {"scale": (0.5, 2.0), "translate": (3, -7), "rotate": 30.0}


def a_map(low: float = 0.0) -> Evidence:
    values = np.arange(12 * 16, dtype=np.float32).reshape(12, 16) + low
    return Evidence(EvidenceMap(values, 8, (3, 5), (low, low + 191)), score=1.0)


def links() -> Evidence:
    regions = np.zeros(SHAPE, np.uint8)
    regions[10:30, 20:50] = regions[60:80, 90:120] = 1
    ends = np.array([[62.0, 92.0], [70, 110]])
    return Evidence(links=Links(ends - 50, ends, regions, np.array([1, 1])), score=2.0)


def lay(dock: Dock, name: str, found: Evidence) -> list[Layer]:
    """Open what a view found as layers."""
    key = dock.controller.key
    assert key is not None
    place = dock.controller.place_of(key)
    assert place is not None
    return place.evidence_layers.show(key.index, name, found, below=place.layer_group.prompts)


def state(viewer: ViewerModel) -> dict[str, Any]:
    """What comparing may touch of a viewer."""
    grid = viewer.canvas.grid
    return {
        "layers": [(layer.name, layer.visible, layer.opacity) for layer in viewer.layers],
        "modes": [getattr(layer, "mode", None) for layer in viewer.layers],
        "grid": (grid.enabled, grid.stride, grid.shape, grid.spacing),
        "camera": (viewer.scene.camera.center, viewer.scene.camera.zoom),
        "active": viewer.layers.selection.active,
        "callbacks": [
            len(getattr(layer.events, name).callbacks)
            for layer in viewer.layers
            for name in ("visible", "opacity", "set_data")
        ]
        + [len(viewer.cursor.events.position.callbacks)],
    }


@pytest.fixture
def full(dock: Dock) -> Dock:
    """A picture that is partitioned, with two views open as layers."""
    open_image(dock, np.random.default_rng(3).integers(60, 200, (*SHAPE, 3)).astype(np.uint8))
    dock.press(dock.widget.partition.run)
    dock.settle()
    dock.controller.show_forgery_map()
    lay(dock, "noise level", a_map())
    lay(dock, "copy-move", links())
    dock.settle()
    return dock


def comparison(dock: Dock) -> ViewComparison:
    return dock.workspace.comparison


def shown(dock: Dock) -> set[str]:
    layers = [layer for layer in dock.viewer.layers if layer.visible]
    return {layer.name.removeprefix("picture").strip(": \N{EN DASH}") for layer in layers}


# ---------------------------------------------------------------- what is compared


def test_what_is_open_as_layers_can_be_compared(full: Dock) -> None:
    own = full.viewer.add_image(np.zeros(SHAPE), name="sources")
    full.viewer.add_points(np.zeros((1, 2)))
    full.viewer.layers.selection.active = full.viewer.layers["picture"]
    views = {view.name: view.layers for view in comparison(full).views}
    assert list(views) == [
        "picture", "sources", "forgery map", "noise level", "copy-move", "sources (layer)",
    ]  # fmt: skip
    assert [type(layer).__name__ for layer in views["copy-move"]] == ["Labels", "Vectors"]
    assert views["sources (layer)"] == (own,)
    assert comparison(full).chosen == ("picture", "copy-move")  # opened last
    comparison(full).choose(["noise level", "gone", "noise level", "sources"])
    assert comparison(full).chosen == ("noise level", "sources")
    comparison(full).swap()
    assert comparison(full).chosen == ("sources", "noise level")


def test_the_view_that_is_opened_becomes_b(full: Dock) -> None:
    comparison(full).choose(["sources", "noise level"])
    lay(full, "residual", a_map(3.0))
    assert comparison(full).chosen == ("sources", "residual")
    comparison(full).begin("grid")
    lay(full, "gradient", a_map(4.0))
    assert comparison(full).words == "side by side: sources | residual | gradient"
    comparison(full).begin("swipe")
    lay(full, "sharpness", a_map(5.0))
    assert comparison(full).words == "swipe: sources | sharpness"


def test_nothing_to_compare_is_told(dock: Dock) -> None:
    told: list[str] = []
    dock.controller.notice.connect(lambda text, failed, topic: told.append(text))
    comparison(dock).blink()
    open_image(dock, np.zeros((*SHAPE, 3), np.uint8))
    comparison(dock).toggle("swipe")
    assert [text.split(":")[0] for text in told[-2:]] == [
        "There is nothing to compare",
        "There is one view only",
    ]
    assert comparison(dock).mode is None


# ---------------------------------------------------------------- what is shown meanwhile


def test_each_mode_shows_what_is_compared_and_the_picture_under_it(full: Dock) -> None:
    compared = comparison(full)
    compared.choose(["sources", "forgery map", "copy-move"])
    compared.begin("swipe")
    assert shown(full) == {"", "sources", "forgery map (no evidence)"}  # both, though one covers
    compared.begin("grid")
    assert shown(full) == {"sources", "forgery map (no evidence)", "copy-move"}  # each in a cell
    assert full.viewer.canvas.grid.enabled
    compared.begin("blink")
    assert not full.viewer.canvas.grid.enabled
    assert shown(full) == {
        "", "sources", "forgery map (no evidence)", "copy-move", "copy-move: links",
    }  # fmt: skip
    assert [compared.shown] + [compared.blink() or compared.shown for _ in range(3)] == [
        "sources", "forgery map", "copy-move", "sources",
    ]  # fmt: skip
    full.controller.plane_changed.emit()  # the dock looks which view is shown
    compared.end()
    assert full.widget.view.buttons["sources"].isChecked()


def test_views_take_turns_by_themselves_only_while_they_blink(full: Dock) -> None:
    compared = comparison(full)
    for mode in ("grid", "swipe", "opacity"):
        compared.blink_alone(True)
        assert compared.blinks_alone
        compared.begin(mode)
        assert (compared.mode, compared.blinks_alone) == (mode, False)
        compared.end()
    compared.blink_alone(True)
    compared.choose(["sources", "copy-move", "forgery map"])
    assert compared.blinks_alone


def end_it(dock: Dock) -> None:
    comparison(dock).end()


def press_again(dock: Dock) -> None:
    mode = comparison(dock).mode
    assert mode is not None
    comparison(dock).toggle(mode)


def close_the_dock(dock: Dock) -> None:
    dock.widget.close_work()


@pytest.mark.parametrize("end", [end_it, press_again, close_the_dock])
def test_all_is_as_it_was(full: Dock, end: Callable[[Dock], None]) -> None:
    full.viewer.layers["picture: sources"].mode = "paint"
    full.viewer.reset_view()
    before = state(full.viewer)
    compared = comparison(full)
    compared.choose(["forgery map", "noise level"])
    for mode in MODES:
        for between in (*MODES, mode):
            compared.begin(between)
        compared.move(0.2)
        compared.blink_alone(mode == "blink")
        assert state(full.viewer) != before
        end(full)
        assert compared.mode is None
        assert not compared.blinks_alone
        after = state(full.viewer)
        if end is close_the_dock:  # which undoes more
            assert (after["layers"], after["grid"]) == (before["layers"], before["grid"])
            break
        assert after == before


def test_the_users_own_grid_and_view_come_back(full: Dock) -> None:
    grid, camera = full.viewer.canvas.grid, full.viewer.scene.camera
    grid.stride, grid.shape, grid.enabled = -2, (1, 3), True
    camera.center, camera.zoom = (0, 30, 40), 7.0
    before = state(full.viewer)
    comparison(full).begin("grid")
    assert camera.zoom == 7  # of a detail: it stays that
    comparison(full).begin("opacity")
    comparison(full).end()
    assert state(full.viewer) == before


def test_a_cell_shows_less_of_a_detail_than_the_canvas(full: Dock) -> None:
    picture = full.controller.picture
    assert picture is not None
    full.viewer.scene.camera.center, full.viewer.scene.camera.zoom = (0, 60, 80), 30.0
    before = viewport_of(full.viewer, picture, ())
    comparison(full).choose(["picture", "noise level"])
    comparison(full).begin("grid")
    seen = viewport_of(full.viewer, picture, ())
    assert before is not None
    assert seen is not None
    assert seen.width * seen.height == pytest.approx(before.width * before.height / 2, rel=0.05)


def test_it_ends_with_what_it_compares(full: Dock) -> None:
    compared, viewer = comparison(full), full.viewer
    before = {layer.name: layer.visible for layer in viewer.layers}
    compared.choose(["sources", "noise level"])

    compared.begin("swipe")
    viewer.layers.remove("picture \N{EN DASH} noise level")
    assert compared.mode is None
    assert all(before[layer.name] == layer.visible for layer in viewer.layers)

    compared.begin("swipe")
    viewer.layers["picture: forgery map (no evidence)"].visible = True  # in napari's list
    assert compared.mode is None
    assert full.workspace.switch.view == "forgery map"
    assert not viewer.layers["picture: sources"].visible

    compared.begin("grid")
    full.workspace.switch.toggle("picture")
    assert compared.mode is None
    assert full.workspace.switch.view == "picture"

    compared.begin("blink")
    open_image(full, np.zeros((40, 50), np.uint8), name="other")
    assert compared.mode is None
    assert viewer.layers["picture"].visible

    viewer.layers.selection.active = viewer.layers["picture"]
    compared.begin("opacity")
    viewer.layers.remove("picture")
    assert compared.mode is None


def test_a_stack_is_compared_plane_by_plane(dock: Dock) -> None:
    values = np.random.default_rng(3).integers(60, 200, (3, *SHAPE)).astype(np.uint8)
    open_image(dock, values)
    for _ in range(2):
        dock.press(dock.widget.partition.run)
        dock.settle()
    compared = comparison(dock)
    compared.choose(["picture", "sources"])
    compared.begin("swipe")
    dock.viewer.dims.set_point(0, 1)
    dock.settle()
    assert compared.words == "swipe: picture | sources"
    lay(dock, "noise level", a_map())
    assert compared.words == "swipe: picture | noise level"
    dock.viewer.dims.set_point(0, 2)
    dock.settle()
    assert compared.mode is None
    dock.viewer.dims.ndisplay = 3
    compared.begin("swipe")
    assert compared.mode is None


def test_it_is_no_stroke_and_stops_none(full: Dock) -> None:
    key, layer = full.controller.key, full.viewer.layers["picture: sources"]
    assert key is not None
    assert isinstance(layer, Labels)
    made = full.controller.plane.snapshot
    compared = comparison(full)
    compared.choose(["sources", "noise level"])
    for mode in MODES:
        compared.begin(mode)
        full.settle()
    full.controller.edits.read_strokes()
    full.settle()
    assert full.controller.plane.snapshot.annotation == made.annotation
    compared.begin("swipe")
    full.viewer.layers.selection.active = layer
    layer.mode, layer.brush_size, layer.selected_label = "paint", 5, 4
    full.hand.drag(layer, (30, 30), (30, 60))
    full.settle()
    assert compared.mode == "swipe"
    assert (labels(full)[30, 30:60] == 4).all()
    assert 4 in full.controller.plane.snapshot.areas


# ---------------------------------------------------------------- what is drawn


@settings(max_examples=30)
@given(st.floats(0, 1), st.floats(0.05, 1), st.floats(0.05, 1), st.booleans())
def test_a_crossfade_shows_both_in_their_shares(
    share: float, a: float, b: float, over: bool
) -> None:
    first, second = Image(np.zeros((2, 2))), Image(np.zeros((2, 2)))
    parts = {first: (1 - share) * a, second: share * b}
    order = [first, second] if over else [second, first]
    drawn = crossfaded({layer: Look(part) for layer, part in parts.items()}, order)
    seen, rest = {}, 1.0
    for layer in reversed(order):
        seen[layer] = rest * drawn[layer].opacity
        rest -= seen[layer]
    assert seen == pytest.approx(parts, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "picture", "canvas", "shape"),
    [
        (2, (300, 400), (700, 900), (2, 1)),  # 350 x 467 each; beside each other 338 x 450
        (2, (400, 300), (700, 900), (1, 2)),
        (4, (300, 400), (700, 900), (2, 2)),
        (3, (100, 900), (700, 900), (3, 1)),
        (5, (0, 10), (700, 900), (5, 1)),
    ],
)
def test_cells_are_where_pictures_are_largest(
    n: int, picture: tuple[int, int], canvas: tuple[int, int], shape: tuple[int, int]
) -> None:
    assert _shape_of_grid(n, picture, canvas) == shape


# ---------------------------------------------------------------- loupe


def test_the_loupe_shows_pixels_and_their_values(dock: Dock) -> None:
    values = np.random.default_rng(5).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    image = open_image(dock, values, **PLACED)
    picture = PictureLayer(image)
    seen = cut_out(picture, [], (50.4, 70.2), 5)
    assert np.array_equal(seen.rgb, values[48:53, 68:73])
    assert seen.value == ", ".join(map(str, values[50, 70]))
    (block,) = lay(dock, "noise level", a_map())
    block.opacity = 1.0
    seen = cut_out(picture, [block], (19, 29), 3)  # of cell (2, 3): rows 19 to 26, columns 29 to 36
    drawn = np.rint(255 * block.colormap.map(np.array([(2 * 16 + 3) / 191]))[0, :3])
    assert np.array_equal(seen.rgb[1:, 1:], np.broadcast_to(drawn, (2, 2, 3)))
    assert not np.array_equal(seen.rgb[0, 0], seen.rgb[1, 1])
    assert seen.value == "35"
    regions, lines = lay(dock, "copy-move", links())
    assert cut_out(picture, [regions, lines], (11, 22), 3).value == "label 1"
    assert cut_out(picture, [regions, lines], (0, 0), 3).value == "no label"
    beyond = cut_out(picture, [block], (-40, 500), 3)
    assert beyond.value == ""
    assert len(np.unique(beyond.rgb)) == 1


def test_the_loupe_shows_nothing_of_what_is_not_in_memory(dock: Dock) -> None:
    import dask.array

    image = open_image(dock, dask.array.zeros((2, *SHAPE), chunks=(1, *SHAPE), dtype=np.uint8))
    seen = cut_out(PictureLayer(image), [], (0, 5, 5), 3)
    assert (seen.value, len(np.unique(seen.rgb))) == ("", 1)
    stack = open_image(dock, np.stack([np.full(SHAPE, n, np.float32) for n in (0.25, 0.75)]))
    assert cut_out(PictureLayer(stack), [], (1, 5, 5), 3).value == "0.75"


# ---------------------------------------------------------------- the section


def test_the_section_follows_and_leads(full: Dock) -> None:
    section = CompareSection(comparison(full))
    section.resize(340, 600)
    section.show()
    section.unfold()
    pump()
    assert [combo.currentText() for combo in section.combos] == ["picture", "copy-move"]
    section.modes["swipe"].click()
    assert comparison(full).mode == "swipe"
    section.slider.setValue(30)
    section.across.click()
    assert (comparison(full).line.position, comparison(full).line.upright) == (0.3, False)
    comparison(full).more()
    assert section.slider.value() == 25
    section.modes["blink"].click()
    assert not section.slider.isVisible()
    section.alone.click()
    assert comparison(full).blinks_alone
    section.rate.setValue(99)
    assert comparison(full).rate == FASTEST
    section.further.unfold()
    section.more.item(0).setCheckState(Qt.CheckState.Checked)
    assert comparison(full).chosen == ("picture", "copy-move", "sources")
    section.combos[1].setCurrentIndex(0)  # the picture, which is A
    section.combos[1].activated.emit(0)
    assert comparison(full).chosen[:2] == ("copy-move", "picture")
    section.loupe_box.click()
    full.viewer.cursor.position = (20.0, 40.0)
    section._look_through()
    assert section.loupe.texts[1].text().startswith("B picture\n")
    section.close_section()
    assert comparison(full).mode is None
    section.deleteLater()
