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
    """Any JSON value whose texts are not endless."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting += [*one, *one.values()]
        elif isinstance(one, (list, tuple)):
            waiting += one
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


def sentence(value: Any, name: str) -> None:
    """A sentence with its key and values, or in English alone."""
    if isinstance(value, str):
        text(value, name)
    else:
        texts("key", "words", values=table())(value, name)


_EVENT = texts(
    "at", "author", "machine", "kind", "what", "picture",
    sequence=whole, body=table(), origin=maybe(table()), previous=sha256, sha256=sha256,
)  # fmt: skip

DOCUMENT = table(
    format=text,
    version=whole,
    language=text,
    digest=sha256,
    made=texts("at", "by", "machine", program=texts("name", "version"), versions=table()),
    case=table(),
    custody=rows(table()),
    picture=texts("id", "name", "path", file_sha256=sha256),
    model=maybe(texts("name", sha256=sha256, algorithm=whole)),
    settings=table(),
    evidence=rows(table()),
    findings=rows(table()),
    reviews=rows(table()),
    limitations=rows(sentence),
    events=rows(_EVENT),
    head=maybe(sha256),
    figures=rows(texts("id", "caption", "caveat", file=file_name, sha256=sha256), 1_000),
    files=table(),
)
"""Of what is proved; that pages are drawn of anything else is up to those who draw them."""
