"""Masks in NumPy archives."""

from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from napari_safire.decoding.limits import MAX_METADATA_BYTES, MAX_PIXELS
from napari_safire.decoding.source import Refusal
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.reading import first_line, require_file
from napari_safire.text import printable

_LARGEST_BYTES = 8 * MAX_PIXELS
_HEADER_BYTES = 1 << 14  # of an array; NumPy reads no longer ones
_LONGEST_END = 65_557  # of a ZIP archive: its last record with the longest comment


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
    require_file(path, may_be_empty=True)
    try:
        with open(path, "rb") as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                members = {
                    member.filename.removesuffix(".npy"): member
                    for member in archive.infolist()
                    if member.filename.endswith(".npy")
                }
                array = _read_member(archive, members[key]) if key in members else None
    except Refusal as error:
        raise ImageReadError(f"{printable(path)} {error}") from error
    except Exception as error:  # on damaged archives zipfile and NumPy raise nearly anything
        raise ImageReadError(
            f"{printable(path)} is no NumPy archive that can be read ({first_line(error)}): copy "
            "it again from its source."
        ) from error
    if array is None:
        raise DatasetError(
            f"{printable(path)} has no array {key!r}, only "
            f"{', '.join(map(repr, list(members)[:20])) or 'nothing'}: it is no mask of this data "
            "set."
        )
    array = array.squeeze() if array.ndim > 2 else array
    if array.ndim != 2 or array.dtype.kind not in "buif" or not array.size:
        raise DatasetError(
            f"{key!r} of {path} has shape {array.shape} and type {array.dtype}: a mask is (H, W) "
            "numbers."
        )
    return array.astype(np.uint8) * np.uint8(255) if array.dtype == bool else array


def _check_directory(file: BinaryIO) -> None:
    """Refuse archives whose list of members alone takes long to read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_END))
    end = file.read()
    place = end.rfind(b"PK\5\6")
    if place >= 0 and int.from_bytes(end[place + 12 : place + 16], "little") > MAX_METADATA_BYTES:
        raise Refusal("lists far more members than an archive of masks has: it is no mask.")
    file.seek(0)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Read one array by its own header, which is checked before its numbers are unpacked.

    ``numpy.load`` would take another member of the same name without its suffix.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refusal("is packed in a way that NumPy does not use: save it again with NumPy.")
    with archive.open(member) as file:
        begin = io.BytesIO(file.read(_HEADER_BYTES))
        version = np.lib.format.read_magic(begin)
        if version == (1, 0):
            header = np.lib.format.read_array_header_1_0(begin)
        else:
            header = np.lib.format.read_array_header_2_0(begin)
        shape, by_columns, dtype = header
        if dtype.hasobject:  # their code would be executed
            raise Refusal(
                f"holds Python objects under {member.filename!r}, which only allow_pickle would "
                "read: save the mask as numbers."
            )
        if dtype.kind not in "biufc":
            raise Refusal(f"holds {dtype} values, which are no mask: save it as numbers.")
        n_values = math.prod(shape)
        if min(shape, default=1) < 0 or n_values * dtype.itemsize > _LARGEST_BYTES:
            raise Refusal(
                f"unpacks to an array of {' x '.join(map(str, shape))}, more than a mask of "
                f"{MAX_PIXELS / 1e6:g} megapixels has: it is no mask."
            )
        if member.file_size < n_values * dtype.itemsize:
            raise ValueError(f"it holds {member.file_size} of {n_values * dtype.itemsize} bytes")
        data = bytearray(n_values * dtype.itemsize)
        rest = begin.read()[: len(data)]
        data[: len(rest)] = rest
        filled = len(rest)
        while filled < len(data):
            piece = file.read(min(1 << 20, len(data) - filled))
            if not piece:
                raise ValueError(f"it holds {filled} of {len(data)} bytes")
            data[filled : filled + len(piece)] = piece
            filled += len(piece)
        file.read(1)  # which verifies the checksum where the array ends
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")
