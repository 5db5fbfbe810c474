"""How a JPEG was coded: frame, scans, colours, Huffman tables, further pictures (ITU-T T.81)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from napari_safire.decoding.metadata import jpeg_shape
from napari_safire.decoding.structure.jpeg import is_preview, listed_in
from napari_safire.decoding.structure.parts import Part
from napari_safire.forensics.evidence import Row

_ADOBE = {0: "RGB or CMYK as they are", 1: "YCbCr", 2: "YCCK"}
# Begin of the SHA-256 of tables K.3 to K.6, each with class and number, counts and symbols.
_STANDARD_HUFFMAN = frozenset({"9fb04cb1", "f27ce9b7", "af48d4f6", "8cf60aa8"})


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


def _view_rows(data: bytes, parts: Iterable[Part]) -> Iterator[Row]:
    for number, (kind, size, start) in enumerate(listed_in(data, parts), 2):
        what = "preview" if is_preview(kind) else "view or gain map"
        shape = jpeg_shape(data[start : start + min(size, 1 << 20)])
        shown = f"{shape[0]} x {shape[1]}, " if shape else ""
        remark = "" if shape else "the index leads to no JPEG"
        yield Row(f"Picture {number}", f"{what}, {shown}{size} bytes at {start}", remark)
