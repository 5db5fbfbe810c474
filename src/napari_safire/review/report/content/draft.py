"""What all parts of a report are written with: the document, the catalogue, the figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from napari_safire.project.upkeep.wording import event_told
from napari_safire.review.report.blocks import (
    Block,
    Bullets,
    Column,
    Comment,
    Facts,
    Figure,
    Paragraph,
    Run,
    Table,
    Words,
)
from napari_safire.review.report.catalogue import Texts
from napari_safire.review.report.record import Record, as_number, as_text
from napari_safire.review.report.recorded import said_otherwise
from napari_safire.review.report.sentences import said_again
from napari_safire.text import printable

SHORT_HASH = 16
_MOST_VALUES = 60  # of a list of numbers in one line; the document has all


class Draft:
    """A report that is being written.

    Parameters
    ----------
    document : mapping
        See `napari_safire.review.report.document`.
    texts : Texts
    sizes : mapping of str to (int, int)
        Rows and columns of the figures whose pictures are at hand, by their ids.
    """

    def __init__(
        self, document: Mapping[str, Any], texts: Texts, sizes: Mapping[str, tuple[int, int]]
    ) -> None:
        self.document = Record(document)
        self.texts = texts
        self.sizes = sizes
        self.records = {figure.text("id"): figure for figure in self.document.records("figures")}
        self._drawn: dict[str, int] = {}

    def words(self, key: str, **values: Words | Run | str) -> Words:
        """See `Texts.words`."""
        return self.texts.words(key, **values)

    def paragraph(self, key: str, **values: Words | Run | str) -> Paragraph:
        """Return a text of the catalogue as a paragraph."""
        return Paragraph(self.words(key, **values))

    def note(self, key: str, **values: Words | Run | str) -> Paragraph:
        """Return a text of the catalogue in small letters."""
        return Paragraph(self.words(key, **values), "note")

    @property
    def nothing(self) -> Words:
        """What stands for a value that is not there."""
        return self.words("format.nothing")

    def data(self, text: str) -> Words:
        """Return text from outside, on one line."""
        return (Run(text, "data"),) if text else self.nothing

    def recorded(self, text: str) -> Words:
        """Return a sentence that the program wrote into the document."""
        if not text:
            return self.nothing
        return said_otherwise(self.texts, text) or (Run(text, "recorded"),)

    def sentence(self, given: Any) -> Words:
        """Say a sentence that stands in the document: with its key, or in English alone."""
        if not isinstance(given, Mapping):
            return self.recorded(as_text(given))
        record = Record(given)
        words, values = record.text("words"), record.record("values").values
        return said_again(self.texts, words, record.text("key"), values) or self.recorded(words)

    def event(self, event: Record) -> Words:
        """Say what an event did."""
        words = event.text("what")
        try:
            key, values = event_told(event.text("kind"), event.record("body").values)
            values = {n: v if isinstance(v, int) else printable(v) for n, v in values.items()}
        except (KeyError, TypeError, AttributeError, ValueError):  # somebody has changed it
            return self.recorded(words)
        return said_again(self.texts, words, f"event.{key}", values) or self.recorded(words)

    def code(self, text: str) -> Words:
        """Return a hash, or a name of the program's."""
        return (Run(text, "code"),) if text else self.nothing

    def short_hash(self, text: str) -> Words:
        """Return the beginning of a hash, which says enough beside the whole one."""
        return self.code(text[:SHORT_HASH])

    def moment(self, text: str, form: str = "moment") -> Words:
        """Return a moment in the language's own form."""
        return (self.texts.moment(text, form),) if text else self.nothing

    def number(self, value: float | None, digits: int = 3) -> Words:
        """Return a number in the language's own form."""
        return self.nothing if value is None else (Run(self.texts.number(value, digits)),)

    def share(self, value: float | None) -> Words:
        """Return a share in per cent."""
        return self.nothing if value is None else (Run(self.texts.share(value)),)

    def joined(self, parts: Iterable[Words]) -> Words:
        """Lay words beside each other with the language's own comma."""
        found: list[Run] = []
        for part in parts:
            found += [Run(self.texts.line("format.comma")), *part] if found else part
        return tuple(found)

    def view(self, name: str) -> Run:
        """Return the name of a view; of the picture itself where it has none."""
        return self.texts.term("view", name or "picture")

    def comment(self, text: str) -> tuple[Block, ...]:
        """Return what somebody wrote, in its own lines; nothing if they wrote nothing."""
        if not text.strip():
            return ()
        lines = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n").split("\n")
        return (Comment(tuple((Run(line, "data"),) if line else () for line in lines)),)

    def facts(self, *rows: tuple[str, Words]) -> Facts:
        """Name values by texts of the catalogue."""
        return Facts(tuple((self.words(f"label.{key}"), words) for key, words in rows))

    def table(
        self, caption: str, columns: Iterable[Column], rows: Iterable[tuple[Words, ...]]
    ) -> Table:
        """Make a table whose caption is a text of the catalogue; gaps in it are dashes."""
        dash = self.words("format.dash")
        rows = (tuple(dash if cell == self.nothing else cell for cell in row) for row in rows)
        return Table(self.words(f"table.{caption}"), tuple(columns), tuple(rows))

    def column(self, key: str, share: float = 1.0, *, numbers: bool = False) -> Column:
        """Name a column by a text of the catalogue."""
        return Column(self.words(f"label.{key}"), share, numbers)

    def bullets(self, sentences: Iterable[str]) -> tuple[Block, ...]:
        """Lay sentences of the program below each other; nothing if there are none."""
        items = tuple(self.recorded(sentence) for sentence in sentences if sentence)
        return (Bullets(items),) if items else ()

    def figure(self, figure_id: str) -> tuple[Block, ...]:
        """Return a figure of the document, once; nothing if it has none of this id."""
        record = self.records.get(figure_id)
        if record is None or figure_id in self._drawn:
            return ()
        number = self._drawn[figure_id] = len(self._drawn) + 1
        return (
            Figure(
                id=figure_id,
                title=self.words("figure.title", number=str(number)),
                caption=self._caption(figure_id, record.text("caption")),
                caveat=self.recorded(record.text("caveat")) if record.text("caveat") else (),
                size=self.sizes.get(figure_id),
            ),
        )

    def _caption(self, figure_id: str, text: str) -> Words:
        """What a figure shows; one of a view begins with its name."""
        name, colon, what = text.partition(": ")
        if not (colon and figure_id.startswith("view-")):
            return self.recorded(text)
        return (self.view(name), Run(colon), *self.recorded(what))

    def remaining_figures(self) -> tuple[Block, ...]:
        """Return the figures that nothing has asked for yet, so that none is lost."""
        return tuple(block for figure_id in self.records for block in self.figure(figure_id))

    def value(self, value: Any) -> Words:
        """Write any value of the document on one line."""
        if isinstance(value, Mapping):
            parts = (
                self.words("format.pair", name=Run(str(key), "code"), value=self.value(of))
                for key, of in value.items()
            )
            return self.joined(parts) or self.words("format.none")
        if isinstance(value, (list, tuple)):
            shown = [self.value(of) for of in value[:_MOST_VALUES]]
            if len(value) > _MOST_VALUES:
                shown.append(
                    self.words("format.more", n=self.texts.whole(len(value) - _MOST_VALUES))
                )
            return self.joined(shown) or self.words("format.none")
        # Parameters and settings are data: they are written as they must be typed.
        text = as_text(value)
        if not text:
            return self.words("format.unset")
        return (
            self.code(text)
            if as_number(value) is not None or isinstance(value, bool)
            else self.data(text)
        )

    def place(self, bounds: tuple[float, ...]) -> Words:
        """Name a part of the picture by its first and last rows and columns.

        Parameters
        ----------
        bounds : (top, left, bottom, right)
            In pixels, bottom and right exclusive; anything else is no place.

        Returns
        -------
        tuple of Run
        """
        if len(bounds) != 4:
            return self.nothing
        top, left, bottom, right = (round(value) for value in bounds)
        last = {"bottom": str(max(top, bottom - 1)), "right": str(max(left, right - 1))}
        return self.words("format.place", top=str(top), left=str(left), **last)


@dataclass(frozen=True, slots=True)
class Part:
    """Some blocks under a heading of their own, within a chapter."""

    anchor: str
    title: Words
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """What a section says: blocks, then parts with headings of their own."""

    blocks: tuple[Block, ...]
    parts: tuple[Part, ...] = ()
