"""What a finding looked at, drawn again for the part of the picture that was on screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.region_labels import partition_uncertainty
from napari_safire.errors import Cancelled, SafireError, sentence
from napari_safire.forensics.evidence import Evidence
from napari_safire.forensics.export import drawn_legend, render_links, render_map
from napari_safire.review.report import drawing
from napari_safire.review.values import Finding
from napari_safire.review.voting import VOTES

if TYPE_CHECKING:
    from napari_safire.review.analysis import Analysis

PARTITION_CAVEAT = "Borders are as coarse as the model's patches; see the limitations."
FORGERY_LEGEND = "Grey: 0, nothing accused; the fuller the colour, the nearer to 1."
_UNCERTAINTY_LEGEND = "Brighter: the source of a pixel is less clear, 0 to 1."
_UNCERTAINTY_CAVEAT = "It is the model's own estimate."
Cut = Callable[[drawing.Window, int], npt.NDArray[np.uint8]]
"""Draws a part of the picture, no side longer than so many pixels or as the part is."""


class FindingView:
    """A view with the parameters of a finding.

    Parameters
    ----------
    analysis : Analysis
        Of a picture whose pixels could be read.
    finding : Finding

    Attributes
    ----------
    cut : Cut or None
        None for the picture itself, for views without a map, and for those that cannot be made.
    caveat : str
        When not to trust what it shows.
    remark : str
        What is bright, or why nothing is drawn; begins with a blank.
    """

    def __init__(self, analysis: Analysis, finding: Finding) -> None:
        self.cut: Cut | None = None
        self.caveat, self.remark = "", ""
        if finding.view in ("", "picture"):
            return
        try:
            self._draw(analysis, finding.view, finding.parameters)
        except Cancelled:
            raise
        except (SafireError, ValueError, TypeError, OSError) as error:
            self.remark = f" The view is not drawn: {sentence(error).rstrip('.')}."

    def _draw(self, analysis: Analysis, name: str, parameters: Mapping[str, Any]) -> None:
        if name in ("partition", "sources"):
            self._take_partition(analysis)
        elif name == "forgery map":
            self._take_forgery_map(analysis)
        elif name == "uncertainty":
            self._take_uncertainty(analysis)
        elif name == VOTES:
            self._take_votes(analysis)
        elif name in analysis.views:
            if parameters.get("reference"):
                # A case may come from anybody: it opens no other file, and puts none into a report.
                raise ValueError("another picture, which a case only names, is not opened")
            view = analysis.views[name].with_parameters(**parameters)
            self._take(view.result, analysis.picture.rgb)
            self.caveat = view.caveat
        else:
            raise ValueError(f"no view is called {name!r}")

    def _take_partition(self, analysis: Analysis) -> None:
        rgb, labels = analysis.picture.rgb, analysis.labels
        if labels is None:
            raise ValueError("there is no partition")
        self.cut = lambda window, side: drawing.contours(
            rgb[_part(window)], labels[_part(window)], side
        )
        self.caveat = PARTITION_CAVEAT

    def _take_forgery_map(self, analysis: Analysis) -> None:
        rgb, forgery = analysis.picture.rgb, analysis.forgery
        if forgery is None:
            raise ValueError("there is no forgery map")
        muted = bool(forgery.caveat)
        self.cut = lambda window, side: drawing.heat_over(
            rgb[_part(window)], forgery.heatmap[_part(window)], muted=muted
        )
        self.caveat, self.remark = forgery.caveat, f" {FORGERY_LEGEND}"

    def _take_uncertainty(self, analysis: Analysis) -> None:
        if analysis.partition is None:
            raise ValueError("there is no partition")
        values = np.clip(partition_uncertainty(analysis.partition), 0, 1)
        self._take_pixels(np.repeat(np.rint(values * 255).astype(np.uint8)[..., None], 3, axis=2))
        self.caveat, self.remark = _UNCERTAINTY_CAVEAT, f" {_UNCERTAINTY_LEGEND}"

    def _take_votes(self, analysis: Analysis) -> None:
        if analysis.votes is None:
            raise ValueError("there are no votes")
        rgb = analysis.picture.rgb
        self._take(Evidence(map=analysis.votes.as_map(analysis.picture.shape)), rgb)

    def _take(self, found: Evidence, rgb: npt.NDArray[np.uint8]) -> None:
        legend = drawn_legend(found)
        self.remark = f" {legend}" if legend else ""
        if found.map is not None:
            self._take_pixels(render_map(found.map), found.map.cell, found.map.origin)
        elif found.links is not None:
            self._take_pixels(render_links(found.links, rgb))

    def _take_pixels(
        self, pixels: npt.NDArray[np.uint8], cell: int = 1, origin: tuple[int, int] = (0, 0)
    ) -> None:
        def cut(window: drawing.Window, side: int) -> npt.NDArray[np.uint8]:
            rows, cols = (
                np.clip((np.arange(low, high) - start) // cell, 0, size - 1)
                for low, high, start, size in zip(
                    window[:2], window[2:], origin, pixels.shape[:2], strict=True
                )
            )
            return pixels[rows[:, None], cols]

        self.cut = cut


def _part(window: drawing.Window) -> tuple[slice, slice]:
    top, left, bottom, right = window
    return slice(top, bottom), slice(left, right)
