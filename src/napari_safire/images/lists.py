"""List files: which image belongs to which mask.

One entry a line, ``image,mask[,extra...]``, in UTF-8, with paths relative to a root folder. The
mask ``None`` says that the image is authentic. A path with a comma stands in double quotes, as in
CSV. Blank lines are skipped, and so are lines that begin with ``#``, unless what stands before
their first comma is a file that is there. Case and Unicode form of names need not be those of the
disk.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.atomic import atomic_path
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.archives import read_archive
from napari_safire.images.files import DiskNames, composed, why_unreadable
from napari_safire.images.masks import (
    SOURCE_NUMBERS,
    GroundTruth,
    MaskRule,
    decode_sources,
    resize_nearest,
)
from napari_safire.images.masks import MaskKind as MaskKind
from napari_safire.images.reading import (
    image_shape,
    inspect_image,
    read_image,
)

AUTHENTIC = "None"
COMMENT = "#"
_N_NAMED = 20  # files or lines named in one message
_FORMULA = ("=", "+", "-", "@")  # what spreadsheets take a cell for that begins so
_ASPECT = 0.05  # by which a mask that is resized may be broader or narrower, unsaid


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One line of a list file.

    Parameters
    ----------
    image : Path
    mask : Path or None
        None: the image is authentic.
    extra : tuple of str
        Further fields of the line, as they are.
    rule : MaskRule, optional
        How the mask is read; not part of a list file. Where there is none, `read_mask` is told.
    """

    image: Path
    mask: Path | None = None
    extra: tuple[str, ...] = ()
    rule: MaskRule | None = None


@dataclass(frozen=True, slots=True)
class ParsedList:
    """What can be read of a list.

    Parameters
    ----------
    entries : tuple of ListEntry
        Under the names that their files have on the disk, if they are there.
    problems : tuple of str
        One for each line that is none: its number and what is wrong.
    notes : tuple of str
        What was assumed: a line that looks like a comment and is none, a name in other letters.
    """

    entries: tuple[ListEntry, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_list(
    path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
) -> list[ListEntry]:
    """Read a list file and check that everything in it exists.

    Parameters
    ----------
    path : path-like
        The list file.
    root : path-like, optional
        The folder that paths are relative to; default: the list file's own folder.

    Returns
    -------
    list of ListEntry
        In the order of the file, with whole paths (no ``..`` left in them).

    Raises
    ------
    DatasetError
        If the list cannot be read; if lines are malformed or lead out of the root (by ``..`` or as
        absolute paths; links inside the root are followed, since its owner put them there); or if
        files are missing. All bad lines, or all missing files, are told at once.
    """
    path = Path(path)
    folder = list_folder(path, root)
    entries = read_lines(path, folder)
    require_files(path, folder, entries)
    return entries


def read_lines(path: Path, folder: Path) -> list[ListEntry]:
    """Read a list of which every line must be good, whether its files exist or not.

    Raises
    ------
    DatasetError
        As `read_list`, except for missing files.
    """
    return list(read_good_lines(path, folder).entries)


def read_good_lines(path: Path, folder: Path) -> ParsedList:
    """As `read_lines`, with the notes of what was assumed."""
    parsed = parse_list(path, folder)
    if parsed.problems:
        raise DatasetError(
            f"{path} breaks the format of list files: {enumerated(parsed.problems)}."
        )
    return parsed


def unreadable_files(entries: Iterable[ListEntry]) -> dict[Path, str]:
    """Find the files of entries that cannot be read, each with a sentence that says why."""
    files = dict.fromkeys(  # one mask may serve many images
        file for entry in entries for file in (entry.image, entry.mask) if file is not None
    )
    reasons = ((file, why_unreadable(file)) for file in files)
    return {file: reason for file, reason in reasons if reason is not None}


def require_files(path: Path, folder: Path, entries: Iterable[ListEntry]) -> None:
    """Refuse a list that names files which are not there; all of them are told at once.

    Raises
    ------
    DatasetError
    """
    lost = unreadable_files(entries)
    if lost:
        named = [
            str(file) if reason.endswith("does not exist.") else reason.rstrip(".")
            for file, reason in lost.items()
        ]
        raise DatasetError(
            f"{path} names {len(lost)} files that do not exist or cannot be read under {folder}: "
            f"{enumerated(named)}; check the root folder or the list."
        )


def list_folder(path: Path, root: str | os.PathLike[str] | None = None) -> Path:
    """Return the whole path of the folder that a list's paths are relative to.

    Raises
    ------
    DatasetError
        If there is no such folder.
    """
    # The system's absolute form, not resolve(): a link to a data set stays a link.
    folder = Path(os.path.abspath(path.parent if root is None else root))
    if not os.path.isdir(folder):
        raise DatasetError(f"The root folder {folder} of {path} does not exist: check its name.")
    return folder


def parse_list(path: Path, folder: Path) -> ParsedList:
    """Read what can be read of a list, whether its files exist or not.

    Returns
    -------
    ParsedList

    Raises
    ------
    DatasetError
        If the list cannot be read at all.
    """
    entries: list[ListEntry] = []
    problems: list[str] = []
    notes: list[str] = []
    names = DiskNames()
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if is_comment(line, (folder,), names):
            continue
        try:
            entry = _parse(line, folder)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        there = on_disk(entry, names)
        entries.append(there)
        if line.lstrip().startswith(COMMENT):
            notes.append(
                f"Line {number} of {path} begins with # but names a file that is there, so it was "
                f"read as an entry: write ./{line.strip()}, or a blank behind the # of a comment."
            )
        notes += [
            f"Line {number} of {path} names {asked.name}, the file is called {found.name}."
            for asked, found in ((entry.image, there.image), (entry.mask, there.mask))
            if asked is not None and found is not None and _in_other_letters(asked, found)
        ]
    return ParsedList(tuple(entries), tuple(problems), tuple(notes))


def is_comment(line: str, folders: Sequence[Path], names: DiskNames) -> bool:
    """Whether a line of a list is no entry: blank, or begun with ``#``.

    A line that begins with ``#`` is an entry all the same if what stands before its first comma is
    a file that is there, in one of some folders.
    """
    if not line.strip():
        return True
    if not line.lstrip().startswith(COMMENT):
        return False
    name = line.split(",")[0].strip()
    return all(why_unreadable(names.find(folder / name)) is not None for folder in folders)


def on_disk(entry: ListEntry, names: DiskNames) -> ListEntry:
    """Give an entry the names that its files have on the disk; see `DiskNames.find`."""
    return replace(
        entry,
        image=names.find(entry.image),
        mask=None if entry.mask is None else names.find(entry.mask),
    )


def _in_other_letters(asked: Path, found: Path) -> bool:
    """Whether two paths differ in more than their Unicode form."""
    return composed(os.fspath(asked)) != composed(os.fspath(found))


def write_list(
    path: str | os.PathLike[str],
    entries: Iterable[ListEntry],
    root: str | os.PathLike[str] | None = None,
) -> Path:
    """Write a list file that `read_list` reads back.

    Parameters
    ----------
    path : path-like
    entries : iterable of ListEntry
        Their files need not exist yet. Relative paths are taken as relative to the root.
    root : path-like, optional
        Default: the list file's own folder.

    Returns
    -------
    Path
        The list file.

    Raises
    ------
    ValueError
        If a path leads out of the root or cannot stand in a list file.
    SafireError
        If the folder of the list file does not exist.
    """
    path = Path(path)
    folder = Path(os.path.abspath(path.parent if root is None else root))
    lines = []
    for entry in entries:
        image = _relative(entry.image, folder)
        mask = AUTHENTIC if entry.mask is None else _relative(entry.mask, folder)
        if entry.mask is not None and mask == AUTHENTIC:
            mask = f"./{mask}"  # a mask file that is really called "None"
        lines.append(",".join(_quoted(field) for field in (image, mask, *entry.extra)) + "\n")
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", newline="\n")
    return path


def read_truth(
    entry: ListEntry,
    kind: MaskKind = "binary",
    *,
    shape: tuple[int, int] | None = None,
    unassigned: int | None = None,
) -> GroundTruth:
    """Ground truth of one entry, with all that may be wrong with it.

    Every mask of the package is read here, whatever it is read for.

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
    notes: list[str] = []
    if rule.key is None:
        image = read_image(entry.mask)
        pixels = image.pixels
        notes += image.warnings
    else:
        pixels = read_archive(entry.mask, rule.key)
    if shape is None and rule.nearest:
        shape = image_shape(entry.image)
    if rule.key is None and _has_holes(pixels):
        notes.append(
            f"The mask {entry.mask} has one colour only, but opacity that differs from place to "
            "place, which is not read: if it is the opacity that says what is forged, save that as "
            "a grey picture."
        )
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


def read_text(path: Path, most: int | None = None) -> str:
    """Read the text of a list file, or its begin.

    Raises
    ------
    DatasetError
        If it is no regular file, cannot be read, or is not UTF-8.
    """
    reason = why_unreadable(path)
    try:
        if reason is not None:
            raise DatasetError(f"The list {path} cannot be read: {reason}")
        with open(path, encoding="utf-8-sig") as file:
            return file.read(most)
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            reason = f"byte {error.start} is not UTF-8, save it as UTF-8 text"
        else:
            reason = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"The list {path} cannot be read: {reason}.") from error


def _parse(line: str, folder: Path) -> ListEntry:
    """One entry; a ValueError says in a few words what is wrong with the line."""
    try:
        fields = next(csv.reader([line], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(f"the quotes do not match ({error})") from error
    fields = [field.strip() for field in fields]
    if len(fields) < 2:
        raise ValueError(f"{line.strip()!r} has one field, `image,mask` are needed")
    image, mask, *extra = fields
    if not image or not mask:
        raise ValueError("a path is empty (an authentic image has the mask `None`)")
    return ListEntry(
        path_inside(image, folder),
        None if mask == AUTHENTIC else path_inside(mask, folder),
        tuple(extra),
    )


def path_inside(name: str | os.PathLike[str], folder: Path) -> Path:
    """Return the whole path of a file that is named relative to a folder.

    Raises
    ------
    ValueError
        If it leads out of the folder.
    """
    whole = Path(os.path.normpath(folder / name))
    if not whole.is_relative_to(folder) or whole == folder:
        raise ValueError(f"{os.fspath(name)!r} leads out of the root folder {folder}")
    return whole


def _relative(file: Path, folder: Path) -> str:
    name = path_inside(file, folder).relative_to(folder).as_posix()
    # Else it would read as a comment, or a spreadsheet would take it for a formula.
    return f"./{name}" if name.startswith((COMMENT, *_FORMULA)) else name


def _quoted(field: str) -> str:
    if field != field.strip() or len(field.splitlines()) > 1:
        raise ValueError(
            f"{field!r} cannot stand in a list file: it has line breaks or blanks at its ends; "
            "rename it."
        )
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([field])
    return text.getvalue() if field else ""


def enumerated(items: Sequence[str]) -> str:
    """Items in one sentence; of many only the first twenty and how many more there are."""
    named = "; ".join(items[:_N_NAMED])
    return named + (f"; and {len(items) - _N_NAMED} more" if len(items) > _N_NAMED else "")
