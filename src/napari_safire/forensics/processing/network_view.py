"""The view of content that a network made."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_closing

from napari_safire.forensics.compression.blocks import pixels_of
from napari_safire.forensics.compression.compatibility import foreign_regions
from napari_safire.forensics.compression.compatibility_view import former_jpeg
from napari_safire.forensics.evidence import Evidence, EvidenceMap, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.processing.upsampling import STEP, upsampling_grid
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress

_FOUND = 2.0  # minus log10 of how often noise would give it; authentic pictures stay below 1
_CELL_FOUND = 4.0  # the same of one cell with those around it
_DIMPLES = 0.35  # share of the pattern in one pixel of a block, as some cameras' JPEGs have it


def network_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Regions with the grid that a network's upsampling leaves."""
    if picture.is_jpeg:
        return Evidence(finding="not told in a JPEG: its blocks repeat as a network's grid does")
    former = former_jpeg(picture, progress=progress, cancel=cancel)
    if former is not None and not former.unchanged:
        return Evidence(finding="not told: it was a JPEG, whose blocks repeat as well")
    left_out = None
    if former is not None:
        regions, _ = foreign_regions(former.ratios)
        left_out = ~pixels_of(regions, picture.shape, former.grid)
    found = upsampling_grid(picture.luminance, left_out, progress=progress, cancel=cancel)
    known = np.isfinite(found.surprises)
    drawn = EvidenceMap(
        found.surprises, STEP, (STEP // 2, STEP // 2), (0.0, 12.0),
        means="brighter: a pattern repeats every eight pixels", unit="-log10 of chance",
    )  # fmt: skip
    table = [Row("Looked at", f"{100 * known.mean():.0f} % of the picture")]
    if former is not None:
        table.append(Row("Left out", "what was a JPEG"))
    if not known.any():
        finding = "nothing to look at beside what was a JPEG" if former else "no texture to look at"
        return Evidence(drawn, table=tuple(table), finding=finding)
    if found.peaked > _DIMPLES and found.whole > _FOUND:
        table.append(Row("Pattern", "one pixel of each eight by eight, as JPEGs of cameras have"))
        return Evidence(drawn, table=tuple(table), score=0.0, finding="the pattern is a JPEG's")
    score = float(np.log10(1 + max(0.0, found.strongest)))
    if found.strongest < _FOUND:
        return Evidence(drawn, table=tuple(table), score=score, finding="no grid of a network")
    cells = binary_closing(np.nan_to_num(found.surprises) > _CELL_FOUND, np.ones((3, 3)))
    accused = np.zeros(picture.shape, bool)
    inner = accused[drawn.origin[0] :, drawn.origin[1] :]
    whole = np.repeat(np.repeat(cells, STEP, axis=0), STEP, axis=1)[: inner.shape[0]]
    inner[: whole.shape[0], : whole.shape[1]] = whole[:, : inner.shape[1]]
    finding = "a region repeats a pattern every eight pixels, as networks leave it"
    return Evidence(
        drawn, table=tuple(table), score=score, finding=finding,
        regions=accused if accused.any() else None,
    )  # fmt: skip


VIEW = View(
    "network-made content",
    "Regions with the grid that a network's upsampling leaves; not in JPEGs.",
    "Many networks leave none; dithering, and JPEGs resized by a per cent, repeat as well.",
    "Zhang, Karaman and Chang, WIFS 2019; Corvi et al., ICASSP 2023",
    network_view,
    ("size",),
    "log10 of one plus minus log10 of how often noise looks like the strongest window",
)
