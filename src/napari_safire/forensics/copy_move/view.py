"""The view of copies within a picture."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.copy_move.geometry import moved
from napari_safire.forensics.copy_move.scoring import CALLED, log_odds, score_of
from napari_safire.forensics.copy_move.search import candidates
from napari_safire.forensics.copy_move.verification import Verified
from napari_safire.forensics.evidence import Evidence, Links, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress

_DRAWN = 24  # links of a pair of regions without keypoints


def copy_move(
    picture: Picture,
    *,
    megapixels: Annotated[
        float,
        {
            "min": 0.5,
            "max": 12.0,
            "step": 0.5,
            "tooltip": "Larger pictures are searched at this size: smaller copies take longer.",
        },
    ] = 3.2,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Regions that show the same pixels twice."""
    found = candidates(
        picture.luminance, most_pixels=int(megapixels * 1e6), progress=progress, cancel=cancel
    )
    rated = sorted(
        ((log_odds(one.traits), n) for n, one in enumerate(found.verified)),
        key=lambda pair: (-pair[0], pair[1]),
    )
    copies = [found.verified[n] for odds, n in rated if odds > CALLED]
    links = _links(copies, found.scale, picture.shape)
    return Evidence(
        links=links,
        table=_table(copies, len(rated) - len(copies)),
        score=score_of(rated[0][0]) if rated else 0.0,
        finding=_finding(copies),
        regions=None if links is None else links.regions > 0,
    )


def _links(
    copies: list[Verified], scale: tuple[float, float], shape: tuple[int, int]
) -> Links | None:
    if not copies:
        return None
    regions = np.zeros(shape, np.uint8)
    pairs = []
    for number, one in reversed(list(enumerate(copies, 1))):
        regions[_enlarged(one.starts | one.ends, shape)] = number
    for one in copies:
        starts, ends = one.move.starts, one.move.ends
        if not len(starts):
            inside = np.argwhere(one.starts).astype(float)
            starts = inside[:: max(1, len(inside) // _DRAWN)]
            ends = moved(one.move.affine, starts)
        pairs.append((starts, ends))
    return Links(
        (np.concatenate([starts for starts, _ in pairs]) + 0.5) * np.array(scale) - 0.5,
        (np.concatenate([ends for _, ends in pairs]) + 0.5) * np.array(scale) - 0.5,
        regions,
        np.repeat(np.arange(1, len(pairs) + 1), [len(starts) for starts, _ in pairs]),
    )


def _enlarged(mask: npt.NDArray[np.bool_], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    rows, cols = (np.arange(n) * size // n for n, size in zip(shape, mask.shape, strict=True))
    return np.asarray(mask[rows[:, None], cols])


def _table(copies: list[Verified], others: int) -> tuple[Row, ...]:
    rows = []
    for number, one in enumerate(copies, 1):
        rows.append(
            Row(
                f"Pair {number}",
                f"{len(one.move)} matches, size x {one.move.zoom:.2f}, turned "
                f"{round(one.move.turn)}°",
                f"{100 * one.traits.same:.0f} % of it shows the same pixels",
            )
        )
    rows.append(Row("Pairs that only look alike", str(others)))
    return tuple(rows)


def _finding(copies: list[Verified]) -> str:
    if not copies:
        return "no region is shown twice"
    pairs = f"{len(copies)} pairs of regions" if len(copies) > 1 else "two regions"
    matches = sum(len(one.move) for one in copies)
    return f"{matches} matches between {pairs}" if matches else f"{pairs} show the same pixels"


VIEW = View(
    "copy-move",
    "Regions that show the same pixels twice, moved, turned or resized. Which came first is open.",
    "Signs and windows can repeat almost exactly; text, drawings and mirrored copies are left out.",
    "Amerini et al., IEEE TIFS 2011; Lowe 2004; pixels compared after the map",
    copy_move,
    ("size",),
    "log odds of a copy against a thing that looks alike, for the best pair of regions",
    of_pixels=True,
)
