"""The parts of every format: whole files, cut ones, what lies behind the end, several pictures."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import picture_cases
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_safire import forensics
from napari_safire.decoding.structure.boxes import items
from napari_safire.decoding.structure.walk import also_opens_as, walk

PIXELS = picture_cases.COLOUR
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP")


def saved(format: str, pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    if format == "AVIF":
        pytest.importorskip("PIL._avif")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=format, **options)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("a.txt", "words")
    return file.getvalue()


def table(tmp_path, data: bytes, suffix: str = ".jpg") -> dict[str, forensics.Row]:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    return {row.name: row for row in forensics.views(path)["file"].result.table}


@pytest.mark.parametrize("format", FORMATS)
def test_a_whole_file_has_nothing_behind_its_end(format):
    found = walk(saved(format))
    assert found.ended
    assert found.trailing == 0
    assert not found.damage
    assert found.format == ("HEIF" if format == "AVIF" else format)
    assert also_opens_as(saved(format)) == ()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("more", [b"PK\3\4" + b"x" * 40, b"\0" * 33, b"some notes"])
def test_what_follows_is_counted(format, more):
    found = walk(saved(format) + more)
    assert found.trailing == len(more)
    assert found.padding == (more == b"\0" * 33)
    assert found.appended == (("a ZIP archive",) if more.startswith(b"PK") else ())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_cut_file_does_not_reach_its_end(format, part):
    data = saved(format)
    found = walk(data[: int(part * len(data))])
    assert not found.ended
    assert found.damage


def test_the_formats_that_are_read_are_whole_here_too():
    """Every file that is read without a word on damage or other pictures ends where it should."""
    odd = ("behind", "cut", "without its end", "loop", "another", "views", "larger than", "limit")
    for case in picture_cases.CASES:
        if case.pixels is None or any(word in case.what for word in odd):
            continue
        found = walk(case.make())
        assert found is not None, case.name
        assert not found.damage, (case.name, found.damage)
        # tifffile writes the resolution of each page and names that of the second for the third.
        assert found.trailing == (16 if case.name == "pages.tif" else 0), case.name


@given(
    st.binary(max_size=300),
    st.sampled_from(
        [
            b"RIFF\xff\0\0\0WEBP",
            b"GIF89a",
            b"II*\0\x08\0\0\0",
            b"MM\0+\0\x08\0\0",
            b"BM",
            b"\0\0\0\x14ftypavif\0\0\0\0mif1",
            b"\0\0\0\x10ftypheic\0\0\0\0\0\0\1\0meta\0\0\0\0",
        ]
    ),
)
def test_any_bytes_are_walked_without_an_error(data, begin):
    found = walk(begin + data)
    assert found is not None
    assert found.ended or found.damage
    items(begin + data)


@pytest.mark.parametrize("place", ["behind", "comment"])
def test_a_picture_that_is_an_archive_too_is_told(tmp_path, place):
    packed = archive()
    data = saved("JPEG")
    if place == "behind":
        data += packed
    else:
        data = data[:2] + b"\xff\xfe" + struct.pack(">H", len(packed) + 2) + packed + data[2:]
    assert also_opens_as(data) == ("a ZIP archive",)
    assert (
        table(tmp_path, data)["Another kind"].remark == "the same bytes open as a ZIP archive too"
    )


def test_a_picture_that_is_a_pdf_or_a_page_too_is_told():
    for text, kind in ((b"%PDF-1.4", "a PDF"), (b"<HTML><b>", "a page of HTML")):
        comment = b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text
        data = saved("JPEG")
        assert also_opens_as(data[:2] + comment + data[2:]) == (kind,)


def test_several_files_behind_the_end_are_named():
    found = walk(saved("PNG") + b".." + saved("JPEG") + b"%PDF-1.7" + archive())
    assert found.appended == ("a JPEG", "a PDF", "a ZIP archive")


def test_random_bytes_behind_the_end_are_no_file():
    noise = np.random.default_rng(0).bytes(2_000_000)
    assert walk(saved("PNG") + noise).appended == ()


# ---------------------------------------------------------------- how a JPEG was coded


def test_huffman_tables_of_the_standard_are_told_from_others(tmp_path):
    assert table(tmp_path, saved("JPEG"))["Huffman tables"].value == "4, those of the standard"
    own = table(tmp_path, saved("JPEG", optimize=True))["Huffman tables"].value
    assert own.endswith("made for this picture")
    grey = saved("JPEG", picture_cases.GREY)
    assert table(tmp_path, grey)["Huffman tables"].value == "2, those of the standard"


def test_frame_and_scans_are_told(tmp_path):
    usual = table(tmp_path, saved("JPEG", subsampling=2))
    assert usual["Frame"].value == "baseline frame, 40 x 50, 8 bits, samples 2x2 1x1 1x1"
    assert usual["Scans"].value == "1"
    progressive = table(tmp_path, saved("JPEG", progressive=True))
    assert progressive["Frame"].value.startswith("progressive frame")
    assert int(progressive["Scans"].value) > 3


def test_colours_of_print_are_told(tmp_path):
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert("CMYK").save(file, "JPEG")
    assert table(tmp_path, file.getvalue())["Colours"].value == "RGB or CMYK as they are"


def test_comments_are_shown_not_obeyed(tmp_path):
    data = saved("JPEG", comment=b"<b>made\x1b[2J\x07\xe9")
    assert "<b>made\\x1b[2J\\x07é" in table(tmp_path, data)["FFFE"].value


# ---------------------------------------------------------------- several pictures


def several() -> bytes:
    file = io.BytesIO()
    large, small = Image.fromarray(PIXELS), Image.fromarray(PIXELS[:20, :25])
    large.save(file, "MPO", save_all=True, append_images=[small])
    return file.getvalue()


def test_the_pictures_of_an_index_are_told_and_nothing_trails(tmp_path):
    found = walk(several())
    assert found.ended
    assert found.trailing == 0
    row = table(tmp_path, several())["Picture 2"]
    assert row.value.startswith("view or gain map, 20 x 25, ")
    assert not row.remark
    assert walk(several() + b"PK\3\4").trailing == 4


def test_an_index_that_leads_nowhere_is_told(tmp_path):
    data = several()
    second = data.index(b"\xff\xd8\xff", 10)
    assert table(tmp_path, data[:second])["Picture 2"].remark == "the index leads to no JPEG"


# ---------------------------------------------------------------- TIFF, PNG, HEIC


def test_pages_of_a_tiff_are_parts():
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((2, 30, 40), np.uint8), photometric="minisblack")
    found = walk(file.getvalue())
    assert [part.what for part in found.parts[:-1]] == ["30 x 40 pixels"] * 2
    big = io.BytesIO()
    tifffile.imwrite(big, PIXELS, bigtiff=True)
    assert walk(big.getvalue()).trailing == 0
    assert walk(big.getvalue() + b"more").trailing == 4


def test_exif_of_a_tiff_belongs_to_it():
    exif = Image.Exif()
    exif[0x010F] = "Own"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 10:00:00"
    found = walk(saved("TIFF", exif=exif))
    assert found.trailing == 0
    assert not found.damage


def test_many_chunks_of_pixels_are_one_part():
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    found = walk(saved("PNG", noise, compress_level=0))
    pixels = [part for part in found.parts if part.name == "IDAT"]
    assert len(pixels) == 1
    assert pixels[0].count > 1
    sizes = sum(part.size for part in found.parts)
    assert sizes + 8 == len(saved("PNG", noise, compress_level=0))


def test_items_of_an_avif_are_found():
    exif = Image.Exif()
    exif[0x010F] = "Own"
    data = saved("AVIF", exif=exif, xmp=b"<x:xmpmeta/>")
    by_kind = {item.kind: item for item in items(data)}
    assert b"Own" in by_kind["Exif"].content(data)
    assert by_kind["mime"].content_type == "application/rdf+xml"
    assert by_kind["mime"].content(data) == b"<x:xmpmeta/>"
