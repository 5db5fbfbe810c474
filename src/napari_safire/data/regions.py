"""Pieces of pictures that are too large to be decoded whole.

Only TIFF stores pixels so that a piece can be had alone. PNG, WebP and GIF are one stream from the
first pixel to the last. JPEG decoders can leave out detail (Pillow's draft mode), not places: that
would shrink the picture and wipe out its traces.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_safire.data.images import format_of, quiet_tifffile
from napari_safire.errors import ImageReadError

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
        with quiet_tifffile(), tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            reason = _unfit(page)
            if reason is None and page.is_memmappable:
                piece = tifffile.memmap(path, page=0, mode="r")[rows, cols]
                return np.array(piece)
            if reason is None:
                return _from_segments(page, tiff.filehandle, rows, cols)
    except tifffile.TiffFileError as error:
        kind = format_of(path)
        reason = str(error) if kind in (None, "TIFF") else f"{kind} is read from its first pixel on"
    except Exception as error:  # on damaged files tifffile raises nearly anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ImageReadError(
        f"{path} is too large to be decoded whole, and a piece of it cannot be read alone "
        f"({reason}): cut it into parts, or save it as a tiled TIFF with 8 bits."
    )


def _unfit(page: tifffile.TiffPage) -> str | None:
    """Why pieces of this page cannot be read; None if they can."""
    plain = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
    if page.dtype != np.uint8:
        return f"it has {page.dtype} pixels"
    samples = page.samplesperpixel
    if page.photometric not in plain or page.imagedepth > 1 or samples not in (1, 3, 4):
        return "its pixels are not grey, RGB or RGBA"
    if samples > 1 and page.planarconfig != tifffile.PLANARCONFIG.CONTIG:
        return "its channels are stored one after the other"
    if not page.is_memmappable and int(np.prod(page.chunks)) > _LARGEST_SEGMENT:
        return "it is packed in one piece"
    return None


def _from_segments(
    page: tifffile.TiffPage, file: tifffile.FileHandle, rows: slice, cols: slice
) -> npt.NDArray[np.uint8]:
    samples = page.samplesperpixel
    piece: npt.NDArray[np.uint8] = np.zeros(
        (rows.stop - rows.start, cols.stop - cols.start, samples), np.uint8
    )
    tall, wide = page.chunks[:2]
    across = page.chunked[1]
    for down in range(rows.start // tall, -(-rows.stop // tall)):
        for right in range(cols.start // wide, -(-cols.stop // wide)):
            index = down * across + right
            file.seek(page.dataoffsets[index])
            packed = file.read(page.databytecounts[index])
            segment, (_, _, top, left, _), _ = page.decode(packed, index, **_tables(page))
            if segment is not None:
                _paste(piece, segment[0], top - rows.start, left - cols.start)
    return piece if samples > 1 else piece[..., 0]


def _tables(page: tifffile.TiffPage) -> dict[str, Any]:
    return {} if page.jpegtables is None else {"jpegtables": page.jpegtables}


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
