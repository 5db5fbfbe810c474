"""Going through a folder of pictures in a real window; nothing that was made may get lost."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels
from PIL import Image
from qtpy.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_safire.annotation import predictions, saving
from napari_safire.corpus.queue import PictureQueue
from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.dock import WorkspaceDock
from napari_safire.gui.io.reader import get_reader
from napari_safire.gui.io.writer import write_labels
from napari_safire.gui.panels.curate.queue_section import QueueSection
from napari_safire.images.masks import UNASSIGNED, decode_sources, encode_sources
from napari_safire.session.queue import folder_work

from .conftest import Dock
from .hand import pump, wait_until

SHAPE = (120, 160)
NAMES = ("p1.png", "p2.png", "p10.png", "p11.png")


def make_folder(folder: Path) -> Path:
    folder.mkdir()
    for number, name in enumerate(NAMES):
        pixels = np.full((*SHAPE, 3), 40 * number + 20, np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "photos")


@pytest.fixture
def series(dock: Dock) -> Iterator[QueueSection]:
    curate = CurateWidget(dock.viewer)
    curate.resize(400, 800)
    curate.show()
    pump(0.05)
    yield curate.queue
    curate.close_work()
    curate.deleteLater()
    QApplication.sendPostedEvents(curate, QEvent.Type.DeferredDelete)


def curate_of(dock: Dock) -> CurateWidget:
    curate = dock.workspace.dock(CurateWidget)
    assert curate is not None
    return curate


def begin(dock: Dock, series: QueueSection, path: Path) -> None:
    series.work.open_queue(path)
    settle(dock, series)


def settle(dock: Dock, series: QueueSection) -> None:
    wait_until(lambda: not series.work.doing)
    dock.settle()


def press(dock: Dock, series: QueueSection, button: str) -> None:
    dock.press(getattr(series, button))
    settle(dock, series)


def close_docks(dock: Dock) -> None:
    """The first alone would end nothing."""
    for each in dock.workspace.docks:
        assert isinstance(each, WorkspaceDock)
        each.close_work()
    assert dock.workspace.is_closed


def states(folder: Path) -> list[str]:
    return [entry.state for entry in PictureQueue.open(folder).entries()]


def saved_labels(folder: Path, name: str) -> np.ndarray:
    """As the layer showed them: sources from 1, 0 where there was none."""
    return labels_of(folder.with_name(f"{folder.name}_masks") / f"{name}_sources.png")


def labels_of(mask: Path) -> np.ndarray:
    sources = decode_sources(np.asarray(Image.open(mask)), unassigned=UNASSIGNED)
    return np.where(sources == UNASSIGNED, 0, sources + 1)


def record_of(folder: Path, name: str) -> dict:
    path = folder.with_name(f"{folder.name}_masks") / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def click_a_source(dock: Dock, row: float, col: float) -> np.ndarray:
    """Place a prompt and wait for its region; gives what is shown."""
    image = dock.controller.image
    assert image is not None
    if not dock.widget.prompts.add.isChecked():
        dock.press(dock.widget.prompts.add)
    dock.hand.click(image, row, col)
    dock.settle()
    layer = dock.controller.sources_layer
    assert layer is not None
    shown = np.asarray(layer.data).copy()
    assert shown.any()
    return shown


def mark_all(dock: Dock) -> np.ndarray:
    """Give every pixel one of two sources."""
    dock.controller.partition()
    dock.settle()
    layer = dock.controller.sources_layer
    assert layer is not None
    shown = np.asarray(layer.data).copy()
    assert set(np.unique(shown)) == {1, 2}
    return shown


def layer_names(dock: Dock) -> list[str]:
    return [layer.name for layer in dock.viewer.layers]


def test_a_folder_opens_with_its_first_picture(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    assert not series.forward.isEnabled()
    begin(dock, series, folder)
    assert layer_names(dock) == ["p1.png"]
    assert dock.controller.image is dock.viewer.layers["p1.png"]
    assert dock.viewer.layers["p1.png"].metadata["napari_safire"]["image_path"] == str(
        folder / "p1.png"
    )
    assert series.place.text().startswith("1 of 4 · untouched")
    assert not series.back.isEnabled()
    press(dock, series, "forward")
    assert layer_names(dock) == ["p2.png"]
    press(dock, series, "back")
    assert layer_names(dock) == ["p1.png"]
    assert not folder.with_name("photos_masks").exists()  # nothing was changed


def test_going_on_saves_what_was_made_and_coming_back_opens_it(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    press(dock, series, "forward")
    # The prompt tool stays armed: its empty layer is there for the next picture.
    assert layer_names(dock) == ["p2.png", "p2.png: prompts"]
    assert states(folder) == ["begun", "untouched", "untouched", "untouched"]
    np.testing.assert_array_equal(saved_labels(folder, "p1.png"), shown)
    record = record_of(folder, "p1.png")
    assert record["image"]["path"] == "../photos/p1.png"
    assert record["layer"]["state"] == "begun"
    (prompt,) = record["layer"]["prompts"]
    assert (prompt["row"], prompt["col"]) == pytest.approx((50, 60), abs=1)
    written = (folder.with_name("photos_masks") / "p1.png.json").stat().st_mtime_ns

    press(dock, series, "back")
    assert series.place.text().startswith("1 of 4 · begun")
    layer = dock.controller.sources_layer
    assert layer is not None
    np.testing.assert_array_equal(layer.data, shown)
    (point,) = dock.viewer.layers["p1.png: prompts"].data
    assert tuple(point) == pytest.approx((prompt["row"], prompt["col"]), abs=1e-3)
    assert dock.viewer.layers["p1.png: prompts"].features["live"][0]  # as it was left
    press(dock, series, "forward")
    again = (folder.with_name("photos_masks") / "p1.png.json").stat().st_mtime_ns
    assert again == written  # nothing was changed this time


def test_a_source_that_came_back_can_be_reopened_with_its_prompt(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    press(dock, series, "forward")
    press(dock, series, "back")
    dock.controller.edits.reopen(1)
    dock.settle()
    plane = dock.controller.plane
    assert plane is not None
    assert plane.snapshot is not None
    assert plane.snapshot.annotation.live_prompts
    np.testing.assert_array_equal(plane.snapshot.labels, shown)


def test_painted_labels_are_saved_even_when_no_event_told_of_them(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    click_a_source(dock, 50, 60)
    layer = dock.controller.sources_layer
    assert layer is not None
    layer.data[100:110, 100:110] = 3  # a script that does not call refresh
    expected = np.asarray(layer.data).copy()
    press(dock, series, "forward")
    np.testing.assert_array_equal(saved_labels(folder, "p1.png"), expected)


def test_done_counts_and_is_passed_by_the_filter(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    press(dock, series, "authentic")
    assert states(folder) == ["done", "untouched", "untouched", "untouched"]
    assert (saved_labels(folder, "p1.png") == 1).all()
    assert record_of(folder, "p1.png")["layer"]["authentic"] is True
    told = dock.widget.message.text()
    assert "p1.png is marked authentic; it has no verdict of the model." in told
    mark_all(dock)
    press(dock, series, "done")
    press(dock, series, "forward")
    assert series.place.text().startswith("4 of 4 · untouched")
    assert "2 untouched, 2 done" in series.place.text()

    listed = curate_of(dock).list
    listed.state.setCurrentText("done")
    listed.state.activated.emit(listed.state.currentIndex())
    assert not series.forward.isEnabled()
    assert [listed.model.key(n) for n in range(listed.model.rowCount())] == ["p1.png", "p2.png"]
    press(dock, series, "back")
    assert series.place.text().startswith("2 of 4 · done")
    press(dock, series, "back")
    assert series.place.text().startswith("1 of 4 · done")


def test_the_last_picture_can_be_done_as_well(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    series.work.go_to(NAMES[3])
    settle(dock, series)
    mark_all(dock)
    press(dock, series, "done")
    assert states(folder)[3] == "done"
    assert series.place.text().startswith("4 of 4 · done")
    assert "no further picture" in dock.widget.message.text()
    assert "p11.png" in layer_names(dock)


def test_a_done_picture_that_is_changed_is_begun_again(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    press(dock, series, "authentic")
    press(dock, series, "back")
    press(dock, series, "forward")
    assert states(folder)[0] == "done"
    press(dock, series, "back")
    click_a_source(dock, 50, 60)
    dock.controller.mode.source = 2
    click_a_source(dock, 50, 60)
    press(dock, series, "forward")
    assert states(folder)[0] == "begun"


def test_typing_a_part_of_a_name_and_enter_goes_there(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    search = curate_of(dock).list.search
    QTest.mouseClick(search, Qt.MouseButton.LeftButton)
    QTest.keyClicks(search, "10")
    QTest.keyClick(search, Qt.Key.Key_Return)
    wait_until(lambda: layer_names(dock) == ["p10.png"])
    settle(dock, series)
    assert series.place.text().startswith("1 of 1")


def test_the_next_session_begins_with_what_is_not_done(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    for _ in range(2):
        press(dock, series, "authentic")
    begin(dock, series, folder)
    assert series.place.text().startswith("3 of 4")


def test_an_unreadable_picture_is_told_and_passed(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    (folder / "p2.png").write_bytes(b"\x89PNG broken")
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    press(dock, series, "forward")
    np.testing.assert_array_equal(saved_labels(folder, "p1.png"), shown)
    assert layer_names(dock) == []
    assert series.place.text().startswith("2 of 4 · cannot be opened")
    assert "p2.png" in dock.widget.message.text()
    assert not series.done.isEnabled()
    press(dock, series, "forward")
    assert layer_names(dock) == ["p10.png"]


def test_damaged_work_is_not_replaced(dock: Dock, series: QueueSection, folder: Path) -> None:
    begin(dock, series, folder)
    click_a_source(dock, 50, 60)
    press(dock, series, "forward")
    record = folder.with_name("photos_masks") / "p1.png.json"
    record.write_text("{ torn")
    press(dock, series, "back")
    assert series.place.text().startswith("1 of 4 · cannot be opened")
    press(dock, series, "forward")
    assert record.read_text() == "{ torn"


def test_the_open_picture_chosen_again_is_saved_and_stays(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    """It was read before it was saved: what had been made vanished from the screen."""
    begin(dock, series, folder)
    for again in (lambda: series.work.go_to(NAMES[0]), lambda: series.work.open_queue(folder)):
        shown = click_a_source(dock, 50, 60 + len(dock.viewer.layers))
        again()
        settle(dock, series)
        np.testing.assert_array_equal(dock.controller.sources_layer.data, shown)
        np.testing.assert_array_equal(saved_labels(folder, "p1.png"), shown)
        assert series.place.text().startswith("1 of 4 · begun")


def test_a_series_that_cannot_be_opened_leaves_the_present_one(
    dock: Dock, series: QueueSection, folder: Path, tmp_path: Path
) -> None:
    begin(dock, series, folder)
    (tmp_path / "empty").mkdir()
    begin(dock, series, tmp_path / "empty")
    assert "no pictures" in dock.widget.message.text()
    assert layer_names(dock) == ["p1.png"]
    assert series.place.text().startswith("1 of 4")


def test_a_list_begins_with_the_masks_that_it_names(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[:, 80:] = 1
    Image.fromarray(encode_sources(truth)).save(folder / "truth.png")
    before = (folder / "truth.png").read_bytes()
    path = folder / "list.txt"
    path.write_text("p2.png,truth.png\np1.png,None\n", encoding="utf-8")
    begin(dock, series, path)
    layer = dock.controller.sources_layer
    assert layer is not None
    np.testing.assert_array_equal(layer.data, truth + 1)
    click_a_source(dock, 60, 80)
    press(dock, series, "forward")
    assert (folder / "truth.png").read_bytes() == before
    assert (folder / "list_masks" / "p2.png_sources.png").is_file()
    assert dock.controller.sources_layer is None


# ----------------------------------------------------------------- done, and on purpose


def test_an_untouched_picture_is_not_done_by_going_on(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    press(dock, series, "done")
    assert "p1.png is not done yet. Nothing is marked" in dock.widget.message.text()
    assert series.place.text().startswith("1 of 4 · untouched")
    assert not folder.with_name("photos_masks").exists()
    series.authentic.setFocus()
    QTest.keyClick(series.authentic, Qt.Key.Key_Space)
    settle(dock, series)
    assert states(folder)[0] == "done"
    press(dock, series, "back")
    press(dock, series, "done")  # it is
    assert series.place.text().startswith("2 of 4")


def test_pixels_without_a_source_are_counted_shown_and_can_be_filled(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    press(dock, series, "done")
    missing = int((shown == 0).sum())
    assert f"{missing:,} pixels have no source" in dock.widget.message.text()
    assert not folder.with_name("photos_masks").exists()
    assert series.question.isVisible()
    assert f"{missing:,} pixels have no source. Most lie around row " in series.asked.text()
    press(dock, series, "show_rest")
    row, col = (round(number) for number in dock.viewer.scene.camera.center[-2:])
    assert shown[row, col] == 0
    assert series.fill_rest.text() == "Rest to source 2"
    press(dock, series, "fill_rest")
    assert not series.question.isVisible()
    press(dock, series, "done")
    assert states(folder)[0] == "done"
    np.testing.assert_array_equal(saved_labels(folder, "p1.png"), np.where(shown == 1, 1, 2))


def test_one_source_everywhere_is_done_only_as_authentic_and_two_never_are(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    plane = dock.controller.plane
    assert plane is not None
    dock.controller.session.annotations.edit(
        plane.key, lambda labels, _: np.full_like(labels, 3), "all"
    )
    dock.settle()
    press(dock, series, "done")
    assert 'press "Authentic, next"' in dock.widget.message.text()
    press(dock, series, "authentic")
    assert states(folder)[:2] == ["done", "untouched"]
    mark_all(dock)
    press(dock, series, "authentic")
    assert "2 sources are marked in it" in dock.widget.message.text()
    assert states(folder)[1] == "untouched"
    press(dock, series, "done")
    press(dock, series, "back")
    press(dock, series, "authentic")  # of one that is done already
    assert "2 sources are marked in it" in dock.widget.message.text()


# ------------------------------------------------------------------- as it was left


def test_painted_pixels_stay_painted_when_a_picture_comes_back(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    """Protection, seeds, erased pixels, verdict and map: all was dropped, painting overwritten."""
    begin(dock, series, folder)
    mark_all(dock)
    layer = dock.controller.sources_layer
    assert layer is not None
    layer.data[10:20, 10:20] = 5
    layer.data[30:40, 10:20] = 0
    dock.controller.edits.read_strokes()
    dock.settle()
    plane = dock.controller.plane
    assert plane is not None
    assert plane.snapshot is not None
    before, predictions = plane.snapshot.annotation, plane.predictions
    assert predictions.forgery is not None
    press(dock, series, "forward")
    press(dock, series, "back")
    plane = dock.controller.plane
    assert plane is not None
    assert plane.snapshot is not None
    assert plane.snapshot.annotation == before
    assert plane.predictions.forgery is not None
    assert plane.predictions.forgery.verdict == predictions.forgery.verdict
    assert plane.predictions.forgery.score == predictions.forgery.score
    np.testing.assert_allclose(plane.forgery.heatmap, predictions.forgery.heatmap, atol=1 / 255)
    assert any(name.startswith("p1.png: forgery map") for name in layer_names(dock))
    record = folder.with_name("photos_masks") / "p1.png.json"
    read = get_reader(str(record))
    assert read is not None
    opened = {facts["name"]: data for data, facts, _ in read(str(record))}
    (heatmap,) = (data for name, data in opened.items() if "forgery map" in name)
    np.testing.assert_allclose(heatmap, predictions.forgery.heatmap, atol=1 / 255)
    mark_all_again = dock.controller.partition
    mark_all_again()
    dock.settle()
    layer = dock.controller.sources_layer
    assert layer is not None
    assert (layer.data[10:20, 10:20] == 5).all()
    assert not layer.data[30:40, 10:20].any()
    assert record_of(folder, "p1.png")["verdict"]["verdict"] == "inconclusive"


def test_a_layer_saved_by_napari_and_opened_again_keeps_all_of_it(
    dock: Dock, series: QueueSection, folder: Path, tmp_path: Path
) -> None:
    begin(dock, series, folder)
    mark_all(dock)
    layer = dock.controller.sources_layer
    assert layer is not None
    layer.save(tmp_path / "one.json", plugin="napari-safire")
    first = json.loads((tmp_path / "one.json").read_text())
    assert first["image"]["path"] == "photos/p1.png"
    assert None not in first["image"].values()
    assert first["verdict"]["verdict"] == "inconclusive"
    layers = dock.viewer.open(tmp_path / "one.json", plugin="napari-safire")
    labels = next(one for one in layers if one.name.endswith(": sources"))
    labels.save(tmp_path / "two.json", plugin="napari-safire")
    second = json.loads((tmp_path / "two.json").read_text())
    for field in ("image", "verdict", "annotation", "sources", "unassigned"):
        assert second[field] == first[field]
    assert len(dock.viewer.open(tmp_path / "two.json", plugin="napari-safire")) == len(layers)


def test_a_record_whose_picture_is_gone_still_says_which_it_was(
    dock: Dock, series: QueueSection, folder: Path, tmp_path: Path
) -> None:
    begin(dock, series, folder)
    mark_all(dock)
    press(dock, series, "done")
    record = folder.with_name("photos_masks") / "p1.png.json"
    before = json.loads(record.read_text())
    (folder / "p1.png").rename(tmp_path / "elsewhere.png")
    opened = dock.viewer.open(record, plugin="napari-safire")
    (labels,) = (layer for layer in opened if isinstance(layer, Labels))
    labels.data[5, 5] = 4
    labels.save(record.with_name("again.json"), plugin="napari-safire")
    again = json.loads(record.with_name("again.json").read_text())
    assert again["image"] == before["image"], (again["image"], before["image"])
    assert again["verdict"] == before["verdict"]
    assert again["annotation"] != before["annotation"]  # painted, and protected


def test_a_mask_that_another_program_changed_is_told(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    press(dock, series, "forward")
    mask = folder.with_name("photos_masks") / "p1.png_sources.png"
    Image.fromarray(encode_sources(np.zeros(SHAPE, np.uint8))).save(mask)
    changed = mask.read_bytes()
    press(dock, series, "back")
    assert "What the record itself holds is opened" in dock.widget.message.text()
    layer = dock.controller.sources_layer
    assert layer is not None
    np.testing.assert_array_equal(layer.data, shown)
    press(dock, series, "forward")
    assert mask.read_bytes() == changed  # nothing was done here


def test_what_somebody_else_saved_meanwhile_is_not_replaced(
    dock: Dock, series: QueueSection, folder: Path, tmp_path: Path
) -> None:
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    record = folder.with_name("photos_masks") / "p1.png.json"
    write_labels(str(make_folder(tmp_path / "other") / "x.json"), shown, {"metadata": {}})
    record.parent.mkdir()
    record.write_bytes((tmp_path / "other" / "x.json").read_bytes())
    before = record.read_bytes()
    press(dock, series, "forward")
    assert "p1.png stays open" in dock.widget.message.text()
    assert "saved by somebody else" in dock.widget.message.text()
    assert record.read_bytes() == before
    series.work.choose_output(tmp_path / "mine")
    settle(dock, series)
    press(dock, series, "forward")
    np.testing.assert_array_equal(labels_of(tmp_path / "mine" / "p1.png_sources.png"), shown)
    assert record.read_bytes() == before


# ----------------------------------------------------------------------- nothing is lost


def test_a_disk_that_is_full_keeps_the_picture_open(
    dock: Dock, series: QueueSection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "write_image_atomic", full)
        press(dock, series, "forward")
    assert "p1.png stays open" in dock.widget.message.text()
    assert "No space left" in dock.widget.message.text()
    layer = dock.controller.sources_layer
    assert layer is not None
    np.testing.assert_array_equal(layer.data, shown)
    assert series.place.text().startswith("1 of 4")
    assert states(folder)[0] == "untouched"
    assert list(folder.with_name("photos_masks").iterdir()) == []  # nor anything temporary
    press(dock, series, "forward")  # there is room again
    np.testing.assert_array_equal(saved_labels(folder, "p1.png"), shown)
    assert "p2.png" in layer_names(dock)


def test_where_masks_cannot_be_written_another_folder_takes_them(
    dock: Dock, series: QueueSection, folder: Path, tmp_path: Path
) -> None:
    folder.with_name("photos_masks").write_text("a file in the way")
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    press(dock, series, "forward")
    assert "p1.png stays open" in dock.widget.message.text()
    assert "p1.png" in layer_names(dock)
    series.work.choose_output(tmp_path / "elsewhere")
    settle(dock, series)
    np.testing.assert_array_equal(dock.controller.sources_layer.data, shown)
    press(dock, series, "forward")
    assert "p2.png" in layer_names(dock)
    path = tmp_path / "elsewhere" / "p1.png_sources.png"
    np.testing.assert_array_equal(labels_of(path), shown)


def test_another_output_folder_saves_to_the_old_one_first(
    dock: Dock, series: QueueSection, folder: Path, tmp_path: Path
) -> None:
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    series.work.choose_output(tmp_path / "elsewhere")
    settle(dock, series)
    np.testing.assert_array_equal(saved_labels(folder, "p1.png"), shown)
    assert series.place.text().startswith("1 of 4 · untouched")
    assert dock.controller.sources_layer is None  # nothing was made in the other folder


def test_more_sources_than_a_mask_holds_are_kept_beside_the_record(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    dock.controller.mode.source = 9
    shown = click_a_source(dock, 50, 60)
    press(dock, series, "forward")
    assert "p1.png_labels.tif, and nothing is learned from it" in dock.widget.message.text()
    assert states(folder)[0] == "begun"
    press(dock, series, "back")
    layer = dock.controller.sources_layer
    assert layer is not None
    np.testing.assert_array_equal(layer.data, shown)


def test_files_of_others_are_not_replaced(dock: Dock, series: QueueSection, folder: Path) -> None:
    output = folder.with_name("photos_masks")
    output.mkdir()
    (output / "p1.png.json").write_text('{"shopping": ["milk"]}')
    begin(dock, series, folder)
    assert series.place.text().startswith("1 of 4 · cannot be opened")
    assert "no record of labels" in dock.widget.message.text()
    series.work.go_to(NAMES[1])
    settle(dock, series)
    (output / "p2.png.json").write_text('{"shopping": ["milk"]}')
    click_a_source(dock, 50, 60)
    press(dock, series, "forward")
    assert "p2.png stays open" in dock.widget.message.text()
    assert (output / "p1.png.json").read_text() == '{"shopping": ["milk"]}'


def test_prompts_that_wait_for_their_region_wait_again(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    """A picture that is left while its traces are being read keeps its unanswered prompts."""
    assert dock.engine is not None
    gate = dock.engine.gate = threading.Event()
    series.work.open_queue(folder)
    wait_until(lambda: not series.work.doing)
    image = dock.controller.image
    assert image is not None
    dock.press(dock.widget.prompts.add)
    dock.hand.click(image, 50, 60)
    dock.workspace.queue.go_on()
    wait_until(lambda: not series.work.doing, what="the model's lane is busy, the series is not")
    assert "p2.png" in layer_names(dock)
    (prompt,) = record_of(folder, "p1.png")["layer"]["prompts"]
    assert prompt["live"]
    assert not saved_labels(folder, "p1.png").any()
    gate.set()
    settle(dock, series)
    press(dock, series, "back")
    layer = dock.controller.sources_layer
    assert layer is not None
    assert layer.data[50, 60] == 1


def test_what_is_done_while_the_next_picture_is_read_is_saved_too(
    dock: Dock, series: QueueSection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(dock, series, folder)
    click_a_source(dock, 30, 30)
    reading, gate = threading.Event(), threading.Event()
    true_read = folder_work.read_entry

    def slowly(entry):
        reading.set()
        assert gate.wait(30)
        return true_read(entry)

    monkeypatch.setattr(folder_work, "read_entry", slowly)
    os.utime(folder / "p2.png", ns=(0, 0))  # what was read ahead of it does not count
    dock.press(series.forward)
    wait_until(reading.is_set)
    assert not series.forward.isEnabled()
    image = dock.controller.image
    assert image is not None
    assert image.name == "p1.png"
    dock.hand.click(image, 90, 120)
    undo_answers(dock)
    gate.set()
    settle(dock, series)
    assert len(record_of(folder, "p1.png")["layer"]["prompts"]) == 2
    assert "p2.png" in layer_names(dock)


def undo_answers(dock: Dock) -> None:
    """Undo and redo the second prompt, although a file keeps its worker waiting."""

    def n_prompts() -> int:
        plane = dock.controller.plane
        assert plane is not None
        return 0 if plane.snapshot is None else len(plane.snapshot.annotation.prompts)

    wait_until(lambda: n_prompts() == 2)
    dock.controller.edits.undo()
    wait_until(lambda: n_prompts() == 1)
    dock.controller.edits.redo()
    wait_until(lambda: n_prompts() == 2)


def test_what_is_done_while_the_labels_are_written_is_saved_too(
    dock: Dock, series: QueueSection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(dock, series, folder)
    click_a_source(dock, 30, 30)
    writing, gate = threading.Event(), threading.Event()

    def slowly(*arguments):
        writing.set()
        assert gate.wait(30)
        return saving.save_labels(*arguments)

    monkeypatch.setattr(folder_work, "save_labels", slowly)
    dock.press(series.forward)
    wait_until(writing.is_set)
    image = dock.controller.image
    assert image is not None
    dock.hand.click(image, 90, 120)
    undo_answers(dock)
    gate.set()
    settle(dock, series)
    assert len(record_of(folder, "p1.png")["layer"]["prompts"]) == 2
    assert "p2.png" in layer_names(dock)


def test_a_stand_in_is_not_saved_for_the_answer(
    dock: Dock, series: QueueSection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a partition a click shows the nearest region of the grid until the model answers."""
    begin(dock, series, folder)
    dock.controller.partition()
    dock.settle()
    dock.controller.edits.discard()
    dock.settle()
    assert dock.engine is not None
    gate, answer = threading.Event(), dock.engine.segment

    def slowly(embedding, prompts):
        assert gate.wait(30)
        return answer(embedding, prompts)

    monkeypatch.setattr(dock.engine, "segment", slowly)
    image, plane = dock.controller.image, dock.controller.plane
    assert image is not None
    assert plane is not None
    dock.press(dock.widget.prompts.add)
    dock.hand.click(image, 50, 60)

    def stand_in_is_shown() -> bool:
        preview = None if plane.snapshot is None else plane.snapshot.annotation.preview
        return preview is not None and not preview.exact

    wait_until(stand_in_is_shown)
    dock.workspace.queue.go_on()
    wait_until(lambda: not series.work.doing)
    gate.set()
    settle(dock, series)
    assert not saved_labels(folder, "p1.png").any()
    (prompt,) = record_of(folder, "p1.png")["layer"]["prompts"]
    assert prompt["live"]


def test_layers_of_the_user_stay(dock: Dock, series: QueueSection, folder: Path) -> None:
    own = dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="own")
    begin(dock, series, folder)
    click_a_source(dock, 50, 60)
    dock.viewer.layers.selection.active = own  # the controller works on it from here on
    dock.settle()
    press(dock, series, "forward")
    assert layer_names(dock) == ["own", "p2.png"]
    assert dock.controller.image is dock.viewer.layers["p2.png"]
    assert states(folder)[0] == "begun"


def test_an_image_that_the_user_removes_is_saved_before(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    dock.viewer.layers.remove("p1.png")
    settle(dock, series)
    assert "p1.png was closed" in dock.widget.message.text()
    assert "closed" in series.place.text()
    assert not series.done.isEnabled()
    assert "p1.png: sources" in layer_names(dock)
    np.testing.assert_array_equal(saved_labels(folder, "p1.png"), shown)
    press(dock, series, "forward")
    assert "p2.png" in layer_names(dock)
    assert states(folder)[0] == "begun"


def test_the_mask_of_a_done_picture_opens_with_it(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    dock.press(dock.widget.partition.run)
    settle(dock, series)
    press(dock, series, "done")
    assert states(folder)[0] == "done"
    mask = str(folder.with_name("photos_masks") / "p1.png_sources.png")
    read = get_reader(mask)
    assert read is not None
    assert [layer[-1] for layer in read(mask)][:2] == ["image", "labels"]


def test_that_a_verdict_is_left_out_is_told_until_there_is_another(
    dock: Dock, series: QueueSection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence went as soon as the picture's traces were read."""
    begin(dock, series, folder)
    dock.controller.partition()
    dock.settle()
    press(dock, series, "forward")
    monkeypatch.setattr(predictions, "ALGORITHM", 99)
    press(dock, series, "back")
    dock.settle()
    assert dock.controller.plane is not None
    assert dock.controller.plane.embedding is not None
    assert dock.controller.plane.forgery is None
    assert "another version of napari-safire's" in dock.widget.message.text()
    dock.controller.partition()
    dock.settle()
    assert "another version" not in dock.widget.message.text()


def test_what_was_missing_is_not_told_any_more_once_something_has_changed(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    click_a_source(dock, 50, 60)
    press(dock, series, "done")
    assert "p1.png is not done yet" in dock.widget.message.text()
    dock.press(dock.widget.partition.run)
    settle(dock, series)
    assert "not done yet" not in dock.widget.message.text()


@pytest.mark.parametrize("how", ["select_all", "clear"])
def test_removing_all_layers_at_once_saves_the_picture_with_its_prompts(
    dock: Dock, series: QueueSection, folder: Path, how: str
) -> None:
    begin(dock, series, folder)
    shown = click_a_source(dock, 50, 60)
    layers = dock.viewer.layers
    assert "p1.png: prompts" in layer_names(dock)
    if how == "clear":
        layers.clear()
    else:
        layers.select_all()
        layers.remove_selected()
    settle(dock, series)
    assert layer_names(dock) == []
    np.testing.assert_array_equal(saved_labels(folder, "p1.png"), shown)


@pytest.mark.parametrize("under_way", [False, True])
def test_closing_the_dock_saves_the_open_picture(
    dock: Dock, series: QueueSection, folder: Path, under_way: bool
) -> None:
    begin(dock, series, folder)
    click_a_source(dock, 50, 60)
    layer = dock.controller.sources_layer
    assert layer is not None
    layer.data[100:110, 100:110] = 3  # told by no event
    shown = np.asarray(layer.data).copy()
    if under_way:
        dock.press(series.forward)
    close_docks(dock)
    np.testing.assert_array_equal(saved_labels(folder, "p1.png"), shown)  # before it has ended
    assert states(folder)[0] == "begun"
    pump(0.2)
    assert {path.name for path in folder.with_name("photos_masks").iterdir()} == {
        "p1.png.json",
        "p1.png_sources.png",
    }


def test_closing_with_an_untouched_picture_writes_nothing(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    close_docks(dock)
    assert not folder.with_name("photos_masks").exists()


def test_a_folder_that_is_dropped_is_opened(dock: Dock, series: QueueSection, folder: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    dock.widget.dropEvent(event)
    settle(dock, series)
    assert event.isAccepted()
    assert layer_names(dock) == ["p1.png"]


def test_controls_fit_a_narrow_dock_and_say_what_they_do(
    dock: Dock, series: QueueSection, folder: Path
) -> None:
    begin(dock, series, folder)
    opening, listed = curate_of(dock).opening, curate_of(dock).list
    for section in (opening, listed, series):
        assert section.minimumSizeHint().width() <= 344
    for widget in (
        opening.folder,
        opening.list_file,
        opening.output,
        listed.state,
        listed.search,
        listed.table,
        listed.turn,
        series.back,
        series.forward,
        series.done,
        series.authentic,
        series.show_rest,
    ):
        assert widget.toolTip() or widget is listed.search or widget is listed.table
        assert widget.accessibleName() or widget.text()
