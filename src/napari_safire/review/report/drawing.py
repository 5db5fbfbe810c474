"""Arrays drawn small enough for a page: contours, maps with a scale, cut-outs side by side.

Figures show where to look. What was measured was measured on the picture itself, never on these.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from napari_safire.examination.overlay import source_borders, tinted_heatmap
from napari_safire.forgery import ForgeryMap
from napari_safire.palette import Rgb, source_colour
from napari_safire.types import FloatImage

RgbImage = npt.NDArray[np.uint8]
Window = tuple[int, int, int, int]
"""Top row, left column, and the row and column behind the last ones."""

LONGEST = 1_000
"""Pixels of a figure's longer side, at most."""
_HEAVY = 150_000  # bytes of a PNG
_LEAST = 320  # small pictures are enlarged, each pixel a square, until a side is as long
_PANEL = 400  # pixels: height of each cut-out of a row, and its width at most
_GAP = 10
_PAPER: Rgb = (255, 255, 255)
_INK: Rgb = (20, 20, 20)
_MARK: Rgb = (255, 0, 200)  # a frame in no colour that photographs or the first sources have
_SCALE = 26  # pixels: height of a colour scale with its numbers


def encoded(pixels: RgbImage) -> bytes:
    """Write pixels as a file.

    Parameters
    ----------
    pixels : (h, w, 3) uint8 array

    Returns
    -------
    bytes
        A PNG; a JPEG (90, colours at full resolution) where that would be heavy, as photographs
        are. One version of Pillow gives the same bytes for the same pixels.
    """
    image, buffer = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    image.save(buffer, format="PNG", compress_level=6)
    if buffer.tell() > _HEAVY:
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def fitted_size(shape: Sequence[int], longest: int = LONGEST) -> tuple[int, int]:
    """Rows and columns at which a picture is drawn.

    Parameters
    ----------
    shape : (H, W, …)
    longest : int
        Pixels that neither side exceeds.

    Returns
    -------
    (int, int)
        Larger pictures are reduced; small ones are enlarged by a whole factor.
    """
    height, width = shape[0], shape[1]
    largest = max(height, width)
    if largest > longest:
        return (
            max(1, round(height * longest / largest)),
            max(1, round(width * longest / largest)),
        )
    factor = max(1, min(_LEAST, longest) // largest)
    return height * factor, width * factor


def resized(pixels: RgbImage, size: tuple[int, int]) -> RgbImage:
    """Bring a picture to a size: means of areas when it gets smaller, squares when larger."""
    if pixels.shape[:2] == size:
        return pixels
    larger = size[0] >= pixels.shape[0] and size[1] >= pixels.shape[1]
    how = Image.Resampling.NEAREST if larger else Image.Resampling.BOX
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((size[1], size[0]), how))


def nearest(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Take for each place of another size the value at its centre."""
    rows, cols = (
        np.minimum(((np.arange(n) + 0.5) * old / n).astype(np.int64), old - 1)
        for n, old in zip(size, values.shape, strict=False)
    )
    return values[rows[:, None], cols]


def contours(rgb: RgbImage, labels: npt.NDArray[Any], longest: int = LONGEST) -> RgbImage:
    """Draw the borders of sources over a picture, each on its own side in the source's colour.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    labels : (H, W) int array
        Sources from 0.
    longest : int

    Returns
    -------
    (h, w, 3) uint8 array
        With the number of each source, from 1, at the widest place of its largest part.
    """
    size = fitted_size(rgb.shape, longest)
    shown = nearest(labels, size)
    picture = resized(rgb, size).copy()
    numbers = [int(number) for number in np.unique(shown)]
    width = max(1, round(min(size) / 300))
    rim = ndimage.binary_dilation(source_borders(shown), iterations=2 * width + 1)
    colours = np.zeros((max(numbers) + 1, 3), np.uint8)
    for number in numbers:
        colours[number] = source_colour(number)
    picture[rim] = colours[shown[rim]]
    line = ndimage.binary_dilation(source_borders(shown), iterations=max(1, width // 2))
    picture[line] = 255
    image = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(max(14, max(size) // 40))
    for number in numbers:
        _number(draw, font, shown == number, number)
    return np.asarray(image)


def _number(draw: ImageDraw.ImageDraw, font: Any, mask: npt.NDArray[np.bool_], number: int) -> None:
    parts, count = ndimage.label(mask)
    if count > 1:
        mask = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(np.argmax(depth)), depth.shape)
    text = str(number + 1)
    left, top, right, bottom = draw.textbbox((float(col), float(row)), text, font, anchor="mm")
    draw.rectangle((left - 4, top - 3, right + 4, bottom + 3), source_colour(number), (255,) * 3)
    red, green, blue = source_colour(number)
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140
    draw.text((float(col), float(row)), text, _PAPER if dark else _INK, font, anchor="mm")


def forgery_map(rgb: RgbImage, forgery: ForgeryMap, longest: int = LONGEST) -> RgbImage:
    """Draw a forgery map over the grey picture, with a scale from 0 to 1 below.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    forgery : ForgeryMap
        With an (H, W) heatmap. Muted unless its verdict is "forged".
    longest : int

    Returns
    -------
    (h, w, 3) uint8 array
    """
    size = fitted_size(rgb.shape, longest)
    heat = Image.fromarray(forgery.heatmap).resize((size[1], size[0]), Image.Resampling.BOX)
    muted = bool(forgery.caveat)
    drawn = heat_over(resized(rgb, size), np.asarray(heat, np.float32), muted=muted)
    ramp = np.broadcast_to(np.linspace(0, 1, size[1], dtype=np.float32), (_SCALE // 2, size[1]))
    bar = tinted_heatmap(np.full(ramp.shape, 200, np.float32), ramp, muted=muted)
    return _with_scale(drawn, bar, ("0", "1"))


def heat_over(rgb: RgbImage, heatmap: FloatImage, *, muted: bool) -> RgbImage:
    """Draw a heatmap over a grey picture of its size.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    heatmap : (H, W) float32 array
    muted : bool
        In fog, as of every verdict but "forged".

    Returns
    -------
    (H, W, 3) uint8 array
    """
    grey = (rgb @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float32, copy=False)
    return tinted_heatmap(grey, np.clip(heatmap, 0, 1), muted=muted)


def _with_scale(picture: RgbImage, bar: RgbImage, ends: tuple[str, str]) -> RgbImage:
    height, width = picture.shape[:2]
    canvas = Image.new("RGB", (width, height + 4 + _SCALE), _PAPER)
    canvas.paste(Image.fromarray(picture), (0, 0))
    canvas.paste(Image.fromarray(np.ascontiguousarray(bar)), (0, height + 4))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    below = height + 4 + _SCALE
    draw.text((1, below), ends[0], _INK, font, anchor="ld")
    draw.text((width - 1, below), ends[1], _INK, font, anchor="rd")
    return np.asarray(canvas)


def framed(small: RgbImage, window: Window, shape: Sequence[int]) -> RgbImage:
    """Draw a frame around a part of a picture that is drawn small.

    Parameters
    ----------
    small : (h, w, 3) uint8 array
        The whole picture.
    window : Window
        In pixels of the picture.
    shape : (H, W, …)
        Of the picture.

    Returns
    -------
    (h, w, 3) uint8 array
    """
    image = Image.fromarray(small.copy())
    down, across = small.shape[0] / shape[0], small.shape[1] / shape[1]
    top, left, bottom, right = window
    box = (
        round(left * across),
        round(top * down),
        max(round(left * across), round(right * across) - 1),
        max(round(top * down), round(bottom * down) - 1),
    )
    draw = ImageDraw.Draw(image)
    draw.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), outline=_PAPER)
    draw.rectangle(box, outline=_MARK, width=2)
    return np.asarray(image)


def side_by_side(panels: Sequence[RgbImage], height: int = _PANEL) -> RgbImage:
    """Lay pictures beside each other on white, none higher or wider than asked."""
    small = [resized(panel, fitted_size(panel.shape, height)) for panel in panels]
    rows = max(panel.shape[0] for panel in small)
    width = sum(panel.shape[1] for panel in small) + _GAP * (len(small) - 1)
    canvas = np.full((rows, width, 3), 255, np.uint8)
    left = 0
    for panel in small:
        canvas[: panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _GAP
    return canvas
