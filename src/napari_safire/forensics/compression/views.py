"""Views of a picture's history of compression."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from napari_safire.forensics.compression.block_views import BLOCK_VIEWS
from napari_safire.forensics.compression.blockiness import blockiness
from napari_safire.forensics.compression.coefficients import ZIGZAG
from napari_safire.forensics.compression.grid import NO_VOTE, Grids
from napari_safire.forensics.compression.kept import ghosts_of, grids_of
from napari_safire.forensics.compression.resaving import error_level
from napari_safire.forensics.compression.tables import quality_of
from napari_safire.forensics.evidence import Evidence, EvidenceMap, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.tiles import sampled
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress
from napari_safire.types import FloatImage

_BLOCK = 8
_ACCUSES = 3.0  # score of the grid from which its regions are named
Quality = Annotated[int, {"min": 1, "max": 100, "tooltip": "JPEG quality, libjpeg's scale"}]


def grid_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Where blocks begin, and regions whose blocks begin elsewhere."""
    found = grids_of(picture, progress=progress, cancel=cancel)
    rows = [_main_row(found)]
    rows += [
        Row(
            f"Region {number}",
            f"rows {region.rows[0]} to {region.rows[1] - 1}, "
            f"columns {region.cols[0]} to {region.cols[1] - 1}",
            f"its blocks begin at row {region.grid[0]}, column {region.grid[1]}",
        )
        for number, region in enumerate(found.foreign, 1)
    ]
    foreign = found.foreign[0].surprise if found.foreign and not found.drifts else 0.0
    score = float(np.log1p(foreign))
    count = len(found.foreign)
    finding = (
        "grids drift, as in a JPEG that was resized a little" if found.drifts
        else f"{count} region{'s' * (count != 1)} on another grid" if count
        else "no region on another grid"
    )  # fmt: skip
    drawn = EvidenceMap(
        _offsets(found),
        limits=(0.0, 1.0),
        means="grey: the grid of the picture; black: none; coloured: another one",
    )
    regions = found.mask if score >= _ACCUSES else None
    return Evidence(drawn, table=tuple(rows), score=score, finding=finding, regions=regions)


def _main_row(found: Grids) -> Row:
    if found.main is None:
        return Row("Grid of the picture", "none found")
    remark = "" if found.main == (0, 0) else "cut out or moved after it was compressed"
    return Row("Grid of the picture", f"row {found.main[0]}, column {found.main[1]}", remark)


def _offsets(found: Grids) -> FloatImage:
    """Colour votes by their grid: the picture's own grey, none black, others by both offsets."""
    top, left = found.main or (0, 0)
    table = np.zeros((NO_VOTE + 1, 3), np.float32)
    for grid in range(NO_VOTE):
        down, across = (grid // _BLOCK - top) % _BLOCK, (grid % _BLOCK - left) % _BLOCK
        table[grid] = down / (_BLOCK - 1), across / (_BLOCK - 1), 0.4
    table[top * _BLOCK + left] = 0.35
    colours: FloatImage = table[found.votes]
    np.multiply(colours, 0.5, out=colours, where=~found.mask[..., None])
    return colours


def blockiness_view(
    picture: Picture,
    *,
    window: Annotated[int, {"min": 1, "max": 33, "step": 2, "tooltip": "blocks a side"}] = 5,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """How clearly the edges of blocks show."""
    known = (0, 0) if picture.is_jpeg else None
    found = blockiness(picture.luminance, window, known, progress=progress, cancel=cancel)
    drawn = EvidenceMap(
        found.values, _BLOCK, limits=(-0.2, 0.6),
        means="brighter: edges of blocks show more", unit="on edges over between, less one",
    )  # fmt: skip
    row = Row("Blocks begin at", f"row {found.grid[0]}, column {found.grid[1]}")
    return Evidence(drawn, table=(row,), finding="for the eye")


def ghost_view(
    picture: Picture,
    *,
    lowest: Quality = 50,
    highest: Quality = 95,
    step: Annotated[int, {"min": 1, "max": 20, "tooltip": "between two qualities"}] = 5,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Quality at which each place changes least when it is saved again."""
    if lowest > highest:
        raise ValueError(
            f"Qualities from {lowest} to {highest}: the first has to be the lower one."
        )
    qualities = tuple(range(lowest, highest + 1, step))
    changes = ghosts_of(picture, qualities, progress=progress, cancel=cancel)
    # the highest quality always changes least: what counts is a dip below it
    best = np.array(qualities, np.float32)[changes.argmin(axis=0)]
    drawn = EvidenceMap(
        best, 16, limits=(float(lowest), float(highest)),
        means="darker: saved at a lower quality before", unit="quality",
    )  # fmt: skip
    return Evidence(drawn, finding="for the eye")


def error_level_view(
    picture: Picture,
    *,
    quality: Quality = 90,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Change of each pixel when the picture is saved again."""
    levels = error_level(picture.rgb, quality, progress=progress, cancel=cancel)
    high = float(np.quantile(sampled(levels), 0.995)) or 1.0
    drawn = EvidenceMap(
        levels, limits=(0.0, high), means="brighter: changes more", unit="grey levels"
    )
    return Evidence(drawn, finding="for the eye")


def tables_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Quantisation tables, quality, sampling."""
    jpeg = picture.coefficients
    rows = []
    for name, table, chrominance in (
        ("Luminance", jpeg.table, False), ("Chrominance", jpeg.chroma_table, True),
    ):  # fmt: skip
        if table is None:
            continue
        near = quality_of(table, chrominance=chrominance)
        remark = "" if near.exact else "not a table of libjpeg: of a camera, a phone or an editor"
        about = "" if near.exact else "about "
        rows.append(Row(f"{name}: quality", f"{about}{near.quality}", remark))
        steps = [str(int(table[at])) for at in ZIGZAG]
        rows.append(Row(f"{name}: steps", " ".join(steps)))
    rows.append(Row("Sampling", " ".join(f"{down}x{across}" for down, across in jpeg.sampling)))
    rows.append(Row("Order", "progressive" if jpeg.progressive else "baseline or sequential"))
    return Evidence(table=tuple(rows), finding=f"{rows[0].name.lower()} {rows[0].value}")


VIEWS = (
    *BLOCK_VIEWS,
    View(
        "compression grid",
        "Where 8 x 8 blocks begin, also in pictures that were a JPEG once, and where they begin "
        "elsewhere.",
        "Pasted blocks may lie on the picture's grid by chance (1 in 64); flat places and high "
        "qualities hide grids; screenshots of pages hold several.",
        "Nikoukhah et al., ZERO, IPOL 2022",
        grid_view,
        ("size",),
        "logarithm of one more than minus log10 of how many such regions chance would give",
        algorithm=2,
        square=64,
    ),
    View(
        "blockiness",
        "How clearly the edges of 8 x 8 blocks show: where they fade, something may be pasted.",
        "Texture hides edges of blocks and smooth places show them most, also in untouched "
        "pictures; high qualities have none.",
        "Li, Yuan and Yu, Signal Processing 2009",
        blockiness_view,
        ("size",),
        square=64,
    ),
    View(
        "ghosts",
        "Quality at which each place changes least when saved again.",
        "It shows only what was saved at a lower quality before than the picture; texture and "
        "brightness show through.",
        "Farid, IEEE TIFS 2009",
        ghost_view,
        ("size",),
        square=64,
    ),
    View(
        "error level",
        "How much each pixel changes when the picture is saved again: a visual aid only.",
        "Edges and texture always glow; it means nothing for files without losses, and is no "
        "evidence by itself.",
        "Krawetz 2007",
        error_level_view,
        square=64,
    ),
    View(
        "quantisation tables",
        "Tables, estimated quality and sampling of a JPEG file.",
        "They tell of the last save only.",
        "ITU-T T.81; libjpeg",
        tables_view,
        ("jpeg",),
    ),
)
