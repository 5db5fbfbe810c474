"""Image files in and out.

Rows and columns are those stored in the file. An EXIF orientation is *not* applied and colours are
*not* converted by a profile: evidence is given in the coordinates and values of the file itself,
and rotating would move the JPEG grid. What was converted, assumed and left out on the way stands in
`ReadImage.decoding`; what of it a user must know is said in `ReadImage.warnings`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, UnidentifiedImageError

from napari_safire.atomic import atomic_path
from napari_safire.decoding import heif, jpeg, limits, names, png, small, tiff
from napari_safire.decoding.coefficients import StoredCoefficients
from napari_safire.decoding.source import ByteSource, Damage, Refusal
from napari_safire.decoding.stated import Decoding as Decoding
from napari_safire.errors import ImageReadError
from napari_safire.images.files import why_unreadable
from napari_safire.text import brief, printable

# Of 1 to 9. Level 6, the usual one, takes twice to three times as long for a tenth less.
_PNG_LEVEL, _TIFF_LEVEL = 3, 1
_BEGIN = 32  # bytes that tell the format


class PictureDecoder(Protocol):
    """Decodes picture files elsewhere than in this process: `napari_safire.images.sandbox`."""

    def read(self, path: str | os.PathLike[str]) -> ReadImage:
        """As `read_image`."""
        ...

    def shape(self, path: str | os.PathLike[str]) -> tuple[int, int]:
        """As `image_shape`."""
        ...

    def coefficients(self, path: str | os.PathLike[str]) -> StoredCoefficients:
        """As `napari_safire.decoding.coefficients.stored_coefficients`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ReadImage:
    """One image file, decoded.

    Parameters
    ----------
    pixels : (H, W), (H, W, 3) or (H, W, 4) array
        uint8, uint16, float32 or float64, as stored: no orientation, no colour profile applied.
        With four channels the last is opacity.
    path : Path
    sha256 : str
        Of the bytes of the file.
    format : str
        By content, not by name: "PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF" or "HEIC".
    warnings : tuple of str
        What was mended or left out, in plain sentences.
    decoding : Decoding
        What was read, converted, assumed and left out; default: no more than format and size.
    decoder : PictureDecoder, optional
        What decodes whatever else is wanted of the file; None: this process.
    """

    pixels: npt.NDArray[Any]
    path: Path
    sha256: str
    format: str
    warnings: tuple[str, ...] = ()
    decoding: Decoding = field(default=None)  # type: ignore[assignment]  # replaced below
    decoder: PictureDecoder | None = None

    def __post_init__(self) -> None:
        if self.decoding is None:
            shape = self.pixels.shape[0], self.pixels.shape[1]
            object.__setattr__(self, "decoding", Decoding(self.format, shape))


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the header of an image file says of the pixels that `read_image` gives.

    Parameters
    ----------
    shape : tuple of int
        (H, W), (H, W, 3) or (H, W, 4).
    dtype : dtype
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_image(path: str | os.PathLike[str]) -> ReadImage:
    """Read a PNG, JPEG, WebP, BMP, GIF, TIFF or AVIF file, and HEIC if pillow-heif is installed.

    Of animations and of files with several pages the first picture is taken; CMYK and other
    colour spaces are converted to RGB; both with a warning. The file is read once, so that hash
    and pixels belong together. docs/formats.md lists what is read, assumed and refused.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    ReadImage

    Raises
    ------
    ImageReadError
        If the file is missing, no file, empty, damaged or cut short, of another format, larger
        than 200 megapixels or 4 GiB, would take too much memory or time, or has pixels that are no
        picture (complex, five channels).
    """
    path = Path(path)
    return decode_image(read_bytes(path), path)


def decode_image(data: bytes, path: Path) -> ReadImage:
    """Decode the bytes of a picture file; what `read_image` gives, and raises.

    Parameters
    ----------
    data : bytes
    path : Path
        Where they come from, for sentences; nothing is opened.

    Returns
    -------
    ReadImage

    Raises
    ------
    ImageReadError
    """
    name = _format_by_content(path, data[:_BEGIN])
    source = ByteSource(data)
    try:
        if name in _MODULES:
            pixels, decoding = _MODULES[name].decode(source)
        else:
            pixels, decoding = _SHARED.get(name, small).decode(source, name)
        if pixels.shape[:2] != decoding.shape:
            raise Damage("its pixels do not fit its header")
    except Exception as error:  # on damaged files the decoders raise nearly anything
        raise _said(path, name, error) from error
    warnings = [f"{printable(path)} {sentence}" for sentence in decoding.sentences()]
    warnings += _misnamed(path, name)
    sha256 = hashlib.sha256(data).hexdigest()
    return ReadImage(pixels, path, sha256, name, tuple(warnings), decoding)


def image_shape(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Rows and columns of an image file, by its header: its pixels are not decoded.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    (int, int)

    Raises
    ------
    ImageReadError
        As `read_image`, except for damage that only the pixels show.
    """
    return inspect_image(path).shape


def inspect_image(path: str | os.PathLike[str]) -> Decoding:
    """Read what the header of an image file says; its pixels are not decoded.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Decoding
        Without conversions, which are known once the pixels are.

    Raises
    ------
    ImageReadError
        As `read_image`, except for damage that only the pixels show.
    """
    path = Path(path)
    require_file(path)
    try:
        with open(path, "rb") as file:
            return inspect_source(ByteSource(file), path)
    except OSError as error:
        raise ImageReadError(f"{printable(path)} cannot be read: {first_line(error)}.") from error


def inspect_source(source: ByteSource, path: Path) -> Decoding:
    """Read a header from bytes; what `inspect_image` gives, and raises.

    Raises
    ------
    ImageReadError
    """
    name = "picture"
    try:
        name = _format_by_content(path, source.read(0, _BEGIN))
        if name in _MODULES:
            return _MODULES[name].inspect(source)
        return _SHARED.get(name, small).inspect(source, name)
    except ImageReadError:
        raise
    except Exception as error:  # on damaged files the decoders raise nearly anything
        raise _said(path, name, error) from error


def image_header(path: str | os.PathLike[str]) -> ImageHeader:
    """Shape and type of the pixels that `read_image` gives, without decoding where that is told.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    ImageHeader

    Raises
    ------
    ImageReadError
        As `image_shape`, or where the header leaves it open as `read_image`.
    """
    height, width = image_shape(path)
    with open(path, "rb") as file:
        source = ByteSource(file)
        name = _format_by_content(Path(path), source.read(0, _BEGIN))
        told = _MODULES[name].channels_and_type(source) if name in _MODULES else None
    if told is None:
        pixels = read_image(path).pixels
        return ImageHeader(pixels.shape, pixels.dtype)
    channels, dtype = told
    return ImageHeader((height, width, channels) if channels else (height, width), dtype)


_MODULES: dict[str, Any] = {"PNG": png, "JPEG": jpeg, "TIFF": tiff}
_SHARED: dict[str, Any] = {"AVIF": heif, "HEIC": heif}  # modules that read more than one format


def format_of(path: str | os.PathLike[str]) -> str | None:
    """Format of an image file, by how it begins: "PNG", "JPEG" …; None if it is none of them."""
    with open(path, "rb") as file:
        return names.format_of_bytes(file.read(_BEGIN))


def write_image_atomic(
    path: str | os.PathLike[str], pixels: npt.ArrayLike, *, stack: bool = False
) -> Path:
    """Write a PNG or TIFF file under a temporary name, then rename it.

    Parameters
    ----------
    path : path-like
        Ends in .png, .tif or .tiff.
    pixels : (H, W), (H, W, 3), (H, W, 4) or, with `stack`, (K, H, W) array
        PNG: bool (0 and 255), uint8, and uint16 without channels. TIFF: these and float32,
        losslessly compressed.
    stack : bool
        The array is K grey pages; TIFF only.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError, TypeError
        For an array or a suffix that does not fit.
    SafireError
        If the folder does not exist.
    """
    path = Path(path)
    array = np.asarray(pixels)
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    kind, coloured = _kind_to_write(path, array, stack)
    with atomic_path(path) as temporary:
        if kind == "PNG":
            image = Image.fromarray(np.ascontiguousarray(array))
            image.save(temporary, format="PNG", compress_level=_PNG_LEVEL)
        else:
            tifffile.imwrite(
                temporary,
                array,
                photometric="rgb" if coloured else "minisblack",
                compression="zlib",
                compressionargs={"level": _TIFF_LEVEL},
                predictor=array.dtype.kind == "u",  # smaller and faster; floats do not gain
            )
    return path


def _kind_to_write(path: Path, array: npt.NDArray[Any], stack: bool) -> tuple[str, bool]:
    """Format by the suffix, and whether the array has colours; an error where it cannot hold it."""
    kind = names.SUFFIXES.get(path.suffix.lower())
    if kind not in ("PNG", "TIFF"):
        raise ValueError(f"{path} does not end in .png, .tif or .tiff: only these are written.")
    if stack and (kind != "TIFF" or array.ndim != 3):
        raise ValueError(f"A stack is a (K, H, W) array in a TIFF, not {array.shape} in {path}.")
    coloured = array.ndim == 3 and array.shape[-1] in (3, 4) and not stack
    if array.size == 0 or not (stack or coloured or array.ndim == 2):
        raise ValueError(
            f"{path} cannot hold an array of shape {array.shape}: give (H, W) or (H, W, 3|4)."
        )
    dtypes: dict[str, tuple[type[np.generic], ...]] = {
        "PNG": (np.uint8,) if coloured else (np.uint8, np.uint16),
        "TIFF": (np.uint8, np.uint16, np.float32),
    }
    if array.dtype not in dtypes[kind]:
        raise TypeError(
            f"{path} cannot hold {array.dtype} of shape {array.shape}: convert it to "
            f"{' or '.join(np.dtype(dtype).name for dtype in dtypes[kind])}."
        )
    return kind, coloured


# ------------------------------------------------------------------------------- bytes


def read_bytes(path: Path) -> bytes:
    """Read a picture file's bytes; an ImageReadError says what keeps it from being one."""
    require_file(path)
    try:
        return path.read_bytes()
    except (OSError, ValueError, MemoryError) as error:
        raise ImageReadError(f"{printable(path)} cannot be read: {first_line(error)}.") from error


def require_file(path: Path, *, may_be_empty: bool = False) -> None:
    """Raise an ImageReadError that says why there is no file of a readable size at this path."""
    name = printable(path)
    reason = why_unreadable(path)
    if reason is not None:
        raise ImageReadError(reason)
    try:
        size = path.stat().st_size
    except OSError as error:  # gone, a moment after it was there
        raise ImageReadError(f"{name} cannot be read: {first_line(error)}.") from error
    if size == 0 and not may_be_empty:
        raise ImageReadError(f"{name} is empty (0 bytes): copy it again from its source.")
    if size > limits.MAX_FILE_BYTES:
        raise ImageReadError(
            f"{name} has {size / 2**30:.1f} GiB, more than the {limits.MAX_FILE_BYTES / 2**30:.3g} "
            "that are read: cut the picture into parts."
        )


def _format_by_content(path: Path, begin: bytes) -> str:
    kind = names.unread_kind(begin)
    found = None if kind else names.format_of_bytes(begin)
    if found == "TIFF" and path.suffix.lower() in names.RAW:
        raise ImageReadError(
            f"{printable(path)} is a raw file of a camera by its name, in which readers of TIFF "
            "find a preview: develop it to TIFF, or, if it is one, call it .tif."
        )
    if found is not None:
        return found
    if kind is None and path.suffix.lower() in names.RAW:
        kind = "named like a raw file of a camera"
    what = f"{kind}, not a" if kind else "not a"
    raise ImageReadError(
        f"{printable(path)} is {what} PNG, JPEG, WebP, BMP, GIF or TIFF picture: convert it to PNG "
        "or TIFF."
    )


def _misnamed(path: Path, name: str) -> list[str]:
    suffix = path.suffix.lower()
    if names.SUFFIXES.get(suffix, name) == name and suffix not in names.UNREADABLE:
        return []
    return [
        f"{printable(path)} is named {printable(path.suffix)} but is a {name} file: read by its "
        "content."
    ]


def _said(path: Path, name: str, error: Exception) -> ImageReadError:
    shown = printable(path)
    if isinstance(error, ImageReadError):
        return error
    if isinstance(error, Refusal):
        return ImageReadError(f"{shown} {error}")
    if isinstance(error, MemoryError):
        return ImageReadError(f"{shown} does not fit in memory: cut the picture into parts.")
    article = "an" if name == "AVIF" else "a"
    return ImageReadError(
        f"{shown} begins like {article} {name} file but is damaged or cut short "
        f"({first_line(error)}): copy it again from its source, or have it repaired and work on "
        "the repaired copy."
    )


def first_line(error: BaseException) -> str:
    """Say what an exception of a decoder or of the system says, in one line."""
    if isinstance(error, UnidentifiedImageError):  # its own text names an object in memory
        return "its header cannot be read"
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return brief(lines[0].rstrip(".:"), 200) if lines else type(error).__name__
