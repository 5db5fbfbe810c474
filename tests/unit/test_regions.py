"""Headers without pixels, and pieces of large pictures without the rest."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from synthetic import photograph

from napari_safire.errors import ImageReadError
from napari_safire.images.crops import read_region
from napari_safire.images.reading import image_shape

PIXELS = photograph(0, (70, 90))
WINDOW = slice(13, 50), slice(21, 88)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.JPG", "a.tif", "a.bmp", "a.webp", "a.gif"])
def test_shape_by_the_header(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(PIXELS).save(path)
    assert image_shape(path) == (70, 90)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    if not name.endswith(("tif", "webp")):  # of these the header needs the end of the file
        assert image_shape(path) == (70, 90)


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0"])
def test_headers_that_are_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(ImageReadError, match=r"a\.png"):
        image_shape(path)
    with pytest.raises(ImageReadError, match="folder"):
        image_shape(tmp_path)
    with pytest.raises(ImageReadError, match="does not exist"):
        image_shape(tmp_path / "lost.png")


@pytest.mark.parametrize("size", [(20_000, 20_000), (14_200, 14_200)])
def test_headers_of_too_many_pixels(tmp_path: Path, size: tuple[int, int], recwarn) -> None:
    path = tmp_path / "a.png"
    body = b"IHDR" + struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 0) + b"IDAT")
    with pytest.raises(ImageReadError, match="megapixels"):
        image_shape(path)
    assert not recwarn.list


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile": (16, 32)},
        {"rowsperstrip": 8, "compression": "zlib"},
        {"rowsperstrip": 7, "compression": "zlib", "predictor": True},
        {"bigtiff": True, "byteorder": ">"},
    ],
)
@pytest.mark.parametrize("channels", [None, 3, 4])
def test_pieces_are_those_of_the_whole(tmp_path: Path, options: dict, channels: int | None) -> None:
    pixels = PIXELS[..., 0] if channels is None else np.dstack([PIXELS, PIXELS])[..., :channels]
    path = tmp_path / "a.tif"
    kind = "minisblack" if channels is None else "rgb"
    tifffile.imwrite(path, pixels, photometric=kind, **options)
    piece = read_region(path, *WINDOW)
    assert np.array_equal(piece, pixels[WINDOW])
    assert not isinstance(piece, np.memmap)
    assert np.array_equal(read_region(path, slice(0, 70), slice(0, 90)), pixels)


def test_what_has_no_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"

    def refused(words: str) -> None:
        with pytest.raises(ImageReadError, match=words) as error:
            read_region(path, *WINDOW)
        assert str(path) in str(error.value)

    tifffile.imwrite(path, PIXELS.astype(np.uint16), photometric="rgb")
    refused("uint16 pixels")
    planes = np.moveaxis(PIXELS, -1, 0)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    refused("one after the other")
    tifffile.imwrite(path, PIXELS[..., 0], photometric="miniswhite")
    refused("not grey, RGB")
    Image.fromarray(PIXELS).save(path, compression="jpeg")
    refused("not read here")
    tifffile.imwrite(path, PIXELS, photometric="rgb", rowsperstrip=7, compression="zlib")
    monkeypatch.setattr("napari_safire.images.crops._LARGEST_SEGMENT", 100)
    refused("packed in one piece")
    monkeypatch.undo()
    path.write_bytes(path.read_bytes()[:2000])
    refused("cannot be read alone")
    Image.fromarray(PIXELS).save(path, format="PNG")
    refused("PNG is read from its first pixel on")
