"""What the events of a picture say of its review: who saw, found, judged and signed what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from napari_safire.errors import DatasetError
from napari_safire.project.chain.events import Event
from napari_safire.review import codec
from napari_safire.review.values import Checked, Finding, Judgement, Signature


@dataclass(frozen=True, slots=True)
class Noted:
    """A finding as it is now.

    Parameters
    ----------
    finding : Finding
    revision : int
        From 1.
    reviewer : str
        Who noted it last.
    at, first_at : str
        When (UTC): its last revision, and its first.
    file_sha256 : str
        Of the picture's file at that time.
    """

    finding: Finding
    revision: int
    reviewer: str
    at: str
    first_at: str
    file_sha256: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature, and who gave it."""

    signature: Signature
    by: str
    at: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement as it is now.

    Parameters
    ----------
    judgement : Judgement
    revision : int
        From 1, of this reviewer.
    at : str
        When (UTC).
    sha256 : str
        Of the event by which it was given.
    blind : bool
        No verdict of the model or of others could be seen by the reviewer before.
    signatures : tuple of Signed
        Of this very revision.
    """

    judgement: Judgement
    revision: int
    at: str
    sha256: str
    blind: bool
    signatures: tuple[Signed, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """What one reviewer did with one picture.

    Parameters
    ----------
    reviewer : str
    begun_at : str
        When (UTC); empty where they only signed, or found something.
    blind : bool
        Whether the model's verdict was to stay hidden before theirs, from the beginning on.
    shown_at : str
        When the model's verdict was shown to them first, or they wrote a report, which tells it;
        empty: not yet.
    checklist : tuple of Checked
        In the order of the questions.
    judged : tuple of Judged
        All revisions of their verdict, the last of which counts.
    """

    reviewer: str
    begun_at: str = ""
    blind: bool = False
    shown_at: str = ""
    checklist: tuple[Checked, ...] = ()
    judged: tuple[Judged, ...] = ()

    @property
    def verdict(self) -> Judged | None:
        """The judgement that counts; None before there is one."""
        return self.judged[-1] if self.judged else None

    @property
    def may_see_verdicts(self) -> bool:
        """Whether the verdicts of the model and of others may be shown to them now."""
        return not self.blind or bool(self.shown_at or self.judged)


@dataclass(frozen=True, slots=True)
class Reported:
    """A report that was written: its files by name with their SHA-256, and the head it tells of."""

    files: Mapping[str, str]
    head: str
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class Analysed:
    """What the model and the views said, at one time.

    Parameters
    ----------
    record : str
        SHA-256, in the store, of all of it (`napari_safire.review.analysis.Analysis`).
    labels : str or None
        SHA-256 of the partition's labels, sources from 1.
    basis : mapping
        What it rests on.
    verdict : str
    by, at : str
    """

    record: str
    labels: str | None
    basis: Mapping[str, Any]
    verdict: str
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class PictureReview:
    """All that was reviewed of one picture.

    Parameters
    ----------
    picture : str
        Its id.
    reviews : tuple of Review
        In the order in which the reviewers came.
    findings : tuple of Noted
        Those of everybody, in the order in which they were noted first; withdrawn ones too.
    analyses : tuple of Analysed
    reports : tuple of Reported
    """

    picture: str
    reviews: tuple[Review, ...] = ()
    findings: tuple[Noted, ...] = ()
    analyses: tuple[Analysed, ...] = ()
    reports: tuple[Reported, ...] = ()

    def of(self, reviewer: str) -> Review:
        """Return what a reviewer did; nothing, if they did nothing."""
        return next((r for r in self.reviews if r.reviewer == reviewer), Review(reviewer))

    def finding(self, name: str) -> Noted | None:
        """Return a finding by its id; None if there is none."""
        return next((noted for noted in self.findings if noted.finding.id == name), None)


def read_review(picture: str, events: Iterable[Event]) -> PictureReview:
    """Tell what events say of the review of a picture.

    Parameters
    ----------
    picture : str
    events : iterable of Event
        In their order; those of other pictures and kinds are passed over.

    Returns
    -------
    PictureReview

    Raises
    ------
    DatasetError
        One of them holds what cannot be read.
    """
    reader = _Reader()
    for event in events:
        if event.picture != picture or not event.kind.startswith("review."):
            continue
        try:
            _ACTS[event.kind](reader, event)
        except DatasetError as error:
            raise DatasetError(
                f"Event {event.sequence} is damaged ({error}): `napari-safire project recover` "
                "saves the others into a new project."
            ) from error
    return reader.told(picture)


def was_stopped(picture: str, events: Iterable[Event]) -> bool:
    """Whether a case of this picture alone was made, but not said yet what it is about."""
    return not any(
        event.kind == "case.described"
        or event.kind.startswith("review.")
        or event.picture not in ("", picture)
        for event in events
    )


@dataclass(slots=True)
class _Reader:
    """Takes events one after the other, each by the method of its kind (`_ACTS`)."""

    reviews: dict[str, Review] = field(default_factory=dict)
    findings: dict[str, Noted] = field(default_factory=dict)
    analyses: list[Analysed] = field(default_factory=list)
    reports: list[Reported] = field(default_factory=list)
    signatures: dict[str, list[Signed]] = field(default_factory=dict)
    reported_at: dict[str, str] = field(default_factory=dict)

    def told(self, picture: str) -> PictureReview:
        reviews = tuple(
            replace(review, judged=tuple(map(self._with_signatures, review.judged)))
            for review in self.reviews.values()
        )
        return PictureReview(
            picture,
            reviews,
            tuple(self.findings.values()),
            tuple(self.analyses),
            tuple(self.reports),
        )

    def _with_signatures(self, judged: Judged) -> Judged:
        return replace(judged, signatures=tuple(self.signatures.get(judged.sha256, ())))

    def _change(self, event: Event, **values: Any) -> None:
        review = self.reviews.get(event.made_by) or Review(event.made_by)
        self.reviews[event.made_by] = replace(review, **values)

    def begun(self, event: Event) -> None:
        before, blind = self.reviews.get(event.made_by), bool(event.body["blind"])
        if before is not None and before.begun_at:
            # Who was free to see verdicts once cannot look blindly afterwards.
            self._change(event, blind=blind and before.blind)
            return
        seen_at = "" if before is None else before.shown_at
        shown_at = seen_at or self.reported_at.get(event.made_by, "")
        self._change(event, begun_at=event.made_at, blind=blind, shown_at=shown_at)

    def shown(self, event: Event) -> None:
        before = self.reviews.get(event.made_by)
        if before is None or not before.shown_at:
            self._change(event, shown_at=event.made_at)

    def checked(self, event: Event) -> None:
        self._change(event, checklist=tuple(map(codec.read_checked, event.body["answers"])))

    def noted(self, event: Event) -> None:
        finding = codec.read_finding(event.body["finding"])
        before = self.findings.get(finding.id)
        self.findings[finding.id] = Noted(
            finding,
            1 if before is None else before.revision + 1,
            event.made_by,
            event.made_at,
            event.made_at if before is None else before.first_at,
            event.body["file_sha256"],
        )

    def judged(self, event: Event) -> None:
        before = self.reviews.get(event.made_by) or Review(event.made_by)
        judged = Judged(
            codec.read_judgement(event.body["judgement"]),
            len(before.judged) + 1,
            event.made_at,
            event.first_sha256,
            blind=not before.may_see_verdicts,
        )
        self._change(event, judged=(*before.judged, judged))

    def signed(self, event: Event) -> None:
        signature = codec.read_signature(event.body["signature"])
        signed = Signed(signature, event.made_by, event.made_at, event.first_sha256)
        self.signatures.setdefault(signature.judgement, []).append(signed)

    def analysed(self, event: Event) -> None:
        body = event.body
        self.analyses.append(
            Analysed(
                body["record"],
                body.get("labels"),
                MappingProxyType(dict(body["basis"])),
                body["verdict"],
                event.made_by,
                event.made_at,
            )
        )

    def reported(self, event: Event) -> None:
        self.reported_at.setdefault(event.made_by, event.made_at)
        files = MappingProxyType({str(k): str(v) for k, v in event.body["files"].items()})
        self.reports.append(Reported(files, event.body["head"], event.made_by, event.made_at))


_ACTS: Mapping[str, Callable[[_Reader, Event], None]] = {
    "review.begun": _Reader.begun,
    "review.shown": _Reader.shown,
    "review.analysed": _Reader.analysed,
    "review.checked": _Reader.checked,
    "review.noted": _Reader.noted,
    "review.judged": _Reader.judged,
    "review.signed": _Reader.signed,
    "review.reported": _Reader.reported,
}
