"""TIFF: the first page as grey, RGB or RGBA."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.decoding import limits
from napari_safire.decoding.metadata import jpeg_shape, valid_orientation, xmp_orientation
from napari_safire.decoding.pillow import (
    DECODER,
    array_of,
    colours_note,
    opened,
    small_integers,
)
from napari_safire.decoding.source import ByteSource, Damage, Refusal
from napari_safire.decoding.stated import Decoding
from napari_safire.decoding.tiff_layout import HERE, NAMES, Layout, check_codec, read_layout
from napari_safire.decoding.tiff_segments import rebuilt, segments
from napari_safire.decoding.tiff_tags import (
    Page,
    PageBrief,
    is_reduced,
    read_pages,
    read_sub_pages,
)

_WHITE_ZERO, _BLACK_ZERO, _RGB, _PALETTE, _TRANSPARENCY, _CMYK, _YCBCR, _LAB = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    8,
)
_COLOURS = {
    _WHITE_ZERO: "grey",
    _BLACK_ZERO: "grey",
    _RGB: "RGB",
    _PALETTE: "palette",
    _CMYK: "CMYK",
    _YCBCR: "YCbCr",
    _LAB: "LAB",
}
_SAMPLES = {_WHITE_ZERO: (1, 2), _BLACK_ZERO: (1, 2, 3, 4), _RGB: (3, 4), _PALETTE: (1, 2)}
_SAMPLES |= {_CMYK: (4,), _YCBCR: (3,), _LAB: (3,)}
_RAW = (32803, 34892)  # colour filter array, linear raw
_JPEG = 7
_KEPT = (338, 347, 530, 531, 532)  # what the pixels of a JPEG inside need
_WRITTEN_BY_TIFFFILE = re.compile(r'^(?:\{"shape":|shape=)')
_IMAGEJ_COUNT = re.compile(r"^ImageJ=.*?\bimages=(\d+)", re.DOTALL)
_BAND_PIXELS = 4_000_000
_SCAN = re.compile(rb"\xff\xda")


def inspect(source: ByteSource) -> Decoding:
    """Read what the first page says of itself.

    Raises
    ------
    Damage, Refusal
    """
    return _inspect(source)[1]


def decode(source: ByteSource) -> tuple[npt.NDArray[Any], Decoding]:
    """Read the pixels of the first page.

    Raises
    ------
    Damage, Refusal
    """
    layout, decoding, photometric = _inspect(source)
    if layout.compression in HERE:
        return _coloured(layout, _assembled(layout), decoding, photometric)
    return _by_pillow(layout, decoding, photometric)


def channels_and_type(source: ByteSource) -> tuple[int, np.dtype[Any]] | None:
    """Channels (0 for grey) and type of the pixels that `decode` gives; None if it must tell."""
    layout, _, photometric = _inspect(source)
    if layout.compression not in HERE:
        return None
    if photometric in (_PALETTE, _CMYK, _YCBCR, _LAB):
        return 3, np.dtype(np.uint8)
    channels = {1: 0, 2: 4}.get(layout.samples, layout.samples)
    if layout.kind == "f":
        return channels, np.dtype(np.float64 if layout.bits == 64 else np.float32)
    return channels, np.dtype(np.uint8 if layout.bits <= 8 and layout.kind == "u" else np.uint16)


def _inspect(source: ByteSource) -> tuple[Layout, Decoding, int]:
    page, pages = read_pages(source)
    _refuse_other_kinds(page, pages.briefs)
    layout = read_layout(page)
    photometric, assumed = _photometric(page, layout)
    if layout.compression in HERE:
        check_codec(layout)
    elif layout.compression != _JPEG:
        check_codec(layout)  # which refuses it by name
    elif layout.bits != 8:
        raise Refusal(
            f"holds {NAMES[layout.compression]} of {layout.bits} bits, which is not read: save it "
            "with LZW, zlib or none."
        )
    inverted = photometric == _WHITE_ZERO
    if inverted:
        inverted, said = _is_inverted(page, layout)
        assumed += [said] if said else []
    notes, besides = _besides(page, (layout.rows, layout.cols), pages.briefs)
    by_libtiff = layout.compression == _JPEG and photometric == _YCBCR  # as any JPEG is
    if photometric in (_CMYK, _YCBCR, _LAB) and not by_libtiff:
        notes.append(colours_note(_COLOURS[photometric]))
    if pages.loops:
        notes.append("has a list of pages that leads back to one of them: the first was read.")
    decoding = Decoding(
        format="TIFF",
        shape=(layout.rows, layout.cols),
        bits=layout.bits,
        sample={"u": "unsigned", "i": "signed", "f": "float"}[layout.kind],
        colour=_COLOURS[photometric],
        opacity=layout.samples == 2 or (layout.samples == 4 and photometric != _CMYK),
        compression=NAMES[layout.compression],
        pages=pages.count,
        more_pages=pages.more,
        orientation=valid_orientation(page) or xmp_orientation(page.content(700)) or 1,
        inverted=inverted,
        assumed=tuple(assumed),
        besides=tuple(besides),
        notes=(*notes, *(f"{sentence}." for sentence in assumed)),
    )
    return layout, decoding, photometric


def _refuse_other_kinds(page: Page, others: tuple[PageBrief, ...]) -> None:
    if 50706 in page or page.integer(262, -1) in _RAW:
        raise Refusal(
            "is a raw file of a camera (DNG or the like): what a picture of it shows depends on "
            "how it is developed, develop it to TIFF."
        )
    if is_reduced(page):
        larger = max((brief.shape for brief in (*others, *read_sub_pages(page))), default=None)
        told = f", the picture itself has {larger[0]} x {larger[1]} pixels" if larger else ""
        raise Refusal(
            f"begins with a preview of {page.integer(257, 0)} x {page.integer(256, 0)} pixels"
            f"{told}: save the picture as a file of its own."
        )
    if page.integer(254, 0) & 4 or page.integer(262, -1) == _TRANSPARENCY:
        raise Refusal("begins with a transparency mask: save the picture as a file of its own.")


def _photometric(page: Page, layout: Layout) -> tuple[int, list[str]]:
    """What the samples mean, and in sentences without an end what was assumed for it."""
    assumed = []
    photometric = page.integer(262, -1)
    if photometric == -1:
        photometric = _RGB if layout.samples >= 3 else _BLACK_ZERO
        assumed.append(
            f"does not say what its values mean: read as {_COLOURS[photometric]}, 0 is black"
        )
    if photometric not in _COLOURS:
        raise Refusal(
            f"has colours of a kind that is not read (photometric {photometric}): save it as RGB "
            "or grey."
        )
    if layout.samples not in _SAMPLES[photometric]:
        raise Refusal(
            f"has {layout.samples} channels, which {_COLOURS[photometric]} colours do not have: "
            "save it as RGB or grey."
        )
    if photometric == _BLACK_ZERO and layout.samples >= 3:
        assumed.append(
            f"calls its {layout.samples} channels grey: read as red, green, blue"
            + (" and opacity" if layout.samples == 4 else "")
        )
    if photometric == _RGB and layout.samples == 4 and page.integer(338, 0) == 0:
        assumed.append("does not say what its fourth channel is: taken as opacity")
    if page.integer(339, 1) == 4:
        assumed.append("does not say of what type its samples are: taken as unsigned")
    if photometric in (_CMYK, _YCBCR, _LAB) and layout.compression in HERE:
        _check_converted(page, layout, photometric)
    if photometric == _PALETTE and (layout.bits > 8 or layout.kind != "u" or layout.samples > 1):
        raise Refusal(
            f"has a palette for {layout.bits} bits and {layout.samples} channels: save it as RGB."
        )
    return photometric, assumed


def _check_converted(page: Page, layout: Layout, photometric: int) -> None:
    name = _COLOURS[photometric]
    if layout.bits not in (8, 16) or layout.kind != "u" or (layout.bits, name) == (16, "YCbCr"):
        raise Refusal(f"has {name} colours of {layout.bits} bits: save it as RGB.")
    if photometric == _YCBCR and (page.integers(530) or (2, 2)) != (1, 1):
        raise Refusal("has YCbCr colours of reduced resolution without JPEG: save it as RGB.")
    if photometric == _CMYK and page.integer(332, 1) != 1:
        raise Refusal("has inks that are not CMYK: save it as RGB.")


def _besides(
    page: Page, shape: tuple[int, int], others: tuple[PageBrief, ...]
) -> tuple[list[str], list[str]]:
    """What lies in the file and is not read: what must be told, and everything."""
    notes, besides = [], []
    for number, brief in enumerate(others, start=2):
        what = "smaller version" if brief.reduced else "page"
        besides.append(f"page {number}: {what} of {brief.shape[0]} x {brief.shape[1]}")
        if brief.shape[0] * brief.shape[1] > shape[0] * shape[1]:
            notes.append(
                f"has a page {number} of {brief.shape[0]} x {brief.shape[1]} pixels, larger than "
                "the first, which was read."
            )
    for brief in read_sub_pages(page):
        besides.append(f"page below the first of {brief.shape[0]} x {brief.shape[1]}")
        if brief.shape[0] * brief.shape[1] > shape[0] * shape[1]:
            notes.append(
                f"has a larger picture of {brief.shape[0]} x {brief.shape[1]} pixels below its "
                "first page, which was read."
            )
    if 37724 in page:
        besides.append("Photoshop layers")
        notes.append("holds Photoshop layers: the flattened picture was read.")
    found = _IMAGEJ_COUNT.search(page.text(270))
    if found and int(found[1][:9]) > max(1, 1 + len(others)):
        besides.append(f"an ImageJ stack of {int(found[1][:9])} pictures")
        notes.append(f"is an ImageJ stack of {int(found[1][:9])} pictures: the first was read.")
    if 33629 in page:  # MetaMorph lists the planes of a stack behind the strips of the first
        besides.append("a MetaMorph stack")
        notes.append("is a MetaMorph stack: its first plane was read.")
    if 34675 in page:
        besides.append("a colour profile, not applied")
    return notes, besides


# ----------------------------------------------------------------------------------- pixels


def _assembled(layout: Layout) -> npt.NDArray[Any]:
    """Samples of the whole page as (rows, columns, samples)."""
    whole: npt.NDArray[Any] = np.empty((layout.rows, layout.cols, layout.samples), layout.dtype)
    for index, row, samples in segments(layout):
        plane, top, left = layout.place_of(index)
        target = whole[top + row : top + row + len(samples), left : left + layout.wide]
        piece = samples[: target.shape[0], : target.shape[1]]
        if layout.separate:
            target[..., plane] = piece[..., 0]
        else:
            target[...] = piece
    return whole


def _coloured(
    layout: Layout, whole: npt.NDArray[Any], decoding: Decoding, photometric: int
) -> tuple[npt.NDArray[Any], Decoding]:
    page = layout.page
    pixels = whole[..., 0] if layout.samples == 1 else whole
    if photometric == _PALETTE:
        return _looked_up(page, layout, pixels, decoding)
    if photometric in (_CMYK, _YCBCR, _LAB):
        return _converted(pixels, decoding)
    converted = []
    if decoding.inverted:
        np.subtract(2**layout.bits - 1, pixels, out=pixels)
        converted.append("turned round, as 0 is white in the file")
    if layout.bits < 8:
        pixels = _stretched(pixels, layout.bits)
        converted.append(f"{layout.bits} bit{'s' * (layout.bits > 1)} brought to 8")
    elif layout.kind in "ui" and pixels.dtype not in (np.uint8, np.uint16):
        pixels = small_integers(pixels)
        converted.append(f"{layout.bits}-bit integers brought to 16")
    elif pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
        converted.append("16-bit floats brought to 32")
    if layout.samples == 2:  # grey and opacity
        pixels = pixels[..., [0, 0, 0, 1]]
        converted.append("grey and opacity became RGBA")
    return pixels, replace(decoding, converted=tuple(converted))


def _is_inverted(page: Page, layout: Layout) -> tuple[bool, str]:
    """Whether values have to be turned round, and what was assumed for that."""
    if layout.kind == "f":
        return False, "says that 0 is white of floats, which have no largest value: taken as stored"
    if layout.kind == "i" or layout.bits > 16:
        raise Refusal(
            f"says that 0 is white of {layout.bits}-bit integers, whose black is not known: "
            "save it with 8 or 16 bits."
        )
    by_tifffile = page.text(305).startswith("tifffile") or _WRITTEN_BY_TIFFFILE.match(
        page.text(270, 64)
    )
    if layout.bits == 1 and by_tifffile:
        # It stores bool arrays so, and gives them back unturned, as do napari and imageio.
        return False, (
            "holds true and false of tifffile (napari, imageio): true is read as white, though its "
            "tag says black"
        )
    return True, ""


def _stretched(pixels: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    levels = np.rint(np.arange(2**bits) * 255 / (2**bits - 1)).astype(np.uint8)
    return levels[pixels]


def _looked_up(
    page: Page, layout: Layout, pixels: npt.NDArray[Any], decoding: Decoding
) -> tuple[npt.NDArray[Any], Decoding]:
    table = np.array(page.integers(320, 3 * 256), np.uint16)
    if table.size != 3 * 2**layout.bits:
        raise Damage("its colour table is missing or of the wrong size")
    assumed = []
    if table.max() > 255:
        table >>= 8
    elif table.any():
        assumed.append("has a colour table of 8-bit values, where 16 are the rule")
    colours = np.ascontiguousarray(table.reshape(3, -1).T.astype(np.uint8))
    return colours[pixels], replace(
        decoding, converted=("the palette became RGB",), assumed=(*decoding.assumed, *assumed)
    )


def _converted(pixels: npt.NDArray[Any], decoding: Decoding) -> tuple[npt.NDArray[Any], Decoding]:
    """CMYK, YCbCr and LAB as RGB, by Pillow, band by band."""
    converted = [] if pixels.dtype == np.uint8 else ["16 bits brought to 8"]
    height, width = pixels.shape[:2]
    rgb: npt.NDArray[np.uint8] = np.empty((height, width, 3), np.uint8)
    mode, done = decoding.colour, ""
    step = max(1, _BAND_PIXELS // width)
    for top in range(0, height, step):
        band = pixels[top : top + step]
        band = band if band.dtype == np.uint8 else (band >> 8).astype(np.uint8)
        image = Image.frombytes(mode, (width, len(band)), band.tobytes(), "raw", mode)
        rgb[top : top + step], done = array_of(image)
    return rgb, replace(decoding, converted=(*converted, done))


def _by_pillow(
    layout: Layout, decoding: Decoding, photometric: int
) -> tuple[npt.NDArray[Any], Decoding]:
    """JPEG inside, by the libtiff of Pillow from a file of this page alone."""
    _check_streams(layout)
    with opened(rebuilt(layout, photometric, _KEPT), "TIFF") as image:
        if image.size != (layout.cols, layout.rows):
            raise Damage("its parts do not fit its size")
        pixels, done = array_of(image)
    return pixels, replace(decoding, decoder=DECODER, converted=(done,) if done else ())


def _check_streams(layout: Layout) -> None:
    """Hold the JPEG streams of all strips or tiles against the limits, before any is unpacked."""
    n_pixels = layout.tall * layout.wide
    scans = 0
    for start, count in zip(layout.offsets, layout.counts, strict=True):
        data = layout.page.source.exactly(start, count)
        here = len(_SCAN.findall(data))
        limits.check_scans(here, n_pixels)
        scans += here
        if scans * n_pixels > limits.MAX_SCANNED_PIXELS:
            limits.check_scans(scans, n_pixels)
        if here > 1:  # progressive: all coefficients are kept until the last scan
            limits.check_working(n_pixels * (2 * layout.samples + 4), "progressive JPEG")
        shape = jpeg_shape(data)
        if shape is None or shape[0] * shape[1] > 2 * n_pixels + 4096:
            raise Damage("a JPEG stream in it does not fit its strip or tile")
