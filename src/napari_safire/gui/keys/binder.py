"""Keys bound to a viewer and all its layers.

napari asks the active layer's keys first, then those of its class, then the viewer's. Our keys
therefore lie on every layer and on the viewer, and never where napari or the user has a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import KeyBinding, coerce_keybinding
from psygnal import Signal

from napari_safire.gui.keys.keymap import KeyAction, Keymap
from napari_safire.gui.keys.spelling import key_text, spell
from napari_safire.gui.keys.taken import napari_keys

if TYPE_CHECKING:
    import napari
    from napari.utils.events import Event


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
                self._local.append((provider, KeyConflict(action, spell(binding), owner)))
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


def _key_function(action: KeyAction, callback: Callable[[], None]) -> Callable[[object], None]:
    """Make the function that napari calls; it must be a real function, with a name."""

    def press(_: object) -> None:
        callback()

    press.__name__ = f"napari_safire_{action.name}"
    press.__doc__ = action.help
    return press
