"""The events of a report: what each proves, what follows from them, and what the case says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari_safire.annotation.checked_values import Damaged
from napari_safire.errors import DatasetError, SafireError
from napari_safire.project.chain.event_bodies import refuse_damaged
from napari_safire.project.chain.events import BEGINNING, KINDS, Event
from napari_safire.project.pictures import project_pictures
from napari_safire.project.store import Project
from napari_safire.project.upkeep.verify import objects_of, verify_chain
from napari_safire.project.upkeep.wording import event_words
from napari_safire.review.proof.checks import Check, right, settled, unchecked, wrong
from napari_safire.review.proof.reading import StoredReport
from napari_safire.review.reading import read_review
from napari_safire.review.report.catalogue import moment
from napari_safire.review.report.document import (
    OF_EVENTS,
    READ,
    as_written,
    of_events,
    review_limitations,
    with_figures,
)
from napari_safire.review.report.write import JSON
from napari_safire.review.signatures import check_signature, fingerprint, signed_message
from napari_safire.text import printable

OTHER_FORM = "The report has another form: install the version that made it."
"""Why something of another version is not looked at."""


def event_checks(stored: StoredReport) -> Iterator[Check]:
    """Prove the events by their own hashes, and that findings and verdicts follow from them."""
    document, what = stored.document, "event log"
    events = stored_events(stored)
    problems = [*_chained(events), *_worded(events, document["events"])]
    head = events[-1].sha256 if events else None
    if head != document["head"]:
        problems.append("The head is not the hash of the last event.")
    fine = f"{len(events)} events, each with its hash; head {head}.{_gaps(events)}"
    if events and _is_before(document["made"]["at"], events[-1].at):
        fine += " The report tells a time of making before its last event: one that was given."
    yield settled(what, problems, fine)
    if problems:
        return
    if stored.version not in READ:
        yield unchecked("findings and verdicts", OTHER_FORM)
        return
    try:
        told = of_events(events, document["picture"])
        review = read_review(document["picture"]["id"], events)
    except DatasetError as error:
        yield wrong("findings and verdicts", str(error))
        return
    told = {name: as_written(name, told[name], stored.version) for name in OF_EVENTS}
    limits = [one.as_record() for one in review_limitations(review)]
    own = as_written("limitations", limits, stored.version)
    told["findings"] = with_figures(told["findings"], document["figures"])
    other = [name for name in OF_EVENTS if told[name] != document[name]]
    if own and document["limitations"][-len(own) :] != own:
        other.append("limitations")
    other += _other_identity(events, document["picture"])
    yield settled(
        "findings and verdicts",
        [f"Not what the events say: {', '.join(other)}."] if other else [],
        "Case, custody, findings and verdicts are those of the events.",
    )


def _other_identity(events: Iterable[Event], picture: Mapping[str, Any]) -> Iterator[str]:
    """Whether a picture's name and file are others than its events say.

    Its pixels may be others: another decoder may have read them when it came into the case.
    """
    path, file = "", ""
    for event in events:
        if event.picture == picture["id"] and event.kind in ("picture.added", "picture.moved"):
            path, file = event.body["path"], event.body.get("file_sha256", file)
    if printable(path.rpartition("/")[2]) != picture["name"]:
        yield "the picture's name"
    if file != picture["file_sha256"]:
        yield "the picture's file"


def stored_events(stored: StoredReport) -> list[Event]:
    """Return the events of a report, whether they are right or not."""
    return [_event(record) for record in stored.document["events"]]


def _is_before(at: str, last: str) -> bool:
    """Whether a report says that it was made before something that it tells of."""
    told, event = moment(at), moment(last)
    return told is not None and event is not None and told < event.replace(microsecond=0)


def _gaps(events: list[Event]) -> str:
    missing = events[-1].sequence - len(events) if events else 0
    if missing <= 0:
        return ""
    return (
        f" {missing} events before it are not in the report: of other pictures, or left out; only "
        "the case can tell."
    )


def _event(record: Mapping[str, Any]) -> Event:
    values = {
        name: record[name]
        for name in (
            "sequence", "at", "author", "machine", "kind", "picture", "previous", "sha256",
        )
    }  # fmt: skip
    origin = record["origin"]
    return Event(
        **values,
        body=MappingProxyType(dict(record["body"])),
        origin=None if origin is None else MappingProxyType(dict(origin)),
    )


def _chained(events: list[Event]) -> Iterator[str]:
    before: Event | None = None
    for event in events:
        name = f"Event {event.sequence}"
        if event.kind not in KINDS:
            yield f"{name} is of an unknown kind."
        elif (damage := _damage(event)) != "":
            yield f"{name} is damaged: {damage}."
        if event.digest() != event.sha256:
            yield f"{name} was changed: its hash is another."
        if before is None:
            if event.sequence == 1 and event.previous != BEGINNING:
                yield "The first event follows another one."
        elif event.sequence <= before.sequence:
            yield f"{name} stands behind event {before.sequence}."
        elif event.sequence == before.sequence + 1 and event.previous != before.sha256:
            yield f"{name} does not follow the one before it."
        before = event


def _damage(event: Event) -> str:
    try:
        refuse_damaged(event)
    except (Damaged, DatasetError) as damage:
        return str(damage).rstrip(".")
    return ""


def _worded(events: list[Event], records: list[Mapping[str, Any]]) -> Iterator[str]:
    for event, record in zip(events, records, strict=True):
        if event.kind in KINDS and not _damage(event) and record["what"] != event_words(event):
            yield f"The words of event {event.sequence} are not what it did."


def signature_checks(stored: StoredReport, signers: Path | None) -> Iterator[Check]:
    """Check the signatures with SSH keys, and whose they are where a list says so."""
    picture, events = stored.document["picture"]["id"], stored_events(stored)
    for review in stored.document["reviews"]:
        for signed in review["countersignatures"]:
            what = f"signature of {printable(signed['by'])}"
            if not _gaps(events) and not _is_head(signed["head"], events):
                yield wrong(what, "The head that was signed is none of the events: they changed.")
                continue
            if not signed["signature"]:
                yield unchecked(what, "A name and the head of the chain; no key was used.")
                continue
            message = signed_message(signed["head"], picture, signed["judgement"], signed["stance"])
            try:
                found = check_signature(
                    message, signed["signature"], name=signed["by"], allowed_signers=signers
                )
            except SafireError as error:
                yield unchecked(what, str(error))
                continue
            is_its_key = not signed["key"] or fingerprint(signed["key"]) == found.key
            is_right = found.valid and found.trusted is not False and is_its_key
            words = found.words if is_its_key else "It is of another key than it says."
            yield right(what, words) if is_right else wrong(what, words)


def _is_head(head: str, events: Iterable[Event]) -> bool:
    """Whether events hold the one that was the last when somebody signed.

    Of events that were merged from elsewhere nobody knows all that stood before them there.
    """
    return any(head in (e.sha256, e.first_sha256) or e.origin is not None for e in events)


def case_checks(stored: StoredReport, folder: Path, *, was_given: bool) -> Iterator[Check]:
    """Prove the chain of the case, that the events are its own, and that it names the report.

    A project that only lies near may be another one.
    """
    document = stored.document
    try:
        project = Project.open(folder, read_only=True)
    except SafireError as error:
        yield wrong("case", str(error))
        return
    with project:
        hashes = {event["sha256"] for event in document["events"]}
        if not was_given and not any(event.sha256 in hashes for event in project.events()):
            yield unchecked("case", _other_case(project, folder, document["picture"]))
            return
        problems = list(verify_chain(project, head=document["head"] or ""))
        known = {event.sequence: event.sha256 for event in project.events()}
        problems += [
            f"Event {event['sequence']} is another in the case."
            for event in document["events"]
            if known.get(event["sequence"]) != event["sha256"]
        ]
        problems += _objects(project, hashes)
        problems += [
            f"The head that {printable(signed['by'])} signed is none of the case's events."
            for review in document["reviews"]
            for signed in review["countersignatures"]
            if not _is_head(signed["head"], project.events())
        ]
        last = document["events"][-1]["sequence"] if document["events"] else 0
        picture = document["picture"]["id"]
        problems += [
            f"Event {event.sequence} of the case is left out."
            for event in project.events()
            if event.sequence < last
            and event.picture in ("", picture)
            and event.sha256 not in hashes
        ]
        since = [e for e in project.events(after=last) if e.picture in ("", picture)]
        news = sum(event.kind != "review.reported" for event in since)
        more = f" {news} changes came since." if news else " Nothing was changed since."
        yield settled("case", problems, f"Its chain holds every event of the report.{more}")
        if not problems:
            yield _named(stored, project)


def _other_case(project: Project, folder: Path, picture: Mapping[str, Any]) -> str:
    """What is said of a case around a report that has none of its events."""
    name = printable(folder)
    hashes = {one.file_sha256 for one in project_pictures(project, removed=True)}
    if picture["file_sha256"] not in hashes:
        return f"The project {name} is not that of the report: give its case by --case."
    return (
        f"The case {name} has this picture, but none of the report's events: it is another case, "
        "or one of both was made anew. Give the report's own by --case."
    )


def _objects(project: Project, hashes: set[str]) -> list[str]:
    """What is wrong with labels and records that events of a report name."""
    named = {
        digest
        for event in project.events()
        if event.sha256 in hashes
        for digest in objects_of(event)
    }
    return [problem for digest in sorted(named) if (problem := project.objects.problem(digest))]


def _named(stored: StoredReport, project: Project) -> Check:
    """Whether the chain holds the hash of this very report."""
    what, head = "report in the case", stored.document["head"]
    picture = stored.document["picture"]["id"]
    reports = read_review(picture, project.events(picture=picture)).reports
    named = [one.files.get(JSON) for one in reports if one.head == head]
    if stored.sha256 in named:
        return right(what, "The case names this report by its hash.")
    if named:
        return wrong(what, "The case names a report of these events, and it is another.")
    return unchecked(what, "The case does not say that a report of these events was written.")
