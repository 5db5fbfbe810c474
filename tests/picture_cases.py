"""One small picture of every format and odd kind, and what becomes of it.

The tests read them (`test_picture_formats`), docs/format_table.py makes the table of
docs/formats.md of them, and the fuzzer mutates them.
"""

from __future__ import annotations

import io
import json
import lzma
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

RNG = np.random.default_rng(17)
ROWS, COLS = 40, 50
_RAMP = np.add.outer(np.arange(ROWS) * 2, np.arange(COLS) * 3)
COLOUR = np.clip(
    np.stack([_RAMP, _RAMP[::-1], 255 - _RAMP], -1) + RNG.integers(-9, 10, (ROWS, COLS, 3)), 0, 255
).astype(np.uint8)
GREY = np.ascontiguousarray(COLOUR[..., 0])
OPACITY = np.where(GREY > 60, 255, GREY).astype(np.uint8)
TRUE = GREY > 90
DEEP = (GREY.astype(np.uint16) << 8) + RNG.integers(0, 256, GREY.shape, dtype=np.uint16)
DEEP_COLOUR = (COLOUR.astype(np.uint16) << 8) + RNG.integers(0, 256, COLOUR.shape, np.uint16)
BLACK_WHITE = TRUE * np.uint8(255)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@dataclass(frozen=True, eq=False)
class Case:
    """A file and what is to become of it.

    Parameters
    ----------
    name : str
        Of the file.
    what : str
        For the table: what is odd about it.
    make : callable
        Gives the bytes.
    pixels : array or None
        What is read; None: the file is refused.
    off : float
        Mean difference from `pixels` that is allowed (lossy formats, colour conversions).
    said : tuple of str
        Words of each warning, in order; or of the refusal.
    decoding : dict
        What the decoding must state, besides.
    """

    name: str
    what: str
    make: Callable[[], bytes]
    pixels: np.ndarray | None = None
    off: float = 0.0
    said: tuple[str, ...] = ()
    decoding: tuple[tuple[str, Any], ...] = ()

    @property
    def format(self) -> str:
        """Name of the format, by the file's suffix."""
        suffix = self.name.rsplit(".", 1)[1]
        return {"jpg": "JPEG", "tif": "TIFF", "webp": "WebP"}.get(suffix, suffix.upper())


def pillow(image: Any, format: str, **options: Any) -> bytes:
    """A file that Pillow writes."""
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def by_tifffile(array: np.ndarray, **options: Any) -> bytes:
    """A file that tifffile writes."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def tiff(
    tags: dict[int, tuple[int, Sequence[int] | bytes]],
    strips: Sequence[bytes],
    *,
    places: tuple[int, int] = (273, 279),
    order: str = "<",
    more: Sequence[dict[int, tuple[int, Sequence[int] | bytes]]] = (),
) -> bytes:
    """A classic TIFF, written by hand: (type, values) of each tag, then further pages."""
    out = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    starts = []
    for strip in strips:
        starts.append(len(out))
        out += strip + b"\0" * (len(strip) % 2)
    first = dict(tags)
    if strips:
        first[places[0]] = (4, starts)
        first[places[1]] = (4, [len(strip) for strip in strips])
    link = 4
    for page in (first, *more):
        entries = b""
        for tag, (kind, values) in sorted(page.items()):
            if isinstance(values, bytes):
                body, count = values, len(values)
            else:
                letter = {1: "B", 3: "H", 4: "I"}[kind]
                body, count = struct.pack(f"{order}{len(values)}{letter}", *values), len(values)
            if len(body) > 4:
                place = len(out)
                out += body + b"\0" * (len(body) % 2)
                body = struct.pack(order + "I", place)
            entries += struct.pack(order + "HHI", tag, kind, count) + body.ljust(4, b"\0")
        struct.pack_into(order + "I", out, link, len(out))
        out += struct.pack(order + "H", len(page)) + entries
        link = len(out)
        out += bytes(4)
    return bytes(out)


def basic(
    photometric: int | None = 1, bits: int = 8, samples: int = 1, compression: int = 1, **shape: int
) -> dict[int, tuple[int, Sequence[int] | bytes]]:
    """The tags that every TIFF has."""
    rows, cols = shape.get("rows", ROWS), shape.get("cols", COLS)
    tags: dict[int, tuple[int, Sequence[int] | bytes]] = {
        256: (4, [cols]),
        257: (4, [rows]),
        258: (3, [bits] * samples),
        259: (3, [compression]),
        277: (3, [samples]),
        278: (4, [shape.get("strip", rows)]),
    }
    return tags if photometric is None else {**tags, 262: (3, [photometric])}


def packed_bits(array: np.ndarray, bits: int) -> bytes:
    """Rows of values of a few bits each, as TIFF packs them."""
    flat = array.reshape(len(array), -1).astype(np.uint16)
    single = (flat[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(single.reshape(len(array), -1).astype(np.uint8), axis=1).tobytes()


def few_bits(bits: int, photometric: int) -> bytes:
    """A TIFF of a few bits a value; its picture is `levels`."""
    values = levels(bits)
    stored = 2**bits - 1 - values if photometric == 0 else values
    return tiff(basic(photometric, bits), [packed_bits(stored, bits)])


def levels(bits: int) -> np.ndarray:
    """`DEEP` with fewer bits."""
    return DEEP >> (16 - bits)


def in_eight(bits: int) -> np.ndarray:
    """`levels` brought to 8 bits."""
    return np.rint(levels(bits) * 255.0 / (2**bits - 1)).astype(np.uint8)


def lzw(data: bytes, width: int) -> bytes:
    """Bytes packed by libtiff."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, width)
    file = pillow(rows, "TIFF", compression="tiff_lzw", strip_size=1 << 30)
    with tifffile.TiffFile(io.BytesIO(file)) as opened:
        page = opened.pages.first
        (start,), (count,) = page.dataoffsets, page.databytecounts
    return file[start : start + count]


def differences(array: np.ndarray) -> np.ndarray:
    """The second predictor."""
    out = array.copy()
    out[:, 1:] -= array[:, :-1]
    return out


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + checksum


def png(
    colour: int, bits: int, rows: bytes, width: int = COLS, height: int = ROWS, extra: bytes = b""
) -> bytes:
    """A PNG, written by hand; rows with their filter bytes."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def filtered(rows: np.ndarray) -> bytes:
    """Rows of a PNG with filter 0."""
    return b"".join(b"\0" + row.tobytes() for row in rows)


def exif(orientation: int = 6, preview: bytes = b"") -> bytes:
    """An EXIF block, perhaps with a preview in it."""
    made = Image.Exif()
    made[0x0112] = orientation
    block = made.tobytes()
    if not preview:
        return block
    page = {513: (4, [0]), 514: (4, [len(preview)]), 259: (3, [6])}
    body = tiff({274: (3, [orientation])}, [], more=[page])
    at = body.rfind(struct.pack("<HHI", 513, 4, 1)) + 8
    return b"Exif\0\0" + body[:at] + struct.pack("<I", len(body)) + body[at + 4 :] + preview


def after_start(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG with one more segment in front."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


JPEG = pillow(COLOUR, "JPEG", quality=95)
SMALL_JPEG = pillow(COLOUR[::4, ::4], "JPEG")
LARGE_JPEG = pillow(np.repeat(np.repeat(COLOUR, 2, 0), 2, 1), "JPEG")
_RGB = Image.fromarray(COLOUR)
_PALETTE = _RGB.quantize(16)
_TURNED = "asks to be shown turned or mirrored (EXIF orientation 6): not applied"
_CMYK = "has CMYK colours: converted to RGB"


def _white_zero_bool() -> bytes:
    data = np.packbits(~TRUE, axis=1).tobytes()
    return tiff(basic(0, 1), [data])


def _raw_profile() -> bytes:
    block = exif()
    text = f"\nexif\n{len(block):8d}\n{block.hex()}\n".encode()
    return png(0, 8, filtered(GREY), extra=chunk(b"tEXt", b"Raw profile type exif\0" + text))


def _imagej() -> bytes:
    return tiff(basic() | {270: (2, b"ImageJ=1.53\nimages=3\nslices=3\n\0")}, [GREY.tobytes()])


def _with_sub_page(page: dict[int, tuple[int, Sequence[int] | bytes]]) -> bytes:
    """A page below the first; its tags lie behind the pixels, in the same strip."""
    entries = b""
    for tag, (kind, (value, *_)) in sorted(page.items()):
        entries += struct.pack("<HHI", tag, kind, 1)
        entries += struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value)
    below = struct.pack("<H", len(page)) + entries + bytes(4)
    return tiff(basic() | {330: (4, [8 + GREY.size])}, [GREY.tobytes() + below])


def _loop() -> bytes:
    data = bytearray(tiff(basic(), [GREY.tobytes()], more=[basic()] * 2))
    place = struct.unpack_from("<I", data, 4)[0]
    second = 0
    for number in range(3):
        end = place + 2 + 12 * struct.unpack_from("<H", data, place)[0]
        if number == 1:
            second = place
        if number == 2:
            struct.pack_into("<I", data, end, second)
        place = struct.unpack_from("<I", data, end)[0]
    return bytes(data)


def _predicted_floats() -> bytes:
    values = (GREY / np.float32(255)).astype(">f4")
    planes = values.view(np.uint8).reshape(ROWS, COLS, 4).transpose(0, 2, 1).reshape(ROWS, -1)
    tags = basic(1, 32, compression=8) | {339: (3, [3]), 317: (3, [3])}
    return tiff(tags, [zlib.compress(differences(planes).tobytes())])


_WHITE_ZERO_SAID = (("inverted", True),)
CASES: tuple[Case, ...] = (
    # ------------------------------------------------------------------------------- PNG
    Case("grey.png", "8 bits, grey", lambda: pillow(GREY, "PNG"), GREY),
    Case("rgb.png", "8 bits, RGB", lambda: pillow(COLOUR, "PNG"), COLOUR),
    Case(
        "rgba.png",
        "8 bits, RGB and opacity",
        lambda: pillow(np.dstack([COLOUR, OPACITY]), "PNG"),
        np.dstack([COLOUR, OPACITY]),
        decoding=(("opacity", True),),
    ),
    Case(
        "la.png",
        "8 bits, grey and opacity",
        lambda: pillow(Image.fromarray(np.dstack([GREY, OPACITY])), "PNG"),
        np.dstack([GREY, GREY, GREY, OPACITY]),
    ),
    Case(
        "palette.png", "palette", lambda: pillow(_PALETTE, "PNG"), np.array(_PALETTE.convert("RGB"))
    ),
    Case("bits.png", "1 bit, grey", lambda: pillow(TRUE, "PNG"), BLACK_WHITE),
    Case(
        "bits4.png",
        "2 or 4 bits, grey",
        lambda: png(0, 4, b"".join(b"\0" + packed_bits(row[None], 4) for row in levels(4))),
        in_eight(4),
        decoding=(("bits", 4),),
    ),
    Case("deep.png", "16 bits, grey", lambda: pillow(DEEP, "PNG"), DEEP),
    Case(
        "deep_rgb.png",
        "16 bits, RGB",
        lambda: png(2, 16, filtered(DEEP_COLOUR.astype(">u2"))),
        (DEEP_COLOUR >> 8).astype(np.uint8),
        said=("has 16 bits a channel, read as 8",),
        decoding=(("bits", 16), ("converted", ("16 bits brought to 8",))),
    ),
    Case(
        "frames.png",
        "animation (APNG)",
        lambda: pillow(_RGB, "PNG", save_all=True, append_images=[_RGB.rotate(180)]),
        COLOUR,
        said=("holds 2 pictures",),
        decoding=(("pages", 2),),
    ),
    Case(
        "turned.png",
        "EXIF orientation",
        lambda: pillow(COLOUR, "PNG", exif=exif()),
        COLOUR,
        said=(_TURNED,),
        decoding=(("orientation", 6),),
    ),
    Case("turned_text.png", "orientation in a text", _raw_profile, GREY, said=(_TURNED,)),
    Case(
        "profile.png",
        "colour profile and text of 3 MB",
        lambda: png(
            0,
            8,
            filtered(GREY),
            extra=chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(3 << 20)))
            + chunk(b"zTXt", b"work\0\0" + zlib.compress(bytes(3 << 20))),
        ),
        GREY,
        decoding=(("besides", ("a colour profile, not applied", "1 texts")),),
    ),
    Case(
        "behind.png",
        "another picture behind the end",
        lambda: pillow(COLOUR, "PNG") + JPEG,
        COLOUR,
        said=("another picture behind its end",),
    ),
    Case(
        "colour_key.png",
        "one colour called transparent",
        lambda: png(0, 8, filtered(GREY), extra=chunk(b"tRNS", b"\0\7")),
        GREY,
        decoding=(("besides", ("one colour that is called transparent",)),),
    ),
    Case(
        "apple.png",
        "chunks of no standard (CgBI)",
        lambda: png(2, 8, filtered(COLOUR), extra=chunk(b"CgBI", b"\0\0\0\0")),
        said=("that no standard names",),
    ),
    Case("cut.png", "cut short", lambda: pillow(COLOUR, "PNG")[:-20], said=("cut short",)),
    # ------------------------------------------------------------------------------ JPEG
    Case("rgb.jpg", "colour", lambda: JPEG, COLOUR, 9),
    Case("grey.jpg", "grey", lambda: pillow(GREY, "JPEG", quality=95), GREY, 4),
    Case(
        "progressive.jpg",
        "progressive, 10 scans",
        lambda: pillow(COLOUR, "JPEG", quality=95, progressive=True),
        COLOUR,
        9,
        decoding=(("compression", "JPEG, progressive"),),
    ),
    Case(
        "cmyk.jpg",
        "CMYK",
        lambda: pillow(_RGB.convert("CMYK"), "JPEG", quality=95),
        COLOUR,
        12,
        said=(_CMYK,),
        decoding=(("colour", "CMYK"),),
    ),
    Case(
        "turned.jpg",
        "EXIF orientation",
        lambda: pillow(COLOUR, "JPEG", quality=95, exif=exif()),
        COLOUR,
        9,
        said=(_TURNED,),
    ),
    Case(
        "turned_xmp.jpg",
        "orientation in XMP",
        lambda: after_start(JPEG, 0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'),
        COLOUR,
        9,
        said=(_TURNED,),
    ),
    Case(
        "preview.jpg",
        "EXIF preview",
        lambda: after_start(JPEG, 0xE1, exif(1, SMALL_JPEG)),
        COLOUR,
        9,
        decoding=(("besides", ("an EXIF preview of 10 x 13",)),),
    ),
    Case(
        "large_preview.jpg",
        "EXIF preview larger than the picture",
        lambda: after_start(JPEG, 0xE1, exif(1, LARGE_JPEG)),
        COLOUR,
        9,
        said=("preview of 80 x 100, larger than the picture",),
    ),
    Case(
        "views.jpg",
        "several views or a gain map (MPO)",
        lambda: pillow(
            _RGB, "MPO", save_all=True, append_images=[_RGB.resize((25, 20))], quality=95
        ),
        COLOUR,
        9,
        said=("holds 2 pictures",),
        decoding=(("pages", 2), ("besides", ("a view or gain map of 20 x 25",))),
    ),
    Case(
        "large_view.jpg",
        "a view larger than the first",
        lambda: pillow(
            _RGB, "MPO", save_all=True, append_images=[_RGB.resize((100, 80))], quality=95
        ),
        COLOUR,
        9,
        said=("another picture of 80 x 100 pixels, larger than the first", "holds 2 pictures"),
    ),
    Case(
        "behind.jpg",
        "another JPEG behind the end",
        lambda: JPEG + LARGE_JPEG,
        COLOUR,
        9,
        said=("another JPEG picture of 80 x 100 pixels behind its end",),
    ),
    Case("trailer.jpg", "other bytes behind the end", lambda: JPEG + b"Motion" * 99, COLOUR, 9),
    Case(
        "profile.jpg",
        "colour profile",
        lambda: pillow(COLOUR, "JPEG", quality=95, icc_profile=ICC),
        COLOUR,
        9,
        decoding=(("besides", ("a colour profile, not applied",)),),
    ),
    Case("no_end.jpg", "without its end mark", lambda: JPEG[:-2], said=("cut short",)),
    Case(
        "scans.jpg",
        "more than 100 scans",
        lambda: many_scans(200),
        said=("a JPEG stream of",),
    ),
    Case(
        "lossless.jpg",
        "lossless, hierarchical, JPEG-LS",
        lambda: JPEG.replace(b"\xff\xc0\0", b"\xff\xc3\0"),
        said=("is a lossless or hierarchical JPEG",),
    ),
    Case(
        "twelve.jpg",
        "12 bits",
        lambda: JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
        said=("is a JPEG of 12 bits",),
    ),
    # ------------------------------------------------------------------------------ WebP
    Case("lossless.webp", "lossless", lambda: pillow(COLOUR, "WEBP", lossless=True), COLOUR),
    Case("lossy.webp", "lossy", lambda: pillow(COLOUR, "WEBP", quality=95), COLOUR, 16),
    Case(
        "rgba.webp",
        "with opacity",
        lambda: pillow(np.dstack([COLOUR, OPACITY]), "WEBP", lossless=True, exact=True),
        np.dstack([COLOUR, OPACITY]),
        decoding=(("opacity", True),),
    ),
    Case(
        "frames.webp",
        "animation",
        lambda: pillow(
            _RGB, "WEBP", lossless=True, save_all=True, append_images=[_RGB.rotate(180)]
        ),
        COLOUR,
        said=("holds 2 pictures",),
    ),
    Case(
        "turned.webp",
        "EXIF orientation",
        lambda: pillow(COLOUR, "WEBP", lossless=True, exif=exif()),
        COLOUR,
        said=(_TURNED,),
    ),
    # ------------------------------------------------------------------------------- GIF
    Case(
        "palette.gif", "palette", lambda: pillow(_PALETTE, "GIF"), np.array(_PALETTE.convert("RGB"))
    ),
    Case(
        "frames.gif",
        "animation",
        lambda: pillow(
            _PALETTE, "GIF", save_all=True, append_images=[_PALETTE.rotate(180), _PALETTE]
        ),
        np.array(_PALETTE.convert("RGB")),
        said=("holds 3 pictures",),
    ),
    # ------------------------------------------------------------------------------- BMP
    Case("rgb.bmp", "24 bits", lambda: pillow(COLOUR, "BMP"), COLOUR),
    Case("grey.bmp", "8 bits, grey palette", lambda: pillow(GREY, "BMP"), GREY),
    Case("bits.bmp", "1 bit", lambda: pillow(TRUE, "BMP"), BLACK_WHITE),
    # ------------------------------------------------------------------------------ TIFF
    Case("grey.tif", "8 bits, grey", lambda: by_tifffile(GREY), GREY),
    Case("rgb.tif", "8 bits, RGB", lambda: by_tifffile(COLOUR), COLOUR),
    Case(
        "rgba.tif",
        "RGB and opacity",
        lambda: by_tifffile(
            np.dstack([COLOUR, OPACITY]), photometric="rgb", extrasamples=["unassalpha"]
        ),
        np.dstack([COLOUR, OPACITY]),
    ),
    Case(
        "four.tif",
        "RGB and a fourth channel of unknown meaning",
        lambda: tiff(basic(2, samples=4), [np.dstack([COLOUR, OPACITY]).tobytes()]),
        np.dstack([COLOUR, OPACITY]),
        said=("what its fourth channel is: taken as opacity",),
    ),
    Case("deep.tif", "16 bits, grey", lambda: by_tifffile(DEEP), DEEP),
    Case("deep_rgb.tif", "16 bits, RGB", lambda: by_tifffile(DEEP_COLOUR), DEEP_COLOUR),
    Case(
        "planes.tif",
        "channels one after the other",
        lambda: by_tifffile(
            np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate", rowsperstrip=7
        ),
        COLOUR,
    ),
    Case(
        "big_endian.tif", "big-endian", lambda: by_tifffile(DEEP_COLOUR, byteorder=">"), DEEP_COLOUR
    ),
    Case("bigtiff.tif", "BigTIFF", lambda: by_tifffile(DEEP, bigtiff=True), DEEP),
    Case(
        "tiles.tif",
        "tiles, zlib with differences",
        lambda: by_tifffile(DEEP_COLOUR, tile=(16, 32), compression="zlib", predictor=True),
        DEEP_COLOUR,
        decoding=(("compression", "zlib"),),
    ),
    Case(
        "lzw.tif",
        "LZW",
        lambda: pillow(COLOUR, "TIFF", compression="tiff_lzw"),
        COLOUR,
        decoding=(("compression", "LZW"),),
    ),
    Case(
        "deep_lzw.tif",
        "LZW with differences, 16 bits",
        lambda: tiff(
            basic(2, 16, 3, 5) | {317: (3, [2])},
            [lzw(differences(DEEP_COLOUR).tobytes(), 6 * COLS)],
        ),
        DEEP_COLOUR,
    ),
    Case("zstd.tif", "Zstandard", lambda: pillow(COLOUR, "TIFF", compression="zstd"), COLOUR),
    Case(
        "packbits.tif", "PackBits", lambda: pillow(COLOUR, "TIFF", compression="packbits"), COLOUR
    ),
    Case("lzma.tif", "LZMA", lambda: tiff(basic(compression=34925), [lzma.compress(GREY)]), GREY),
    Case(
        "group4.tif",
        "fax (CCITT group 3, 4)",
        lambda: pillow(TRUE, "TIFF", compression="group4"),
        BLACK_WHITE,
        decoding=(("bits", 1), ("compression", "CCITT group 4")),
    ),
    Case(
        "jpeg.tif",
        "JPEG inside",
        lambda: pillow(COLOUR, "TIFF", compression="jpeg", quality=95),
        COLOUR,
        9,
    ),
    Case(
        "palette.tif",
        "palette",
        lambda: pillow(_PALETTE, "TIFF"),
        np.array(_PALETTE.convert("RGB")),
    ),
    Case("bits.tif", "1 bit, 0 is black", lambda: pillow(TRUE, "TIFF"), BLACK_WHITE),
    Case(
        "bits_white0.tif",
        "1 bit, 0 is white",
        _white_zero_bool,
        BLACK_WHITE,
        decoding=_WHITE_ZERO_SAID,
    ),
    Case(
        "bool.tif",
        "true and false by tifffile, napari, imageio",
        lambda: by_tifffile(TRUE),
        BLACK_WHITE,
        said=("true is read as white, though its tag says black",),
        decoding=(("inverted", False),),
    ),
    *(
        Case(
            f"bits{bits}_{'white0' if photometric == 0 else 'black0'}.tif",
            f"{bits} bits, 0 is {'white' if photometric == 0 else 'black'}",
            lambda bits=bits, photometric=photometric: few_bits(bits, photometric),
            in_eight(bits) if bits < 8 else levels(bits),
            decoding=(("bits", bits), ("inverted", photometric == 0)),
        )
        for bits in (2, 4, 12)
        for photometric in (1, 0)
    ),
    Case("bits10.tif", "10, 14 bits", lambda: few_bits(10, 1), levels(10)),
    Case(
        "white0.tif",
        "8 or 16 bits, 0 is white",
        lambda: by_tifffile(GREY, photometric="miniswhite"),
        255 - GREY,
        decoding=_WHITE_ZERO_SAID,
    ),
    Case(
        "float.tif",
        "float32, float64",
        lambda: by_tifffile(GREY / np.float32(7)),
        GREY / np.float32(7),
    ),
    Case(
        "float_predicted.tif",
        "float32, zlib with differences",
        _predicted_floats,
        GREY / np.float32(255),
    ),
    Case(
        "half.tif",
        "float16",
        lambda: by_tifffile((GREY / 8).astype(np.float16)),
        GREY / np.float32(8),
    ),
    Case(
        "int32.tif", "32-bit integers up to 65535", lambda: by_tifffile(DEEP.astype(np.int32)), DEEP
    ),
    Case(
        "cmyk.tif",
        "CMYK",
        lambda: pillow(_RGB.convert("CMYK"), "TIFF"),
        COLOUR,
        2,
        said=(_CMYK,),
    ),
    Case(
        "lab.tif",
        "CIE LAB",
        lambda: pillow(_RGB.convert("LAB"), "TIFF"),
        COLOUR,
        5,
        said=("has LAB colours: converted to RGB",),
    ),
    Case(
        "ycbcr.tif",
        "YCbCr without JPEG",
        lambda: pillow(_RGB.convert("YCbCr"), "TIFF"),
        COLOUR,
        2,
        said=("has YCbCr colours: converted to RGB",),
    ),
    Case(
        "pages.tif",
        "several pages",
        lambda: by_tifffile(np.stack([GREY, GREY + 1, GREY]), photometric="minisblack"),
        GREY,
        said=("holds 3 pages",),
        decoding=(("pages", 3),),
    ),
    Case(
        "larger_page.tif",
        "a later page that is larger",
        lambda: tiff(basic(), [GREY.tobytes()], more=[basic(rows=400, cols=500)]),
        GREY,
        said=("has a page 2 of 400 x 500 pixels, larger than the first", "holds 2 pages"),
    ),
    Case(
        "loop.tif",
        "a list of pages that loops",
        _loop,
        GREY,
        said=("leads back to one of them", "holds 3 pages"),
    ),
    Case(
        "below.tif",
        "a larger picture below the first page (SubIFD)",
        lambda: _with_sub_page(basic(rows=80, cols=100)),
        GREY,
        said=("has a larger picture of 80 x 100 pixels below its first page",),
    ),
    Case(
        "imagej.tif", "ImageJ stack in one page", _imagej, GREY, said=("is an ImageJ stack of 3",)
    ),
    Case(
        "layers.tif",
        "Photoshop layers",
        lambda: tiff(basic() | {37724: (7, bytes(40))}, [GREY.tobytes()]),
        GREY,
        said=("holds Photoshop layers",),
    ),
    *(
        Case(
            f"turned_{name}.tif",
            f"orientation, {name}",
            lambda mode=mode, compression=compression: pillow(
                _RGB.convert(mode), "TIFF", compression=compression, tiffinfo={274: 6}
            ),
            pixels,
            off,
            said=(*said, _TURNED),
            decoding=(("shape", (ROWS, COLS)),),
        )
        for name, mode, compression, pixels, off, said in (
            ("none", "RGB", "raw", COLOUR, 0, ()),
            ("zlib", "RGB", "tiff_adobe_deflate", COLOUR, 0, ()),
            ("LZW", "RGB", "tiff_lzw", COLOUR, 0, ()),
            ("PackBits", "RGB", "packbits", COLOUR, 0, ()),
            ("JPEG", "RGB", "jpeg", COLOUR, 16, ()),
            ("CMYK", "CMYK", "raw", COLOUR, 2, (_CMYK,)),
            ("YCbCr", "YCbCr", "raw", COLOUR, 2, ("has YCbCr colours",)),
            ("fax", "1", "group4", np.array(_RGB.convert("1").convert("L")), 0, ()),
        )
    ),
    Case(
        "untold.tif",
        "colours not told",
        lambda: tiff(basic(None), [GREY.tobytes()]),
        GREY,
        said=("does not say what its values mean: read as grey, 0 is black",),
    ),
    Case(
        "grey3.tif",
        "three channels called grey",
        lambda: tiff(basic(1, samples=3), [COLOUR.tobytes()]),
        COLOUR,
        said=("calls its 3 channels grey: read as red, green, blue",),
    ),
    Case(
        "preview.tif",
        "a preview as first page",
        lambda: tiff(basic() | {254: (4, [1])}, [GREY.tobytes()], more=[basic(rows=400, cols=500)]),
        said=("begins with a preview of 40 x 50 pixels, the picture itself has 400 x 500",),
    ),
    Case(
        "raw.tif",
        "raw file of a camera (DNG, CFA)",
        lambda: tiff(basic() | {50706: (1, [1, 4, 0, 0])}, [GREY.tobytes()]),
        said=("is a raw file of a camera",),
    ),
    Case(
        "sparse.tif",
        "strips or tiles left out",
        lambda: tiff(basic(strip=20), [GREY[:20].tobytes(), b""]),
        said=("leaves out 1 of its 2 strips or tiles",),
    ),
    Case(
        "six.tif",
        "more than four channels",
        lambda: tiff(basic(1, samples=6), [bytes(12000)]),
        said=("has 6 channels",),
    ),
    Case(
        "complex.tif",
        "complex numbers",
        lambda: by_tifffile(GREY.astype(np.complex64)),
        said=("complex64",),
    ),
    Case(
        "negative.tif",
        "negative integers",
        lambda: by_tifffile(GREY.astype(np.int16) - 300),
        said=("from -",),
    ),
    Case(
        "volume.tif",
        "volume",
        lambda: by_tifffile(
            np.zeros((16, 16, 16), np.uint8),
            tile=(16, 16, 16),
            volumetric=True,
            photometric="minisblack",
        ),
        said=("is a volume",),
    ),
    Case(
        "old_jpeg.tif",
        "JPEG of the old style, JPEG 2000 and others inside",
        lambda: tiff(basic(6, samples=3, compression=6), [JPEG]),
        said=("a compression that is not read here (JPEG (old style))",),
    ),
    Case(
        "tiles_many.tif",
        "more than 100,000 strips or tiles",
        lambda: tiff(
            basic(rows=1000, cols=2000) | {322: (4, [2]), 323: (4, [2])},
            [bytes(4)],
            places=(324, 325),
        ),
        said=("is divided into 500000 strips or tiles",),
    ),
    Case(
        "bomb.tif",
        "zlib of far more than its pixels",
        lambda: tiff(basic(rows=1, cols=1, compression=8), [zlib.compress(bytes(1 << 22))]),
        np.zeros((1, 1), np.uint8),
    ),
    # ----------------------------------------------------------------------------- others
    Case("a.avif", "colour", lambda: pillow(COLOUR, "AVIF", quality=95), COLOUR, 16),
    Case(
        "rgba.avif",
        "with opacity",
        lambda: pillow(np.dstack([COLOUR, OPACITY]), "AVIF", quality=95),
        np.dstack([COLOUR, OPACITY]),
        16,
    ),
    Case("cut.avif", "cut short", lambda: pillow(COLOUR, "AVIF")[:400], said=("cut short",)),
    Case(
        "a.heic",
        "without pillow-heif, or damaged",
        lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        said=("HEIC",),
    ),
    Case("a.jp2", "any", lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(9), said=("a JPEG 2000",)),
    Case("a.psd", "any", lambda: b"8BPS\0\1" + bytes(20), said=("a Photoshop file",)),
    Case(
        "a.cr2",
        "any",
        lambda: b"II*\0\x10\0\0\0CR\2\0" + bytes(9),
        said=("a raw file of a camera",),
    ),
    Case("a.raf", "any", lambda: b"FUJIFILMCCD-RAW " + bytes(20), said=("a raw file of a camera",)),
)


def many_scans(n_scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    whole = pillow(GREY, "JPEG", progressive=True)
    last = whole[whole.rfind(b"\xff\xda") : -2]
    return whole[:-2] + last * n_scans + whole[-2:]


def as_json(decoding: Any) -> Any:
    """A decoding's record, through JSON and back."""
    return json.loads(json.dumps(decoding.as_record(), allow_nan=False))
