"""Which fonts a report needs, and which characters none of them shows.

typst brings fonts for Latin, Greek, Cyrillic and Hebrew; with these alone a PDF has the same bytes
on any machine. Only where a text needs more, fonts of the machine are taken. Whether a font shows
a character is asked of typst itself: made accessible (PDF/UA), it refuses characters without a
glyph, and names all of them at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

EMBEDDED = ("Libertinus Serif", "DejaVu Sans Mono", "New Computer Modern")
"""In the order in which a character is looked for."""
_MOST_FAMILIES = 8
_REFUSED = re.compile(r'(?:the text|the codepoint) `"((?:[^"\\]|\\.)+)"`')
_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")
_PLACEHOLDER = ("lastresort", "last resort", "adobe blank")  # fonts that draw a box for anything
_TRIAL = """\
#set document(title: "-")
#set text(fallback: false, font: json(bytes(sys.inputs.fonts)))
#for it in json(bytes(sys.inputs.characters)) [#it #strong(it) \\ ]
"""


@dataclass(frozen=True, slots=True)
class Fonts:
    """What a text is set in.

    Parameters
    ----------
    families : tuple of str
        In the order in which a character is looked for.
    of_machine : tuple of str
        Those of them that typst does not bring.
    missing : frozenset of str
        Characters that none of them shows.
    """

    families: tuple[str, ...]
    of_machine: tuple[str, ...]
    missing: frozenset[str]


def choose_fonts(texts: Iterable[str]) -> Fonts:
    """Choose fonts for texts.

    Parameters
    ----------
    texts : iterable of str
        Printable.

    Returns
    -------
    Fonts
        Those of typst, and no more of this machine's than the texts need.
    """
    needed = {character for text in texts for character in text if not character.isascii()}
    missing = not_shown(needed, EMBEDDED)
    if not missing:
        return Fonts(EMBEDDED, (), frozenset())
    installed = _installed()
    missing_anywhere = not_shown(missing, installed, machine=True) if installed else missing
    chosen: list[str] = []
    while missing - missing_anywhere and len(chosen) < _MOST_FAMILIES:
        wanted = min(missing - missing_anywhere)
        family = _first_with(wanted, installed)
        if family is None or family in chosen:
            break
        chosen.append(family)
        missing = not_shown(missing, chosen, machine=True)
    return Fonts((*EMBEDDED, *chosen), tuple(chosen), frozenset(missing))


def not_shown(
    characters: Iterable[str], families: Sequence[str], *, machine: bool = False
) -> set[str]:
    """Return the characters for which fonts have no glyph.

    Parameters
    ----------
    characters : iterable of str
    families : sequence of str
    machine : bool
        Whether fonts of this machine may be looked at.

    Returns
    -------
    set of str
    """
    import typst

    asked = sorted(set(characters))
    if not asked:
        return set()
    inputs = {"fonts": json.dumps(list(families)), "characters": json.dumps(asked)}
    try:
        typst.compile(
            _TRIAL.encode(),
            sys_inputs=inputs,
            ignore_system_fonts=not machine,
            pdf_standards=["ua-1", "a-2a"],
            timestamp=0,
        )
    except typst.TypstError as error:
        # What it does not name, it shows; if it names nothing, it failed of something else.
        return refused_by(error) & set(asked) or set(asked)
    return set()


def refused_by(error: Exception) -> set[str]:
    """Return the characters that typst says it cannot display; empty if it failed otherwise."""
    told = f"{getattr(error, 'diagnostic', '')}\n{error}"
    found: set[str] = set()
    for text in _REFUSED.findall(told):
        found |= set(_ESCAPE.sub(lambda code: chr(int(code[1], 16)), text))
    return {character for character in found if not character.isascii()}


def _first_with(character: str, families: Sequence[str]) -> str | None:
    """Find the first family that shows a character, without asking each of hundreds."""
    low, high = 0, len(families)
    while low < high:
        middle = (low + high) // 2
        if not_shown(character, families[: middle + 1], machine=True):
            low = middle + 1
        else:
            high = middle
    return families[low] if low < len(families) else None


@cache
def _installed() -> tuple[str, ...]:
    """Families of this machine; those made for many scripts first, the others by name."""
    import typst

    names = typst.Fonts(include_embedded_fonts=False).families()
    real = (name for name in names if not name.lower().startswith(_PLACEHOLDER))
    return tuple(sorted(real, key=lambda name: (not name.startswith("Noto Sans"), name)))
