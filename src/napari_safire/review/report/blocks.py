"""What a report consists of, before it is HTML or PDF: sections of a few kinds of blocks.

`content` makes them of a document once; ``templates/report.html`` and ``templates/report.typ`` only
draw them, so that both say the same in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind = Literal["own", "recorded", "data", "code", "swatch"]
"""Of the catalogue, in the report's language; a sentence of the program, in the document's; from
outside (names, comments, metadata); a hash or a name of the program's; a colour ``#rrggbb``."""


@dataclass(frozen=True, slots=True)
class Run:
    """Some characters of one kind.

    Parameters
    ----------
    text : str
        As it was given: whoever draws it makes it printable and escapes it.
    kind : {"own", "recorded", "data", "code", "swatch"}
    strong : bool
    """

    text: str
    kind: Kind = "own"
    strong: bool = False


Words: TypeAlias = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words of their own.

    Parameters
    ----------
    words : tuple of Run
    role : {"text", "lead", "caveat", "note", "label"}
    """

    words: Words
    role: Literal["text", "lead", "caveat", "note", "label"] = "text"


@dataclass(frozen=True, slots=True)
class Comment:
    """What a person wrote, line by line as they did."""

    lines: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Bullets:
    """Sentences that stand beside each other."""

    items: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and their values."""

    rows: tuple[tuple[Words, Words], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Of a table: what stands over it, its share of the width, whether it holds numbers."""

    title: Words
    share: float = 1.0
    numbers: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; the first column names the row."""

    caption: Words
    columns: tuple[Column, ...]
    rows: tuple[tuple[Words, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with what is to be seen and what it must not be taken for.

    Parameters
    ----------
    id : str
        Its name in the mapping of figures.
    title : tuple of Run
        "Figure 3"
    caption, caveat : tuple of Run
    size : (int, int) or None
        Rows and columns; None where its bytes are not at hand, or no picture.
    """

    id: str
    title: Words
    caption: Words
    caveat: Words
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Box:
    """Blocks in a frame: the summary, one finding, one verdict."""

    title: Words
    blocks: tuple[Block, ...]


Block: TypeAlias = Paragraph | Comment | Bullets | Facts | Table | Figure | Box


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it.

    Parameters
    ----------
    anchor : str
        Its name in links.
    number : str
        "6", "6.2"
    title : tuple of Run
    blocks : tuple of Block
    """

    anchor: str
    number: str
    title: Words
    blocks: tuple[Block, ...]

    @property
    def level(self) -> int:
        """1 for a section, 2 for a part of one."""
        return self.number.count(".") + 1


@dataclass(frozen=True, slots=True)
class Content:
    """All of a report.

    Parameters
    ----------
    title : tuple of Run
    author : str
        Who made it.
    made_at : str
        ISO, UTC.
    head : tuple of tuple of Run
        What stands on top of each page: case, report, chain of events.
    summary : Box
    sections : tuple of Section
    """

    title: Words
    author: str
    made_at: str
    head: tuple[Words, ...]
    summary: Box
    sections: tuple[Section, ...]

    def figures(self) -> tuple[Figure, ...]:
        """Return the figures that are drawn, in order."""
        blocks = (block for section in self.sections for block in section.blocks)
        return tuple(_figures((self.summary, *blocks)))

    def all_runs(self) -> Iterator[Run]:
        """All characters of the report."""
        for words in (self.title, *self.head):
            yield from words
        yield from runs((self.summary,))
        for section in self.sections:
            yield from section.title
            yield from runs(section.blocks)


def _figures(blocks: tuple[Block, ...]) -> Iterator[Figure]:
    for block in blocks:
        if isinstance(block, Box):
            yield from _figures(block.blocks)
        elif isinstance(block, Figure):
            yield block


def runs(blocks: tuple[Block, ...]) -> Iterator[Run]:
    """All characters of blocks."""
    for block in blocks:
        if isinstance(block, Box):
            yield from block.title
            yield from runs(block.blocks)
        else:
            for words in _words(block):
                yield from words


def _words(block: Paragraph | Comment | Bullets | Facts | Table | Figure) -> Iterator[Words]:
    match block:
        case Paragraph():
            yield block.words
        case Comment():
            yield from block.lines
        case Bullets():
            yield from block.items
        case Facts():
            for row in block.rows:
                yield from row
        case Table():
            yield block.caption
            yield from (column.title for column in block.columns)
            for cells in block.rows:
                yield from cells
        case Figure():
            yield from (block.title, block.caption, block.caveat)
