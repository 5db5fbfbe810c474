"""Quantised DCT coefficients and tables of a JPEG file, by libjpeg (jpeglib)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.fft import dct, dctn, idctn

from napari_safire.decoding.coefficients import stored_coefficients
from napari_safire.images.reading import PictureDecoder
from napari_safire.text import printable
from napari_safire.types import FloatImage

BLOCK = 8
ZIGZAG: tuple[tuple[int, int], ...] = tuple(
    sorted(
        ((row, col) for row in range(BLOCK) for col in range(BLOCK)),
        key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
    )
)
"""Row and column (frequencies down and across) in the order of the file."""
BASIS: FloatImage = dct(np.eye(BLOCK, dtype=np.float32), axis=0, norm="ortho")
"""(frequency, sample): waves of the transform."""


@dataclass(frozen=True, eq=False)
class JpegCoefficients:
    """Luminance of a JPEG file as it was stored.

    Parameters
    ----------
    blocks : (h, w, 8, 8) int16 array
        Quantised coefficients; frequency down, frequency across.
    table : (8, 8) int array
        Quantisation steps of luminance.
    chroma_table : (8, 8) int array or None
    sampling : tuple of (int, int)
        Samples down and across of each component.
    shape : (int, int)
        Rows and columns of the picture.
    progressive : bool
    """

    blocks: npt.NDArray[np.int16]
    table: npt.NDArray[np.int64]
    chroma_table: npt.NDArray[np.int64] | None
    sampling: tuple[tuple[int, int], ...]
    shape: tuple[int, int]
    progressive: bool = False

    @cached_property
    def luminance(self) -> FloatImage:
        """(8 h, 8 w) float32 array around 128: decoded without rounding or clipping."""
        pixels = block_pixels((self.blocks * self.table).astype(np.float32))
        pixels += 128
        pixels.flags.writeable = False
        return pixels


def read_coefficients(
    path: str | os.PathLike[str], decoder: PictureDecoder | None = None
) -> JpegCoefficients:
    """Read the luminance coefficients of a JPEG file.

    Parameters
    ----------
    path : path-like
    decoder : PictureDecoder, optional
        Reads them elsewhere than in this process.

    Returns
    -------
    JpegCoefficients

    Raises
    ------
    ValueError
        libjpeg cannot read it (12 bits, arithmetic coding, lossless), or its first component has
        fewer samples than the picture has pixels.
    """
    try:
        found = (stored_coefficients if decoder is None else decoder.coefficients)(path)
    except ValueError as error:
        raise ValueError(
            f"{printable(Path(path).name)} has no coefficients that libjpeg can read ({error})."
        ) from error
    blocks, tables, numbers = found.blocks, found.tables, found.numbers
    if blocks.shape[0] * BLOCK < found.shape[0] or blocks.shape[1] * BLOCK < found.shape[1]:
        raise ValueError(
            f"{printable(Path(path).name)} has fewer samples of luminance than pixels."
        )
    return JpegCoefficients(
        blocks,
        tables[numbers[0]],
        tables[numbers[1]] if len(numbers) > 1 else None,
        found.sampling,
        found.shape,
        found.progressive,
    )


def block_pixels(coefficients: npt.NDArray[np.float32]) -> FloatImage:
    """Put blocks of coefficients back into one array of pixels.

    Parameters
    ----------
    coefficients : (h, w, 8, 8) float32 array

    Returns
    -------
    (8 h, 8 w) float32 array
    """
    down, across = coefficients.shape[:2]
    pixels = idctn(coefficients, axes=(2, 3), norm="ortho")
    whole: FloatImage = pixels.transpose(0, 2, 1, 3).reshape(down * BLOCK, across * BLOCK)
    return np.ascontiguousarray(whole)


def block_coefficients(pixels: FloatImage, offset: tuple[int, int] = (0, 0)) -> FloatImage:
    """Coefficients of whole blocks of pixels, unquantised.

    Parameters
    ----------
    pixels : (H, W) float32 array
    offset : (int, int)
        Row and column where the first block begins.

    Returns
    -------
    (h, w, 8, 8) float32 array
        Of the blocks that lie whole in the picture.
    """
    part = pixels[offset[0] :, offset[1] :]
    down, across = part.shape[0] // BLOCK, part.shape[1] // BLOCK
    blocks = part[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK)
    transformed: FloatImage = dctn(blocks.transpose(0, 2, 1, 3), axes=(2, 3), norm="ortho")
    return transformed.astype(np.float32, copy=False)
