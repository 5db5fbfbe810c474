"""The parts of a JPEG or PNG file, one after the other, and what lies behind its end.

ITU-T T.81 (JPEG markers), ISO/IEC 15948 (PNG chunks). Nothing is decoded; lengths are held against
the file's own size, so that a damaged or hostile file ends the walk and not the program.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MOST_PARTS = 10_000
_JPEG_NAMES = {
    0xC0: "baseline frame", 0xC1: "extended frame", 0xC2: "progressive frame",
    0xC3: "lossless frame", 0xC4: "Huffman tables", 0xC8: "reserved", 0xC9: "arithmetic frame",
    0xCA: "progressive arithmetic frame", 0xCC: "arithmetic conditioning", 0xD8: "start",
    0xD9: "end", 0xDA: "scan", 0xDB: "quantisation tables", 0xDD: "restart interval",
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
_SIGNATURES = (
    (b"\xff\xd8\xff", "a JPEG"), (b"\x89PNG\r\n\x1a\n", "a PNG"), (b"PK\x03\x04", "a ZIP archive"),
    (b"Rar!", "a RAR archive"), (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"), (b"%PDF", "a PDF"),
    (b"GIF8", "a GIF"), (b"\x1f\x8b\x08", "a gzip stream"),
)  # fmt: skip
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_LATE = 1 << 20  # bytes behind the end that are searched for other files


@dataclass(frozen=True, slots=True)
class Part:
    """A marker segment or chunk.

    Parameters
    ----------
    name : str
        "FFE1", "IDAT".
    what : str
        In words.
    offset, size : int
        Bytes from the beginning of the file; of the part, header included.
    remark : str
        What is odd about it; empty for nothing.
    """

    name: str
    what: str
    offset: int
    size: int
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """A file's parts and what follows them.

    Parameters
    ----------
    parts : tuple of Part
    ended : bool
        The format's own end was reached.
    trailing : int
        Bytes behind it.
    appended : tuple of str
        What begins in them: "a ZIP archive".
    damage : str
        Why the walk ended early; empty if it did not.
    """

    parts: tuple[Part, ...]
    ended: bool
    trailing: int = 0
    appended: tuple[str, ...] = ()
    damage: str = ""

    def find(self, what: str) -> Iterator[Part]:
        """Parts of a kind, as they come."""
        return (part for part in self.parts if part.what == what)


class _Damaged(Exception):
    """The walk cannot go on."""


def walk(data: bytes) -> Container | None:
    """Go through a JPEG or PNG file.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    Container or None
        None for other formats.
    """
    if data[:2] == b"\xff\xd8":
        steps = _jpeg(data)
    elif data[:8] == _PNG_BEGIN:
        steps = _png(data)
    else:
        return None
    parts: list[Part] = []
    damage = ""
    try:
        for part in steps:
            parts.append(part)
            if len(parts) >= MOST_PARTS:
                raise _Damaged(f"it has more than {MOST_PARTS} parts")
    except _Damaged as error:
        damage = str(error)
    ended = bool(parts) and not damage and parts[-1].what == "end"
    end = parts[-1].offset + parts[-1].size if parts else 0
    trailing = len(data) - end if ended else 0
    return Container(
        tuple(parts), ended, trailing, _appended(data[end:]) if trailing else (), damage
    )


def _jpeg(data: bytes) -> Iterator[Part]:
    at = 0
    while True:
        start = at
        while at < len(data) and data[at] == 0xFF and data[at + 1 : at + 2] == b"\xff":
            at += 1  # fill bytes
        if at + 2 > len(data):
            raise _Damaged("the end marker is missing: it was cut short")
        if data[at] != 0xFF:
            raise _Damaged(f"there is no marker at byte {at}")
        marker = data[at + 1]
        if marker in (0xD8, 0xD9) or 0xD0 <= marker <= 0xD7 or marker == 0x01:
            at += 2
            yield Part(f"FF{marker:02X}", _JPEG_NAMES.get(marker, "restart"), start, at - start)
            if marker == 0xD9:
                return
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 2 or at + 2 + size > len(data):
            raise _Damaged(f"the part at byte {at} reaches beyond the file's end")
        body = data[at + 4 : at + 2 + size]
        at += 2 + size
        if marker == 0xDA:
            at = _after_scan(data, at)
        yield Part(f"FF{marker:02X}", _jpeg_name(marker, body), start, at - start)


def _after_scan(data: bytes, at: int) -> int:
    """Byte of the next marker behind the coded data of a scan."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        following = data[at + 1]
        if following == 0 or 0xD0 <= following <= 0xD7 or following == 0xFF:
            at += 2 if following != 0xFF else 1
            continue
        return at


def _jpeg_name(marker: int, body: bytes) -> str:
    for number, begin, name in _APPS:
        if number == marker and body.startswith(begin):
            return name
    if 0xE0 <= marker <= 0xEF:
        return f"application data {marker - 0xE0}"
    return _JPEG_NAMES.get(marker, "unknown")


def _png(data: bytes) -> Iterator[Part]:
    at = len(_PNG_BEGIN)
    while True:
        if at + 12 > len(data):
            raise _Damaged("the end chunk is missing: it was cut short")
        size = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if not name.isalpha() or at + 12 + size > len(data):
            raise _Damaged(f"the part at byte {at} reaches beyond the file's end")
        checksum = int.from_bytes(data[at + 8 + size : at + 12 + size], "big")
        wrong = checksum != zlib.crc32(data[at + 4 : at + 8 + size])
        what = "end" if name == b"IEND" else "chunk"
        remark = "its checksum is wrong: changed after it was written" if wrong else ""
        yield Part(name.decode("ascii"), what, at, 12 + size, remark)
        at += 12 + size
        if what == "end":
            return


def _appended(trailing: bytes) -> tuple[str, ...]:
    """Other files that begin behind the end."""
    searched = trailing[:_LATE]
    found = [(searched.find(begin), what) for begin, what in _SIGNATURES]
    return tuple(what for at, what in sorted(found) if at >= 0)
