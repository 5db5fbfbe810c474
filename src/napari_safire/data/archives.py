"""Masks in NumPy archives."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.data.images import MAX_PIXELS
from napari_safire.errors import DatasetError, ImageReadError

_LARGEST_BYTES = 8 * MAX_PIXELS


def read_archive(path: str | os.PathLike[str], key: str) -> npt.NDArray[Any]:
    """Read one array of an ``.npz`` file as a grey picture. No code in it is ever executed.

    Parameters
    ----------
    path : path-like
    key : str
        Name of the array, such as ``arr_0``.

    Returns
    -------
    (H, W) array
        Axes of length one are left out; bool becomes 0 and 255.

    Raises
    ------
    ImageReadError
        If the file is missing, no archive, damaged, or unpacks to more than 200 million numbers.
    DatasetError
        If there is no such array in it, or the array is no grey picture of numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageReadError(f"{path} does not exist: check its name and folder.")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {
                member.filename.removesuffix(".npy"): member.file_size
                for member in archive.infolist()
                if member.filename.endswith(".npy")
            }
        if sizes.get(key, 0) > _LARGEST_BYTES:
            raise ImageReadError(
                f"{path} unpacks to {sizes[key] / 2**30:.1f} GiB, more than a mask of "
                f"{MAX_PIXELS // 1_000_000} megapixels has: it is no mask."
            )
        array = None
        if key in sizes:
            with np.load(path, allow_pickle=False) as stored:
                array = stored[key]
    except ImageReadError:
        raise
    except Exception as error:  # on damaged archives zipfile and NumPy raise nearly anything
        raise ImageReadError(
            f"{path} is no NumPy archive that can be read ({error}): copy it again from its source."
        ) from error
    if array is None:
        raise DatasetError(
            f"{path} has no array {key!r}, only {', '.join(map(repr, sizes)) or 'nothing'}: it is "
            "no mask of this data set."
        )
    array = array.squeeze() if array.ndim > 2 else array
    if array.ndim != 2 or array.dtype.kind not in "buif" or not array.size:
        raise DatasetError(
            f"{key!r} of {path} has shape {array.shape} and type {array.dtype}: a mask is (H, W) "
            "numbers."
        )
    return array.astype(np.uint8) * np.uint8(255) if array.dtype == bool else array
