"""Rows of the region table in plain words."""

from __future__ import annotations

from napari_safire.review.regions.values import RegionMeasure, RegionRow

_SMALL, _LARGE = 0.147, 0.474
"""Cliff's deltas that are small and large: J. Romano et al., Florida Association of Institutional
Research (2006)."""


def words_of(row: RegionRow, measure: RegionMeasure) -> str:
    """Say what a row says.

    Parameters
    ----------
    row : RegionRow
    measure : RegionMeasure
        Of the row.

    Returns
    -------
    str
        Without the source's number: "much noisier than the rest (4.1 against 2.3 grey levels)".
    """
    if row.effect is None or row.interval is None or row.inside is None or row.rest is None:
        return f"not applicable: {row.why_not}"
    unit = f" {measure.unit}" if measure.unit else ""
    figures = f"({_figure(row.inside)} against {_figure(row.rest)}{unit})"
    low, high = row.interval
    if low <= 0 <= high:
        return f"not told apart from the rest {figures}"
    if abs(row.effect) < _SMALL:
        return f"nearly like the rest {figures}"
    word = measure.low_word if row.effect < 0 else measure.high_word
    degree = "slightly " if abs(row.effect) < _LARGE else ""
    if (row.inside - row.rest) * row.effect < 0:  # as where few cells hold most of what is clipped
        return f"{degree}{word} in most cells {figures[:-1]} on the whole)"
    return f"{degree}{word} {figures}"


def _figure(value: float) -> str:
    """Three digits at most, none after the point where it would be noise."""
    return (
        f"{value:.0f}"
        if abs(value) >= 100
        else f"{value:.3g}"
        if abs(value) >= 1
        else f"{value:.2f}"
    )
