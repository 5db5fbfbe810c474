"""Views that judge blocks by whether they carry the steps of a former compression."""

from __future__ import annotations

from typing import Annotated, Literal

from napari_safire.forensics.compression.blocks import (
    Judgement,
    judge_blocks,
    pixels_of,
)
from napari_safire.forensics.compression.coefficients import BLOCK, ZIGZAG
from napari_safire.forensics.compression.compatibility import out_of_range
from napari_safire.forensics.compression.double import FREQUENCIES as DOUBLE_FREQUENCIES
from napari_safire.forensics.compression.double import double_compression
from napari_safire.forensics.compression.nonaligned import FREQUENCIES as FORMER_FREQUENCIES
from napari_safire.forensics.compression.nonaligned import former_compression
from napari_safire.forensics.evidence import Evidence, EvidenceMap, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress

_MOST_RATIO = 10.0  # of the log ratios that are drawn
_ACCUSES = 2.5  # score from which a finding names a region
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
    found = double_compression(jpeg, out_of_range(picture.rgb), progress=progress, cancel=cancel)
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
        luminance, out_of_range(picture.rgb), jpeg.table, progress=progress, cancel=cancel
    )
    judged = judge_blocks(found.log_ratios, window)
    drawn = _map(judged, values, "lacks the former compression", found.grid or (0, 0))
    if found.grid is None or not found.steps:
        row = Row("Grid of a former compression", "none found")
        return Evidence(drawn, table=(row,), finding="no former compression found")
    table = (
        Row(
            "Grid of a former compression",
            f"row {found.grid[0]}, column {found.grid[1]}",
            "cut out or moved since",
        ),
        Row("Frequencies that tell", f"{len(found.steps)} of {len(FORMER_FREQUENCIES)}"),
        _steps_row("Its steps", found.steps, FORMER_FREQUENCIES),
        Row("Blocks that carry it", f"{100 * found.share:.0f} %"),
    )
    # cropped and saved again, untouched pictures lack the steps in as many blocks as forged ones
    finding = "compressed before on another grid: cropped or moved"
    return Evidence(drawn, table=table, finding=finding)


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
)
