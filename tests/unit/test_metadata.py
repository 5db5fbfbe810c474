"""XMP, IPTC, colour profiles, texts, and what does not fit together; hostile blocks of each."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib

import picture_cases
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from napari_safire import forensics
from napari_safire.forensics.export import write_evidence
from napari_safire.forensics.file import metadata
from napari_safire.forensics.file.consistency import exif_remarks, program_remark
from napari_safire.forensics.file.metadata import read_metadata
from napari_safire.forensics.file.metadata_table import metadata_rows
from napari_safire.forensics.file.photoshop import iptc_rows, profile_name, resources
from napari_safire.forensics.file.xmp import read_xmp
from napari_safire.text import printable

SHAPE = picture_cases.COLOUR.shape[:2]
HEAD = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
TAIL = b"</rdf:RDF></x:xmpmeta>"
SPACES = (
    b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"'
    b' xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"'
    b' xmlns:stRef="http://ns.adobe.com/xap/1.0/sType/ResourceRef#"'
    b' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
)


def packet(body: bytes, attributes: bytes = b"") -> bytes:
    inner = b'<rdf:Description rdf:about=""' + SPACES + attributes + b">" + body
    return HEAD + inner + b"</rdf:Description>" + TAIL


EDITED = packet(
    b"<xmpMM:History><rdf:Seq>"
    b'<rdf:li stEvt:action="created" stEvt:softwareAgent="Adobe Photoshop 25.1"/>'
    b'<rdf:li rdf:parseType="Resource"><stEvt:action>saved</stEvt:action>'
    b"<stEvt:softwareAgent>Adobe Photoshop 25.1</stEvt:softwareAgent></rdf:li>"
    b"</rdf:Seq></xmpMM:History>"
    b'<xmpMM:DerivedFrom stRef:documentID="xmp.did:1"/>'
    b"<photoshop:DocumentAncestors><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Bag>"
    b"</photoshop:DocumentAncestors>",
    b' xmp:CreatorTool="Adobe Photoshop 25.1" xmpMM:DocumentID="xmp.did:3"'
    b' xmpMM:OriginalDocumentID="xmp.did:2"',
)


def saved(format: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture_cases.COLOUR).save(file, format=format, **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    data = saved()
    return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + data[2:]


def rows(data: bytes) -> dict[str, forensics.Row]:
    return {row.name: row for row in metadata_rows(data, SHAPE).rows}


# ---------------------------------------------------------------- XMP


def test_documents_and_history_are_read_in_both_spellings():
    found = read_xmp(EDITED)
    assert not found.damage
    assert found.get("xmp:CreatorTool") == "Adobe Photoshop 25.1"
    assert [entry["action"] for entry in found.history()] == ["created", "saved"]
    assert found.get("xmpMM:DerivedFrom/stRef:documentID") == "xmp.did:1"
    assert found.below("photoshop:DocumentAncestors") == ["a", "b"]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_what_xmp_tells_of_editing_is_noticed(format):
    if format == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", EDITED.decode())
        data = saved("PNG", pnginfo=info)
    elif format == "TIFF":
        data = saved("TIFF", tiffinfo={700: EDITED})
    else:
        data = saved(format, xmp=EDITED)
    found = rows(data)
    assert found["XMP xmp:CreatorTool"].remark == "written by an editor"
    assert found["XMP xmpMM:History"].remark.startswith("saved 1 times by Adobe Photoshop 25.1")
    assert "from this other document" in found["XMP xmpMM:OriginalDocumentID"].remark
    assert "2 other documents" in found["XMP photoshop:DocumentAncestors"].remark
    assert found["XMP xmpMM:DerivedFrom"].remark


def test_a_camera_s_own_xmp_is_nothing_to_notice():
    plain = packet(b"", b' xmp:CreatorTool="HDR+ 1.0.5" xmp:Rating="0"')
    assert not any(row.remark for row in rows(saved(xmp=plain)).values())


LAUGHS = (
    b'<!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + k, b"&%c;" % (97 + k) * 10) for k in range(12))
    + b"]>"
)


@pytest.mark.parametrize(
    ("data", "damage"),
    [
        (LAUGHS + packet(b"<xmp:Label>&m;</xmp:Label>"), "a document type"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + packet(b""), "a document type"),
        (packet(b"<xmp:a>" * 5000 + b"</xmp:a>" * 5000), "elements deep"),
        (packet(b"<xmp:a>1</xmp:a>" * 5000), "more than 2000 values"),
        (packet(b"<xmp:a>" + b"x" * (5 << 20) + b"</xmp:a>"), "larger than 4 MiB"),
        (packet(b"<xmp:a>")[:-9], "no XML"),
        (b"<a xmlns:x='x'", "no XML"),
        (b"\xff\xfe\xff", "no XML"),
        (b'<?xml version="1.0" encoding="none"?><a/>', "no XML"),
        (HEAD + b"</rdf:li>", "no XML"),
    ],
)
def test_hostile_xmp_ends_the_reading(data, damage):
    found = read_xmp(data)
    assert damage in found.damage
    assert len(found.values) <= 2000
    assert all(len(value) <= 200 for _, value in found.values)


@given(st.binary(max_size=200), st.integers(0, len(EDITED) - 1))
def test_any_packet_is_read_without_an_error(data, at):
    for one in (data, EDITED[:at] + data + EDITED[at:], HEAD + data + TAIL):
        assert all(printable(value) == value for _, value in read_xmp(one).values)


# ---------------------------------------------------------------- Photoshop, IPTC, profiles


def resource(number: int, body: bytes, name: bytes = b"") -> bytes:
    label = bytes([len(name)]) + name
    label += b"\0" * (len(label) % 2)
    return b"8BIM" + struct.pack(">H", number) + label + struct.pack(">I", len(body)) + body + (
        b"\0" * (len(body) % 2)
    )  # fmt: skip


def iptc(*datasets: tuple[int, bytes]) -> bytes:
    return b"".join(b"\x1c\2" + bytes([n]) + struct.pack(">H", len(v)) + v for n, v in datasets)


def photoshop(*parts: bytes) -> bytes:
    return segment(0xED, b"Photoshop 3.0\0" + b"".join(parts))


def test_iptc_and_its_digest_are_read():
    body = iptc((120, "Käse <b>".encode("latin-1")), (80, b"A. Nobody"), (65, b"Picasa"))
    fits = resource(0x0404, body, b"odd") + resource(
        0x0425, hashlib.md5(body, usedforsecurity=False).digest()
    )
    found = rows(photoshop(fits))
    assert found["IPTC caption"].value == "Käse <b>"
    assert found["IPTC author"].value == "A. Nobody"
    assert found["IPTC program"].remark == "written by an editor"
    assert found["IPTC digest"].value == "fits"
    other = resource(0x0404, body) + resource(0x0425, b"\1" * 16)
    assert "after its digest" in rows(photoshop(other))["IPTC digest"].remark


def test_traces_of_photoshop_and_of_services_are_told():
    name = "Adobe Photoshop".encode("utf-16-be")
    version = struct.pack(">IBI", 1, 1, len(name) // 2) + name
    data = photoshop(
        resource(0x0421, version),
        resource(0x0406, struct.pack(">hhh", 8, 0, 1)),
        resource(0x0404, iptc((40, b"FBMD01000a"))),
    )
    found = rows(data)
    assert found["Photoshop resources, writer"].value == "Adobe Photoshop"
    assert found["Photoshop's quality"].value == "12 of 12"
    assert found["IPTC special instructions"].remark == "as Facebook writes it"


@given(st.binary(max_size=300))
def test_any_resources_are_read_without_an_error(data):
    for body in (data, b"8BIM" + data, resource(0x0404, data)):
        list(resources(body))
    assert all(printable(row.value) == row.value for row in iptc_rows(b"\x1c\2" + data))


@given(st.binary(max_size=300))
def test_any_profile_has_a_name_or_none(data):
    head = bytes(36) + b"acsp" + bytes(88)
    name = profile_name(head + data)
    assert printable(name) == name
    assert profile_name(data) == "" or len(data) > 40


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_colour_profile_is_named(format):
    if format == "AVIF":
        pytest.importorskip("PIL._avif")
    found = rows(saved(format, icc_profile=picture_cases.ICC))
    assert found["Colour profile"].value.startswith("sRGB built-in (")


def test_settings_of_a_generator_in_a_png_are_told():
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler, Seed: 1")
    info.add_text("Software", "GIMP 2.10", zip=True)
    found = rows(saved("PNG", pnginfo=info))
    assert found["PNG parameters"].remark == "settings of a program that generates pictures"
    assert found["PNG Software"].remark == "written by an editor"


def test_a_packed_text_that_grows_without_end_is_cut():
    body = b"Comment\0\0" + zlib.compress(b"x" * 20_000_000)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + body))
    data = saved("PNG")
    assert len(rows(data[:33] + chunk + data[33:])["PNG Comment"].value) == 200


# ---------------------------------------------------------------- what does not fit

CAMERA = {
    "Image Make": "Canon",
    "EXIF MakerNote": "[1]",
    "EXIF ExposureTime": "1/60",
    "EXIF DateTimeOriginal": "2020:06:01 12:00:00",
    "EXIF DateTimeDigitized": "2020:06:01 12:00:00",
    "Image DateTime": "2020:06:01 12:00:00",
    "GPS GPSDate": "2020:06:01",
    "GPS GPSTimeStamp": "[10, 0, 5]",
    "EXIF OffsetTimeOriginal": "+02:00",
    "EXIF ExifImageWidth": "4000",
    "EXIF ExifImageLength": "3000",
    "EXIF FocalPlaneXResolution": "4000/0.9",
    "EXIF FocalPlaneResolutionUnit": "2",
    "EXIF FocalLength": "50",
    "EXIF FocalLengthIn35mmFilm": "79",
    "Image Software": "Firmware 1.0.2",
}


def test_a_camera_s_tags_fit():
    assert exif_remarks(CAMERA, (3000, 4000)) == {}


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [
        ("GPS GPSDate", "2020:06:05", "further apart than any time zone"),
        ("GPS GPSTimeStamp", "[2, 0, 0]", "do not agree in the time zone"),
        ("EXIF DateTimeDigitized", "2019:06:01 12:00:00", "earlier than it was taken"),
        ("Image DateTime", "0000:00:00 00:00:00", "a clock that was not set"),
        ("Image DateTime", "2021:06:01 12:00:00", "saved again"),
        ("EXIF ExifImageLength", "2000", "others than are named here"),
        ("EXIF FocalLengthIn35mmFilm", "200", "by the focal lengths"),
        ("Image Software", "Adobe Lightroom 9.2", "an editor"),
        ("Image Software", "Midjourney v6", "generates pictures"),
    ],
)
def test_each_contradiction_is_one_sentence(tag, value, words):
    found = exif_remarks({**CAMERA, tag: value}, (3000, 4000))
    assert len(found) == 1
    assert words in next(iter(found.values()))


def test_a_turned_picture_is_said_to_be_the_other_way_round():
    found = exif_remarks(CAMERA, (4000, 3000))
    assert found == {"EXIF ExifImageWidth": "the picture has rows and columns the other way round"}


def test_a_missing_maker_note_is_noticed_where_makers_write_one():
    tags = {name: value for name, value in CAMERA.items() if name != "EXIF MakerNote"}
    assert "missing" in exif_remarks(tags, (3000, 4000))["EXIF MakerNote"]
    assert exif_remarks({**tags, "Image Make": "Acme"}, (3000, 4000)) == {}


@given(st.dictionaries(st.sampled_from(sorted(CAMERA)), st.text(max_size=30)))
def test_any_tags_are_compared_without_an_error(tags):
    exif_remarks({**CAMERA, **tags}, (3000, 4000))


def test_names_of_programs_are_whole_words():
    assert program_remark("Adobe Photoshop") == "written by an editor"
    assert program_remark("Carpaint 2") == ""
    assert program_remark("HDR+ 1.0") == ""


# ---------------------------------------------------------------- hostile Exif


def directory(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def exif(body: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + body)


BOMBS = {
    "leads to itself": directory([(0x010F, 2, 4, 0x6E774F)], 8),
    "Exif in Exif": directory([(0x8769, 4, 1, 8)]),
    "GPS in GPS": directory([(0x8825, 4, 1, 8)] * 4000),
    "thousand times thousand": directory([(0x8825, 4, 999, 8)] * 3000),
    "huge counts": directory([(0x010F, 2, 0xFFFFFFFF, 8)] * 4000),
    "huge numbers": directory([(0x011A, 5, 998, 8)] * 4000),
    "huge note": directory([(0x010F, 2, 4, 0x6E774F), (0x8769, 4, 1, 38)])
    + directory([(0x927C, 7, 0xFFFFFFF0, 8)]),
    "more entries than bytes": struct.pack("<H", 65535) + b"\x0f\1\2\0",
    "sub directories": directory([(0x014A, 4, 998, 8)] * 2000),
    "thumbnail without end": directory([], 14)
    + directory([(0x0103, 3, 1, 6), (0x0201, 4, 1, 8), (0x0202, 4, 1, 0xFFFFFFFF)]),
}


@pytest.mark.parametrize("name", BOMBS)
def test_exif_bombs_do_not_go_off(name, monkeypatch):
    readings = []
    read = metadata._Counted.read
    monkeypatch.setattr(
        metadata._Counted, "read", lambda self, size=-1: (readings.append(1), read(self, size))[1]
    )
    monkeypatch.setattr(metadata, "_MOST_READINGS", 20_000)
    found = read_metadata(exif(BOMBS[name]))
    assert len(readings) <= metadata._MOST_READINGS + 1
    assert len(found.tags) <= 500


def test_a_bomb_is_said_to_be_one():
    found = rows(exif(BOMBS["thousand times thousand"]))
    assert "leads to itself, or names far more values" in found["Exif"].remark


def test_markup_and_control_characters_stay_text(tmp_path):
    evil = "<img src=x onerror=alert(1)>\x1b]0;x\x07\u202e\u0000"
    tags = Image.Exif()
    tags[0x010F], tags[0x0131] = evil, evil
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(exif=tags, xmp=packet(b"<xmp:Label>&lt;b&gt;\xe2\x80\xae</xmp:Label>")))
    views = forensics.views(path)
    chosen = {name: views[name] for name in ("metadata", "file")}
    found = {row.name: row.value for row in views["metadata"].result.table}
    assert found["Image Make"].startswith("<img src=x onerror=alert(1)>\\x1b]0;x\\x07")
    assert found["XMP xmp:Label"] == "<b>\\u202e"
    text = write_evidence(tmp_path / "out", "a", path, chosen).read_text("utf-8")
    assert text.isascii()
    document = json.loads(text)
    told = [cell for view in document["views"] for row in view["table"] for cell in row[:3]]
    assert all(cell.isprintable() for cell in told)


def test_all_values_of_real_formats_are_printable():
    for case in picture_cases.CASES:
        found = metadata_rows(case.make(), SHAPE)
        assert all((row.name + row.value + row.remark).isprintable() for row in found.rows)
        assert len(found.finding.split()) <= 20


def test_nothing_is_nothing_to_notice():
    assert metadata_rows(saved(), SHAPE).finding == "no Exif"
    assert metadata_rows(b"no picture", SHAPE).rows == ()
