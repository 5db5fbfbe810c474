"""List files: which image belongs to which mask.

One entry a line, ``image,mask[,extra...]``, in UTF-8, with paths relative to a root folder. The
mask ``None`` says that the image is authentic. Blank lines and lines that begin with ``#`` are
skipped. A path with a comma stands in double quotes, as in CSV.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.atomic import atomic_path
from napari_safire.data.archives import read_archive
from napari_safire.data.images import image_shape, read_image
from napari_safire.data.masks import MaskKind as MaskKind
from napari_safire.data.masks import MaskRule, decode_sources, resize_nearest
from napari_safire.errors import DatasetError

AUTHENTIC = "None"
_N_NAMED = 20  # files or lines named in one message


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
    entries, problems = parse_list(path, folder)
    if problems:
        raise DatasetError(f"{path} breaks the format of list files: {enumerated(problems)}.")
    return entries


def require_files(path: Path, folder: Path, entries: Iterable[ListEntry]) -> None:
    """Refuse a list that names files which are not there; all of them are told at once.

    Raises
    ------
    DatasetError
    """
    missing = [
        str(file)
        for entry in entries
        for file in (entry.image, entry.mask)
        if file is not None and not os.path.isfile(file)
    ]
    missing = list(dict.fromkeys(missing))  # one mask may serve many images
    if missing:
        raise DatasetError(
            f"{path} names {len(missing)} files that do not exist under {folder}: "
            f"{enumerated(missing)}; check the root folder or the list."
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
    if not folder.is_dir():
        raise DatasetError(f"The root folder {folder} of {path} does not exist: check its name.")
    return folder


def parse_list(path: Path, folder: Path) -> tuple[list[ListEntry], list[str]]:
    """Read what can be read of a list, whether its files exist or not.

    Returns
    -------
    entries : list of ListEntry
    problems : list of str
        One for each line that is none: its number and what is wrong.

    Raises
    ------
    DatasetError
        If the list cannot be read at all.
    """
    entries: list[ListEntry] = []
    problems: list[str] = []
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            entries.append(_parse(line, folder))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    return entries, problems


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


def read_mask(
    entry: ListEntry, kind: MaskKind = "binary", *, shape: tuple[int, int] | None = None
) -> npt.NDArray[Any]:
    """Ground truth of one entry.

    Parameters
    ----------
    entry : ListEntry
    kind : {"binary", "sources"}
        What is asked for, and without ``entry.rule`` also what the mask says. "binary": forged
        where the mask's grey value is above 0. "sources": SafireMS encoding. With a rule, the mask
        is decoded by it; a binary one then has the sources 0 and 1, and of one with sources all but
        source 0 is forged.
    shape : (int, int), optional
        Rows and columns of the image, where known. A mask of another size is then refused, or
        resized if the rule says so; and the image of an authentic entry need not be opened to learn
        its size.

    Returns
    -------
    (H, W) array
        bool for "binary", uint8 labels for "sources"; all zero for an authentic entry.

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
        return np.zeros(shape, dtype=bool if kind == "binary" else np.uint8)
    rule = entry.rule or MaskRule(kind)
    if rule.key is None:
        pixels = read_image(entry.mask).pixels
    else:
        pixels = read_archive(entry.mask, rule.key)
    if shape is None and rule.nearest:
        shape = image_shape(entry.image)
    if shape is not None and pixels.shape[:2] != tuple(shape):
        if not rule.nearest:
            raise DatasetError(
                f"The mask {entry.mask} has {pixels.shape[0]} x {pixels.shape[1]} pixels, its "
                f"image {shape[0]} x {shape[1]}: make them the same size."
            )
        pixels = resize_nearest(pixels, shape)
    if rule.kind == "binary":
        forged = rule.forged(pixels)
        return forged if kind == "binary" else forged.astype(np.uint8)
    sources = _decode_named(pixels, entry.mask)
    return sources if kind == "sources" else sources > 0


def _decode_named(pixels: npt.NDArray[Any], mask: Path) -> npt.NDArray[np.uint8]:
    """`decode_sources` of a picture; errors name the file."""
    grey = pixels if pixels.ndim == 2 else pixels[..., 0]
    if pixels.ndim == 3 and np.any(pixels[..., :3] != grey[..., None]):
        raise DatasetError(
            f"The mask {mask} is coloured: SafireMS masks are grey, source k has the value 50 * k."
        )
    if grey.dtype.kind == "f":
        raise DatasetError(f"The mask {mask} has {grey.dtype} values: save it with 8 bits.")
    try:
        return decode_sources(grey)
    except DatasetError as error:
        raise DatasetError(f"{mask}: {error}") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a null in the name
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
    return f"./{name}" if name.startswith("#") else name  # else it would read as a comment


def _quoted(field: str) -> str:
    if field != field.strip() or len(field.splitlines()) > 1:
        raise ValueError(
            f"{field!r} cannot stand in a list file: it has line breaks or blanks at its ends; "
            "rename it."
        )
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([field])
    return text.getvalue() if field else ""


def enumerated(items: list[str]) -> str:
    """Items in one sentence; of many only the first twenty and how many more there are."""
    named = "; ".join(items[:_N_NAMED])
    return named + (f"; and {len(items) - _N_NAMED} more" if len(items) > _N_NAMED else "")
