"""Keys: the user's choice of them, their binding to a viewer, and their editor."""

from __future__ import annotations

import gc
import json
import os
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_model.types import OperatingSystem
from hypothesis import given
from hypothesis import strategies as st
from key_steps import (
    PICTURE,
    callbacks_into,
    one_layer_of_each_type,
    type_key,
)
from key_steps import keymap as keymap
from key_steps import store as store
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import KeyBinding, coerce_keybinding
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QFocusEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QToolButton

from napari_safire.gui.keys.binder import KeyBinder, KeyConflict
from napari_safire.gui.keys.key_editor import KeyEditor
from napari_safire.gui.keys.keymap import ACTIONS, KeyAction, Keymap
from napari_safire.gui.keys.spelling import key_name

from .hand import ModelHand, pump


def keymaps(viewer: ViewerModel) -> list[dict]:
    return [dict(provider.keymap) for provider in (viewer, *viewer.layers)]


# -- spelling ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_as", "spelled"),
    [
        ("g", "G"),
        ("shift-g", "Shift-G"),
        ("Shift+Ctrl+P", "Control-Shift-P"),
        ("Control-Alt-Up", "Control-Alt-Up"),
        ("Control--", "Control--"),
        ("f5", "F5"),
        ("Cmd-K", "Meta-K"),
    ],
)
def test_a_key_is_spelled_in_one_way(given_as: str, spelled: str):
    assert key_name(given_as) == spelled
    assert key_name(spelled) == spelled


@pytest.mark.parametrize(
    "nonsense",
    ["", " ", "Foo", "Shift", "Control", "Shift-1", "Shift-;", "Ctrl+K Ctrl+C", "é", "Tab", "F13"],
)
def test_what_napari_cannot_hear_is_no_key(nonsense: str):
    with pytest.raises(ValueError, match=r"not (one key|a key)|does not work"):
        key_name(nonsense)


@given(st.text(max_size=12))
def test_any_text_is_a_key_with_one_spelling_or_an_error(text: str):
    try:
        spelled = key_name(text)
    except ValueError:
        return
    assert key_name(spelled) == spelled


# -- the defaults --------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [os for os in OperatingSystem if os.name != "UNKNOWN"])
def test_no_default_key_is_in_a_menu_of_any_platform(
    qapp: QApplication, system: OperatingSystem, monkeypatch: pytest.MonkeyPatch
):
    from napari._qt._qapp_model.qactions import _debug, _file, _help, _view

    rules = [
        rule
        for module in (_debug, _file, _help, _view)
        for action in [thing for name in dir(module) for thing in actions_in(module, name)]
        for rule in action.keybindings or []
    ]
    assert len(rules) > 15
    taken = set()
    monkeypatch.setattr(OperatingSystem, "current", staticmethod(lambda: system))
    for rule in rules:
        for key in (rule.primary, getattr(rule, system.name.lower()[:3], None), rule.linux):
            if key is not None:
                taken.add(str(coerce_keybinding(key)))
    assert {str(coerce_keybinding(action.default)) for action in ACTIONS} & taken == set()


def actions_in(module: object, name: str) -> list:
    value = getattr(module, name)
    return [a for a in value if hasattr(a, "keybindings")] if isinstance(value, list) else []


def test_default_keys_and_names_differ_and_need_neither_control_nor_alt():
    assert len({action.name for action in ACTIONS}) == len(ACTIONS)
    assert len({action.default for action in ACTIONS}) == len(ACTIONS)
    for action in ACTIONS:
        assert key_name(action.default) == action.default
        part = coerce_keybinding(action.default).part0
        assert (part.ctrl, part.alt, part.meta) == (False, False, False)


def test_two_actions_with_one_default_are_refused(store: Path):
    with pytest.raises(ValueError, match="share"):
        Keymap([KeyAction("a", "A", "G", ""), KeyAction("b", "B", "g", "")], store)


# -- the user's choice ---------------------------------------------------------------------------


def test_an_assigned_key_is_kept_and_told(keymap: Keymap, store: Path):
    told: list[str | None] = []
    keymap.changed.connect(lambda: told.append(keymap["commit"]))
    keymap.assign("commit", "ctrl+shift+k")
    keymap.assign("discard", None)
    assert told == ["Control-Shift-K", "Control-Shift-K"]
    assert json.loads(store.read_text()) == {"commit": "Control-Shift-K", "discard": None}
    again = Keymap(ACTIONS, store)
    assert again.current == keymap.current
    assert (again["commit"], again["discard"], again["segment"]) == ("Control-Shift-K", None, "G")
    assert not again.is_default("commit")
    assert again.is_default("segment")
    assert again.problem == ""


def test_reset_brings_the_defaults_back(keymap: Keymap, store: Path):
    keymap.assign("commit", "Shift-F4")
    keymap.assign("undo", None)
    keymap.reset("commit")
    assert (keymap["commit"], keymap["undo"]) == ("K", None)
    keymap.reset()
    assert keymap.current == {action.name: action.default for action in ACTIONS}
    assert json.loads(store.read_text()) == {}


def test_reset_does_not_take_a_key_from_another_action(keymap: Keymap):
    keymap.assign("commit", "Shift-F4")
    keymap.assign("undo", "K")
    with pytest.raises(ValueError, match='"K" does "Undo" already'):
        keymap.reset("commit")
    assert keymap["commit"] == "Shift-F4"


def test_nothing_is_told_when_nothing_changes(keymap: Keymap, store: Path):
    told: list[None] = []
    keymap.changed.connect(lambda: told.append(None))
    keymap.assign("segment", "g")
    keymap.reset()
    assert told == []
    assert not store.exists()


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("K", 'does "Commit" already'),
        ("shift+n", 'does "Previous source" already'),
        ("V", r"belongs to napari \(toggle selected visibility\)"),
        ("p", "belongs to napari"),
        ("Control-Z", "belongs to napari"),
        ("Shift-1", "does not work"),
        ("nonsense", "not a key"),
    ],
)
def test_a_key_that_is_taken_or_malformed_is_refused(
    qapp: QApplication, keymap: Keymap, store: Path, key: str, sentence: str
):
    with pytest.raises(ValueError, match=sentence):
        keymap.assign("segment", key)
    assert keymap["segment"] == "G"
    assert not store.exists()


def test_an_unknown_action_is_refused(keymap: Keymap):
    for call in (
        lambda: keymap.assign("fly", "Shift-F4"),
        lambda: keymap.reset("fly"),
        lambda: keymap["fly"],
    ):
        with pytest.raises(ValueError, match="No action is called 'fly': there are add_prompts"):
            call()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_damaged_file_stands_for_the_defaults(store: Path, content: bytes):
    store.parent.mkdir()
    store.write_bytes(content)
    keymap = Keymap(ACTIONS, store)
    assert keymap.current == {action.name: action.default for action in ACTIONS}
    assert "cannot be read" in keymap.problem
    assert str(store) in keymap.problem
    keymap.assign("commit", "Shift-F4")
    assert keymap.problem == ""
    assert Keymap(ACTIONS, store)["commit"] == "Shift-F4"


@pytest.mark.parametrize("what", ["fifo", "folder", "large"])
def test_what_is_no_file_of_keys_is_told_at_once(store: Path, what: str):
    store.parent.mkdir()
    if what == "fifo":
        os.mkfifo(store)
    elif what == "folder":
        store.mkdir()
    else:
        store.write_text(" " * (2 << 20) + "{}")
    keymap = Keymap(ACTIONS, store)
    assert keymap.current == {action.name: action.default for action in ACTIONS}
    assert "cannot be read" in keymap.problem


def test_names_and_keys_from_a_file_are_shown_without_control_characters(store: Path):
    store.parent.mkdir()
    store.write_text(json.dumps({"fly\x1b[2J\nok": "Shift-F4", "segment": "\x1b\n"}))
    problem = Keymap(ACTIONS, store).problem
    assert "\x1b" not in problem
    assert "\n" not in problem


@given(content=st.binary(max_size=60))
def test_no_content_of_the_file_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.getbasetemp() / "any-keys.json"
    path.write_bytes(content)
    keymap = Keymap(ACTIONS, path)
    keys = [key for key in keymap.current.values() if key]
    assert len(keys) == len({*keys})


def test_wrong_entries_are_named_and_the_others_hold(store: Path):
    store.parent.mkdir()
    store.write_text(json.dumps({"commit": "Foo", "undo": 3, "fly": "Shift-F4", "redo": "Shift-Y"}))
    keymap = Keymap(ACTIONS, store)
    assert (keymap["commit"], keymap["undo"], keymap["redo"]) == ("K", "U", "Shift-Y")
    for name in ("commit", "undo", "fly"):
        assert f'wrong about "{name}"' in keymap.problem


def test_a_chosen_key_wins_over_a_new_default(store: Path):
    store.parent.mkdir()
    store.write_text(json.dumps({"redo": "G"}))  # "G" has become the default of another action
    keymap = Keymap(ACTIONS, store)
    assert (keymap["redo"], keymap["segment"]) == ("G", None)
    assert '"G" does "redo", so "segment" has no key now' in keymap.problem


def test_keys_hold_though_they_cannot_be_written(tmp_path: Path):
    (tmp_path / "settings").write_text("a file where the folder should be")
    keymap = Keymap(ACTIONS, tmp_path / "settings" / "keys.json")
    keymap.assign("commit", "Shift-F4")
    assert keymap["commit"] == "Shift-F4"
    assert "was not written" in keymap.problem


# -- binding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, Image, Points, Labels, Shapes])
def test_every_key_acts_once_whichever_layer_is_selected(
    viewer: ViewerModel, hand: ModelHand, keymap: Keymap, kind: type[Layer] | None
):
    counts: Counter[str] = Counter()
    one_layer_of_each_type(viewer)
    binder = KeyBinder(viewer, keymap, callbacks_into(counts))
    viewer.layers.selection.active = next((x for x in viewer.layers if type(x) is kind), None)
    pump(0.2)
    for action in ACTIONS:
        hand.press(action.default.replace("-", "+"))
    assert counts == {action.name: 1 for action in ACTIONS}
    assert binder.conflicts == ()
    binder.unbind()


def test_keys_act_on_layers_that_come_later(viewer: ViewerModel, hand: ModelHand, keymap: Keymap):
    counts: Counter[str] = Counter()
    binder = KeyBinder(viewer, keymap, callbacks_into(counts))
    hand.press("G")  # no layer at all
    points = viewer.add_points(ndim=2)
    points.mode = "add"
    hand.press("G")
    viewer.layers.append(Labels(PICTURE))
    viewer.layers.selection.active = viewer.layers[-1]
    hand.press("G")
    assert counts == {"segment": 3}
    binder.unbind()


def test_a_changed_key_acts_at_once_and_the_old_one_no_more(
    viewer: ViewerModel, hand: ModelHand, keymap: Keymap
):
    counts: Counter[str] = Counter()
    viewer.add_image(PICTURE)
    binder = KeyBinder(viewer, keymap, callbacks_into(counts))
    keymap.assign("segment", "Control-Shift-J")
    hand.press("G")
    assert counts == {}
    hand.press("Ctrl+Shift+J")
    assert counts == {"segment": 1}
    keymap.assign("segment", None)
    hand.press("Ctrl+Shift+J")
    assert counts == {"segment": 1}
    binder.unbind()


def test_unbind_leaves_no_trace(viewer: ViewerModel, keymap: Keymap):
    one_layer_of_each_type(viewer)
    viewer.layers[0].bind_key("Control-J", lambda _: None)
    before = keymaps(viewer)
    events = [
        viewer.layers.events.inserted,
        viewer.layers.events.removed,
        action_manager.events.shortcut_changed,
    ]
    connected = [len(event.callbacks) for event in events]
    slots = len(keymap.changed)
    binder = KeyBinder(viewer, keymap, callbacks_into(Counter()))
    assert keymaps(viewer) != before
    binder.unbind()
    binder.unbind()
    assert keymaps(viewer) == before
    assert [len(event.callbacks) for event in events] == connected
    assert len(keymap.changed) == slots
    viewer.add_points(ndim=2)
    keymap.assign("segment", "Shift-F4")
    assert viewer.layers[-1].keymap == {}


def test_a_removed_layer_loses_the_keys(viewer: ViewerModel, keymap: Keymap):
    image = viewer.add_image(PICTURE)
    binder = KeyBinder(viewer, keymap, callbacks_into(Counter()))
    assert len(image.keymap) == len(ACTIONS)
    viewer.layers.clear()
    assert image.keymap == {}
    binder.unbind()


def test_binder_and_callbacks_are_freed(viewer: ViewerModel, keymap: Keymap):
    class Owner:
        def act(self) -> None:
            raise AssertionError("nobody pressed a key")

    viewer.add_image(PICTURE)
    owner = Owner()
    binder = KeyBinder(viewer, keymap, {"segment": owner.act})
    traces = [weakref.ref(owner), weakref.ref(binder)]
    binder.unbind()
    del owner, binder
    gc.collect()
    assert [trace() for trace in traces] == [None, None]


def test_a_second_binder_may_follow_the_first(viewer: ViewerModel, hand: ModelHand, keymap: Keymap):
    viewer.add_image(PICTURE)
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    KeyBinder(viewer, keymap, callbacks_into(first)).unbind()
    binder = KeyBinder(viewer, keymap, callbacks_into(second))
    hand.press("G")
    assert (first, second, binder.conflicts) == ({}, {"segment": 1}, ())
    binder.unbind()


def test_a_callback_for_no_action_is_refused(viewer: ViewerModel, keymap: Keymap):
    with pytest.raises(ValueError, match="No action is called 'fly'"):
        KeyBinder(viewer, keymap, {"fly": lambda: None})
    assert viewer.keymap == {}


# -- keys of others ------------------------------------------------------------------------------


def test_a_key_that_the_user_bound_to_a_layer_stays_the_users(
    viewer: ViewerModel, hand: ModelHand, keymap: Keymap
):
    counts: Counter[str] = Counter()
    image = viewer.add_image(PICTURE, name="photo")
    points = viewer.add_points(ndim=2)
    image.bind_key("G", lambda _: counts.update(["user"]))
    binder = KeyBinder(viewer, keymap, callbacks_into(counts))
    assert [str(c) for c in binder.conflicts] == [
        '"G" does not do "Run prompts": the layer "photo" has this key.'
    ]
    viewer.layers.selection.active = image
    hand.press("G")
    viewer.layers.selection.active = points
    hand.press("G")
    assert counts == {"user": 1, "segment": 1}
    told: list[int] = []
    binder.conflicts_changed.connect(lambda: told.append(len(binder.conflicts)))
    viewer.layers.remove(image)
    assert told == [0]
    binder.unbind()
    assert len(image.keymap) == 1


def test_a_key_that_the_user_bound_to_the_viewer_stays_the_users(
    viewer: ViewerModel, hand: ModelHand, keymap: Keymap
):
    counts: Counter[str] = Counter()
    viewer.add_image(PICTURE)
    viewer.bind_key("G", lambda _: counts.update(["user"]))
    binder = KeyBinder(viewer, keymap, callbacks_into(counts))
    hand.press("G")
    assert counts == {"user": 1}
    assert [(c.action.name, c.owner) for c in binder.conflicts] == [("segment", "the viewer")]
    binder.unbind()
    hand.press("G")
    assert counts == {"user": 2}


def test_a_key_that_somebody_took_over_later_is_not_taken_away(viewer: ViewerModel, keymap: Keymap):
    def theirs(_: object) -> None:
        return None

    image = viewer.add_image(PICTURE)
    binder = KeyBinder(viewer, keymap, callbacks_into(Counter()))
    image.bind_key("G", theirs, overwrite=True)
    binder.unbind()
    assert image.keymap == {coerce_keybinding("G"): theirs}


def test_a_layer_class_with_a_key_of_its_own_keeps_it(viewer: ViewerModel, keymap: Keymap):
    binder = KeyBinder(viewer, keymap, callbacks_into(Counter()))

    class Marks(Points):
        pass

    Marks.bind_key("G", lambda _: None)
    viewer.add_layer(Marks(ndim=2, name="marks"))
    assert [c.owner for c in binder.conflicts] == ['the layer "marks"']
    assert KeyBinding.from_str("G") not in viewer.layers["marks"].keymap
    binder.unbind()
    del Marks.class_keymap  # the class lives until the garbage is collected


# -- the editor ----------------------------------------------------------------------------------


@pytest.fixture
def editor(qapp: QApplication, keymap: Keymap) -> Iterator[KeyEditor]:
    editor = KeyEditor(keymap)
    editor.setFixedWidth(360)
    editor.show()
    pump(0.05)
    yield editor
    editor.close()
    editor.deleteLater()
    QApplication.sendPostedEvents(editor, QEvent.Type.DeferredDelete)


def shown(editor: KeyEditor) -> dict[str, str]:
    return {a.name: editor.edit_of(a.name).keySequence().toString() for a in ACTIONS}


def test_the_editor_shows_every_key(editor: KeyEditor):
    ours = {a.name: a.default.replace("-", "+").replace("Page", "Pg") for a in ACTIONS}
    assert shown(editor) == ours
    titles = [editor.table.item(row, 0).text() for row in range(editor.table.rowCount())]
    assert titles == [action.title for action in ACTIONS]
    assert editor.message.isHidden()
    assert editor.table.horizontalHeader().length() <= 360
    assert not any(editor.reset_button_of(action.name).isEnabled() for action in ACTIONS)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("N", 'does "Next source" already'),
        ("V", "belongs to napari"),
        ("!", "Shift makes another character"),
        ("F24", "not a key that napari can hear"),
    ],
)
def test_a_refused_key_is_explained_and_the_old_one_stays(
    editor: KeyEditor, keymap: Keymap, keys: str, sentence: str
):
    type_key(editor, "segment", keys)
    assert sentence in editor.message.text()
    assert editor.message.isVisible()
    assert keymap["segment"] == "G"
    assert shown(editor)["segment"] == "G"
    type_key(editor, "segment", "Shift+F4")  # the next attempt works, and the sentence goes
    assert keymap["segment"] == "Shift-F4"
    assert editor.message.isHidden()


def test_a_modifier_alone_changes_nothing(editor: KeyEditor, keymap: Keymap):
    field = editor.edit_of("segment")
    field.setFocus()
    QTest.keyPress(field, Qt.Key.Key_Control)
    assert keymap["segment"] == "G"
    QTest.keyRelease(field, Qt.Key.Key_Control)
    assert shown(editor)["segment"] == "G"
    QTest.keyPress(field, Qt.Key.Key_Alt)
    assert shown(editor)["segment"] == ""
    # Alt+Tab: the release goes elsewhere. (Without a window manager no window gets the focus.)
    line = field.findChild(QLineEdit)
    QApplication.sendEvent(line, QFocusEvent(QEvent.Type.FocusOut))
    assert shown(editor)["segment"] == "G"
    assert keymap["segment"] == "G"
    assert editor.message.isHidden()


def test_a_key_can_be_taken_away_and_reset_with_the_mouse(editor: KeyEditor, keymap: Keymap):
    (cross,) = editor.edit_of("undo").findChildren(QToolButton)
    QTest.mouseClick(cross, Qt.MouseButton.LeftButton)
    pump()
    assert keymap["undo"] is None
    reset = editor.reset_button_of("undo")
    assert reset.isEnabled()
    QTest.mouseClick(reset, Qt.MouseButton.LeftButton)
    assert keymap["undo"] == "U"
    assert shown(editor)["undo"] == "U"
    assert not reset.isEnabled()


def test_all_defaults_brings_all_back(editor: KeyEditor, keymap: Keymap):
    keymap.assign("undo", "Shift-F4")
    keymap.assign("redo", "U")
    assert shown(editor)["redo"] == "U"
    QTest.mouseClick(editor.reset_button_of("undo"), Qt.MouseButton.LeftButton)
    assert '"U" does "Redo" already' in editor.message.text()
    QTest.mouseClick(editor.defaults_button, Qt.MouseButton.LeftButton)
    assert keymap.current == {action.name: action.default for action in ACTIONS}
    assert editor.message.isHidden()


def test_the_editor_tells_conflicts_and_problems(tmp_path: Path, editor: KeyEditor, keymap: Keymap):
    editor.set_conflicts([KeyConflict(ACTIONS[0], "Shift-M", 'the layer "photo"')])
    assert editor.message.text() == (
        '"Shift+M" does not do "Place prompts": the layer "photo" has this key.'
    )
    (tmp_path / "settings").write_text("a file where the folder should be")
    keymap.assign("segment", "Shift-F4")
    assert "was not written" in editor.message.text()
