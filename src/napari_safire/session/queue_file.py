"""What lies on disk of a picture of a queue: read, compared with what was made since, and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_safire.annotation.annotation import MOST_SOURCES, Annotation, Labels, Mask, SourcePrompt
from napari_safire.annotation.codec import decode_annotation
from napari_safire.annotation.completeness import Completeness, completeness
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.annotation.recorded import ANNOTATED
from napari_safire.annotation.saving import Saved, save_labels
from napari_safire.corpus.queue import (
    EntryContents,
    EntryState,
    PictureQueue,
    QueueEntry,
    read_entry,
    refuse_foreign_record,
)
from napari_safire.errors import DatasetError, SafireError, sentence
from napari_safire.geometry import inside
from napari_safire.images.records.head import FROM_ONE
from napari_safire.images.records.replacing import record_sha256
from napari_safire.text import printable
from napari_safire.types import PointPrompt


class NotDone(SafireError):
    """A picture cannot be saved as done, and why.

    Parameters
    ----------
    text : str
    missing : Completeness
    """

    def __init__(self, text: str, missing: Completeness) -> None:
        super().__init__(text)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Mark:
    """What the user says of the picture that is to be saved as done.

    Parameters
    ----------
    authentic : bool
        All of it is one source, and nothing was put into it.
    else_begun : bool
        It is saved in any case: as begun, if it is not complete.
    """

    authentic: bool = False
    else_begun: bool = False


@dataclass(eq=False)
class QueueFile:
    """Mask and record of a picture, as they were read or written last.

    Whoever saves it twice does so in one thread: each time must know of the one before.

    Parameters
    ----------
    entry : QueueEntry
    made : AnnotatedPlane
        What the record holds; nothing, if there is none.
    record_sha256 : str or None
    state : {"untouched", "begun", "done"}
    authentic : bool
        Somebody has said that all of it is one source.
    is_whole : bool
        False: the mask beside the record is not the one that it was saved with.
    """

    entry: QueueEntry
    made: AnnotatedPlane
    record_sha256: str | None = None
    state: EntryState = "untouched"
    authentic: bool = False
    is_whole: bool = True

    @property
    def name(self) -> str:
        """The picture's file name, for sentences."""
        return printable(self.entry.picture.name)

    def save(
        self,
        annotation: Annotation,
        predictions: Predictions,
        about: Mapping[str, Any],
        mark: Mark | None = None,
    ) -> Saved | None:
        """Write mask and record, where they would say something new.

        Parameters
        ----------
        annotation : Annotation
        predictions : Predictions
            Of the model that is in use. What another model said once stays, until this one has said
            something.
        about : mapping
            What is known of picture and model, for the record.
        mark : Mark, optional
            The picture is to be saved as done.

        Returns
        -------
        Saved or None
            None where the files say all of it already.

        Raises
        ------
        NotDone
            It is no complete annotation.
        SafireError
            The files cannot be written, or are others' by now.
        """
        made = self._made_of(annotation, predictions)
        changed = annotation != self.made.annotation or self._says_more(made.predictions)
        on_disk = record_sha256(self.entry.record)
        is_removed = self.record_sha256 is not None and (on_disk is None or self._lacks_mask())
        is_said = mark is None or (on_disk == self.record_sha256 and self._is_marked(mark))
        if is_said and not changed and not is_removed:
            return None
        authentic, state = self.authentic and not changed, self.state
        if mark is None:
            state = "begun" if changed else state
        else:
            state = "done"
            authentic = mark.authentic or authentic
            try:
                _refuse_undone(annotation, authentic)
            except NotDone:
                if not mark.else_begun:
                    raise
                return self.save(annotation, predictions, about)
        # What was removed is written anew; what others have put there meanwhile is not replaced.
        expected = None if on_disk is None else self.record_sha256
        saved = self._write(made, dict(about) | {"state": state, "authentic": authentic}, expected)
        self.made, self.record_sha256 = made, saved.record_sha256
        self.state, self.authentic, self.is_whole = state, authentic, True
        return saved

    def _made_of(self, annotation: Annotation, predictions: Predictions) -> AnnotatedPlane:
        says = predictions.forgery or predictions.partition
        said = predictions if says else self.made.predictions
        known = replace(said, confidences=predictions.confidences)
        return AnnotatedPlane(annotation, known.of(annotation))

    def _is_marked(self, mark: Mark) -> bool:
        """Whether the record says already what is to be said, and its mask is there."""
        said = self.authentic or not mark.authentic
        return self.state == "done" and self.is_whole and said

    def _says_more(self, predictions: Predictions) -> bool:
        """Whether a model has said something new of a picture that was saved before."""
        if self.record_sha256 is None:
            return False
        before = self.made.predictions
        new_map = predictions.forgery is not None and predictions.forgery is not before.forgery
        return new_map or (
            predictions.partition is not None and predictions.partition != before.partition
        )

    def _lacks_mask(self) -> bool:
        """Whether the labels that lay beside the record are gone."""
        record = self.entry.record
        as_they_are = record.with_name(f"{record.stem}_labels.tif")
        return self.is_whole and not (self.entry.mask.exists() or as_they_are.exists())

    def _write(self, made: AnnotatedPlane, about: dict[str, Any], expected: str | None) -> Saved:
        entry = self.entry
        refuse_foreign_record(entry)
        try:
            entry.record.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SafireError(
                f"The folder {printable(entry.record.parent)} cannot be made ({error.strerror}): "
                "choose another one for the masks."
            ) from error
        attributes = {
            "name": f"{entry.picture.name}: sources",
            "metadata": {"napari_safire": about | {"numbering": FROM_ONE, ANNOTATED: {(): made}}},
        }
        labels = _shown_for_good(made.annotation)
        return save_labels(entry.record, labels, attributes, expected)


@dataclass(frozen=True, slots=True, eq=False)
class FoundPicture:
    """What was read for a position in a queue; a problem instead of a picture.

    Parameters
    ----------
    queue : PictureQueue
    entries : tuple of QueueEntry
    position : int
        In `entries`.
    contents : EntryContents or None
    file : QueueFile or None
        None where `contents` is.
    problem : str
        Why it cannot be opened; empty where it can.
    warnings : tuple of str
    """

    queue: PictureQueue
    entries: tuple[QueueEntry, ...]
    position: int
    contents: EntryContents | None = None
    file: QueueFile | None = None
    problem: str = ""
    warnings: tuple[str, ...] = ()


def find_picture(queue: PictureQueue, position: int) -> FoundPicture:
    """Look through a queue, and read one of its pictures with what was made of it.

    Parameters
    ----------
    queue : PictureQueue
    position : int
        From 0.

    Returns
    -------
    FoundPicture

    Raises
    ------
    DatasetError
        The queue cannot be looked through.
    """
    entries = queue.entries()
    try:
        contents = read_entry(entries[position])
        file, told = _file_of(entries[position], contents)
    except (SafireError, MemoryError) as error:
        return FoundPicture(queue, entries, position, problem=sentence(error))
    return FoundPicture(queue, entries, position, contents, file, warnings=contents.warnings + told)


def one_source(labels: Labels, protected: Mask) -> Labels:
    """Give all of a picture to one source, unless something else is marked in it."""
    first = labels.flat[0]
    if (labels == first).all():
        return np.full_like(labels, first or 1)
    return labels


def _file_of(entry: QueueEntry, contents: EntryContents) -> tuple[QueueFile, tuple[str, ...]]:
    """What is on disk of a picture, and what is to be said of it."""
    height, width = contents.image.pixels.shape[:2]
    shape, results = (height, width), contents.results
    made = AnnotatedPlane(_annotation_of_labels(contents, shape))
    told: tuple[str, ...] = ()
    if results is None:
        return QueueFile(entry, made, state=entry.state), told
    if results.annotations:
        try:
            made = decode_annotation(results.annotations[0], shape)
        except DatasetError as error:
            if contents.labels is None:
                raise
            told = (f"{error} Only the labels of its mask are opened.",)
    return QueueFile(
        entry,
        made,
        contents.record_sha256,
        entry.state,
        results.record.get("layer", {}).get("authentic") is True,
        contents.labels is not None,
    ), told


def _annotation_of_labels(contents: EntryContents, shape: tuple[int, int]) -> Annotation:
    """What a mask alone, or a record of the first format, says of a picture."""
    annotation = Annotation.empty(shape)
    if contents.labels is not None:
        annotation = replace(annotation, settled=PackedLabels.pack(contents.labels))
    if contents.results is None:
        return annotation
    prompts = tuple(
        SourcePrompt(PointPrompt(p.row, p.col), p.source, p.role == "exclude", p.live)
        for p in contents.results.prompts
        if 1 <= p.source <= MOST_SOURCES and inside(shape, (p.row, p.col))
    )
    return replace(annotation, prompts=prompts)


def _shown_for_good(annotation: Annotation) -> Labels:
    """Labels for the mask: with the preview, unless that stands in for a result yet to come."""
    lasting = annotation.commit() if annotation.is_answered else annotation
    labels: Labels = lasting.settled.unpack()
    return labels


def _refuse_undone(annotation: Annotation, authentic: bool) -> None:
    """Raise `NotDone` unless a picture is complete, and authentic if that is said."""
    found = completeness(_shown_for_good(annotation))
    if not annotation.is_answered:
        raise NotDone("Prompts still wait for their regions.", found)
    if authentic and (found.n_sources != 1 or found.n_unassigned):
        raise NotDone(
            f"{found.n_sources} sources are marked in it: take them back first, or it is not "
            "authentic.",
            Completeness(0, found.n_sources),
        )
    if not found.n_sources:
        raise NotDone(
            "Nothing is marked: give every pixel a source, or say that it is authentic.",
            Completeness(0, 0),
        )
    if found.n_unassigned:
        raise NotDone(f"{found.n_unassigned:,} pixels have no source.", found)
    if found.n_sources == 1 and not authentic:
        raise NotDone('All of it is one source: press "Authentic, next" if that is meant.', found)
