"""The section *Evidence* and the layers of views, on a viewer without a window."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from dock_steps import forgery, open_image, prompts
from fakes import FakeEngine, hold_view
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Vectors
from PIL import Image as PillowImage
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_safire.engine.rules import ModelRules
from napari_safire.errors import SafireError
from napari_safire.forensics import Evidence, EvidenceMap, Links, Row
from napari_safire.forensics.catalogue import VIEWS
from napari_safire.forgery import Calibration
from napari_safire.gui.io.writer import write_labels
from napari_safire.gui.layers.evidence_layers import EvidenceLayers
from napari_safire.gui.layers.image_planes import Channels, PictureLayer
from napari_safire.gui.panels.evidence.card import ViewActs, ViewCard
from napari_safire.gui.panels.evidence.parameters import as_form
from napari_safire.gui.panels.evidence.table import as_text
from napari_safire.gui.panels.parameter_form import ParameterForm
from napari_safire.partitioning.combination import CombinationRule, Term
from napari_safire.session.evidence import Found, ViewState

from .conftest import Dock, open_dock
from .hand import ModelHand, wait_until

SHAPE = (120, 160)
PLACED: dict[str, Any] = {"scale": (0.5, 2.0), "translate": (3, -7), "rotate": 30.0}


def noise(*leading: int) -> np.ndarray:
    values = np.random.default_rng(3).integers(60, 200, (*leading, *SHAPE, 3))
    return values.astype(np.uint8)


def a_map(cell: int = 8, origin: tuple[int, int] = (3, 5)) -> Evidence:
    values = np.arange(12 * 16, dtype=np.float32).reshape(12, 16)
    return Evidence(EvidenceMap(values, cell, origin, (0.0, 191.0)), score=1.0)


def links() -> Evidence:
    regions = np.zeros(SHAPE, np.uint8)
    regions[10:30, 20:50] = regions[60:80, 90:120] = 1
    starts, ends = np.array([[12.0, 22.0], [20, 40]]), np.array([[62.0, 92.0], [70, 110]])
    return Evidence(links=Links(starts, ends, regions, np.array([1, 1])), score=2.0)


def world(layer: Layer, place: tuple[float, ...]) -> np.ndarray:
    return np.asarray(layer.data_to_world(place))


# -------------------------------------------------------------------- layers


@pytest.mark.parametrize("placed", [{}, PLACED, {"affine": [[0, 2, 1], [1, 0.5, 2], [0, 0, 1]]}])
def test_every_cell_lies_over_its_pixels(viewer: ViewerModel, placed: dict[str, Any]) -> None:
    image = viewer.add_image(noise(), **placed)
    layers = EvidenceLayers(viewer, PictureLayer(image))
    (layer,) = layers.show((), "noise level", a_map())
    for row, col in ((0, 0), (11, 15), (4, 9)):
        for corner in (-0.5, 0.5):
            cell = world(layer, (row + corner, col + corner))
            edge = 3 + 8 * (row + 0.5 + corner) - 0.5, 5 + 8 * (col + 0.5 + corner) - 0.5
            np.testing.assert_allclose(cell, world(image, edge), atol=1e-9)
    np.testing.assert_array_equal(layer.data, a_map().map.values)
    image.scale, image.rotate = (3, 3), 45
    np.testing.assert_allclose(world(layer, (0, 0)), world(image, (3 + 3.5, 5 + 3.5)), atol=1e-9)
    layers.close()


def test_in_a_stack_it_lies_in_its_own_plane(viewer: ViewerModel) -> None:
    image = viewer.add_image(noise(4), scale=(5, 0.5, 2), rgb=True)
    layers = EvidenceLayers(viewer, PictureLayer(image))
    layers.show((2,), "noise level", a_map())
    layers.show((2,), "copy-move", links())
    found, regions, lines = viewer.layers[1:]
    np.testing.assert_allclose(world(found, (0, 1, 2)), world(image, (2, 3 + 11.5, 5 + 19.5)))
    np.testing.assert_allclose(world(regions, (0, 7, 9)), world(image, (2, 7, 9)))
    np.testing.assert_allclose(world(lines, tuple(lines.data[0, 0])), world(image, (2, 12, 22)))
    assert found.data.shape == (1, 12, 16)
    assert viewer.dims.ndim == 3
    layers.close()


def test_where_the_first_axis_is_colours_it_lies_over_rows_and_columns(viewer: ViewerModel) -> None:
    image = viewer.add_image(noise()[..., :1].transpose(2, 0, 1).repeat(3, 0), scale=(1, 2, 3))
    layers = EvidenceLayers(viewer, PictureLayer(image, Channels((0, 1, 2))))
    (layer,) = layers.show((), "residual", a_map(1, (0, 0)))
    np.testing.assert_allclose(world(layer, (4, 5)), world(image, (0, 4, 5))[1:])
    layers.close()


def test_a_copy_is_linked_at_both_ends(viewer: ViewerModel) -> None:
    image = viewer.add_image(noise(), name="photo", **PLACED)
    layers = EvidenceLayers(viewer, PictureLayer(image))
    regions, lines = layers.show((), "copy-move", links())
    assert isinstance(regions, Labels)
    assert isinstance(lines, Vectors)
    assert [layer.name for layer in (regions, lines)] == [
        "photo \N{EN DASH} copy-move", "photo \N{EN DASH} copy-move: links",
    ]  # fmt: skip
    for number, (start, step) in enumerate(lines.data):
        for place, wanted in ((start, links().links.starts), (start + step, links().links.ends)):
            np.testing.assert_allclose(
                world(lines, tuple(place)), world(image, tuple(wanted[number]))
            )
    at = world(image, (70, 100))
    assert regions.get_value(at, world=True) == 1
    assert regions.get_value(world(image, (40, 60)), world=True) == 0
    layers.close()


def test_regions_that_a_map_accuses_are_a_layer_of_their_own(viewer: ViewerModel) -> None:
    image = viewer.add_image(noise(), name="photo", **PLACED)
    layers = EvidenceLayers(viewer, PictureLayer(image))
    accused = np.zeros(SHAPE, bool)
    accused[20:60, 30:90] = True
    found = replace(a_map(), regions=accused)
    (regions,) = layers.show((), "noise level", found, kinds=("regions",))
    assert isinstance(regions, Labels)
    assert regions.name == "photo \N{EN DASH} noise level: regions"
    np.testing.assert_array_equal(regions.data, accused)
    assert regions.get_value(world(image, (40, 60)), world=True) == 1
    layers.show((), "noise level", found, kinds=("map",))
    assert [layer.name for layer in viewer.layers][1:] == [
        regions.name, "photo \N{EN DASH} noise level",
    ]  # fmt: skip
    layers.show((), "noise level", replace(found, regions=accused.T.reshape(SHAPE)), kinds=())
    np.testing.assert_array_equal(regions.data, accused.T.reshape(SHAPE))
    layers.show((), "noise level", a_map(), kinds=())  # nothing is accused any more
    assert regions not in viewer.layers
    layers.close()


def test_other_answers_go_into_the_same_layers(viewer: ViewerModel) -> None:
    image = viewer.add_image(noise())
    layers = EvidenceLayers(viewer, PictureLayer(image))
    (first,) = layers.show((), "noise level", a_map())
    first.opacity, first.colormap = 0.3, "viridis"
    (second,) = layers.show((), "noise level", a_map(4, (0, 0)))
    assert second is first
    assert (second.opacity, second.colormap.name) == (0.3, "viridis")
    np.testing.assert_allclose(world(second, (1, 1)), (5.5, 5.5))
    colours = Evidence(EvidenceMap(np.zeros((12, 16, 3), np.float32)))
    (third,) = layers.show((), "noise level", colours)
    assert third.rgb
    assert len(viewer.layers) == 2
    layers.show((), "copy-move", links())
    assert layers.show((), "copy-move", Evidence(score=0.0)) == []
    assert len(viewer.layers) == 2
    layers.drop()
    assert list(viewer.layers) == [image]
    layers.close()


# -------------------------------------------------------------------- section


def evidence_of(dock: Dock) -> list[Layer]:
    return [layer for layer in dock.viewer.layers if "\N{EN DASH}" in layer.name]


def test_a_chosen_view_is_made_opened_and_made_anew(dock: Dock) -> None:
    image = open_image(dock, noise(), **PLACED)
    section = dock.widget.evidence
    assert section.cards == {}  # nothing before it is unfolded
    section.unfold()
    dock.settle()
    card = section.cards["noise level"]
    assert not card.isHidden()
    assert section.cards["file"].isHidden()
    assert "file: the pixels come from no file" in section.why_not.text()
    card.unfold()
    dock.settle()
    assert "noisier than usual" in card.finding.text()
    assert "for the eye" in card.heading.text()
    assert card.legend.text() == "Brighter: noisier than usual at this brightness, -2 to 2 log2."
    assert section.cards["comparison"].finding.text().startswith("needs another picture")
    dock.press(card.layer_button)
    dock.settle()
    (layer,) = evidence_of(dock)
    np.testing.assert_allclose(world(layer, (0, 0)), world(image, (15.5, 15.5)))
    card.parameters.unfold()
    card.form.show_values(cell=16)
    dock.press(card.apply_button)
    dock.settle()
    assert evidence_of(dock) == [layer]
    np.testing.assert_allclose(world(layer, (0, 0)), world(image, (7.5, 7.5)))
    assert card.form.values == {"cell": 16}
    assert dock.controller.image is image  # the layer is no picture to be worked on
    dock.viewer.layers.selection.active = layer
    assert dock.controller.image is image
    assert layer not in dock.controller.images


def test_layers_lie_under_prompts_and_go_when_the_pixels_do(dock: Dock) -> None:
    image = open_image(dock, noise())
    dock.controller.add_prompts()
    section = dock.widget.evidence
    section.unfold()
    dock.settle()
    for name in ("residual", "sharpness"):
        section.cards[name].unfold()
        dock.settle()
        dock.press(section.cards[name].layer_button)
        dock.settle()
    assert dock.viewer.layers[-1] is prompts(dock)
    assert len(evidence_of(dock)) == 2
    section.cards["sharpness"].heading.setChecked(False)
    image.data[:20] = 9  # in place
    section.cards["residual"].apply()
    dock.settle()
    assert evidence_of(dock) == []
    assert section.cards["sharpness"].finding.text() == ""
    dock.press(section.cards["residual"].layer_button)
    dock.settle()
    assert len(evidence_of(dock)) == 1
    image.data = noise()[::-1].copy()
    dock.settle()
    assert evidence_of(dock) == []


def test_a_dock_that_is_opened_again_takes_over_only_what_holds(
    dock: Dock, hand: ModelHand
) -> None:
    image = open_image(dock, noise())
    for name in ("residual", "sharpness"):
        dock.widget.evidence.unfold()
        dock.settle()
        dock.widget.evidence.cards[name].unfold()
        dock.settle()
        dock.press(dock.widget.evidence.cards[name].layer_button)
        dock.settle()
    first, second = evidence_of(dock)
    dock.widget.close_work()
    assert evidence_of(dock) == [first, second]
    for again in open_dock(dock.viewer, hand, FakeEngine()):
        again.settle()
        assert again.controller.images == [image]
        section = again.widget.evidence
        section.unfold()
        again.settle()
        assert evidence_of(again) == [first, second]
        card = section.cards["residual"]
        card.unfold()
        card.parameters.unfold()
        card.form.show_values(size=9)
        card.apply()
        again.settle()
        assert evidence_of(again) == [first, second]  # with another filter in the first
        again.widget.close_work()
    image.data[:30] = 7
    for again in open_dock(dock.viewer, hand, FakeEngine()):
        again.settle()
        again.widget.evidence.unfold()
        again.settle()
        assert evidence_of(again) == []


def test_a_comparison_waits_for_its_reference(dock: Dock, tmp_path: Path) -> None:
    before = noise()
    after = before.copy()
    after[40:80, 60:100] = 255 - after[40:80, 60:100]
    PillowImage.fromarray(before).save(tmp_path / "before.png")
    open_image(dock, after)
    section = dock.widget.evidence
    section.unfold()
    dock.settle()
    card = section.cards["comparison"]
    assert not card.isHidden()
    card.unfold()
    dock.settle()
    assert card.parameters.heading.isChecked()
    assert "needs another picture" in card.finding.text()
    card.form.show_values(reference=tmp_path / "before.png")
    dock.press(card.apply_button)
    dock.settle()
    assert "region differs" in card.finding.text()
    assert not card.layer_button.isHidden()
    dock.press(card.layer_button)
    dock.settle()
    (layer,) = evidence_of(dock)
    values = np.asarray(layer.data)
    assert np.nanmedian(values[45:75, 65:95]) > 10 * np.nanmedian(values[:30])


def test_views_go_with_the_picture_of_a_queue(dock: Dock, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(2):
        PillowImage.fromarray(noise() // (n + 1)).save(folder / f"p{n}.png")
    dock.workspace.queue.work.open_queue(folder)
    wait_until(lambda: not dock.workspace.queue.work.doing)
    dock.settle()
    section = dock.widget.evidence
    section.unfold()
    dock.settle()
    for name in ("file", "gradient"):
        section.cards[name].unfold()
        dock.settle()
    assert "SHA-256" in section.cards["file"].table.text.toPlainText()
    dock.press(section.cards["gradient"].layer_button)
    dock.settle()
    assert len(evidence_of(dock)) == 1
    dock.workspace.queue.go_on()
    wait_until(lambda: not dock.workspace.queue.work.doing)
    dock.settle()
    assert dock.controller.image.name == "p1.png"
    assert evidence_of(dock) == []
    assert not any(path.suffix in (".tif", ".npy") for path in folder.rglob("*"))


def test_linked_regions_are_never_saved_as_an_annotation(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    image = viewer.add_image(noise(), name="photo")
    layers = EvidenceLayers(viewer, PictureLayer(image))
    regions, _ = layers.show((), "copy-move", links())
    data, attributes, _ = regions.as_layer_data_tuple()
    with pytest.raises(SafireError, match="no annotation"):
        write_labels(str(tmp_path / "mask.png"), data, attributes)
    assert list(tmp_path.iterdir()) == []
    layers.close()


def test_text_of_files_is_never_interpreted(qapp: Any) -> None:
    view = next(view for view in VIEWS if view.name == "metadata")
    card = ViewCard(view, ViewActs(lambda *_: None, *[lambda _: None] * 3))
    evil = '<img src="http://example.org/x.png"><b>bold</b>\x1b[2J\u202egnp.exe'
    found = Evidence(table=(Row(evil, evil, evil),), finding=evil)
    card.unfold()
    card.show_state(ViewState(view, found=Found(found, {}, evil, True, evil)))
    for label in card.findChildren(QLabel):
        assert label.textFormat() == Qt.TextFormat.PlainText or not label.text()
    for text in (card.finding.text(), card.caveat.text(), card.table.text.toPlainText()):
        assert "<b>bold</b>" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    dropped = ("<img" in str(widget.toolTip()) for widget in card.findChildren(QLabel))
    assert not any(dropped)
    card.deleteLater()


@pytest.mark.parametrize("accuses", [False, True])
def test_regions_are_opened_from_their_card(qapp: Any, accuses: bool) -> None:
    view = next(view for view in VIEWS if view.name == "JPEG compatibility")
    asked: list[str] = []
    card = ViewCard(view, ViewActs(lambda *_: None, *[lambda _: None] * 2, asked.append))
    card.unfold()
    evidence = Evidence(finding="something")
    card.show_state(ViewState(view, found=Found(evidence, {}, "", True, accuses=accuses)))
    assert card.regions_button.isVisibleTo(card) == accuses
    card.regions_button.click()
    assert asked == ["JPEG compatibility"]
    card.deleteLater()


def test_what_is_to_be_noticed_comes_first_in_a_long_table() -> None:
    rows = [Row(f"tag {n}", str(n)) for n in range(40)]
    rows[30] = Row("tag 30", "30", "it does not fit")
    assert as_text(rows).splitlines()[:4] == [
        "To notice:", "tag 30: 30", "  ⚠ it does not fit", "",
    ]  # fmt: skip
    assert as_text(rows[:3]) == "tag 0: 0\ntag 1: 1\ntag 2: 2"


def test_open_views_are_made_of_the_next_picture_and_stopped_ones_fold(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    hold_view(monkeypatch, "residual", go)
    open_image(dock, noise())
    section = dock.widget.evidence
    section.unfold()
    dock.settle()
    for name in ("residual", "gradient"):
        section.cards[name].unfold()
    wait_until(lambda: not section.cards["residual"].busy.isHidden())
    assert "waits" in section.cards["gradient"].heading.text()
    assert section.cards["gradient"].busy.isHidden()
    dock.controller.session.cancel()
    dock.settle()
    assert not section.cards["residual"].heading.isChecked()
    assert not section.cards["gradient"].heading.isChecked()
    go.set()
    section.cards["gradient"].unfold()
    dock.settle()
    first = section.cards["gradient"].thumbnail.pixmap().toImage()
    open_image(dock, noise()[::-1].copy(), name="next")
    assert section.cards["gradient"].heading.isChecked()
    assert not section.cards["gradient"].thumbnail.isHidden()
    assert section.cards["gradient"].thumbnail.pixmap().toImage() != first
    assert section.cards["residual"].finding.text() == ""


@pytest.mark.parametrize("view", [view for view in VIEWS if view.parameters], ids=lambda v: v.name)
def test_parameters_are_a_form_of_the_functions_own(qapp: Any, view: Any) -> None:
    form = ParameterForm(as_form(view))
    assert form.values == dict(view.parameters)
    form.deleteLater()


def test_sentences_of_views_are_short() -> None:
    for view in VIEWS:
        for text in (view.shows, view.misleads):
            for sentence in text.replace(";", ".").split(". "):
                assert len(sentence.split()) <= 20, (view.name, sentence)


def test_an_image_layer_of_a_view_is_an_overlay(viewer: ViewerModel) -> None:
    image = viewer.add_image(noise())
    layers = EvidenceLayers(viewer, PictureLayer(image))
    (layer,) = layers.show((), "noise level", a_map())
    assert isinstance(layer, Image)
    assert tuple(layer.contrast_limits) == (0, 191)
    layers.close()


# -------------------------------------------------------------------- verdict


def test_the_verdict_says_what_each_kind_of_evidence_adds(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = {"network": Term(2.0, 0.0, -5, 5), "compression grid": Term(0), "thumbnail": Term(1.0)}
    calibration = Calibration(1.0, 5.0, 0.68, 0.27, 0.05, "made up.")
    assert dock.engine is not None
    rule = CombinationRule(MappingProxyType(terms), calibration)
    dock.engine.rules = ModelRules(combination=rule)
    found = forgery("no forgery found", 0.2)
    monkeypatch.setattr(dock.engine, "localize", lambda *args, **more: found)
    go = threading.Event()
    hold_view(monkeypatch, "compression grid", go)
    panel = dock.widget.verdict
    image = open_image(dock, noise())
    dock.press(dock.widget.partition.run)
    wait_until(lambda: dock.controller.plane.weighing is not None)
    assert panel.line.text() == "So far, network alone: no forgery found · .20"
    assert panel.reason.text().startswith("Other evidence is being weighed …")
    assert panel.counted.isHidden()
    go.set()
    dock.widget.evidence.unfold()
    dock.settle()
    counted = dock.widget.evidence.counted
    assert counted.text() == "The verdict of the model safire-lite counts: compression grid."
    assert not counted.isHidden()
    weighing = dock.controller.session.weighing
    weighing.count(False)
    assert counted.isHidden()
    assert panel.line.text() == "No forgery found · .20 at even odds"
    weighing.count(True)
    assert panel.line.text() == "Forged · .90 at even odds"
    assert not panel.counted.isHidden()
    assert panel.contributions.text().splitlines() == [
        "network (against, odds x 0.062): by itself 20 % at even odds",
        "compression grid (nothing): no region on another grid",
        "thumbnail (not applicable): the pixels come from no file",
    ]
    image.data = noise()[::-1].copy()  # of these nothing is known
    dock.settle()
    assert panel.line.text() == "No verdict yet"
    assert panel.counted.isHidden()
