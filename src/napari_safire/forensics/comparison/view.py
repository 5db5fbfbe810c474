"""View of a picture against a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from napari_safire.forensics.comparison.difference import Difference, difference
from napari_safire.forensics.comparison.registration import Registration, placed, register
from napari_safire.forensics.evidence import Evidence, EvidenceMap, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress, report, within

_MOST_ROWS = 20
_ALIKE = 1e-3  # of size
_EXPOSED_ALIKE = 0.01, 1.0  # gain, offset


def comparison(
    picture: Picture,
    *,
    reference: Annotated[
        Path | None, {"tooltip": "another picture of the scene: the original, an earlier version"}
    ] = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """What differs from another picture of the same scene."""
    report(progress, cancel, 0, 100, "reading the reference")
    other = _picture(reference)
    found = register(picture, other, progress=within(progress, 5, 60), cancel=cancel)
    if found is None:
        return Evidence(finding="no part of the reference was found in the picture")
    left = difference(picture, other, found, progress=within(progress, 60, 100), cancel=cancel)
    drawn = EvidenceMap(
        left.values, limits=(0.0, 4 * left.limit), means="brighter: differs from the reference",
        unit="grey levels",
    )  # fmt: skip
    return Evidence(
        drawn,
        table=(*_geometry(picture, other, found, left), *_content(left)),
        score=100 * float(left.regions.mean()) / max(left.shared, 1e-9),
        finding=_finding(left),
        caveats=_caveats(found, left),
        regions=left.regions if left.boxes else None,
    )


def _picture(reference: Any) -> Picture:
    if isinstance(reference, Picture):
        return reference
    if isinstance(reference, np.ndarray):
        return Picture.of_pixels(reference)
    return Picture.read(reference)


def _geometry(
    picture: Picture, reference: Picture, found: Registration, left: Difference
) -> list[Row]:
    (height, width), shape = picture.shape, reference.shape
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    ahead = placed(found.matrix, middle + np.array([[0.0, 0], [0, 1], [1, 0]]))
    across, down = ahead[1] - ahead[0], ahead[2] - ahead[0]
    zoom = abs(float(np.linalg.det(np.stack([down, across])))) ** 0.5
    turn = float(np.degrees(np.arctan2(across[0], across[1])))
    corners = placed(found.matrix, np.array([[0, 0], [0, width - 1], [height - 1, 0]], float))
    covered = left.shared * height * width * zoom**2 / (shape[0] * shape[1])
    resized, turned = abs(zoom - 1) > _ALIKE, abs(turn) > 0.05
    lost = 1 - min(1.0, covered)
    rows = [
        Row("Registered by", found.how),
        Row("Begins at", f"row {corners[0, 0]:.1f}, column {corners[0, 1]:.1f} of the reference"),
        Row("Size", f"x {1 / zoom:.3f}", "made larger or smaller" if resized else ""),
        Row("Turned", f"{turn:.1f}° anticlockwise", "turned" if turned else ""),
    ]
    if found.mirrored:
        rows.append(Row("Mirrored", "left to right", "mirrored"))
    rows.append(
        Row(
            "Reference that is missing",
            f"{100 * lost:.1f} %",
            "cut off" if lost > 0.005 else "",
        )
    )
    new = 100 * (1 - left.shared)
    rows.append(
        Row(
            "Picture that is not in the reference",
            f"{new:.1f} %",
            "the reference shows less" if new > 1 else "",
        )
    )
    return rows


def _content(left: Difference) -> list[Row]:
    gain, offset = _EXPOSED_ALIKE
    changed = bool((np.abs(left.gains - 1) > gain).any() or (np.abs(left.offsets) > offset).any())
    values = [f"x {g:.2f} {o:+.1f}" for g, o in zip(left.gains, left.offsets, strict=True)]
    rows = [Row("Red, green, blue", ", ".join(values), "exposed or toned anew" if changed else "")]
    if left.same is not None:
        rows.append(Row("Same pixels", f"{100 * left.same:.1f} % of what both show"))
    rows.append(Row("Stands out above", f"{left.limit:.1f} grey levels"))
    for number, (down, across) in enumerate(left.boxes[:_MOST_ROWS], 1):
        most = float(np.nanmax(left.values[down, across]))
        rows.append(
            Row(
                f"Region {number}",
                f"rows {down.start} to {down.stop - 1}, columns {across.start} to "
                f"{across.stop - 1}",
                f"differs by up to {most:.0f} grey levels",
            )
        )
    return rows


def _finding(left: Difference) -> str:
    if left.same == 1:
        return "the same pixels as in the reference"
    count = len(left.boxes)
    if not count:
        return "the same scene; nothing stands out against the reference"
    return f"the same scene; {count} region{'s' * (count > 1)} differ{'s' * (count == 1)}"


def _caveats(found: Registration, left: Difference) -> tuple[str, ...]:
    caveats = []
    if found.whole_shift is None:
        caveats.append(
            "Pixels were interpolated to lie over each other: fine differences are lost."
        )
    if left.shared < 0.995:
        caveats.append("Where the reference shows nothing, nothing is said.")
    return tuple(caveats)


VIEW = View(
    "comparison",
    "What differs from another picture of the same scene, once both lie over each other.",
    "Which of both was changed is open; moved things and other viewpoints differ in authentic "
    "pictures; small or faint changes are missed.",
    "Lowe 2004; Evangelidis and Psarakis, IEEE TPAMI 2008",
    comparison,
    ("size", "reference"),
    "per cent of what both show that differs",
)
