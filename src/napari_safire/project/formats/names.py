"""Names of exported files: safe on every system, in every list, and told apart.

Names come from anybody. What a file system or a reader of lists would take for something else
becomes ``_``: separators and ``..``, line breaks and whatever cannot be shown, commas and quotes
(lists are cut at commas without regard to quotes), what Windows forbids. Two names that are the
same without their suffix, on a file system that does not tell case, get a hash of their key.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from napari_safire.corpus.naming import folded, marked, result_base
from napari_safire.datasets.groups import seeded_hash
from napari_safire.decoding.names import is_picture_name
from napari_safire.text import printable

Annotators = Literal["numbers", "initials", "names"]
_FORBIDDEN = re.compile(r'[<>:"|?*\\/,;]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_LOW = re.compile(r"[ -\-]")  # sorts before a dot
_LONGEST_PATH = 150  # characters of all folders together: Windows counts 260 for a whole path
_BEGINS = ".-#=+@~"  # hidden, an option, a comment, a formula, a home folder


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a picture would like to be called.

    Parameters
    ----------
    key : str
        What tells it from all others.
    name : str
        With ``/`` between folders, and a suffix.
    """

    key: str
    name: str


def export_names(wanted: Sequence[Wanted], *, flat: bool = False) -> list[PurePosixPath]:
    """Give each picture a relative name, unlike all others even without its suffix.

    Parameters
    ----------
    wanted : sequence of Wanted
        Keys must differ.
    flat : bool
        No folders and no dots but that of the suffix. Then files of other suffixes (masks) sort
        exactly as the pictures do, whatever the names: two stems without a dot differ before their
        suffixes begin, or the end of one meets a letter of the other that is no dot.

    Returns
    -------
    list of PurePosixPath
        As many as were given. They depend on the names and keys alone.

    Raises
    ------
    ValueError
        A key comes twice.
    """
    keys = Counter(one.key for one in wanted)
    if len(keys) < len(wanted):
        raise ValueError(f"The picture {keys.most_common(1)[0][0]!r} is to be exported twice.")
    safe = [_safe(one.name, flat) for one in wanted]
    # Beside a name without a suffix, what sorts before the dot of a mask's must not stand in any.
    tidy = _without_low if flat and not all(name.suffix for name in safe) else PurePosixPath
    safe = [tidy(name) for name in safe]
    taken = Counter(_compared(name) for name in safe)
    names = []
    for one, name in zip(wanted, safe, strict=True):
        if taken[_compared(name)] > 1:
            stem = marked(name.stem, one.key)
            name = tidy(name.with_name(stem + name.suffix))
        names.append(name)
    if len({_compared(name) for name in names}) < len(names):
        # A name that looks like another one's with its hash; a number tells them apart.
        names = [
            tidy(name.with_name(f"{name.stem}-{number}{name.suffix}"))
            for number, name in enumerate(names, start=1)
        ]
    return names


def published_names(people: Iterable[str], how: Annotators) -> dict[str, str]:
    """Call people as a data set may that others read.

    Parameters
    ----------
    people : iterable of str
    how : {"numbers", "initials", "names"}

    Returns
    -------
    dict of str to str
        Numbers go by a hash of the names, not by their alphabet; initials that two share get
        numbers.

    Examples
    --------
    >>> published_names(["Ada Lovelace", "alan turing", "Ann Lee"], "initials")
    {'Ada Lovelace': 'AL1', 'Ann Lee': 'AL2', 'alan turing': 'AT'}
    """
    names = sorted(set(people))
    if how == "names":
        return {name: name for name in names}
    if how == "numbers":
        drawn = sorted(names, key=lambda name: seeded_hash(0, name))
        return {name: str(number) for number, name in enumerate(drawn, start=1)}
    initials = {name: "".join(word[0].upper() for word in name.split()) or "?" for name in names}
    shared = Counter(initials.values())
    seen: Counter[str] = Counter()
    for name, short in initials.items():
        seen[short] += 1
        initials[name] = f"{short}{seen[short]}" if shared[short] > 1 else short
    return initials


def _without_low(name: PurePosixPath) -> PurePosixPath:
    return name.with_name(_LOW.sub("_", name.stem) + name.suffix)


def _compared(name: PurePosixPath) -> str:
    return folded(name.with_suffix("").as_posix())


def _safe(name: str, flat: bool) -> PurePosixPath:
    parts = [_safe_part(part) for part in _parts(name)] or ["picture"]
    *folders, last = parts
    stem, suffix = os.path.splitext(last)
    if not is_picture_name(last):
        stem, suffix = last, ""
    if flat:
        stem = "_".join([*folders, stem]).replace(".", "_")
        folders = []
    folders = folders if sum(map(len, folders)) <= _LONGEST_PATH else [marked("_", name)]
    base = result_base(stem)
    return PurePosixPath(*folders, f"{_not_reserved(base)}{suffix}")


def _parts(name: str) -> Iterable[str]:
    """Folders and name, also of a path of Windows; nothing that leads up or stays."""
    return (part for part in re.split(r"[\\/]", name) if part.strip() not in ("", ".", ".."))


def _safe_part(part: str) -> str:
    clean = "".join("_" if printable(c) != c else c for c in _FORBIDDEN.sub("_", part))
    clean = clean.strip().rstrip(".") or "_"
    if clean[0] in _BEGINS:
        clean = f"_{clean[1:]}"
    return _not_reserved(result_base(clean))


def _not_reserved(name: str) -> str:
    return f"_{name}" if _RESERVED.fullmatch(name) else name
