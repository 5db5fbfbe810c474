"""Views of the file itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from napari_safire.forensics.evidence import Evidence, EvidenceMap, Row
from napari_safire.forensics.file.container import Container, walk
from napari_safire.forensics.file.credentials import (
    read_credentials,
    read_trust_list,
    trust_folder,
)
from napari_safire.forensics.file.metadata import (
    read_metadata,
    thumbnail_difference,
    thumbnail_pixels,
)
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress

_SAME_PICTURE = 0.9  # correlation of a thumbnail with its picture
_MOST_ROWS = 200
_TRUST_REMARKS = {
    "trusted": "",
    "untrusted": "the certificate stands in no trust list: anybody can make one of this name",
    "trust not judged": "without a trust list a name says little: anybody can make it",
}


def container_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Hashes, parts and trailing data."""
    data = picture.data
    rows = [
        Row("Bytes", str(len(data))),
        Row("SHA-256", hashlib.sha256(data).hexdigest()),
        Row("MD5", hashlib.md5(data, usedforsecurity=False).hexdigest()),
    ]
    found = walk(data)
    if found is None:
        return Evidence(
            table=tuple(rows), finding="hashes only: the parts of this format are not told"
        )
    rows += [
        Row(part.name, f"{part.what}, {part.size} bytes at {part.offset}", part.remark)
        for part in found.parts[:_MOST_ROWS]
    ]
    rows += _ending(found)
    remarks = [row.remark for row in rows if row.remark]
    return Evidence(
        table=tuple(rows), finding=remarks[-1] if remarks else "whole, nothing behind its end"
    )


def _ending(found: Container) -> list[Row]:
    if found.damage:
        return [Row("End", "not reached", found.damage)]
    if not found.trailing:
        return [Row("End", "reached")]
    what = " and ".join(found.appended)
    remark = f"{found.trailing} bytes follow the picture's end" + (f": {what}" if what else "")
    return [Row("End", "reached", remark)]


def metadata_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Exif tags and what does not fit."""
    found = read_metadata(picture.data)
    remarks = found.remarks()
    rows = [Row(name, value, remarks.pop(name, "")) for name, value in found.tags.items()]
    rows += [Row(name, "missing", remark) for name, remark in remarks.items()]
    if found.damage:
        rows.append(Row("Exif", "not all was read", found.damage))
    noticed = sum(bool(row.remark) for row in rows)
    finding = f"{len(found.tags)} tags, {noticed} to notice" if rows else "no Exif"
    return Evidence(table=tuple(rows), finding=finding)


def thumbnail_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """The embedded thumbnail against the picture."""
    thumbnail = thumbnail_pixels(read_metadata(picture.data))
    if thumbnail is None:
        return Evidence(finding="no thumbnail in the file")
    difference, correlation = thumbnail_difference(picture.rgb, thumbnail)
    cell = max(1, round(picture.shape[0] / max(1, difference.shape[0])))
    drawn = EvidenceMap(
        difference, cell, limits=(0.0, 64.0), means="brighter: differs from the thumbnail",
        unit="grey levels",
    )  # fmt: skip
    same = correlation >= _SAME_PICTURE
    row = Row(
        "Correlation",
        f"{correlation:.3f}",
        "" if same else "the thumbnail shows another picture, or an earlier state of it",
    )
    finding = "shows the same picture" if same else "shows another picture"
    return Evidence(drawn, table=(row,), score=1 - correlation, finding=finding)


def credentials_view(
    picture: Picture,
    *,
    trust_list: Annotated[
        str, {"tooltip": "PEM file or folder of trusted signers; empty: your settings' folder"}
    ] = "",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Content Credentials: what was signed, by whom, and whether it holds."""
    data = picture.data
    trust = read_trust_list(Path(trust_list).expanduser() if trust_list else trust_folder())
    container = walk(data)
    boxes = container is not None and any(container.find("JUMBF (Content Credentials)"))
    found = read_credentials(data, trust, boxes=boxes)
    if found.state == "absent":
        return Evidence(finding=found.finding)
    bad = found.state in ("invalid", "unread")
    rows = [Row("Content Credentials", found.state, found.why if bad else "")]
    if found.state in ("valid", "invalid"):
        rows.append(Row("Signer", found.trust, _TRUST_REMARKS[found.trust]))
    return Evidence(table=(*rows, *trust.rows, *found.rows), finding=found.finding)


VIEWS = (
    View(
        "file",
        "Hashes, the parts of a JPEG or PNG, and what lies behind the end.",
        "Many services rewrite files; data behind the end may be a phone's own.",
        "ITU-T T.81; ISO/IEC 15948",
        container_view,
        ("file",),
    ),
    View(
        "metadata",
        "Exif: camera, dates, software, and what does not fit.",
        "Metadata can be edited, and is usually removed on the way.",
        "Exif 2.32, read by ExifRead",
        metadata_view,
        ("file",),
    ),
    View(
        "content credentials",
        "Signed statements on who made and changed the picture, and whether they hold.",
        "Valid is not trusted, and signed is not true; most pictures have none.",
        "C2PA 2.x, checked offline by c2pa-python",
        credentials_view,
        ("file",),
    ),
    View(
        "thumbnail",
        "The thumbnail that the file carries, against its picture.",
        "Some editors write it anew, others keep that of the camera after a mere crop.",
        "common practice",
        thumbnail_view,
        ("file",),
        "one less the correlation of thumbnail and picture",
    ),
)
