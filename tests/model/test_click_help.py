"""The next best click as a ghost that can be taken, and strokes snapped to edges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from fakes import PatchEngine
from napari.components import ViewerModel
from napari.layers import Labels, Points

from napari_safire.annotation.annotation import Annotation

from .conftest import Dock, open_dock
from .hand import ModelHand

ROWS, COLS = np.indices((120, 160))
DISC = np.hypot(ROWS - 60, COLS - 80) < 30


@pytest.fixture
def opened(viewer: ViewerModel, hand: ModelHand) -> Iterator[Dock]:
    for dock in open_dock(viewer, hand, PatchEngine()):
        pixels = np.where(DISC[..., None], (150, 90, 60), (60, 110, 160)).astype(np.uint8)
        viewer.add_image(pixels, name="picture")
        dock.settle()
        yield dock


def ghost(dock: Dock) -> np.ndarray:
    """(N, 2): what is marked as next best click; N is 0 or 1."""
    group = dock.controller.layer_group
    layer = None if group is None else group.next_click
    return np.zeros((0, 2)) if layer is None else np.asarray(layer.data)


def prompts(dock: Dock) -> list[tuple[float, float, int]]:
    annotation = state(dock)
    return [(p.point.row, p.point.col, p.source) for p in annotation.prompts]


def state(dock: Dock) -> Annotation:
    plane = dock.controller.plane
    assert plane is not None
    assert plane.snapshot is not None
    return plane.snapshot.annotation


def told(dock: Dock) -> str:
    return " ".join(message.text for message in dock.widget.workspace.messages.shown)


def test_a_ghost_is_taken_as_a_prompt_of_the_current_source(opened: Dock) -> None:
    dock = opened
    dock.press(dock.widget.prompts.propose)
    dock.settle()
    (first,) = ghost(dock)
    assert prompts(dock) == []  # it is no prompt yet
    assert "A ring marks the next best click" in told(dock)
    dock.controller.mode.source = 3
    dock.press(dock.widget.prompts.propose)
    dock.settle()
    ((row, col, source),) = prompts(dock)
    assert (row, col, source) == (*first, 3)
    (second,) = ghost(dock)  # the next one follows
    assert tuple(second) != tuple(first)
    names = [layer.name for layer in dock.viewer.layers]  # from below: sources do not dim it
    assert names.index("picture: sources") < names.index("picture: next best click")
    dock.controller.edits.undo()
    dock.settle()
    assert prompts(dock) == []
    (again,) = ghost(dock)
    assert tuple(again) == tuple(first)


def test_a_key_does_the_same_on_all_layers_and_clicks_of_ones_own_are_followed(
    opened: Dock,
) -> None:
    dock = opened
    dock.hand.press("Shift+C")
    dock.settle()
    (first,) = ghost(dock)
    layer = next(layer for layer in dock.viewer.layers if "next best click" in layer.name)
    assert isinstance(layer, Points)
    dock.viewer.layers.selection.active = layer
    assert dock.controller.image is dock.viewer.layers["picture"]
    dock.controller.add_prompts()
    dock.hand.click(dock.viewer.layers["picture"], float(first[0]), float(first[1]))
    dock.settle()
    assert len(prompts(dock)) == 1
    (second,) = ghost(dock)
    assert tuple(second) != tuple(first)


def test_the_ghost_goes_with_the_picture_and_with_its_layer(opened: Dock) -> None:
    dock = opened
    dock.press(dock.widget.prompts.propose)
    dock.settle()
    group = dock.controller.layer_group
    assert group is not None
    assert len(ghost(dock)) == 1
    other = dock.viewer.add_image(np.zeros((120, 160, 3), np.uint8), name="other")
    dock.settle()
    assert group.next_click is not None
    assert not len(group.next_click.data)
    assert not len(ghost(dock))
    dock.viewer.layers.remove(other)
    dock.settle()
    dock.press(dock.widget.prompts.propose)
    dock.settle()
    assert len(ghost(dock)) == 1
    assert group.next_click is not None
    dock.viewer.layers.remove(group.next_click)
    dock.settle()
    assert dock.widget.workspace.next_click.shown is None
    dock.press(dock.widget.prompts.propose)  # proposes anew, and takes nothing
    dock.settle()
    assert prompts(dock) == []
    assert len(ghost(dock)) == 1


def test_where_nothing_is_uncertain_that_is_told(opened: Dock) -> None:
    dock = opened
    given = dock.viewer.add_labels(np.ones((120, 160), np.uint8), name="given")
    dock.controller.edits.import_labels(given)
    dock.settle()
    dock.press(dock.widget.prompts.propose)
    dock.settle()
    assert not len(ghost(dock))
    assert "Nothing is uncertain" in told(dock)
    dock.viewer.layers.clear()
    dock.settle()
    dock.press(dock.widget.prompts.propose)
    assert "no picture to place prompts on" in told(dock)


def sources(dock: Dock) -> Labels:
    if dock.controller.sources_layer is None:
        made = dock.viewer.add_labels(np.where(COLS < 2, 1, 0).astype(np.uint8), name="given")
        dock.viewer.layers.selection.active = dock.viewer.layers["picture"]
        dock.settle()
        dock.controller.edits.import_labels(made)
        dock.settle()
        dock.viewer.layers.remove(made)
        dock.settle()
    layer = dock.controller.sources_layer
    assert layer is not None
    return layer


def test_the_last_stroke_is_snapped_and_undone(opened: Dock) -> None:
    dock = opened
    layer = sources(dock)
    dock.hand.press("Shift+E")
    dock.settle()
    assert "Paint a stroke first" in dock.widget.sources.told.text()
    dock.viewer.layers.selection.active = layer
    layer.brush_size, layer.selected_label, layer.mode = 72, 2, "paint"
    dock.hand.click(layer, 60, 80)
    dock.settle()
    drawn = layer.data.copy()
    assert (drawn == 2).sum() > 1.2 * DISC.sum()
    protected = state(dock).protected
    dock.hand.press("Shift+E")
    dock.settle()
    found = np.asarray(layer.data)
    wrong = (found == 2) != DISC
    assert wrong.sum() < 0.05 * DISC.sum()
    assert "Snapped to edges" in dock.widget.sources.told.text()
    given_back = (drawn == 2) & (found != 2)
    assert not state(dock).protected.unpack()[given_back].any()  # it was not painted, then
    dock.hand.press("Shift+E")
    dock.settle()
    assert "was snapped already" in dock.widget.sources.told.text()
    dock.controller.edits.undo()
    dock.settle()
    np.testing.assert_array_equal(layer.data, drawn)
    assert state(dock).protected == protected
    dock.controller.edits.redo()
    dock.settle()
    np.testing.assert_array_equal(layer.data, found)


def test_other_steps_are_not_snapped(opened: Dock) -> None:
    dock = opened
    layer = sources(dock)
    before = layer.data.copy()
    dock.controller.edits.absorb(1)
    dock.settle()
    dock.controller.edits.snap()
    dock.settle()
    assert "Paint a stroke first" in dock.widget.sources.told.text()
    assert not np.array_equal(layer.data, before)
