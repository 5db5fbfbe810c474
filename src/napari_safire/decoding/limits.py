"""What is too much for one picture.

A file of a few bytes can ask for any amount of memory and time. Whatever a file says of itself is
held against these numbers, and against its own size, before anything is allocated.

Who has larger pictures, or pictures from people who may mean harm, sets another limit for a process
and those it starts: ``NAPARI_SAFIRE_MAX_MEGAPIXELS=1000 napari-safire predict …``. Limits on bytes
go with it.
"""

from __future__ import annotations

import os

from napari_safire.decoding.source import Refusal
from napari_safire.text import brief

MEGAPIXELS_VARIABLE = "NAPARI_SAFIRE_MAX_MEGAPIXELS"
_USUAL_MEGAPIXELS = 200
_MOST_MEGAPIXELS = 2_147  # libraries count pixels in 31 bits


def _chosen(given: str) -> tuple[int, str]:
    """Pixels at most by the text of a variable, and what is wrong with it ("" for nothing)."""
    if not given.strip():
        return _USUAL_MEGAPIXELS * 1_000_000, ""
    try:
        megapixels = float(given)
    except ValueError:
        megapixels = 0.0
    if 0.001 <= megapixels <= _MOST_MEGAPIXELS:
        return int(megapixels * 1_000_000), ""
    return _USUAL_MEGAPIXELS * 1_000_000, (
        f"cannot be judged: {MEGAPIXELS_VARIABLE} is {brief(given, 40)!r}, set a number from 0.001 "
        f"to {_MOST_MEGAPIXELS}."
    )


MAX_PIXELS, _PROBLEM = _chosen(os.environ.get(MEGAPIXELS_VARIABLE, ""))
# Of several pages, or not compressed at all; the file is held in memory, at times twice.
MAX_FILE_BYTES = min(4 << 30, max(256 << 20, 22 * MAX_PIXELS))
MAX_DECODED_BYTES = 8 * MAX_PIXELS  # RGBA with 16 bits
MAX_WORKING_BYTES = 10 * MAX_PIXELS  # while a library decodes, its copies included
MAX_SCANS = 100  # of a progressive JPEG; ten are usual
MAX_SCANNED_PIXELS = 2_000_000_000  # pixels times scans: some ten seconds
MAX_SEGMENTS = 100_000  # strips and tiles of a TIFF
MAX_PAGES = 1_000  # that are counted
MAX_CHUNKS = 300_000  # of a PNG; 200 megapixels in chunks of 8 kB
MAX_METADATA_BYTES = 1 << 20  # of a text or a block of tags that is looked into


def check_size(width: int, height: int) -> None:
    """Refuse pictures without pixels and those of more than `MAX_PIXELS`.

    Raises
    ------
    Refusal
    """
    if _PROBLEM:
        raise Refusal(_PROBLEM)
    if width < 1 or height < 1:
        raise Refusal(f"has {height} x {width} pixels: there is no picture in it.")
    if width * height > MAX_PIXELS:
        raise Refusal(
            f"has {height} x {width} = {width * height / 1e6:.0f} megapixels, more than the "
            f"{MAX_PIXELS / 1e6:g} that are read: cut it into parts (scaling it down would "
            f"destroy the traces), or set {MEGAPIXELS_VARIABLE}."
        )


def check_decoded(n_bytes: int) -> None:
    """Refuse pictures whose pixels take too much memory.

    Raises
    ------
    Refusal
    """
    if n_bytes > MAX_DECODED_BYTES:
        raise Refusal(
            f"takes {n_bytes / 2**30:.1f} GiB once it is decoded, more than the "
            f"{MAX_DECODED_BYTES / 2**30:.1f} that are read: cut it into parts, or save it with "
            "fewer bits."
        )


def check_working(n_bytes: int, what: str) -> None:
    """Refuse pictures whose decoder holds too much at once.

    Raises
    ------
    Refusal
    """
    if n_bytes > MAX_WORKING_BYTES:
        raise Refusal(
            f"is a {what} so large that unpacking takes {n_bytes / 2**30:.1f} GiB: save it as PNG "
            "or TIFF, or cut it into parts."
        )


def check_scans(n_scans: int, n_pixels: int) -> None:
    """Refuse JPEG streams that pass over all pixels again and again.

    Raises
    ------
    Refusal
    """
    if n_scans > MAX_SCANS or n_scans * n_pixels > MAX_SCANNED_PIXELS:
        raise Refusal(
            f"is a JPEG stream of {n_scans} scans, more than are read of a picture of this size: "
            "save it as PNG or TIFF with the program that wrote it."
        )
