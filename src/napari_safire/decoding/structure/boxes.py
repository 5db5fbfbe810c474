"""Boxes of HEIC and AVIF files (ISO/IEC 14496-12 and 23008-12): parts, and the items in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_safire.decoding.structure.parts import END, Damaged, Part

_WHAT = {
    b"ftyp": "kind", b"meta": "items", b"mdat": "pixels and other content", b"moov": "film",
    b"free": "free space", b"skip": "free space", b"uuid": "other data", b"jumb": "JUMBF",
    b"idat": "content",
}  # fmt: skip
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_MOST_ITEMS = 10_000
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Item:
    """What the items of a file are.

    Parameters
    ----------
    kind : str
        "hvc1", "av01", "Exif", "mime".
    content_type : str
        Of "mime".
    spans : tuple of (int, int)
        Begin and size of its bytes in the file.
    """

    kind: str
    content_type: str = ""
    spans: tuple[tuple[int, int], ...] = ()

    def content(self, data: bytes) -> bytes:
        """Its bytes, 16 MiB at most."""
        return b"".join(data[at : at + size] for at, size in self.spans)[:_MOST_BYTES]


def boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Kind, begin, header and end of each box between two places.

    Raises
    ------
    Damaged
        One reaches beyond its surroundings.
    """
    while at < end:
        size = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        header = 8
        if size == 1:
            size, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = end - at
        if size < header or at + size > end or at + header > end:
            raise Damaged(f"the part at byte {at} reaches beyond the file's end")
        yield kind, at, header, at + size
        at += size


def box_parts(data: bytes) -> Iterator[Part]:
    """Go through the outermost boxes.

    Raises
    ------
    Damaged
    """
    at = 0
    while at + 8 <= len(data) and data[at + 4 : at + 8].isalnum():
        try:
            kind, start, header, at = next(boxes(data, at, len(data)))
        except Damaged:
            if data[at + 4 : at + 8] in _WHAT:
                raise
            break  # no box: what follows the picture
        what = _WHAT.get(kind, "box")
        if kind == b"uuid" and data[start + header :].startswith(_C2PA):
            what = "JUMBF (Content Credentials)"
        elif kind == b"ftyp":
            what = f"kind {data[start + header : start + header + 4].decode('latin-1')}"
        yield Part(kind.decode("ascii"), what, start, at - start, "", header)
    yield Part("", END, at, 0)


def items(data: bytes) -> tuple[Item, ...]:
    """Items of the first box of items; none where it is damaged."""
    try:
        for kind, at, header, end in boxes(data, 0, len(data)):
            if kind == b"meta":
                return _items(data, at + header + 4, end)
    except (Damaged, IndexError):
        return ()  # the walk over the parts says what is damaged
    return ()


def colour_profile(data: bytes) -> bytes:
    """ICC profile of the first picture that has one; empty for none."""
    at = data.find(b"colrprof")
    if at < 4:
        return b""
    size = int.from_bytes(data[at - 4 : at], "big")
    return data[at + 8 : at - 4 + min(size, _MOST_BYTES)]


def _items(data: bytes, at: int, end: int) -> tuple[Item, ...]:
    kinds: dict[int, tuple[str, str]] = {}
    places: dict[int, tuple[tuple[int, int], ...]] = {}
    for kind, start, header, stop in boxes(data, at, end):
        body = start + header
        if kind == b"iinf":
            kinds = dict(_infos(data, body, stop))
        elif kind == b"iloc":
            places = dict(_places(data[body:stop], len(data)))
    return tuple(Item(*said, places.get(number, ())) for number, said in kinds.items())


def _infos(data: bytes, at: int, end: int) -> Iterator[tuple[int, tuple[str, str]]]:
    at += 4 + (2 if data[at] == 0 else 4)
    for kind, start, header, stop in boxes(data, at, end):
        body = data[start + header : stop]
        if kind != b"infe" or len(body) < 12 or body[0] not in (2, 3):
            continue
        wide = 2 if body[0] == 2 else 4
        number = int.from_bytes(body[4 : 4 + wide], "big")
        name = body[6 + wide : 10 + wide].decode("latin-1")
        words = body[10 + wide :].split(b"\0")
        yield number, (name, words[1].decode("latin-1") if len(words) > 1 else "")


def _places(body: bytes, size: int) -> Iterator[tuple[int, tuple[tuple[int, int], ...]]]:
    """Where each item lies; only those that lie in the file itself."""
    version = body[0]
    widths = body[4] >> 4, body[4] & 15, body[5] >> 4, body[5] & 15 if version else 0
    wide = 4 if version == 2 else 2
    at = 6

    def number(width: int) -> int:
        nonlocal at
        if at + width > len(body):
            raise Damaged("its list of places is cut short")
        at += width
        return int.from_bytes(body[at - width : at], "big")

    for _ in range(min(number(wide), _MOST_ITEMS)):
        name = number(wide)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(widths[2])
        spans = []
        for _ in range(number(2)):
            number(widths[3])
            start, length = base + number(widths[0]), number(widths[1])
            spans.append((start, length))
        if method == 0 and all(at + length <= size for at, length in spans):
            yield name, tuple(spans)
