"""Every format and odd kind of picture: what is read, assumed, told and refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import lzma
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_cases import (
    CASES,
    COLOUR,
    COLS,
    GREY,
    JPEG,
    TRUE,
    Case,
    as_json,
    basic,
    by_tifffile,
    chunk,
    few_bits,
    filtered,
    levels,
    many_scans,
    pillow,
    png,
    tiff,
)
from PIL import Image
from refusals import refusal

from napari_safire.decoding import limits, tiff_segments
from napari_safire.decoding.names import RAW, READABLE, is_picture_name
from napari_safire.errors import ImageReadError
from napari_safire.images.files import is_picture_file
from napari_safire.images.list_text import looks_like_list
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import MaskRule
from napari_safire.images.reading import (
    image_header,
    image_shape,
    inspect_image,
    read_image,
)
from napari_safire.images.truth import read_mask

ROOT = Path(__file__).resolve().parents[2]
READ = [case for case in CASES if case.pixels is not None]
REFUSED = [case for case in CASES if case.pixels is None]


def put(folder: Path, case: Case) -> Path:
    path = folder / case.name
    path.write_bytes(case.make())
    return path


def test_names_of_cases_are_different():
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_what_is_read(tmp_path: Path, case: Case):
    path = put(tmp_path, case)
    image = read_image(path)
    expected = case.pixels
    assert (image.path, image.sha256) == (path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert (image.pixels.shape, image.pixels.dtype) == (expected.shape, expected.dtype)
    assert image.pixels.dtype.isnative
    assert image.pixels.flags.writeable
    assert np.abs(image.pixels.astype(float) - expected.astype(float)).mean() <= case.off
    assert len(image.warnings) == len(case.said), image.warnings
    for sentence, words in zip(image.warnings, case.said, strict=True):
        assert sentence.startswith(f"{path} ")
        assert words in sentence
        assert sentence.endswith(".")
        assert "first" in sentence or not words.startswith(("holds 2", "holds 3"))
    record = as_json(image.decoding)
    assert record["shape"] == list(expected.shape[:2])
    assert record["orientation_applied"] is False
    assert record["format"] == image.format
    for name, value in case.decoding:
        stated = getattr(image.decoding, name)
        assert set(value) <= set(stated) if name == "besides" else stated == value
    # the header alone says the same
    assert image_shape(path) == expected.shape[:2]
    header = image_header(path)
    assert (header.shape, header.dtype) == (expected.shape, expected.dtype)
    assert set(inspect_image(path).sentences()) <= set(image.decoding.sentences())


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_is_refused(tmp_path: Path, case: Case):
    path = put(tmp_path, case)
    told = refusal(ImageReadError, read_image, path)
    assert str(path) in told
    assert case.said[0] in told
    if not case.name.startswith(("cut", "no_end", "scans", "complex", "negative")):
        refusal(ImageReadError, image_shape, path)


def test_the_table_of_the_documentation_is_made_of_these_cases():
    made = subprocess.run(
        [sys.executable, ROOT / "docs" / "format_table.py"], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert made.stdout in page, "run docs/format_table.py --write"


def test_an_installed_imagecodecs_changes_nothing(tmp_path: Path):
    """A package of that name is never asked: one that would decode everything wrong is no harm."""
    (tmp_path / "imagecodecs").mkdir()
    (tmp_path / "imagecodecs" / "__init__.py").write_text(
        "def __getattr__(name):\n    raise AssertionError('imagecodecs was asked: ' + name)\n"
    )
    files = [put(tmp_path, case) for case in READ if case.name.endswith(".tif")]
    code = (
        "import sys, hashlib; from napari_safire.images.reading import read_image\n"
        "for path in sys.argv[1:]: print(hashlib.sha256(read_image(path).pixels).hexdigest())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert told.returncode == 0, told.stderr
    expected = [hashlib.sha256(read_image(path).pixels).hexdigest() for path in files]
    assert told.stdout.split() == expected


# ------------------------------------------------------------------------------- masks


@pytest.mark.parametrize(
    "data",
    [
        by_tifffile(TRUE),
        by_tifffile(TRUE, compression="zlib"),
        by_tifffile(TRUE, bigtiff=True),
        by_tifffile(TRUE, software="", description='{"shape": [40, 50]}', metadata=None),
        pillow(TRUE, "TIFF"),
        by_tifffile(TRUE * np.uint8(255)),
    ],
)
def test_masks_of_true_and_false(tmp_path: Path, data: bytes):
    """tifffile says "0 is white" of bool arrays, and means that true is."""
    path = tmp_path / "m.tif"
    path.write_bytes(data)
    forged = read_mask(ListEntry(tmp_path / "a.png", path), "binary")
    np.testing.assert_array_equal(forged, TRUE)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_masks_of_few_bits_whose_zero_is_white(tmp_path: Path, bits: int):
    path = tmp_path / "m.tif"
    path.write_bytes(few_bits(bits, 0))
    entry = ListEntry(tmp_path / "a.png", path, rule=MaskRule(above=127))
    np.testing.assert_array_equal(read_mask(entry, "binary"), levels(bits) >= 2 ** (bits - 1))


def test_what_napari_saves_of_a_bool_layer(tmp_path: Path):
    from napari.utils.io import imsave

    for name in ("m.tif", "m.png"):
        imsave(str(tmp_path / name), TRUE)
        forged = read_mask(ListEntry(tmp_path / "a.png", tmp_path / name), "binary")
        np.testing.assert_array_equal(forged, TRUE)


# ------------------------------------------------------------------------------- bombs


def few_pages(n_pages: int) -> bytes:
    """As 03-bombs: pages without tags, then one that points back to the last but one."""
    data = bytearray(tiff(basic(), [GREY.tobytes()]))
    end = len(data) - 4
    struct.pack_into("<I", data, end, len(data))
    for number in range(n_pages):
        here = len(data)
        data += struct.pack("<HI", 0, here + 6 if number < n_pages - 1 else here - 6)
    return bytes(data)


def zlib_strip(n_bytes: int, rows: int = 1, cols: int = 1, **tags: int) -> bytes:
    packer, out = zlib.compressobj(9), b""
    for _ in range(n_bytes >> 24):
        out += packer.compress(bytes(1 << 24))
    return tiff(basic(rows=rows, cols=cols, compression=8), [out + packer.flush()])


BOMBS = {
    "loop behind 100 pages.tif": lambda: few_pages(150),
    "a million pages.tif": lambda: few_pages(1_000_000),
    "64 MB in a pixel.tif": lambda: zlib_strip(1 << 26),
    "lzma in a pixel.tif": lambda: tiff(
        basic(rows=1, cols=1, compression=34925), [lzma.compress(bytes(1 << 26))]
    ),
    "400 gigapixels.tif": lambda: tiff(basic(rows=650_000, cols=650_000), [bytes(9)]),
    "a tile of 4 GB.tif": lambda: tiff(
        basic(rows=1, cols=1, compression=8) | {322: (4, [65536]), 323: (4, [65536])},
        [zlib.compress(bytes(100))],
        places=(324, 325),
    ),
    "six gigabytes.tif": lambda: tiff(
        basic(2, 64, 4, rows=14_142, cols=14_142) | {339: (3, [3] * 4)}, [bytes(9)]
    ),
    "tags without end.tif": lambda: tiff(
        {**basic(), 258: (3, [8]), 339: (3, [1])}, [GREY.tobytes()]
    ).replace(struct.pack("<HHI", 339, 3, 1), struct.pack("<HHI", 339, 3, 2**31)),
    "scans.jpg": lambda: many_scans(3000),
    "scans.tif": lambda: tiff(basic(1, compression=7), [many_scans(3000)]),
    "2500 megapixels.png": lambda: png(0, 8, bytes(100), 50_000, 50_000),
    "profile of 64 MB.png": lambda: png(
        0, 8, filtered(GREY), extra=chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 26)))
    ),
    "64 MB in a pixel.png": lambda: png(0, 8, bytes(1 << 26), 1, 1),
    "chunks.png": lambda: png(0, 8, filtered(GREY), extra=chunk(b"tEXt", b"") * 310_000),
    "screen.gif": lambda: (
        b"GIF89a"
        + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0)
        + bytes(6)
        + b"\x2c"
        + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
        + b"\x02\x02\x4c\x01\x00\x3b"
    ),
    "far away.gif": lambda: (
        b"GIF89a"
        + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0)
        + bytes(6)
        + b"\x2c"
        + struct.pack("<HHHHB", 14000, 0, 14000, 14000, 0)
        + b"\x02\x02\x4c\x01\x00\x3b"
    ),
    "empty.bmp": lambda: (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 14142, -14142, 1, 24, 0, 0, 0, 0, 0, 0)
    ),
    "canvas.webp": lambda: (
        b"RIFF"
        + struct.pack("<I", 22)
        + b"WEBPVP8X"
        + struct.pack("<IB", 10, 0)
        + b"\0\0\0"
        + (16_383).to_bytes(3, "little") * 2
    ),
}


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("read", [read_image, image_shape])
def test_small_files_take_little(tmp_path: Path, name: str, read):
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    Path("/proc/self/clear_refs").write_text("5")
    before, start = peak_bytes(), time.perf_counter()
    with contextlib.suppress(ImageReadError):
        read(path)
    assert time.perf_counter() - start < 3
    assert peak_bytes() - before < 300 << 20


def test_large_pictures_are_converted_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = [put(tmp_path, case) for case in READ]
    expected = [read_image(path).pixels for path in files]
    monkeypatch.setattr("napari_safire.decoding.pillow._BAND_PIXELS", 7 * COLS)
    monkeypatch.setattr("napari_safire.decoding.tiff._BAND_PIXELS", 7 * COLS)
    monkeypatch.setattr("napari_safire.decoding.tiff_segments._BAND_BYTES", 999)
    for path, pixels in zip(files, expected, strict=True):
        np.testing.assert_array_equal(read_image(path).pixels, pixels)


def test_zstandard_where_pillow_lacks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tiff_segments._unpacks_zstandard.cache_clear()  # the fuzzer found a deadlock at its first call
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(basic(compression=50000), [b"no frame"]))
    refusal(ImageReadError, read_image, path, match="damaged")
    monkeypatch.setattr(tiff_segments, "_unpacks_zstandard", lambda: False)
    refusal(ImageReadError, read_image, path, match="was built without")


def test_pages_are_counted_up_to_a_limit(tmp_path: Path):
    path = tmp_path / "a.tif"
    path.write_bytes(few_pages(1_000_000))
    (note,) = read_image(path).warnings
    assert f"more than {limits.MAX_PAGES} pages" in note


def test_packed_pixels_are_held_against_their_checksum(tmp_path: Path):
    packed = bytearray(zlib.compress(GREY.tobytes()))
    packed[-1] ^= 1
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(basic(compression=8), [bytes(packed)]))
    refusal(ImageReadError, read_image, path, match="incorrect data check")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".gif"])
def test_devices_and_nulls(suffix: str):
    for name in ("/dev/zero", f"a\0{suffix}", f"/dev/null/{suffix}"):
        for read in (read_image, image_shape):
            assert "\0" not in refusal(ImageReadError, read, name)


def test_control_characters_of_a_name_are_shown(tmp_path: Path):
    path = tmp_path / "a\x1b[2J\nb.png"
    path.write_bytes(pillow(GREY, "TIFF"))
    (note,) = read_image(path).warnings
    assert r"\x1b[2J\nb.png" in note


# ------------------------------------------------------------------------------- names


def test_what_is_a_picture_does_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch):
    import mimetypes

    monkeypatch.setattr(mimetypes, "guess_type", lambda *_, **__: (None, None))
    names = ["a.webp", "a.jfif", "a.mpo", "a.dng", "a.NEF", "a.TIFF", "a.heic", "a.psd", "a.jpe"]
    assert all(map(is_picture_name, names))
    assert not any(
        map(is_picture_name, ["a.txt", "a.csv", "a.json", "a.npz", "a.pdf", "a.mp4", "a"])
    )
    assert not READABLE & RAW


def test_content_says_what_is_a_picture_where_the_name_does_not(tmp_path: Path):
    for name, data, expected in (
        ("IMG_0001", JPEG, True),
        ("a.png.bak", pillow(GREY, "PNG"), True),
        ("a.svs", by_tifffile(GREY), True),
        ("readme", b"BMX and other bicycles", False),
        ("a.json", JPEG, False),
        ("sound.wav", b"RIFF\x24\0\0\0WAVEfmt ", False),
    ):
        (tmp_path / name).write_bytes(data)
        assert is_picture_file(tmp_path / name) is expected, name
    assert not is_picture_file(tmp_path / "missing")
    assert not is_picture_file(tmp_path)


@pytest.mark.parametrize("name", ["a.webp", "a.mpo", "a.jfif", "a.dng"])
def test_lists_of_any_picture(tmp_path: Path, name: str):
    (tmp_path / "list.txt").write_text(f"{name},None\n")
    assert looks_like_list(tmp_path / "list.txt")


def test_raw_files_are_refused_by_name(tmp_path: Path):
    for name, data in (("a.x3f", b"unheard of" * 9), ("a.NEF", by_tifffile(GREY))):
        (tmp_path / name).write_bytes(data)
        for read in (read_image, image_shape):
            refusal(ImageReadError, read, tmp_path / name, match="raw file of a camera")


# ------------------------------------------------------------------------------ records


def test_decoding_is_plain(tmp_path: Path):
    path = tmp_path / "a.tif"
    path.write_bytes(pillow(Image.fromarray(COLOUR).convert("CMYK"), "TIFF", tiffinfo={274: 8}))
    record = json.loads(json.dumps(read_image(path).decoding.as_record(), allow_nan=False))
    assert record["colour"] == "CMYK"
    assert record["orientation"] == 8
    assert record["converted"] == ["CMYK became RGB without a colour profile"]
    assert record["page"] == record["pages"] == 1
