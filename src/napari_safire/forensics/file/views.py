"""Views of the file itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt

from napari_safire.decoding.structure.parts import Part
from napari_safire.decoding.structure.walk import Container, also_opens_as, walk
from napari_safire.forensics.evidence import Evidence, EvidenceMap, Row
from napari_safire.forensics.file.coding import coding_rows
from napari_safire.forensics.file.credentials import (
    read_credentials,
    read_trust_list,
    trust_folder,
)
from napari_safire.forensics.file.metadata_table import metadata_rows, stored_thumbnails
from napari_safire.forensics.file.thumbnail import (
    MOST_DIFFERENCE,
    ThumbnailFit,
    fit_thumbnail,
    other_proportions,
    thumbnail_pixels,
)
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress
from napari_safire.text import printable

_SAME_PICTURE = 0.6  # correlation of a thumbnail with its picture
_MOST_ROWS = 200
_MOST_TEXT = 120
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
    rows += [Row("Format", found.format)]
    if found.format == "JPEG":
        rows += coding_rows(data, found.parts)
    rows += [_part_row(data, part) for part in found.parts[:_MOST_ROWS] if part.size]
    if len(found.parts) > _MOST_ROWS:
        rows.append(Row("Parts", f"{len(found.parts)}, of which {_MOST_ROWS} are listed"))
    rows += _ending(found)
    rows += [
        Row("Another kind", kind, f"the same bytes open as {kind} too")
        for kind in also_opens_as(data)
    ]
    remarks = [row.remark for row in rows if row.remark]
    return Evidence(
        table=tuple(rows), finding=remarks[-1] if remarks else "whole, nothing behind its end"
    )


def _part_row(data: bytes, part: Part) -> Row:
    times = f"{part.count} of them, " if part.count > 1 else ""
    text = ""
    if part.what in ("comment", "text"):
        text = f": {printable(part.content(data)[:_MOST_TEXT].decode('latin-1'))}"
    value = f"{part.what}, {times}{part.size} bytes at {part.offset}{text}"
    return Row(printable(part.name), printable(value), part.remark)


def _ending(found: Container) -> list[Row]:
    if found.damage:
        return [Row("End", "not reached", found.damage)]
    if not found.trailing:
        return [Row("End", "reached")]
    if found.padding:
        return [Row("End", "reached", f"{found.trailing} zero bytes follow the picture's end")]
    what = " and ".join(found.appended)
    where = "that no tag names stand at" if found.format == "TIFF" else "follow"
    remark = f"{found.trailing} bytes {where} the picture's end" + (f": {what}" if what else "")
    return [Row("End", "reached", remark)]


def metadata_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Exif, XMP, IPTC, colour profile and texts, and what does not fit."""
    found = metadata_rows(picture.data, picture.shape)
    return Evidence(table=found.rows, finding=found.finding, caveats=found.caveats)


def thumbnail_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """The small pictures in the file against the picture."""
    found = [
        (name, pixels, fit)
        for name, stored in stored_thumbnails(picture.data)
        if (pixels := thumbnail_pixels(stored)) is not None
        and (fit := fit_thumbnail(picture.rgb, pixels)) is not None
    ]
    if not found:
        return Evidence(finding="no thumbnail in the file")
    rows = [row for one in found for row in _thumbnail_rows(picture.shape, *one)]
    worst = max((fit for _, _, fit in found), key=lambda fit: fit.peak)
    cell = max(1, round(picture.shape[0] / worst.difference.shape[0]))
    drawn = EvidenceMap(
        worst.difference, cell, limits=(0.0, 64.0), means="brighter: differs from the thumbnail",
        unit="grey levels",
    )  # fmt: skip
    return Evidence(drawn, table=tuple(rows), score=worst.score, finding=_said(worst))


def _said(fit: ThumbnailFit) -> str:
    """In words, how a thumbnail fits."""
    turned = f", turned by {90 * fit.turned} degrees" if fit.turned else ""
    if fit.correlation < _SAME_PICTURE:
        return "shows another picture"
    if fit.peak > MOST_DIFFERENCE:
        return f"shows the same picture{turned}, but something in it differs"
    if fit.part < 1:
        return f"shows more than the picture, which was cropped{turned}"
    return f"shows the same picture{turned}"


def _thumbnail_rows(
    shape: tuple[int, int], name: str, pixels: npt.NDArray[np.uint8], fit: ThumbnailFit
) -> Iterator[Row]:
    said = _said(fit)
    plain = said.startswith("shows the same") and fit.peak <= MOST_DIFFERENCE
    height, width = pixels.shape[:2]
    yield Row(name, f"{height} x {width}, {said}", "" if plain else f"it {said}")
    yield Row(
        f"{name}, fit", f"correlation {fit.correlation:.3f}, up to {fit.peak:.0f} grey levels"
    )
    if other_proportions(shape[::-1] if fit.turned % 2 else shape, pixels):
        yield Row(f"{name}, proportions", f"{width / height:.2f}", "others than the picture's")


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
        "Hashes, the parts of the file, how it was coded, and what lies behind the end.",
        "Many services rewrite files; data behind the end may be a phone's own.",
        "ITU-T T.81, CIPA DC-007, ISO/IEC 15948 and 14496-12, TIFF 6.0, GIF89a",
        container_view,
        ("bytes",),
    ),
    View(
        "metadata",
        "Exif, XMP, IPTC and colour profile: camera, dates, programs, and what does not fit.",
        "Metadata can be edited, and is usually removed on the way.",
        "Exif 2.32 (ExifRead), XMP (ISO 16684-1), IPTC-IIM 4.2, ICC.1",
        metadata_view,
        ("bytes",),
    ),
    View(
        "content credentials",
        "Signed statements on who made and changed the picture, and whether they hold.",
        "Valid is not trusted, and signed is not true; most pictures have none.",
        "C2PA 2.x, checked offline by c2pa-python",
        credentials_view,
        ("bytes",),
        lasting=False,  # the user may replace the trust list
    ),
    View(
        "thumbnail",
        "The small pictures that the file carries (Exif, Photoshop, MPO), against its picture.",
        "Some editors write it anew, others keep that of the camera after a mere crop.",
        "common practice",
        thumbnail_view,
        ("file",),
        "difference in the place that differs most: 1 at 16 grey levels, 2 more for each doubling",
    ),
)
