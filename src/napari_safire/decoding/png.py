"""PNG: the picture itself, whatever else its chunks hold.

Pillow is given the chunks that the pixels need. Profiles and texts of any size, which are none of
the picture's pixels, never reach it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.decoding import limits
from napari_safire.decoding.metadata import Metadata, read_exif, xmp_orientation
from napari_safire.decoding.names import surely_picture
from napari_safire.decoding.pillow import DECODER, array_of, opened
from napari_safire.decoding.source import ByteSource, Damage, Refusal
from napari_safire.decoding.stated import Decoding

_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey", 6: "RGB"}
_CHANNELS = {0: 0, 2: 3, 3: 3, 4: 4, 6: 4}
_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PROFILES = (b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP")


@dataclass(slots=True)
class _Found:
    """What a walk over the chunks has found so far."""

    shape: tuple[int, int] = (0, 0)
    bits: int = 0
    colour: int = 0
    chunks: list[tuple[int, int]] = field(default_factory=list)  # (start, end) of needed ones
    ended_at: int = 0
    transparent: bool = False
    frames: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    xmp: int | None = None
    profile: bool = False
    has_pixels: bool = False
    texts: int = 0


def inspect(source: ByteSource) -> Decoding:
    """Read the header chunk and the names of the others.

    Raises
    ------
    Damage, Refusal
    """
    return _stated(_walk(source, whole=False), source)


def decode(source: ByteSource) -> tuple[npt.NDArray[Any], Decoding]:
    """Read the pixels.

    Raises
    ------
    Damage, Refusal
    """
    found = _walk(source, whole=True)
    decoding = _stated(found, source)
    clean = [source.read(0, 8)]
    clean += [source.read(start, end - start) for start, end in found.chunks]
    with opened(b"".join(clean), "PNG") as image:
        pixels, done = array_of(image)
    converted = [done] if done else []
    if found.colour == 0 and found.bits in (2, 4):
        converted.append(f"{found.bits} bits brought to 8")
    if found.bits == 16 and found.colour:
        converted.append("16 bits brought to 8")
    return pixels, replace(decoding, converted=tuple(converted))


def channels_and_type(source: ByteSource) -> tuple[int, np.dtype[Any]]:
    """Channels (0 for grey) and type of the pixels that `decode` gives."""
    found = _walk(source, whole=False)
    deep = found.bits == 16 and found.colour == 0
    channels = 4 if found.colour == 3 and found.transparent else _CHANNELS[found.colour]
    return channels, np.dtype(np.uint16 if deep else np.uint8)


def _walk(source: ByteSource, *, whole: bool) -> _Found:
    """Go through all chunks; of a file that need not be whole, through those that are there."""
    found = _Found()
    if source.exactly(0, 8) != b"\x89PNG\r\n\x1a\n":
        raise Damage("its signature is damaged")
    place = 8
    for _ in range(limits.MAX_CHUNKS):
        if place >= source.size:
            if found.has_pixels and not whole:
                return found
            raise Damage("its end mark is missing")
        head = source.exactly(place, 8)
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        end = place + 12 + length
        if end > source.size:
            if name == b"IDAT" and found.shape != (0, 0) and not whole:
                return found
            raise Damage(f"chunk {name!r} at byte {place} is cut short, or its end mark is missing")
        if place == 8:
            if name != b"IHDR" or length != 13:
                raise Damage("its header chunk is missing")
            _take_header(found, source.exactly(16, 13))
        elif name == b"IHDR":
            raise Damage("it has two header chunks")
        _take(found, source, name, place + 8, length)
        if name in _NEEDED:
            found.chunks.append((place, end))
        elif not name[0] & 0x20:
            raise Refusal(
                f"holds a chunk {name.decode('latin-1')!r} that a reader has to know and that no "
                "standard names: save it again with another program."
            )
        place = end
        if name == b"IEND":
            if not found.has_pixels:
                raise Damage("it has no pixels")
            found.ended_at = end
            return found
    raise Refusal(
        f"is made of more than {limits.MAX_CHUNKS} chunks: save it again with another program."
    )


def _take_header(found: _Found, header: bytes) -> None:
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    limits.check_size(width, height)
    found.shape, found.bits, found.colour = (height, width), header[8], header[9]
    depths = {0: (1, 2, 4, 8, 16), 3: (1, 2, 4, 8)}.get(found.colour, (8, 16))
    if found.colour not in _COLOURS or found.bits not in depths:
        raise Damage(f"its colours are of kind {found.colour} with {found.bits} bits")


def _take(found: _Found, source: ByteSource, name: bytes, start: int, length: int) -> None:
    if name == b"IDAT":
        found.has_pixels = True
    elif name == b"tRNS":
        found.transparent = True
    elif name == b"acTL" and length >= 4:
        found.frames = max(1, int.from_bytes(source.read(start, 4), "big"))
    elif name == b"eXIf":
        found.metadata = read_exif(source.read(start, min(length, limits.MAX_METADATA_BYTES)))
    elif name in _PROFILES:
        found.profile = True
    elif name in _TEXTS:
        found.texts += 1
        _take_text(found, name, source.read(start, min(length, limits.MAX_METADATA_BYTES)))


def _take_text(found: _Found, name: bytes, body: bytes) -> None:
    """Look for an orientation in texts that programs keep metadata in."""
    key, _, rest = body.partition(b"\0")
    if key == b"XML:com.adobe.xmp":
        packed = rest[:1] == b"\1"
        text = rest[2:].split(b"\0", 2)[-1]
        found.xmp = found.xmp or xmp_orientation(_inflated(text) if packed else text)
    elif key.startswith(b"Raw profile type exif") and found.metadata == Metadata():
        text = _inflated(rest[1:]) if name == b"zTXt" else rest
        try:  # a line break, a name, a length, then hexadecimal digits
            block = bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
        except ValueError:
            return
        found.metadata = read_exif(block)


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, limits.MAX_METADATA_BYTES)
    except zlib.error:  # the picture is whole all the same
        return b""


def _stated(found: _Found, source: ByteSource) -> Decoding:
    besides, notes = [], []
    if found.bits == 16 and found.colour:  # grey alone is kept whole by Pillow
        notes.append("has 16 bits a channel, read as 8: save it as TIFF to keep all of them.")
    if found.profile:
        besides.append("a colour profile, not applied")
    if found.texts:
        besides.append(f"{found.texts} texts")
    if found.transparent and found.colour in (0, 2):
        besides.append("one colour that is called transparent")
    rest = source.size - found.ended_at
    if rest and found.ended_at:
        besides.append(f"{rest} bytes behind the end of the picture")
        if surely_picture(source.read(found.ended_at, 32)):
            notes.append("has another picture behind its end: the first was read.")
    return Decoding(
        format="PNG",
        shape=found.shape,
        bits=found.bits,
        colour=_COLOURS[found.colour],
        opacity=found.transparent or found.colour in (4, 6),
        compression="zlib",
        pages=min(found.frames, limits.MAX_PAGES),
        more_pages=found.frames > limits.MAX_PAGES,
        orientation=found.metadata.orientation or found.xmp or 1,
        besides=tuple(besides),
        notes=tuple(notes),
        decoder=DECODER,
    )
