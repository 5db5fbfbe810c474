"""Pictures for the eye: sources in colour over the image, and the heatmap over it.

Visual aids only: the numbers are in the label image and the 16-bit files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from napari_safire.forgery import ForgeryMap
from napari_safire.images.pixels import PictureReader
from napari_safire.palette import GLOW, MUTED, MUTED_SHARE, Rgb, source_colour
from napari_safire.types import FloatImage, LabelImage

RgbImage = npt.NDArray[np.uint8]

_TINT = 0.45
_HEAT = 0.8
_LEGEND_BACKGROUND: Rgb = (32, 32, 32)
_LEGEND_TEXT: Rgb = (235, 235, 235)
_SMALLEST_LEGEND = 200  # pixels wide
_LONGEST_SIDE = 4096


def render_sources(
    pixels: npt.NDArray[Any], labels: LabelImage, captions: Sequence[str]
) -> RgbImage:
    """Tint every source, draw the borders, and add a legend below.

    Parameters
    ----------
    pixels : (H, W), (H, W, 3) or (H, W, 4) array
        Any type that `Engine.embed` takes.
    labels : (H, W) int array
    captions : sequence of str
        What the legend says of source 0, 1, ...

    Returns
    -------
    (h, w, 3) uint8 array
        Image and legend. Sides longer than 4096 pixels are thinned out by a whole factor.

    Raises
    ------
    ValueError
        Labels of another size than the image, or without a caption.
    """
    if labels.shape != pixels.shape[:2]:
        raise ValueError(
            f"Labels of shape {labels.shape} do not belong to an image of {pixels.shape[:2]}."
        )
    if labels.max() >= len(captions):
        raise ValueError(f"Source {labels.max()} has no caption: give one for every source.")
    step = _thinning(labels.shape)
    shown = labels[::step, ::step]
    colours = np.array([source_colour(k) for k in range(len(captions))], dtype=np.float32)
    picture = (1 - _TINT) * _grey(pixels, step)[..., None] + _TINT * colours[shown]
    # white with a dark rim can be seen on any ground
    width = max(1, round(min(shown.shape) / 400))
    border = source_borders(shown)
    picture[ndimage.binary_dilation(border, iterations=2 * width)] = 0
    picture[ndimage.binary_dilation(border, iterations=width)] = 255
    entries = [(source_colour(k), caption) for k, caption in enumerate(captions)]
    return _with_legend(np.rint(picture).astype(np.uint8), entries)


def render_heatmap(pixels: npt.NDArray[Any], forgery: ForgeryMap, caption: str) -> RgbImage:
    """Colour the image where the forgery map is high, and add a legend below.

    A map whose verdict is not "forged" is drawn muted, in another colour, with its caveat in the
    legend: nobody shall take a picture of it for an accusation.

    Parameters
    ----------
    pixels : (H, W), (H, W, 3) or (H, W, 4) array
    forgery : ForgeryMap
        With an (H, W) heatmap.
    caption : str

    Returns
    -------
    (h, w, 3) uint8 array

    Raises
    ------
    ValueError
        A heatmap of another size than the image.
    """
    heatmap = forgery.heatmap
    if heatmap.shape != pixels.shape[:2]:
        raise ValueError(
            f"A heatmap of shape {heatmap.shape} does not belong to an image of {pixels.shape[:2]}."
        )
    step = _thinning(heatmap.shape)
    muted = bool(forgery.caveat)
    picture = tinted_heatmap(_grey(pixels, step), heatmap[::step, ::step], muted=muted)
    told = " ".join(filter(None, (caption, forgery.caveat)))
    return _with_legend(picture, [(MUTED if muted else GLOW, told)])


def tinted_heatmap(grey: FloatImage, heatmap: FloatImage, *, muted: bool) -> RgbImage:
    """Colour a grey picture where a heatmap is high.

    Parameters
    ----------
    grey : (h, w) float32 array in 0 .. 255
    heatmap : (h, w) float32 array in [0, 1]
    muted : bool
        In fog, as of every verdict but "forged".

    Returns
    -------
    (h, w, 3) uint8 array
    """
    colour, strongest = (MUTED, _HEAT * MUTED_SHARE) if muted else (GLOW, _HEAT)
    share = strongest * heatmap[..., None]
    picture = (1 - share) * grey[..., None] + share * np.array(colour, np.float32)
    return np.rint(picture).astype(np.uint8)


def _thinning(shape: tuple[int, ...]) -> int:
    return -(-max(shape) // _LONGEST_SIDE)


def _grey(pixels: npt.NDArray[Any], step: int) -> FloatImage:
    """Every step-th pixel as grey values 0..255, scaled as the engine scales them."""
    height, width = pixels.shape[:2]
    rgb = PictureReader(pixels).crop(slice(0, height, step), slice(0, width, step))
    return rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)


def source_borders(labels: LabelImage) -> npt.NDArray[np.bool_]:
    """(H, W) bool: pixels whose right or lower neighbour is of another source."""
    border = np.zeros(labels.shape, dtype=bool)
    border[:-1] |= labels[:-1] != labels[1:]
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return border


def _with_legend(picture: RgbImage, entries: Sequence[tuple[Rgb, str]]) -> RgbImage:
    """Picture with coloured squares and captions below, in as many lines as they need."""
    height, width = picture.shape[:2]
    width = max(width, _SMALLEST_LEGEND)
    size = min(max(12, width // 48), 40)
    font = ImageFont.load_default(size)
    gap = size // 2
    places: list[tuple[int, int, list[str]]] = []
    x, y = gap, height + gap
    for _, caption in entries:
        lines = _wrapped(caption, font, width - 3 * gap - size)
        needed = size + gap + max(int(font.getlength(line)) for line in lines)
        if x > gap and x + needed > width - gap:
            x, y = gap, y + size + gap
        places.append((x, y, lines))
        x += needed + 2 * gap
        y += (len(lines) - 1) * (size + gap)
    canvas = Image.new("RGB", (width, y + size + gap), _LEGEND_BACKGROUND)
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for (left, top, lines), (colour, _) in zip(places, entries, strict=True):
        draw.rectangle((left, top, left + size - 1, top + size - 1), fill=colour)
        for number, line in enumerate(lines):
            where = (left + size + gap, top + size / 2 + number * (size + gap))
            draw.text(where, line, _LEGEND_TEXT, font, anchor="lm")
    return np.asarray(canvas)


def _wrapped(caption: str, font: Any, width: int) -> list[str]:
    """Lines of a caption that fit a width, as far as its words do."""
    lines = [""]
    for word in caption.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
