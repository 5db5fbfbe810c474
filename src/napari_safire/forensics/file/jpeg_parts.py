"""The marker segments of a JPEG file, and what they say of how it was coded (ITU-T T.81)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from napari_safire.decoding.jpeg import listed_views
from napari_safire.decoding.metadata import jpeg_shape
from napari_safire.forensics.evidence import Row
from napari_safire.forensics.file.parts import END, Damaged, Part

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
_ADOBE = {0: "RGB or CMYK as they are", 1: "YCbCr", 2: "YCCK"}
# Begin of the SHA-256 of tables K.3 to K.6, each with class and number, counts and symbols.
_STANDARD_HUFFMAN = frozenset({"9fb04cb1", "f27ce9b7", "af48d4f6", "8cf60aa8"})
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


def coding_rows(data: bytes, parts: Iterable[Part]) -> Iterator[Row]:
    """Say how a JPEG was coded.

    Parameters
    ----------
    data : bytes
        All of the file.
    parts : iterable of Part
        Of it.

    Yields
    ------
    Row
        Frame, scans, Huffman tables, colours.
    """
    parts = tuple(parts)
    for part in parts:
        body = part.content(data)
        if part.what.endswith("frame") and len(body) >= 6:
            height, width = (int.from_bytes(body[k : k + 2], "big") for k in (1, 3))
            channels = body[6 : 6 + 3 * body[5]]
            sampling = " ".join(f"{n >> 4}x{n & 15}" for n in channels[1::3])
            value = f"{part.what}, {height} x {width}, {body[0]} bits, samples {sampling}"
            yield Row("Frame", value, "" if body[0] == 8 else f"{body[0]} bits are rare in a JPEG")
        elif part.what == "Adobe header" and len(body) >= 12:
            yield Row("Colours", _ADOBE.get(body[11], f"unknown ({body[11]})"))
    yield from _view_rows(data, parts)
    yield Row("Scans", str(sum(part.what == "scan" for part in parts)))
    found = list(_huffman(b"".join(p.content(data) for p in parts if p.what == "Huffman tables")))
    if found:
        usual = all(table in _STANDARD_HUFFMAN for table in found)
        kind = "those of the standard" if usual else "made for this picture"
        yield Row("Huffman tables", f"{len(found)}, {kind}")


def _huffman(body: bytes) -> Iterator[str]:
    """Begin of the hash of each table."""
    at = 0
    while at + 17 <= len(body):
        size = 17 + sum(body[at + 1 : at + 17])
        yield hashlib.sha256(body[at : at + size]).hexdigest()[:8]
        at += size


def other_views(data: bytes, parts: Iterable[Part]) -> tuple[tuple[int, int], ...]:
    """Where the further pictures lie that an index (MPF) lists: (offset, size) of each."""
    return tuple((start, size) for _, size, start in _listed(data, parts))


def previews(data: bytes, parts: Iterable[Part]) -> tuple[tuple[int, int], ...]:
    """Those among them that are the picture itself, smaller."""
    return tuple((at, size) for kind, size, at in _listed(data, parts) if _is_preview(kind))


def _listed(data: bytes, parts: Iterable[Part]) -> tuple[tuple[int, int, int], ...]:
    for part in parts:
        if part.what == "index of several pictures":
            place = part.offset + part.header + len(_MPF)
            return listed_views(part.content(data)[len(_MPF) :], place)[1:]
    return ()


def _is_preview(kind: int) -> bool:
    return kind & 0xFF0000 == 0x010000


def _view_rows(data: bytes, parts: Iterable[Part]) -> Iterator[Row]:
    for number, (kind, size, start) in enumerate(_listed(data, parts), 2):
        what = "preview" if _is_preview(kind) else "view or gain map"
        shape = jpeg_shape(data[start : start + min(size, 1 << 20)])
        shown = f"{shape[0]} x {shape[1]}, " if shape else ""
        remark = "" if shape else "the index leads to no JPEG"
        yield Row(f"Picture {number}", f"{what}, {shown}{size} bytes at {start}", remark)
