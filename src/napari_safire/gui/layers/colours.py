"""Colours of sources in labels layers, the same as in exported overlays."""

from __future__ import annotations

from typing import Literal

from napari.utils.colormaps import Colormap, DirectLabelColormap

from napari_safire.palette import MUTED, MUTED_SHARE, source_colour

MUTED_NAME = "muted (no evidence)"
MAP_NAMES = {False: "forgery map", True: "forgery map (no evidence)"}
"""Of layers, by whether the map is muted."""
UNCERTAINTY_COLOURS = "viridis"
Colour = tuple[float, float, float, float]

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
