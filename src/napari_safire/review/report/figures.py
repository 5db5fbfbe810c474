"""The figures of a report: the picture, its partition, the forgery map, what each finding saw."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_safire.errors import SafireError
from napari_safire.forensics.evidence import Evidence
from napari_safire.forensics.export import render_links, render_map
from napari_safire.progress import Cancel, Progress, report
from napari_safire.review.report import drawing
from napari_safire.review.report.document import figure_file, window_of
from napari_safire.review.values import Finding

if TYPE_CHECKING:
    from napari_safire.review.analysis import Analysis

_MOST_PIXELS = 12_000_000  # of the figures of all findings together: forty are drawn smaller
_PANEL, _LEAST_PANEL = 400, 160
_OWN_CAVEATS = {
    "partition": "Borders are as coarse as the model's patches; see the limitations.",
    "uncertainty": "Brighter: the source of a pixel is less clear. It is the model's own estimate.",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of a report.

    Parameters
    ----------
    id : str
        "picture", "partition", "forgery-map", "finding-3", "view-noise-level".
    caption : str
    caveat : str
        When not to trust what it shows; empty for nothing.
    data : bytes
        Of a PNG or JPEG file.
    """

    id: str
    caption: str
    caveat: str
    data: bytes

    def as_record(self) -> dict[str, Any]:
        """Return what the document says of it."""
        return {
            "id": self.id,
            "caption": self.caption,
            "caveat": self.caveat,
            "file": figure_file(self.id, self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(),
        }


def make_figures(
    analysis: Analysis,
    findings: Sequence[Finding],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> tuple[Figure, ...]:
    """Draw the figures of a report.

    Parameters
    ----------
    analysis : Analysis
    findings : sequence of Finding
        Those chosen for the report, in its order.
    progress, cancel : callable, optional

    Returns
    -------
    tuple of Figure
        Of a picture whose pixels cannot be read: none.

    Raises
    ------
    Cancelled
    """
    if analysis.picture.why_no_pixels:
        return ()
    return tuple(
        [
            *_of_picture(analysis),
            *_of_findings(analysis, findings, progress, cancel),
            *_of_views(analysis),
        ]
    )


def _of_picture(analysis: Analysis) -> Iterator[Figure]:
    rgb = analysis.picture.rgb
    height, width = rgb.shape[:2]
    size = drawing.fitted_size(rgb.shape)
    told = f"The picture, {height} x {width} pixels (rows x columns)."
    yield Figure("picture", told, _reduced(rgb.shape), drawing.encoded(drawing.resized(rgb, size)))
    if analysis.labels is not None:
        number = len(np.unique(analysis.labels))
        told = "One source." if number == 1 else f"{number} sources, outlined and numbered."
        drawn = drawing.contours(rgb, analysis.labels)
        yield Figure("partition", told, _OWN_CAVEATS["partition"], drawing.encoded(drawn))
    if analysis.forgery is not None:
        drawn = drawing.forgery_map(rgb, analysis.forgery)
        told = "The forgery map over the grey picture, from 0 (none) to 1."
        yield Figure("forgery-map", told, analysis.forgery.caveat, drawing.encoded(drawn))


def _reduced(shape: Sequence[int]) -> str:
    size = drawing.fitted_size(shape)
    if size[0] >= shape[0]:
        return ""
    return f"Reduced to {size[0]} x {size[1]} pixels for the report: look at the file itself."


def _of_views(analysis: Analysis) -> Iterator[Figure]:
    for name, pixels in analysis.thumbnails.items():
        view = analysis.views[name].view
        figure = f"view-{name.lower().replace(' ', '-')}"
        yield Figure(figure, f"{name}: {view.shows}", view.misleads, drawing.encoded(pixels))


def _of_findings(
    analysis: Analysis,
    findings: Sequence[Finding],
    progress: Progress | None,
    cancel: Cancel | None,
) -> Iterator[Figure]:
    """Each view with its parameters is made once, however many findings look into it."""
    panel = max(_LEAST_PANEL, min(_PANEL, int((_MOST_PIXELS / 3 / max(1, len(findings))) ** 0.5)))
    drawn: dict[int, Figure] = {}
    done = 0
    for places in _alike(findings).values():
        view = _View(analysis, findings[places[0]])
        for place in places:
            report(progress, cancel, done, len(findings), "drawing the findings")
            figure = _of_finding(analysis, view, findings[place], place + 1, panel)
            if figure is not None:
                drawn[place] = figure
            done += 1
    for place in sorted(drawn):
        yield drawn[place]


def _alike(findings: Sequence[Finding]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, finding in enumerate(findings):
        key = repr((finding.view, sorted(finding.parameters.items(), key=repr)))
        places.setdefault(key, []).append(place)
    return places


def _of_finding(
    analysis: Analysis, view: _View, finding: Finding, number: int, panel: int
) -> Figure | None:
    """Where it lies, the picture there, the view there; None where there is no place to show."""
    rgb = analysis.picture.rgb
    if finding.viewport is None:
        if view.pixels is None:
            return None
        window = (0, 0, *rgb.shape[:2])
    else:
        told = window_of(finding.viewport, rgb.shape)
        if told is None:
            return None
        window = told
    top, left, bottom, right = window
    whole = window == (0, 0, *rgb.shape[:2])
    panels = [] if whole else [drawing.framed(rgb, window, panel)]
    panels.append(rgb[top:bottom, left:right])
    if view.pixels is not None:
        panels.append(view.cut(window))
    place = "the whole picture" if whole else f"rows {top} to {bottom - 1}, columns {left} to "
    place += "" if whole else f"{right - 1}"
    name = finding.view or "picture"
    caption = f"Finding {number}: {name}, {place}.{view.remark}"
    pixels = drawing.side_by_side(panels, panel)
    return Figure(f"finding-{number}", caption, view.caveat, drawing.encoded(pixels))


class _View:
    """What a finding looked at, as pixels that lie over the picture.

    Parameters
    ----------
    analysis : Analysis
    finding : Finding

    Attributes
    ----------
    pixels : (h, w, 3) uint8 array or None
        None for the picture itself, for views without a map, and for those that cannot be made.
    caveat, remark : str
    """

    def __init__(self, analysis: Analysis, finding: Finding) -> None:
        self._shape = analysis.picture.rgb.shape[:2]
        self._cell, self._origin = 1, (0, 0)
        self.pixels: npt.NDArray[np.uint8] | None = None
        self.caveat, self.remark = "", ""
        name = finding.view
        if name in ("", "picture"):
            return
        try:
            self._draw(analysis, name, finding.parameters)
        except (SafireError, ValueError, TypeError, OSError) as error:
            self.remark = f" The view is not drawn: {str(error).rstrip('.')}."

    def cut(self, window: drawing.Window) -> npt.NDArray[np.uint8]:
        """Return the part of the view that lies over a part of the picture."""
        assert self.pixels is not None
        rows, cols = (
            np.clip((np.arange(low, high) - start) // self._cell, 0, size - 1)
            for low, high, start, size in zip(
                window[:2], window[2:], self._origin, self.pixels.shape[:2], strict=True
            )
        )
        return self.pixels[rows[:, None], cols]

    def _draw(self, analysis: Analysis, name: str, parameters: Mapping[str, Any]) -> None:
        rgb = analysis.picture.rgb
        if name in ("partition", "sources"):
            if analysis.labels is None:
                raise ValueError("there is no partition")
            self.pixels = drawing.contours(rgb, analysis.labels, max(self._shape))
            self.caveat = _OWN_CAVEATS["partition"]
        elif name == "forgery map":
            if analysis.forgery is None:
                raise ValueError("there is no forgery map")
            self.pixels = drawing.heat_over(rgb, analysis.forgery)
            self.caveat = analysis.forgery.caveat
        elif name == "uncertainty":
            self.pixels = _uncertainty(analysis)
            self.caveat = _OWN_CAVEATS["uncertainty"]
        elif name in analysis.views:
            view = analysis.views[name].with_parameters(**parameters)
            self._take(view.result, rgb)
            self.caveat = view.caveat
        else:
            raise ValueError(f"no view is called {name!r}")

    def _take(self, found: Evidence, rgb: npt.NDArray[np.uint8]) -> None:
        if found.map is not None:
            self.pixels = render_map(found.map)
            self._cell, self._origin = found.map.cell, found.map.origin
            low, high = found.map.limits
            unit = f" {found.map.unit}" if found.map.unit else ""
            scale = f", {low:.3g} to {high:.3g}{unit}" if found.map.values.ndim == 2 else ""
            self.remark = f" {found.map.means.capitalize()}{scale}." if found.map.means else ""
        elif found.links is not None:
            self.pixels = render_links(found.links, rgb)


def _uncertainty(analysis: Analysis) -> npt.NDArray[np.uint8]:
    from napari_safire.annotation.region_labels import partition_uncertainty

    if analysis.partition is None:
        raise ValueError("there is no partition")
    values = partition_uncertainty(analysis.partition)
    grey = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
