"""Ground truth of a list's entries: every mask of the package is read here."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError, ImageReadError, SafireError
from napari_safire.images.archives import read_archive
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import (
    SOURCE_NUMBERS,
    GroundTruth,
    MaskKind,
    MaskRule,
    decode_sources,
    resize_nearest,
)
from napari_safire.images.reading import image_shape, inspect_image, read_image

_EXPERT_MASKS = re.compile(r"ms[2-5]_masks")
_BINARY_MASKS = re.compile(r"(copy-move|splicing)_.*_masks|inpainting.*_mask")
_LOOKED_AT = 12  # masks, until one tells its kind
_ASPECT = 0.05  # by which a mask that is resized may be broader or narrower, unsaid


def read_truth(
    entry: ListEntry,
    kind: MaskKind = "binary",
    *,
    shape: tuple[int, int] | None = None,
    unassigned: int | None = None,
) -> GroundTruth:
    """Ground truth of one entry, with all that may be wrong with it.

    Parameters
    ----------
    entry : ListEntry
    kind : {"binary", "sources"}
        What is asked for, and without ``entry.rule`` also what the mask says. "binary": forged
        where the mask's grey value is above 0; a mask whose edges are smoothed is then refused, as
        it depends on the limit what is forged. "sources": SafireMS encoding. With a rule, the mask
        is decoded by it, and many levels are only told; a binary one then has the sources 0 and 1,
        and of one with sources all but source 0 is forged.
    shape : (int, int), optional
        Rows and columns of the image, where known. A mask of another size is then refused, or
        resized if the rule says so; and the image of an authentic entry need not be opened to learn
        its size.
    unassigned : int, optional
        As for `napari_safire.images.masks.decode_sources`; for "sources" alone.

    Returns
    -------
    GroundTruth
        Labels are bool for "binary", uint8 for "sources"; all zero for an authentic entry.

    Raises
    ------
    DatasetError
        If the mask's values or size are wrong.
    ImageReadError
        If the mask (of an authentic entry: the image) cannot be read.
    """
    if kind not in ("binary", "sources"):
        raise ValueError(f"Unknown kind of mask {kind!r}: choose 'binary' or 'sources'.")
    if entry.mask is None:
        if shape is None:
            height, width = read_image(entry.image).pixels.shape[:2]
            shape = height, width
        return GroundTruth(np.zeros(shape, dtype=bool if kind == "binary" else np.uint8))
    rule = entry.rule or MaskRule(kind)
    pixels, notes = _stored(entry.mask, rule)
    if shape is None and rule.nearest:
        shape = image_shape(entry.image)
    pixels = _of_size(entry, pixels, shape, rule, notes)
    if entry.image != entry.mask and _orientation(entry.image) != _orientation(entry.mask):
        notes += _turned(entry)
    if rule.kind == "binary":
        _look_at_levels(entry, rule, pixels, notes)
        forged = rule.forged(pixels)
        return GroundTruth(forged if kind == "binary" else forged.astype(np.uint8), tuple(notes))
    sources = _decode_named(pixels, entry.mask, unassigned)
    return GroundTruth(sources if kind == "sources" else sources > 0, tuple(notes))


def read_mask(
    entry: ListEntry, kind: MaskKind = "binary", *, shape: tuple[int, int] | None = None
) -> npt.NDArray[Any]:
    """Ground truth of one entry as an array; its warnings go to Python's `warnings`.

    Parameters and exceptions are those of `read_truth`.

    Returns
    -------
    (H, W) array
        bool for "binary", uint8 labels for "sources"; all zero for an authentic entry.
    """
    return read_truth(entry, kind, shape=shape).told()


def _stored(mask: Path, rule: MaskRule) -> tuple[npt.NDArray[Any], list[str]]:
    """Pixels of a mask's file, and what is to be told of them."""
    if rule.key is not None:
        return read_archive(mask, rule.key), []
    image = read_image(mask)
    notes = list(image.warnings)
    if _has_holes(image.pixels):
        notes.append(
            f"The mask {mask} has one colour only, but opacity that differs from place to place, "
            "which is not read: if it is the opacity that says what is forged, save that as a grey "
            "picture."
        )
    return image.pixels, notes


def _has_holes(pixels: npt.NDArray[Any]) -> bool:
    """Whether a picture has one colour, and opacity that differs from place to place."""
    if pixels.ndim != 3 or pixels.shape[-1] != 4:
        return False
    differs = pixels != pixels[0, 0]
    return bool(differs[..., 3].any()) and not bool(differs[..., :3].any())


def _of_size(
    entry: ListEntry,
    pixels: npt.NDArray[Any],
    shape: tuple[int, int] | None,
    rule: MaskRule,
    notes: list[str],
) -> npt.NDArray[Any]:
    """Return a mask's pixels in its picture's size."""
    if shape is None or pixels.shape[:2] == tuple(shape):
        return pixels
    height, width = pixels.shape[:2]
    sizes = (
        f"The mask {entry.mask} has {height} x {width} pixels, its image {shape[0]} x {shape[1]}"
    )
    if (width, height) == tuple(shape):
        for what, file in (("picture", entry.image), ("mask", entry.mask)):
            orientation = 1 if file is None else _orientation(file)
            if orientation > 4:
                raise DatasetError(
                    f"{sizes}: the {what} asks to be shown turned (EXIF orientation "
                    f"{orientation}), so the mask was likely made on the turned view; turn the "
                    "mask to the rows and columns stored in the picture's file."
                )
    if not rule.nearest or (width, height) == tuple(shape):
        raise DatasetError(f"{sizes}: make them the same size.")
    if abs(height * shape[1] / (width * shape[0]) - 1) > _ASPECT:
        notes.append(f"{sizes}: resized, though its height and width are in another proportion.")
    return resize_nearest(pixels, shape)


def _turned(entry: ListEntry) -> list[str]:
    orientation = _orientation(entry.image)
    if orientation == 1:  # then it is the mask that asks to be turned, and reading it says so
        return []
    return [
        f"{entry.image} asks to be shown turned or mirrored (EXIF orientation {orientation}): if "
        f"the mask {entry.mask} was painted on what was shown, it does not fit, for both are read "
        "as stored in their files."
    ]


def _orientation(path: Path) -> int:
    """EXIF or TIFF orientation by a file's header; 1, as stored, where none can be read."""
    try:
        return inspect_image(path).orientation
    except ImageReadError:  # whoever reads the pixels is told
        return 1


def _look_at_levels(
    entry: ListEntry, rule: MaskRule, pixels: npt.NDArray[Any], notes: list[str]
) -> None:
    """Refuse, or at least tell of, a mask of which it is not sure what "above 0" means."""
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        lost = np.count_nonzero(~np.isfinite(pixels))
        notes.append(
            f"The mask {entry.mask} has {lost} values that are no numbers: not a number counts as "
            "not forged, infinity as forged."
        )
    # Elsewhere somebody chose a limit for such masks, or they hold numbers of objects.
    if rule.above > 0 or rule.below is not None or rule.key is not None:
        return
    levels = rule.levels(pixels)
    if levels.doubtful:
        sentence = (
            f"The mask {entry.mask} has {levels.number} grey levels, as JPEG or smoothing makes "
            f"them: {levels.above_black:.2%} of it lie above 0, {levels.above_half:.2%} above half"
        )
        if entry.rule is None:
            raise DatasetError(
                f"{sentence}. Save it as black and white, or choose a limit: `--set half`, or "
                "`--set default` for above 0."
            )
        notes.append(f"{sentence}; all above 0 count as forged.")
    elif levels.sources:
        sentence = (
            f"The mask {entry.mask} has the values {levels}, as one with sources that holds "
            "pixels (255) no source was given yet"
        )
        if entry.rule is None:
            raise DatasetError(f"{sentence}: finish the annotation first.")
        notes.append(f"{sentence}; all above 0 count as forged.")
    elif entry.rule is None and levels.unusual:
        numbers = " If they are numbers of sources, multiply them by 50 and read them as sources."
        notes.append(
            f"The mask {entry.mask} has {levels.number} grey levels ({levels}): all above 0 count "
            f"as forged.{numbers if levels.values[-1] <= SOURCE_NUMBERS else ''}"
        )


def _decode_named(
    pixels: npt.NDArray[Any], mask: Path, unassigned: int | None
) -> npt.NDArray[np.uint8]:
    """`decode_sources` of a picture; errors name the file."""
    grey = pixels if pixels.ndim == 2 else pixels[..., 0]
    if pixels.ndim == 3 and np.any(pixels[..., :3] != grey[..., None]):
        raise DatasetError(
            f"The mask {mask} is coloured: SafireMS masks are grey, source k has the value 50 * k. "
            "If it is forged where it is not black, read it as binary (`--kind binary`)."
        )
    if grey.dtype.kind == "f":
        raise DatasetError(
            f"The mask {mask} has {grey.dtype} values: save it with 8 bits. If it is forged where "
            "it is not black, read it as binary (`--kind binary`)."
        )
    try:
        return decode_sources(grey, unassigned=unassigned)
    except DatasetError as error:
        raise DatasetError(f"{mask}: {error}") from error


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


def _is_black_and_white(pixels: npt.NDArray[Any]) -> bool:
    return pixels.dtype == np.uint8 and bool(np.isin(pixels, (0, 255)).all())
