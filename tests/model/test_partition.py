"""Partition, plots and verdict in a real window."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import PatchEngine
from napari.components import ViewerModel
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDoubleSpinBox
from window.conftest import choose_grid, choose_method

from napari_safire.gui.panels.annotate.source_section import _confidence
from napari_safire.types import PointPrompt

from .conftest import Dock, open_dock
from .hand import ModelHand, pump

SHAPE = (120, 160)


def open_picture(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock.settle()


def test_the_button_paints_the_sources_and_makes_a_forgery_map(dock: Dock) -> None:
    open_picture(dock)
    dock.press(dock.widget.partition.run)
    dock.settle()
    sources, layer_group = dock.controller.sources_layer, dock.controller.layer_group
    assert sources is not None
    assert layer_group is not None
    assert (sources.data[:, :80] == 1).all()
    assert (sources.data[:, 80:] == 2).all()
    heatmap = layer_group.heatmap
    assert heatmap is not None
    assert heatmap.opacity == 0.5
    assert not heatmap.visible
    np.testing.assert_array_equal(heatmap.data[:, :80], 1)
    assert dock.controller.image is dock.viewer.layers["picture"]
    assert "Inconclusive" in dock.widget.verdict.line.text()
    assert "Made up for tests." in dock.widget.verdict.reason.text()


def test_the_forgery_map_is_shown_and_hidden(dock: Dock) -> None:
    open_picture(dock)
    dock.press(dock.widget.partition.run)
    dock.settle()
    layer_group = dock.controller.layer_group
    assert layer_group is not None
    assert layer_group.heatmap is not None
    dock.press(dock.widget.view.buttons["forgery map"])
    assert layer_group.heatmap.visible
    dock.press(dock.widget.view.buttons["sources"])
    assert not layer_group.heatmap.visible


def test_a_line_says_how_probable_the_number_is(dock: Dock) -> None:
    open_picture(dock)
    section, found = dock.widget.partition, dock.widget.plots.found
    assert not found.isVisible()
    dock.press(section.run)
    dock.settle()
    assert found.isVisible()
    words = "2 sources found. A bar: how well that many fall apart; no probability."
    assert found.text() == words
    section.count.setValue(3)  # given, not found
    dock.settle()
    assert found.text() == words.replace("2 sources found", "3 sources asked for")
    section.count.setValue(0)
    dock.settle()
    assert found.text() == words
    dock.viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="another")
    dock.settle()
    assert not found.isVisible()


def test_another_number_regroups_without_reading_the_picture_again(dock: Dock) -> None:
    open_picture(dock)
    dock.press(dock.widget.partition.run)
    dock.settle()
    assert dock.engine is not None
    before = dock.engine.calls.count("embed")
    box = dock.widget.partition.count
    dock.widget.ensureWidgetVisible(box)
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Up)
    QTest.keyClick(box, Qt.Key.Key_Up)
    QTest.keyClick(box, Qt.Key.Key_Up)
    dock.settle()
    assert dock.controller.settings.method == "kmeans"
    assert dock.controller.sources_layer is not None
    assert dock.controller.sources_layer.data.max() == 3
    assert dock.engine.calls.count("embed") == before


def test_dbscan_shows_its_distance_and_hides_the_number(dock: Dock) -> None:
    open_picture(dock)
    section = dock.widget.partition
    eps = section.form.field("eps")
    assert isinstance(eps, QDoubleSpinBox)
    section.advanced.unfold()
    choose_method(dock, "DBSCAN")
    pump()
    assert eps.isVisible()
    assert not section.count.isVisible()
    eps.setValue(0.355)
    assert (dock.controller.settings.method, dock.controller.settings.eps) == ("dbscan", 0.355)
    assert dock.controller.settings.n_sources is None


def test_a_dot_of_the_plot_shows_its_prompt_on_the_picture(dock: Dock) -> None:
    open_picture(dock)
    section = dock.widget.partition
    choose_grid(dock, 4)
    dock.press(section.run)
    dock.settle()
    dock.widget.ensureWidgetVisible(dock.widget.plots.dots)
    pump()
    where = QPointF(*dock.widget.plots.dots.positions()[5]).toPoint()
    QTest.mouseClick(dock.widget.plots.dots.viewport(), Qt.MouseButton.LeftButton, pos=where)
    pump()
    layer_group, plane = dock.controller.layer_group, dock.controller.plane
    assert layer_group is not None
    assert layer_group.grid_prompts is not None
    assert plane is not None
    assert plane.grid is not None
    chosen = plane.grid.prompts[5]
    np.testing.assert_allclose(layer_group.grid_prompts.data, [[chosen.row, chosen.col]])
    assert dock.controller.image is dock.viewer.layers["picture"]


def test_a_number_of_the_curve_becomes_the_number_of_sources(dock: Dock) -> None:
    open_picture(dock)
    section = dock.widget.partition
    choose_grid(dock, 4)
    dock.press(section.run)
    dock.settle()
    dock.widget.ensureWidgetVisible(dock.widget.plots.bars)
    pump()
    top = dock.widget.plots.bars.positions()[4].toPoint()
    QTest.mouseClick(dock.widget.plots.bars.viewport(), Qt.MouseButton.LeftButton, pos=top)
    dock.settle()
    assert section.count.value() == 4
    assert dock.controller.sources_layer is not None
    assert dock.controller.sources_layer.data.max() == 4


def test_uncertainty_is_made_on_demand(dock: Dock) -> None:
    assert not dock.widget.view.buttons["uncertainty"].isEnabled()
    open_picture(dock)
    dock.press(dock.widget.partition.run)
    dock.settle()
    layer_group = dock.controller.layer_group
    assert layer_group is not None
    assert layer_group.uncertainty is None
    dock.press(dock.widget.view.buttons["uncertainty"])
    dock.settle()
    assert layer_group.uncertainty is not None
    values = layer_group.uncertainty.data
    assert values.shape == SHAPE
    assert 0 <= values.min() <= values.max() <= 1
    assert "stability" in dock.engine.calls


def test_what_a_view_needs_is_made_when_it_is_asked_for(dock: Dock) -> None:
    open_picture(dock)
    button = dock.widget.view.buttons["forgery map"]
    assert button.isEnabled()
    dock.press(button)
    dock.settle()
    assert button.isChecked()
    assert dock.controller.sources_layer is not None


def test_settings_that_cannot_regroup_say_what_applies_them(dock: Dock) -> None:
    open_picture(dock)
    section = dock.widget.partition
    dock.press(section.run)
    dock.settle()
    assert not section.number.isVisible()
    choose_grid(dock, 5)
    dock.settle()
    assert section.number.text() == "Press Partition to apply this."
    dock.press(section.run)
    dock.settle()
    assert not section.number.isVisible()


def test_without_a_picture_a_sentence_says_so(dock: Dock) -> None:
    dock.hand.press("Shift+G")
    assert "open one first" in dock.widget.message.text()
    assert not dock.widget.partition.run.isEnabled()


def test_without_a_picture_all_slices_say_the_same(dock: Dock) -> None:
    dock.controller.partition_all()  # as its command does; the button is hidden
    assert dock.widget.message.text() == "⚠ There is no picture to partition: open one first."


def test_the_key_partitions_whichever_layer_is_selected(dock: Dock) -> None:
    open_picture(dock)
    shapes = dock.viewer.add_shapes(name="notes")
    dock.viewer.layers.selection.active = shapes
    dock.hand.press("Shift+G")
    dock.settle()
    assert dock.controller.sources_layer is not None
    assert dock.controller.sources_layer.data.max() == 2
    assert dock.viewer.layers.selection.active is shapes


@pytest.mark.parametrize(("confidences", "said"), [([1.0], None), ([0.9], 0.9), ([1.0, 0.8], 1.0)])
def test_a_source_that_nothing_was_compared_with_has_no_confidence(
    confidences: list[float], said: float | None
) -> None:
    points = [PointPrompt(10.0 * k, 5.0) for k in range(len(confidences))]
    seeds = [(k, point) for k, point in enumerate(points, 1)]
    annotation = SimpleNamespace(seeds=seeds, preview=None, prompts=())
    known = dict(zip(points, confidences, strict=True))
    plane = SimpleNamespace(predictions=SimpleNamespace(confidences=known))
    snapshot = SimpleNamespace(annotation=annotation, confidences={})
    assert _confidence(1, plane, snapshot) == said  # type: ignore[arg-type]


@pytest.fixture
def patch_dock(viewer: ViewerModel, hand: ModelHand) -> Iterator[Dock]:
    yield from open_dock(viewer, hand, PatchEngine())


def test_plots_show_what_a_partition_by_patches_rests_on(patch_dock: Dock) -> None:
    dock = patch_dock
    open_picture(dock)
    section = dock.widget.partition
    dock.press(section.run)
    dock.settle()
    plane, layer_group = dock.controller.plane, dock.controller.layer_group
    assert plane is not None
    assert layer_group is not None
    assert plane.patches is not None
    assert f"{len(plane.compared)} patches" in dock.widget.plots.dots.accessibleDescription()
    assert "50%" in dock.widget.plots.bars.accessibleDescription()
    dock.widget.ensureWidgetVisible(dock.widget.plots.dots)
    pump()
    chosen: list[int] = []
    dock.widget.plots.dots.selected.connect(chosen.extend)
    where = QPointF(*dock.widget.plots.dots.positions()[0]).toPoint()
    QTest.mouseClick(dock.widget.plots.dots.viewport(), Qt.MouseButton.LeftButton, pos=where)
    pump()
    assert chosen
    assert layer_group.grid_prompts is not None
    np.testing.assert_allclose(layer_group.grid_prompts.data, plane.compared[chosen])
    dock.widget.plots.bars.chosen.emit(3)
    dock.settle()
    assert dock.controller.sources_layer is not None
    assert dock.controller.sources_layer.data.max() == 3
