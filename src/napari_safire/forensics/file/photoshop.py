"""Photoshop's resources (8BIM), the IPTC in them, and the name of a colour profile.

Adobe Photoshop File Formats Specification; IPTC-IIM 4.2; ICC.1:2022.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from napari_safire.forensics.evidence import Row
from napari_safire.text import printable

_IPTC, _DIGEST, _QUALITY, _VERSION = 0x0404, 0x0425, 0x0406, 0x0421
_THUMBNAILS = (0x0409, 0x040C)
_THUMBNAIL_HEADER = 28
_MOST_RESOURCES, _MOST_DATASETS, _MOST_TEXT = 500, 200, 200
_DATASETS = {
    5: "title", 40: "special instructions", 55: "date created", 60: "time created",
    62: "date digitised", 63: "time digitised", 65: "program", 70: "program's version",
    80: "author", 90: "city", 101: "country", 105: "headline", 110: "credit", 115: "source",
    116: "copyright", 120: "caption", 122: "caption's author", 25: "keyword", 10: "urgency",
}  # fmt: skip


def resources(body: bytes) -> Mapping[int, bytes]:
    """Photoshop's resources by their number; what is damaged ends there.

    Parameters
    ----------
    body : bytes
        From the first ``8BIM`` on.
    """
    found: dict[int, bytes] = {}
    at = 0
    while body[at : at + 4] == b"8BIM" and len(found) < _MOST_RESOURCES:
        number = int.from_bytes(body[at + 4 : at + 6], "big")
        name = body[at + 6 : at + 7]
        at += 7 + (name[0] if name else 0)
        at += at % 2  # the name is padded with its length byte
        size = int.from_bytes(body[at : at + 4], "big")
        if at + 4 + size > len(body):
            break
        found.setdefault(number, body[at + 4 : at + 4 + size])
        at += 4 + size + size % 2
    return found


def resource_rows(found: Mapping[int, bytes]) -> Iterator[Row]:
    """What Photoshop's resources say, IPTC included."""
    if not found:
        return
    yield Row("Photoshop resources", str(len(found)))
    version = found.get(_VERSION, b"")
    name = version[9 : 9 + 2 * min(int.from_bytes(version[5:9], "big"), _MOST_TEXT)]
    writer = printable(name.decode("utf-16-be", "replace").rstrip("\0"))
    if writer:
        yield Row("Photoshop resources, writer", writer, "written by an editor")
    quality = found.get(_QUALITY, b"")
    if len(quality) >= 2:
        value = int.from_bytes(quality[:2], "big", signed=True) + 4
        yield Row("Photoshop's quality", f"{value} of 12", "saved by Photoshop")
    iptc = found.get(_IPTC, b"")
    yield from iptc_rows(iptc)
    digest = found.get(_DIGEST, b"")
    if len(digest) == 16 and any(digest) and iptc:
        same = hashlib.md5(iptc, usedforsecurity=False).digest() == digest
        remark = "" if same else "the IPTC was changed after its digest was written"
        yield Row("IPTC digest", "fits" if same else "does not fit", remark)


def iptc_rows(body: bytes) -> Iterator[Row]:
    """Datasets of IPTC-IIM."""
    at, coding = 0, "latin-1"
    for _ in range(_MOST_DATASETS):
        if body[at : at + 1] != b"\x1c" or at + 5 > len(body):
            return
        record, number = body[at + 1], body[at + 2]
        size = int.from_bytes(body[at + 3 : at + 5], "big")
        value = body[at + 5 : at + 5 + size]
        if size & 0x8000 or len(value) < size:
            return
        if (record, number) == (1, 90) and value == b"\x1b%G":
            coding = "utf-8"
        if record == 2 and number != 0:
            text = printable(value[: 4 * _MOST_TEXT].decode(coding, "replace"))[:_MOST_TEXT]
            remark = "as Facebook writes it" if number == 40 and text.startswith("FBMD") else ""
            yield Row(f"IPTC {_DATASETS.get(number, f'2:{number}')}", text, remark)
        at += 5 + size


def photoshop_thumbnail(found: Mapping[int, bytes]) -> bytes:
    """JPEG of the small picture that Photoshop keeps; empty for none."""
    for number in _THUMBNAILS:
        body = found.get(number, b"")
        if len(body) > _THUMBNAIL_HEADER and body[:4] == b"\0\0\0\1":
            return body[_THUMBNAIL_HEADER:]
    return b""


def profile_name(profile: bytes) -> str:
    """Name of a colour profile with its year; empty for no profile."""
    if profile[36:40] != b"acsp":
        return ""
    year = int.from_bytes(profile[24:26], "big")
    count = min(int.from_bytes(profile[128:132], "big"), 100)
    name = "without a name"
    for at in range(132, 132 + 12 * count, 12):
        if profile[at : at + 4] == b"desc":
            start, size = (int.from_bytes(profile[at + k : at + k + 4], "big") for k in (4, 8))
            name = _description(profile[start : start + size]) or name
    return f"{name} ({year})"


def _description(tag: bytes) -> str:
    if tag[:4] == b"desc":
        text = tag[12 : 12 + int.from_bytes(tag[8:12], "big")].split(b"\0")[0].decode("latin-1")
    elif tag[:4] == b"mluc":
        size, start = (int.from_bytes(tag[k : k + 4], "big") for k in (20, 24))
        text = tag[start : start + size].decode("utf-16-be", "replace")
    else:
        return ""
    return printable(text[:_MOST_TEXT])[:_MOST_TEXT].strip()
