"""The words of a report, in one file a language; numbers and dates as that language writes them.

``texts/en.toml`` has every key; a translation is one more file beside it. What it leaves out is
said in English. Sentences that a document keeps by key lie in ``texts/sentences``; those that the
program recorded in English, as the words of a view, are said by ``texts/recorded``. Names and
comments stay as they are in the document.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari_safire.errors import SafireError
from napari_safire.project.upkeep.wording import WORDS
from napari_safire.review.report.blocks import Run, Words

_FOLDER = Path(__file__).parent / "texts"
ENGLISH = "en"
"""The language in which sentences stand in a document, whatever that of its pages."""
_PLACE = re.compile(r"\{(\w+)\}")
_UNITS = ("", "kB", "MB", "GB")
_OF_MOMENT = {
    "month_number": "%m",
    "day_number": "%d",
    "hour": "%H",
    "minute": "%M",
    "second": "%S",
}
_PLAIN = 1e-3, 1e6  # outside, a number with decimals is written with an exponent


def languages() -> tuple[str, ...]:
    """Languages that a report can be written in, by their codes (BCP 47).

    Returns
    -------
    tuple of str
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


class Texts:
    """The catalogue in one language.

    Parameters
    ----------
    language : str
        One of `languages`.

    Raises
    ------
    SafireError
        There is no such catalogue.
    """

    def __init__(self, language: str = ENGLISH) -> None:
        if language not in languages():
            raise SafireError(
                f"There is no report in the language {language!r}: choose one of "
                f"{', '.join(languages())}."
            )
        self.language = language
        self._texts = {**_texts(ENGLISH), **_texts(language)}

    @property
    def keys(self) -> frozenset[str]:
        """All keys, as in the English catalogue."""
        return frozenset(_texts(ENGLISH))

    @property
    def direction(self) -> str:
        """``"ltr"`` or ``"rtl"``."""
        return self.line("format.direction")

    def line(self, key: str) -> str:
        """Return a text that has no places to fill in.

        Raises
        ------
        KeyError
            No catalogue has it: a mistake of the program.
        """
        return self._texts[key]

    def words(self, key: str, **values: Words | Run | str) -> Words:
        """Fill a text in.

        Parameters
        ----------
        key : str
            Its place in the catalogue, as ``"summary.title"``.
        **values : tuple of Run, Run or str
            What is put in for ``{name}``; a `str` is one of our own words or numbers.

        Returns
        -------
        tuple of Run
            What is put in keeps its kind, so that nobody's name becomes part of our sentence.
        """
        found: list[Run] = []
        text, at = self.line(key), 0
        for place in _PLACE.finditer(text):
            value = values[place[1]]
            given = (
                (Run(value),)
                if isinstance(value, str)
                else (value,)
                if isinstance(value, Run)
                else value
            )
            found += [Run(text[at : place.start()]), *given]
            at = place.end()
        found.append(Run(text[at:]))
        return tuple(run for run in found if run.text)

    def term(self, group: str, value: str) -> Run:
        """Translate a word that the program uses as a value, such as a verdict.

        Parameters
        ----------
        group : str
            Which words: a table of the catalogue.
        value : str

        Returns
        -------
        Run
            The value itself, as recorded, where the catalogue does not know it.
        """
        key = f"{group}.{value}"
        return Run(self._texts[key]) if key in self._texts else Run(value, "recorded")

    def whole(self, value: int) -> str:
        """Write a whole number."""
        return f"{value:,}".replace(",", self.line("format.thousands"))

    def number(self, value: float, digits: int = 3) -> str:
        """Write a number with so many significant digits.

        Returns
        -------
        str
            With an exponent where it is very large or small; a word where it is not finite.
        """
        if not math.isfinite(value):
            return self.line("format.not_finite")
        if float(value).is_integer() and abs(value) < _PLAIN[1]:
            return self.whole(int(value))
        if value and not _PLAIN[0] <= abs(value) < _PLAIN[1]:
            text = f"{value:.{digits - 1}e}"
        else:
            decimals = digits - 1 - math.floor(math.log10(abs(value)))
            text = f"{value:,.{max(0, decimals)}f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
        return self.marked(text)

    def marked(self, number: str) -> str:
        """Write a number that stands in English with the marks of this language."""
        marks = {",": self.line("format.thousands"), ".": self.line("format.decimal")}
        return "".join(marks.get(character, character) for character in number)

    def share(self, value: float) -> str:
        """Write a share, 0 to 1, in per cent."""
        if not math.isfinite(value):
            return self.line("format.not_finite")
        digits = 0 if value in (0, 1) or 0.1 <= value <= 0.99 else 1
        text = f"{100 * value:.{digits}f}".replace(".", self.line("format.decimal"))
        return self.line("format.percent").replace("{n}", text)

    def size(self, n_bytes: int) -> str:
        """Write a number of bytes, rounded."""
        unit = min(len(_UNITS) - 1, max(0, (len(str(abs(n_bytes))) - 1) // 3))
        if not unit:
            return self.line("format.bytes").replace("{n}", self.number(n_bytes))
        return f"{self.number(n_bytes / 1000**unit)} {_UNITS[unit]}"

    def moment(self, text: str, form: str = "moment") -> Run:
        """Write a moment in universal time.

        Parameters
        ----------
        text : str
            ISO 8601.
        form : {"moment", "short"}

        Returns
        -------
        Run
            The text as it is where it is no moment.
        """
        at = moment(text)
        if at is None:
            return Run(text, "data")
        months = self.line("format.months").split(" ")
        values = {name: f"{at:{code}}" for name, code in _OF_MOMENT.items()}
        values |= {"year": f"{at.year:04}", "month": months[at.month - 1], "day": str(at.day)}
        return Run(_PLACE.sub(lambda place: values[place[1]], self.line(f"format.{form}")))


def moment(text: str) -> datetime | None:
    """Read a moment.

    Parameters
    ----------
    text : str
        ISO 8601; universal time where it names no zone.

    Returns
    -------
    datetime or None
        In universal time; None if it is no moment.
    """
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@cache
def _texts(language: str) -> Mapping[str, str]:
    found = {f"event.{key}": text for key, text in WORDS.items()} if language == ENGLISH else {}
    for folder in (_FOLDER, _FOLDER / "sentences"):
        file = folder / f"{language}.toml"
        if file.exists() or folder == _FOLDER:
            found |= _flat(tomllib.loads(file.read_text(encoding="utf-8")), "")
    return MappingProxyType(found)


def _flat(tables: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
