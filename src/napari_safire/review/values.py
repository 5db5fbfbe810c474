"""What an examiner writes down: findings, a checklist, a verdict, a signature. Frozen values.

Findings tell what was seen; what it means stands in the `Judgement` alone. Standards of review ask
for that (ISO/IEC 27042, SWGDE, ENFSI 2015).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.errors import DatasetError
from napari_safire.project.truth import SOURCE_TYPES, SourceType
from napari_safire.review.scale import Support

LONGEST_COMMENT = 30_000
"""Characters of a comment, an interpretation, or any other text of a review."""
MOST_FINDINGS = 10_000

FindingKind = Literal["observed", "derived", "inferred", "not available"]
FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)
"""Seen in the file or its pixels; computed from them; concluded from other findings; looked for,
and not there to be examined."""
FindingStatus = Literal["open", "confirmed", "withdrawn"]
FINDING_STATUSES: tuple[FindingStatus, ...] = get_args(FindingStatus)
"""A finding is withdrawn, never removed."""

Verdict = Literal["authentic", "manipulated", "cannot be determined"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
MANIPULATIONS: tuple[SourceType, ...] = tuple(
    kind for kind in SOURCE_TYPES if kind not in ("authentic background", "unknown")
)
"""Types of manipulation that a verdict may name."""

Answer = Literal["yes", "no", "not known"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
CHECKLIST: Mapping[str, str] = MappingProxyType(
    {
        "question": "Can this picture answer the question that is asked?",
        "quality": "Are its size and quality sufficient?",
        "unmodified": "Is it free of harmless changes, such as scaling or upload to a platform?",
        "original": "Is it the picture itself, no screenshot, print or photograph of a screen?",
        "best copy": "Is it the best copy that can be had?",
        "open": "May the answer be that it cannot be determined?",
    }
)
"""What is asked before a verdict, by name: FotoForensics' five mistakes, and the best copy.
A "no" does not forbid a verdict; it becomes a limitation of it."""

Stance = Literal["signs", "disputes"]
STANCES: tuple[Stance, ...] = get_args(Stance)


@dataclass(frozen=True, slots=True)
class Viewport:
    """The part of a picture that was on screen.

    Parameters
    ----------
    row, col : float
        Of its upper left corner, in pixels of the picture.
    height, width : float
        In pixels of the picture, above 0.
    plane : tuple of int
        Which plane of a stack; empty for a single picture.

    Raises
    ------
    DatasetError
        It has no size, or a number is not finite.
    """

    row: float
    col: float
    height: float
    width: float
    plane: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        numbers = (self.row, self.col, self.height, self.width)
        if not all(map(math.isfinite, numbers)) or self.height <= 0 or self.width <= 0:
            raise DatasetError(
                f"A part of a picture cannot be {self.height} x {self.width} pixels at row "
                f"{self.row}, column {self.col}: zoom to a part that has pixels."
            )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was seen in one view of a picture; without what it means.

    Parameters
    ----------
    id : str
        The same through all revisions.
    comment : str
        At most `LONGEST_COMMENT` characters.
    kind : {"observed", "derived", "inferred", "not available"}
    status : {"open", "confirmed", "withdrawn"}
    view : str
        Forensic view by its name; also "partition", "forgery map", "uncertainty", "votes"; empty:
        the picture itself.
    parameters : mapping
        All parameters of the view: names to JSON values.
    viewport : Viewport or None
        None: no place is meant.
    source : int or None
        The source of the partition that it is about.
    in_report : bool
        Whether it was chosen for the report.

    Raises
    ------
    DatasetError
        A text is too long, or a source has no such number.
    """

    id: str
    comment: str
    kind: FindingKind = "observed"
    status: FindingStatus = "open"
    view: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    viewport: Viewport | None = None
    source: int | None = None
    in_report: bool = True

    def __post_init__(self) -> None:
        refuse_long(self.comment, "comment of a finding")
        _refuse_source(self.source)
        # As JSON gives them back: tuples are lists, keys are text.
        parameters = json.loads(json.dumps(dict(self.parameters), allow_nan=False))
        object.__setattr__(self, "parameters", MappingProxyType(parameters))


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer to a question of the `CHECKLIST`.

    Parameters
    ----------
    question : str
        Its name there.
    answer : {"yes", "no", "not known"}
    note : str
    """

    question: str
    answer: Answer
    note: str = ""

    def __post_init__(self) -> None:
        if self.question not in CHECKLIST:
            raise DatasetError(
                f"The checklist has no question {self.question!r}: it has {', '.join(CHECKLIST)}."
            )
        refuse_long(self.note, "note in the checklist")


@dataclass(frozen=True, slots=True)
class SourceVerdict:
    """What an examiner says of one source.

    Parameters
    ----------
    source : int
        Its number in the labels of the judgement.
    verdict : {"authentic", "manipulated", "cannot be determined"}
    types : tuple of SourceType
        Of `MANIPULATIONS`; only where it is manipulated.
    confidence : Support or None
        None where it cannot be determined.
    note : str

    Raises
    ------
    DatasetError
        Parts contradict each other.
    """

    source: int
    verdict: Verdict
    types: tuple[SourceType, ...] = ()
    confidence: Support | None = None
    note: str = ""

    def __post_init__(self) -> None:
        _refuse_source(self.source)
        refuse_long(self.note, "note on a source")
        _refuse_contradiction(f"Source {self.source}", self.verdict, self.types, self.confidence)


@dataclass(frozen=True, slots=True)
class Judgement:
    """An examiner's verdict on a picture, and what they make of the findings.

    Parameters
    ----------
    verdict : {"authentic", "manipulated", "cannot be determined"}
    types : tuple of SourceType
        Of `MANIPULATIONS`; only where it is manipulated.
    confidence : Support or None
        In words of `napari_safire.review.scale`; None where it cannot be determined.
    sources : tuple of SourceVerdict
        By number, each once; those that nothing is said of are left out.
    interpretation : str
        What the findings mean.
    labels : str or None
        SHA-256, in the store, of the labels whose sources are meant; None without `sources`.

    Raises
    ------
    DatasetError
        Parts contradict each other.
    """

    verdict: Verdict
    types: tuple[SourceType, ...] = ()
    confidence: Support | None = None
    sources: tuple[SourceVerdict, ...] = ()
    interpretation: str = ""
    labels: str | None = None

    def __post_init__(self) -> None:
        refuse_long(self.interpretation, "interpretation")
        _refuse_contradiction("The picture", self.verdict, self.types, self.confidence)
        ordered = tuple(sorted(self.sources, key=lambda source: source.source))
        numbers = [source.source for source in ordered]
        if len(set(numbers)) != len(numbers):
            raise DatasetError("A source has two verdicts: give it one.")
        if ordered and self.labels is None:
            raise DatasetError("Verdicts on sources need the labels that they are of: keep these.")
        accused = [source.source for source in ordered if source.verdict == "manipulated"]
        if accused and self.verdict == "authentic":
            raise DatasetError(
                f"Source {accused[0]} is called manipulated and the picture authentic: change one."
            )
        object.__setattr__(self, "sources", ordered)


@dataclass(frozen=True, slots=True)
class Signature:
    """Somebody stands for a judgement, or disputes it.

    Parameters
    ----------
    stance : {"signs", "disputes"}
    reviewer : str
        Whose judgement it is.
    judgement : str
        SHA-256 of the event by which it was given (`Event.first_sha256`).
    head : str
        SHA-256 of the last event when it was signed: all that was there then.
    comment : str
    ssh_signature : str
        Detached signature (``ssh-keygen -Y sign``) of
        `napari_safire.review.signatures.signed_message`; empty: a name alone.
    ssh_key : str
        The public key that belongs to it, one line.
    """

    stance: Stance
    reviewer: str
    judgement: str
    head: str
    comment: str = ""
    ssh_signature: str = ""
    ssh_key: str = ""

    def __post_init__(self) -> None:
        refuse_long(self.comment, "comment on a verdict")
        refuse_long(self.ssh_signature, "signature")
        refuse_long(self.ssh_key, "key")


@dataclass(frozen=True, slots=True)
class CaseDescription:
    """What a case is about.

    Parameters
    ----------
    number : str
        Of the laboratory.
    title : str
    question : str
        That is to be answered.
    organisation : str
        That examines.
    requested_by : str
    received : str
        When, from whom and how the pictures came: where the chain of custody begins.
    notes : str
    blind : bool
        Whether reviewers see the model's verdict only after they have given theirs.
    """

    number: str = ""
    title: str = ""
    question: str = ""
    organisation: str = ""
    requested_by: str = ""
    received: str = ""
    notes: str = ""
    blind: bool = True

    def __post_init__(self) -> None:
        for name in ("number", "title", "question", "organisation", "requested_by", "received"):
            refuse_long(getattr(self, name), name.replace("_", " "))
        refuse_long(self.notes, "notes")


def refuse_long(text: str, what: str) -> None:
    """Raise a `DatasetError` for a text that is too long, or cannot be written down."""
    if len(text) > LONGEST_COMMENT:
        raise DatasetError(
            f"The {what} has {len(text):,} characters: shorten it to {LONGEST_COMMENT:,}."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(
            f"The {what} has a character that is none (at {error.start}): remove it."
        ) from error


def _refuse_source(source: int | None) -> None:
    if source is not None and not 1 <= source <= MOST_SOURCES:
        raise DatasetError(
            f"There is no source {source}: sources are numbered from 1 to {MOST_SOURCES}."
        )


def _refuse_contradiction(
    what: str, verdict: Verdict, types: tuple[SourceType, ...], confidence: Support | None
) -> None:
    if types and verdict != "manipulated":
        raise DatasetError(
            f"{what} is called {verdict} and of a type of manipulation ({types[0]}): change one."
        )
    if any(kind not in MANIPULATIONS for kind in types):
        raise DatasetError(
            f"{what} has a type that is none of {', '.join(MANIPULATIONS)}: choose one of them."
        )
    if (confidence is None) != (verdict == "cannot be determined"):
        way = "leave it out" if confidence else "choose how strongly the findings support it"
        raise DatasetError(f"{what} is called {verdict}; the confidence: {way}.")
