"""Where the strips and tiles of a TIFF page lie, and whether they can be; none is unpacked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_safire.decoding import limits
from napari_safire.decoding.source import Damage, Refusal
from napari_safire.decoding.tiff_tags import Page

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
NONE, _LZW, _PACKBITS, LZMA, ZSTANDARD = 1, 5, 32773, 34925, 50000
ZLIB = (8, 32946)
CCITT = (2, 3, 4)
BY_LIBTIFF = (*CCITT, _LZW, _PACKBITS, ZSTANDARD)
HERE = (NONE, *ZLIB, LZMA, *BY_LIBTIFF)
"""Compressions that `tiff_segments` unpacks."""

_PREDICTED = (_LZW, *ZLIB, LZMA, ZSTANDARD)
_LARGEST_FACTOR = {NONE: 1, 8: 1040, 32946: 1040, _PACKBITS: 64}  # what one byte unpacks to


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
    if not counts and n_segments == 1 and layout.compression == NONE:
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
    """Refuse what `tiff_segments` does not unpack, and what would make no sense.

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
    if layout.compression in CCITT and (layout.bits, layout.samples) != (1, 1):
        raise Damage("its compression is for one bit and one channel")
    if layout.predictor == 1:
        return
    fits = layout.bits in (8, 16, 32, 64) if layout.predictor == 2 else layout.kind == "f"
    if layout.predictor not in (2, 3) or not fits:
        raise Refusal(
            f"stores differences of a kind that is not read (predictor {layout.predictor}, "
            f"{layout.bits} bits): save it without a predictor."
        )


# ---------------------------------------------------------------------------------- samples
