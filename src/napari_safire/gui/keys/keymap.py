"""What each key does, and the user's own choice of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_config_path
from psygnal import Signal

from napari_safire.atomic import atomic_path
from napari_safire.errors import SafireError
from napari_safire.gui.keys.spelling import key_name, key_text, words
from napari_safire.gui.keys.taken import napari_keys
from napari_safire.text import printable

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
    KeyAction("segment", "Run prompts", "G", "Answer all prompts now."),
    KeyAction(
        "exclude",
        "Exclude",
        "W",
        "New prompts take their region away instead of adding it, or add it again.",
    ),
    KeyAction(
        "next_click",
        "Next best click",
        "Shift-C",
        "Mark where a click settles most uncertain pixels; again: place the prompt there.",
    ),
    KeyAction(
        "snap", "Snap to edges", "Shift-E", "Move the last stroke's edge to the picture's edges."
    ),
    KeyAction(
        "paint", "Paint", "Shift-D", "Take the brush of the current source; napari's keys size it."
    ),
    KeyAction("commit", "Commit", "K", "Settle what is previewed."),
    KeyAction("discard", "Discard", "Shift-X", "Drop the preview and its prompts."),
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
    KeyAction("toggle_preview", "Preview", "H", "Show or hide what is not committed yet."),
    KeyAction("partition", "Partition", "Shift-G", "Divide the picture into its sources."),
    KeyAction(
        "show_picture", "Picture", "J", "Look at the picture alone; again: at what was shown."
    ),
    KeyAction(
        "show_sources", "Sources", "Shift-J", "Look at the sources; again: at what was shown."
    ),
    KeyAction(
        "show_forgery_map",
        "Forgery map",
        "Shift-H",
        "Look at the forgery map; without sources it partitions first.",
    ),
    KeyAction(
        "show_uncertainty",
        "Uncertainty",
        "Shift-W",
        "Look at how unsure each pixel's source is; without sources it partitions first.",
    ),
    KeyAction(
        "next_picture",
        "Next picture",
        "PageDown",
        "Save what was changed and go to the next picture of the queue.",
    ),
    KeyAction(
        "previous_picture",
        "Previous picture",
        "PageUp",
        "Save what was changed and go to the previous picture of the queue.",
    ),
    KeyAction(
        "finish_picture",
        "Done, next",
        "Shift-K",
        "Save this picture as done and go to the next one of the queue.",
    ),
    KeyAction(
        "finish_as_authentic",
        "Authentic, next",
        "Shift-O",
        "Save this picture as one source, done, and go to the next one of the queue.",
    ),
    KeyAction(
        "skip_picture",
        "Skip",
        "Shift-PageDown",
        "Leave this picture for later and go to the next one of the queue.",
    ),
    KeyAction(
        "find_picture", "Find picture", "Shift-F", "Type which picture of the queue to go to."
    ),
    KeyAction(
        "waive_picture",
        "Waive …",
        "Shift-I",
        "Save this picture as done, with the reason why pixels are without a source.",
    ),
    KeyAction(
        "reject_picture",
        "Reject …",
        "Shift-R",
        "Send this picture of the project back, with a note.",
    ),
    KeyAction(
        "accept_picture",
        "Accept, next",
        "Shift-Y",
        "Accept this picture of the project and go to the next one.",
    ),
    KeyAction("add_note", "Add note", "Shift-T", "Write a note, pinned to where the pointer is."),
    KeyAction("take_first", "Take A", "8", "The region of disagreement is as A has it."),
    KeyAction("take_second", "Take B", "9", "The region of disagreement is as B has it."),
    KeyAction("take_neither", "Neither", "0", "Nobody has the region of disagreement right."),
    KeyAction("next_region", "Next region", ".", "Look at the next region of disagreement."),
    KeyAction(
        "previous_region", "Previous region", ",", "Look at the region of disagreement before."
    ),
    KeyAction(
        "blink",
        "Blink",
        "/",
        "Look at A, then at B, at each press: views, or annotators while that is adjudicated.",
    ),
    KeyAction(
        "side_by_side", "Side by side", "Shift-Z", "Give each compared view a cell; again: end it."
    ),
    KeyAction(
        "swipe", "Swipe", "Shift-S", "Show A on one side of a line, B on the other; again: end it."
    ),
    KeyAction("fade", "Opacity", "Shift-Q", "Lay B over A, as opaque as chosen; again: end it."),
    KeyAction("less_of_b", "Less of B", "Shift-Left", "Move the line, or let B be less opaque."),
    KeyAction("more_of_b", "More of B", "Shift-Right", "Move the line, or let B be more opaque."),
    KeyAction(
        "note_finding",
        "Note finding",
        "Shift-B",
        "Note what you see in the open view, with its parameters and the part on screen.",
    ),
    KeyAction("cancel", "Cancel", "Q", "Stop the job that is running."),
)


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
                f'"{key_text(key)}" does "{words(owner)}", so "{words(name)}" has no key now: '
                "give it one."
            )
            key = None
        keys[name] = key
    return {name: keys[name] for name in defaults}, problems
