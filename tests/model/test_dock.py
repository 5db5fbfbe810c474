"""The dock as a whole: one name for one action, names for all controls, the order of Tab."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from napari.utils.theme import get_theme
from npe2 import PluginManifest
from PIL import Image
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QSlider,
    QStyleOptionComboBox,
    QTableView,
    QWidget,
)

import napari_safire
from napari_safire.gui.controllers.compared_views import CompareMode
from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.keys.key_editor import KeyField
from napari_safire.gui.keys.keymap import ACTIONS
from napari_safire.gui.layers.colours import face_colours, source_rgba
from napari_safire.gui.panels.section import FoldedSection
from napari_safire.gui.review import ReviewWidget
from napari_safire.gui.widget import SafireWidget

from .conftest import Dock
from .hand import pump, wait_until

ROOT = Path(__file__).parents[2]
CONTROLS = (KeyField, QAbstractButton, QComboBox, QAbstractSpinBox, QSlider, QTableView, QLineEdit)
SAME_ROW = 14  # pixels between the middles of controls in one row
BUTTONS: dict[str, Callable[[SafireWidget], QWidget]] = {
    "add_prompts": lambda w: w.prompts.add,
    "segment": lambda w: w.prompts.segment,
    "exclude": lambda w: w.prompts.exclude,
    "next_click": lambda w: w.prompts.propose,
    "snap": lambda w: w.sources.snap,
    "commit": lambda w: w.prompts.commit,
    "discard": lambda w: w.prompts.discard,
    "paint": lambda w: w.prompts.paint,
    "next_source": lambda w: w.prompts.next,
    "undo": lambda w: w.prompts.undo,
    "redo": lambda w: w.prompts.redo,
    "toggle_preview": lambda w: w.prompts.preview,
    "partition": lambda w: w.partition.run,
    "partition_all": lambda w: w.partition.run_all,
    "show_picture": lambda w: w.view.buttons["picture"],
    "show_sources": lambda w: w.view.buttons["sources"],
    "show_forgery_map": lambda w: w.view.buttons["forgery map"],
    "show_uncertainty": lambda w: w.view.buttons["uncertainty"],
    "renumber": lambda w: w.sources.renumber,
    "cancel": lambda w: w.status.cancel,
}
CURATE_BUTTONS: dict[str, Callable[[CurateWidget], QWidget]] = {
    "next_picture": lambda w: w.queue.forward,
    "previous_picture": lambda w: w.queue.back,
    "finish_picture": lambda w: w.queue.done,
    "finish_as_authentic": lambda w: w.queue.authentic,
    "skip_picture": lambda w: w.queue.skip,
    "waive_picture": lambda w: w.queue.waive,
    "reject_picture": lambda w: w.queue.reject,
    "accept_picture": lambda w: w.queue.accept,
    "add_note": lambda w: w.notes.add,
    "take_first": lambda w: w.adjudication.first,
    "take_second": lambda w: w.adjudication.second,
    "take_neither": lambda w: w.adjudication.neither,
    "next_region": lambda w: w.adjudication.forward,
    "previous_region": lambda w: w.adjudication.back,
    "blink": lambda w: w.adjudication.blink,
}
COMPARE_BUTTONS: dict[str, CompareMode] = {
    "blink": "blink",
    "side_by_side": "grid",
    "swipe": "swipe",
    "fade": "opacity",
}
# The arrow of the source's box, the line that is typed in, the slider.
WITHOUT_A_BUTTON = {"previous_source", "find_picture", "less_of_b", "more_of_b"}


def partitioned(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros((120, 160, 3), np.uint8), name="picture")
    dock.settle()
    dock.press(dock.widget.partition.run)
    dock.settle()


def unfold_all(dock: Dock) -> None:
    for section in dock.widget.findChildren(FoldedSection):
        section.unfold()
    dock.widget.keys.show()
    dock.widget.diagnostics.show()
    dock.settle()


def controls(widget: SafireWidget) -> list[QWidget]:
    """What the user can reach; parts of other controls left out."""
    return [
        found
        for found in widget.widget().findChildren(QWidget)
        if isinstance(found, CONTROLS)
        and not isinstance(found.parentWidget(), CONTROLS)
        and type(found).__name__ != "QTableCornerButton"
    ]


def name_of(control: QWidget) -> str:
    text = control.text() if isinstance(control, QAbstractButton) else ""
    return control.accessibleName() or text


# ---------------------------------------------------------------- one name for one action


def test_dock_keys_and_palette_call_an_action_by_one_name(dock: Dock) -> None:
    manifest = PluginManifest.from_file(Path(napari_safire.__file__).parent / "napari.yaml")
    palette = {c.id.split(".")[1]: c.title for c in manifest.contributions.commands or ()}
    keys = {action.name: action.title for action in ACTIONS}
    curate = CurateWidget(dock.viewer)
    buttons = {name: find(dock.widget) for name, find in BUTTONS.items()}
    buttons |= {name: find(curate) for name, find in CURATE_BUTTONS.items()}
    review = ReviewWidget(dock.viewer)
    buttons["note_finding"] = review.note
    modes = review.compare.modes
    compared = {name: modes[mode].text() for name, mode in COMPARE_BUTTONS.items()}
    shown = {name: found.text() for name, found in buttons.items()}  # type: ignore[attr-defined]
    review.close_work()
    curate.close_work()
    assert keys.keys() == ((buttons | compared).keys() & keys.keys()) | WITHOUT_A_BUTTON
    assert compared == {name: keys[name] for name in compared}
    assert {name: palette[name] for name in keys} == keys
    assert {name: palette[name] for name in shown} == shown
    assert len(set(palette.values())) == len(palette), "two actions have one name"


def test_the_dock_on_paper_has_the_same_names_and_keys() -> None:
    text = (ROOT / "docs" / "dock.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.count("|") == 6]
    written: dict[str, str] = {}
    for cells in rows:
        for names, keys in (cells[:2], cells[3:]):
            pairs = [part.split(", ") for part in (names.strip(), keys.strip())]
            if len(pairs[0]) == len(pairs[1]):
                written |= dict(zip(*pairs, strict=True))
            else:
                written[names.strip()] = keys.strip()
    assert {a.title: a.default.replace("-", "+") for a in ACTIONS}.items() <= written.items()


# ---------------------------------------------------------------- keyboard and screen readers


def test_every_control_has_a_name_and_buttons_say_what_they_do(dock: Dock) -> None:
    partitioned(dock)
    unfold_all(dock)
    found = controls(dock.widget)
    assert len(found) > 50
    nameless = [control for control in found if not name_of(control).strip()]
    assert [(type(c).__name__, type(c.parentWidget()).__name__) for c in nameless] == []
    buttons = [c for c in found if isinstance(c, QAbstractButton) and c.text()]
    assert [button.text() for button in buttons if not button.toolTip()] == []


def test_tab_goes_from_top_to_bottom_and_into_nothing_folded(dock: Dock) -> None:
    partitioned(dock)
    inside = dock.widget.widget()
    assert inside is not None
    chain: list[QWidget] = []
    control = inside.nextInFocusChain()
    while control is not None and control is not inside and len(chain) < 1000:
        chain.append(control)
        control = control.nextInFocusChain()
    ours = [
        control
        for control in chain
        if control in controls(dock.widget)
        and control.isVisible()
        and control.isEnabled()
        and control.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]
    assert len(ours) > 15
    middles = [c.mapTo(inside, QPoint(c.width() // 2, c.height() // 2)) for c in ours]
    for (before, a), (after, b) in pairwise(zip(ours, middles, strict=True)):
        in_row = abs(a.y() - b.y()) <= SAME_ROW
        told = f"{name_of(before)} → {name_of(after)}"
        assert b.x() > a.x() if in_row else b.y() > a.y(), told


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_focus_is_drawn_in_the_ink_of_the_theme(dock: Dock, theme: str) -> None:
    dock.viewer.theme = theme
    style = dock.widget.styleSheet()
    assert get_theme(theme).text.as_hex() in style
    for control in (*controls(dock.widget), *dock.widget.findChildren(QLineEdit)):
        if isinstance(control, KeyField):
            continue  # the line in it takes the focus
        kinds = {kind.__name__ for kind in type(control).__mro__}
        assert any(f"{kind}:focus" in style for kind in kinds), type(control).__name__


# ---------------------------------------------------------------- what is dropped


def drop(dock: Dock, *paths: Path) -> bool:
    """Drag files over the dock and let them fall; whether they were taken."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    how = (
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    enter = QDragEnterEvent(QPoint(20, 20), *how)
    enter.ignore()
    QApplication.sendEvent(dock.widget.viewport(), enter)
    if enter.isAccepted():
        QApplication.sendEvent(dock.widget.viewport(), QDropEvent(QPointF(20, 20), *how))
        dock.settle()
    return enter.isAccepted()


def test_pictures_that_are_dropped_are_opened_and_worked_on(dock: Dock, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.png", "צילום.png")]
    for path in paths:
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(path)
    assert drop(dock, *paths)
    assert {layer.name for layer in dock.controller.images} == {"one", "צילום"}
    assert dock.controller.plane is not None
    assert dock.widget.picture.image.currentData() is dock.controller.image


def test_what_cannot_be_opened_is_told_and_what_is_not_there_is_not_taken(
    dock: Dock, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert drop(dock, broken)
    assert "broken.png cannot be opened" in dock.widget.message.text()
    assert not drop(dock, tmp_path / "gone.png")


# ---------------------------------------------------------------- what is told


def test_what_takes_long_moves_a_bar(dock: Dock) -> None:
    status, gate = dock.widget.status, threading.Event()
    dock.settle()
    assert not status.progress.isVisible()
    dock.controller.session.run(lambda: gate.wait(30), lambda _: None)  # without a name
    pump(0.2)
    assert not status.progress.isVisible()
    wait_until(status.progress.isVisible, seconds=2)
    assert status.cancel.isVisible()
    gate.set()
    dock.settle()
    wait_until(lambda: not status.progress.isVisible(), seconds=2)


def test_commit_answers(dock: Dock) -> None:
    partitioned(dock)
    dock.press(dock.widget.prompts.commit)
    dock.settle()
    told = dock.widget.prompts.confidence
    assert told.isVisible()
    assert told.text() == "✓ Committed: 2 sources, 100% of the picture."
    dock.press(dock.widget.prompts.undo)
    dock.settle()
    assert "Committed" not in told.text()


def test_a_source_that_was_excluded_as_a_whole_is_named(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros((120, 160, 3), np.uint8), name="picture")
    dock.settle()
    dock.controller.add_prompts()
    layer = dock.controller.layer_group.prompts
    layer.add([60.0, 80.0])
    dock.settle()
    dock.controller.mode.exclude = True
    layer.add([60.0, 80.0])
    dock.settle()
    told = dock.widget.prompts.confidence
    assert told.text() == "2 prompts. What was excluded is all of source 1: Undo brings it back."
    dock.press(dock.widget.prompts.commit)
    dock.settle()
    assert told.text() == "Committed, but no prompt had a region: no source is there."


def test_the_tools_come_only_where_a_row_was_selected(dock: Dock) -> None:
    partitioned(dock)
    dock.controller.mode.source = 2
    dock.controller.mode.exclude = True
    assert not dock.widget.sources.selected_sources()
    assert dock.widget.sources.tools.isHidden()
    dock.widget.sources.table.selectRow(0)
    assert dock.controller.mode.source == 1
    assert not dock.widget.sources.tools.isHidden()
    dock.controller.mode.source = 2  # a selection follows
    assert dock.widget.sources.selected_sources() == [2]


@pytest.mark.parametrize("confidence", [np.nan, 0.5, 0.75, 1.0])
def test_no_ground_hides_both_tones_of_a_prompt(confidence: float) -> None:
    borders = np.array([source_rgba(source) for source in range(24)])
    faces = face_colours(borders, np.full(24, confidence))
    for border, face in zip(luminance(borders), luminance(faces), strict=True):
        for ground in np.linspace(0, 1, 101):
            assert max(contrast(border, ground), contrast(face, ground)) > 1.35


def luminance(colours: np.ndarray) -> np.ndarray:
    """As the WCAG defines it."""
    channels = colours[:, :3]
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: float, other: float) -> float:
    """Contrast ratio, 1 to 21."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_the_prompt_tool_is_seen_to_be_armed_and_can_be_put_away(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros((120, 160, 3), np.uint8), name="picture")
    dock.settle()
    add = dock.widget.prompts.add
    assert not add.isChecked()
    dock.press(add)
    dock.settle()
    layer = dock.viewer.layers["picture: prompts"]
    assert add.isChecked()
    assert layer.mode == "add"
    dock.press(add)
    assert not add.isChecked()
    assert layer.mode == "pan_zoom"
    dock.press(add)
    assert add.isChecked()
    for change, back in (
        (lambda: setattr(layer, "mode", "select"), lambda: setattr(layer, "mode", "add")),
        (lambda: setattr(layer, "visible", False), lambda: setattr(layer, "visible", True)),
        (
            lambda: setattr(dock.viewer.layers.selection, "active", dock.viewer.layers["picture"]),
            lambda: setattr(dock.viewer.layers.selection, "active", layer),
        ),
    ):
        change()  # in napari's own controls
        assert not add.isChecked()
        back()
        assert add.isChecked()
    dock.viewer.layers.remove(layer)
    pump()
    assert not add.isChecked()


@pytest.mark.parametrize("panel", ["keys", "diagnostics"])
def test_what_unfolds_at_the_foot_comes_into_view(dock: Dock, panel: str) -> None:
    dock.widget.resize(400, 300)
    pump()
    dock.press(getattr(dock.widget, f"show_{panel}"))
    pump(0.05)
    bar = dock.widget.verticalScrollBar()
    heading = getattr(dock.widget, f"show_{panel}")
    inside = dock.widget.widget()
    assert bar is not None
    assert inside is not None
    assert heading.mapTo(inside, QPoint(0, 0)).y() >= bar.value()  # from its button on
    top = getattr(dock.widget, panel).mapTo(inside, QPoint(0, 0)).y() - bar.value()
    assert 0 < top < 100


def test_names_from_right_to_left_turn_nothing_around_them(dock: Dock) -> None:
    name = "صورة.png"
    dock.viewer.add_image(np.zeros((120, 160, 3), np.uint8), name=name)
    dock.settle()
    box = dock.widget.picture.image
    assert box.itemText(0) == f"\u2068{name}\u2069"
    dock.viewer.layers[0].name = "picture" * 40 + ".png"
    pump()
    box.setFixedWidth(150)
    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    assert option.currentText.startswith("picture")
    assert option.currentText.endswith(".png")
    assert len(option.currentText) < 40
