"""The marker segments of a JPEG file (ITU-T T.81), and the pictures that its index lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from napari_safire.decoding.jpeg import listed_views
from napari_safire.decoding.structure.parts import END, Damaged, Part

_NAMES = {
    0xC0: "baseline frame", 0xC1: "extended frame", 0xC2: "progressive frame",
    0xC3: "lossless frame", 0xC4: "Huffman tables", 0xC8: "reserved", 0xC9: "arithmetic frame",
    0xCA: "progressive arithmetic frame", 0xCC: "arithmetic conditioning", 0xD8: "start",
    0xD9: END, 0xDA: "scan", 0xDB: "quantisation tables", 0xDD: "restart interval",
    0xFE: "comment",
}  # fmt: skip
_APPS = (
    (0xE0, b"JFIF\0", "JFIF header"), (0xE0, b"JFXX\0", "JFIF extension"),
    (0xE1, b"Exif\0", "Exif"), (0xE1, b"http://ns.adobe.com/xap/", "XMP"),
    (0xE1, b"http://ns.adobe.com/xmp/", "XMP, continued"), (0xE2, b"ICC_PROFILE", "colour profile"),
    (0xE2, b"MPF\0", "index of several pictures"), (0xEB, b"JP", "JUMBF (Content Credentials)"),
    (0xED, b"Photoshop 3.0", "Photoshop resources"), (0xEE, b"Adobe", "Adobe header"),
    (0xEC, b"Ducky", "Photoshop, saved for the web"),
)  # fmt: skip
_NEXT_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")  # no stuffed zero, no restart
_MPF = b"MPF\0"


def jpeg_parts(data: bytes) -> Iterator[Part]:
    """Go through the markers of a JPEG file.

    Raises
    ------
    Damaged
    """
    at = 0
    while True:
        start = at
        while data[at : at + 2] == b"\xff\xff":
            at += 1  # fill bytes
        if at + 2 > len(data):
            raise Damaged("the end marker is missing: it was cut short")
        if data[at] != 0xFF:
            raise Damaged(f"there is no marker at byte {at}")
        marker = data[at + 1]
        if marker in (0xD8, 0xD9) or 0xD0 <= marker <= 0xD7 or marker == 0x01:
            at += 2
            yield Part(f"FF{marker:02X}", _NAMES.get(marker, "restart"), start, at - start)
            if marker == 0xD9:
                return
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 2 or at + 2 + size > len(data):
            raise Damaged(f"the part at byte {at} reaches beyond the file's end")
        body = data[at + 4 : at + 2 + size]
        header = at + 4 - start
        at += 2 + size
        if marker == 0xDA:
            following = _NEXT_MARKER.search(data, at)
            at = following.start() if following else len(data)
        yield Part(f"FF{marker:02X}", _name(marker, body), start, at - start, "", header)


def _name(marker: int, body: bytes) -> str:
    for number, begin, name in _APPS:
        if number == marker and body.startswith(begin):
            return name
    if 0xE0 <= marker <= 0xEF:
        return f"application data {marker - 0xE0}"
    return _NAMES.get(marker, "unknown")


def other_views(data: bytes, parts: Iterable[Part]) -> tuple[tuple[int, int], ...]:
    """Where the further pictures lie that an index (MPF) lists: (offset, size) of each."""
    return tuple((start, size) for _, size, start in listed_in(data, parts))


def previews(data: bytes, parts: Iterable[Part]) -> tuple[tuple[int, int], ...]:
    """Those among them that are the picture itself, smaller."""
    return tuple((at, size) for kind, size, at in listed_in(data, parts) if is_preview(kind))


def listed_in(data: bytes, parts: Iterable[Part]) -> tuple[tuple[int, int, int], ...]:
    """What an index (MPF) lists beside the first picture: (attributes, size, offset) of each."""
    for part in parts:
        if part.what == "index of several pictures":
            place = part.offset + part.header + len(_MPF)
            return listed_views(part.content(data)[len(_MPF) :], place)[1:]
    return ()


def is_preview(kind: int) -> bool:
    """Whether the attributes of a picture in an index call it a smaller version of the first."""
    return kind & 0xFF0000 == 0x010000
