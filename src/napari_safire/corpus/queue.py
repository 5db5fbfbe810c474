"""A queue: pictures to be labelled one after the other, and how far each of them is.

What was made of a picture lies in the output folder, under the picture's whole file name, so that
``a.jpg`` and ``a.png`` do not share a mask; folders below the queue's own are mirrored there::

    photos/a.jpg  ->  photos_masks/a.jpg.json          record: the whole annotation, hashes, state
                      photos_masks/a.jpg_sources.png   mask in SafireMS encoding

These are the files that the plugin's writer makes. There is no other book: how far a picture is, is
read from the record. What the record holds counts; the mask is there for other programs, and is
believed where it is the one that the record was saved with.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from napari_safire.atomic import remove_leftovers
from napari_safire.corpus.inputs.tables import names_pictures, read_table
from napari_safire.corpus.naming import result_base
from napari_safire.decoding.names import is_picture_name
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.files import is_picture_file
from napari_safire.images.list_text import LIST_SUFFIXES, list_root, looks_like_list, read_text
from napari_safire.images.lists import ListEntry, enumerated, read_list
from napari_safire.images.mask_pairs import (
    FolderPair,
    find_folder_pairs,
    is_source_mask_name,
    pair_pictures,
)
from napari_safire.images.records.completeness import why_incomplete
from napari_safire.images.records.head import read_record
from napari_safire.text import printable

EntryState = Literal["untouched", "begun", "done"]
STATES: tuple[EntryState, ...] = get_args(EntryState)

_Signature = tuple[int, int, int]
_ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One picture of a queue.

    Parameters
    ----------
    picture : Path
    mask, record : Path
        Where what was made of it lies, or will lie.
    state : {"untouched", "begun", "done"}
        "untouched": there is neither mask nor record. "done": the record says so, and every pixel
        has a source (or it says that the picture is authentic). "begun": anything else, among it a
        mask without a record, which nobody has said to be complete.
    given : Path or None
        The mask that came with the picture. It is where the work begins, and is never written to.
    """

    picture: Path
    mask: Path
    record: Path
    state: EntryState
    given: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PictureQueue:
    """The pictures of a folder, a list file or a table. Make one with `open`.

    Parameters
    ----------
    base : Path
        The folder that all pictures lie in or below; those of a manifest may lie elsewhere.
    pictures : tuple of Path
        As they were found when the queue was opened.
    output : Path
        The folder of masks and records; need not exist.
    listed : mapping of Path to ListEntry
        What a list, or the folder of masks beside that of the pictures, says of them.
    notes : tuple of str
        Which files of the folder were left out, in plain sentences.
    """

    base: Path
    pictures: tuple[Path, ...]
    output: Path
    listed: Mapping[Path, ListEntry] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    _known: dict[Path, tuple[_Signature, EntryState]] = field(
        default_factory=dict, repr=False, init=False
    )

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
    ) -> PictureQueue:
        """Find the pictures of a folder, or of a list file.

        Parameters
        ----------
        path : path-like
            A folder: the pictures directly in it in natural order (2 before 10), without masks that
            lie beside them. A file: a list or a table of paths, in its own order.
        output : path-like, optional
            Default: ``<folder>_masks`` or ``<list>_masks``, beside it.

        Returns
        -------
        PictureQueue

        Raises
        ------
        DatasetError
            If it cannot be read or holds no pictures.
        """
        path = Path(os.path.abspath(path))
        if path.is_dir():
            pairs = find_folder_pairs(path)
            base, (pictures, notes) = path, _pictures_in(path, pairs)
            listed = _paired(path, pairs)
        else:
            base, listed, notes = _read_pictures(path)
            pictures = tuple(listed)
        if output is None:
            output = path.parent / f"{path.name if path.is_dir() else path.stem}_masks"
        return cls(base, pictures, Path(os.path.abspath(output)), MappingProxyType(listed), notes)

    def entries(self) -> tuple[QueueEntry, ...]:
        """Look up how far each picture is.

        Records that have not changed since the last time are not read again.

        Returns
        -------
        tuple of QueueEntry
            In the order of `pictures`.

        Raises
        ------
        DatasetError
            If the output folder may not be looked into.
        """
        states = self.states().values()
        pairs = zip(self.pictures, states, strict=True)
        return tuple(replace(self.place(picture), state=state) for picture, state in pairs)

    def states(self) -> dict[str, EntryState]:
        """As `entries`, but only how far each picture is, by its `key`.

        Of 100,000 pictures of which nothing was made, this takes a tenth of a second.
        """
        names: dict[str, frozenset[str]] = {}
        above = os.path.join(self.base, "")
        found: dict[str, EntryState] = {}
        for picture in self.pictures:
            key = _key(os.fspath(picture), above)
            folder, name = os.path.split(key)
            if folder not in names:
                names[folder] = _names_in(self.output / folder)
            there = names[folder]
            base = result_base(name) if there else ""
            if base and f"{base}.json" in there:
                found[key] = self._state(self.output / folder / f"{base}.json")
            elif base and f"{base}_sources.png" in there:
                found[key] = "begun"
            else:
                found[key] = "untouched"
        return found

    def entry(self, picture: Path) -> QueueEntry:
        """Look up how far one picture is; what others have done to the rest is not noticed.

        Parameters
        ----------
        picture : Path
            One of `pictures`.
        """
        entry = self.place(picture)
        if os.path.exists(entry.record):
            return replace(entry, state=self._state(entry.record))
        return replace(entry, state="begun") if os.path.exists(entry.mask) else entry

    def key(self, picture: Path) -> str:
        """Return what names a picture: its path below `base`, or a longer one if it lies elsewhere.

        What is made of it lies at this path below `output`.
        """
        return _key(os.fspath(picture), os.path.join(self.base, ""))

    def place(self, picture: Path) -> QueueEntry:
        """Return where what is made of a picture lies, as if nothing was made yet."""
        target = self.output / self.key(picture)
        base = result_base(target.name)
        listed = self.listed.get(picture)
        return QueueEntry(
            picture,
            target.with_name(f"{base}_sources.png"),
            target.with_name(f"{base}.json"),
            "untouched",
            None if listed is None else listed.mask,
        )

    def extra(self, picture: Path) -> tuple[str, ...]:
        """Return the further fields of a picture's line in the list that names it."""
        listed = self.listed.get(picture)
        return () if listed is None else listed.extra

    def _state(self, record: Path) -> EntryState:
        try:
            stat = record.stat()
        except OSError:  # removed a moment ago
            return "begun"
        signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._known.get(record)
        if known is None or known[0] != signature:
            known = self._known[record] = signature, _recorded_state(record)
        return known[1]


def _key(picture: str, above: str) -> str:
    """The path of a picture below a folder; of another one all folders that it lies in."""
    if picture.startswith(above):
        return picture[len(above) :]
    drive, rest = os.path.splitdrive(picture)
    return os.path.join(_ELSEWHERE, *filter(None, re.split(r"[:\\/]+", drive)), rest.lstrip("\\/"))


def _pictures_in(
    folder: Path, pairs: Sequence[FolderPair]
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Pictures of a folder, and what is to be said of those that were left out."""
    pair = next((pair for pair in pairs if pair.masks == folder), None)
    if pair is not None:
        raise DatasetError(f"{folder} holds the masks of {pair.images}: open that folder.")
    try:
        names = [
            file.name
            for file in os.scandir(folder)
            if file.is_file()
            and not file.name.startswith(".")
            and (is_picture_name(file.name) or is_picture_file(file.path))
        ]
    except OSError as error:
        raise DatasetError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    masks = _masks_among(names)
    pictures = sorted((name for name in names if name not in masks), key=_natural)
    if not pictures:
        raise DatasetError(
            f"There are no pictures in the folder {folder} itself: choose one that holds them."
        )
    notes: tuple[str, ...] = ()
    if masks:
        what = (
            "1 file was taken for a mask"
            if len(masks) == 1
            else f"{len(masks)} files were taken for masks"
        )
        notes = (
            f"{printable(folder)}: {what} and left out: "
            f"{enumerated(sorted(map(printable, masks)))}.",
        )
    return tuple(folder / name for name in pictures), notes


def _masks_among(names: Sequence[str]) -> set[str]:
    """Names that are called the mask of another: ``gas_mask.jpg`` alone is a picture."""
    # Only the name counts here, not that of the folders.
    named = [name for name in names if is_source_mask_name(os.path.join(os.sep, name))]
    if not named:
        return set()
    owners = {owner for name in names for owner in (name, os.path.splitext(name)[0])}
    return {name for name in named if Path(name).stem.rpartition("_")[0] in owners}


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    parts = re.split(r"(\d+)", name.casefold())
    keys = [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
    return keys, name


def _paired(folder: Path, pairs: Sequence[FolderPair]) -> dict[Path, ListEntry]:
    pair = next((pair for pair in pairs if pair.images == folder), None)
    if pair is None:
        return {}
    try:
        return {entry.image: entry for entry in pair_pictures(pair).entries}
    except DatasetError:  # no picture has a mask yet
        return {}


def _read_pictures(path: Path) -> tuple[Path, dict[Path, ListEntry], tuple[str, ...]]:
    if names_pictures(path):
        return _named_pictures(path)
    if not looks_like_list(path):
        if not path.exists():
            raise DatasetError(f"{printable(path)} does not exist: check its name and folder.")
        if path.suffix.lower() in LIST_SUFFIXES and not read_text(path).strip():  # or says why not
            raise DatasetError(f"{path} has no entries: there is nothing in it to work with.")
        raise DatasetError(
            f"{path} is neither a folder nor a list file: choose a folder of pictures, or a text "
            "file with lines `image,mask` or `image,None`, or with a column `path`."
        )
    base = list_root(path)
    listed: dict[Path, ListEntry] = {}
    for entry in read_list(path, base):
        listed.setdefault(entry.image, entry)
    return base, listed, ()


def _named_pictures(path: Path) -> tuple[Path, dict[Path, ListEntry], tuple[str, ...]]:
    """Pictures of a table of paths, which lie below its folder, with the masks that it names."""
    problems: list[str] = []
    listed: dict[Path, ListEntry] = {}
    for entry in read_table(path, problems) or ():
        listed.setdefault(entry.image, entry)
    if not listed:
        why = problems[0] if problems else "there is nothing to work with."
        raise DatasetError(f"{printable(path)} names no pictures below its folder: {why}")
    notes = (f"{printable(path)}: {enumerated(problems)}",) if problems else ()
    return path.parent, listed, notes


def _names_in(folder: Path) -> frozenset[str]:
    try:
        names = frozenset(os.listdir(folder))
        remove_leftovers(folder, names)  # of a save that was killed
        return names
    except (FileNotFoundError, NotADirectoryError):  # made, or refused, when something is saved
        return frozenset()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # of a picture that nobody can have
            return frozenset()
        raise DatasetError(
            f"The folder {folder} cannot be read: {error.strerror}; choose another one for the "
            "masks."
        ) from error


def _recorded_state(record: Path) -> EntryState:
    try:
        return "begun" if why_incomplete(read_record(record)) else "done"
    except SafireError:  # told when the picture is opened
        return "begun"
