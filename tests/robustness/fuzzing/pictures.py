"""Damage to pictures that knows their formats, and what reading one must give."""

from __future__ import annotations

import json
import random
import struct
import zlib
from pathlib import Path

import numpy as np

from napari_safire.decoding.coefficients import stored_coefficients
from napari_safire.errors import ImageReadError
from napari_safire.images.reading import image_header, inspect_image, read_image
from napari_safire.text import printable

ODD = [0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 4096, 14142, 32767, 32768, 65535]
ODD += [65536, 2**20, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


def mutated(data: bytes, name: str, rng: random.Random) -> bytes:
    """The file with some damage, small or aimed."""
    out = bytearray(data)
    kind = rng.choice(("bits", "bytes", "cut", "grow", "shrink", "head", "field", "splice", "aim"))
    size = max(1, len(out))
    if kind == "bits":
        for _ in range(rng.choice((1, 8, 64))):
            out[rng.randrange(size)] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        for _ in range(rng.randrange(1, 20)):
            out[rng.randrange(size)] = rng.choice((0, 255, 127, 128, rng.randrange(256)))
    elif kind == "cut":
        out = out[: rng.choice((rng.randrange(size), size - rng.randrange(min(64, size))))]
    elif kind == "grow":
        place = rng.randrange(size)
        out[place:place] = rng.randbytes(rng.randrange(1, 100))
    elif kind == "shrink":
        place = rng.randrange(size)
        del out[place : place + rng.randrange(1, 100)]
    elif kind == "head":
        for _ in range(rng.randrange(1, 4)):
            out[rng.randrange(min(64, size))] = rng.randrange(256)
    elif kind == "field" and size > 8:
        place, wide = rng.randrange(min(300, size - 4)), rng.choice((1, 2, 4))
        value = rng.choice(ODD) % 256**wide
        out[place : place + wide] = value.to_bytes(wide, rng.choice(("little", "big")))
    elif kind == "splice":
        place, other, length = rng.randrange(size), rng.randrange(size), rng.randrange(1, 200)
        out[place : place + length] = out[other : other + length]
    elif kind == "aim" and size > 64:
        out = _aimed(out, name, rng)
    if name.endswith(".png") and rng.random() < 0.7:
        return _with_checksums(bytes(out))
    return bytes(out)


def _aimed(out: bytearray, name: str, rng: random.Random) -> bytearray:
    """Change what a format's header says of sizes, counts and places."""
    if name.endswith(".tif"):
        return _aimed_tiff(out, rng)
    if name.endswith(".png"):
        place = rng.choice((16, 20, 24, 25, 26, 27, 28))
        value = rng.choice(ODD)
        if place < 24:
            struct.pack_into(">I", out, place, value)
        else:
            out[place] = value & 255
    elif name.endswith(".jpg"):
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            place = out.find(marker)
            if place > 0:
                struct.pack_into(">H", out, place + rng.choice((5, 7)), rng.choice(ODD) & 65535)
        if rng.random() < 0.3:
            place = out.find(b"\xff\xda")
            body = struct.pack(">H", rng.choice((0, 1, 2, 8, 65535))) + bytes(6)
            out[place:place] = bytes([255, rng.randrange(0xC0, 0xFF)]) + body
    elif name.endswith(".gif"):
        place = rng.choice((6, 8, out.find(b"\x2c") + rng.choice((1, 3, 5, 7))))
        struct.pack_into("<H", out, place, rng.choice(ODD) & 65535)
    elif name.endswith(".bmp"):
        place = rng.choice((10, 14, 18, 22, 26, 28, 30, 34, 46))
        struct.pack_into("<I", out, place, rng.choice((*ODD, 2**32 - 80)))
    elif name.endswith(".webp"):
        struct.pack_into("<I", out, rng.choice((4, 12, 16, 20, 24, 27, 30)), rng.choice(ODD))
    return out


_TAGS = (254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 284, 292, 317, 320, 322)
_TAGS += (323, 324, 325, 330, 332, 338, 339, 347, 530, 700, 32997, 34665, 50706)
_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34712, 34925, 50000, 50001)


def _aimed_tiff(out: bytearray, rng: random.Random) -> bytearray:
    order = ">" if out[:2] == b"MM" else "<"
    big = 43 in (out[2], out[3])
    if big:
        start = struct.unpack_from(order + "Q", out, 8)[0]
        count, size, first = struct.unpack_from(order + "Q", out, start)[0], 20, start + 8
    else:
        start = struct.unpack_from(order + "I", out, 4)[0]
        count, size, first = struct.unpack_from(order + "H", out, start)[0], 12, start + 2
    for _ in range(rng.randrange(1, 3)):
        place = first + rng.randrange(count) * size
        what = rng.choice(("type", "count", "value", "value", "value", "tag"))
        if what == "type":
            struct.pack_into(
                order + "H", out, place + 2, rng.choice((1, 2, 3, 4, 5, 11, 12, 16, 99))
            )
        elif what == "count":
            struct.pack_into(order + "I", out, place + 4, rng.choice(ODD))
        elif what == "tag":
            struct.pack_into(order + "H", out, place, rng.choice(_TAGS))
        else:
            value = rng.choice((*ODD, *_COMPRESSIONS))
            struct.pack_into(order + "I", out, place + size - (8 if big else 4), value)
    if rng.random() < 0.1:
        link = first + count * size
        struct.pack_into(order + "I", out, link, rng.choice((start, 8, 2**32 - 1, start + 2)))
    return out


def _with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums again, so that what is in them is looked at."""
    out, place = bytearray(data[:8]), 8
    while place + 8 <= len(data):
        length = struct.unpack_from(">I", data, place)[0]
        if place + 12 + length > len(data):
            break
        body = data[place + 4 : place + 8 + length]
        out += data[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return bytes(out) + data[place:]


def seeds(*suffixes: str) -> dict[str, bytes]:
    """Whole pictures with some endings, by name."""
    from picture_cases import CASES

    return {case.name: case.make() for case in CASES if case.name.endswith(suffixes)}


def read_stored_coefficients(path: Path) -> None:
    """Read the coefficients of a JPEG that can be decoded, as the views of evidence do."""
    shape = read_image(path).pixels.shape[:2]
    try:
        found = stored_coefficients(path)
    except ValueError as error:  # which a view says
        raise ImageReadError(f"No coefficients: {printable(error)}.") from error
    assert found.blocks.shape[2:] == (8, 8)
    assert found.shape == shape


def read(path: Path) -> None:
    """Read a picture, and hold its header against its pixels."""
    header = inspect_image(path)
    found = read_image(path)
    pixels = found.pixels
    assert pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4)), pixels.shape
    assert pixels.dtype in (np.uint8, np.uint16, np.float32, np.float64), pixels.dtype
    json.dumps(found.decoding.as_record(), allow_nan=False)
    del found
    told = image_header(path)
    assert (told.shape, told.dtype) == (pixels.shape, pixels.dtype), (told, pixels.shape)
    assert header.shape == pixels.shape[:2], (header.shape, pixels.shape)
