"""What a document must look like before anything is made of it: it may come from anybody.

A form is a function that takes a value and its name, and raises `checked.Damaged` for any other. A
table may hold more than its form says; what is more is kept as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_safire.annotation import checked_values as checked
from napari_safire.text import printable

Form = Callable[[Any, str], object]

LONGEST_TEXT = 200_000  # characters
_MOST_ROWS = 20_000
_DEEPEST = 24
_LARGEST = 2**53


def text(value: Any, name: str) -> None:
    """Any text that is not endless."""
    if len(checked.words(value, name)) > LONGEST_TEXT:
        raise checked.Damaged(f"{name} has more than {LONGEST_TEXT:,} characters")


def sha256(value: Any, name: str) -> None:
    """64 hexadecimal digits."""
    if len(checked.words(value, name)) != 64 or set(value) - set("0123456789abcdef"):
        raise checked.Damaged(f"{name} is no SHA-256")


def whole(value: Any, name: str) -> None:
    """A whole number from 0."""
    checked.whole(value, name, 0, _LARGEST)


def file_name(value: Any, name: str) -> None:
    """A file in the report's folder, or one folder below: never a way out of it."""
    parts = checked.words(value, name).split("/")
    if len(parts) > 2 or len(value) > 200 or any(not _plain(part) for part in parts):
        raise checked.Damaged(f"{name} is {printable(repr(value))[:80]}, no file of the report")


def _plain(part: str) -> bool:
    return (
        bool(part)
        and part.strip(". ") == part
        and part.isascii()
        and all(character.isalnum() or character in "-_." for character in part)
    )


def anything(value: Any, name: str) -> None:
    """Any JSON value, if it is not too deep and its texts are not endless."""
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > _DEEPEST:
            raise checked.Damaged(f"{name} is deeper than {_DEEPEST} levels")
        if isinstance(one, Mapping):
            waiting += [(item, depth + 1) for item in one.values()]
        elif isinstance(one, (list, tuple)):
            waiting += [(item, depth + 1) for item in one]
        elif isinstance(one, str):
            text(one, name)


def maybe(form: Form) -> Form:
    """None as well."""

    def check(value: Any, name: str) -> None:
        if value is not None:
            form(value, name)

    return check


def rows(form: Form, most: int = _MOST_ROWS) -> Form:
    """A list of such values."""

    def check(value: Any, name: str) -> None:
        if not isinstance(value, list):
            raise checked.Damaged(f"{name} is no list")
        if len(value) > most:
            raise checked.Damaged(f"{name} has {len(value):,} entries, more than {most:,}")
        for number, one in enumerate(value):
            form(one, f"entry {number + 1} of {name}")

    return check


def numbers(length: int) -> Form:
    """A list of so many whole numbers."""

    def check(value: Any, name: str) -> None:
        for number in checked.row(value, name, length):
            whole(number, f"a number of {name}")

    return check


def table(**forms: Form) -> Form:
    """A table with these entries."""

    def check(value: Any, name: str) -> None:
        found = checked.mapping(value, name)
        anything(found, name)
        for key, form in forms.items():
            if key not in found:
                raise checked.Damaged(f"{name} does not say {key!r}")
            form(found[key], f"{key!r} of {name}")

    return check


def texts(*keys: str, **forms: Form) -> Form:
    """A table of texts, and of other values."""
    return table(**dict.fromkeys(keys, text), **forms)


_CUSTODY = texts("at", "by", "machine", "what", sequence=whole, sha256=sha256)
_PICTURE = texts(
    "id", "name", "path", "format", "decoder",
    bytes=whole, file_sha256=sha256, pixels_sha256=maybe(sha256), shape=maybe(numbers(2)),
    orientation=maybe(whole), decoding=rows(text), metadata=rows(texts("name", "value", "remark")),
)  # fmt: skip
_MODEL = texts(
    "name",
    sha256=sha256, algorithm=whole, card=rows(texts("name", "value")),
    calibration=maybe(table()),
)  # fmt: skip
_VERDICT = texts(
    "verdict", "means", "reason", "obstacle", "caveat",
    score=maybe(checked.number), likelihood_ratio=maybe(checked.number),
    contributions=rows(texts("name", "weight", "words", log_odds=checked.number)),
    network_alone=maybe(table()),
)  # fmt: skip
_SOURCE = table(
    number=whole, colour=numbers(3), n_pixels=whole, share=checked.share, bounds=numbers(4),
    confidence=maybe(checked.number), certainty=maybe(checked.number),
)  # fmt: skip
_PARTITION = texts(
    "method", n_sources=whole, labels_sha256=sha256, notices=rows(text), sources=rows(_SOURCE)
)
_EVIDENCE = texts(
    "name", "why_not", "finding", "score_means", "caveat", "misleads", "source",
    applicable=checked.flag, score=maybe(checked.number), parameters=table(),
    rows=rows(texts("name", "value", "remark", level=whole)),
)  # fmt: skip
_EVENT = texts(
    "at", "author", "machine", "kind", "what", "picture",
    sequence=whole, body=table(), origin=maybe(table()), previous=sha256, sha256=sha256,
)  # fmt: skip
_FIGURE = texts("id", "caption", "caveat", file=file_name, sha256=sha256)

DOCUMENT = table(
    format=text,
    version=whole,
    language=text,
    digest=sha256,
    made=texts("at", "by", "machine", program=texts("name", "version"), versions=table()),
    case=texts("number", "title", "question", "organisation", "requested_by", "received", "notes"),
    custody=rows(_CUSTODY),
    picture=_PICTURE,
    model=maybe(_MODEL),
    settings=table(),
    model_verdict=maybe(_VERDICT),
    partition=maybe(_PARTITION),
    regions=maybe(table()),
    voting=maybe(table()),
    stability=maybe(table()),
    saved_again=maybe(table()),
    evidence=rows(_EVIDENCE),
    findings=rows(table()),
    reviews=rows(table()),
    limitations=rows(text),
    events=rows(_EVENT),
    head=maybe(sha256),
    figures=rows(_FIGURE, 1_000),
    files=table(),
)
