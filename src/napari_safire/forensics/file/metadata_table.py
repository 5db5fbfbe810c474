"""All metadata of a file in one table, with what an expert should notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_safire.decoding.structure.blocks import Blocks, find_blocks
from napari_safire.decoding.structure.jpeg import previews
from napari_safire.decoding.structure.walk import Container, walk
from napari_safire.forensics.evidence import Row
from napari_safire.forensics.file.consistency import exif_remarks, program_remark
from napari_safire.forensics.file.metadata import Metadata, read_metadata
from napari_safire.forensics.file.photoshop import (
    iptc_rows,
    photoshop_thumbnail,
    profile_name,
    resource_rows,
    resources,
)
from napari_safire.forensics.file.xmp import Xmp, read_xmp, xmp_remarks
from napari_safire.text import printable

_MOST_XMP, _MOST_TEXT = 200, 200
_PROGRAMS = ("xmp:CreatorTool", "IPTC program", "PNG Software", "PNG Comment")
# Texts in which programs that generate pictures write their settings.
_GENERATED = ("parameters", "prompt", "workflow", "invokeai_metadata", "dream", "sd-metadata")


@dataclass(frozen=True, slots=True)
class MetadataTable:
    """Rows of all blocks.

    Parameters
    ----------
    rows : tuple of Row
    finding : str
        How many of which kind, and how many to notice, if any.
    caveats : tuple of str
    """

    rows: tuple[Row, ...]
    finding: str
    caveats: tuple[str, ...] = ()


def read_exif(data: bytes, container: Container | None, blocks: Blocks) -> Metadata:
    """Exif of a file of any format."""
    if container is not None and container.format not in ("JPEG", "TIFF"):
        return read_metadata(blocks.exif) if blocks.exif else Metadata({})
    return read_metadata(data)


def stored_thumbnails(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Small pictures in a file, as stored: Exif's, Photoshop's, the previews of an MPO.

    Parameters
    ----------
    data : bytes
        All of the file.
    """
    container = walk(data)
    blocks = find_blocks(data, container)
    exif = read_exif(data, container, blocks).thumbnail
    if exif:
        yield "Exif thumbnail", exif
    photoshop = photoshop_thumbnail(resources(blocks.photoshop))
    if photoshop:
        yield "Photoshop thumbnail", photoshop
    if container is not None and container.format == "JPEG":
        for number, (start, size) in enumerate(previews(data, container.parts), 1):
            yield f"Preview {number}", data[start : start + size]


def metadata_rows(data: bytes, shape: tuple[int, int]) -> MetadataTable:
    """Read all metadata of a file.

    Parameters
    ----------
    data : bytes
        All of it.
    shape : (int, int)
        Rows and columns of its picture.

    Returns
    -------
    MetadataTable
    """
    container = walk(data)
    blocks = find_blocks(data, container)
    exif = read_exif(data, container, blocks)
    xmp = read_xmp(blocks.xmp)
    photoshop = list(resource_rows(resources(blocks.photoshop)))
    iptc = [row for row in photoshop if row.name.startswith("IPTC ")]
    iptc += iptc_rows(blocks.iptc) if blocks.iptc and not iptc else []
    rows = [
        *_exif_rows(exif, shape),
        *_xmp_rows(xmp),
        *(row for row in photoshop if row not in iptc),
        *map(_program, iptc),
        *_text_rows(blocks),
    ]
    if blocks.icc:
        rows.append(Row("Colour profile", profile_name(blocks.icc) or "damaged"))
    noticed = sum(bool(row.remark) for row in rows)
    kinds = [f"{len(exif.tags)} tags of Exif" if exif.tags else "no Exif"]
    kinds += [f"{len(xmp.values)} of XMP"] if xmp.values else []
    kinds += [f"{len(iptc)} of IPTC"] if iptc else []
    finding = ", ".join(kinds) + (f", {noticed} to notice" if noticed else "")
    return MetadataTable(tuple(rows), finding)


def _exif_rows(found: Metadata, shape: tuple[int, int]) -> Iterator[Row]:
    remarks = exif_remarks(found.tags, shape)
    for name, value in found.tags.items():
        yield Row(name, value, remarks.pop(name, ""))
    for name, remark in remarks.items():
        yield Row(name, "missing", remark)
    if found.damage:
        yield Row("Exif", "not all was read", found.damage)


def _xmp_rows(found: Xmp) -> Iterator[Row]:
    remarks = dict(xmp_remarks(found))
    for name, value in found.values[:_MOST_XMP]:
        remark = remarks.pop(name, "")
        yield _program(Row(f"XMP {name}", value, remark))
    for name, remark in remarks.items():
        yield Row(f"XMP {name}", "", remark)
    if len(found.values) > _MOST_XMP:
        yield Row("XMP", f"{len(found.values)} values, of which {_MOST_XMP} are listed")
    if found.damage:
        yield Row("XMP", "not all was read", found.damage)


def _text_rows(blocks: Blocks) -> Iterator[Row]:
    for key, text in blocks.texts:
        name = printable(key)[:40]
        generated = name.lower() in _GENERATED and len(text) > 20
        remark = "settings of a program that generates pictures" if generated else ""
        yield _program(Row(f"PNG {name}", printable(text[:_MOST_TEXT])[:_MOST_TEXT], remark))


def _program(row: Row) -> Row:
    """The row, with a remark if it names a program that is known."""
    if row.remark or row.name.removeprefix("XMP ") not in _PROGRAMS:
        return row
    return Row(row.name, row.value, program_remark(row.value), row.level)
