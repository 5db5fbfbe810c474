"""AVIF, by Pillow, and HEIC, by pillow-heif where that is installed: the first picture.

The decoder of HEIC turns a picture as the file asks, which is said; that of AVIF does
not.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import features

from napari_safire.decoding import limits
from napari_safire.decoding.pillow import DECODER, array_of, opened
from napari_safire.decoding.source import ByteSource, Damage, Refusal
from napari_safire.decoding.stated import Decoding

_ORIENTATION = 0x0112
_WORKING = 12  # bytes a pixel that the decoders hold


def inspect(source: ByteSource, format: str) -> Decoding:
    """Read the header of an AVIF or HEIC file.

    Raises
    ------
    Damage, Refusal
    """
    with _image(source, format) as (image, decoding):
        del image
        return decoding


def decode(source: ByteSource, format: str) -> tuple[npt.NDArray[Any], Decoding]:
    """Read the pixels of the first picture.

    Raises
    ------
    Damage, Refusal
    """
    with _image(source, format) as (image, decoding):
        if format == "AVIF":
            pixels, done = array_of(image)
        else:
            pixels, done = np.array(image), ""
            if image.mode not in ("L", "RGB", "RGBA"):
                raise Refusal(f"has pixels of kind {image.mode!r}: convert it to PNG or TIFF.")
    return pixels, replace(decoding, converted=(*decoding.converted, *([done] if done else [])))


@contextmanager
def _image(source: ByteSource, format: str) -> Iterator[tuple[Any, Decoding]]:
    """A picture whose pixels are not decoded yet, and what is said of it."""
    data = source.whole()
    if format == "AVIF":
        if not features.check("avif"):
            raise Refusal(
                "is an AVIF picture, which Pillow reads from 11.3 on: bring Pillow up to date, or "
                "convert it to PNG or TIFF."
            )
        with opened(data, "AVIF") as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            turned = orientation if orientation in range(1, 9) else 1
            yield image, _stated(data, format, image, DECODER, turned)
        return
    plugin = _plugin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = plugin.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        decoder = f"pillow-heif {plugin.__version__}"
        yield file, _stated(data, format, file, decoder, 1)


def _plugin() -> ModuleType:
    try:
        import pillow_heif
    except Exception as error:  # its compiled part fails in ways of each system
        raise Refusal(
            "is a HEIC picture, which is read with pillow-heif: install it (pip install "
            "pillow-heif), or convert it to PNG or TIFF."
        ) from error
    return pillow_heif


def _stated(data: bytes, format: str, image: Any, decoder: str, orientation: int) -> Decoding:
    width, height = image.size
    limits.check_size(width, height)
    limits.check_working(_WORKING * width * height, format)
    at = data.find(b"pixi")  # bits of each channel
    bits = data[at + 9] if 0 <= at < len(data) - 9 and data[at + 9] in range(1, 17) else 8
    converted = [f"{bits} bits brought to 8"] if bits > 8 else []
    turn = data.find(b"irot")
    if format == "HEIC" and (b"imir" in data or (turn >= 0 and data[turn + 4 : turn + 5] > b"\0")):
        converted.append("turned or mirrored as the file asks")
    pages = int(getattr(image, "n_frames", 0) or len(image) if format == "HEIC" else image.n_frames)
    if pages < 1:
        raise Damage("it has no picture")
    return Decoding(
        format=format,
        shape=(height, width),
        bits=bits,
        colour="grey" if image.mode == "L" else "RGB",
        opacity="A" in image.mode,
        compression="AV1" if format == "AVIF" else "HEVC",
        pages=min(pages, limits.MAX_PAGES),
        more_pages=pages > limits.MAX_PAGES,
        orientation=orientation,
        converted=tuple(converted),
        besides=("a colour profile, not applied",) if image.info.get("icc_profile") else (),
        decoder=decoder,
    )
