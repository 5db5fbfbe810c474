"""Which picture of a published data set belongs to which mask, told by patterns of file names.

A picture and a mask belong together if their names give the same *key*. Names are compared without
regard to case and in one Unicode form: copies of a data set differ in both (``.JPG``, and "é" as
one character or two, as archives made on a Mac have it).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from napari_safire.images.files import composed, files_below, plain_name
from napari_safire.images.lists import ListEntry
from napari_safire.images.mask_pairs import PairedPictures


@dataclass(frozen=True, slots=True)
class Pairing:
    """One way to tell a picture's mask.

    Parameters
    ----------
    key : str
        Of a picture: a template over the groups of the part's pattern, as in `re.Match.expand`.
    masks : str
        Pattern of whole mask paths, relative to the root, with ``/``.
    mask_key : str
        Of a mask: a template over the groups of `masks`.
    """

    key: str
    masks: str
    mask_key: str = r"\1"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a data set: its pictures, and how to tell their masks.

    Parameters
    ----------
    name : str
    pictures : str
        Pattern of whole picture paths, relative to the root, with ``/``.
    pairings : tuple of Pairing
        Tried in turn. The first may give one mask to many pictures. The others are for misnamed
        files: they count only where one picture and one mask that are both left over share a key.
        None at all: the pictures are authentic.
    """

    name: str
    pictures: str
    pairings: tuple[Pairing, ...] = ()


def pair_parts(root: Path, parts: Sequence[Part]) -> PairedPictures:
    """Find the pictures of some parts with their masks.

    Parameters
    ----------
    root : Path
    parts : sequence of Part

    Returns
    -------
    PairedPictures
        In the order of the parts, then of the names.

    Raises
    ------
    DatasetError
        If the folder cannot be read.
    """
    files = files_below(root)
    entries: list[ListEntry] = []
    without: list[Path] = []
    for part in parts:
        found = _matches(part.pictures, files)
        masks = _masks_of(part.pairings, found, files)
        for picture in found:
            if part.pairings and picture not in masks:
                without.append(root / picture)
            else:
                mask = masks.get(picture)
                entries.append(ListEntry(root / picture, None if mask is None else root / mask))
    return PairedPictures(tuple(entries), tuple(without))


def _masks_of(
    pairings: Sequence[Pairing], pictures: dict[PurePath, re.Match[str]], files: Sequence[PurePath]
) -> dict[PurePath, PurePath]:
    """Masks of those pictures for which one can be told."""
    masks: dict[PurePath, PurePath] = {}
    for place, pairing in enumerate(pairings):
        taken = set(masks.values()) if place else set()
        by_key: dict[str, list[PurePath]] = defaultdict(list)
        for mask, match in _matches(pairing.masks, files).items():
            if mask not in taken:
                by_key[plain_name(match.expand(pairing.mask_key))].append(mask)
        wanted: dict[str, list[PurePath]] = defaultdict(list)
        for picture, match in pictures.items():
            if picture not in masks:
                wanted[plain_name(match.expand(pairing.key))].append(picture)
        for key, same in wanted.items():
            if len(by_key.get(key, ())) == 1 and (place == 0 or len(same) == 1):
                masks.update(dict.fromkeys(same, by_key[key][0]))
    return masks


def _matches(pattern: str, files: Iterable[PurePath]) -> dict[PurePath, re.Match[str]]:
    wanted = re.compile(pattern, re.IGNORECASE)
    found = ((file, wanted.fullmatch(composed(file.as_posix()))) for file in files)
    return {file: match for file, match in found if match is not None}
