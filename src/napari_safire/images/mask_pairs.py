"""Folders of pictures beside folders of masks, as the SafireMS data sets lay them out.

====================================  ============================  ========
pictures                              masks                         encoding
====================================  ============================  ========
``ms2_images`` (``ms3_``, ``ms4_``)   ``ms2_masks``                 sources
``<name>_imgs``                       ``<name>_masks``              by value
``inpainting…``, in numbered folders  ``inpainting…_mask``          binary
``images`` of `write_dataset`         ``masks``                     sources
====================================  ============================  ========

``copy-move…`` and ``splicing…`` among the second kind are binary by definition.

Three traps: in the splicing folders a mask shares only its number with its picture; the generated
pictures ``0.4_<id>`` and ``0.8_<id>`` share the mask ``<id>``; and a folder called ``images``
beside ``masks`` is one of ours only if it was written by `write_dataset`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from napari_safire.errors import DatasetError
from napari_safire.images.files import is_picture_file, pictures_below
from napari_safire.images.lists import ListEntry, read_list

_EXPERT = re.compile(r"ms[2-5]_images")
_MOST_SUBFOLDERS = 64  # in which folder pairs are looked for; a home folder may hold thousands
_STRENGTH = re.compile(r"\d+(\.\d+)?_(?=.)")
_NUMBER = re.compile(r"\d{6}(?=_)")


@dataclass(frozen=True, slots=True)
class FolderPair:
    """A folder of pictures and the folder of their masks.

    Parameters
    ----------
    images, masks : Path
    """

    images: Path
    masks: Path

    @property
    def name(self) -> str:
        """What to call the set: the folder of pictures, or where that is ``images``, its parent."""
        return self.images.parent.name if self.images.name == "images" else self.images.name


@dataclass(frozen=True, slots=True)
class PairedPictures:
    """The pictures of a folder with their masks.

    Parameters
    ----------
    entries : tuple of ListEntry
        In the order of their names, or of the list file where there is one.
    without_mask : tuple of Path
        Pictures for which no mask could be told.
    """

    entries: tuple[ListEntry, ...]
    without_mask: tuple[Path, ...] = ()


def find_folder_pairs(folder: str | os.PathLike[str]) -> tuple[FolderPair, ...]:
    """Find folders of pictures and masks by their names.

    Parameters
    ----------
    folder : path-like
        A folder of pictures, one of masks, one that holds both, or one whose subfolders do.

    Returns
    -------
    tuple of FolderPair
        Sorted by name; empty for any other folder. Only names are looked at, no picture is opened.
    """
    folder = Path(os.path.abspath(folder))
    try:
        own = [pair for pair in _pairs_in(folder.parent) if folder in (pair.images, pair.masks)]
        if own:
            return tuple(own)
        inside = _pairs_in(folder)
        if not inside:
            subfolders = sorted(Path(entry) for entry in os.scandir(folder) if entry.is_dir())
            if len(subfolders) <= _MOST_SUBFOLDERS:
                inside = [pair for subfolder in subfolders for pair in _pairs_in(subfolder)]
    except OSError:  # not a folder, or one that may not be looked into
        return ()
    return tuple(inside)


def pair_pictures(pair: FolderPair) -> PairedPictures:
    """Tell which mask belongs to which picture.

    A complete list file beside the folders decides. Otherwise a mask belongs to the picture of the
    same name (in the same subfolder); failing that, to that of the same name without the suffix, to
    ``<strength>_<name>``, or to the one picture with the same six-digit number, if there is no
    second picture or mask with that number.

    Parameters
    ----------
    pair : FolderPair

    Returns
    -------
    PairedPictures

    Raises
    ------
    DatasetError
        If no picture has a mask, or the list file is wrong.
    """
    list_file = pair.images.parent / "list.txt"
    if pair.images.name == "images" and list_file.is_file():
        return PairedPictures(tuple(read_list(list_file)))
    pictures, masks = pictures_below(pair.images), pictures_below(pair.masks)
    stems = {mask.with_suffix(""): mask for mask in masks}
    numbered = _once(masks)
    picture_numbers = _once(pictures)
    entries, without = [], []
    for picture in pictures:
        base = _STRENGTH.sub("", picture.name, count=1)
        number = _number(picture)
        candidates = (
            picture if picture in masks else None,
            stems.get(picture.with_suffix("")),
            picture.with_name(base) if picture.with_name(base) in masks else None,
            numbered.get(number) if number in picture_numbers else None,
        )
        mask = next((found for found in candidates if found is not None), None)
        if mask is None:
            without.append(pair.images / picture)
        else:
            entries.append(ListEntry(pair.images / picture, pair.masks / mask))
    if not entries:
        raise DatasetError(
            f"No picture in {pair.images} has a mask in {pair.masks}: give both the same names, or "
            "open a list file."
        )
    return PairedPictures(tuple(entries), tuple(without))


def picture_of_mask(mask: str | os.PathLike[str]) -> Path | None:
    """Find the picture that a mask file belongs to.

    Parameters
    ----------
    mask : path-like
        ``<stem>_mask.png`` or ``<stem>_sources.png`` beside a picture ``<stem>.*``, or a file in
        one of the folders of masks that `find_folder_pairs` knows.

    Returns
    -------
    Path or None
        None if there is no such picture, or more than one beside the mask. Where one mask serves
        several pictures, the first of them.
    """
    mask = Path(os.path.abspath(mask))
    stem = re.sub(r"_(masks?|sources)$", "", mask.stem, flags=re.IGNORECASE)
    if stem != mask.stem:
        try:
            beside = [
                path
                for path in mask.parent.iterdir()
                if path.stem == stem and is_picture_file(path)
            ]
        except OSError:
            beside = []
        if len(beside) == 1:
            return beside[0]
    for folder in (mask.parent, mask.parent.parent):
        for pair in find_folder_pairs(folder):
            if pair.masks != folder:
                continue
            try:
                entries = pair_pictures(pair).entries
            except DatasetError:  # the mask can be opened all the same
                return None
            return next((entry.image for entry in entries if entry.mask == mask), None)
    return None


def is_source_mask_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file is named like a mask (``…_mask.png``, ``…_sources.png``) or in ``masks/``."""
    lowered = os.fspath(path).lower()
    if "mask" not in lowered and "sources" not in lowered and os.path.isabs(path):
        return False  # most of them, and quicker
    whole = Path(os.path.abspath(path))
    named = re.search(r"_(masks?|sources)$", whole.stem, flags=re.IGNORECASE)
    folders = whole.parts[-3:-1]  # data sets put numbered folders in between
    return bool(named) or any("mask" in folder.lower() for folder in folders)


def _pairs_in(folder: Path) -> list[FolderPair]:
    pairs = []
    names = {entry.name for entry in os.scandir(folder) if entry.is_dir()}
    for name in sorted(names):
        if _EXPERT.fullmatch(name):
            masks = name.replace("_images", "_masks")
        elif name.endswith("_imgs"):
            masks = name.removesuffix("_imgs") + "_masks"
        elif name.startswith("inpainting"):
            masks = f"{name}_mask"
        elif name == "images" and (folder / "manifest.jsonl").is_file():
            masks = "masks"
        else:
            continue
        if masks in names:
            pairs.append(FolderPair(folder / name, folder / masks))
    return pairs


def _once(files: Iterable[PurePath]) -> dict[tuple[PurePath, str] | None, PurePath]:
    """Files by their number, if no other file in the folder has it."""
    numbers = [(_number(file), file) for file in files]
    counts = Counter(number for number, _ in numbers)
    return {number: file for number, file in numbers if number is not None and counts[number] == 1}


def _number(file: PurePath) -> tuple[PurePath, str] | None:
    found = _NUMBER.match(file.name)
    return (file.parent, found[0]) if found else None
