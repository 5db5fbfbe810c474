"""Text from anywhere (file names, metadata, servers) as it may be shown."""

from __future__ import annotations

import unicodedata

# Control and format characters (which turn the direction of writing or hide), lone surrogates
# (names that are no UTF-8), separators of lines and paragraphs; not what marks unassigned or
# private characters, which a newer font may know.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: object) -> str:
    r"""Escape every character that a terminal, a title or a line of text would obey, not show.

    Parameters
    ----------
    text : object
        Its `str` is taken.

    Returns
    -------
    str
        One line without control characters. A byte of a file name that is no UTF-8 is shown as
        ``\xe9``.

    Examples
    --------
    >>> print(printable("a\x1b[2Jb\nc"), printable("caf\udce9.png"))
    a\x1b[2Jb\nc caf\xe9.png
    """
    line = str(text)
    if line.isascii() and line.isprintable():
        return line  # nearly all of them, and quicker
    return "".join(_shown(character) for character in line)


def brief(text: object, most: int = 300) -> str:
    """Return a printable text of which the middle is left out if it is long: for sentences.

    Parameters
    ----------
    text : object
        As of `printable`.
    most : int
        Characters, at least 20.

    Returns
    -------
    str

    Examples
    --------
    >>> brief("a" * 50 + ".png", 20)
    'aaaaaaaaaaaaaaa….png'
    """
    whole = str(text)
    if len(whole) > 2 * most:  # before it is escaped, character by character
        whole = whole[:most] + whole[-most:]
    line = printable(whole)
    kept = most * 3 // 4
    return line if len(line) <= most else f"{line[:kept]}…{line[kept + 1 - most :]}"


def isolated(text: object) -> str:
    """Return a printable text that does not turn the direction of what is written around it.

    Parameters
    ----------
    text : object
        As of `printable`.

    Returns
    -------
    str
        One line; between marks that nobody sees where some of it is written from right to left.

    Examples
    --------
    >>> isolated("photo.png"), isolated("\u05d0.png") == "\u2068\u05d0.png\u2069"
    ('photo.png', True)
    """
    line = printable(text)
    turns = any(unicodedata.bidirectional(character) in ("R", "AL") for character in line)
    return f"\u2068{line}\u2069" if turns else line


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _UNPRINTABLE:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that Python could not decode (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) == "Cs":
        return f"\\u{code:04x}"
    return character.encode("unicode_escape").decode("ascii")
