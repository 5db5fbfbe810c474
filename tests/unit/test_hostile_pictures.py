"""Every view of every odd, damaged or hostile picture: a result, or why not, in plain words."""

from __future__ import annotations

import io
import json
import math
import struct
from pathlib import Path

import numpy as np
import picture_cases
import pytest
from PIL import Image
from refusals import refusal
from typer.testing import CliRunner

from napari_safire import forensics
from napari_safire.cli import app
from napari_safire.decoding import limits
from napari_safire.errors import ImageReadError
from napari_safire.forensics import Picture
from napari_safire.forensics.export import write_evidence
from napari_safire.images.reading import image_shape, read_image
from napari_safire.text import printable

RNG = np.random.default_rng(5)
ROWS, COLS = np.mgrid[:80, :112]
SCENE = np.stack([ROWS * 2 + COLS, (ROWS * COLS) % 251, 255 - ROWS * 3], axis=-1) % 256
SCENE = np.clip(SCENE + RNG.integers(-6, 7, SCENE.shape), 0, 255).astype(np.uint8)


def saved(pixels: np.ndarray, format: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, format=format, **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    data = saved(SCENE)
    return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + data[2:]


def ycck() -> bytes:
    """CMYK whose header says that it is YCCK."""
    data = bytearray(saved(SCENE, mode="CMYK"))
    at = data.index(b"Adobe")
    data[at + 11] = 2
    return bytes(data)


def several() -> bytes:
    file = io.BytesIO()
    Image.fromarray(SCENE).save(
        file, "MPO", save_all=True, append_images=[Image.fromarray(SCENE[::2, ::2])]
    )
    return file.getvalue()


READ = {
    "plain.jpg": lambda: saved(SCENE),
    "progressive.jpg": lambda: saved(SCENE, progressive=True),
    "grey.jpg": lambda: saved(SCENE[..., 0], mode="L"),
    "cmyk.jpg": lambda: saved(SCENE, mode="CMYK"),
    "ycck.jpg": ycck,
    "mpo.jpg": several,
    "palette.gif": lambda: saved(SCENE, "GIF"),
    "a.png": lambda: saved(SCENE, "PNG"),
    "a.webp": lambda: saved(SCENE, "WEBP"),
    "a.tif": lambda: saved(SCENE, "TIFF"),
    "pixel.png": lambda: saved(SCENE[:1, :1], "PNG"),
    "pixel.jpg": lambda: saved(SCENE[:1, :1]),
    "long.jpg": lambda: saved(RNG.integers(0, 256, (20, 3000, 3), np.uint8)),
    "high.png": lambda: saved(RNG.integers(0, 256, (3000, 20, 3), np.uint8), "PNG"),
    "black.png": lambda: saved(np.zeros((90, 70, 3), np.uint8), "PNG"),
    "broken_exif.jpg": lambda: segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xee" * 99),
    "exif_bomb.jpg": lambda: segment(
        0xE1, b"Exif\0\0II*\0\x08\0\0\0\xa0\x0f" + struct.pack("<HHII", 0x8825, 4, 999, 8) * 4000
    ),
    "fake_c2pa.jpg": lambda: segment(0xEB, b"JP\0\1\0\0\0\1\xff\xff\xff\xffjumb" + b"\0" * 60),
    "markup.jpg": lambda: segment(0xFE, b"<script>\x1b[2J\x9b\xe2\x80\xae</script>" * 9),
}
UNREAD = {
    "cut.jpg": (lambda: saved(SCENE)[:-300], "the end marker is missing: it was cut short"),
    "no_end.jpg": (lambda: saved(SCENE)[:-2], "the end marker is missing: it was cut short"),
    "cut.png": (lambda: saved(SCENE, "PNG")[:-300], "reaches beyond the file's end"),
    "twelve.jpg": (
        lambda: saved(SCENE).replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
        "12 bits are rare in a JPEG",
    ),
}


def check(views: object, tmp_path) -> dict[str, forensics.EvidenceView]:
    """Each view has a result that can be drawn and written, or says why not."""
    for name, view in views.items():
        if not view.applicable:
            assert view.why_not.startswith("not applicable: "), name
            continue
        found = view.result
        assert len(found.finding.split()) <= 20, (name, found.finding)
        assert found.score is None or math.isfinite(found.score), name
        text = [found.finding, *(cell for row in found.table for cell in (row.name, row.value))]
        assert all(printable(one) == one for one in text), name
        if found.map is not None:
            found.map.at_size(view.picture.shape)
    path = next(iter(views.values())).picture.file.path
    document = write_evidence(tmp_path / "out", "a", path, views).read_text("utf-8")
    assert document.isascii()
    json.loads(document)
    return dict(views)


@pytest.mark.parametrize("name", READ)
def test_every_view_of_every_odd_picture(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(READ[name]())
    views = check(forensics.views(path), tmp_path)
    jpeg = path.suffix == ".jpg"
    assert views["file"].applicable
    if not jpeg:
        why = views["double compression"].why_not
        assert why.startswith("not applicable: a ") or "too few" in why


@pytest.mark.parametrize("name", UNREAD)
def test_a_file_whose_pixels_cannot_be_read_is_examined_all_the_same(tmp_path, name):
    make, told = UNREAD[name]
    path = tmp_path / name
    path.write_bytes(make())
    with pytest.raises(ImageReadError):
        forensics.views(path)
    views = check(forensics.views(Picture.undecoded(path)), tmp_path)
    applied = {name for name, view in views.items() if view.applicable}
    assert applied == {"file", "metadata", "content credentials"}
    assert any(told in row.remark for row in views["file"].result.table)
    assert "its pixels cannot be read" in views["copy-move"].why_not


def test_arithmetic_coding_is_read_or_told(tmp_path):
    data = saved(SCENE).replace(b"\xff\xc0\0\x11", b"\xff\xc9\0\x11")  # Huffman data: damaged too
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    views = check(forensics.views(Picture.undecoded(path)), tmp_path)
    assert any("arithmetic frame" in row.value for row in views["file"].result.table)


def test_the_command_line_writes_what_can_be_said_and_fails(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(UNREAD["cut.jpg"][0]())
    said = CliRunner().invoke(app, ["evidence", str(path), "-o", str(tmp_path / "out")])
    assert said.exit_code == 1
    assert "Error: " in said.output
    assert "file: the end marker is missing" in said.output
    document = json.loads((tmp_path / "out" / "cut.jpg_evidence.json").read_text("utf-8"))
    assert document["views"][0]["applicable"]


def test_what_does_not_begin_like_a_picture_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"no picture at all")
    with pytest.raises(ImageReadError):
        Picture.undecoded(path)
    with pytest.raises(ImageReadError):
        Picture.undecoded(tmp_path / "none.jpg")


@pytest.mark.parametrize("case", picture_cases.CASES, ids=lambda case: case.name)
def test_views_of_the_file_of_every_format(tmp_path, case):
    path = tmp_path / case.name
    path.write_bytes(case.make())
    try:
        picture = Picture.undecoded(path)
    except ImageReadError:
        return
    views = forensics.views(picture)
    chosen = ("file", "metadata", "content credentials", "thumbnail")
    check({name: views[name] for name in chosen}, tmp_path)


# ------------------------------------------------------------------- limits that are chosen


@pytest.mark.parametrize(
    ("given", "pixels"),
    [("", 200_000_000), (" ", 200_000_000), ("1000", 1_000_000_000), ("0.5", 500_000)],
)
def test_the_limit_of_megapixels_can_be_chosen(given: str, pixels: int) -> None:
    assert limits._chosen(given) == (pixels, "")


@pytest.mark.parametrize("given", ["many", "-1", "0", "nan", "inf", "1e9", "2148", "\x1b[2J"])
def test_a_limit_that_is_none_is_told_at_the_first_picture(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, problem = limits._chosen(given)
    monkeypatch.setattr(limits, "_PROBLEM", problem)
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    text = refusal(ImageReadError, read_image, tmp_path / "a.png")
    assert limits.MEGAPIXELS_VARIABLE in text
    assert text.isprintable()


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "rgb.bmp", "rgb.tif", "rgb.gif"])
def test_the_limit_holds_before_anything_is_decoded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / name)
    monkeypatch.setattr(limits, "MAX_PIXELS", 1_000)
    for module in ("napari_safire.decoding.pillow.array_of", "napari_safire.decoding.png.zlib"):
        monkeypatch.setattr(module, None)  # whoever decoded would fail by another name
    for read in (read_image, image_shape):
        assert "megapixels, more than the 0.001" in refusal(ImageReadError, read, tmp_path / name)
