"""The document of a report: one JSON value, of which HTML and PDF are made and nothing else.

Its digest covers all of it but itself and the hashes of the files made of it. Events stand in it
whole, so that each proves its own hash, and the chain where no event of another picture lies
between; the case proves the rest (`napari_safire.review.proof.verify`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from operator import itemgetter
from typing import Any

from napari_safire.images.records.paths import is_near
from napari_safire.project.chain.events import Event, canonical
from napari_safire.project.people import machine_name
from napari_safire.project.pictures import ProjectPicture
from napari_safire.project.upkeep.wording import event_words
from napari_safire.review.case import Case
from napari_safire.review.codec import as_record, read_case
from napari_safire.review.reading import (
    Judged,
    Noted,
    PictureReview,
    Review,
    Signed,
    read_review,
)
from napari_safire.review.report.program import program_record
from napari_safire.review.report.record import RECEIVED
from napari_safire.review.report.sentences import Sentence
from napari_safire.review.values import CaseDescription, Viewport

FORMAT = "napari-safire report"
VERSION = 2
READ = (1, VERSION)
"""Versions that can be proved; the first had sentences in English alone, without their keys."""
FIGURES = "figures"
"""Folder of the figures, beside the document."""
_HEX = "0123456789abcdef"
_NOT_DIGESTED = ("digest", "files")
_OF_ANALYSIS = (
    "model", "settings", "model_verdict", "partition", "regions", "voting", "stability",
    "saved_again",
)  # fmt: skip
ANALYSED = (*_OF_ANALYSIS, "evidence")
"""Entries that come from the analysis alone: made again, they have to be the same."""
ENTRIES = frozenset(
    {
        "format", "version", "language", "digest", "made", "case", "custody", "picture", *ANALYSED,
        "findings", "reviews", "limitations", "events", "head", "figures", "files",
    }
)  # fmt: skip
"""All entries of a document."""
OF_EVENTS = ("case", "custody", "findings", "reviews", "head")
"""Entries that follow from the events."""
_SEEN = ("picture.added", "picture.identified", "review.analysed")
_CUSTODY = frozenset(
    {
        "case.described", "picture.added", "picture.moved", "picture.identified",
        "picture.flagged", "picture.removed", "picture.returned", "review.begun",
        "review.analysed", "review.reported",
    }
)  # fmt: skip


def content_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of a document's canonical form, without its "digest" and "files"."""
    kept = {name: value for name, value in document.items() if name not in _NOT_DIGESTED}
    return hashlib.sha256(canonical(kept).encode()).hexdigest()


def identified(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with its digest, and no files yet."""
    return {**document, "digest": content_digest(document), "files": {}}


def make_document(
    case: Case,
    record: Mapping[str, Any],
    figures: Sequence[Mapping[str, Any]],
    *,
    at: str,
    device: str = "",
    language: str = "en",
) -> dict[str, Any]:
    """Put together what is known of a picture.

    Parameters
    ----------
    case : Case
    record : mapping
        JSON values of its analysis.
    figures : sequence of mapping
        id, caption, caveat, file and sha256 of each (`report.figures.Figure.as_record`).
    at : str
        When it is made, ISO 8601 in UTC.
    device : str
        On which the model answered.
    language : str
        Of HTML and PDF.

    Returns
    -------
    dict
        JSON values; its "files" are still empty.

    Raises
    ------
    DatasetError
        An event of the case is damaged.
    """
    events, known = _told(case.events()), case.picture
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "language": language,
        "made": {
            "at": at,
            "by": case.reviewer,
            "machine": machine_name(),
            "device": device,
            "program": program_record(),
            "versions": {**(record.get("versions") or {}), **drawn_by()},
        },
        "picture": {"id": known.id, "name": known.name, "path": _place(known), **record["picture"]},
        **{name: record.get(name) for name in _OF_ANALYSIS},
        "evidence": record.get("evidence") or [],
        "figures": [dict(figure) for figure in figures],
    }
    document |= of_events(events, document["picture"])
    review = read_review(known.id, events)
    own = [one.as_record() for one in review_limitations(review)]
    document["limitations"] = [*(record.get("limitations") or ()), *own]
    document["findings"] = with_figures(document["findings"], document["figures"])
    return identified(document)


def _place(picture: ProjectPicture) -> str:
    """Where a picture lies, as far as a report may tell it."""
    return picture.path if is_near(picture.path) else picture.name


def with_figures(
    findings: Iterable[Mapping[str, Any]], figures: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Say of each finding which figure shows it, if one does."""
    shown = {figure["id"] for figure in figures}
    names = ((finding, f"finding-{finding['number']}") for finding in findings)
    return [{**finding, "figure": name if name in shown else None} for finding, name in names]


def drawn_by() -> dict[str, str]:
    """Versions of what makes HTML and PDF of a document."""
    return {name: version(name) for name in ("jinja2", "typst")}


def _told(events: Iterable[Event]) -> list[Event]:
    """Events of a case without those at the end that only say that a report was written.

    They change nothing of the case, and the same case gives the same report again.
    """
    told = list(events)
    while told and told[-1].kind == "review.reported":
        told.pop()
    return told


def of_events(events: Sequence[Event], picture: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a document that follow from its events (`OF_EVENTS`).

    Parameters
    ----------
    events : sequence of Event
        Of the case.
    picture : mapping
        The document's: its "id", "file_sha256" and "shape" count.

    Returns
    -------
    dict
        Findings without their figures.

    Raises
    ------
    DatasetError
        An event is damaged.
    """
    review, described = read_review(picture["id"], events), CaseDescription()
    for event in events:
        if event.kind == "case.described":
            described = read_case(event.body["case"])
    shape = picture.get("shape") or (0, 0)
    chosen = chosen_findings(review)
    return {
        "case": {name: value for name, value in asdict(described).items() if name != "blind"},
        "custody": list(_custody(picture["file_sha256"], events)),
        "findings": [_finding(n, one, shape) for n, one in enumerate(chosen, 1)],
        "reviews": [_review(one) for one in review.reviews],
        "events": [_event(event) for event in events],
        "head": events[-1].sha256 if events else None,
    }


def chosen_findings(review: PictureReview) -> list[Noted]:
    """Return the findings that were chosen for the report, in their order; withdrawn ones too."""
    return [noted for noted in review.findings if noted.finding.in_report]


def figure_file(name: str, data: bytes) -> str:
    """Name the file of a figure by its id and content, relative to the report's folder."""
    suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
    return f"{FIGURES}/{name}-{hashlib.sha256(data).hexdigest()[:12]}.{suffix}"


def is_figure_name(name: str) -> bool:
    """Whether a file's name is one that `figure_file` gives."""
    stem, _, suffix = name.rpartition(".")
    digest = stem.rpartition("-")[2]
    return suffix in ("png", "jpg") and len(digest) == 12 and not set(digest) - set(_HEX)


def window_of(viewport: Viewport, shape: Sequence[int]) -> tuple[int, int, int, int] | None:
    """Return the whole pixels of a picture that a viewport shows.

    Parameters
    ----------
    viewport : Viewport
    shape : (H, W, …)

    Returns
    -------
    (top, left, bottom, right) or None
        Bottom and right are behind the last pixels; None where it shows none.
    """
    top, left = max(0, math.floor(viewport.row)), max(0, math.floor(viewport.col))
    bottom = min(shape[0], math.ceil(viewport.row + viewport.height))
    right = min(shape[1], math.ceil(viewport.col + viewport.width))
    return (top, left, bottom, right) if top < bottom and left < right else None


def _custody(file_sha256: str, events: Iterable[Event]) -> Iterator[dict[str, Any]]:
    """Who had the picture: how it is said to have come first, then each step in its order."""
    steps: list[dict[str, Any]] = []
    received = ""
    for event in events:
        if event.kind not in _CUSTODY:
            continue
        what = event_words(event)
        if event.kind == "case.described":
            told = read_case(event.body["case"]).received
            if not told or told == received:
                continue
            what, is_first, received = f"{RECEIVED}{told}", not received, told
        else:
            is_first = False
        step = {
            "sequence": event.sequence,
            "at": event.made_at,
            "by": event.made_by,
            "machine": event.machine if event.origin is None else str(event.origin["machine"]),
            "what": what,
            "sha256": file_sha256 if event.kind in _SEEN else "",
        }
        steps.insert(0 if is_first else len(steps), step)
    yield from steps


def _finding(number: int, noted: Noted, shape: Sequence[int]) -> dict[str, Any]:
    finding = noted.finding
    record = as_record(finding)
    del record["in_report"]
    window = None if finding.viewport is None else window_of(finding.viewport, shape)
    record["viewport"] = None if window is None else list(window)
    record["plane"] = [] if finding.viewport is None else list(finding.viewport.plane)
    return {
        "number": number,
        **record,
        "by": noted.reviewer,
        "at": noted.at,
        "first_at": noted.first_at,
        "revision": noted.revision,
        "file_sha256": noted.file_sha256,
        "figure": None,
    }


def _review(review: Review) -> dict[str, Any]:
    verdict = review.verdict
    return {
        "reviewer": review.reviewer,
        "blind": review.blind,
        "order": list(_order(review)),
        "checklist": [as_record(one) for one in review.checklist],
        "judgement": None if verdict is None else _judgement(verdict),
        "interpretation": "" if verdict is None else verdict.judgement.interpretation,
        "countersignatures": [] if verdict is None else [_signed(s) for s in verdict.signatures],
    }


def _judgement(judged: Judged) -> dict[str, Any]:
    record = as_record(judged.judgement)
    del record["interpretation"]
    record["sources"] = [{"number": source.pop("source"), **source} for source in record["sources"]]
    return {
        **record,
        "at": judged.at,
        "sha256": judged.sha256,
        "revision": judged.revision,
        "blind": judged.blind,
    }


def _signed(signed: Signed) -> dict[str, Any]:
    signature = signed.signature
    return {
        "by": signed.by,
        "at": signed.at,
        "stance": signature.stance,
        "reason": signature.comment,
        "head": signature.head,
        "judgement": signature.judgement,
        "signature": signature.ssh_signature,
        "key": signature.ssh_key,
    }


def _order(review: Review) -> Iterator[dict[str, Any]]:
    """What was seen before what."""
    steps = [(review.begun_at, Sentence("order.begun"))] if review.begun_at else []
    if review.shown_at:
        steps.append((review.shown_at, Sentence("order.shown")))
    for judged in review.judged:
        which, numbered = _which(judged)
        seen = "blind" if judged.blind else "seeing"
        steps.append((judged.at, Sentence(f"order.{which}_{seen}", numbered)))
        if judged is review.verdict:  # its signatures stand beside it
            continue
        for one in judged.signatures:  # a dispute does not go away because another verdict is given
            what = "signed" if one.signature.stance == "signs" else "disputed"
            steps.append((one.at, Sentence(f"order.{which}_{what}", {**numbered, "by": one.by})))
    for at, said in sorted(steps, key=itemgetter(0)):
        yield {"at": at, **said.as_record()}


def _which(judged: Judged) -> tuple[str, dict[str, str | int]]:
    return ("first", {}) if judged.revision == 1 else ("later", {"revision": judged.revision})


def review_limitations(review: PictureReview) -> Iterator[Sentence]:
    """Say what limits a report by what its reviewers answered, and by what was not chosen."""
    for one in review.reviews:
        for answer in one.checklist:
            if answer.answer == "yes":
                continue
            values = {
                "question": answer.question,
                "reviewer": one.reviewer,
                "answer": answer.answer,
            }
            if answer.note:
                yield Sentence("limitation.answered_note", {**values, "note": answer.note})
            else:
                yield Sentence("limitation.answered", values)
    left_out = len(review.findings) - len(chosen_findings(review))
    if left_out == 1:
        yield Sentence("limitation.left_out_one")
    elif left_out:
        yield Sentence("limitation.left_out", {"n": left_out})


def as_written(name: str, value: Any, version: int) -> Any:
    """Return an entry of a document in the form that a version of it has.

    Parameters
    ----------
    name : str
        "reviews", "limitations" or another.
    value : object
        In the form of `VERSION`.
    version : int
        One of `READ`.

    Returns
    -------
    object
    """
    if version == VERSION:
        return value
    if name == "limitations":
        return [one["words"] for one in value]
    if name != "reviews":
        return value
    return [
        {
            **review,
            "order": [
                f"{step['at'][:16].replace('T', ' ')} UTC: {step['words']}"
                for step in review["order"]
            ],
        }
        for review in value
    ]


def _event(event: Event) -> dict[str, Any]:
    return {
        "sequence": event.sequence,
        "at": event.at,
        "author": event.author,
        "machine": event.machine,
        "kind": event.kind,
        "what": event_words(event),
        "picture": event.picture,
        "body": dict(event.body),
        "origin": None if event.origin is None else dict(event.origin),
        "previous": event.previous,
        "sha256": event.sha256,
    }
