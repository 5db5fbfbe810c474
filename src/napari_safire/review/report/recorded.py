"""Sentences that the program recorded in English, said in another language.

``texts/recorded`` has one file a language: an English sentence with places for what changes, and
what it is there. A text is looked up sentence by sentence; what no file has stays English, and
pages mark it as such.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from napari_safire.review.report.blocks import Run, Words
from napari_safire.review.report.catalogue import ENGLISH, Texts

_FOLDER = Path(__file__).parent / "texts" / "recorded"
_LONGEST = 1_500  # characters of a text that is looked up: the program writes no longer ones
_DEEPEST = 4  # places within places
_PLACE = re.compile(r"\{(([a-z]+)\d*)\}")
_ENDS = re.compile(r'(?<=[.!?]) (?=[A-Z"\d])')
_KINDS = {
    "n": r"(-?\d(?:[\d.,]*\d)?)",
    "view": r"([A-Za-z, -]{1,200}?)",
    "verdict": r"(forged|no forgery found|inconclusive)",
    "t": r"(.{1,600}?)",
    "w": r"([^:,;()]{1,60})",
    "d": r"(.{1,300}?)",
}
"""What may stand in a place, by the letters that its name begins with."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A sentence with places, and what it is in the language."""

    places: tuple[str, ...]
    shape: re.Pattern[str]
    said: str


def said_otherwise(texts: Texts, text: str, depth: int = 0) -> Words | None:
    """Say a recorded text in the language of a catalogue.

    Parameters
    ----------
    texts : Texts
    text : str
        In English, of a document from anybody.
    depth : int
        Of the place that it stands in.

    Returns
    -------
    tuple of Run or None
        None where no sentence of it is known. Sentences that are not stay as recorded.
    """
    if texts.language == ENGLISH or len(text) > _LONGEST or depth > _DEEPEST:
        return None
    sentences = _ENDS.split(text)
    if len(sentences) == 1:
        return _said(texts, text, depth)
    each = [_said(texts, sentence, depth) for sentence in sentences]
    if not any(each):
        return None
    found: list[Run] = []
    for sentence, words in zip(sentences, each, strict=True):
        found += [Run(" ")] if found else []
        found += words or (Run(sentence, "recorded"),)
    return tuple(found)


def _said(texts: Texts, text: str, depth: int) -> Words | None:
    plain, patterns = _sentences(texts.language)
    if text in plain:
        return (Run(plain[text]),)
    for pattern in patterns:
        match = pattern.shape.fullmatch(text)
        if match is not None:
            values = dict(zip(pattern.places, match.groups(), strict=True))
            return tuple(_filled(texts, pattern.said, values, depth))
    return None


def _filled(texts: Texts, said: str, values: Mapping[str, str], depth: int) -> Iterator[Run]:
    at = 0
    for place in _PLACE.finditer(said):
        if place.start() > at:
            yield Run(said[at : place.start()])
        yield from _value(texts, place[2], values[place[1]], depth)
        at = place.end()
    if at < len(said):
        yield Run(said[at:])


def _value(texts: Texts, kind: str, value: str, depth: int) -> Words:
    if kind == "n":
        return (Run(texts.marked(value)),)
    if kind == "view":
        names = [texts.term("view", name).text for name in value.split(", ")]
        return (Run(texts.line("format.comma").join(names)),)
    if kind == "verdict":
        return (texts.term("program_verdict", value),)
    known = said_otherwise(texts, value, depth + 1) if kind in ("t", "w") else None
    return known or (Run(value, "data"),)


@cache
def _sentences(language: str) -> tuple[Mapping[str, str], tuple[_Pattern, ...]]:
    """Sentences without places, and those with some, in the order of the file."""
    file = _FOLDER / f"{language}.toml"
    if not file.exists():
        return {}, ()
    known: dict[str, str] = tomllib.loads(file.read_text(encoding="utf-8"))
    plain = {english: said for english, said in known.items() if not _PLACE.search(english)}
    patterns = [_pattern(english, said) for english, said in known.items() if english not in plain]
    return plain, tuple(patterns)


def _pattern(english: str, said: str) -> _Pattern:
    shape, at, places = "", 0, []
    for place in _PLACE.finditer(english):
        shape += re.escape(english[at : place.start()]) + _KINDS[place[2]]
        places.append(place[1])
        at = place.end()
    return _Pattern(tuple(places), re.compile(shape + re.escape(english[at:])), said)
