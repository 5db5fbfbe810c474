"""What Pillow is asked, and under which settings.

It is given files that were looked through and rebuilt with what the pixels need alone: no metadata,
no second picture, no orientation that it might apply.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageFile

from napari_safire.decoding.source import ByteSource, Refusal

_BAND_PIXELS = 8_000_000
DECODER = f"Pillow {PIL.__version__}"
# Pillow's limit on pixels and its tolerance of truncated files are globals of the process, which
# other plugins may set: they are set for each reading and put back.
_GLOBALS = threading.RLock()


@contextmanager
def opened(data: bytes | ByteSource, format: str) -> Iterator[Image.Image]:
    """Open a picture with Pillow as this package reads: nothing cut short, no warnings.

    Whoever calls has held its size against the limits.
    """
    file = (ByteSource(data) if isinstance(data, bytes) else data).file()
    file.seek(0)
    with _GLOBALS, warnings.catch_warnings():
        saved = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        warnings.simplefilter("ignore")
        # reviewed: decoding.limits has been asked
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
        try:
            with Image.open(file, formats=(format,)) as image:
                yield image
        finally:
            # reviewed: as it was before
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = saved


def array_of(image: Image.Image) -> tuple[npt.NDArray[Any], str]:
    """Pixels of a Pillow picture as grey, RGB or RGBA, and what was done to them ("" for nothing).

    Large pictures are converted in bands: Pillow would hold several copies of the whole.

    Raises
    ------
    Refusal
        For a kind of pixels that is no picture.
    """
    image.load()
    rows = max(1, _BAND_PIXELS // image.width)
    if rows >= image.height:
        return _array_of(image)
    whole: npt.NDArray[Any] | None = None
    done = ""
    for top in range(0, image.height, rows):
        end = min(top + rows, image.height)
        band, done = _array_of(image.crop((0, top, image.width, end)))
        if whole is None:
            whole = np.empty((image.height, *band.shape[1:]), band.dtype)
        whole[top:end] = band
    assert whole is not None
    return whole, done


def _array_of(image: Image.Image) -> tuple[npt.NDArray[Any], str]:
    mode = image.mode
    if mode in ("L", "RGB", "RGBA", "F"):
        return np.array(image), ""
    if mode == "1":
        return np.array(image.convert("L")), "1 bit became 0 and 255"
    if mode.startswith("I;16"):
        return np.array(image).astype(np.uint16), ""  # to native byte order
    if mode == "I":
        return small_integers(np.array(image)), ""
    if mode in ("LA", "La", "PA", "RGBa"):
        return np.array(image.convert("RGBA")), f"{mode} became RGBA"
    if mode == "P":
        target = "RGBA" if "transparency" in image.info else "RGB"
        return np.array(image.convert(target)), f"the palette became {target}"
    if mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        return np.array(image.convert("RGB")), f"{mode} became RGB without a colour profile"
    raise Refusal(f"has pixels of kind {mode!r}: convert it to RGB or grey.")


def colours_note(colour: str) -> str:
    """Say that colours were converted."""
    return (
        f"has {colour} colours: converted to RGB without a colour profile, which changes the pixel "
        "values."
    )


def small_integers(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Integers of any type as uint16.

    Raises
    ------
    Refusal
        They do not fit.
    """
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > 65535:
        raise Refusal(
            f"has {pixels.dtype} pixels from {low} to {high}: convert it to 8 or 16 bits."
        )
    return pixels.astype(np.uint16)
