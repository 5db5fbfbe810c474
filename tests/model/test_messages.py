"""Messages belong to a picture and a state, can be closed, and go with them."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeEngine
from napari.components import ViewerModel
from qtpy.QtCore import QPointF
from window.conftest import choose_grid

from napari_safire.errors import SafireError
from napari_safire.gui.layers.image_planes import PictureLayer
from napari_safire.gui.panels.feature_plot import FeaturePlot
from napari_safire.gui.panels.folded_text import MOST_WORDS, FoldedLabel, fold
from napari_safire.gui.widget import SafireWidget
from napari_safire.session.messages import ANYWHERE, Topic

from .conftest import Dock
from .hand import pump

SHAPE = (120, 160)


def open_picture(dock: Dock, name: str, value: int = 0) -> None:
    dock.viewer.add_image(np.full((*SHAPE, 3), value, np.uint8), name=name)
    dock.settle()


def partition(dock: Dock) -> None:
    dock.press(dock.widget.partition.run)
    dock.settle()


def go_to(dock: Dock, name: str) -> None:
    dock.viewer.layers.selection.active = dock.viewer.layers[name]
    dock.settle()


def test_a_message_is_not_shown_over_another_picture(dock: Dock) -> None:
    open_picture(dock, "first")
    dock.controller.notice.emit("Something about the first.", True)
    assert dock.widget.message.text() == "⚠ Something about the first."
    open_picture(dock, "second", 9)
    assert dock.widget.message.isHidden()
    go_to(dock, "first")
    assert "about the first" in dock.widget.message.text()
    dock.viewer.layers.remove("first")
    dock.settle()
    assert dock.widget.message.isHidden()


def test_a_late_answer_about_another_picture_is_told_there(dock: Dock) -> None:
    open_picture(dock, "first")
    key = dock.controller.key
    assert key is not None
    open_picture(dock, "second", 9)
    dock.controller.session.notice.emit("The first is dark.", False, Topic(key, "picture"))
    assert dock.widget.message.isHidden()
    go_to(dock, "first")
    assert dock.widget.message.text() == "The first is dark."


def test_a_message_can_be_closed(dock: Dock) -> None:
    open_picture(dock, "first")
    dock.controller.notice.emit("One.", False)
    dock.controller.notice.emit("Two.", True)
    pump()
    rows = dock.widget.message.rows
    assert [row.message.text for row in rows] == ["Two.", "One."]
    dock.press(rows[0].close_button)
    assert dock.widget.message.text() == "One."
    dock.press(dock.widget.message.rows[0].close_button)
    assert dock.widget.message.isHidden()


def test_a_failure_comes_into_view_where_the_dock_was_scrolled(dock: Dock) -> None:
    open_picture(dock, "first")
    bar = dock.widget.verticalScrollBar()
    assert bar is not None
    for folded in (dock.widget.model, dock.widget.evidence, dock.widget.fine_tune):
        folded.unfold()
    pump(0.05)
    bar.setValue(bar.maximum())
    assert bar.value() > 0
    dock.controller.notice.emit("Told.", False)
    assert bar.value() > 0
    dock.controller.notice.emit("It failed.", True)
    pump(0.05)
    assert bar.value() == 0
    assert dock.widget.message.isVisible()


def test_a_failed_partition_is_told_until_one_succeeds(dock: Dock) -> None:
    open_picture(dock, "picture")
    assert dock.engine is not None
    dock.engine.failure = SafireError("The grid is broken.")
    partition(dock)
    assert "The grid is broken." in dock.widget.message.text()
    partition(dock)
    assert dock.widget.message.isHidden()


def test_what_is_wrong_with_no_picture_stays_over_all(dock: Dock) -> None:
    open_picture(dock, "first")
    dock.controller.notice.emit("The disk is gone.", True, ANYWHERE)
    open_picture(dock, "second", 9)
    assert "The disk is gone." in dock.widget.message.text()
    dock.viewer.layers.clear()
    dock.settle()
    assert "The disk is gone." in dock.widget.message.text()


def test_what_was_said_without_a_picture_goes_with_the_first(dock: Dock) -> None:
    dock.controller.partition()
    assert "open one first" in dock.widget.message.text()
    open_picture(dock, "picture")
    assert dock.widget.message.isHidden()


def test_why_a_picture_cannot_be_worked_on_is_said_also_when_it_was_there_first(
    viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PictureLayer, "problem", lambda picture: "It cannot be worked on.")
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="waves")
    widget = SafireWidget(viewer, load_engine=lambda name, device, notice: FakeEngine())
    widget.show()
    assert widget.message.text() == "⚠ It cannot be worked on."
    widget.close_work()


def test_in_three_dimensions_nobody_is_told_to_open_a_picture(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros((2, *SHAPE), np.uint8), name="stack")
    dock.settle()
    dock.viewer.dims.ndisplay = 3
    pump()
    for act in (dock.controller.partition, dock.controller.segment, dock.controller.edits.commit):
        dock.workspace.messages.clear()
        act()
        assert "switch the viewer to 2-D" in dock.widget.message.text()
        assert "open one" not in dock.widget.message.text()


def test_the_status_does_not_ask_for_what_was_done(dock: Dock) -> None:
    open_picture(dock, "picture")
    status = dock.widget.status.label
    assert status.text() == "160 x 120, click or partition"
    partition(dock)
    assert status.text() == "160 x 120, 2 sources found"
    dock.controller.edits.merge([1, 2])
    dock.settle()
    assert status.text() == "160 x 120, 1 source marked"  # merged, not found
    dock.controller.edits.undo()
    dock.controller.edits.undo()
    dock.settle()
    assert status.text() == "160 x 120, click or partition"


def test_the_verdict_does_not_ask_for_a_partition_where_there_is_no_picture(dock: Dock) -> None:
    verdict = dock.widget.verdict
    assert verdict.line.text() == "No verdict yet"
    assert verdict.reason.text() == "Open a picture, or drop one here."
    open_picture(dock, "picture")
    assert verdict.line.text() == "No verdict yet"
    assert verdict.reason.text() == "Partition the picture."


# ---------------------------------------------------------------- uncertainty


def uncertainty(dock: Dock):
    layer_group = dock.controller.layer_group
    assert layer_group is not None
    return layer_group.uncertainty


def test_uncertainty_goes_with_its_partition(dock: Dock) -> None:
    open_picture(dock, "picture")
    partition(dock)
    dock.press(dock.widget.view.buttons["uncertainty"])
    dock.settle()
    layer = uncertainty(dock)
    assert layer.visible
    assert layer.data.any()
    dock.widget.partition.count.setValue(3)
    dock.settle()
    assert not layer.visible
    assert not layer.data.any()
    dock.press(dock.widget.view.buttons["uncertainty"])
    dock.settle()
    assert layer.visible
    assert layer.data.any()
    dock.controller.edits.undo()  # the labels are those of the former partition again
    dock.settle()
    assert not layer.visible


def test_uncertainty_of_another_slice_stays(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros((2, *SHAPE), np.uint8), name="stack")
    dock.settle()
    dock.controller.partition_all()
    dock.settle()
    for step in (0, 1):
        dock.viewer.dims.set_current_step(0, step)
        dock.settle()
        dock.controller.show_uncertainty()
        dock.settle()
    dock.widget.partition.count.setValue(3)  # of the slice that is looked at
    dock.settle()
    layer = uncertainty(dock)
    assert layer.visible
    assert layer.data[0].any()
    assert not layer.data[1].any()


def test_neither_map_nor_uncertainty_outlive_the_pixels(dock: Dock) -> None:
    open_picture(dock, "picture")
    partition(dock)
    dock.press(dock.widget.view.buttons["forgery map"])
    dock.press(dock.widget.view.buttons["uncertainty"])
    dock.settle()
    layer_group = dock.controller.layer_group
    assert layer_group is not None
    assert layer_group.heatmap is not None
    assert layer_group.heatmap.data.any()
    assert layer_group.uncertainty is not None
    assert layer_group.uncertainty.visible
    dock.viewer.layers["picture"].data = np.full((*SHAPE, 3), 50, np.uint8)
    dock.settle()
    for layer in (layer_group.heatmap, layer_group.uncertainty):
        assert not layer.visible
        assert not layer.data.any()
    assert dock.widget.verdict.line.text() == "No verdict yet"
    assert dock.widget.view.legend.isHidden()


# ---------------------------------------------------------------- plots follow the labels


def sources_of_dots(plot: FeaturePlot) -> set[str]:
    """As the tooltips of all dots name them."""
    return {plot.explain(QPointF(*place)).rsplit(": ")[1] for place in plot.positions()}


def test_the_dots_have_the_numbers_of_the_labels(dock: Dock) -> None:
    open_picture(dock, "picture")
    choose_grid(dock, 4)
    dock.widget.partition.count.setValue(3)
    partition(dock)
    dots, plane = dock.widget.plots.dots, dock.controller.plane
    assert plane is not None
    assert plane.shown_numbers == (1, 2, 3)
    dock.controller.edits.merge([2, 1])
    dock.settle()
    assert plane.shown_numbers == (2, 2, 3)
    assert sources_of_dots(dots) == {"source 2", "source 3"}
    assert dock.widget.sources.renumber.isEnabled()
    dock.press(dock.widget.sources.renumber)
    dock.settle()
    assert plane.shown_numbers == (1, 1, 2)
    assert sources_of_dots(dots) == {"source 1", "source 2"}
    assert not dock.widget.sources.renumber.isEnabled()
    for _ in range(3):
        dock.controller.edits.undo()
    dock.settle()
    assert plane.shown_numbers == ()
    assert not dock.widget.plots.isVisible()


# ---------------------------------------------------------------- folded text


@pytest.mark.parametrize(
    ("text", "head", "rest"),
    [
        ("Short.", "Short.", ""),
        ("One. Two.", "One. Two.", ""),
        ("a " * 19 + "end. Then more.", "a " * 19 + "end.", "Then more."),
        ("a " * 15 + "b: " + "c " * 15 + "d.", "a " * 15 + "b: …", "c " * 15 + "d."),
        ("a " * 29 + "z", " ".join("a" * 20) + " …", " ".join("a" * 9) + " z"),
    ],
)
def test_at_most_twenty_words_are_shown_at_first(text: str, head: str, rest: str) -> None:
    assert fold(text) == (head, rest)
    assert len([word for word in fold(text)[0].split() if word != "…"]) <= MOST_WORDS


def test_a_folded_label_unfolds_and_escapes(qtbot) -> None:
    label = FoldedLabel()
    qtbot.addWidget(label)
    label.say("<b>file</b> " + "a " * 30)
    assert label.text().startswith("&lt;b&gt;file")
    assert ">more<" in label.text()
    label.linkActivated.emit("#")
    assert label.text().count("a ") >= 30
    assert ">less<" in label.text()
