"""What several annotators say of one source, brought together; what they do not agree on is asked.

What only one annotator knows is taken. Types, donors and places in the order of edits that differ
are open questions, and unknown until an adjudicator describes the source. Of certainties the lowest
counts, tags and notes are joined, names and colours are those of whoever gave one first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from napari_safire.project.team.alignment import Alignment
from napari_safire.project.truth import (
    CERTAINTIES,
    Note,
    PictureDescription,
    SourceDescription,
)

Field = Literal["type", "donor", "order"]
FIELDS: tuple[Field, ...] = get_args(Field)


@dataclass(frozen=True, slots=True)
class Question:
    """What annotators say differently of a source.

    Parameters
    ----------
    source : int
        Its common number.
    field : {"type", "donor", "order"}
    values : tuple
        What each annotator says; None of those who do not know, or have no such source.
    """

    source: int
    field: Field
    values: tuple[Any, ...]


def merged_descriptions(
    alignment: Alignment,
    descriptions: Sequence[PictureDescription],
) -> tuple[PictureDescription, tuple[Question, ...]]:
    """Bring descriptions of one picture together.

    Parameters
    ----------
    alignment : Alignment
        Of the labels that they describe, in the same order.
    descriptions : sequence of PictureDescription

    Returns
    -------
    merged : PictureDescription
        Under common numbers, without a waiver: what is waived in one work is settled in another.
    questions : tuple of Question
        By source.
    """
    common = [
        _of_labels(description, own).renumbered(own)
        for description, own in zip(descriptions, alignment.numbers, strict=True)
    ]
    said_by: dict[int, list[SourceDescription | None]] = {}
    for person, description in enumerate(common):
        for source in description.sources:
            said_by.setdefault(source.number, [None] * len(common))[person] = source
    sources: list[SourceDescription] = []
    questions: list[Question] = []
    for number, said in sorted(said_by.items()):
        settled = _joined(number, [source for source in said if source is not None])
        for field in FIELDS:
            values = tuple(_known(source, field) for source in said)
            value = _settled(values)
            if value is not None:
                settled = replace(settled, **{field: value})
            elif any(v is not None for v in values):
                questions.append(Question(number, field, values))
        sources.append(settled)
    notes: dict[Note, None] = {note: None for description in common for note in description.notes}
    return PictureDescription(tuple(sources), tuple(notes)), tuple(questions)


def _of_labels(description: PictureDescription, own: dict[int, int]) -> PictureDescription:
    """Leave out sources without pixels, whose number another one may have; their notes stay."""
    notes = tuple(
        note if note.source in own else replace(note, source=None) for note in description.notes
    )
    return replace(description.only(own), notes=notes)


def _joined(number: int, said: list[SourceDescription]) -> SourceDescription:
    return SourceDescription(
        number,
        name=next((source.name for source in said if source.name), ""),
        colour=next((source.colour for source in said if source.colour), None),
        certainty=max((source.certainty for source in said), key=CERTAINTIES.index),
        tags=tuple(tag for source in said for tag in source.tags),
    )


def _known(source: SourceDescription | None, field: Field) -> Any:
    """What somebody says, or None where they do not know."""
    if source is None:
        return None
    value = getattr(source, field)
    unknown = value == "unknown" or (field == "donor" and value.kind == "unknown")
    return None if unknown else value


def _settled(values: tuple[Any, ...]) -> Any:
    """What all say who know, or None where nobody does or they differ."""
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else None


def still_open(
    questions: Sequence[Question], described: PictureDescription
) -> tuple[Question, ...]:
    """Return the questions that a description does not answer.

    Parameters
    ----------
    questions : sequence of Question
    described : PictureDescription
        Under the numbers of the questions.

    Returns
    -------
    tuple of Question
    """
    return tuple(q for q in questions if _known(described.of(q.source), q.field) is None)
