"""Sentences of a report that are kept by key and values, so that every language can say them.

A document holds key, values, and the sentence in English for whoever reads the JSON. Pages say it
in their language; where key and values do not give the English sentence that stands beside them,
they show that sentence as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_safire.review.report.blocks import Run, Words
from napari_safire.review.report.catalogue import ENGLISH, Texts

_TERMS = {
    "view": "view",
    "question": "checklist",
    "answer": "answer",
    "verdict": "verdict",
    "program_verdict": "program_verdict",
    "support": "support",
}
"""Places that take a word which the program uses as a value, and the words of each."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence.

    Parameters
    ----------
    key : str
        Of the catalogue: "limitation.small".
    values : mapping of str to (str or int)
        For its places: whole numbers, words of the program, or text from outside.
    """

    key: str
    values: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """In English."""
        return "".join(run.text for run in said(Texts(ENGLISH), self.key, self.values))

    def as_record(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"key": self.key, "values": dict(self.values), "words": self.words}


def said(texts: Texts, key: str, values: Mapping[str, str | int]) -> Words:
    """Say a sentence in a language.

    Parameters
    ----------
    texts : Texts
    key : str
    values : mapping of str to (str or int)

    Returns
    -------
    tuple of Run

    Raises
    ------
    KeyError
        There is no such sentence, or a value is missing.
    """
    filled = {name: _value(texts, name, value) for name, value in values.items()}
    return texts.words(key, **filled)


def _value(texts: Texts, name: str, value: str | int) -> Run:
    if isinstance(value, int):
        return Run(texts.whole(value))
    return texts.term(_TERMS[name], value) if name in _TERMS else Run(value, "data")


def said_again(texts: Texts, words: str, key: str, values: Mapping[str, Any]) -> Words | None:
    """Say a sentence of a document in a language.

    Parameters
    ----------
    texts : Texts
    words : str
        As it stands in the document, in English.
    key : str
    values : mapping
        From anybody.

    Returns
    -------
    tuple of Run or None
        None where key and values do not give these words.
    """
    if not all(isinstance(value, str | int) for value in values.values()):
        return None
    try:
        english = said(Texts(ENGLISH), key, values)
        if "".join(run.text for run in english) == words:
            return said(texts, key, values)
    except (KeyError, TypeError, ValueError):  # of a document that somebody has changed
        return None
    return None
