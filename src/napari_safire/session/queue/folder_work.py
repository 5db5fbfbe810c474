"""What lies beside a picture of a folder: read, compared with what was made since, and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_safire.annotation.annotation import MOST_SOURCES, Annotation, SourcePrompt
from napari_safire.annotation.codec import decode_annotation
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.annotation.recorded import ANNOTATED
from napari_safire.annotation.saving import Saved, save_labels
from napari_safire.corpus.queue import EntryState, QueueEntry
from napari_safire.corpus.queue_files import EntryContents, read_entry, refuse_foreign_record
from napari_safire.errors import DatasetError, SafireError
from napari_safire.geometry import inside
from napari_safire.images.reading import ReadImage
from napari_safire.images.records.head import FROM_ONE
from napari_safire.images.records.replacing import RecordChanged, record_sha256
from napari_safire.project.truth import PictureDescription
from napari_safire.session.queue.changes import made_of, not_done, says_more, shown_for_good
from napari_safire.session.queue.store import Beginning, ChangedMeanwhile, Mark, NotDone
from napari_safire.text import printable
from napari_safire.types import PointPrompt


@dataclass(eq=False)
class FolderWork:
    """Mask and record of a picture, as they were read or written last; a `PictureWork`.

    Parameters
    ----------
    key : str
    entry : QueueEntry
    image : ReadImage
    made : AnnotatedPlane
        What the record holds; nothing, if there is none.
    warnings : tuple of str
    record_sha256 : str or None
    state : {"untouched", "begun", "done"}
    authentic : bool
        Somebody has said that all of it is one source.
    is_whole : bool
        False: the mask beside the record is not the one that it was saved with.
    """

    key: str
    entry: QueueEntry
    image: ReadImage
    made: AnnotatedPlane
    warnings: tuple[str, ...] = ()
    record_sha256: str | None = None
    state: EntryState = "untouched"
    authentic: bool = False
    is_whole: bool = True
    annotator: str = ""
    description: PictureDescription = field(default_factory=PictureDescription)
    keeps_steps: bool = False
    _theirs: FolderWork | None = None

    @property
    def name(self) -> str:
        """See `PictureWork`."""
        return printable(self.entry.picture.name)

    @property
    def path(self) -> Path:
        """See `PictureWork`."""
        return self.entry.picture

    @property
    def kept_at(self) -> Path:
        """See `PictureWork`: the record."""
        return self.entry.record

    @property
    def is_new(self) -> bool:
        """See `PictureWork`."""
        return self.state == "untouched"

    def is_current(self) -> bool:
        """See `PictureWork`."""
        return record_sha256(self.entry.record) == self.record_sha256

    def describe(self, description: PictureDescription) -> None:
        """See `PictureWork`."""
        raise SafireError(
            "Masks beside pictures hold no types and donors of sources: make a project of the "
            "folder."
        )

    def begin_from(self, beginning: Beginning) -> None:
        """See `PictureWork`; a record does not say it."""

    def keep(self, made: AnnotatedPlane, title: str, seconds: float) -> bool:
        """See `PictureWork`; the autosave keeps each step of it."""
        raise SafireError("Masks beside pictures keep no single steps.")

    def keep_mine(self, conflict: ChangedMeanwhile) -> str:
        """See `PictureWork`."""
        raise SafireError(
            f"{self.name} has one mask, so there is no second opinion: choose another folder for "
            "the masks."
        )

    def save(
        self,
        annotation: Annotation,
        predictions: Predictions,
        about: Mapping[str, Any],
        mark: Mark | None = None,
        seconds: float = 0.0,
    ) -> tuple[str, ...] | None:
        """See `PictureWork`: writes mask and record; the time is not kept."""
        if mark is not None and (mark.state != "done" or mark.reason):
            raise SafireError(
                f"{self.name} lies in a folder, whose masks are begun or done, without reasons: "
                "make a project of it to reject, accept or waive."
            )
        made = made_of(annotation, predictions, self.made)
        is_kept = self.record_sha256 is not None
        changed = annotation != self.made.annotation or (
            is_kept and says_more(made.predictions, self.made.predictions)
        )
        on_disk = record_sha256(self.entry.record)
        is_removed = is_kept and (on_disk is None or self._lacks_mask())
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
                refused = not_done(annotation, authentic)
                if refused is not None:
                    raise refused
            except NotDone:
                if not mark.else_begun:
                    raise
                return self.save(annotation, predictions, about)
        # What was removed is written anew; what others have put there meanwhile is not replaced.
        expected = None if on_disk is None else self.record_sha256
        saved = self._write(made, dict(about) | {"state": state, "authentic": authentic}, expected)
        self.made, self.record_sha256 = made, saved.record_sha256
        self.state, self.authentic, self.is_whole = state, authentic, True
        return self._told(saved, made, mark)

    def take_theirs(self, conflict: ChangedMeanwhile) -> None:
        """See `PictureWork`."""
        theirs = self._theirs
        if theirs is None:
            return
        self.made, self.record_sha256, self._theirs = theirs.made, theirs.record_sha256, None
        self.state, self.authentic, self.is_whole = theirs.state, theirs.authentic, theirs.is_whole

    def _is_marked(self, mark: Mark) -> bool:
        """Whether the record says already what is to be said, and its mask is there."""
        said = self.authentic or not mark.authentic
        return self.state == "done" and self.is_whole and said

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
        labels = shown_for_good(made.annotation)
        try:
            return save_labels(entry.record, labels, attributes, expected)
        except RecordChanged as error:
            raise self._changed(error) from error

    def _changed(self, error: RecordChanged) -> SafireError:
        """What to raise where somebody else has saved: with what they made, if that is readable."""
        if not self.entry.record.exists():
            return error
        try:
            theirs = read_work(self.key, replace(self.entry, state="begun"))
        except SafireError:  # what is wrong with it is told when it is opened
            return error
        self._theirs = theirs
        return ChangedMeanwhile(str(error), "", "", theirs.made)

    def _told(self, saved: Saved, made: AnnotatedPlane, mark: Mark | None) -> tuple[str, ...]:
        """What the user would not think of himself."""
        told = []
        if mark is not None and mark.authentic and made.predictions.forgery is None:
            told.append(f"{self.name} is marked authentic; it has no verdict of the model.")
        if not saved.in_mask:
            told.append(
                f"{self.name} has more sources than a mask holds: its labels are in "
                f"{printable(Path(saved.files[1]).name)}, and nothing is learned from it."
            )
        return tuple(told)


def read_work(key: str, entry: QueueEntry) -> FolderWork:
    """Read a picture of a folder or list with what lies beside it.

    Parameters
    ----------
    key : str
    entry : QueueEntry

    Returns
    -------
    FolderWork

    Raises
    ------
    SafireError
        The picture cannot be read, or something of it is damaged.
    """
    contents = read_entry(entry)
    height, width = contents.image.pixels.shape[:2]
    shape, results = (height, width), contents.results
    made = AnnotatedPlane(_annotation_of_labels(contents, shape))
    if results is None:
        return FolderWork(key, entry, contents.image, made, contents.warnings, state=entry.state)
    told: tuple[str, ...] = ()
    if results.annotations:
        try:
            made = decode_annotation(results.annotations[0], shape)
        except DatasetError as error:
            if contents.labels is None:
                raise
            told = (f"{error} Only the labels of its mask are opened.",)
    return FolderWork(
        key,
        entry,
        contents.image,
        made,
        contents.warnings + told,
        contents.record_sha256,
        entry.state,
        results.record.get("layer", {}).get("authentic") is True,
        contents.labels is not None,
    )


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
