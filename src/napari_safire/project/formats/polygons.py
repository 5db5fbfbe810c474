"""Label images as polygons along the edges of pixels, without holes, simplified if asked.

Polygons of COCO are lists of rings whose union counts, so a hole cannot be said: a region with
holes is cut through each of them, into parts without. Cuts lie between two rows of pixels, so they
change nothing. Corners are those of pixels, at whole numbers (row/col); pixel (r, c) is the square
from (r, c) to (r + 1, c + 1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_safire.project.formats.labelled import Labels

if TYPE_CHECKING:
    from shapely import Polygon
    from shapely.geometry.base import BaseGeometry

Ring = npt.NDArray[np.float64]
"""(N, 2) row and col of corners; the last is joined to the first."""
Mask = npt.NDArray[np.bool_]
_STEPS = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # east, south, west, north


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
    if not tolerance:
        return {number: list(_exact(labels == number)) for number in numbers}
    import shapely

    # Both sides of a common edge need the same corners: one at each pixel.
    regions = [shapely.segmentize(_region(labels == number), 1.0) for number in numbers]
    simple = shapely.coverage_simplify(np.array(regions, object), tolerance)
    return {
        number: [ring for part in _parts(region) for ring in _without_holes(part)]
        for number, region in zip(numbers, simple, strict=True)
    }


def coco_ring(ring: Ring) -> list[float]:
    """Write a ring as COCO does: x, y, x, y, …; whole numbers without a fraction."""
    flat: list[float] = np.round(ring[:, ::-1], 3).ravel().tolist()
    return [int(value) if value == int(value) else value for value in flat]


# ------------------------------------------------------------------------------ exact outlines


def _exact(mask: Mask) -> Iterator[Ring]:
    """Outlines without holes; pieces that have some are cut between two rows and traced again."""
    waiting = [(mask, 0, 0)]
    while waiting:
        piece, top, left = waiting.pop()
        holes: dict[int, list[Ring]] = defaultdict(list)
        shells: list[tuple[Ring, int]] = []
        for ring, component in _rings(piece):
            if _is_hole(ring):
                holes[component].append(ring)
            else:
                shells.append((ring, component))
        yield from (ring + np.array([top, left]) for ring, one in shells if one not in holes)
        components, _ = ndimage.label(piece) if holes else (piece, 0)
        places = ndimage.find_objects(components) if holes else []
        for component, inside in holes.items():
            rows, cols = places[component - 1]
            alone = components[rows, cols] == component
            cut = _middle_row(inside) - rows.start
            waiting.append((alone[:cut], top + rows.start, left + cols.start))
            waiting.append((alone[cut:], top + rows.start + cut, left + cols.start))


def _middle_row(holes: Iterable[Ring]) -> int:
    """A row of corners in the middlemost hole, so that halving ends soon."""
    spans = sorted((int(ring[:, 0].min()), int(ring[:, 0].max())) for ring in holes)
    low, high = spans[len(spans) // 2]
    return (low + high) // 2


def _is_hole(ring: Ring) -> bool:
    """Whether it runs the other way round than outlines do, which are clockwise as seen."""
    rows, cols = ring[:, 0], ring[:, 1]
    return bool(np.dot(rows, np.roll(cols, 1) - np.roll(cols, -1)) < 0)


def _rings(mask: Mask) -> list[tuple[Ring, int]]:
    """Trace all borders of a mask: corners, and number of the (4-connected) component inside.

    Every border of a pixel is an edge that has the pixel on its right. Where two pixels touch at a
    corner, the edge goes on around its own pixel, so that no ring crosses another.
    """
    starts = _starts(mask)  # (4, H + 1, W + 1): direction, corner
    ids = np.flatnonzero(starts)
    if not len(ids):
        return []
    directions, rows, cols = np.unravel_index(ids, starts.shape)
    ends = np.stack([rows, cols], -1) + _STEPS[directions]
    following = np.empty(len(ids), np.int64)
    for turn in (3, 0, 1):  # left, straight; right, around the own pixel, counts where it is there
        heading = (directions + turn) % 4
        found = starts[heading, ends[:, 0], ends[:, 1]]
        following[found] = np.ravel_multi_index(
            (heading[found], ends[found, 0], ends[found, 1]), starts.shape
        )
    nexts = np.searchsorted(ids, following)
    components, _ = ndimage.label(mask)
    # The pixel on the right of an edge: below its start going east, and so on around.
    inside = components[rows - np.isin(directions, (2, 3)), cols - np.isin(directions, (1, 2))]
    corners = np.stack([rows, cols], -1).astype(np.float64)
    traced = []
    for order in _cycles(nexts.tolist()):
        turns = directions[order] != directions[np.roll(order, 1)]
        traced.append((corners[order][turns], int(inside[order[0]])))
    return traced


def _starts(mask: Mask) -> Mask:
    """Whether an edge in each direction starts at a corner."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    starts = np.zeros((4, mask.shape[0] + 1, mask.shape[1] + 1), bool)
    starts[0, :-1, :-1] = inside & ~padded[:-2, 1:-1]
    starts[1, :-1, 1:] = inside & ~padded[1:-1, 2:]
    starts[2, 1:, 1:] = inside & ~padded[2:, 1:-1]
    starts[3, 1:, :-1] = inside & ~padded[1:-1, :-2]
    return starts


def _cycles(nexts: list[int]) -> Iterator[npt.NDArray[np.int64]]:
    seen = bytearray(len(nexts))
    for first in range(len(nexts)):
        if seen[first]:
            continue
        cycle, place = [], first
        while not seen[place]:
            seen[place] = 1
            cycle.append(place)
            place = nexts[place]
        yield np.array(cycle)


# ------------------------------------------------------------------------------ simplified ones


def _region(mask: Mask) -> BaseGeometry:
    """A mask as polygons with holes, in (x, y) = (col, row)."""
    import shapely

    shells: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = defaultdict(list)
    for ring, component in _rings(mask):
        if _is_hole(ring):
            holes[component].append(ring[:, ::-1])
        else:
            shells[component] = ring[:, ::-1]
    polygons = [shapely.Polygon(shell, holes[number]) for number, shell in shells.items()]
    # An outline that touches itself at a corner becomes one with a hole.
    whole = [part for polygon in polygons for part in _parts(shapely.make_valid(polygon))]
    return shapely.MultiPolygon(whole)


def _parts(region: BaseGeometry) -> list[Polygon]:
    """Parts that have an area: an intersection may touch in points and lines."""
    import shapely

    return [part for part in shapely.get_parts(region) if part.geom_type == "Polygon"]


def _without_holes(polygon: Polygon) -> Iterator[Ring]:
    """Cut a polygon through its holes."""
    import shapely

    waiting = [polygon]
    while waiting:
        one = waiting.pop()
        if not len(one.interiors):
            yield np.asarray(one.exterior.coords)[:-1, ::-1]
            continue
        left, top, right, bottom = one.bounds
        cut = _middle_row(np.asarray(ring.coords)[:, ::-1] for ring in one.interiors)
        low = min(ring.bounds[1] for ring in one.interiors)
        cut_at = cut if top < cut < bottom else low
        for half in (
            shapely.box(left, top, right, cut_at),
            shapely.box(left, cut_at, right, bottom),
        ):
            waiting += _parts(one.intersection(half))
