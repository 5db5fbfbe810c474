"""The figures of a report: the picture, its partition, the forgery map, what each finding saw."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_safire.progress import Cancel, Progress, report
from napari_safire.review.report import drawing
from napari_safire.review.report.document import figure_file, window_of
from napari_safire.review.report.finding_view import FORGERY_LEGEND, PARTITION_CAVEAT, FindingView
from napari_safire.review.values import Finding

if TYPE_CHECKING:
    from napari_safire.review.analysis import Analysis

_MOST_PIXELS = 12_000_000  # of the figures of all findings together: forty are drawn smaller
_PANEL, _LEAST_PANEL = 400, 160


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
        yield Figure("partition", told, PARTITION_CAVEAT, drawing.encoded(drawn))
    if analysis.forgery is not None:
        drawn = drawing.forgery_map(rgb, analysis.forgery)
        told = f"The forgery map over the grey picture, with its scale. {FORGERY_LEGEND}"
        yield Figure("forgery-map", told, analysis.forgery.caveat, drawing.encoded(drawn))


def _reduced(shape: Sequence[int]) -> str:
    size = drawing.fitted_size(shape)
    if size[0] >= shape[0]:
        return ""
    return f"Reduced to {size[0]} x {size[1]} pixels for the report: look at the file itself."


def _of_views(analysis: Analysis) -> Iterator[Figure]:
    legends = {one["name"]: one.get("legend", "") for one in analysis.evidence}
    for name, pixels in analysis.thumbnails.items():
        view = analysis.views[name].view
        told = f"{name}: {view.shows} {legends.get(name, '')}".rstrip()
        figure = f"view-{re.sub('[^a-z0-9]+', '-', name.lower())}"
        yield Figure(figure, told, view.misleads, drawing.encoded(pixels))


def _of_findings(
    analysis: Analysis,
    findings: Sequence[Finding],
    progress: Progress | None,
    cancel: Cancel | None,
) -> Iterator[Figure]:
    """Each view with its parameters is made once, however many findings look into it."""
    side = max(_LEAST_PANEL, min(_PANEL, int((_MOST_PIXELS / 3 / max(1, len(findings))) ** 0.5)))
    rgb = analysis.picture.rgb
    small = drawing.resized(rgb, drawing.fitted_size(rgb.shape, side)) if findings else rgb
    drawn: dict[int, Figure] = {}
    done = 0
    for places in _alike(findings).values():
        view = FindingView(analysis, findings[places[0]])
        for place in places:
            report(progress, cancel, done, len(findings), "drawing the findings")
            figure = _of_finding(rgb, small, view, findings[place], place + 1)
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
    rgb: npt.NDArray[np.uint8],
    small: npt.NDArray[np.uint8],
    view: FindingView,
    finding: Finding,
    number: int,
) -> Figure | None:
    """Where it lies, the picture there, the view there; None where there is no place to show."""
    window: drawing.Window = (0, 0, rgb.shape[0], rgb.shape[1])
    told = None if finding.viewport is None else window_of(finding.viewport, rgb.shape)
    if told is None and (finding.viewport is not None or view.cut is None):
        return None
    is_part = told is not None and told != window
    window = told or window
    top, left, bottom, right = window
    side = max(small.shape[:2])
    panels = [drawing.framed(small, window, rgb.shape)] if is_part else []
    panels.append(rgb[top:bottom, left:right])
    names = ["the whole", "the picture there"] if is_part else ["the picture"]
    if view.cut is not None:
        panels.append(view.cut(window, side))
        names.append("the view")
    place = f"rows {top} to {bottom - 1}, columns {left} to {right - 1}" if is_part else "all of it"
    order = f" From the left: {', '.join(names)}." if len(names) > 1 else ""
    caption = f"Finding {number}: {finding.view or 'picture'}, {place}.{order}{view.remark}"
    pixels = drawing.side_by_side(panels, side)
    return Figure(f"finding-{number}", caption, view.caveat, drawing.encoded(pixels))
