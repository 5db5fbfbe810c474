"""Which pictures share an origin, and divisions that never put an origin on both sides.

A model that saw one picture of a camera, a photograph or a forger's session knows the others before
it has seen them. A part held out to judge it must share no origin with what it learned from.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from napari_safire.errors import DatasetError
from napari_safire.images.lists import ListEntry

_MANIFEST = "manifest.jsonl"
_DEEPEST = 4  # folders from a picture up to its manifest, in the layout of SafireMS
_WORD = re.compile(r"[^\W_]+")
_PhotosOf = Callable[[Path], dict[Path, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class GroupedEntries:
    """Entries of a list with the group of each: entries that share an origin share the group.

    Parameters
    ----------
    entries : tuple of ListEntry
    groups : tuple of str
        As many as entries.
    """

    entries: tuple[ListEntry, ...]
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.entries) != len(self.groups):
            raise ValueError(
                f"{len(self.groups)} groups for {len(self.entries)} entries: give one for each."
            )

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def n_groups(self) -> int:
        """Number of different groups."""
        return len(set(self.groups))


def group_entries(entries: Sequence[ListEntry]) -> GroupedEntries:
    """Find which entries share an origin, directly or over others.

    Two entries are connected if they

    - have the same third field in their list (``image,mask,group``: a camera, a photographer, a
      session; what the list says is believed, and names are not looked at), or
    - were made by `napari_safire.synthesis.dataset_writer` from a common photograph, by the names
    in
      ``manifest.jsonl``, or
    - have neither, and names that begin alike up to the first word with a digit: ``IMG_12.png``,
      ``forged/IMG_12_b.png``. Folders do not count, because untouched and forged versions of a
      photograph often lie in two; a wrong connection costs a group, a missed one the truth. Or
    - name the same picture or mask file.

    Parameters
    ----------
    entries : sequence of ListEntry
        Of one list or of several.

    Returns
    -------
    GroupedEntries
        In the order given. A group has the name of its first mark in the alphabet, which says what
        connected it; never that of a file, so that folders may be moved.

    Raises
    ------
    DatasetError
        A manifest is damaged.
    """
    photos_of = cache(_photos_by_image)
    marks = [tuple(_marks(entry, photos_of)) for entry in entries]
    return GroupedEntries(tuple(entries), connected(marks))


def connected(marks: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Find which things hang together by their marks, directly or over others.

    Parameters
    ----------
    marks : iterable of sequence of str
        Of each thing what it has in common with its relatives, or with itself alone; at least one.

    Returns
    -------
    tuple of str
        Of each thing the first mark, in the alphabet, of all things that it hangs together with.

    Examples
    --------
    >>> connected([["a", "b"], ["c"], ["b", "d"]])
    ('a', 'c', 'a')
    """
    leader: dict[str, str] = {}

    def find(mark: str) -> str:
        while leader.setdefault(mark, mark) != mark:
            leader[mark] = mark = leader[leader[mark]]
        return mark

    firsts = []
    for first, *others in marks:
        firsts.append(first)
        for other in others:
            one, two = sorted((find(first), find(other)))
            leader[two] = one  # the smaller name leads, in whatever order the things come
    return tuple(find(first) for first in firsts)


def has_mask(entry: ListEntry) -> bool:
    """Whether the list names a mask for an entry."""
    return entry.mask is not None


def divide_entries(
    grouped: GroupedEntries,
    held_out: float,
    *,
    fewest: int = 1,
    seed: int = 0,
    counts: Callable[[ListEntry], bool] = has_mask,
) -> tuple[GroupedEntries, GroupedEntries]:
    """Hold out whole groups, always the same ones: (kept, held out).

    Parameters
    ----------
    grouped : GroupedEntries
    held_out : float
        Share of the groups, of those with pictures that count and of the others. Which they are is
        decided by a hash of seed and name, so the order of the list plays no part. Never more than
        half of the pictures are held out.
    fewest : int
        Groups with pictures that count that must be held out.
    seed : int
    counts : callable
        Whether something can be found in a picture. Default: all that are not authentic.

    Returns
    -------
    kept, held_out : GroupedEntries

    Raises
    ------
    DatasetError
        There are too few groups.
    ValueError
        The share is not between 0 and 1.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out is a share between 0 and 1, not {held_out}.")
    sizes = Counter(grouped.groups)
    pairs = zip(grouped.entries, grouped.groups, strict=True)
    telling = {group for entry, group in pairs if counts(entry)}
    chosen: set[str] = set()
    pictures = 0
    for kind, least in ((telling, fewest), (sizes.keys() - telling, 0)):
        wanted = len(chosen) + max(least, round(held_out * len(kind)))
        for name in sorted(kind, key=lambda name: seeded_hash(seed, name)):
            if len(chosen) < wanted and 2 * (pictures + sizes[name]) <= len(grouped):
                chosen.add(name)
                pictures += sizes[name]
    if len(chosen & telling) < fewest:
        largest = max(sizes.values(), default=0)
        raise DatasetError(
            f"The {len(grouped)} pictures are of {len(sizes)} groups that share no origin "
            f"({len(telling)} of them with something to find; the largest has {largest} pictures), "
            f"but {fewest} groups with something to find have to be held out and at least half of "
            "the pictures has to be left: give more pictures, a third field `group` in the list, "
            "or a list of its own for what is held out."
        )
    sides: tuple[list[int], list[int]] = ([], [])
    for index, group in enumerate(grouped.groups):
        sides[group in chosen].append(index)
    return _pick(grouped, sides[False]), _pick(grouped, sides[True])


def separate_entries(
    entries: Sequence[ListEntry], held_out: Sequence[ListEntry]
) -> tuple[GroupedEntries, GroupedEntries]:
    """Group what is kept and what is held out, where the user has divided: (kept, held out).

    Raises
    ------
    DatasetError
        They share an origin.
    """
    both = group_entries([*entries, *held_out])
    kept = _pick(both, range(len(entries)))
    judged = _pick(both, range(len(entries), len(both)))
    shared = sorted(set(kept.groups) & set(judged.groups))
    if shared:
        image = judged.entries[judged.groups.index(shared[0])].image
        raise DatasetError(
            f"What is held out shares {len(shared)} origins with what is learned from (the first: "
            f"{shared[0]}, of {image}): it can judge nothing. Take those pictures out of one list."
        )
    return kept, judged


def _pick(grouped: GroupedEntries, indices: Iterable[int]) -> GroupedEntries:
    chosen = list(indices)
    return GroupedEntries(
        tuple(grouped.entries[i] for i in chosen), tuple(grouped.groups[i] for i in chosen)
    )


def seeded_hash(seed: int, name: str) -> str:
    """Draw an order of names: the same for the same seed, whatever other names there are."""
    return hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogateescape")).hexdigest()


def _marks(entry: ListEntry, photos_of: _PhotosOf) -> Iterator[str]:
    """What an entry has in common with its relatives; never empty."""
    if entry.extra and entry.extra[0]:
        yield f"group {entry.extra[0]}"
    else:
        photos = _recorded_photos(entry.image, photos_of)
        if photos:
            yield from (f"photo {name}" for name in photos)
        else:
            yield f"name {_begin_of_name(entry.image.stem)}"
    yield f"same file {entry.image}"
    if entry.mask is not None:
        yield f"same file {entry.mask}"


def _begin_of_name(stem: str) -> str:
    """Cut after the first word with a digit: "IMG_0012_forged (2)" -> "IMG_0012"."""
    for word in _WORD.finditer(stem):
        if any(letter.isdigit() for letter in word[0]):
            return stem[: word.end()]
    return stem


def _recorded_photos(image: Path, photos_of: _PhotosOf) -> tuple[str, ...]:
    for folder in image.parents[:_DEEPEST]:
        found = photos_of(folder).get(image)
        if found:
            return found
    return ()


def _photos_by_image(folder: Path) -> dict[Path, tuple[str, ...]]:
    """Photographs in each composite of a data set, by its manifest; empty without one."""
    path = folder / _MANIFEST
    if not os.path.isfile(path):
        return {}
    photos = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            names = (str(source["photo"]) for source in record["sources"])
            photos[folder / record["image"]] = tuple(dict.fromkeys(names))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(
            f"The manifest {path} is damaged ({error!r}): which photographs its pictures share "
            "cannot be told. Mend it, or give a third field `group` in the list."
        ) from error
    return photos
