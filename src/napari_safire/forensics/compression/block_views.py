"""Views that judge blocks by whether they carry the steps of a former compression."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.compression.blocks import (
    Judgement,
    judge_blocks,
    pixels_of,
)
from napari_safire.forensics.compression.coefficients import BLOCK, ZIGZAG
from napari_safire.forensics.compression.double import FREQUENCIES as DOUBLE_FREQUENCIES
from napari_safire.forensics.compression.double import double_compression
from napari_safire.forensics.compression.former import FREQUENCIES as FORMER_FREQUENCIES
from napari_safire.forensics.compression.former import FormerCompression, former_compression
from napari_safire.forensics.evidence import Evidence, EvidenceMap, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress

_MOST_RATIO = 10.0  # of the log ratios that are drawn
_ACCUSES = 2.5  # score from which a finding names a region
_DOUBTFUL, _AGREED = 0.65, 0.8  # share of blocks with much to tell that carry the steps
_ROUNDED, _FILTERED = 0.4, 0.5  # error of coefficients: after rounding, after more
_CLIPPED = {True: (2, 253), False: (0, 255)}  # of a channel: a later compression blurs the ends
Window = Annotated[int, {"min": 1, "max": 33, "step": 2, "tooltip": "blocks a side"}]
Values = Annotated[
    Literal["posterior", "log likelihood ratio"],
    {"tooltip": "probability at even odds, or what it rests on"},
]


def double_compression_view(
    picture: Picture,
    *,
    window: Window = 5,
    values: Values = "posterior",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Blocks that were compressed once, in a picture that was compressed twice."""
    jpeg = picture.coefficients
    found = double_compression(jpeg, _clipped(picture), progress=progress, cancel=cancel)
    judged = judge_blocks(found.log_ratios, window)
    told = len(found.first_steps) / len(DOUBLE_FREQUENCIES)
    # few frequencies may be chance, or steps that another first table explains as well
    score = judged.score * told if judged.mostly_carrying else 0.0
    table = [Row("Frequencies that tell", f"{len(found.first_steps)} of {len(DOUBLE_FREQUENCIES)}")]
    if found.first_steps:
        table += [
            _steps_row("Steps of the first compression", found.first_steps, DOUBLE_FREQUENCIES),
            Row("Blocks compressed twice", f"{100 * found.share:.0f} %"),
        ]
    accuses = score >= _ACCUSES
    finding = (
        "a region was compressed once, the rest twice" if accuses
        else "compressed twice, no region stands out" if found.first_steps
        else "no second compression on the same grid found"
    )  # fmt: skip
    return Evidence(
        _map(judged, values, "compressed once", (0, 0)),
        table=tuple(table),
        score=score,
        finding=finding,
        regions=pixels_of(judged.lacking, picture.shape) if accuses else None,
    )


def nonaligned_view(
    picture: Picture,
    *,
    window: Window = 5,
    values: Values = "posterior",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Blocks with and without traces of a former compression on another grid than the file's."""
    jpeg = picture.coefficients
    luminance = jpeg.luminance[: picture.shape[0], : picture.shape[1]]
    found = former_compression(
        luminance, _clipped(picture), jpeg.table, progress=progress, cancel=cancel
    )
    shown = _evidence(picture, found, window, values)
    if found.grid is None or not found.steps:
        return shown
    # cropped and saved again, untouched pictures lack the steps in as many blocks as forged ones
    finding = "compressed before on another grid: cropped or moved"
    return Evidence(shown.map, table=shown.table, finding=finding)


def former_view(
    picture: Picture,
    *,
    window: Window = 3,
    values: Values = "posterior",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Blocks with and without traces of a JPEG that lossless pixels were before."""
    found = former_compression(
        picture.luminance, _clipped(picture), progress=progress, cancel=cancel
    )
    return _evidence(picture, found, window, values)


def _clipped(picture: Picture) -> npt.NDArray[np.bool_]:
    low, high = _CLIPPED[picture.is_jpeg]
    ends = (picture.rgb <= low) | (picture.rgb >= high)
    clipped: npt.NDArray[np.bool_] = np.any(ends, axis=2)
    return clipped


def _evidence(picture: Picture, found: FormerCompression, window: int, values: str) -> Evidence:
    judged = judge_blocks(found.log_ratios, window)
    grid = found.grid or (0, 0)
    drawn = _map(judged, values, "lacks the former compression", grid)
    if found.grid is None or not found.steps:
        row = Row("Grid of a former compression", "none found")
        score = 0.0 if not picture.is_jpeg else None
        return Evidence(drawn, table=(row,), score=score, finding="no former compression found")
    cut = "cut out or moved since" if found.grid != (0, 0) else ""
    table = (
        Row("Grid of a former compression", f"row {grid[0]}, column {grid[1]}", cut),
        Row("Frequencies that tell", f"{len(found.steps)} of {len(FORMER_FREQUENCIES)}"),
        _steps_row("Its steps", found.steps, FORMER_FREQUENCIES),
        Row("Blocks that carry it", f"{100 * found.share:.0f} %"),
        Row("Of those with much to tell", f"{100 * found.agreeing:.0f} %"),
    )
    # a filtered picture keeps the steps in smooth places only: blocks with much to tell count
    sure = float(np.clip((found.agreeing - _DOUBTFUL) / (_AGREED - _DOUBTFUL), 0, 1))
    sure *= float(np.clip((_FILTERED - found.error) / (_FILTERED - _ROUNDED), 0, 1))
    score = sure * judged.score * len(found.steps) / len(FORMER_FREQUENCIES)
    if not judged.mostly_carrying:
        # a photograph on a page, or smooth places of a filtered picture, are no forgery
        return Evidence(
            drawn, table=table, score=0.0, finding="less than half of it was compressed before"
        )
    accuses = score >= _ACCUSES
    finding = (
        "a region lacks the former compression of the rest" if accuses
        else "compressed before, no region stands out surely"
    )  # fmt: skip
    return Evidence(
        drawn,
        table=table,
        score=score,
        finding=finding,
        regions=pixels_of(judged.lacking, picture.shape, grid) if accuses else None,
    )


def _map(judged: Judgement, values: str, means: str, grid: tuple[int, int]) -> EvidenceMap:
    if values == "posterior":
        return EvidenceMap(
            judged.posterior, BLOCK, grid, means=f"brighter: {means}", unit="probability"
        )
    return EvidenceMap(
        judged.ratios, BLOCK, grid, (-_MOST_RATIO, _MOST_RATIO), f"brighter: {means}",
        "log likelihood ratio",
    )  # fmt: skip


def _steps_row(
    name: str, steps: dict[tuple[int, int], int], frequencies: tuple[tuple[int, int], ...]
) -> Row:
    return Row(name, " ".join(str(steps.get(at, "?")) for at in ZIGZAG if at in frequencies))


BLOCK_VIEWS = (
    View(
        "double compression",
        "Blocks that were compressed once in a picture that was compressed twice, on one grid.",
        "It is blind where the last quality is not clearly above the first, and after resizing; "
        "flat and clipped blocks tell nothing.",
        "Bianchi and Piva, IEEE TIFS 2012; Popescu and Farid 2004",
        double_compression_view,
        ("jpeg", "size"),
        "logarithm of the evidence of blocks compressed once, times the share of frequencies "
        "that tell",
        algorithm=2,
        square=64,
    ),
    View(
        "non-aligned compression",
        "Blocks with and without traces of a former compression on another grid than the file's.",
        "It sees only former steps coarser than the last ones, on one grid that much of the "
        "picture shows; cropping is no forgery: the map is for the eye.",
        "Bianchi and Piva, IEEE TIFS 2012 (integer periodicity maps; block-grained analysis)",
        nonaligned_view,
        ("jpeg", "size"),
        square=64,
    ),
    View(
        "former compression",
        "Blocks with and without traces of a JPEG that the pixels were, stored without losses "
        "since.",
        "Retouching and captions leave the same gap as forgeries, and sharpening the whole picture "
        "may; after resizing nothing is left.",
        "Bianchi and Piva, IEEE TIFS 2012, with rounding in place of a second compression",
        former_view,
        ("not jpeg", "size"),
        "logarithm of the evidence of the blocks that lack it, times shares of blocks and "
        "frequencies that agree",
        square=64,
    ),
)
