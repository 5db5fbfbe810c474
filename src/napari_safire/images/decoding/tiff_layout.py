"""Strips and tiles of a TIFF page, unpacked one after the other.

No strip or tile is ever unpacked beyond the bytes that its pixels take. zlib and LZMA are those of
Python; CCITT, LZW, PackBits and Zstandard are unpacked by the libtiff inside Pillow, from a file in
memory that calls the packed bytes rows of grey values, so that neither bit depth nor colours matter
to it. Nothing depends on what else is installed.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.images.decoding import limits
from napari_safire.images.decoding.pillow import DECODER, opened
from napari_safire.images.decoding.source import Damage, Refusal
from napari_safire.images.decoding.tiff_tags import Page

NAMES = {
    1: "none",
    2: "CCITT RLE",
    3: "CCITT group 3",
    4: "CCITT group 4",
    5: "LZW",
    6: "JPEG (old style)",
    7: "JPEG",
    8: "zlib",
    32771: "CCITT RLE, whole words",
    32773: "PackBits",
    32946: "zlib",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    52546: "JPEG XL",
}
_NONE, _LZW, _PACKBITS, _LZMA, _ZSTD = 1, 5, 32773, 34925, 50000
_ZLIB = (8, 32946)
_CCITT = (2, 3, 4)
_BY_LIBTIFF = (*_CCITT, _LZW, _PACKBITS, _ZSTD)
HERE = (_NONE, *_ZLIB, _LZMA, *_BY_LIBTIFF)
"""Compressions that this module unpacks."""

_PREDICTED = (_LZW, *_ZLIB, _LZMA, _ZSTD)
_LARGEST_FACTOR = {_NONE: 1, 8: 1040, 32946: 1040, _PACKBITS: 64}  # what one byte unpacks to
_BAND_BYTES = 16_000_000  # that are unpacked at once
_UNPACKED_SAMPLES = 1_000_000
_LZMA_MEMORY = 256 << 20
_ZSTANDARD_ZERO = bytes.fromhex("28b52ffd200109000000")  # one byte, packed
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the samples of a page lie, and how they are packed.

    Parameters
    ----------
    page : Page
    rows, cols, samples, bits : int
    kind : {"u", "i", "f"}
        Unsigned, signed, float.
    separate : bool
        Each channel is a plane of its own.
    tall, wide : int
        Size of a strip or tile.
    tiled : bool
        Tiles are whole at the edges, the last strip ends with the picture.
    offsets, counts : tuple of int
    compression, predictor : int
    """

    page: Page
    rows: int
    cols: int
    samples: int
    bits: int
    kind: str
    separate: bool
    tall: int
    wide: int
    tiled: bool
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    compression: int
    predictor: int

    @property
    def together(self) -> int:
        """Samples that lie side by side."""
        return 1 if self.separate else self.samples

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of one strip or tile."""
        return (self.wide * self.together * self.bits + 7) // 8

    @property
    def down(self) -> int:
        """Strips or tiles above each other."""
        return -(-self.rows // self.tall)

    @property
    def across(self) -> int:
        """Tiles side by side."""
        return -(-self.cols // self.wide)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples once they are unpacked, in the byte order of the machine."""
        size = next(size for size in (1, 2, 4, 8) if self.bits <= 8 * size)
        return np.dtype(f"{self.kind}{size}")

    def height_of(self, index: int) -> int:
        """Rows of a strip or tile."""
        if self.tiled:
            return self.tall
        top = index % self.down * self.tall
        return min(self.tall, self.rows - top)

    def place_of(self, index: int) -> tuple[int, int, int]:
        """Plane, top row and left column of a strip or tile."""
        plane, within = divmod(index, self.down * self.across)
        down, across = divmod(within, self.across)
        return plane, down * self.tall, across * self.wide


def read_layout(page: Page) -> Layout:
    """Read and check where the samples of a page lie; nothing is unpacked.

    Raises
    ------
    Damage, Refusal
    """
    rows, cols = page.integer(257, 0), page.integer(256, 0)
    limits.check_size(cols, rows)
    if page.integer(32997, 1) > 1 or page.integer(32998, 1) > 1:
        raise Refusal("is a volume, not a picture: save one plane of it.")
    samples = page.integer(277, 1)
    if not 1 <= samples <= 4:
        raise Refusal(f"has {samples} channels: save the three of its picture as RGB.")
    depths = set(page.integers(258, samples if samples > 1 else 64)) or {1}
    kinds = set(page.integers(339)) or {1}
    if len(depths) > 1 or len(kinds) > 1:
        raise Refusal(
            "has channels of different depth or type: save it with the same bits in each channel."
        )
    bits = depths.pop()
    kind = _kind(kinds.pop(), bits)
    compression = page.integer(259, 1)
    _check_depth(bits, kind)
    tiled = 322 in page or 324 in page
    if tiled:
        tall, wide = page.integer(323, 0), page.integer(322, 0)
    else:
        tall, wide = page.integer(278, rows), cols
        tall = min(tall, rows)
    if tall < 1 or wide < 1:
        raise Damage(f"its strips or tiles have {tall} x {wide} pixels")
    separate = page.integer(284, 1) == 2 and samples > 1
    predictor = page.integer(317, 1) if compression in _PREDICTED else 1
    layout = Layout(
        page, rows, cols, samples, bits, kind, separate, tall, wide, tiled, (), (), compression,
        predictor,
    )  # fmt: skip
    return _with_segments(layout, page)


def _kind(sample_format: int, bits: int) -> str:
    kinds = {1: "u", 2: "i", 3: "f", 4: "u"}
    if sample_format in (5, 6):
        raise Refusal(f"has complex{bits or ''} pixels: convert it to 8 or 16 bits, or float.")
    if sample_format not in kinds:
        raise Damage(f"its samples are of the unknown type {sample_format}")
    return kinds[sample_format]


def _check_depth(bits: int, kind: str) -> None:
    whole = (16, 32, 64) if kind == "f" else (8, 16, 32, 64) if kind == "i" else None
    if (whole is None and not (1 <= bits <= 16 or bits in (32, 64))) or (
        whole is not None and bits not in whole
    ):
        names = {"f": "float", "i": "signed", "u": "unsigned"}
        raise Refusal(
            f"has {names[kind]} samples of {bits} bits: convert it to 8 or 16 bits, or 32-bit "
            "float."
        )


def _with_segments(layout: Layout, page: Page) -> Layout:
    planes = layout.samples if layout.separate else 1
    n_segments = planes * layout.down * layout.across
    if n_segments > limits.MAX_SEGMENTS:
        raise Refusal(
            f"is divided into {n_segments} strips or tiles, more than the {limits.MAX_SEGMENTS} "
            "that are read: save it again with larger ones."
        )
    decoded = layout.rows * layout.cols * layout.samples * layout.dtype.itemsize
    limits.check_decoded(decoded)
    segment = layout.row_bytes * layout.tall
    if segment > max(1 << 26, 4 * decoded):
        raise Refusal(
            f"has tiles of {layout.tall} x {layout.wide} pixels, far larger than itself: save it "
            "again without tiles."
        )
    place, size = (324, 325) if layout.tiled else (273, 279)
    most = 4 * limits.MAX_SEGMENTS
    offsets, counts = page.integers(place, most), page.integers(size, most)
    if not counts and n_segments == 1 and layout.compression == _NONE:
        counts = (segment,)  # the one case in which nothing is left open
    if min(len(offsets), len(counts)) < n_segments:
        listed = min(len(offsets), len(counts))
        raise Damage(f"{listed} of {n_segments} strips or tiles are listed")
    offsets, counts = offsets[:n_segments], counts[:n_segments]
    if not all(counts):
        raise Refusal(
            f"leaves out {counts.count(0)} of its {n_segments} strips or tiles: there are no "
            "pixels for them, save it whole."
        )
    end = max(start + count for start, count in zip(offsets, counts, strict=True))
    if end > page.source.size or min(offsets) < 0 or min(counts) < 0:
        raise Damage(f"pixels end at byte {end}, the file at {page.source.size}")
    factor = _LARGEST_FACTOR.get(layout.compression, 0)
    for index in range(n_segments) if factor else ():
        wanted = layout.row_bytes * layout.height_of(index)
        if counts[index] * factor + 64 * (factor > 1) < wanted:
            raise Damage(
                f"strip or tile {index + 1} of {n_segments} takes {wanted} bytes and has "
                f"{counts[index]}"
            )
    values = {name: getattr(layout, name) for name in layout.__slots__}
    return Layout(**values | {"offsets": offsets, "counts": counts})


def check_codec(layout: Layout) -> None:
    """Refuse what this module does not unpack, and what would make no sense.

    Raises
    ------
    Refusal
    """
    if layout.compression not in HERE:
        name = NAMES.get(layout.compression, f"number {layout.compression}")
        raise Refusal(
            f"is packed with a compression that is not read here ({name}): save it with LZW, zlib "
            "or none."
        )
    if layout.compression in _CCITT and (layout.bits, layout.samples) != (1, 1):
        raise Damage("its compression is for one bit and one channel")
    if layout.predictor == 1:
        return
    fits = layout.bits in (8, 16, 32, 64) if layout.predictor == 2 else layout.kind == "f"
    if layout.predictor not in (2, 3) or not fits:
        raise Refusal(
            f"stores differences of a kind that is not read (predictor {layout.predictor}, "
            f"{layout.bits} bits): save it without a predictor."
        )


def segments(layout: Layout) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
    """Unpack strips or tiles one after the other, large ones in bands of rows.

    Yields
    ------
    index : int
    row : int
        First row of the band, in its strip or tile.
    samples : (rows, columns, samples side by side) array
        In the byte order of the machine.

    Raises
    ------
    Damage, Refusal
    """
    check_codec(layout)
    if layout.compression in _BY_LIBTIFF:
        for batch in _batches(layout):
            yield from _by_libtiff(layout, batch)
        return
    for index in range(len(layout.offsets)):
        for row, data in _BANDS[layout.compression](layout, index):
            yield index, row, _samples(layout, data)


def segment(layout: Layout, index: int) -> npt.NDArray[Any]:
    """Unpack one strip or tile whole; see `segments`."""
    if layout.compression in _BY_LIBTIFF:
        bands = [samples for _, _, samples in _by_libtiff(layout, range(index, index + 1))]
    else:
        pieces = _BANDS[layout.compression](layout, index)
        bands = [_samples(layout, data) for _, data in pieces]
    return bands[0] if len(bands) == 1 else np.concatenate(bands)


def _rows_at_once(layout: Layout) -> int:
    return max(1, _BAND_BYTES // layout.row_bytes)


def _packed(layout: Layout, index: int) -> bytes:
    data = layout.page.source.exactly(layout.offsets[index], layout.counts[index])
    return data.translate(_REVERSED) if _is_reversed(layout) else data


def _is_reversed(layout: Layout) -> bool:
    return layout.page.integer(266, 1) == 2 and layout.compression not in _CCITT


def _stored_bands(layout: Layout, index: int) -> Iterator[tuple[int, bytes]]:
    height, step = layout.height_of(index), _rows_at_once(layout)
    for row in range(0, height, step):
        rows = min(step, height - row)
        start = layout.offsets[index] + row * layout.row_bytes
        data = layout.page.source.exactly(start, rows * layout.row_bytes)
        yield row, data.translate(_REVERSED) if _is_reversed(layout) else data


def _stream_bands(
    layout: Layout, index: int, unpack: Callable[[int], bytes]
) -> Iterator[tuple[int, bytes]]:
    """Rows of a stream, of which `unpack` gives up to so many further bytes."""
    height, step = layout.height_of(index), _rows_at_once(layout)
    for row in range(0, height, step):
        wanted = min(step, height - row) * layout.row_bytes
        data = unpack(wanted)
        while len(data) < wanted:
            more = unpack(wanted - len(data))
            if not more:
                raise Damage(
                    f"strip or tile {index + 1} of {len(layout.offsets)} ends in row "
                    f"{row + len(data) // layout.row_bytes} of {height}"
                )
            data += more
        yield row, data
    unpack(1)  # which verifies the checksum of a stream that ends with the pixels


def _zlib_bands(layout: Layout, index: int) -> Iterator[tuple[int, bytes]]:
    stream, packed = zlib.decompressobj(), _packed(layout, index)

    def unpack(n_bytes: int) -> bytes:
        nonlocal packed
        data = stream.decompress(packed, n_bytes)
        packed = stream.unconsumed_tail
        return data

    try:
        yield from _stream_bands(layout, index, unpack)
    except zlib.error as error:
        raise Damage(str(error)) from error


def _lzma_bands(layout: Layout, index: int) -> Iterator[tuple[int, bytes]]:
    packed = _packed(layout, index)

    def unpack(n_bytes: int) -> bytes:
        nonlocal packed
        if stream.eof:
            return b""
        data, packed = stream.decompress(packed, n_bytes), b""
        return data

    try:
        stream = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
        yield from _stream_bands(layout, index, unpack)
    except (lzma.LZMAError, EOFError, MemoryError) as error:
        raise Damage(str(error) or "its LZMA stream asks for too much memory") from error


_BANDS: dict[int, Callable[[Layout, int], Iterator[tuple[int, bytes]]]] = {
    _NONE: _stored_bands,
    **dict.fromkeys(_ZLIB, _zlib_bands),
    _LZMA: _lzma_bands,
}


def _batches(layout: Layout) -> Iterator[range]:
    """Neighbours that may lie in one file: of one plane, so that only the last may be shorter."""
    a_plane = layout.down * layout.across
    at_once = max(1, _BAND_BYTES // max(1, layout.row_bytes * layout.tall))
    for start in range(0, len(layout.offsets), a_plane):
        for first in range(start, start + a_plane, at_once):
            yield range(first, min(first + at_once, start + a_plane))


def _by_libtiff(layout: Layout, indices: range) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
    heights = [layout.height_of(index) for index in indices]
    fax = layout.compression in _CCITT
    width = layout.wide if fax else layout.row_bytes
    tags: list[tuple[int, int, tuple[int, ...]]] = [
        (256, 4, (width,)),
        (257, 4, (sum(heights),)),
        (258, 3, (1 if fax else 8,)),
        (259, 3, (layout.compression,)),
        (262, 3, (1,)),
        (277, 3, (1,)),
        (278, 4, (heights[0],)),
    ]
    if fax:
        tags += [
            (tag, 4 if tag != 266 else 3, (layout.page.integer(tag, default),))
            for tag, default in ((266, 1), (292, 0), (293, 0))
        ]
    file = tiff_file(tags, [_packed(layout, index) for index in indices])
    try:
        with opened(file, "TIFF") as image:
            image.load()
    except Exception as error:
        if layout.compression == _ZSTD and not _unpacks_zstandard():
            raise Refusal(
                f"is packed with Zstandard, which {DECODER} of this Python was built without: save "
                "it with LZW, zlib or none."
            ) from error
        raise Damage(f"libtiff cannot unpack it ({error})") from error
    top = 0
    for index, height in zip(indices, heights, strict=True):
        step = _rows_at_once(layout)
        for row in range(0, height, step):
            end = min(row + step, height)
            rows = np.array(image.crop((0, top + row, width, top + end)))
            if fax:
                rows = np.packbits(rows.astype(bool), axis=1)
            yield index, row, _samples(layout, rows.tobytes())
        top += height


@cache
def _unpacks_zstandard() -> bool:
    tags: list[tuple[int, int, tuple[int, ...]]] = [
        (tag, 3, (value,))
        for tag, value in ((256, 1), (257, 1), (258, 8), (259, _ZSTD), (262, 1), (277, 1), (278, 1))
    ]
    try:
        with opened(tiff_file(tags, [_ZSTANDARD_ZERO]), "TIFF") as image:
            image.load()
    except Exception:
        return False
    return True


def tiff_file(tags: list[tuple[int, int, tuple[int, ...]]], strips: list[bytes]) -> bytes:
    """Make a little-endian TIFF of one page, with the strips in it.

    Parameters
    ----------
    tags : list of (tag, type, values)
        Without those that say where the strips lie.
    strips : list of bytes

    Returns
    -------
    bytes
    """
    return _tiff_file(tags, strips, 273, 279)


def _tiff_file(
    tags: list[tuple[int, int, tuple[int, ...]]], parts: list[bytes], place: int, size: int
) -> bytes:
    letters = {1: "B", 3: "H", 4: "I", 7: "B"}
    tags = [*tags, (place, 4, (0,) * len(parts)), (size, 4, tuple(map(len, parts)))]
    behind = 8 + 2 + 12 * len(tags) + 4
    bodies = [struct.pack(f"<{len(v)}{letters[kind]}", *v) for _, kind, v in tags]
    start = behind + sum(len(body) + len(body) % 2 for body in bodies if len(body) > 4)
    offsets = np.cumsum([start, *map(len, parts[:-1])])
    bodies[-2] = offsets.astype("<u4").tobytes()
    entries, values = {}, b""
    for (tag, kind, given), body in zip(tags, bodies, strict=True):
        inline = body.ljust(4, b"\0")
        if len(body) > 4:
            inline = struct.pack("<I", behind + len(values))
            values += body + b"\0" * (len(body) % 2)
        entries[tag] = struct.pack("<HHI", tag, kind, len(given)) + inline
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    listed = b"".join(entries[tag] for tag in sorted(entries))
    return b"".join([head, listed, bytes(4), values, *parts])


def rebuilt(layout: Layout, photometric: int, kept: tuple[int, ...]) -> bytes:
    """Make a file of this page alone, with those tags that its pixels need.

    Parameters
    ----------
    layout : Layout
    photometric : int
    kept : tuple of int
        Tags to keep besides size, depth, colours, compression and place.

    Returns
    -------
    bytes
    """
    page = layout.page
    tags: list[tuple[int, int, tuple[int, ...]]] = [
        (256, 4, (layout.cols,)),
        (257, 4, (layout.rows,)),
        (258, 3, (layout.bits,) * layout.samples),
        (259, 3, (layout.compression,)),
        (262, 3, (photometric,)),
        (277, 3, (layout.samples,)),
        (284, 3, (2 if layout.separate else 1,)),
    ]
    if layout.tiled:
        tags += [(322, 4, (layout.wide,)), (323, 4, (layout.tall,))]
    else:
        tags.append((278, 4, (layout.tall,)))
    for tag in kept:
        values = page.integers(tag, limits.MAX_METADATA_BYTES) if tag in page else ()
        if values:
            tags.append((tag, 7 if tag == 347 else 3, values))
    parts = [_packed(layout, index) for index in range(len(layout.offsets))]
    return _tiff_file(tags, parts, *((324, 325) if layout.tiled else (273, 279)))


# ---------------------------------------------------------------------------------- samples


def _samples(layout: Layout, data: bytes) -> npt.NDArray[Any]:
    """Whole rows as samples."""
    shape = len(data) // layout.row_bytes, layout.wide, layout.together
    if layout.predictor == 3:
        return _floats_of_differences(layout, data, shape)
    if layout.bits not in (8, 16, 32, 64):
        return _unpacked_bits(layout, data, shape)
    stored = np.frombuffer(data, layout.dtype.newbyteorder(layout.page.order)).reshape(shape)
    samples = stored.astype(layout.dtype)  # a copy, in the byte order of the machine
    if layout.predictor == 2:
        whole = samples.view(f"u{layout.dtype.itemsize}")
        np.cumsum(whole, axis=1, dtype=whole.dtype, out=whole)
    return samples


def _floats_of_differences(
    layout: Layout, data: bytes, shape: tuple[int, int, int]
) -> npt.NDArray[Any]:
    """Undo the third predictor: differences of bytes, the first bytes of all numbers first."""
    height, wide, together = shape
    size = layout.dtype.itemsize
    planes = np.frombuffer(data, np.uint8).reshape(height, -1, together)
    planes = np.cumsum(planes, axis=1, dtype=np.uint8)
    numbers = planes.reshape(height, size, wide * together).transpose(0, 2, 1)
    stored = np.ascontiguousarray(numbers).view(layout.dtype.newbyteorder(">"))
    return stored.reshape(shape).astype(layout.dtype)


def _unpacked_bits(layout: Layout, data: bytes, shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Samples of 1 to 15 bits, each row padded to whole bytes."""
    height, wide, together = shape
    a_row, bits = wide * together, layout.bits
    width = 8 * layout.dtype.itemsize
    packed = np.frombuffer(data, np.uint8).reshape(height, layout.row_bytes)
    samples: npt.NDArray[Any] = np.empty((height, a_row), layout.dtype)
    step = max(1, _UNPACKED_SAMPLES // a_row)
    for top in range(0, height, step):
        single = np.unpackbits(packed[top : top + step], axis=1, count=a_row * bits)
        single = single.reshape(-1, a_row, bits)
        if bits == 1:
            samples[top : top + step] = single[..., 0]
            continue
        padded = np.zeros((*single.shape[:2], width), np.uint8)
        padded[..., width - bits :] = single
        values = np.packbits(padded, axis=2).view(layout.dtype.newbyteorder(">"))
        samples[top : top + step] = values[..., 0]
    return samples.reshape(shape)
