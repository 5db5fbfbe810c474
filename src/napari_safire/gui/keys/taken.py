"""Keys that napari itself uses: those of the preferences, of classes and of windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app_model.backends.qt import qkeysequence2modelkeybinding
from napari.layers import Layer
from napari.settings import get_settings
from napari.utils.key_bindings import USER_KEYMAP, KeyBinding, coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut  # type: ignore[attr-defined] # it has one
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

from napari_safire.gui.keys.spelling import spell, words


def napari_keys() -> dict[str, str]:
    """List every key that napari itself uses, on any layer type.

    Returns
    -------
    dict of str to str
        What each key (as `key_name` spells it) does: shortcuts of the preferences, keys of the
        viewer and of all layer types (those of plugins included), and those of the menus of all
        open windows.
    """
    used: dict[str, str] = {}
    for action, bindings in get_settings().shortcuts.shortcuts.items():
        for binding in bindings:
            used.setdefault(spell(binding), words(action.partition(":")[2] or action))
    for owner in _keymap_classes():
        for binding, function in owner.class_keymap.items():
            if isinstance(binding, KeyBinding):  # the rest is "...", which blocks other keys
                name = words(getattr(function, "__name__", "blocked"))
                used.setdefault(spell(binding), f"{name}, {owner.__name__}")
    for binding in USER_KEYMAP:
        used.setdefault(spell(coerce_keybinding(binding)), "user key map")
    for sequence, name in _window_shortcuts():
        binding = qkeysequence2modelkeybinding(sequence)
        used.setdefault(spell(KeyBinding(parts=binding.parts[:1])), name)
    return used


def _keymap_classes() -> Iterator[type[Any]]:
    """Every class whose keys napari asks: the viewer's and those of all layer types."""
    from napari import Viewer  # loads the Qt window, which is there long before the first call

    waiting: list[type[Any]] = [Viewer, Layer]
    seen: set[type[Any]] = set()
    while waiting:
        owner = waiting.pop()
        waiting += owner.__subclasses__()
        for ancestor in owner.__mro__:
            if ancestor not in seen and "class_keymap" in vars(ancestor):
                seen.add(ancestor)
                yield ancestor


def _window_shortcuts() -> Iterator[tuple[QKeySequence, str]]:
    """Shortcuts that Qt takes before the canvas hears of the key, with what they do."""
    if QApplication.instance() is None:
        return
    here = (Qt.ShortcutContext.WindowShortcut, Qt.ShortcutContext.ApplicationShortcut)
    for window in QApplication.topLevelWidgets():
        if not isinstance(window, QMainWindow):
            continue
        for shortcut in window.findChildren(QShortcut):
            if shortcut.context() in here and not shortcut.key().isEmpty():
                yield shortcut.key(), shortcut.whatsThis() or "window"
        # app-model's menu actions are no children of the window: ask every widget for its own.
        for widget in [window, *window.findChildren(QWidget)]:
            for action in widget.actions():
                if action.shortcutContext() in here:
                    for sequence in action.shortcuts():
                        if not sequence.isEmpty():
                            yield sequence, action.text().replace("&", "").strip("\u200e ")
