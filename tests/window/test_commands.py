"""The manifest's commands, run as napari's palette and menus run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import napari
import npe2
import numpy as np
import pytest
from fakes import FakeEngine
from napari._app_model import get_app_model
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QFileDialog, QLineEdit, QMenu

from napari_safire.annotation.annotation import SourcePrompt
from napari_safire.gui import widget as widget_module
from napari_safire.gui import workspace as workspace_module
from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.dock import WorkspaceDock
from napari_safire.gui.keys.commands import open_widget
from napari_safire.gui.keys.keymap import ACTIONS
from napari_safire.gui.widget import SafireWidget, widget_of
from napari_safire.gui.workspace import workspace_of
from napari_safire.types import PointPrompt

from .hand import Hand, pump, wait_idle, wait_until

PLUGIN = "napari-safire"
WIDGET = f"{PLUGIN}.widget"
SHAPE = (120, 160)
BY_ARGUMENTS = {f"{PLUGIN}.get_reader", f"{PLUGIN}.write_labels"}


@pytest.fixture
def engine(viewer: napari.Viewer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """What every SAFIRE widget that napari opens works with; it is closed afterwards."""
    fake = FakeEngine()
    monkeypatch.setattr(workspace_module, "_load_engine", lambda *arguments: fake)
    yield fake
    workspace = workspace_of(viewer)
    for dock in [] if workspace is None else workspace.docks:
        assert isinstance(dock, WorkspaceDock)
        dock.close_work()


def execute(name: str) -> None:
    """Run a command through napari's own application."""
    application = get_app_model()
    application.commands.execute_command(f"{PLUGIN}.{name}")
    pump()


def settle(viewer: napari.Viewer) -> SafireWidget:
    widget = widget_of(viewer)
    assert widget is not None
    wait_idle(widget.controller)
    return widget


def docks(viewer: napari.Viewer) -> list[SafireWidget]:
    return [w for w in viewer.window.dock_widgets.values() if isinstance(w, SafireWidget)]


def add_picture(viewer: napari.Viewer, *leading: int) -> None:
    viewer.add_image(np.zeros((*leading, *SHAPE), np.uint8), name="picture")


def mask_of(viewer: napari.Viewer) -> np.ndarray:
    layer = settle(viewer).controller.sources_layer
    assert layer is not None
    return np.asarray(layer.data)


# ---------------------------------------------------------------- manifest


def test_the_manifest_names_functions_that_exist() -> None:
    manifest = npe2.PluginManifest.from_distribution(PLUGIN)
    manifest.validate_imports()
    assert [w.display_name for w in manifest.contributions.widgets or ()] == [
        "SAFIRE",
        "SAFIRE Curate",
        "SAFIRE Review",
    ]


def test_every_key_has_a_command_of_its_own() -> None:
    commands = {c.id for c in npe2.PluginManifest.from_distribution(PLUGIN).contributions.commands}
    assert {f"{PLUGIN}.{action.name}" for action in ACTIONS} <= commands


def test_titles_are_told_apart_and_do_not_repeat_the_plugin() -> None:
    commands = npe2.PluginManifest.from_distribution(PLUGIN).contributions.commands
    titles = [command.title for command in commands]
    assert len({*titles}) == len(titles)
    # napari adds "(SAFIRE)" to each.
    written = (files("napari_safire") / "napari.yaml").read_text(encoding="utf-8")
    assert "title: SAFIRE" not in written


# ---------------------------------------------------------------- menus


def test_the_menus_hold_the_commands(viewer: napari.Viewer) -> None:
    application = get_app_model()
    expected = {
        "napari/layers/segment": {"widget", "partition", "partition_all"},
        "napari/layers/annotate": {"add_prompts"},
        "napari/layers/visualize": {"show_forgery_map", "show_uncertainty"},
        "napari/file/io_utilities": {"open_mask", "curate"},
        "napari/plugins/napari-safire": {"widget", "curate", "review"},
    }
    found = {
        menu: {
            item.command.id.removeprefix(f"{PLUGIN}.")
            for item in application.menus.get_menu(menu)
            if hasattr(item, "command") and item.command.id.startswith(PLUGIN)
        }
        for menu in expected
    }
    assert found == expected


def layers_menu_actions(viewer: napari.Viewer, submenu: str) -> dict[str, QAction]:
    """Visible entries of a submenu of Layers, as a user sees them after opening it."""
    bar = viewer.window.main_menu
    layers = next(a.menu() for a in bar.actions() if a.text().replace("&", "") == "Layers")
    assert isinstance(layers, QMenu)
    layers.aboutToShow.emit()
    inner = next(a.menu() for a in layers.actions() if a.text().replace("&", "") == submenu)
    assert isinstance(inner, QMenu)
    return {action.text(): action for action in inner.actions() if action.isVisible()}


def test_the_menu_is_grey_without_a_picture_and_opens_and_partitions_with_one(
    viewer: napari.Viewer, engine: FakeEngine
) -> None:
    title = "Partition (SAFIRE)"
    assert not layers_menu_actions(viewer, "Segment")[title].isEnabled()
    add_picture(viewer)
    pump()
    shown = layers_menu_actions(viewer, "Segment")
    assert not any("all slices" in text for text in shown)  # the picture is no stack
    assert shown[title].isEnabled()
    shown[title].trigger()
    pump()
    assert mask_of(viewer).max() == 2


def test_sources_are_renumbered_with_what_is_current(
    viewer: napari.Viewer, engine: FakeEngine
) -> None:
    add_picture(viewer)
    execute("partition")
    controller = settle(viewer).controller
    controller.edits.split(2)
    controller.edits.absorb(1)
    controller.mode.source = 2
    assert np.unique(mask_of(viewer)).tolist() == [2]
    execute("renumber")
    assert np.unique(mask_of(viewer)).tolist() == [1]
    assert controller.mode.source == 1
    execute("undo")
    assert np.unique(mask_of(viewer)).tolist() == [2]


def test_a_stack_may_be_partitioned_as_a_whole(viewer: napari.Viewer, engine: FakeEngine) -> None:
    add_picture(viewer, 3)
    pump()
    shown = layers_menu_actions(viewer, "Segment")
    shown["Partition all slices (SAFIRE)"].trigger()
    pump()
    assert (mask_of(viewer).max(axis=(1, 2)) == 2).all()


def test_the_palette_runs_a_command_that_is_typed(
    viewer: napari.Viewer, engine: FakeEngine
) -> None:
    add_picture(viewer)
    get_app_model().commands.execute_command("napari.window.view.toggle_command_palette")
    pump()
    lines = [w for w in QApplication.allWidgets() if isinstance(w, QLineEdit) and w.isVisible()]
    (line,) = [line for line in lines if "search commands" in line.placeholderText()]
    QTest.keyClicks(line, "safire partition picture")
    QTest.keyClick(line, Qt.Key.Key_Return)
    pump()
    assert mask_of(viewer).max() == 2


def test_commands_with_arguments_are_kept_out_of_the_palette(viewer: napari.Viewer) -> None:
    application = get_app_model()
    entries = application.menus.get_menu(application.menus.COMMAND_PALETTE_ID)
    ours = {e.command.id: e.command for e in entries if e.command.id.startswith(PLUGIN)}
    refused = {
        name
        for name, command in ours.items()
        # reviewed: an expression of our own commands, by app-model
        if command.enablement is not None and not command.enablement.eval({"num_layers": 1})
    }
    assert refused == BY_ARGUMENTS


# ---------------------------------------------------------------- the widget


def test_the_widget_opens_by_its_command_and_hides_by_it(
    viewer: napari.Viewer, engine: FakeEngine
) -> None:
    execute("widget")
    widget = widget_of(viewer)
    assert widget is not None
    assert widget.isVisible()
    execute("widget")
    assert not widget.isVisible()
    execute("widget")
    assert widget.isVisible()
    assert widget_of(viewer) is widget
    assert docks(viewer) == [widget]


def test_a_command_and_the_menu_share_one_widget(viewer: napari.Viewer, engine: FakeEngine) -> None:
    add_picture(viewer)
    execute("next_source")
    execute("next_source")
    (widget,) = docks(viewer)
    assert widget.controller.mode.source == 3
    execute("widget")  # what the menu does: it finds the same one, and hides it
    assert docks(viewer) == [widget]
    assert not widget.isVisible()
    execute("next_source")  # which works all the same
    assert widget.controller.mode.source == 4


def test_after_it_was_closed_a_command_opens_it_again(
    viewer: napari.Viewer, engine: FakeEngine
) -> None:
    add_picture(viewer)
    execute("partition")
    first = settle(viewer)
    dock = first.parent()
    assert isinstance(dock, QDockWidget)
    viewer.window.remove_dock_widget(dock)
    pump(0.1)
    assert widget_of(viewer) is None
    execute("partition")
    assert settle(viewer) is not first
    assert mask_of(viewer).max() == 2


def test_a_widget_of_another_name_takes_over(viewer: napari.Viewer, engine: FakeEngine) -> None:
    add_picture(viewer)
    execute("partition")
    first = settle(viewer)
    _, second = viewer.window.add_plugin_dock_widget(PLUGIN, "SAFIRE")
    assert second is not first
    assert widget_of(viewer) is second
    assert first.is_closed
    assert not first.isEnabled()
    assert "close this one" in first.message.text()
    execute("next_source")
    assert second.controller.mode.source == 2


def test_opened_by_a_script_it_works_on_the_picture_that_is_there(
    viewer: napari.Viewer, hand: Hand, engine: FakeEngine
) -> None:
    add_picture(viewer)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "SAFIRE")
    picture = viewer.layers["picture"]
    assert widget.controller.viewer is viewer
    assert widget.controller.image is picture
    assert widget.picture.image.currentText() == "picture"
    execute("add_prompts")
    hand.click(picture, 60, 40)
    assert mask_of(viewer)[60, 40] == 1
    assert widget.controller.image is picture


@pytest.mark.own_window
def test_a_viewer_that_is_not_the_current_one_gets_its_own(
    viewer: napari.Viewer,
    make_napari_viewer: Callable[..., napari.Viewer],
    engine: FakeEngine,
) -> None:
    other = make_napari_viewer(show=True)
    pump(0.2)
    assert napari.current_viewer() is other
    widget = open_widget(viewer)
    assert docks(viewer) == [widget]
    assert docks(other) == []
    assert open_widget(viewer) is widget


# ---------------------------------------------------------------- what they do


def test_a_proposed_click_and_a_snapped_stroke_by_commands(
    viewer: napari.Viewer, hand: Hand, engine: FakeEngine
) -> None:
    add_picture(viewer)
    execute("next_click")
    widget = settle(viewer)
    group = widget.controller.layer_group
    assert group is not None
    assert group.next_click is not None
    ((row, col),) = group.next_click.data
    execute("next_click")
    labels = mask_of(viewer)
    assert labels[round(row), round(col)] == 1
    layer = widget.controller.sources_layer
    assert layer is not None
    viewer.layers.selection.active = layer
    layer.brush_size, layer.selected_label, layer.mode = 10, 2, "paint"
    hand.drag(viewer.layers["picture"], (100, 20), (100, 60))
    settle(viewer)
    execute("snap")
    settle(viewer)
    assert "Snapped to edges" in widget.sources.told.text()


def test_prompts_by_commands_and_clicks(
    viewer: napari.Viewer, hand: Hand, engine: FakeEngine
) -> None:
    add_picture(viewer)
    execute("add_prompts")
    picture = viewer.layers["picture"]
    hand.click(picture, 60, 40)
    settle(viewer)
    execute("next_source")
    hand.click(picture, 60, 120)
    labels = mask_of(viewer)
    assert (labels[60, 40], labels[60, 120], labels[5, 5]) == (1, 2, 0)
    execute("exclude")
    hand.click(picture, 60, 130)
    labels = mask_of(viewer)
    assert (labels[60, 102], labels[60, 130]) == (2, 0)
    execute("undo")
    assert mask_of(viewer)[60, 130] == 2
    execute("redo")
    assert mask_of(viewer)[60, 130] == 0
    execute("toggle_preview")
    assert not mask_of(viewer).any()
    execute("toggle_preview")
    execute("commit")
    widget = settle(viewer)
    plane = widget.controller.plane
    assert plane is not None
    assert plane.snapshot is not None
    assert plane.snapshot.annotation.preview is None
    assert mask_of(viewer)[60, 40] == 1
    execute("previous_source")
    assert widget.controller.mode.source == 1


def test_discard_drops_the_preview(viewer: napari.Viewer, engine: FakeEngine) -> None:
    add_picture(viewer)
    execute("partition")
    assert mask_of(viewer).any()
    execute("discard")
    assert not mask_of(viewer).any()


def test_cancel_stops_and_segment_goes_on(viewer: napari.Viewer, engine: FakeEngine) -> None:
    engine.step_s = 0.1
    execute("widget")
    add_picture(viewer)
    widget = widget_of(viewer)
    assert widget is not None
    wait_until(lambda: "embed" in engine.calls)
    controller = widget.controller
    assert controller.plane is not None
    controller.session.prompts.set(controller.plane.key, [SourcePrompt(PointPrompt(60, 40))])
    execute("cancel")
    settle(viewer)
    assert controller.plane.embedding is None
    engine.step_s = 0
    execute("segment")
    assert mask_of(viewer)[60, 40] == 1


def test_cancel_opens_nothing(viewer: napari.Viewer, engine: FakeEngine) -> None:
    execute("cancel")
    assert docks(viewer) == []
    assert "nothing of it runs" in notification_manager.records[-1].message


def test_the_forgery_map_is_made_shown_and_hidden(
    viewer: napari.Viewer, engine: FakeEngine
) -> None:
    add_picture(viewer)
    execute("show_forgery_map")
    widget = settle(viewer)
    layer_group = widget.controller.layer_group
    assert layer_group is not None
    assert layer_group.heatmap is not None
    assert layer_group.heatmap.visible
    assert widget.view.buttons["forgery map"].isChecked()
    execute("show_forgery_map")
    assert not layer_group.heatmap.visible
    execute("show_uncertainty")
    settle(viewer)
    assert layer_group.uncertainty is not None


def test_without_a_picture_a_sentence_says_so(viewer: napari.Viewer, engine: FakeEngine) -> None:
    for name in ("add_prompts", "segment", "partition", "show_forgery_map", "undo", "commit"):
        execute(name)
        widget = widget_of(viewer)
        assert widget is not None
        assert "open one first" in widget.message.text(), name
        for message in widget.workspace.messages.shown:
            widget.workspace.messages.close_message(message)
        assert widget.message.text() == ""


def test_diagnostics_are_copied(
    viewer: napari.Viewer, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def describe(session: object, cache: object) -> dict[str, str]:
        asked.append(cache)
        return {"Python": "3.99", "Model": "none"}

    monkeypatch.setattr(widget_module, "_describe", describe)
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    clipboard.clear()
    execute("copy_diagnostics")
    widget = settle(viewer)
    assert len(asked) == 1
    assert clipboard.text() == "Python: 3.99\nModel: none\n"
    assert "Copied 2 lines" in widget.message.text()


def test_the_cache_is_cleared(viewer: napari.Viewer, engine: FakeEngine) -> None:
    execute("widget")
    widget = settle(viewer)
    cache = widget.workspace.cache
    assert cache is not None
    cache.folder.mkdir(parents=True)
    entry = cache.folder / f"{'a' * 64}.safetensors"
    entry.write_bytes(bytes(5000))
    others = cache.folder / "notes.txt"
    others.write_text("mine")
    execute("clear_cache")
    settle(viewer)
    assert not entry.exists()
    assert others.exists()
    assert "5.0 kB freed" in widget.message.text()


# ---------------------------------------------------------------- masks of any name


def answer_dialog(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (path, ""))


def test_a_mask_of_any_name_is_opened(
    viewer: napari.Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = np.zeros((40, 50), np.uint8)
    encoded[:, 25:] = 100
    Image.fromarray(encoded).save(tmp_path / "0001.png")
    answer_dialog(monkeypatch, str(tmp_path / "0001.png"))
    execute("open_mask")
    wait_until(lambda: len(viewer.layers) > 0)
    (labels,) = viewer.layers
    assert np.unique(labels.data).tolist() == [0, 2]


def test_what_is_no_mask_is_refused_with_a_sentence(
    viewer: napari.Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.full((8, 8), 37, np.uint8)).save(tmp_path / "photo.png")
    answer_dialog(monkeypatch, str(tmp_path / "photo.png"))
    notification_manager.records.clear()
    execute("open_mask")
    wait_until(lambda: len(notification_manager.records) > 0)
    assert "37" in notification_manager.records[-1].message
    assert len(viewer.layers) == 0


def test_no_file_chosen_does_nothing(
    viewer: napari.Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_dialog(monkeypatch, "")
    execute("open_mask")
    assert len(viewer.layers) == 0


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("next_picture", Qt.Key.Key_PageDown),
        ("previous_picture", Qt.Key.Key_PageUp),
        ("finish_picture", None),
    ],
)
def test_without_a_queue_its_commands_and_keys_say_so(
    viewer: napari.Viewer, engine: FakeEngine, command: str, key: Qt.Key | None
) -> None:
    add_picture(viewer)
    if key is None:
        execute(command)
    else:
        execute("widget")
        settle(viewer)
        QTest.keyClick(viewer.window._qt_viewer.canvas.native, key)
    pump()
    workspace = workspace_of(viewer)
    assert workspace is not None
    wait_idle(workspace.controller)
    (told,) = workspace.messages.shown
    assert "No queue of pictures is open" in told.text
    assert workspace.dock(CurateWidget) is not None or key is not None
