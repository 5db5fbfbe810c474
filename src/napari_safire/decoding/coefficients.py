"""Quantised DCT coefficients of a JPEG file as they are stored, by libjpeg (jpeglib)."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class StoredCoefficients:
    """What a JPEG file stores of its first component, and how it is quantised.

    Parameters
    ----------
    blocks : (h, w, 8, 8) int16 array
        Of the first component; frequency down, frequency across.
    tables : (n, 8, 8) int64 array
        Quantisation steps.
    numbers : tuple of int
        Of each component, the place of its table.
    sampling : tuple of (int, int)
        Samples down and across of each component.
    shape : (int, int)
        Rows and columns of the picture.
    progressive : bool
    """

    blocks: npt.NDArray[np.int16]
    tables: npt.NDArray[np.int64]
    numbers: tuple[int, ...]
    sampling: tuple[tuple[int, int], ...]
    shape: tuple[int, int]
    progressive: bool


def stored_coefficients(path: str | os.PathLike[str]) -> StoredCoefficients:
    """Read them.

    Raises
    ------
    ValueError
        libjpeg cannot read the file (12 bits, arithmetic coding, lossless); its own words.
    """
    import jpeglib

    try:
        jpeg = jpeglib.read_dct(os.fspath(path))
        numbers = tuple(int(number) for number in jpeg.quant_tbl_no)
        found = StoredCoefficients(
            np.asarray(jpeg.Y, np.int16),
            np.asarray(jpeg.qt, np.int64),
            numbers,
            tuple((int(down), int(across)) for down, across in np.asarray(jpeg.samp_factor)),
            (int(jpeg.height), int(jpeg.width)),
            bool(jpeg.progressive_mode),
        )
    except (OSError, RuntimeError, ValueError, MemoryError, AttributeError, TypeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    if not numbers or max(numbers) >= len(found.tables):
        raise ValueError("it names a quantisation table that is not there")
    return found
