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

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from napari_safire.atomic import remove_leftovers
from napari_safire.corpus.naming import result_base
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.files import is_picture_file
from napari_safire.images.list_text import LIST_SUFFIXES, list_root, looks_like_list, read_text
from napari_safire.images.lists import ListEntry, enumerated, read_list
from napari_safire.images.mask_pairs import find_folder_pairs, is_source_mask_name, pair_pictures
from napari_safire.images.masks import UNASSIGNED, GroundTruth
from napari_safire.images.reading import ReadImage, read_image
from napari_safire.images.records.completeness import why_incomplete
from napari_safire.images.records.head import SOURCES_FORMAT, read_record, record_format
from napari_safire.images.records.replacing import record_sha256
from napari_safire.images.records.results import RecordedResults, read_results
from napari_safire.images.truth import read_label_truth, read_truth
from napari_safire.text import printable

EntryState = Literal["untouched", "begun", "done"]
STATES: tuple[EntryState, ...] = get_args(EntryState)

_Signature = tuple[int, int, int]


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
class EntryContents:
    """A picture with what was made of it.

    Parameters
    ----------
    image : ReadImage
    labels : (H, W) uint8 array or None
        Sources from 1, 0 where there is none; None if nothing was made yet, or if the mask is not
        the record's.
    results : RecordedResults or None
        The record with its annotation and prompts; None if there is none.
    record_sha256 : str or None
        Of the record as it was read; None if there is none.
    warnings : tuple of str
        In plain sentences.
    """

    image: ReadImage
    labels: npt.NDArray[np.uint8] | None = None
    results: RecordedResults | None = None
    record_sha256: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PictureQueue:
    """The pictures of a folder or of a list file. Make one with `open`.

    Parameters
    ----------
    base : Path
        The folder that all pictures lie in or below.
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
            lie beside them. A file: a list, in its own order.
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
            base, (pictures, notes) = path, _pictures_in(path)
            listed = _paired(path)
        else:
            base, listed = _read_pictures(path)
            pictures, notes = tuple(listed), ()
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
        names: dict[Path, frozenset[str]] = {}
        found = []
        for picture in self.pictures:
            target = self.output / picture.relative_to(self.base)
            folder = target.parent
            if folder not in names:
                names[folder] = _names_in(folder)
            base = result_base(target.name)
            mask = target.with_name(f"{base}_sources.png")
            record = target.with_name(f"{base}.json")
            state: EntryState = "untouched"
            if record.name in names[folder]:
                state = self._state(record)
            elif mask.name in names[folder]:
                state = "begun"
            listed = self.listed.get(picture)
            given = None if listed is None else listed.mask
            found.append(QueueEntry(picture, mask, record, state, given))
        return tuple(found)

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


def following(
    entries: Sequence[QueueEntry], position: int, states: Collection[EntryState] = STATES
) -> int | None:
    """Find the next picture in one of some states.

    Parameters
    ----------
    entries : sequence of QueueEntry
    position : int
        It itself is not considered; -1 to begin with the first.
    states : collection of {"untouched", "begun", "done"}

    Returns
    -------
    int or None
        None behind the last.

    Examples
    --------
    >>> states = ("done", "begun", "done")
    >>> entries = [QueueEntry(Path("a"), Path("b"), Path("c"), state) for state in states]
    >>> following(entries, 0, ["done"]), preceding(entries, 1, ["begun"])
    (2, None)
    """
    wanted = range(max(0, position + 1), len(entries))
    return next((n for n in wanted if entries[n].state in states), None)


def preceding(
    entries: Sequence[QueueEntry], position: int, states: Collection[EntryState] = STATES
) -> int | None:
    """Find the previous picture in one of some states; see `following`."""
    wanted = range(min(len(entries), position) - 1, -1, -1)
    return next((n for n in wanted if entries[n].state in states), None)


def count_states(entries: Sequence[QueueEntry]) -> dict[EntryState, int]:
    """Count the pictures in each state, also those that none is in."""
    return {state: sum(entry.state == state for entry in entries) for state in STATES}


def read_entry(entry: QueueEntry) -> EntryContents:
    """Read a picture with what was made of it, or with the mask that came with it.

    Parameters
    ----------
    entry : QueueEntry

    Returns
    -------
    EntryContents

    Raises
    ------
    ImageReadError
        If the picture or a mask cannot be read.
    DatasetError
        If the mask or the record is damaged, or does not fit the picture. They are not taken for
        missing: work would then begin anew and replace them.
    """
    if entry.state == "untouched":
        image = read_image(entry.picture)
        if entry.given is None:
            return EntryContents(image, warnings=image.warnings)
        given = ListEntry(image.path, entry.given)
        return _from_mask(image, read_label_truth(given, shape=image.pixels.shape[:2]))
    if not entry.record.exists():
        image = read_image(entry.picture)
        truth = read_truth(
            ListEntry(image.path, entry.mask),
            "sources",
            shape=image.pixels.shape[:2],
            unassigned=UNASSIGNED,
        )
        told = (
            f"{printable(entry.mask.name)} has no record: it is taken as a beginning, and nobody "
            "has said that it is complete."
        )
        return _from_mask(image, replace(truth, warnings=(*truth.warnings, told)))
    refuse_foreign_record(entry)
    digest = record_sha256(entry.record)
    results = read_results(entry.record)
    image = results.image or read_image(entry.picture)
    if image.path != entry.picture:  # the record found the picture elsewhere
        image = read_image(entry.picture)
    labels_read = None
    if results.labels is not None:
        _refuse_other_size(results.labels.shape, image, entry.record)
        if results.labels.max() > np.iinfo(np.uint8).max:
            raise DatasetError(
                f"The labels of {printable(entry.record)} reach up to {results.labels.max()}: "
                "number them anew, from 1."
            )
        labels = results.labels.astype(np.uint8)
        labels_read = labels if results.first else _from_one(labels)
    return EntryContents(image, labels_read, results, digest, _warnings(image, results, entry))


def refuse_foreign_record(entry: QueueEntry) -> None:
    """Raise if what lies at the place of the record is not one: it must not be replaced.

    Parameters
    ----------
    entry : QueueEntry

    Raises
    ------
    DatasetError
    """
    if entry.record.exists() and record_format(entry.record) != SOURCES_FORMAT:
        raise DatasetError(
            f"{printable(entry.record)} is damaged, or no record of labels: move it away, or "
            "choose another folder for the masks."
        )


def _pictures_in(folder: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Pictures of a folder, and what is to be said of those that were left out."""
    pair = next((pair for pair in find_folder_pairs(folder) if pair.masks == folder), None)
    if pair is not None:
        raise DatasetError(f"{folder} holds the masks of {pair.images}: open that folder.")
    try:
        names = [
            file.name
            for file in os.scandir(folder)
            if file.is_file() and not file.name.startswith(".") and is_picture_file(file.path)
        ]
    except OSError as error:
        raise DatasetError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    owners = {owner for name in names for owner in (name, Path(name).stem)}
    pictures = [folder / name for name in names if not _is_mask_of(name, owners)]
    if not pictures:
        raise DatasetError(
            f"There are no pictures in the folder {folder} itself: choose one that holds them."
        )
    masks = sorted(printable(name) for name in names if folder / name not in set(pictures))
    notes: tuple[str, ...] = ()
    if masks:
        what = (
            "1 file was taken for a mask"
            if len(masks) == 1
            else f"{len(masks)} files were taken for masks"
        )
        notes = (f"{printable(folder)}: {what} and left out: {enumerated(masks)}.",)
    return tuple(sorted(pictures, key=_natural)), notes


def _is_mask_of(name: str, owners: Collection[str]) -> bool:
    """Whether a file is called the mask of another: ``gas_mask.jpg`` alone is a picture."""
    # Only the name counts here, not that of the folders.
    looks_like_mask = is_source_mask_name(Path(os.sep, name))
    return looks_like_mask and Path(name).stem.rpartition("_")[0] in owners


def _natural(picture: Path) -> tuple[list[tuple[bool, int, str]], str]:
    parts = re.split(r"(\d+)", picture.name.casefold())
    keys = [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
    return keys, picture.name


def _paired(folder: Path) -> dict[Path, ListEntry]:
    pair = next((pair for pair in find_folder_pairs(folder) if pair.images == folder), None)
    if pair is None:
        return {}
    try:
        return {entry.image: entry for entry in pair_pictures(pair).entries}
    except DatasetError:  # no picture has a mask yet
        return {}


def _read_pictures(path: Path) -> tuple[Path, dict[Path, ListEntry]]:
    if not looks_like_list(path):
        if path.suffix.lower() in LIST_SUFFIXES and not read_text(path).strip():  # or says why not
            raise DatasetError(f"{path} has no entries: there is nothing in it to work with.")
        raise DatasetError(
            f"{path} is neither a folder nor a list file: choose a folder of pictures, or a text "
            "file with lines `image,mask` or `image,None`."
        )
    base = list_root(path)
    listed: dict[Path, ListEntry] = {}
    for entry in read_list(path, base):
        listed.setdefault(entry.image, entry)
    return base, listed


def _names_in(folder: Path) -> frozenset[str]:
    try:
        names = frozenset(os.listdir(folder))
        remove_leftovers(folder, names)  # of a save that was killed
        return names
    except (FileNotFoundError, NotADirectoryError):  # made, or refused, when something is saved
        return frozenset()
    except OSError as error:
        raise DatasetError(
            f"The folder {folder} cannot be read: {error.strerror}; choose another one for the "
            "masks."
        ) from error


def _recorded_state(record: Path) -> EntryState:
    try:
        return "begun" if why_incomplete(read_record(record)) else "done"
    except SafireError:  # told when the picture is opened
        return "begun"


def _from_mask(image: ReadImage, truth: GroundTruth) -> EntryContents:
    labels = _from_one(truth.labels)
    return EntryContents(image, labels, warnings=(*image.warnings, *truth.warnings))


def _from_one(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.where(labels == UNASSIGNED, 0, labels + 1).astype(np.uint8)


def _refuse_other_size(shape: tuple[int, ...], image: ReadImage, file: Path) -> None:
    if shape != image.pixels.shape[:2]:
        raise DatasetError(
            f"The labels of {printable(file)} do not have the {image.pixels.shape[0]} x "
            f"{image.pixels.shape[1]} pixels of {printable(image.path)}: they are of another "
            "picture. Move them away to begin anew."
        )


def _warnings(image: ReadImage, results: RecordedResults, entry: QueueEntry) -> tuple[str, ...]:
    # What they say of the picture is said by `image`, and below.
    told = (*image.warnings, *results.warnings[: results.n_label_warnings])
    expected = results.record["image"].get("file_sha256")
    if expected in (None, image.sha256):
        return told
    return (
        *told,
        f"{printable(entry.picture.name)} is another file than the one its labels were made on "
        f"(SHA-256 {image.sha256[:12]}…, not {str(expected)[:12]}…): look whether they fit.",
    )
