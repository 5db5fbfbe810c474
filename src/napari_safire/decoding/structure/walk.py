"""The parts of a picture file, one after the other, and what lies behind its end.

ITU-T T.81 (JPEG markers), ISO/IEC 15948 (PNG chunks), RIFF (WebP), GIF89a, TIFF 6.0 and ISO/IEC
14496-12 (boxes of HEIC and AVIF). Nothing is decoded; lengths are held against the file's own size,
so that a damaged or hostile file ends the walk and not the program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from napari_safire.decoding.structure.boxes import box_parts
from napari_safire.decoding.structure.chunks import (
    PNG_BEGIN,
    bmp_parts,
    gif_parts,
    png_parts,
    tiff_parts,
    webp_parts,
)
from napari_safire.decoding.structure.jpeg import jpeg_parts, other_views
from napari_safire.decoding.structure.parts import END, Damaged, Part

MOST_PARTS = 10_000
_WALKS: tuple[tuple[re.Pattern[bytes], str, Callable[[bytes], Iterator[Part]]], ...] = (
    (re.compile(rb"\xff\xd8"), "JPEG", jpeg_parts),
    (re.compile(re.escape(PNG_BEGIN)), "PNG", png_parts),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP", webp_parts),
    (re.compile(rb"GIF8[79]a"), "GIF", gif_parts),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF", tiff_parts),
    (re.compile(rb"....ftyp", re.DOTALL), "HEIF", box_parts),
    (re.compile(rb"BM"), "BMP", bmp_parts),
)
# What may begin behind the end: enough of each that chance does not make it.
_SIGNATURES = (
    (rb"\xff\xd8\xff[\xdb\xe0-\xef]", "a JPEG"), (rb"\x89PNG\r\n\x1a\n", "a PNG"),
    (rb"PK\x03\x04", "a ZIP archive"), (rb"Rar!\x1a\x07", "a RAR archive"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"), (rb"%PDF-", "a PDF"), (rb"GIF8[79]a", "a GIF"),
    (rb"\x1f\x8b\x08[\0-\x1f]", "a gzip stream"), (rb"RIFF....WEBP", "a WebP"),
    (rb"\0\0\0.ftyp", "a film or HEIC picture"), (rb"<\?php|<html|<script", "a text with markup"),
    (rb"\x7fELF|MZ.\0\x03\0\0\0", "a program"), (rb"SEFH.\0\0\0", "a phone's own data (Samsung)"),
)  # fmt: skip
_ANY = re.compile(b"|".join(b"(%s)" % begin for begin, _ in _SIGNATURES), re.DOTALL)
_LATE = 8 << 20  # bytes behind the end that are searched for other files
_MOST_APPENDED = 8
_EOCD = b"PK\x05\x06"  # end of a ZIP archive's directory
_MOST_COMMENT = 65_557  # bytes from there to the archive's end, at most


@dataclass(frozen=True, slots=True)
class Container:
    """A file's parts and what follows them.

    Parameters
    ----------
    parts : tuple of Part
    ended : bool
        The format's own end was reached.
    trailing : int
        Bytes behind it that no index of the file lists.
    appended : tuple of str
        What begins in them: "a ZIP archive".
    damage : str
        Why the walk ended early; empty if it did not.
    format : str
        "JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIF" (also AVIF) or "BMP".
    padding : bool
        The trailing bytes are all zero.
    """

    parts: tuple[Part, ...]
    ended: bool
    trailing: int = 0
    appended: tuple[str, ...] = ()
    damage: str = ""
    format: str = ""
    padding: bool = False

    def find(self, what: str) -> Iterator[Part]:
        """Parts of a kind, as they come."""
        return (part for part in self.parts if part.what == what)


def walk(data: bytes) -> Container | None:
    """Go through a picture file.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    Container or None
        None for other formats.
    """
    known = [(format, steps) for begin, format, steps in _WALKS if begin.match(data)]
    if not known:
        return None
    format, steps = known[0]
    parts, damage = _collected(steps(data))
    ended = bool(parts) and not damage and parts[-1].what == END
    if not ended:
        return Container(tuple(parts), False, damage=damage, format=format)
    behind = parts[-1].end
    if format == "JPEG":
        listed = [at + size for at, size in other_views(data, parts) if at >= behind]
        behind = max([behind, *(end for end in listed if end <= len(data))])
    rest = data[behind:]
    padding = bool(rest) and not rest.strip(b"\0")
    return Container(tuple(parts), True, len(rest), _appended(rest), "", format, padding)


def _collected(steps: Iterator[Part]) -> tuple[list[Part], str]:
    """Parts, those of one kind in a row as one, and why there are no more of them."""
    parts: list[Part] = []
    try:
        for part in steps:
            last = parts[-1] if parts else None
            if last is not None and last.name == part.name == "IDAT" and last.remark == part.remark:
                parts[-1] = replace(last, size=part.end - last.offset, count=last.count + 1)
                continue
            parts.append(part)
            if len(parts) >= MOST_PARTS:
                return parts, f"it has more than {MOST_PARTS} parts"
    except Damaged as error:
        return parts, str(error)
    return parts, ""


def _appended(trailing: bytes) -> tuple[str, ...]:
    """Other files that begin behind the end, in their order, each kind once."""
    found: list[str] = []
    for match in _ANY.finditer(trailing[:_LATE]):
        what = _SIGNATURES[(match.lastindex or 1) - 1][1]
        if what not in found:
            found.append(what)
        if len(found) == _MOST_APPENDED:
            break
    return tuple(found)


def also_opens_as(data: bytes) -> tuple[str, ...]:
    """Other kinds of file that the same bytes are, as readers of those kinds go about it.

    Parameters
    ----------
    data : bytes
        All of a picture file.

    Returns
    -------
    tuple of str
        "a ZIP archive", whose directory is read from the end; "a PDF", which may begin anywhere in
        the first 1,024 bytes; "a page of HTML".
    """
    found = []
    at = data.rfind(_EOCD, -_MOST_COMMENT)
    if at >= 0 and at + 22 <= len(data):
        size, start = (int.from_bytes(data[at + k : at + k + 4], "little") for k in (12, 16))
        first = data[at - size : at - size + 4] if size <= at else b""
        if first == b"PK\x01\x02" and start <= at:
            found.append("a ZIP archive")
    if b"%PDF-" in data[:1024]:
        found.append("a PDF")
    if re.search(rb"<(!doctype html|html|script)\b", data[:1024], re.IGNORECASE):
        found.append("a page of HTML")
    return tuple(found)
