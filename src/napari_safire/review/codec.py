"""Values of a review as the JSON of events, and back; what comes back may be from anybody."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from napari_safire.annotation import checked_values as checked
from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.errors import DatasetError
from napari_safire.project.chain.events import canonical
from napari_safire.project.truth import SourceType
from napari_safire.review.scale import SUPPORTS, Support
from napari_safire.review.values import (
    ANSWERS,
    CHECKLIST,
    FINDING_KINDS,
    FINDING_STATUSES,
    MANIPULATIONS,
    STANCES,
    VERDICTS,
    CaseDescription,
    Checked,
    Finding,
    Judgement,
    Signature,
    SourceVerdict,
    Verdict,
    Viewport,
)

T = TypeVar("T")
Value = Finding | Checked | Judgement | Signature | CaseDescription


def as_record(value: Value) -> dict[str, Any]:
    """Return JSON values from which the reader of its type makes the same value.

    Parameters
    ----------
    value : Finding, Checked, Judgement, Signature or CaseDescription

    Returns
    -------
    dict

    Raises
    ------
    ValueError, TypeError
        Parameters of a finding hold what JSON cannot.
    """
    record = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, Finding):
        viewport = value.viewport
        record |= {
            "parameters": dict(value.parameters),
            "viewport": None if viewport is None else asdict(viewport),
        }
    if isinstance(value, Judgement):
        record["sources"] = [asdict(source) for source in value.sources]
    plain: dict[str, Any] = json.loads(canonical(record))
    return plain


def read_finding(record: Any) -> Finding:
    """Make a finding of JSON values.

    Raises
    ------
    DatasetError
        Something is damaged: a sentence that says what. So with all readers here.
    """

    def read(given: Mapping[str, Any]) -> Finding:
        viewport, source = given.get("viewport"), given.get("source")
        return Finding(
            id=checked.words(given.get("id"), "the name of a finding"),
            comment=checked.words(given.get("comment"), "a comment"),
            kind=checked.one_of(given.get("kind"), "the kind of a finding", FINDING_KINDS),
            status=checked.one_of(given.get("status"), "a status", FINDING_STATUSES),
            view=checked.words(given.get("view"), "a view"),
            parameters=checked.mapping(given.get("parameters"), "the parameters of a view"),
            viewport=None if viewport is None else _viewport(viewport),
            source=None if source is None else _source(source),
            in_report=checked.flag(given.get("in_report"), "the choice for the report"),
        )

    return _read(record, "finding", read)


def read_checked(record: Any) -> Checked:
    """Make an answer to the checklist of JSON values."""

    def read(given: Mapping[str, Any]) -> Checked:
        return Checked(
            checked.one_of(given.get("question"), "a question", tuple(CHECKLIST)),
            checked.one_of(given.get("answer"), "an answer", ANSWERS),
            checked.words(given.get("note"), "a note"),
        )

    return _read(record, "checklist", read)


def read_judgement(record: Any) -> Judgement:
    """Make a judgement of JSON values."""

    def read(given: Mapping[str, Any]) -> Judgement:
        labels = given.get("labels")
        return Judgement(
            *_verdict(given),
            sources=checked.each(given, "sources", _source_verdict),
            interpretation=checked.words(given.get("interpretation"), "the interpretation"),
            labels=None if labels is None else checked.words(labels, "the labels"),
        )

    return _read(record, "verdict", read)


def read_signature(record: Any) -> Signature:
    """Make a signature of JSON values."""

    def read(given: Mapping[str, Any]) -> Signature:
        stance = checked.one_of(given.get("stance"), "a stance", STANCES)
        return Signature(stance, **_texts(given, Signature, but=("stance",)))

    return _read(record, "signature", read)


def read_case(record: Any) -> CaseDescription:
    """Make what a case is about of JSON values."""

    def read(given: Mapping[str, Any]) -> CaseDescription:
        blind = checked.flag(given.get("blind"), "whether the first look is blind")
        return CaseDescription(blind=blind, **_texts(given, CaseDescription, but=("blind",)))

    return _read(record, "description of a case", read)


def _read(record: Any, what: str, read: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return read(checked.mapping(record, "it"))
    except (checked.Damaged, ValueError, TypeError, RecursionError) as damage:
        raise DatasetError(f"The {what} is damaged: {damage}.") from damage


def _texts(given: Mapping[str, Any], of: type[Any], but: tuple[str, ...]) -> dict[str, str]:
    names = (field.name for field in fields(of) if field.name not in but)
    return {name: checked.words(given.get(name), repr(name)) for name in names}


def _viewport(record: Any) -> Viewport:
    given = checked.mapping(record, "the part that was on screen")
    plane = checked.each(given, "plane", lambda n: checked.whole(n, "a plane", 0, 2**31))
    row, col, height, width = (
        checked.number(given.get(name), repr(name)) for name in ("row", "col", "height", "width")
    )
    return Viewport(row, col, height, width, plane)


def _source(value: Any) -> int:
    return checked.whole(value, "the number of a source", 1, MOST_SOURCES)


def _verdict(
    given: Mapping[str, Any],
) -> tuple[Verdict, tuple[SourceType, ...], Support | None]:
    confidence = given.get("confidence")
    return (
        checked.one_of(given.get("verdict"), "a verdict", VERDICTS),
        checked.each(given, "types", lambda kind: checked.one_of(kind, "a type", MANIPULATIONS)),
        None if confidence is None else checked.one_of(confidence, "the confidence", SUPPORTS),
    )


def _source_verdict(record: Any) -> SourceVerdict:
    given = checked.mapping(record, "the verdict on a source")
    note = checked.words(given.get("note"), "a note on a source")
    return SourceVerdict(_source(given.get("source")), *_verdict(given), note=note)
