"""Keys as text: each spelled in one way."""

from __future__ import annotations

from napari.utils.key_bindings import KeyBinding, coerce_keybinding

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
            f"{spell(binding)!r} does not work: Shift makes another character of {letter!r}. "
            "Use Shift with letters, arrows and function keys only."
        )
    return spell(binding)


def key_text(key: str) -> str:
    """Write a key as this platform does, for the eye: "Shift+G"."""
    return str(coerce_keybinding(key).to_text())


def spell(binding: KeyBinding) -> str:
    """Spell a binding as napari does, its modifiers in one order."""
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


def words(name: str) -> str:
    """The name of an action or a function, for the eye."""
    return name.replace("_", " ").strip()
