"""GIF, WebP and BMP: the first picture, by Pillow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from napari_safire.decoding import limits
from napari_safire.decoding.metadata import Metadata, read_exif, xmp_orientation
from napari_safire.decoding.pillow import DECODER, array_of, opened
from napari_safire.decoding.source import ByteSource, Damage, Refusal
from napari_safire.decoding.stated import Decoding


@dataclass(frozen=True, slots=True)
class _Small:
    """What Pillow is given of a file, and what is said of it."""

    data: bytes
    decoding: Decoding
    end: int = 0  # where the pixels end, if that is known


def inspect(source: ByteSource, format: str) -> Decoding:
    """Read the header of a GIF, WebP or BMP file.

    Raises
    ------
    Damage, Refusal
    """
    return _PARTS[format](source).decoding


def decode(source: ByteSource, format: str) -> tuple[npt.NDArray[Any], Decoding]:
    """Read the pixels of the first picture.

    Raises
    ------
    Damage, Refusal
    """
    part = _PARTS[format](source)
    if part.end > source.size:
        raise Damage(f"pixels end at byte {part.end}, the file at {source.size}")
    with opened(part.data, format) as image:
        if (image.height, image.width) != part.decoding.shape:
            raise Damage("its header contradicts itself")
        pixels, done = array_of(image)
    return pixels, replace(part.decoding, converted=(done,) if done else ())


# -------------------------------------------------------------------------------------- GIF


def _gif(source: ByteSource) -> _Small:
    data = source.whole()
    if len(data) < 13:
        raise Damage("its header is cut short")
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    place = head = 13 + _table_bytes(data[10])
    control, transparent, first, frames = b"", False, b"", 0
    for _ in range(limits.MAX_CHUNKS):
        kind = data[place : place + 1]
        if kind == b"\x21":
            end = _behind_blocks(data, place + 2)
            if data[place + 1 : place + 2] == b"\xf9" and not frames:
                control = data[place:end]
                transparent = len(control) > 3 and bool(control[3] & 1)
            place = end
        elif kind == b"\x2c":
            if place + 10 > len(data):
                raise Damage("its first picture is cut short")
            end = _behind_blocks(data, place + 10 + _table_bytes(data[place + 9]) + 1)
            if not frames:
                first = data[place:end]
            frames += 1
            place = end
            if frames > limits.MAX_PAGES:
                break
        else:  # the end mark, or damage behind the first picture, which is whole
            break
    if not first:
        raise Damage("it has no picture")
    left, top, wide, tall = (int.from_bytes(first[k : k + 2], "little") for k in (1, 3, 5, 7))
    width, height = max(width, left + wide), max(height, top + tall)  # as viewers enlarge it
    limits.check_size(width, height)
    behind = len(data) - place - 1
    return _Small(
        b"".join([data[:head], control, first, b";"]),
        Decoding(
            format="GIF",
            shape=(height, width),
            bits=(data[10] & 7) + 1 if data[10] & 0x80 else (first[9] & 7) + 1,
            colour="palette",
            opacity=transparent,
            compression="LZW",
            pages=min(frames, limits.MAX_PAGES),
            more_pages=frames > limits.MAX_PAGES,
            besides=(f"{behind} bytes behind the end of the picture",)
            if behind > 0 and frames <= limits.MAX_PAGES
            else (),
            decoder=DECODER,
        ),
    )


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind_blocks(data: bytes, place: int) -> int:
    """Where a row of blocks ends that an empty one closes."""
    while place < len(data):
        length = data[place]
        place += 1 + length
        if not length:
            return place
    return len(data)


# ------------------------------------------------------------------------------------- WebP


def _webp(source: ByteSource) -> _Small:
    size = int.from_bytes(source.exactly(4, 4), "little") + 8
    if size > source.size + 1:
        raise Damage(f"it names {size} bytes and has {source.size}")
    shape: tuple[int, int] | None = None
    frames, opacity, kind = 0, False, "WebP"
    metadata, xmp, profile = Metadata(), None, False
    place = 12
    for _ in range(limits.MAX_CHUNKS):
        head = source.read(place, 8)
        if len(head) < 8 or place >= size:
            break
        name, length = head[:4], int.from_bytes(head[4:], "little")
        body = source.read(place + 8, min(length, 30))
        if name == b"VP8X" and length >= 10 and shape is None:
            shape = _plus_one(body[7:10]), _plus_one(body[4:7])
            opacity = bool(body[0] & 0x10)
        elif name == b"VP8L" and length >= 5:
            packed = int.from_bytes(body[1:5], "little")
            shape = shape or ((packed >> 14 & 0x3FFF) + 1, (packed & 0x3FFF) + 1)
            opacity, kind = opacity or bool(packed >> 28 & 1), "WebP, lossless"
        elif name == b"VP8 " and length >= 10:
            rows, cols = (int.from_bytes(body[k : k + 2], "little") & 0x3FFF for k in (8, 6))
            shape = shape or (rows, cols)
        elif name == b"ANMF":
            frames += 1
        elif name == b"EXIF":
            block = source.read(place + 8, min(length, limits.MAX_METADATA_BYTES))
            metadata = read_exif(block)
        elif name == b"XMP ":
            packet = source.read(place + 8, min(length, limits.MAX_METADATA_BYTES))
            xmp = xmp_orientation(packet)
        profile = profile or name == b"ICCP"
        place += 8 + length + length % 2
    if shape is None:
        raise Damage("it has no picture")
    if max(shape) > _WEBP_LONGEST:
        raise Damage(f"it has {shape[0]} x {shape[1]} pixels, which no WebP has")
    limits.check_size(shape[1], shape[0])
    limits.check_working(16 * shape[0] * shape[1], "WebP")  # its decoder keeps two canvases
    besides = ["a colour profile, not applied"] if profile else []
    if source.size > size:
        besides.append(f"{source.size - size} bytes behind the end of the picture")
    decoding = Decoding(
        format="WEBP",
        shape=shape,
        opacity=opacity,
        compression=kind,
        pages=min(max(1, frames), limits.MAX_PAGES),
        more_pages=frames > limits.MAX_PAGES,
        orientation=metadata.orientation or xmp or 1,
        besides=tuple(besides),
        decoder=DECODER,
    )
    return _Small(source.whole(), decoding)


def _plus_one(body: bytes) -> int:
    return int.from_bytes(body, "little") + 1


# -------------------------------------------------------------------------------------- BMP

_WEBP_LONGEST = 16_384  # pixels of a side, which no file can have more of
_BMP_KINDS = {0: "none", 1: "run lengths", 2: "run lengths", 3: "none", 6: "none"}


def _bmp(source: ByteSource) -> _Small:
    head = source.exactly(0, 30)
    start, size = int.from_bytes(head[10:14], "little"), int.from_bytes(head[14:18], "little")
    if size == 12:
        width, height = (int.from_bytes(head[k : k + 2], "little") for k in (18, 20))
        bits, packing = int.from_bytes(head[24:26], "little"), 0
    else:
        width, height = (int.from_bytes(head[k : k + 4], "little", signed=True) for k in (18, 22))
        bits = int.from_bytes(head[28:30], "little")
        packing = int.from_bytes(source.exactly(30, 4), "little")
    height = abs(height)
    limits.check_size(width, height)
    if packing not in _BMP_KINDS:
        raise Refusal(f"is a BMP packed in a way that is not read ({packing}): convert it to PNG.")
    wanted = (width * bits + 31) // 32 * 4 * height
    end = 0 if packing in (1, 2) else start + wanted - 3  # the last row may be unpadded
    colour = "palette" if bits <= 8 else "RGB"
    return _Small(
        source.whole(),
        Decoding(
            format="BMP",
            shape=(height, width),
            bits=bits if bits <= 8 else {16: 5}.get(bits, 8),
            colour=colour,
            compression=_BMP_KINDS[packing],
            decoder=DECODER,
        ),
        end,
    )


_PARTS: dict[str, Callable[[ByteSource], _Small]] = {"GIF": _gif, "WEBP": _webp, "BMP": _bmp}
