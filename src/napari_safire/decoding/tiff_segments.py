"""Strips and tiles of a TIFF page, unpacked one after the other.

No strip or tile is ever unpacked beyond the bytes that its pixels take. zlib and LZMA are those of
Python; CCITT, LZW, PackBits and Zstandard are unpacked by the libtiff inside Pillow, from a file in
memory that calls the packed bytes rows of grey values, so that neither bit depth nor colours matter
to it. Nothing depends on what else is installed.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.decoding import limits
from napari_safire.decoding.pillow import DECODER, opened
from napari_safire.decoding.source import Damage, Refusal
from napari_safire.decoding.tiff_file import tiff_file
from napari_safire.decoding.tiff_layout import (
    BY_LIBTIFF,
    CCITT,
    LZMA,
    NONE,
    ZLIB,
    ZSTANDARD,
    Layout,
    check_codec,
)

_BAND_BYTES = 16_000_000  # that are unpacked at once
_UNPACKED_SAMPLES = 1_000_000
_LZMA_MEMORY = 256 << 20
_ZSTANDARD_ZERO = bytes.fromhex("28b52ffd200109000000")  # one byte, packed
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


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
    if layout.compression in BY_LIBTIFF:
        for batch in _batches(layout):
            yield from _by_libtiff(layout, batch)
        return
    for index in range(len(layout.offsets)):
        for row, data in _BANDS[layout.compression](layout, index):
            yield index, row, _samples(layout, data)


def segment(layout: Layout, index: int) -> npt.NDArray[Any]:
    """Unpack one strip or tile whole; see `segments`."""
    if layout.compression in BY_LIBTIFF:
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
    return layout.page.integer(266, 1) == 2 and layout.compression not in CCITT


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
    NONE: _stored_bands,
    **dict.fromkeys(ZLIB, _zlib_bands),
    LZMA: _lzma_bands,
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
    fax = layout.compression in CCITT
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
        if layout.compression == ZSTANDARD and not _unpacks_zstandard():
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
        for tag, value in (
            (256, 1),
            (257, 1),
            (258, 8),
            (259, ZSTANDARD),
            (262, 1),
            (277, 1),
            (278, 1),
        )
    ]
    try:
        with opened(tiff_file(tags, [_ZSTANDARD_ZERO]), "TIFF") as image:
            image.load()
    except Exception:
        return False
    return True


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
    return tiff_file(tags, parts, *((324, 325) if layout.tiled else (273, 279)))


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
