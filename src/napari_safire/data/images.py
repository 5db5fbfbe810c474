"""Image files in and out.

Rows and columns are those stored in the file. An EXIF orientation is *not* applied and colours are
*not* converted by a profile: evidence is given in the coordinates and values of the file itself,
and rotating would move the JPEG grid. What is mended or left out on the way is said in
`ReadImage.warnings`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageFile, UnidentifiedImageError

from napari_safire.atomic import atomic_path
from napari_safire.errors import ImageReadError

MAX_PIXELS = 200_000_000
MAX_FILE_BYTES = 4 << 30

# Of 1 to 9. Level 6, the usual one, takes twice to three times as long for a tenth less.
_PNG_LEVEL, _TIFF_LEVEL = 3, 1
_PNG_END = b"IEND\xaeB`\x82"
# What a damaged file of each format still begins with.
_MAGIC = {
    "PNG": (b"\x89PNG",),
    "JPEG": (b"\xff\xd8\xff",),
    "WEBP": (b"RIFF",),
    "GIF": (b"GIF8",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "BMP": (b"BM",),
}
_SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
READABLE = frozenset(_SUFFIXES)
# Pillow's limit on pixels and its tolerance of truncated files are globals of the process, which
# other plugins may set: they are set for each reading and put back.
_PILLOW_GLOBALS = threading.Lock()


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
        By content, not by name: "PNG", "JPEG", "WEBP", "BMP", "GIF" or "TIFF".
    warnings : tuple of str
        What was mended or left out, in plain sentences.
    """

    pixels: npt.NDArray[Any]
    path: Path
    sha256: str
    format: str
    warnings: tuple[str, ...] = ()


def read_image(path: str | os.PathLike[str]) -> ReadImage:
    """Read a PNG, JPEG, WebP, BMP, GIF or TIFF file.

    Of animations and of files with several pages the first picture is taken; CMYK and other
    colour spaces are converted to RGB; both with a warning. The file is read once, so that hash
    and pixels belong together.

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
        than 200 megapixels or 4 GiB, or has pixels that are no picture (complex, five channels).
    """
    path = Path(path)
    data = read_bytes(path)
    name = _format_by_content(data)
    if name is None:
        raise ImageReadError(
            f"{path} is not a PNG, JPEG, WebP, BMP, GIF or TIFF picture: convert it to PNG or TIFF."
        )
    try:
        decode = _decode_tiff if name == "TIFF" else _decode_with_pillow
        pixels, notes = decode(data, name, path)
    except ImageReadError:
        raise
    except MemoryError as error:
        raise ImageReadError(
            f"{path} does not fit in memory: cut the picture into parts."
        ) from error
    except Exception as error:  # on damaged files the decoders raise nearly anything
        raise _undecodable(path, name, error) from error
    expected = _SUFFIXES.get(path.suffix.lower())
    if expected is not None and expected != name:
        notes.append(f"{path} is named {path.suffix} but is a {name} file: read by its content.")
    return ReadImage(pixels, path, hashlib.sha256(data).hexdigest(), name, tuple(notes))


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
    path = Path(path)
    try:
        if path.is_file():
            name = format_of(path)
            if name:
                with open(path, "rb") as file:
                    height, width = _header_shape(file, name)
                check_size(path, width, height)
                return height, width
    except ImageReadError:
        raise
    except Exception as error:  # on damaged files the decoders raise nearly anything
        if isinstance(error, Image.DecompressionBombError):
            raise _too_many_pixels(path) from error
    height, width = read_image(path).pixels.shape[:2]  # says what is wrong
    return height, width


def format_of(path: str | os.PathLike[str]) -> str | None:
    """Format of an image file, by how it begins: "PNG", "JPEG" …; None if it is none of them."""
    with open(path, "rb") as file:
        return _format_by_content(file.read(16))


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
    kind = _SUFFIXES.get(path.suffix.lower())
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


# ------------------------------------------------------------------------------- bytes


def read_bytes(path: Path) -> bytes:
    """Read a picture file's bytes; an ImageReadError says what keeps it from being one."""
    try:
        if path.is_dir():
            raise ImageReadError(f"{path} is a folder: give one of the image files inside it.")
        if not path.exists():
            raise ImageReadError(f"{path} does not exist: check its name and folder.")
        if not path.is_file():  # a pipe or a device might never end
            raise ImageReadError(f"{path} is not a regular file: copy the picture to a file first.")
        size = path.stat().st_size
        if size == 0:
            raise ImageReadError(f"{path} is empty (0 bytes): copy it again from its source.")
        if size > MAX_FILE_BYTES:
            raise ImageReadError(
                f"{path} has {size / 2**30:.1f} GiB, more than the {MAX_FILE_BYTES >> 30} that "
                "are read: cut the picture into parts."
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageReadError(f"{path} cannot be read: {first_line(error)}.") from error


def _format_by_content(data: bytes) -> str | None:
    for name, magics in _MAGIC.items():
        if data.startswith(magics):
            # RIFF holds sound and video too
            return name if name != "WEBP" or b"WEBP".startswith(data[8:12]) else None
    return None


def _undecodable(path: Path, name: str, error: Exception) -> ImageReadError:
    return ImageReadError(
        f"{path} begins like a {name} file but is damaged or cut short ({first_line(error)}): "
        "copy it again from its source, or have it repaired and work on the repaired copy."
    )


def first_line(error: Exception) -> str:
    """Say what an exception of a decoder or of the system says, in one line."""
    if isinstance(error, UnidentifiedImageError):  # its own text names an object in memory
        return "its header cannot be read"
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse pictures without pixels and those of more than 200 megapixels."""
    if width < 1 or height < 1:
        raise ImageReadError(f"{path} has {height} x {width} pixels: there is no picture in it.")
    if width * height > MAX_PIXELS:
        raise ImageReadError(
            f"{path} has {height} x {width} = {width * height / 1e6:.0f} megapixels, more than the "
            f"{MAX_PIXELS // 1_000_000} that are read: cut it into parts (scaling it down would "
            "destroy the traces)."
        )


def _too_many_pixels(path: Path) -> ImageReadError:
    return ImageReadError(
        f"{path} has more than {MAX_PIXELS // 1_000_000} megapixels: cut it into parts (scaling it "
        "down would destroy the traces)."
    )


def _header_shape(file: BinaryIO, name: str) -> tuple[int, int]:
    file.seek(0)
    if name == "TIFF":
        with quiet_tifffile(), tifffile.TiffFile(file) as tiff:
            return tiff.pages.first.imagelength, tiff.pages.first.imagewidth
    with pillow_settings(), Image.open(file, formats=(name,)) as image:
        return image.height, image.width


# ------------------------------------------------------------------------------- Pillow


@contextmanager
def pillow_settings() -> Iterator[None]:
    """Pillow as this package reads: up to 200 megapixels, nothing cut short, no warnings."""
    with _PILLOW_GLOBALS, warnings.catch_warnings():
        saved = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        # Pillow warns of too many pixels, which `check_size` refuses, and of damaged metadata.
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = MAX_PIXELS, False
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = saved


def _decode_with_pillow(data: bytes, name: str, path: Path) -> tuple[npt.NDArray[Any], list[str]]:
    """Pixels and warnings of a file that begins like one of format `name`."""
    notes: list[str] = []
    with pillow_settings():
        try:
            image: Image.Image = Image.open(io.BytesIO(data), formats=(name,))
        except Image.DecompressionBombError as error:  # more than twice the limit
            raise _too_many_pixels(path) from error
        with image:
            check_size(path, image.width, image.height)
            image.load()
            if name == "PNG" and _PNG_END not in data:
                raise OSError("its end mark is missing")
            notes += _stored_otherwise(data, image, name, path)
            pixels = _pillow_pixels(image, path, notes)
            # last, because asking for the number of frames may move to another one
            if getattr(image, "is_animated", False):
                notes.append(
                    f"{path} holds several pictures (an animation or pages): the first was read."
                )
    return pixels, notes


def _stored_otherwise(data: bytes, image: Image.Image, name: str, path: Path) -> list[str]:
    """Warnings about what the file says and the pixels do not show."""
    notes = []
    deep_png = name == "PNG" and data[24] == 16  # bit depth in the header chunk
    deep_tiff = name == "TIFF" and max(_tiff_bits(image)) > 8
    if (deep_png or deep_tiff) and image.mode in ("RGB", "RGBA", "LA"):
        notes.append(
            f"{path} has 16 bits a channel, read as 8: save it as TIFF without compression to "
            "keep all of them."
        )
    orientation = _orientation(image)
    if orientation != 1:
        notes.append(
            f"{path} asks to be shown turned or mirrored (EXIF orientation {orientation}): not "
            "applied, rows and columns are those stored in the file."
        )
    return notes


def _tiff_bits(image: Image.Image) -> tuple[int, ...]:
    bits_per_sample = 258
    return tuple(getattr(image, "tag_v2", {}).get(bits_per_sample, (8,)))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # damaged metadata: the picture is whole all the same
        return 1
    return value if value in range(1, 9) else 1


def _pillow_pixels(image: Image.Image, path: Path, notes: list[str]) -> npt.NDArray[Any]:
    mode = image.mode
    if mode in ("L", "RGB", "RGBA", "F"):
        return np.array(image)
    if mode == "1":
        return np.array(image.convert("L"))
    if mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)  # to native byte order
    if mode == "I":
        return _small_integers(np.array(image), path)
    if mode in ("LA", "La", "PA", "RGBa"):
        return np.array(image.convert("RGBA"))
    if mode == "P":
        return np.array(image.convert("RGBA" if "transparency" in image.info else "RGB"))
    if mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        notes.append(
            f"{path} has {mode} colours: converted to RGB without a colour profile, which changes "
            "the pixel values."
        )
        return np.array(image.convert("RGB"))
    raise ImageReadError(f"{path} has pixels of kind {mode!r}: convert it to RGB or grey.")


def _small_integers(pixels: npt.NDArray[Any], path: Path) -> npt.NDArray[np.uint16]:
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > 65535:
        raise ImageReadError(
            f"{path} has {pixels.dtype} pixels from {low} to {high}: convert it to 8 or 16 bits."
        )
    return pixels.astype(np.uint16)


# --------------------------------------------------------------------------------- TIFF


@contextmanager
def quiet_tifffile() -> Iterator[None]:
    """What tifffile logs of damaged files goes to configured handlers only, not to the terminal."""
    logger, handler = logging.getLogger("tifffile"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _decode_tiff(data: bytes, name: str, path: Path) -> tuple[npt.NDArray[Any], list[str]]:
    """Pixels and warnings of the first page: by tifffile, or by Pillow where that lacks a codec."""
    with quiet_tifffile(), tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        check_size(path, page.imagewidth, page.imagelength)
        if page.imagedepth > 1:
            raise ImageReadError(f"{path} is a volume, not a picture: save one plane of it.")
        if page.samplesperpixel > 4:
            raise ImageReadError(
                f"{path} has {page.samplesperpixel} channels: save the three of its picture as RGB."
            )
        photometric = tifffile.PHOTOMETRIC
        by_tifffile = page.photometric in (
            photometric.MINISWHITE,
            photometric.MINISBLACK,
            photometric.RGB,
            photometric.PALETTE,
        )
        stored = _stored_pixels(page, len(data)) if by_tifffile else None
        if stored is None:
            return _decode_with_pillow(data, name, path)
        notes = []
        if len(tiff.pages) > 1:
            notes.append(f"{path} has {len(tiff.pages)} pages: the first was read.")
        orientation = page.tags.valueof("Orientation", 1)
        if orientation in range(2, 9):
            notes.append(
                f"{path} asks to be shown turned or mirrored (orientation {int(orientation)}): not "
                "applied, rows and columns are those stored in the file."
            )
        return _tiff_pixels(page, stored, path), notes


def _stored_pixels(page: tifffile.TiffPage, n_bytes: int) -> npt.NDArray[Any] | None:
    """(S, H, W, samples) or the like as stored; None if tifffile lacks the codec."""
    ends = [start + n for start, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > n_bytes:
        raise OSError(f"pixels end at byte {max(ends, default=0)}, the file at {n_bytes}")
    if len(ends) < int(np.prod(page.chunked)):
        raise OSError(f"{len(ends)} of {int(np.prod(page.chunked))} strips or tiles are listed")
    try:
        return page.asarray(maxworkers=1)
    except ValueError as error:
        if "imagecodecs" in str(error):
            return None
        raise


def _tiff_pixels(page: tifffile.TiffPage, stored: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """Bring the stored samples to grey, RGB or RGBA."""
    pixels = stored
    if pixels.ndim == 3 and page.axes.startswith("S"):  # separate planes
        pixels = np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3):
        raise ImageReadError(f"{path} has an array of shape {pixels.shape}: save it as a picture.")
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        if page.colormap is None or pixels.ndim != 2:
            raise OSError("its colour table is missing")
        # 16-bit by the standard, but some writers put 8-bit values there
        colours = page.colormap >> 8 if page.colormap.max() > 255 else page.colormap
        return np.ascontiguousarray(np.moveaxis(colours.astype(np.uint8)[:, pixels], 0, -1))
    pixels = _readable_dtype(pixels, path)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind == "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    if pixels.ndim == 3 and pixels.shape[-1] == 2:  # grey and opacity
        pixels = pixels[..., [0, 0, 0, 1]]
    return pixels


def _readable_dtype(pixels: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    dtype = pixels.dtype
    if dtype.kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255)
    if dtype in (np.uint8, np.uint16, np.float32, np.float64):
        return pixels
    if dtype == np.float16:
        return pixels.astype(np.float32)
    if dtype.kind in "iu":
        return _small_integers(pixels, path)
    raise ImageReadError(f"{path} has {dtype} pixels: convert it to 8 or 16 bits, or float.")
