"""Editing that lasts: painting, committing, merging, undoing, in a real window."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from .conftest import Dock
from .hand import pump

SHAPE = (120, 160)


def disc(row: float, col: float, radius: float = 20) -> np.ndarray:
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - row, cols - col) < radius


@pytest.fixture
def opened(dock: Dock) -> Dock:
    dock.viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock.settle()
    dock.press(dock.widget.prompts.add)
    return dock


def labels(dock: Dock) -> np.ndarray:
    layer = dock.controller.sources_layer
    assert layer is not None
    return np.asarray(layer.data)


def click(dock: Dock, row: float, col: float) -> np.ndarray:
    """Place a prompt with the mouse; gives the disc that FakeEngine finds for it."""
    prompts = dock.viewer.layers["picture: prompts"] if _has_prompts(dock) else None
    if prompts is None or dock.viewer.layers.selection.active is not prompts:
        dock.press(dock.widget.prompts.add)
    dock.hand.click(dock.viewer.layers["picture"], row, col)
    dock.settle()
    place = dock.viewer.layers["picture: prompts"].data[-1]
    assert np.abs(place - (row, col)).max() < 1
    return disc(*place.round(3))


def _has_prompts(dock: Dock) -> bool:
    return "picture: prompts" in dock.viewer.layers


def paint(dock: Dock, begin: tuple[float, float], end: tuple[float, float], label: int) -> None:
    layer = dock.controller.sources_layer
    assert layer is not None
    dock.viewer.layers.selection.active = layer
    layer.mode = "paint"
    layer.brush_size = 6
    layer.selected_label = label
    pump()
    dock.hand.drag(dock.viewer.layers["picture"], begin, end)
    dock.settle()


def choose(dock: Dock, *sources: int) -> None:
    """Select rows of the table with the mouse."""
    table = dock.widget.sources.table
    dock.widget.ensureWidgetVisible(table)
    pump()
    for number, source in enumerate(sources):
        row = next(r for r in range(table.rowCount()) if table.item(r, 0).text() == str(source))
        keys = Qt.KeyboardModifier.ControlModifier if number else Qt.KeyboardModifier.NoModifier
        place = table.visualItemRect(table.item(row, 1)).center()
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, keys, place)
        pump(0.02)
    assert dock.widget.sources.selected_sources() == sorted(sources)


def test_brush_strokes_survive_later_predictions_until_protection_is_lifted(
    opened: Dock,
) -> None:
    click(opened, 50, 60)
    paint(opened, (50, 55), (50, 65), label=7)
    stroke = labels(opened) == 7
    assert stroke.sum() > 30
    opened.widget.prompts.source.setValue(1)
    click(opened, 54, 62)
    assert (labels(opened)[stroke] == 7).all()
    opened.press(opened.widget.partition.run)
    opened.settle()
    assert (labels(opened)[stroke] == 7).all()
    opened.press(opened.widget.sources.unprotect)
    opened.settle()
    assert (labels(opened)[stroke] == 1).all()


def test_an_erased_part_stays_erased(opened: Dock) -> None:
    region = click(opened, 50, 60)
    layer = opened.controller.sources_layer
    assert layer is not None
    opened.viewer.layers.selection.active = layer
    layer.mode = "erase"
    layer.brush_size = 8
    pump()
    opened.hand.drag(opened.viewer.layers["picture"], (50, 55), (50, 65))
    opened.settle()
    erased = region & (labels(opened) == 0)
    assert erased.sum() > 30
    click(opened, 52, 60)
    assert (labels(opened)[erased] == 0).all()


def test_naparis_own_undo_of_a_stroke_counts_as_an_edit(opened: Dock) -> None:
    click(opened, 50, 60)
    before = labels(opened).copy()
    paint(opened, (90, 20), (90, 60), label=5)
    assert (labels(opened) == 5).any()
    opened.hand.press("Ctrl+Z")
    opened.settle()
    np.testing.assert_array_equal(labels(opened), before)
    opened.hand.press("U")  # ours takes napari's undo back
    opened.settle()
    assert (labels(opened) == 5).any()


def test_undo_and_redo_walk_over_prompts_strokes_and_edits(opened: Dock) -> None:
    seen = []
    click(opened, 50, 60)
    seen.append(labels(opened).copy())
    paint(opened, (90, 20), (90, 60), label=5)
    seen.append(labels(opened).copy())
    opened.press(opened.widget.prompts.commit)
    opened.settle()
    choose(opened, 1, 5)
    opened.press(opened.widget.sources.merge)
    opened.settle()
    seen.append(labels(opened).copy())
    np.testing.assert_array_equal(seen[2] == 1, seen[1] > 0)
    opened.viewer.layers.selection.active = opened.viewer.layers["picture"]
    opened.hand.press("U")  # merge
    opened.settle()
    opened.hand.press("U")  # commit
    opened.settle()
    np.testing.assert_array_equal(labels(opened), seen[1])
    opened.hand.press("U")  # stroke
    opened.settle()
    np.testing.assert_array_equal(labels(opened), seen[0])
    opened.hand.press("U")  # prompt
    opened.settle()
    assert not labels(opened).any()
    assert len(opened.viewer.layers["picture: prompts"].data) == 0
    for wanted in (seen[0], seen[1], seen[1], seen[2]):
        opened.hand.press("Shift+U")
        opened.settle()
        np.testing.assert_array_equal(labels(opened), wanted)
    assert not opened.widget.prompts.redo.isEnabled()


def test_discard_drops_the_preview_and_toggle_only_hides_it(opened: Dock) -> None:
    region = click(opened, 50, 60)
    opened.hand.press("H")
    opened.settle()
    assert not labels(opened).any()
    assert not opened.widget.prompts.preview.isChecked()
    opened.hand.press("H")
    opened.settle()
    assert opened.widget.prompts.preview.isChecked()
    np.testing.assert_array_equal(labels(opened), region)
    opened.press(opened.widget.prompts.discard)
    opened.settle()
    assert not labels(opened).any()
    assert len(opened.viewer.layers["picture: prompts"].data) == 0


def test_painting_while_the_preview_is_hidden_loses_nothing(opened: Dock) -> None:
    region = click(opened, 50, 60)
    opened.hand.press("H")
    opened.settle()
    paint(opened, (50, 100), (50, 130), label=4)
    stroke = labels(opened) == 4
    opened.hand.press("H")
    opened.settle()
    np.testing.assert_array_equal(labels(opened) == 1, region & ~stroke)
    assert (labels(opened)[stroke] == 4).all()


def test_a_committed_region_reopens_with_its_prompts(opened: Dock) -> None:
    first = click(opened, 50, 60) | click(opened, 60, 70)
    opened.hand.press("K")
    opened.settle()
    opened.hand.press("N")
    second = click(opened, 80, 130)
    opened.hand.press("K")
    opened.settle()
    points = opened.viewer.layers["picture: prompts"]
    assert points.features["live"].tolist() == [False, False, False]
    choose(opened, 1)
    opened.press(opened.widget.sources.reopen)
    opened.settle()
    assert points.features["live"].tolist() == [True, True, False]
    assert opened.controller.mode.source == 1
    np.testing.assert_array_equal(labels(opened) == 1, first)
    np.testing.assert_array_equal(labels(opened) == 2, second)
    third = click(opened, 30, 40)
    np.testing.assert_array_equal(labels(opened) == 1, first | third)


def test_split_absorb_fill_and_islands(opened: Dock) -> None:
    click(opened, 40, 40)
    click(opened, 80, 120)
    choose(opened, 1)
    opened.press(opened.widget.sources.split)
    opened.settle()
    assert sorted(np.unique(labels(opened))) == [0, 1, 2]
    hole = labels(opened).copy()
    hole[38:42, 38:42] = 0
    layer = opened.controller.sources_layer
    assert layer is not None
    layer.data[38:42, 38:42] = 0  # as a script would
    layer.refresh()
    opened.settle()
    opened.press(opened.widget.sources.unprotect)  # what a script wrote counts as painted
    opened.settle()
    whole = int(labels(opened)[40, 30])
    choose(opened, whole)
    opened.press(opened.widget.sources.fill)
    opened.settle()
    assert (labels(opened)[38:42, 38:42] == whole).all()
    other = 3 - whole
    choose(opened, other)
    opened.press(opened.widget.sources.absorb)
    opened.settle()
    assert set(np.unique(labels(opened))) <= {0, whole}
    opened.widget.sources.island_size.setValue(2000)
    opened.press(opened.widget.sources.islands)
    opened.settle()
    assert not labels(opened).any()  # both discs have 1250 pixels


def test_a_protected_source_is_not_overrun(opened: Dock) -> None:
    first = click(opened, 50, 60)
    choose(opened, 1)
    opened.press(opened.widget.sources.protect)
    opened.settle()
    opened.hand.press("N")
    second = click(opened, 50, 75)
    np.testing.assert_array_equal(labels(opened) == 1, first)
    np.testing.assert_array_equal(labels(opened) == 2, second & ~first)


def test_labels_of_another_layer_are_taken_over(opened: Dock) -> None:
    given = np.zeros(SHAPE, np.int64)
    given[:30] = 3
    opened.viewer.add_labels(given, name="theirs")
    opened.viewer.add_labels(np.zeros((4, 5), np.uint8), name="too small")
    box = opened.widget.sources.labels
    box.setCurrentIndex(box.findText("theirs"))
    box.activated.emit(box.currentIndex())
    opened.settle()
    np.testing.assert_array_equal(labels(opened), given)
    box.setCurrentIndex(box.findText("too small"))
    box.activated.emit(box.currentIndex())
    opened.settle()
    assert "the picture's own size" in opened.widget.message.text()
    np.testing.assert_array_equal(labels(opened), given)


class OnDisk:
    """Labels that are read whenever they are looked at, as those of a zarr array are."""

    def __init__(self, labels: np.ndarray) -> None:
        self._labels = labels
        self.shape, self.ndim, self.dtype = labels.shape, labels.ndim, labels.dtype
        self.threads: list[str] = []
        self.is_gone = False

    def __getitem__(self, item: Any) -> np.ndarray:
        self.threads.append(threading.current_thread().name)
        if self.is_gone and threading.current_thread() is not threading.main_thread():
            raise OSError("The disk is gone.")
        return self._labels[item]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self[...], dtype)


def test_labels_on_a_disk_are_read_by_a_worker(opened: Dock) -> None:
    given = np.zeros(SHAPE, np.int64)
    given[:30] = 3
    data = OnDisk(given)
    theirs = opened.viewer.add_labels(data, name="theirs", multiscale=False)
    opened.settle()
    data.threads.clear()
    opened.controller.edits.import_labels(theirs)
    assert "MainThread" not in data.threads
    opened.settle()
    assert "napari-safire" in data.threads
    np.testing.assert_array_equal(labels(opened), given)


def test_labels_that_cannot_be_read_are_told_and_change_nothing(opened: Dock) -> None:
    region = click(opened, 50, 60)
    data = OnDisk(np.full(SHAPE, 3))
    theirs = opened.viewer.add_labels(data, name="theirs", multiscale=False)
    opened.settle()
    data.is_gone = True
    opened.controller.edits.import_labels(theirs)
    opened.settle()
    assert opened.widget.message.text() == "⚠ The disk is gone."
    np.testing.assert_array_equal(labels(opened), region)


def test_a_label_that_cannot_be_a_source_is_refused_with_a_sentence(opened: Dock) -> None:
    given = np.full(SHAPE, 300, np.int64)
    opened.viewer.add_labels(given, name="theirs")
    box = opened.widget.sources.labels
    box.setCurrentIndex(box.findText("theirs"))
    box.activated.emit(box.currentIndex())
    opened.settle()
    assert "numbered from 1 to 255" in opened.widget.message.text()


def test_the_table_follows_the_labels_and_the_brush_follows_the_table(opened: Dock) -> None:
    first = click(opened, 50, 60)
    opened.hand.press("N")
    click(opened, 80, 130)
    table = opened.widget.sources.table
    assert [table.item(row, 0).text() for row in range(table.rowCount())] == ["1", "2"]
    share = first.mean()
    assert table.item(0, 1).text() == f"{share:.1%}"
    assert table.item(0, 2).text() == "0.80"
    choose(opened, 1)
    layer = opened.controller.sources_layer
    assert layer is not None
    assert layer.selected_label == 1
    assert opened.widget.prompts.source.value() == 1


def test_an_edit_says_what_it_has_done(opened: Dock) -> None:
    tools = opened.widget.sources
    click(opened, 60, 40)
    click(opened, 60, 110)
    opened.press(opened.widget.prompts.commit)
    opened.settle()
    assert not tools.told.isVisible()
    for edit, said in (
        (tools.split, "Source 1 was split into 2 parts."),
        (tools.split, "Nothing to split: source 1 is one part."),
        (tools.islands, "Nothing to remove: no part below 64 pixels may change."),
        (tools.fill, "Nothing to fill: source 1 encloses nothing that may change."),
        (tools.protect, "Source 1 is protected: later predictions leave it as it is."),
        (tools.unprotect, "Nothing is protected any more."),
    ):
        choose(opened, 1)
        opened.press(edit)
        opened.settle()
        assert tools.told.isVisible()
        assert tools.told.text() == said
    choose(opened, 1, 2)
    opened.press(tools.merge)
    opened.settle()
    assert tools.told.text() == "Sources 1, 2 are source 1 now."
    opened.press(opened.widget.prompts.undo)
    opened.settle()
    assert not tools.told.isVisible()
    choose(opened, 2)
    opened.press(tools.absorb)
    opened.settle()
    assert tools.told.text().startswith("Source 2 is gone: ")
    assert tools.told.text().endswith(" pixels went to their nearest neighbours.")
    opened.controller.partition()
    opened.settle()
    assert not tools.told.isVisible()


def test_the_brush_is_there_before_anything_else(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock.settle()
    assert dock.controller.sources_layer is None
    dock.controller.mode.source = 3
    dock.press(dock.widget.prompts.paint)
    layer = dock.controller.sources_layer
    assert layer is not None
    assert (layer.mode, layer.selected_label) == ("paint", 3)
    assert dock.viewer.layers.selection.active is layer
    layer.paint((20, 30), 3)
    dock.settle()
    assert dock.controller.plane is not None
    assert dock.controller.plane.snapshot is not None
    assert set(dock.controller.plane.snapshot.areas) == {3}
