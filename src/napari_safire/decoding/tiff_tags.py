"""Tags and pages of a TIFF file, and of the EXIF block of others, which is one.

Nothing is read that the size of the file and `limits` do not bound, and a chain of pages that loops
is noticed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from napari_safire.decoding import limits
from napari_safire.decoding.source import ByteSource, Damage

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q"}
_INTEGERS |= {18: "Q"}
_MOST_TAGS = 4096  # of one page
_PAGES_LOOKED_INTO = 16


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: int
    count: int
    start: int


@dataclass(frozen=True, slots=True)
class Page:
    """Tags of one page (or of a block of EXIF), read when they are asked for.

    Parameters
    ----------
    source : ByteSource
    order : {"<", ">"}
        Byte order.
    entries : dict of int to entry
    next_page : int
        Where the next page begins; 0 for none.
    end : int
        Byte behind its list of tags.
    """

    source: ByteSource
    order: Literal["<", ">"]
    entries: dict[int, _Entry]
    next_page: int
    end: int = 0

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def integers(self, tag: int, most: int = 64) -> tuple[int, ...]:
        """Values of a tag, none if it is missing or holds no integers.

        Raises
        ------
        Damage
            The values lie outside the file, or there are more than `most`.
        """
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS:
            return ()
        if entry.count > most:
            raise Damage(f"tag {tag} lists {entry.count} values")
        letter, size = _INTEGERS[entry.kind], _SIZES[entry.kind]
        data = self.source.exactly(entry.start, entry.count * size)
        return struct.unpack(f"{self.order}{entry.count}{letter}", data)

    def integer(self, tag: int, default: int) -> int:
        """First value of a tag, or the default."""
        values = self.integers(tag, limits.MAX_SEGMENTS)
        return values[0] if values else default

    def content(self, tag: int, most: int = limits.MAX_METADATA_BYTES) -> bytes:
        """Up to `most` bytes of a tag; empty if it is missing or lies outside the file."""
        entry = self.entries.get(tag)
        if entry is None:
            return b""
        return self.source.read(entry.start, min(entry.count * _SIZES.get(entry.kind, 1), most))

    def span(self, tag: int) -> tuple[int, int]:
        """Where the values of a tag begin, and their bytes; (0, 0) if it is missing."""
        entry = self.entries.get(tag)
        return (0, 0) if entry is None else (entry.start, entry.count * _SIZES[entry.kind])

    def text(self, tag: int, most: int = 4096) -> str:
        """Begin of a tag that holds text."""
        return self.content(tag, most).split(b"\0")[0].decode("latin-1")


@dataclass(frozen=True, slots=True)
class PageBrief:
    """What is asked of a page that is not read.

    Parameters
    ----------
    shape : (int, int)
    reduced : bool
        It calls itself a smaller version of another.
    """

    shape: tuple[int, int]
    reduced: bool


@dataclass(frozen=True, slots=True)
class Pages:
    """How many pages there are, and of the first few what they are.

    Parameters
    ----------
    count : int
        Without those beyond the limit.
    more : bool
        There are pages beyond.
    loops : bool
        The list of pages leads back to one that came before.
    briefs : tuple of PageBrief
        Of the second page and those after it.
    """

    count: int
    more: bool
    loops: bool
    briefs: tuple[PageBrief, ...]


def read_pages(source: ByteSource) -> tuple[Page, Pages]:
    """Read the tags of the first page and count the others.

    Raises
    ------
    Damage
    """
    order, big, start = _header(source)
    first = _page(source, start, order, big)
    seen = {start}
    briefs: list[PageBrief] = []
    place, more, loops = first.next_page, False, False
    while place:
        if place in seen:
            loops = True
            break
        if len(seen) >= limits.MAX_PAGES:
            more = True
            break
        try:
            if len(briefs) < _PAGES_LOOKED_INTO:
                page = _page(source, place, order, big)
                briefs.append(_brief(page))
                following = page.next_page
            else:
                following = _next_page(source, place, order, big)
        except Damage:  # the first page is whole all the same
            break
        seen.add(place)
        place = following
    return first, Pages(len(seen), more, loops, tuple(briefs))


def read_sub_pages(page: Page) -> tuple[PageBrief, ...]:
    """Read what is asked of the pages below a page (tag SubIFDs)."""
    big = _is_big(page)
    briefs = []
    try:
        for place in page.integers(330, limits.MAX_PAGES)[:_PAGES_LOOKED_INTO]:
            briefs.append(_brief(_page(page.source, place, page.order, big)))
    except Damage:  # the page itself is whole all the same
        return tuple(briefs)
    return tuple(briefs)


def page_at(page: Page, place: int) -> Page:
    """Read a page of the same block of tags at another place.

    Raises
    ------
    Damage
    """
    return _page(page.source, place, page.order, _is_big(page))


def _brief(page: Page) -> PageBrief:
    shape = page.integer(257, 0), page.integer(256, 0)
    return PageBrief(shape, is_reduced(page))


def _is_big(page: Page) -> bool:
    return page.source.exactly(2, 2) in (b"+\0", b"\0+")


def is_reduced(page: Page) -> bool:
    """Whether a page calls itself a smaller version of another."""
    return bool(page.integer(254, 0) & 1) or page.integer(255, 1) == 2


def _header(source: ByteSource) -> tuple[Literal["<", ">"], bool, int]:
    begin = source.exactly(0, 4)
    order: Literal["<", ">"] = "<" if begin[:2] == b"II" else ">"
    if begin[:2] not in (b"II", b"MM"):
        raise Damage("its byte order is not told")
    (version,) = struct.unpack(order + "H", begin[2:4])
    if version == 42:
        (start,) = struct.unpack(order + "I", source.exactly(4, 4))
        return order, False, start
    if version == 43:
        size, zero, start = struct.unpack(order + "HHQ", source.exactly(4, 12))
        if (size, zero) == (8, 0):
            return order, True, start
    raise Damage("its header cannot be read")


def _count(source: ByteSource, start: int, order: str, big: bool) -> tuple[int, int, int]:
    """Number of tags, where the first lies, and the size of one."""
    if start < 8:
        raise Damage("its list of tags is missing")
    head = 8 if big else 2
    (count,) = struct.unpack(order + ("Q" if big else "H"), source.exactly(start, head))
    size = 20 if big else 12
    if count > _MOST_TAGS:
        raise Damage(f"a page lists {count} tags")
    return count, start + head, size


def _next_page(source: ByteSource, start: int, order: str, big: bool) -> int:
    count, first, size = _count(source, start, order, big)
    after = source.read(first + count * size, 8 if big else 4)
    if len(after) < (8 if big else 4):  # cut off behind the last tag, which is tolerated
        return 0
    (place,) = struct.unpack(order + ("Q" if big else "I"), after)
    return int(place)


def _page(source: ByteSource, start: int, order: Literal["<", ">"], big: bool) -> Page:
    count, first, size = _count(source, start, order, big)
    data = source.exactly(first, count * size)
    form, inline = (order + "HHQ", 8) if big else (order + "HHI", 4)
    entries: dict[int, _Entry] = {}
    for number in range(count):
        place = number * size
        tag, kind, values = struct.unpack_from(form, data, place)
        if kind not in _SIZES or tag in entries:  # types of the future; of twins the first counts
            continue
        where = first + place + size - inline
        if values * _SIZES[kind] > inline:
            (where,) = struct.unpack_from(
                order + ("Q" if big else "I"), data, place + size - inline
            )
        entries[tag] = _Entry(kind, values, where)
    end = first + count * size + (8 if big else 4)
    return Page(source, order, entries, _next_page(source, start, order, big), end)
