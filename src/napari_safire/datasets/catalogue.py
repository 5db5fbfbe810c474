"""Entries of the published data sets, by name: from their lists or from their own folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_safire.datasets.published import SETS, PublishedSet
from napari_safire.errors import DatasetError
from napari_safire.images.lists import (
    ListEntry,
    enumerated,
    list_folder,
    read_good_lines,
    read_lines,
    require_files,
    unreadable_files,
)
from napari_safire.images.mask_pairs import PairedPictures


def entries_of(
    set_name: str,
    root: str | os.PathLike[str],
    list_file: str | os.PathLike[str] | None = None,
    *,
    missing_ok: bool = False,
) -> list[ListEntry]:
    """Entries of a published data set, each with the rule of its mask.

    Parameters
    ----------
    set_name : str
        A name of `napari_safire.datasets.published.SETS`, or ``name/part``; case does not matter.
    root : path-like
        The folder of the data set.
    list_file : path-like, optional
        A list with paths relative to the root, such as the published ones. Without a list, pictures
        and masks are told by their names.
    missing_ok : bool
        Keep entries of a list whose files do not exist, and leave out pictures of a folder that
        have no mask, which `pair_set` tells (for training, which reports bad files and goes on).

    Returns
    -------
    list of ListEntry

    Raises
    ------
    DatasetError
        If there is no such set, folder or list; if a list breaks its format or leads out of the
        root; if no pictures are found; and, unless `missing_ok`, if files or masks are missing.
    """
    published, _ = find_set(set_name)
    if list_file is not None:
        path, folder = Path(list_file), list_folder(Path(list_file), root)
        listed = read_lines(path, folder)
        if not missing_ok:
            require_files(path, folder, listed)
        return [replace(entry, rule=published.rule) for entry in listed]
    paired = pair_set(set_name, root)
    if paired.without_mask and not missing_ok:
        names = enumerated([str(picture) for picture in paired.without_mask])
        raise DatasetError(
            f"{len(paired.without_mask)} pictures in {root} have no mask that {published.name} "
            f"knows: {names}. Complete the data set, or write a list without them "
            f"(`napari-safire data list --set {published.name}`) and give it."
        )
    return list(paired.entries)


@dataclass(frozen=True, slots=True)
class ListedEntries:
    """What a list or a data set names, whether all of it is there or not.

    Parameters
    ----------
    entries : tuple of ListEntry
        All of them.
    lost : mapping of ListEntry to str
        Those whose picture or mask cannot be read, and why; no more than half of them.
    notes : tuple of str
        What was assumed of the list's lines.
    """

    entries: tuple[ListEntry, ...]
    lost: Mapping[ListEntry, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_entries(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    set_name: str | None = None,
) -> ListedEntries:
    """Entries of a list, or of a published data set.

    One file that is missing does not stop the others. If more than half of the entries lack one,
    the root folder is wrong.

    Parameters
    ----------
    path : path-like
        A list file; with `set_name` also the set's own folder.
    root : path-like, optional
        Folder of a list's paths; default: the list's own.
    set_name : str, optional
        As for `entries_of`; without it, entries have no rule for their masks.

    Returns
    -------
    ListedEntries

    Raises
    ------
    DatasetError
        As for `read_list` and `entries_of`; also if there are no entries.
    """
    path = Path(path)
    if set_name is not None and os.path.isdir(path):
        return ListedEntries(tuple(entries_of(set_name, path)))
    rule = None if set_name is None else find_set(set_name)[0].rule
    folder = list_folder(path, root)
    parsed = read_good_lines(path, folder)
    entries = tuple(replace(entry, rule=rule) for entry in parsed.entries)
    if not entries:
        raise DatasetError(f"{path} has no entries: there is nothing in it to work with.")
    reasons = unreadable_files(entries)
    lost = {
        entry: reasons[file]
        for entry in entries
        for file in (entry.mask, entry.image)  # of both, the picture is told
        if file in reasons
    }
    if 2 * len(lost) > len(entries):
        require_files(path, folder, entries)
    return ListedEntries(entries, lost, parsed.notes)


def pair_set(set_name: str, root: str | os.PathLike[str]) -> PairedPictures:
    """Find the pictures of a data set in its own folder, with their masks.

    Parameters
    ----------
    set_name : str
        As for `entries_of`.
    root : path-like

    Returns
    -------
    PairedPictures
        Entries with the rule of their masks, and the pictures for which no mask could be told.

    Raises
    ------
    DatasetError
        If there is no such set or folder, or none of its pictures are there.
    """
    published, parts = find_set(set_name)
    folder = Path(os.path.abspath(root))
    if not os.path.isdir(folder):
        raise DatasetError(f"The folder {folder} of {set_name} does not exist: check its name.")
    paired = published.pairs(folder, parts)
    if not paired.entries and not paired.without_mask:
        raise DatasetError(
            f"There are no pictures of {set_name} in {folder}: give the folder that "
            "docs/datasets.md describes, or a list file."
        )
    entries = tuple(replace(entry, rule=published.rule) for entry in paired.entries)
    return PairedPictures(entries, paired.without_mask)


def find_set(set_name: str) -> tuple[PublishedSet, tuple[str, ...]]:
    """Look a data set up by its name.

    Parameters
    ----------
    set_name : str
        ``name`` or ``name/part``.

    Returns
    -------
    published : PublishedSet
    parts : tuple of str
        The one that was named, or all of them.

    Raises
    ------
    DatasetError
        If there is none; the message lists those there are.
    """
    name, _, part = set_name.partition("/")
    for published in SETS.values():
        if published.name.casefold() == name.casefold():
            if not part:
                return published, published.parts
            for known in published.parts:
                if known.casefold() == part.casefold():
                    return published, (known,)
            raise DatasetError(
                f"{published.name} has no part {part!r}: use "
                f"{' or '.join(f'{published.name}/{known}' for known in published.parts)}."
            )
    raise DatasetError(f"Unknown data set {set_name!r}: use one of {', '.join(SETS)}.")
