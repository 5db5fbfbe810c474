"""What a view found, small enough for a list."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.evidence import Evidence, EvidenceMap, Links
from napari_safire.forensics.export import render_links, render_map

SIDE = 96
"""Pixels of a thumbnail's longer side, at most, where nothing else is asked."""


def thumbnail(
    evidence: Evidence, rgb: npt.NDArray[np.uint8], side: int = SIDE
) -> npt.NDArray[np.uint8] | None:
    """Draw a map, or links over their picture, in small.

    Parameters
    ----------
    evidence : Evidence
    rgb : (H, W, 3) uint8 array
        The picture.
    side : int
        Pixels of the longer side, at most.

    Returns
    -------
    (h, w, 3) uint8 array or None
        None where there is neither map nor links.
    """
    if evidence.map is not None:
        return render_map(_smaller_map(evidence.map, side))
    if evidence.links is not None:
        step = _step(rgb.shape[:2], side)
        return render_links(_smaller_links(evidence.links, step), rgb[::step, ::step])
    return None


def _step(shape: tuple[int, ...], side: int) -> int:
    return max(1, -(-max(shape) // side))


def _smaller_map(drawn: EvidenceMap, side: int) -> EvidenceMap:
    step = _step(drawn.values.shape[:2], side)
    return replace(drawn, values=np.ascontiguousarray(drawn.values[::step, ::step]))


def _smaller_links(links: Links, step: int) -> Links:
    regions = np.ascontiguousarray(links.regions[::step, ::step])
    return Links(links.starts / step, links.ends / step, regions, links.groups)
