"""What lies on disk of one picture of a queue: the picture, its mask and its record, read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_safire.corpus.queue import QueueEntry
from napari_safire.errors import DatasetError
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import UNASSIGNED, GroundTruth
from napari_safire.images.reading import ReadImage, read_image
from napari_safire.images.records.head import SOURCES_FORMAT, record_format
from napari_safire.images.records.replacing import record_sha256
from napari_safire.images.records.results import RecordedResults, read_results
from napari_safire.images.truth import read_label_truth, read_truth
from napari_safire.text import printable


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
        labels_read = labels if results.first else from_one(labels)
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


def _from_mask(image: ReadImage, truth: GroundTruth) -> EntryContents:
    labels = from_one(truth.labels)
    return EntryContents(image, labels, warnings=(*image.warnings, *truth.warnings))


def from_one(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Number sources from 1, as annotations do, that a mask numbers from 0.

    Parameters
    ----------
    labels : (H, W) uint8 array
        255 where there is no source.

    Returns
    -------
    (H, W) uint8 array
        0 where there is no source.
    """
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
