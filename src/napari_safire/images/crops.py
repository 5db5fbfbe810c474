"""Pieces of pictures that are too large to be decoded whole.

Only TIFF stores pixels so that a piece can be had alone. PNG, WebP and GIF are one stream from the
first pixel to the last. JPEG decoders can leave out detail (Pillow's draft mode), not places: that
would shrink the picture and wipe out its traces.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_safire.decoding.source import ByteSource
from napari_safire.decoding.tiff_layout import Layout, check_codec, read_layout
from napari_safire.decoding.tiff_segments import segment
from napari_safire.decoding.tiff_tags import read_pages
from napari_safire.errors import ImageReadError
from napari_safire.images.reading import first_line, format_of
from napari_safire.text import printable

_GREY, _RGB = 1, 2

_LARGEST_SEGMENT = 16_000_000  # samples of one strip or tile


def read_region(path: str | os.PathLike[str], rows: slice, cols: slice) -> npt.NDArray[np.uint8]:
    """Read a piece of a TIFF file; only the strips or tiles that hold it are decoded.

    Parameters
    ----------
    path : path-like
        8 bits a channel, grey, RGB or RGBA with interleaved channels.
    rows, cols : slice
        With both ends, inside the picture.

    Returns
    -------
    (h, w) or (h, w, 3|4) uint8 array

    Raises
    ------
    ImageReadError
        If the file is no such TIFF, is packed in one piece or by an unknown codec, or is damaged.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            kind = format_of(path)
            if kind != "TIFF":
                raise ValueError(f"{kind or 'it'} is read from its first pixel on")
            layout = read_layout(read_pages(ByteSource(file))[0])
            _require_fit(layout)
            return _from_segments(layout, rows, cols)
    except Exception as error:  # damage of any kind
        raise ImageReadError(
            f"{printable(path)} is too large to be decoded whole, and a piece of it cannot be read "
            f"alone ({first_line(error)}): cut it into parts, or save it as a tiled TIFF with 8 "
            "bits."
        ) from error


def _require_fit(layout: Layout) -> None:
    """Raise a ValueError that says why pieces of this page cannot be read."""
    check_codec(layout)
    if layout.dtype != np.uint8 or layout.bits != 8:
        raise ValueError(f"it has {layout.dtype} pixels of {layout.bits} bits")
    if layout.page.integer(262, -1) not in (_GREY, _RGB) or layout.samples not in (1, 3, 4):
        raise ValueError("its pixels are not grey, RGB or RGBA")
    if layout.separate:
        raise ValueError("its channels are stored one after the other")
    if layout.row_bytes * layout.tall > _LARGEST_SEGMENT and layout.compression != 1:
        raise ValueError("it is packed in one piece")


def _from_segments(layout: Layout, rows: slice, cols: slice) -> npt.NDArray[np.uint8]:
    piece: npt.NDArray[np.uint8] = np.zeros(
        (rows.stop - rows.start, cols.stop - cols.start, layout.samples), np.uint8
    )
    tall, wide = layout.tall, layout.wide
    for down in range(rows.start // tall, -(-rows.stop // tall)):
        for right in range(cols.start // wide, -(-cols.stop // wide)):
            index = down * layout.across + right
            _, top, left = layout.place_of(index)
            if layout.compression == 1:
                first, last = max(rows.start - top, 0), min(rows.stop - top, tall)
                samples, top = _stored_rows(layout, index, first, last), top + first
            else:
                samples = segment(layout, index)
            _paste(piece, samples, top - rows.start, left - cols.start)
    return piece if layout.samples > 1 else piece[..., 0]


def _stored_rows(layout: Layout, index: int, first: int, last: int) -> npt.NDArray[np.uint8]:
    """Rows of a strip or tile that is not packed: those before them are passed over."""
    start = layout.offsets[index] + first * layout.row_bytes
    data = layout.page.source.exactly(start, (last - first) * layout.row_bytes)
    return np.frombuffer(data, np.uint8).reshape(-1, layout.wide, layout.samples)


def _paste(
    target: npt.NDArray[np.uint8], segment: npt.NDArray[np.uint8], top: int, left: int
) -> None:
    """Copy what of the segment lies on the target, where (top, left) is its corner there."""
    bottom = min(top + segment.shape[0], target.shape[0])
    right = min(left + segment.shape[1], target.shape[1])
    first_row, first_col = max(top, 0), max(left, 0)
    target[first_row:bottom, first_col:right] = segment[
        first_row - top : bottom - top, first_col - left : right - left
    ]
