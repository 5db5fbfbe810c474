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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.decoding.names import is_picture_name as is_picture_name
from napari_safire.images.decoding.names import surely_picture
from napari_safire.images.files import DiskNames, why_unreadable
from napari_safire.images.lists import (
    AUTHENTIC,
    ListEntry,
    MaskKind,
    is_comment,
    read_list,
    read_text,
    read_truth,
)
from napari_safire.images.masks import GroundTruth
from napari_safire.images.reading import read_image

_EXPERT = re.compile(r"ms[2-5]_images")
_EXPERT_MASKS = re.compile(r"ms[2-5]_masks")
_BINARY_MASKS = re.compile(r"(copy-move|splicing)_.*_masks|inpainting.*_mask")
_MOST_SUBFOLDERS = 64  # in which folder pairs are looked for; a home folder may hold thousands
_STRENGTH = re.compile(r"\d+(\.\d+)?_(?=.)")
_NO_PICTURES = frozenset(
    {".txt", ".csv", ".json", ".jsonl", ".npz", ".npy", ".toml", ".md", ".html"}
)
_NUMBER = re.compile(r"\d{6}(?=_)")
LIST_SUFFIXES = (".txt", ".csv")
"""Of files that are taken for lists where pictures may stand as well."""
_BEGIN = 1 << 16  # characters of a text that are looked at
_LOOKED_AT = 12  # masks, until one tells its kind


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
            subfolders = sorted(path for path in folder.iterdir() if path.is_dir())
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
    """Whether a file is called or kept like a mask: ``…_mask.png``, ``…_sources.png``, ``masks/``.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
    """
    whole = Path(os.path.abspath(path))
    named = re.search(r"_(masks?|sources)$", whole.stem, flags=re.IGNORECASE)
    folders = whole.parts[-3:-1]  # data sets put numbered folders in between
    return bool(named) or any("mask" in folder.lower() for folder in folders)


def is_picture_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a picture: by its name, or where that says nothing by its content.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
        True also for pictures that cannot be read, so that they are told and not passed over.
    """
    path = Path(path)
    if is_picture_name(path.name):
        return True
    if path.suffix.lower() in _NO_PICTURES or why_unreadable(path) is not None:
        return False
    try:
        with open(path, "rb") as file:
            return surely_picture(file.read(32))
    except OSError:  # it does not call itself a picture, and nobody can look
        return False


def looks_like_list(path: str | os.PathLike[str]) -> bool:
    """Whether a text file begins as list files do: a picture, a comma, and a picture or ``None``.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
        Only the begin of the file is read; False if it cannot be.
    """
    try:
        fields = _first_fields(Path(os.path.abspath(path)))
    except (DatasetError, ValueError):  # ValueError: a null in the name
        return False
    return (
        len(fields) >= 2
        and is_picture_name(fields[0])
        and (fields[1] == AUTHENTIC or is_picture_name(fields[1]))
    )


def _first_fields(path: Path) -> list[str]:
    """Fields of the first line of a list that is no comment; none if there is no such line."""
    names = DiskNames()
    for line in read_text(path, _BEGIN).splitlines():
        if not is_comment(line, (path.parent, path.parent.parent), names):
            return [field.strip(' "') for field in line.split(",")]
    return []


def list_root(path: str | os.PathLike[str]) -> Path:
    """Find the folder that a list file's paths are relative to.

    Parameters
    ----------
    path : path-like
        The list file.

    Returns
    -------
    Path
        The list file's own folder, or the one above if the first picture is there and not here
        (data sets keep their lists in a folder of their own).

    Raises
    ------
    DatasetError
        The list cannot be read.
    """
    whole = Path(os.path.abspath(path))
    folder = whole.parent
    first = next(iter(_first_fields(whole)), None)
    if first is None:
        return folder
    names = DiskNames()
    here, above = (
        why_unreadable(names.find(place / first)) is None for place in (folder, folder.parent)
    )
    return folder.parent if above and not here else folder


def mask_kind(mask: str | os.PathLike[str]) -> MaskKind | None:
    """Encoding of a mask by the folder it lies in, or by its name; None if they say nothing.

    The plugin and `napari-safire predict` call masks with sources ``…_sources.png``.

    Parameters
    ----------
    mask : path-like

    Returns
    -------
    {"sources", "binary"} or None
    """
    folders = Path(mask).parts[-3:-1]
    if Path(mask).stem.casefold().endswith("_sources"):
        return "sources"
    if any(_EXPERT_MASKS.fullmatch(folder) for folder in folders):
        return "sources"
    if any(_BINARY_MASKS.fullmatch(folder) for folder in folders):
        return "binary"
    return None


def kind_of_masks(entries: Sequence[ListEntry]) -> MaskKind | None:
    """Tell what the masks of a list say, by their folder or the values of a few of them.

    Returns
    -------
    {"sources", "binary"} or None
        None where a dozen masks, taken evenly from the list, are black, of neither kind, or not
        there.
    """
    masked = [entry for entry in entries if entry.mask is not None]
    for entry in masked[:: max(1, len(masked) // _LOOKED_AT)][:_LOOKED_AT]:
        assert entry.mask is not None
        if (known := mask_kind(entry.mask)) is not None:
            return known
        try:
            if not read_label_truth(entry).labels.any():  # black means the same in both kinds
                continue
        except SafireError:
            continue
        try:
            read_truth(entry, "sources")
        except DatasetError:
            return "binary"
        return "sources"
    return None


def read_labels(
    entry: ListEntry, kind: MaskKind | None = None, *, shape: tuple[int, int] | None = None
) -> npt.NDArray[np.uint8]:
    """Ground truth as an array of labels; its warnings go to Python's `warnings`.

    Parameters and exceptions are those of `read_label_truth`.

    Returns
    -------
    (H, W) uint8 array
    """
    return read_label_truth(entry, kind, shape=shape).told()


def read_label_truth(
    entry: ListEntry, kind: MaskKind | None = None, *, shape: tuple[int, int] | None = None
) -> GroundTruth:
    """Ground truth of one entry as labels, with all that may be wrong with it.

    Parameters
    ----------
    entry : ListEntry
    kind : {"sources", "binary"}, optional
        Encoding of the mask; by default told by the entry's rule, then by `mask_kind`, else by its
        values: black and white (0 and 255 alone) is binary, anything else must be SafireMS
        encoding.
    shape : (int, int), optional
        Rows and columns of the image, if known; a mask of another size is refused.

    Returns
    -------
    GroundTruth
        Labels are uint8: 0 to 5 for "sources"; 0 and 1 for "binary"; 0 everywhere for an authentic
        entry.

    Raises
    ------
    DatasetError
        If the mask's values or size are wrong.
    ImageReadError
        If the mask cannot be read.
    """
    if kind is None and entry.rule is not None:
        kind = entry.rule.kind
    elif kind is None and entry.mask is not None:
        kind = mask_kind(entry.mask)
    if kind is not None:
        return _as_labels(read_truth(entry, kind, shape=shape))
    try:
        return _as_labels(read_truth(entry, "sources", shape=shape))
    except DatasetError:
        if entry.mask is not None and _is_black_and_white(read_image(entry.mask).pixels):
            return _as_labels(read_truth(entry, "binary", shape=shape))
        raise


def _as_labels(truth: GroundTruth) -> GroundTruth:
    return replace(truth, labels=truth.labels.astype(np.uint8, copy=False))


def files_below(folder: Path) -> list[PurePath]:
    """List the files in a folder and its subfolders, relative to it and sorted; hidden ones not.

    Raises
    ------
    DatasetError
        If a folder cannot be read.
    """
    try:
        found = [
            PurePath(os.path.relpath(os.path.join(where, name), folder))
            for where, _, names in os.walk(folder, onerror=_refuse)
            for name in names
            if not name.startswith(".")
        ]
    except OSError as error:
        raise DatasetError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    return sorted(found)


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


def pictures_below(folder: Path) -> dict[PurePath, None]:
    """Pictures in the folder and its subfolders, relative to it, sorted; a dict for its look-up."""
    return dict.fromkeys(file for file in files_below(folder) if is_picture_file(folder / file))


def _refuse(error: OSError) -> None:
    raise error


def _once(files: Iterable[PurePath]) -> dict[tuple[PurePath, str] | None, PurePath]:
    """Files by their number, if no other file in the folder has it."""
    numbers = [(_number(file), file) for file in files]
    counts = Counter(number for number, _ in numbers)
    return {number: file for number, file in numbers if number is not None and counts[number] == 1}


def _number(file: PurePath) -> tuple[PurePath, str] | None:
    found = _NUMBER.match(file.name)
    return (file.parent, found[0]) if found else None


def _is_black_and_white(pixels: npt.NDArray[Any]) -> bool:
    return pixels.dtype == np.uint8 and bool(np.isin(pixels, (0, 255)).all())
