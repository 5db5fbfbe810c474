"""What the blocks of EXIF and XMP beside a picture say that a reader must know.

A damaged block says nothing: the picture is whole all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_safire.decoding.source import ByteSource, Damage
from napari_safire.decoding.tiff_tags import Page, page_at, read_pages

_ORIENTATION = 0x0112
_PREVIEW_START, _PREVIEW_BYTES = 0x0201, 0x0202
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])\b")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Orientation and preview.

    Parameters
    ----------
    orientation : int or None
        1 to 8; None if nothing is said.
    preview : (int, int) or None
        Rows and columns of the small picture in the EXIF block.
    """

    orientation: int | None = None
    preview: tuple[int, int] | None = None


def read_exif(block: bytes) -> Metadata:
    """Read an EXIF block, with or without ``Exif`` in front of it."""
    block = block.removeprefix(b"Exif\0\0")
    if not block.startswith((b"II*\0", b"MM\0*")):
        return Metadata()
    source = ByteSource(block)
    try:
        first, _ = read_pages(source)
        orientation = valid_orientation(first)
    except Damage:
        return Metadata()
    try:
        preview = _preview(first) if first.next_page else None
    except Damage:
        preview = None
    return Metadata(orientation, preview)


def valid_orientation(page: Page) -> int | None:
    """Orientation that a page asks for; None if it says nothing that can be meant."""
    value = page.integer(_ORIENTATION, 0)
    return value if value in range(1, 9) else None


def xmp_orientation(packet: bytes) -> int | None:
    """Orientation that an XMP packet asks for; None if it says nothing."""
    found = _XMP_ORIENTATION.search(packet)
    return int(found[1]) if found else None


def jpeg_shape(data: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG stream; None if its header does not tell them."""
    place = 2
    while data.startswith(b"\xff\xd8") and place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[place + 5 : place + 7], "big")
            return height, int.from_bytes(data[place + 7 : place + 9], "big")
        if marker == 0xFF:
            place += 1
            continue
        place += 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
    return None


def _preview(first: Page) -> tuple[int, int] | None:
    page = page_at(first, first.next_page)
    start, n_bytes = page.integer(_PREVIEW_START, 0), page.integer(_PREVIEW_BYTES, 0)
    if start and n_bytes:
        return jpeg_shape(page.source.read(start, n_bytes))
    height, width = page.integer(257, 0), page.integer(256, 0)
    return (height, width) if height and width else None
