"""Names of result files: whatever a picture is called, its results can be written and named."""

from __future__ import annotations

import hashlib
import os
import unicodedata

from napari_safire.text import printable

LONGEST_NAME = 255
"""Bytes that a file name may have on nearly every file system."""
LONGEST_ENDING = len("_probabilities.tif")
"""Bytes of the longest ending that a result's name may get."""
_HASH_DIGITS = 8


def result_base(name: str) -> str:
    r"""Begin of the names of a picture's results.

    The name itself, wherever that can be. Bytes that are no UTF-8 and characters that cannot be
    shown become ``_``, and a name that would be too long with `LONGEST_ENDING` is cut; then a hash
    of the whole name stands at the end, so that no two names become one. It depends on the name
    alone: what is found again must not change when other pictures come.

    Parameters
    ----------
    name : str
        The picture's file name, with or without its suffix.

    Returns
    -------
    str
        Never changed by a second call.

    Examples
    --------
    >>> result_base("IMG_1.jpg")
    'IMG_1.jpg'
    >>> result_base("caf\udce9.jpg")
    'caf_.jpg-9872863e'
    >>> len(result_base("n" * 250)) + LONGEST_ENDING
    255
    """
    if name.isascii() and name.isprintable() and len(name) <= LONGEST_NAME - LONGEST_ENDING:
        return name  # nearly all of them, and quicker
    whole = _as_utf8(name)
    shown = "".join(c if printable(c) == c else "_" for c in whole)
    if shown == whole and len(shown.encode()) <= LONGEST_NAME - LONGEST_ENDING:
        return name
    return marked(os.fsdecode(shown.encode()), name)


def marked(base: str, whole: str) -> str:
    """Add a hash of something to the begin of names, cut so that the endings still fit.

    Parameters
    ----------
    base : str
    whole : str
        What the hash tells apart.

    Returns
    -------
    str
    """
    digits = hashlib.sha256(_as_utf8(whole).encode("utf-8", "surrogateescape")).hexdigest()
    ending = f"-{digits[:_HASH_DIGITS]}"
    most = LONGEST_NAME - LONGEST_ENDING - len(ending)
    cut = _as_utf8(base).encode("utf-8", "surrogateescape")[:most]
    # A character of several bytes is not cut in two.
    return os.fsdecode(cut.decode("utf-8", "ignore").encode()) + ending


def folded(name: str) -> str:
    """Return what two names have in common that a file system may take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _as_utf8(name: str) -> str:
    """The bytes of a file name read as UTF-8, whatever encoding Python reads names in.

    So that results are found again by a program that was started in another language.
    """
    try:
        return os.fsencode(name).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # cannot be the name of a file here
        return name.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
