"""Keys on a real canvas, and those of napari's window."""

from __future__ import annotations

import weakref
from collections import Counter

import napari
import pytest
from key_steps import (
    PICTURE,
    callbacks_into,
    one_layer_of_each_type,
    type_key,
)
from key_steps import keymap as keymap
from key_steps import store as store
from napari.layers import Labels
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import coerce_keybinding
from qtpy.compat import isalive
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_safire.gui.keys.binder import KeyBinder
from napari_safire.gui.keys.key_editor import KeyEditor
from napari_safire.gui.keys.keymap import ACTIONS, Keymap
from napari_safire.gui.keys.taken import napari_keys

from .hand import Hand, pump


@pytest.fixture
def editor(viewer: napari.Viewer, keymap: Keymap) -> KeyEditor:
    editor = KeyEditor(keymap)
    viewer.window.add_dock_widget(editor, name="Keys").setFixedWidth(360)
    pump(0.2)
    return editor


def test_no_default_key_is_one_of_naparis(viewer: napari.Viewer):
    one_layer_of_each_type(viewer)
    taken = napari_keys()
    assert taken["V"] == "toggle selected visibility"  # of the preferences
    assert "Control-Shift-P" in taken  # of a menu
    assert "Shift-Up" in taken  # of the viewer's class
    assert "Control-Z" in taken  # of the class of Labels
    assert {action.default for action in ACTIONS} & taken.keys() == set()


def test_every_key_acts_once_on_the_canvas(viewer: napari.Viewer, hand: Hand, keymap: Keymap):
    counts: Counter[str] = Counter()
    one_layer_of_each_type(viewer)
    binder = KeyBinder(viewer, keymap, callbacks_into(counts))
    viewer.layers.selection.active = next(x for x in viewer.layers if type(x) is Labels)
    pump(0.2)
    for action in ACTIONS:
        hand.press(action.default.replace("-", "+"))
    assert counts == {action.name: 1 for action in ACTIONS}
    assert binder.conflicts == ()
    binder.unbind()


def test_naparis_own_keys_still_act(viewer: napari.Viewer, hand: Hand, keymap: Keymap):
    labels = viewer.add_labels(PICTURE)
    binder = KeyBinder(viewer, keymap, callbacks_into(Counter()))
    hand.press("P")
    assert labels.mode == "paint"
    hand.press("V")
    assert not labels.visible
    binder.unbind()


def test_our_key_gives_way_when_the_user_gives_it_to_napari(
    viewer: napari.Viewer, hand: Hand, keymap: Keymap
):
    """As napari's preferences do it; and comes back when the user frees it."""
    counts: Counter[str] = Counter()
    labels = viewer.add_labels(PICTURE)
    binder = KeyBinder(viewer, keymap, callbacks_into(counts))
    action, usual = "napari:new_label", [coerce_keybinding("M")]
    try:
        action_manager.unbind_shortcut(action)
        action_manager.bind_shortcut(action, coerce_keybinding("G"))
        assert [c.action.name for c in binder.conflicts] == ["segment"]
        hand.press("G")
        assert counts == {}
        assert labels.selected_label == 1  # the first free one; the action ran
    finally:
        action_manager.unbind_shortcut(action)
        for key in usual:
            action_manager.bind_shortcut(action, key)
    assert binder.conflicts == ()
    hand.press("G")
    assert counts == {"segment": 1}
    binder.unbind()


def test_a_key_of_a_menu_is_refused(viewer: napari.Viewer, keymap: Keymap, editor: KeyEditor):
    with pytest.raises(ValueError, match=r"belongs to napari \(Save Selected Layers"):
        keymap.assign("segment", "Control-S")
    type_key(editor, "segment", "Ctrl+S")
    assert "belongs to napari (Save Selected Layers" in editor.message.text()
    assert editor.message.isVisible()
    assert keymap["segment"] == "G"


def test_a_key_typed_into_the_editor_acts_at_once(
    viewer: napari.Viewer, hand: Hand, keymap: Keymap, editor: KeyEditor
):
    counts: Counter[str] = Counter()
    viewer.add_image(PICTURE)
    binder = KeyBinder(viewer, keymap, callbacks_into(counts))
    type_key(editor, "segment", "Ctrl+Shift+J")
    assert keymap["segment"] == "Control-Shift-J"
    type_key(editor, "commit", "Up")
    assert counts == {}  # nothing of what was typed there went on to the viewer
    hand.press("Ctrl+Shift+J")
    assert counts == {"segment": 1}
    binder.unbind()


def test_an_editor_whose_window_is_gone_is_left_alone(editor: KeyEditor, keymap: Keymap):
    trace = weakref.ref(editor)
    viewer_dock = editor.parentWidget()
    viewer_dock.close()
    editor.deleteLater()
    QApplication.sendPostedEvents(editor, QEvent.Type.DeferredDelete)
    assert not isalive(editor)
    keymap.assign("segment", "Shift-F4")
    assert trace() is editor
