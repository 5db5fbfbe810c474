"""Keys: what each does, the user's own choice of them, and their binding to a viewer.

napari asks the active layer's keys first, then those of its class, then the viewer's. Our keys
therefore lie on every layer and on the viewer, and never where napari or the user has a key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app_model.backends.qt import qkeysequence2modelkeybinding
from napari.layers import Layer
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import USER_KEYMAP, KeyBinding, coerce_keybinding
from platformdirs import user_config_path
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut  # type: ignore[attr-defined] # it has one
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

from napari_safire.atomic import atomic_path
from napari_safire.errors import SafireError
from napari_safire.text import printable

if TYPE_CHECKING:
    import napari
    from napari.utils.events import Event

_LARGEST = 1 << 20  # bytes in a file of keys


@dataclass(frozen=True, slots=True)
class KeyAction:
    """Something that a key can do.

    Parameters
    ----------
    name : str
        Its name in the file of keys and among the callbacks.
    title : str
        Its name for the user.
    default : str
        Its key in napari's spelling: "G", "Shift-G", "Control-Alt-Up".
    help : str
        One sentence.
    """

    name: str
    title: str
    default: str
    help: str


# Letters that no layer type of napari uses, alone or with Shift: the same on every platform and
# keyboard layout with Latin letters, clear of menus (Control, Alt) and of AltGr.
ACTIONS = (
    KeyAction(
        "add_prompts",
        "Place prompts",
        "Shift-M",
        "Arm the prompt tool: every click on the picture then marks a prompt.",
    ),
    KeyAction(
        "segment",
        "Run the prompts",
        "G",
        "Get the source regions of all prompts now.",
    ),
    KeyAction(
        "exclude",
        "Include / exclude",
        "W",
        "New prompts take their region away instead of adding it, or add it again.",
    ),
    KeyAction(
        "commit",
        "Keep the preview",
        "K",
        "Write the previewed region into the sources.",
    ),
    KeyAction(
        "discard",
        "Discard the preview",
        "Shift-X",
        "Drop the previewed region and its prompts.",
    ),
    KeyAction(
        "next_source",
        "Next source",
        "N",
        "New prompts belong to the next source.",
    ),
    KeyAction(
        "previous_source",
        "Previous source",
        "Shift-N",
        "New prompts belong to the previous source.",
    ),
    KeyAction("undo", "Undo", "U", "Take back the last prompt, prediction or edit."),
    KeyAction("redo", "Redo", "Shift-U", "Do again what was taken back."),
    KeyAction("toggle_preview", "Show / hide the preview", "H", "Show or hide the preview."),
    KeyAction(
        "partition",
        "Partition",
        "Shift-G",
        "Find all sources of the picture with a grid of prompts.",
    ),
    KeyAction("cancel", "Cancel", "Q", "Stop the job that is running."),
)

# Beside single characters these reach napari's canvas. Not Tab: Qt moves the focus with it.
_NAMED_KEYS = frozenset(
    [
        *("Up", "Down", "Left", "Right", "PageUp", "PageDown", "Home", "End"),
        *("Insert", "Delete", "Backspace", "Enter", "Space", "Escape"),
        *(f"F{n}" for n in range(1, 13)),
    ]
)


def key_name(key: str | KeyBinding) -> str:
    """Spell a key as napari does, each key in one way only.

    Parameters
    ----------
    key : str or KeyBinding
        Such as "g", "shift-g", "Ctrl+Shift+P" or "Control-Alt-Up".

    Returns
    -------
    str
        Such as "G", "Shift-G", "Control-Shift-P".

    Raises
    ------
    ValueError
        It is no key, or none that napari's canvas can hear.

    Examples
    --------
    >>> key_name("shift+ctrl+p")
    'Control-Shift-P'
    """
    binding = coerce_keybinding(key)
    if len(binding.parts) != 1:
        raise ValueError(
            f"{str(key)!r} is not one key: give one, with modifiers if you like, "
            'such as "G" or "Control-Shift-G".'
        )
    part = binding.part0
    letter = str(part.key)
    if letter not in _NAMED_KEYS and not (len(letter) == 1 and letter.isprintable()):
        raise ValueError(
            f"{str(key)!r} is not a key that napari can hear: choose a letter, a digit, an arrow "
            'or a function key, with modifiers if you like, such as "G" or "Control-Shift-G".'
        )
    if part.shift and len(letter) == 1 and not letter.isalpha():
        raise ValueError(
            f"{_spell(binding)!r} does not work: Shift makes another character of {letter!r}. "
            "Use Shift with letters, arrows and function keys only."
        )
    return _spell(binding)


def key_text(key: str) -> str:
    """Write a key as this platform does, for the eye: "Shift+G"."""
    return str(coerce_keybinding(key).to_text())


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
            used.setdefault(_spell(binding), _words(action.partition(":")[2] or action))
    for owner in _keymap_classes():
        for binding, function in owner.class_keymap.items():
            if isinstance(binding, KeyBinding):  # the rest is "...", which blocks other keys
                name = _words(getattr(function, "__name__", "blocked"))
                used.setdefault(_spell(binding), f"{name}, {owner.__name__}")
    for binding in USER_KEYMAP:
        used.setdefault(_spell(coerce_keybinding(binding)), "user key map")
    for sequence, name in _window_shortcuts():
        binding = qkeysequence2modelkeybinding(sequence)
        used.setdefault(_spell(KeyBinding(parts=binding.parts[:1])), name)
    return used


class Keymap:
    """Which key does what; the user's choice, kept in a file.

    Only what differs from the defaults is written, so that better defaults reach everyone else.

    Parameters
    ----------
    actions : sequence of KeyAction
    store : Path, optional
        The file of keys, JSON; default: "keys.json" in the user's configuration folder. It need not
        exist. One that cannot be read stands for the defaults; `problem` says so.
    """

    changed = Signal()
    """Emitted after a key has changed."""

    def __init__(self, actions: Sequence[KeyAction] = ACTIONS, store: Path | None = None) -> None:
        self.actions = tuple(actions)
        self.store = store or user_config_path("napari-safire") / "keys.json"
        self._defaults = {action.name: key_name(action.default) for action in self.actions}
        if len({*self._defaults.values()}) != len(self.actions):
            raise ValueError(f"Two actions share a name or a default key: {self._defaults}.")
        chosen, problems = self._read()
        self._keys, clashes = _combine(self._defaults, chosen)
        self._problem = " ".join([*problems, *clashes])

    @property
    def problem(self) -> str:
        """What went wrong with the file of keys, in plain sentences; empty if nothing did."""
        return self._problem

    @property
    def current(self) -> dict[str, str | None]:
        """The key of each action, or None, in the order of the actions."""
        return dict(self._keys)

    def __getitem__(self, name: str) -> str | None:
        """The key of an action, or None if it has none."""
        return self._keys[self._known(name)]

    def assign(self, name: str, key: str | None) -> None:
        """Give an action another key, and write that down.

        If the file cannot be written, the key holds all the same until the program ends, and
        `problem` says so.

        Parameters
        ----------
        name : str
        key : str or None
            In any spelling that `key_name` reads; None: no key.

        Raises
        ------
        ValueError
            No action has this name, or the key is malformed, or does something else already, here
            or in napari.
        """
        self._known(name)
        if key is not None:
            key = key_name(key)
            for action in self.actions:
                if action.name != name and self._keys[action.name] == key:
                    raise ValueError(
                        f'"{key_text(key)}" does "{action.title}" already: choose another key, '
                        "or change that one first."
                    )
            if (use := napari_keys().get(key)) is not None:
                raise ValueError(
                    f'"{key_text(key)}" belongs to napari ({use}): choose another key, or free it '
                    "in napari's preferences under Shortcuts first."
                )
        self._change({**self._keys, name: key})

    def reset(self, name: str | None = None) -> None:
        """Give one action, or all, the default key.

        Raises
        ------
        ValueError
            No action has this name, or its default key does something else now.
        """
        if name is None:
            self._change(dict(self._defaults))
        else:
            self.assign(name, self._defaults[self._known(name)])

    def is_default(self, name: str) -> bool:
        """Whether the action has its default key."""
        return self[name] == self._defaults[name]

    def _known(self, name: str) -> str:
        if name not in self._defaults:
            raise ValueError(
                f"No action is called {name!r}: there are {', '.join(self._defaults)}."
            )
        return name

    def _change(self, keys: dict[str, str | None]) -> None:
        if keys == self._keys:
            return
        self._keys = keys
        self._problem = self._write()
        self.changed.emit()

    def _write(self) -> str:
        chosen = {name: key for name, key in self._keys.items() if key != self._defaults[name]}
        try:
            self.store.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.store) as temporary:
                temporary.write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")
        except (OSError, SafireError) as error:
            return (
                f"The keys hold until napari is closed only: {self.store} was not written. {error}"
            )
        return ""

    def _read(self) -> tuple[dict[str, str | None], list[str]]:
        """Read what the file says, and what of it makes no sense."""
        try:
            size = self.store.stat().st_size
            if not self.store.is_file():  # reading a pipe would wait for ever
                raise ValueError("it is no file")
            if size > _LARGEST:
                raise ValueError(f"it has {size} bytes")
            stored = json.loads(self.store.read_text(encoding="utf-8"))
            if not isinstance(stored, dict):
                raise ValueError(f"it holds a {type(stored).__name__} and no table of keys")
        except FileNotFoundError:
            return {}, []
        except (OSError, ValueError, RecursionError) as error:
            return {}, [
                f"The default keys are used: {self.store} cannot be read ({error}). It is replaced "
                "when you next change a key."
            ]
        chosen: dict[str, str | None] = {}
        problems = []
        for name, key in stored.items():
            try:
                if not (key is None or isinstance(key, str)):
                    raise ValueError(f"{key!r} is not a key.")
                chosen[self._known(name)] = None if key is None else key_name(key)
            except ValueError as error:
                about = printable(name)[:40]
                problems.append(f'{self.store} is wrong about "{about}": {printable(error)}')
        return chosen, problems


@dataclass(frozen=True, slots=True)
class KeyConflict:
    """A key that was left alone, because it was somebody else's first.

    Parameters
    ----------
    action : KeyAction
        What the key would have done.
    key : str
    owner : str
        Who has it: "napari (…)", "the viewer" or 'the layer "…"'.
    """

    action: KeyAction
    key: str
    owner: str

    def __str__(self) -> str:
        return (
            f'"{key_text(self.key)}" does not do "{self.action.title}": {self.owner} has this key.'
        )


class KeyBinder:
    """Bind the keys of a key map to a viewer and all its layers, now and later.

    A key that napari uses, or that is bound to the viewer already, is bound nowhere; one that is
    bound to a layer already is left out on that layer. `conflicts` tells them.

    Parameters
    ----------
    viewer : napari.Viewer
    keymap : Keymap
    callbacks : mapping of str to callable
        What to call, by name of action. Actions that are not in it get no key.

    Raises
    ------
    ValueError
        A callback is for no action of the key map.
    """

    conflicts_changed = Signal()
    """Emitted after `conflicts` has changed."""

    def __init__(
        self, viewer: napari.Viewer, keymap: Keymap, callbacks: Mapping[str, Callable[[], None]]
    ) -> None:
        actions = {action.name: action for action in keymap.actions}
        if unknown := callbacks.keys() - actions.keys():
            raise ValueError(
                f"No action is called {', '.join(map(repr, sorted(unknown)))}: "
                f"there are {', '.join(actions)}."
            )
        self._viewer: napari.Viewer | None = viewer
        self._keymap = keymap
        self._functions = {
            actions[name]: _key_function(actions[name], callback)
            for name, callback in callbacks.items()
        }
        self._blocked: list[KeyConflict] = []  # bound nowhere
        self._local: list[tuple[Layer, KeyConflict]] = []  # left out on one layer
        self._active: list[tuple[KeyAction, KeyBinding]] = []
        self._of_class: dict[type[Any], set[KeyBinding]] = {}
        self._bound: list[tuple[Any, KeyBinding, Callable[[object], None]]] = []
        keymap.changed.connect(self._rebind)
        self._connections: tuple[tuple[Any, Callable[[Event], None]], ...] = (
            (viewer.layers.events.inserted, self._on_inserted),
            (viewer.layers.events.removed, self._on_removed),
            (action_manager.events.shortcut_changed, self._on_napari_shortcut),
        )
        for event, slot in self._connections:
            event.connect(slot)
        self._bind()

    @property
    def conflicts(self) -> tuple[KeyConflict, ...]:
        """Keys that were left alone, because they are somebody else's."""
        return (*self._blocked, *(conflict for _, conflict in self._local))

    def unbind(self) -> None:
        """Take every key off the viewer and its layers, and let go of both. May be called twice."""
        if self._viewer is None:
            return
        self._release()
        self._keymap.changed.disconnect(self._rebind)
        for event, slot in self._connections:
            event.disconnect(slot)
        self._viewer = None
        self._connections = ()
        self._functions = {}

    def _bind(self) -> None:
        if self._viewer is None:
            return
        taken = napari_keys()
        for action in self._functions:
            if (key := self._keymap[action.name]) is None:
                continue
            if key in taken:
                self._blocked.append(KeyConflict(action, key, f"napari ({taken[key]})"))
            elif (binding := coerce_keybinding(key)) in self._viewer.keymap:
                self._blocked.append(KeyConflict(action, key, "the viewer"))
            else:
                self._active.append((action, binding))
        self._bind_to(self._viewer)
        for layer in self._viewer.layers:
            self._bind_to(layer)

    def _bind_to(self, provider: napari.Viewer | Layer) -> None:
        of_class = self._class_keys(type(provider))
        for action, binding in self._active:
            if binding in of_class or binding in provider.keymap:
                owner = f'the layer "{provider.name}"'
                self._local.append((provider, KeyConflict(action, _spell(binding), owner)))
            else:
                function = self._functions[action]
                provider.bind_key(binding, function)
                self._bound.append((provider, binding, function))

    def _class_keys(self, kind: type[Any]) -> set[KeyBinding]:
        """Those of our keys that a class uses (one that came after `napari_keys` was asked)."""
        if kind not in self._of_class:
            self._of_class[kind] = {
                binding
                for _, binding in self._active
                if any(binding in getattr(owner, "class_keymap", {}) for owner in kind.__mro__)
            }
        return self._of_class[kind]

    def _release(self, only: Layer | None = None) -> None:
        """Take our keys off everything, or off one layer."""
        kept = []
        for provider, binding, function in self._bound:
            if only is not None and provider is not only:
                kept.append((provider, binding, function))
            elif provider.keymap.get(binding) is function:  # else it is no longer ours
                provider.bind_key(binding, None)
        self._bound = kept
        if only is None:
            self._active, self._blocked, self._local, self._of_class = [], [], [], {}
        else:
            self._local = [(layer, which) for layer, which in self._local if layer is not only]

    def _rebind(self) -> None:
        before = self.conflicts
        self._release()
        self._bind()
        self._tell(before)

    def _tell(self, before: tuple[KeyConflict, ...]) -> None:
        if self.conflicts != before:
            self.conflicts_changed.emit()

    def _on_inserted(self, event: Event) -> None:
        before = self.conflicts
        self._bind_to(event.value)
        self._tell(before)

    def _on_removed(self, event: Event) -> None:
        before = self.conflicts
        self._release(event.value)
        self._tell(before)

    def _on_napari_shortcut(self, event: Event) -> None:
        """Give way to a key that the user has just given to napari, or take it when it is free."""
        ours = {binding for _, binding in self._active}
        if self._blocked or (event.shortcut and coerce_keybinding(event.shortcut) in ours):
            self._rebind()


def _spell(binding: KeyBinding) -> str:
    return " ".join(
        "-".join(
            [
                *(["Control"] if part.ctrl else []),
                *(["Shift"] if part.shift else []),
                *(["Alt"] if part.alt else []),
                *(["Meta"] if part.meta else []),
                str(part.key),
            ]
        )
        for part in binding.parts
    )


def _words(name: str) -> str:
    return name.replace("_", " ").strip()


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


def _combine(
    defaults: Mapping[str, str], chosen: Mapping[str, str | None]
) -> tuple[dict[str, str | None], list[str]]:
    """Lay the user's choice over the defaults; of two actions with one key the chosen one wins."""
    keys: dict[str, str | None] = {}
    problems = []
    for name, key in [*chosen.items(), *((n, k) for n, k in defaults.items() if n not in chosen)]:
        owner = next((other for other, its in keys.items() if its == key), None)
        if key is not None and owner is not None:
            problems.append(
                f'"{key_text(key)}" does "{_words(owner)}", so "{_words(name)}" has no key now: '
                "give it one."
            )
            key = None
        keys[name] = key
    return {name: keys[name] for name in defaults}, problems


def _key_function(action: KeyAction, callback: Callable[[], None]) -> Callable[[object], None]:
    """Make the function that napari calls; it must be a real function, with a name."""

    def press(_: object) -> None:
        callback()

    press.__name__ = f"napari_safire_{action.name}"
    press.__doc__ = action.help
    return press
