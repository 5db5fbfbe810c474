"""What a model may learn from: a list file, or the pictures of a queue that are done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from napari_safire.corpus.queue import PictureQueue, QueueEntry
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.list_text import list_root
from napari_safire.images.lists import ListEntry, enumerated, list_folder, read_lines, write_list
from napari_safire.images.masks import MaskKind
from napari_safire.images.records.completeness import why_incomplete, why_no_mask
from napari_safire.images.records.head import read_record
from napari_safire.images.truth import kind_of_masks as kind_of_masks
from napari_safire.text import printable


@dataclass(frozen=True, slots=True)
class LearningList:
    """A list of pictures and masks, as a fine-tuning wants to have it.

    Parameters
    ----------
    path : Path
    root : Path
        The folder that its paths are relative to.
    kind : {"sources", "binary"} or None
        What its masks say; None where that cannot be told.
    pictures : int
    left_out : tuple of str
        Which pictures of a queue are not in it, and why, in plain sentences.
    """

    path: Path
    root: Path
    kind: MaskKind | None
    pictures: int
    left_out: tuple[str, ...] = ()


def look_at_list(path: str | os.PathLike[str]) -> LearningList:
    """Find out what a list holds.

    Whether its files exist is not looked at: a fine-tuning leaves out those that do not.

    Raises
    ------
    DatasetError
        It cannot be read, breaks the format, or is empty.
    """
    path = Path(os.path.abspath(path))
    list_folder(path)  # says so where the folder is gone
    root = list_root(path)
    entries = read_lines(path, root)
    if not entries:
        raise DatasetError(f"{path} has no entries: there is nothing to learn from.")
    return LearningList(path, root, kind_of_masks(entries), len(entries))


def write_done_list(queue: PictureQueue, path: Path) -> LearningList:
    """Write a list of the pictures of a queue that are done, with the masks made of them.

    Only what a person has said to be complete is learned from: see `why_not_learned`. The third
    field of the list that the queue was opened with is kept. Folders are not taken for groups:
    untouched and forged versions of one photograph often lie in two, see
    `napari_safire.datasets.groups`.

    Parameters
    ----------
    queue : PictureQueue
    path : Path
        The list file; its folder is made if need be.

    Raises
    ------
    DatasetError
        No picture is done, or the queue cannot be looked through.
    SafireError
        The list cannot be written.
    """
    root = done_list_root(queue)
    entries, left_out = [], []
    for entry in queue.entries():
        if entry.state == "untouched":
            continue
        reason = why_not_learned(entry)
        if reason:
            left_out.append(f"{printable(entry.picture.name)}: {reason}.")
        else:
            entries.append(ListEntry(entry.picture, entry.mask, queue.extra(entry.picture)))
    if not entries:
        why = f" ({enumerated([text.rstrip('.') for text in left_out])})" if left_out else ""
        raise DatasetError(f"No picture of the queue is done: there is nothing to learn from{why}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_list(path, entries, root)
    except OSError as error:
        raise SafireError(
            f"The list {path} cannot be written ({error.strerror}): choose another folder."
        ) from error
    return LearningList(path, root, "sources", len(entries), tuple(left_out))


def why_not_learned(entry: QueueEntry) -> str:
    """Why a picture of a queue is not learned from.

    Its record has to be complete: done, with a source for every pixel, and with more than one of
    them unless somebody has said that the picture is authentic. The mask has to be the one that the
    record was saved with.

    Parameters
    ----------
    entry : QueueEntry

    Returns
    -------
    str
        As the end of a sentence about it; empty for one that is learned from.
    """
    if not entry.record.is_file():
        return "its mask has no record, so nobody has said that it is complete"
    try:
        record = read_record(entry.record)
        return why_incomplete(record) or why_no_mask(record, entry.mask)
    except DatasetError as error:
        return str(error).rstrip(".")


def done_list_root(queue: PictureQueue) -> Path:
    """Return the folder that holds both the pictures of a queue and its masks.

    Raises
    ------
    DatasetError
        There is none: they lie on two drives.
    """
    try:
        below = os.path.join(queue.base, "")
        elsewhere = [p.parent for p in queue.pictures if not os.fspath(p).startswith(below)]
        return Path(os.path.commonpath([queue.base, queue.output, *elsewhere]))
    except ValueError as error:
        raise DatasetError(
            f"{queue.base} and {queue.output} have no folder in common, so no list can name "
            "both: keep the masks on the drive of the pictures."
        ) from error
