"""Blocks of metadata in a file of any format: Exif, XMP, IPTC, colour profile, texts."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from napari_safire.decoding.structure.boxes import colour_profile, items
from napari_safire.decoding.structure.parts import Part
from napari_safire.decoding.structure.walk import Container

_XMP_BEGIN = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF_BEGIN = b"Exif\0\0"
_PHOTOSHOP_BEGIN = b"Photoshop 3.0\0"
_ICC_HEAD = 14  # "ICC_PROFILE", its zero, number of the part, number of parts
_MOST_UNPACKED = 4 << 20
_MOST_TEXTS = 50


@dataclass(frozen=True, slots=True)
class Blocks:
    """Metadata of a file as stored; empty where there is none.

    Parameters
    ----------
    exif : bytes
        From its byte order on; empty for a TIFF, which is one itself.
    xmp : bytes
        The first packet.
    photoshop : bytes
        Photoshop's resources (8BIM).
    iptc : bytes
        IPTC of a TIFF, which has it by itself; else it lies in `photoshop`.
    icc : bytes
        Colour profile.
    texts : tuple of (str, str)
        Keyword and text of a PNG, in Latin-1 or UTF-8.
    """

    exif: bytes = b""
    xmp: bytes = b""
    photoshop: bytes = b""
    iptc: bytes = b""
    icc: bytes = b""
    texts: tuple[tuple[str, str], ...] = ()


def find_blocks(data: bytes, container: Container | None) -> Blocks:
    """Take the blocks of metadata out of a file.

    Parameters
    ----------
    data : bytes
        All of the file.
    container : Container or None
        Its parts; without them there are no blocks.

    Returns
    -------
    Blocks
    """
    if container is None:
        return Blocks()
    if container.format == "JPEG":
        return _of_jpeg(data, container)
    if container.format == "PNG":
        return _of_png(data, container)
    if container.format == "HEIF":
        found = {item.kind + item.content_type: item.content(data) for item in items(data)}
        exif = found.get("Exif", b"")
        begin = int.from_bytes(exif[:4], "big") + 4
        return Blocks(
            exif=exif[begin:].removeprefix(_EXIF_BEGIN),
            xmp=found.get("mimeapplication/rdf+xml", b""),
            icc=colour_profile(data),
        )
    exif = _first(data, container, "Exif").removeprefix(_EXIF_BEGIN)
    return Blocks(
        exif=exif,
        xmp=_first(data, container, "XMP"),
        photoshop=_first(data, container, "Photoshop resources"),
        iptc=_first(data, container, "IPTC"),
        icc=_first(data, container, "colour profile"),
    )


def _first(data: bytes, container: Container, what: str) -> bytes:
    found = next(container.find(what), None)
    return found.content(data) if found is not None else b""


def _of_jpeg(data: bytes, container: Container) -> Blocks:
    photoshop = [part.content(data) for part in container.find("Photoshop resources")]
    profile = sorted(
        part.content(data)[_ICC_HEAD - 2 :] for part in container.find("colour profile")
    )
    return Blocks(
        exif=_first(data, container, "Exif").removeprefix(_EXIF_BEGIN),
        xmp=_first(data, container, "XMP").removeprefix(_XMP_BEGIN),
        photoshop=b"".join(body.removeprefix(_PHOTOSHOP_BEGIN) for body in photoshop),
        icc=b"".join(body[2:] for body in profile)[:_MOST_UNPACKED],
    )


def _of_png(data: bytes, container: Container) -> Blocks:
    texts = tuple(text for part in container.parts for text in _png_text(data, part))[:_MOST_TEXTS]
    packed = _first(data, container, "colour profile").partition(b"\0")[2][1:]
    return Blocks(
        exif=_first(data, container, "Exif").removeprefix(_EXIF_BEGIN),
        xmp=next((text.encode() for key, text in texts if key == "XML:com.adobe.xmp"), b""),
        icc=_unpacked(packed),
        texts=tuple((key, text) for key, text in texts if key != "XML:com.adobe.xmp"),
    )


def _png_text(data: bytes, part: Part) -> Iterator[tuple[str, str]]:
    if part.name not in ("tEXt", "zTXt", "iTXt"):
        return
    key, _, text = part.content(data).partition(b"\0")
    packed = part.name == "zTXt"
    if part.name == "iTXt" and len(text) >= 2:
        packed, text = bool(text[0]), text[2:].split(b"\0", 2)[-1]
    elif packed:
        text = text[1:]
    coding = "utf-8" if part.name == "iTXt" else "latin-1"
    body = _unpacked(text) if packed else text[:_MOST_UNPACKED]
    yield key.decode("latin-1"), body.decode(coding, "replace")


def _unpacked(packed: bytes) -> bytes:
    """Unpack up to 4 MiB; what is damaged ends there."""
    unpacker = zlib.decompressobj()
    try:
        return unpacker.decompress(packed, _MOST_UNPACKED)
    except zlib.error:
        return b""
