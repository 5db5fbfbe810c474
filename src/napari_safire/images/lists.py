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

from napari_safire.atomic import atomic_path
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.files import DiskNames, composed, why_unreadable
from napari_safire.images.list_text import AUTHENTIC, COMMENT, is_comment, is_heading, read_text
from napari_safire.images.masks import MaskRule
from napari_safire.text import brief, printable

PATH_COLUMN = "path"
_N_NAMED = 20  # files or lines named in one message
_FORMULA = ("=", "+", "-", "@")  # what spreadsheets take a cell for that begins so


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
            brief(file) if reason.endswith("does not exist.") else reason.rstrip(".")
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
        if (number == 1 and is_heading(line)) or is_comment(line, (folder,), names):
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


def write_paths(
    path: str | os.PathLike[str], pictures: Iterable[str | os.PathLike[str]]
) -> dict[Path, str]:
    """Write a table of one column, `path`, that names pictures and says nothing else of them.

    Parameters
    ----------
    path : path-like
        The table. Pictures are named from its folder.
    pictures : iterable of path-like
        They need not exist.

    Returns
    -------
    dict of Path to str
        Pictures whose names cannot stand in a table of text, each with why. They are left out.

    Raises
    ------
    SafireError
        The folder of the table does not exist, or it cannot be written.
    """
    path = Path(path)
    folder = Path(os.path.abspath(path.parent))
    left_out: dict[Path, str] = {}
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(f"{PATH_COLUMN}\n".encode())
            for picture in map(Path, pictures):
                try:
                    file.write(f"{_quoted(_plain(_from(folder, picture)))}\n".encode())
                except ValueError as error:  # UnicodeEncodeError is one: a name of other bytes
                    is_bytes = isinstance(error, UnicodeEncodeError)
                    left_out[picture] = "its name is no UTF-8" if is_bytes else printable(error)
    except OSError as error:
        raise SafireError(
            f"{printable(path)} cannot be written: {error.strerror or error}."
        ) from error
    return left_out


def _from(folder: Path, picture: Path) -> str:
    try:
        return Path(os.path.relpath(picture, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return picture.as_posix()


def _parse(line: str, folder: Path) -> ListEntry:
    """One entry; a ValueError says in a few words what is wrong with the line."""
    try:
        fields = next(csv.reader([line], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(f"the quotes do not match ({error})") from error
    fields = [field.strip() for field in fields]
    if len(fields) < 2:
        raise ValueError(f"{brief(line.strip())!r} has one field, `image,mask` are needed")
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
        raise ValueError(f"{brief(os.fspath(name))!r} leads out of the root folder {folder}")
    return whole


def _relative(file: Path, folder: Path) -> str:
    return _plain(path_inside(file, folder).relative_to(folder).as_posix())


def _plain(name: str) -> str:
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
