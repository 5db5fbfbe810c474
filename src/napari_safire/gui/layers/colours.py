"""Colours of sources in labels layers, the same as in exported overlays."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from napari.utils.colormaps import Colormap, DirectLabelColormap

from napari_safire.palette import MUTED, MUTED_SHARE, source_colour

MUTED_NAME = "muted (no evidence)"
MAP_NAMES = {False: "forgery map", True: "forgery map (no evidence)"}
"""Of layers, by whether the map is muted."""
UNCERTAINTY_COLOURS = "viridis"
Colour = tuple[float, float, float, float]

PROMPT_BORDER = 0.25
"""Of a prompt's size: border and face have about the same area."""
_LOW, _HIGH = 0.5, 1.0  # confidence is a pixel accuracy: half is guessing
_LIGHT = 0.18  # luminance from which a colour has more contrast with black than with white
_LUMINANCE = (0.2126, 0.7152, 0.0722)
_DARK_FACE, _LIGHT_FACE = (0.3, 0.0), (0.7, 1.0)  # greys of the least and the surest
_TRANSPARENT: Colour = (0.0, 0.0, 0.0, 0.0)
_WHITE: Colour = (1.0, 1.0, 1.0, 1.0)


def source_rgba(source: int) -> Colour:
    """Colour of a source, counted from 0, as napari takes it.

    Parameters
    ----------
    source : int

    Returns
    -------
    (red, green, blue, opacity), each in [0, 1]
    """
    red, green, blue = source_colour(source)
    return red / 255, green / 255, blue / 255, 1.0


def source_colormap(n: int, first: Literal[0, 1] = 0) -> DirectLabelColormap:
    """Colours of a labels layer of sources.

    Parameters
    ----------
    n : int
        How many sources have a colour, each its own. Labels beyond are white,
        so that nothing painted is invisible.
    first : {0, 1}
        Label of the first source. With 1, label 0 means "no source yet" and is transparent.

    Returns
    -------
    napari.utils.colormaps.DirectLabelColormap

    Raises
    ------
    ValueError
        If `n` is below 1 or `first` is not 0 or 1.
    """
    if n < 1:
        raise ValueError(f"The number of sources must be at least 1, not {n}.")
    if first not in (0, 1):
        raise ValueError(f"The first source has the label 0 or 1, not {first}.")
    colours: dict[int | None, Colour] = {first + k: source_rgba(k) for k in range(n)}
    return DirectLabelColormap(
        color_dict={0: _TRANSPARENT, **colours, None: _WHITE}, background_value=0
    )


def forgery_colormap(*, muted: bool) -> str | Colormap:
    """Colours of a forgery map from 0 to 1.

    Parameters
    ----------
    muted : bool
        Of a map whose verdict is not "forged": it veils the picture and glows nowhere, so that its
        highest values cannot be taken for an accusation.

    Returns
    -------
    str or napari.utils.colormaps.Colormap
        As layers take it.
    """
    if not muted:
        return "magma"
    red, green, blue = (value / 255 for value in MUTED)
    clear, full = (red, green, blue, 0.0), (red, green, blue, 2 * MUTED_SHARE)  # at half opacity
    return Colormap([clear, full], name=MUTED_NAME)


def face_colours(
    borders: npt.NDArray[np.float64], confidences: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Greys of prompts that stand out from their borders: no ground hides both.

    The surer, the nearer to black (in a light border) or white (in a dark one).

    Parameters
    ----------
    borders : (N, 4) float array
        Colours of their sources, 0 to 1.
    confidences : (N,) float array
        NaN where not known: drawn as the least sure.

    Returns
    -------
    (N, 4) float array
    """
    sure = np.clip((np.nan_to_num(confidences, nan=_LOW) - _LOW) / (_HIGH - _LOW), 0, 1)
    light = (borders[:, :3] ** 2.2) @ np.array(_LUMINANCE) > _LIGHT
    grey = np.where(
        light, np.interp(sure, (0, 1), _DARK_FACE), np.interp(sure, (0, 1), _LIGHT_FACE)
    )
    return np.stack([grey, grey, grey, np.ones_like(grey)], axis=1)
