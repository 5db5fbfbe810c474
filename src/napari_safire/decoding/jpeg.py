"""JPEG, and MPO, which is several of them in one file: the first picture."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.decoding import limits
from napari_safire.decoding.metadata import (
    Metadata,
    jpeg_shape,
    read_exif,
    xmp_orientation,
)
from napari_safire.decoding.pillow import DECODER, array_of, colours_note, opened
from napari_safire.decoding.source import ByteSource, Damage, Refusal
from napari_safire.decoding.stated import Decoding
from napari_safire.decoding.tiff_tags import read_pages

_FRAMES = {
    0xC0: "JPEG, baseline",
    0xC1: "JPEG, extended",
    0xC2: "JPEG, progressive",
    0xC9: "JPEG, arithmetic",
    0xCA: "JPEG, progressive, arithmetic",
}
_PROGRESSIVE = (0xC2, 0xCA)
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7)
_SCAN, _END = 0xDA, 0xD9
# What the pixels need: tables, restart interval, JFIF and Adobe, which say what the colours are.
_NEEDED = {0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xEE, *_FRAMES}
_ALONE = {0x01, *range(0xD0, 0xD8)}
_MOST_MARKERS = 100_000
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_MPF = b"MPF\0"
# Every marker but stuffed zeros and the restarts that lie between compressed bytes.
_NEXT_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")


@dataclass(slots=True)
class _Found:
    """What a walk over the markers has found so far."""

    frame: int = 0
    shape: tuple[int, int] = (0, 0)
    bits: int = 8
    components: int = 0
    metadata: Metadata = field(default_factory=Metadata)
    xmp: int | None = None
    profile: bool = False
    views: tuple[tuple[int, int, int], ...] = ()  # (attributes, bytes, place) of each picture
    needed: list[bytes] = field(default_factory=list)
    first_scan: int = 0


def inspect(source: ByteSource) -> Decoding:
    """Read all that lies before the first scan.

    Raises
    ------
    Damage, Refusal
    """
    return _stated(_head(source), source)


def decode(source: ByteSource) -> tuple[npt.NDArray[Any], Decoding]:
    """Read the pixels of the first picture.

    Raises
    ------
    Damage, Refusal
    """
    found = _head(source)
    data = source.whole()
    n_scans, end = _scans(data, found.first_scan)
    limits.check_scans(n_scans, found.shape[0] * found.shape[1])
    decoding = _stated(found, source)
    if end is not None:
        decoding = _with_rest(decoding, data[end:])
    clean = b"".join([b"\xff\xd8", *found.needed, data[found.first_scan : end]])
    with opened(clean, "JPEG") as image:
        pixels, done = array_of(image)
    return pixels, replace(decoding, converted=(done,) if done else ())


def channels_and_type(source: ByteSource) -> tuple[int, np.dtype[Any]]:
    """Channels (0 for grey) and type of the pixels that `decode` gives."""
    return 0 if _head(source).components == 1 else 3, np.dtype(np.uint8)


def _head(source: ByteSource) -> _Found:
    found = _Found()
    place = 2
    for _ in range(_MOST_MARKERS):
        begin = source.exactly(place, 2)
        if begin[0] != 0xFF:
            raise Damage(f"there is no marker at byte {place}")
        marker = begin[1]
        if marker == 0xFF:  # fill bytes
            place += 1
            continue
        if marker in _ALONE:
            place += 2
            continue
        if marker == _END:
            break
        length = int.from_bytes(source.exactly(place + 2, 2), "big")
        if length < 2:
            raise Damage(f"the segment at byte {place} has the length {length}")
        if marker == _SCAN:
            if not found.frame:
                break
            found.first_scan = place
            return found
        _take(found, source, marker, place, length)
        place += 2 + length
    raise Damage("there is no scan in it")


def _take(found: _Found, source: ByteSource, marker: int, place: int, length: int) -> None:
    body = source.exactly(place + 4, length - 2)
    if marker in _OTHER_FRAMES:
        raise Refusal(
            "is a lossless or hierarchical JPEG, or JPEG-LS, which is not read: convert it to PNG "
            "or TIFF."
        )
    if marker in _FRAMES:
        if found.frame:
            raise Damage("it has two frame headers")
        _take_frame(found, marker, body)
    elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
        if found.metadata == Metadata():
            found.metadata = read_exif(body)
    elif marker == 0xE1 and body.startswith(_XMP):
        found.xmp = found.xmp or xmp_orientation(body)
    elif marker == 0xE2 and body.startswith(_ICC):
        found.profile = True
    elif marker == 0xE2 and body.startswith(_MPF):
        found.views = found.views or listed_views(body[len(_MPF) :], place + 4 + len(_MPF))
    if marker in _NEEDED:
        found.needed.append(source.exactly(place, 2 + length))


def _take_frame(found: _Found, marker: int, body: bytes) -> None:
    if len(body) < 6:
        raise Damage("its frame header is cut short")
    found.frame, found.bits, found.components = marker, body[0], body[5]
    found.shape = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    limits.check_size(found.shape[1], found.shape[0])
    if found.bits != 8:
        raise Refusal(f"is a JPEG of {found.bits} bits, which is not read: convert it to TIFF.")
    if found.components not in (1, 3, 4):
        raise Refusal(f"is a JPEG of {found.components} channels: convert it to PNG or TIFF.")
    if marker in _PROGRESSIVE:  # which keeps all coefficients until the last scan
        n_pixels = found.shape[0] * found.shape[1]
        limits.check_working(n_pixels * (2 * found.components + 4), "progressive JPEG")


def listed_views(block: bytes, place: int) -> tuple[tuple[int, int, int], ...]:
    """Read the list of views (MPF) of a file.

    Parameters
    ----------
    block : bytes
        What follows ``MPF`` in its segment.
    place : int
        Where that lies in the file.

    Returns
    -------
    tuple of (int, int, int)
        Attributes, bytes and place of each picture, the first one among them, whose place is 0.
    """
    try:
        page, _ = read_pages(ByteSource(block))
    except Damage:  # the first picture is whole all the same
        return ()
    listed = page.content(0xB002, 16 * limits.MAX_PAGES)
    order: Any = "little" if page.order == "<" else "big"
    views = []
    for start in range(0, len(listed) - 15, 16):
        attributes, size, offset = (
            int.from_bytes(listed[start + 4 * k : start + 4 * k + 4], order) for k in range(3)
        )
        views.append((attributes, size, place + offset if offset else 0))
    return tuple(views)


def _stated(found: _Found, source: ByteSource) -> Decoding:
    besides: list[str] = []
    notes = [colours_note("CMYK")] if found.components == 4 else []
    height, width = found.shape
    if found.metadata.preview:
        rows, cols = found.metadata.preview
        besides.append(f"an EXIF preview of {rows} x {cols}")
        if rows * cols > height * width:
            notes.append(
                f"carries an EXIF preview of {rows} x {cols}, larger than the picture itself, "
                "which was read."
            )
    for attributes, _, start in found.views[1:]:
        shape = jpeg_shape(source.read(start, limits.MAX_METADATA_BYTES))
        size = f" of {shape[0]} x {shape[1]}" if shape else ""
        kind = "preview" if attributes & 0xFF0000 == 0x010000 else "view or gain map"
        besides.append(f"a {kind}{size}")
        if shape and shape[0] * shape[1] > height * width:
            notes.append(
                f"holds another picture{size} pixels, larger than the first ({height} x {width}), "
                "which was read."
            )
    if found.profile:
        besides.append("a colour profile, not applied")
    return Decoding(
        format="JPEG",
        shape=found.shape,
        colour={1: "grey", 3: "YCbCr or RGB", 4: "CMYK"}[found.components],
        compression=_FRAMES[found.frame],
        pages=max(1, len(found.views)),
        orientation=found.metadata.orientation or found.xmp or 1,
        besides=tuple(besides),
        notes=tuple(notes),
        decoder=DECODER,
    )


def _scans(data: bytes, first: int) -> tuple[int, int | None]:
    """Number of scans, and where the picture ends; None where its end mark is missing."""
    n_scans, place = 0, first
    for _ in range(_MOST_MARKERS):
        marker = data[place + 1] if place + 1 < len(data) else None
        if marker is None:
            return n_scans, None
        if marker == _END:
            return n_scans, place + 2
        if marker == _SCAN:
            n_scans += 1
            if n_scans > limits.MAX_SCANS:
                return n_scans, None
        length = 0 if marker in _ALONE else int.from_bytes(data[place + 2 : place + 4], "big")
        following = _NEXT_MARKER.search(data, place + 2 + length)
        if following is None:
            return n_scans, None
        place = following.end() - 2
    raise Damage(f"it has more than {_MOST_MARKERS} markers")


def _with_rest(decoding: Decoding, rest: bytes) -> Decoding:
    """Say what lies behind the end of the picture."""
    if not rest.strip(b"\0"):
        return decoding
    besides = (*decoding.besides, f"{len(rest)} bytes behind the end of the picture")
    start = rest.find(b"\xff\xd8\xff")
    shape = jpeg_shape(rest[start:]) if start >= 0 else None
    if decoding.pages > 1 or shape is None or 0 in shape:
        return replace(decoding, besides=besides)
    note = (
        f"has another JPEG picture of {shape[0]} x {shape[1]} pixels behind its end: the first was "
        "read."
    )
    return replace(decoding, besides=besides, notes=(*decoding.notes, note))
