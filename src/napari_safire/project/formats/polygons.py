"""Label images as polygons along the edges of pixels, without holes, simplified if asked.

Polygons of COCO are lists of rings whose union counts, so a hole cannot be said: a region with
holes is cut through each of them, into parts without. Cuts lie between two rows of pixels, so they
change nothing. Corners are those of pixels, at whole numbers (row/col); pixel (r, c) is the square
from (r, c) to (r + 1, c + 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_safire.project.formats.labelled import Labels

if TYPE_CHECKING:
    from shapely import Polygon
    from shapely.geometry.base import BaseGeometry

Ring = npt.NDArray[np.float64]
"""(N, 2) row and col of corners; the last is joined to the first."""


def region_polygons(labels: Labels, tolerance: float = 0.0) -> dict[int, list[Ring]]:
    """Outline each source.

    Parameters
    ----------
    labels : (H, W) uint8 array
        0: no source.
    tolerance : float
        Pixels by which outlines may leave the edges of pixels. Common edges of two sources are
        simplified once, so that no gap opens between them and none overlaps.

    Returns
    -------
    dict of int to list of (N, 2) float array
        Rings without holes by source; their union is the source.
    """
    numbers = [int(number) for number in np.unique(labels) if number]
    regions = [_region(labels == number) for number in numbers]
    if tolerance:
        import shapely

        # Both sides of a common edge need the same corners: one at each pixel.
        dense = shapely.segmentize(np.array(regions, object), 1.0)
        regions = list(shapely.coverage_simplify(dense, tolerance))
    return {
        number: [ring for part in _parts(region) for ring in _without_holes(part)]
        for number, region in zip(numbers, regions, strict=True)
    }


def _region(mask: npt.NDArray[np.bool_]) -> BaseGeometry:
    """Union of the runs of a mask's rows, in (x, y) = (col, row)."""
    import shapely

    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return shapely.union_all(shapely.box(starts, rows, ends, rows + 1))


def _parts(region: BaseGeometry) -> list[Polygon]:
    import shapely

    return [part for part in shapely.get_parts(region) if part.geom_type == "Polygon"]


def _without_holes(polygon: Polygon) -> Iterator[Ring]:
    """Cut a polygon through its holes, between two rows."""
    import shapely

    waiting = [polygon]
    while waiting:
        one = waiting.pop()
        if not len(one.interiors):
            corners = np.asarray(one.exterior.coords)[:-1]
            if len(corners) >= 3:
                yield corners[:, ::-1].astype(np.float64)
            continue
        left, top, right, bottom = one.bounds
        cut = _cut_through(one)
        for half in (
            shapely.box(left, top, right, cut),
            shapely.box(left, cut, right, bottom),
        ):
            waiting += _parts(_polygons_of(one.intersection(half)))


def _cut_through(polygon: Polygon) -> float:
    """A row inside the middlemost hole, so that halving ends soon."""
    places = sorted((ring.bounds[1], ring.bounds[3]) for ring in polygon.interiors)
    low, high = places[len(places) // 2]
    whole = float(np.ceil((low + high) / 2))
    return whole if low < whole < high else low if low == int(low) else (low + high) / 2


def _polygons_of(region: BaseGeometry) -> BaseGeometry:
    """Parts that have an area: an intersection may touch in points and lines."""
    import shapely

    return shapely.MultiPolygon(_parts(region))


def coco_ring(ring: Ring) -> list[float]:
    """Write a ring as COCO does: x, y, x, y, …; whole numbers without a fraction."""
    flat: list[float] = np.round(ring[:, ::-1], 3).ravel().tolist()
    return [int(value) if value == int(value) else value for value in flat]
