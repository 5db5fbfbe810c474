"""What an annotation says of a picture beside its labels: where each source comes from.

The labels say which pixels belong together; a `PictureDescription` says what they are. Both are
revised together. Types and donors cover what the field's data sets tell: splices, copies with both
ends, removals, generated content, whole pictures regenerated (`docs/curate.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from napari_safire.annotation import checked_values as checked
from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.errors import DatasetError
from napari_safire.palette import Rgb, source_colour
from napari_safire.text import brief

SourceType = Literal[
    "authentic background",
    "splice",
    "copy-move target",
    "removal",
    "generated",
    "whole picture regenerated",
    "text",
    "retouch",
    "unknown",
]
SOURCE_TYPES: tuple[SourceType, ...] = get_args(SourceType)
DonorKind = Literal["unknown", "picture", "file", "region"]
DONOR_KINDS: tuple[DonorKind, ...] = get_args(DonorKind)
Certainty = Literal["certain", "probable", "possible"]
CERTAINTIES: tuple[Certainty, ...] = get_args(Certainty)

LONGEST_TEXT = 30_000
"""Characters of a note, a name or a reason."""


@dataclass(frozen=True, slots=True)
class Donor:
    """Where the pixels of a source were taken from.

    Parameters
    ----------
    kind : {"unknown", "picture", "file", "region"}
        Another picture of the project, a file outside it, or a region of the same picture.
    name : str
        Id of the picture, or path of the file; empty for the others.
    mask : str or None
        For "region": SHA-256 of the mask of the region in the project's store, where one came with
        the annotation.
    source : int or None
        For "region": the source of the same labels that is this region, where it is marked as one:
        a copy then has both ends.

    Raises
    ------
    DatasetError
        The name does not go with the kind.
    """

    kind: DonorKind = "unknown"
    name: str = ""
    mask: str | None = None
    source: int | None = None

    def __post_init__(self) -> None:
        named = self.kind in ("picture", "file")
        if named != bool(self.name):
            way = "name it" if named else "leave its name out"
            name = brief(self.name, 60)
            raise DatasetError(f"A donor of the kind {self.kind!r} is named {name!r}: {way}.")
        if self.mask is not None and self.kind != "region":
            raise DatasetError(f"A donor of the kind {self.kind!r} has no mask: leave it out.")
        if self.source is not None and (
            self.kind != "region" or not 0 < self.source <= MOST_SOURCES
        ):
            raise DatasetError(
                f"Source {self.source} cannot be a donor of the kind {self.kind!r}: name a source "
                f"from 1 to {MOST_SOURCES} of the same picture."
            )

    def as_record(self) -> dict[str, Any]:
        """Return JSON values from which `donor_of` makes the same."""
        record = {"kind": self.kind, "name": self.name, "mask": self.mask}
        return record if self.source is None else record | {"source": self.source}


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """What is said of one source.

    Parameters
    ----------
    number : int
        1 to 255, its number in the labels.
    name : str
    colour : (int, int, int) or None
        Red, green, blue; None: that of the palette.
    type : SourceType
    donor : Donor
    order : int or None
        Place in the order of edits, from 1; None where that is not known.
    certainty : {"certain", "probable", "possible"}
    tags : tuple of str
        Sorted, each once.

    Raises
    ------
    DatasetError
        A number or an order is out of range.
    """

    number: int
    name: str = ""
    colour: Rgb | None = None
    type: SourceType = "unknown"
    donor: Donor = Donor()
    order: int | None = None
    certainty: Certainty = "certain"
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.number <= MOST_SOURCES:
            raise DatasetError(
                f"There is no source {self.number}: sources are numbered from 1 to {MOST_SOURCES}."
            )
        if self.donor.source == self.number:
            raise DatasetError(
                f"Source {self.number} cannot be copied from itself: name the source it came from."
            )
        if self.order is not None and not 1 <= self.order <= MOST_SOURCES:
            raise DatasetError(
                f"Source {self.number} cannot be edit number {self.order}: edits count from 1 to "
                f"{MOST_SOURCES}."
            )
        object.__setattr__(self, "tags", tuple(sorted(set(self.tags))))

    @property
    def shown_colour(self) -> Rgb:
        """Its own colour, or that of the palette."""
        return self.colour or source_colour(self.number - 1)

    def as_record(self) -> dict[str, Any]:
        """Return JSON values from which `decode_description` makes the same."""
        return {
            "number": self.number,
            "name": self.name,
            "colour": None if self.colour is None else list(self.colour),
            "type": self.type,
            "donor": self.donor.as_record(),
            "order": self.order,
            "certainty": self.certainty,
            "tags": list(self.tags),
        }


@dataclass(frozen=True, slots=True)
class Note:
    """A remark on a picture, or on one of its sources.

    Parameters
    ----------
    text : str
    source : int or None
        None: on the picture.
    row, col : float or None
        The place that it is pinned to, in pixels of the picture; both or none.
    """

    text: str
    source: int | None = None
    row: float | None = None
    col: float | None = None

    def __post_init__(self) -> None:
        if (self.row is None) != (self.col is None):
            raise DatasetError("A note is pinned to a row and a column, or to neither.")

    def as_record(self) -> dict[str, Any]:
        """Return JSON values from which `decode_description` makes the same."""
        return {"text": self.text, "source": self.source, "row": self.row, "col": self.col}


@dataclass(frozen=True, slots=True)
class PictureDescription:
    """What is said of the sources of a picture.

    Parameters
    ----------
    sources : tuple of SourceDescription
        By number, each once. Sources of the labels that are not among them are of unknown type.
    notes : tuple of Note
    waiver : str
        Why the annotation is done although pixels have no source; empty where none is needed.

    Raises
    ------
    DatasetError
        A source is described twice.
    """

    sources: tuple[SourceDescription, ...] = ()
    notes: tuple[Note, ...] = ()
    waiver: str = ""

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.sources, key=lambda source: source.number))
        numbers = [source.number for source in ordered]
        twice = next((n for n in numbers if numbers.count(n) > 1), None)
        if twice is not None:
            raise DatasetError(f"Source {twice} is described twice: describe it once.")
        object.__setattr__(self, "sources", ordered)

    def of(self, number: int) -> SourceDescription:
        """Return what is said of a source; of one that is not described, that nothing is known."""
        return next((s for s in self.sources if s.number == number), SourceDescription(number))

    def with_source(self, source: SourceDescription) -> PictureDescription:
        """Return the same with another description of one source."""
        others = tuple(s for s in self.sources if s.number != source.number)
        return replace(self, sources=(*others, source))

    def only(self, numbers: Iterable[int]) -> PictureDescription:
        """Return the same without sources, and ends of copies, that the labels do not have."""
        there = set(numbers)
        kept = (source for source in self.sources if source.number in there)
        return replace(self, sources=tuple(_without_end(source, there) for source in kept))

    def renumbered(self, numbers: Mapping[int, int]) -> PictureDescription:
        """Return the same under other numbers; of sources that become one, the first counts.

        Parameters
        ----------
        numbers : mapping of int to int
            New numbers by old ones; those that are left out stay.
        """
        found: dict[int, SourceDescription] = {}
        for source in self.sources:
            number = numbers.get(source.number, source.number)
            donor = source.donor
            if donor.source is not None:
                end = numbers.get(donor.source, donor.source)
                donor = replace(donor, source=None if end == number else end)
            found.setdefault(number, replace(source, number=number, donor=donor))
        notes = tuple(
            note
            if note.source is None
            else replace(note, source=numbers.get(note.source, note.source))
            for note in self.notes
        )
        return replace(self, sources=tuple(found.values()), notes=notes)

    def as_record(self) -> dict[str, Any]:
        """Return JSON values from which `decode_description` makes the same."""
        return {
            "sources": [source.as_record() for source in self.sources],
            "notes": [note.as_record() for note in self.notes],
            "waiver": self.waiver,
        }


def _without_end(source: SourceDescription, there: set[int]) -> SourceDescription:
    """The same, without the other end of a copy where the labels do not have it."""
    end = source.donor.source
    if end is None or end in there:
        return source
    return replace(source, donor=replace(source.donor, source=None))


def decode_description(record: Any) -> PictureDescription:
    """Make a description of JSON values, from anywhere.

    Parameters
    ----------
    record : dict
        As `PictureDescription.as_record` gives it.

    Returns
    -------
    PictureDescription

    Raises
    ------
    DatasetError
        Something is damaged: a sentence that says what.
    """
    try:
        given = checked.mapping(record, "the description")
        return PictureDescription(
            checked.each(given, "sources", _source),
            checked.each(given, "notes", _note),
            _text(given.get("waiver", ""), "waiver"),
        )
    except checked.Damaged as damage:
        raise DatasetError(f"The description of a picture is damaged: {damage}.") from damage


def donor_of(record: Any) -> Donor:
    """Make a donor of JSON values; raises as `decode_description`."""
    given = checked.mapping(record, "a donor")
    mask, source = given.get("mask"), given.get("source")
    return Donor(
        checked.one_of(given.get("kind"), "the kind of a donor", DONOR_KINDS),
        _text(given.get("name"), "the name of a donor"),
        None if mask is None else _text(mask, "the mask of a donor"),
        None if source is None else checked.whole(source, "the source of a donor", 1, MOST_SOURCES),
    )


def _source(record: Any) -> SourceDescription:
    given = checked.mapping(record, "a source")
    colour, order = given.get("colour"), given.get("order")
    return SourceDescription(
        checked.whole(given.get("number"), "the number of a source", 1, MOST_SOURCES),
        _text(given.get("name"), "the name of a source"),
        None if colour is None else _colour(colour),
        checked.one_of(given.get("type"), "the type of a source", SOURCE_TYPES),
        donor_of(given.get("donor")),
        None if order is None else checked.whole(order, "the order of edits", 1, MOST_SOURCES),
        checked.one_of(given.get("certainty"), "the certainty of a source", CERTAINTIES),
        checked.each(given, "tags", lambda tag: _text(tag, "a tag")),
    )


def _note(record: Any) -> Note:
    given = checked.mapping(record, "a note")
    source, row, col = (given.get(name) for name in ("source", "row", "col"))
    return Note(
        _text(given.get("text"), "a note"),
        None if source is None else checked.whole(source, "the source of a note", 1, MOST_SOURCES),
        None if row is None else checked.number(row, "the row of a note"),
        None if col is None else checked.number(col, "the column of a note"),
    )


def _colour(record: Any) -> Rgb:
    red, green, blue = (
        checked.whole(value, "a colour", 0, 255) for value in checked.row(record, "a colour", 3)
    )
    return red, green, blue


def _text(value: Any, what: str) -> str:
    text = checked.words(value, what)
    if len(text) > LONGEST_TEXT:
        raise checked.Damaged(f"{what} has {len(text):,} characters, more than {LONGEST_TEXT:,}")
    return text
