"""The view of blocks that cannot come from the picture's former compression."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from napari_safire.forensics.compression.blocks import pixels_of
from napari_safire.forensics.compression.coefficients import BLOCK, ZIGZAG
from napari_safire.forensics.compression.compatibility import (
    Compatibility,
    compatibility,
    foreign_regions,
    lies_in_a_page,
    out_of_range,
)
from napari_safire.forensics.evidence import Evidence, EvidenceMap, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress

_FINE = 2  # quantisation steps up to which an earlier compression shows through
_UNIT_OF_SCORE = 20.0  # log likelihood ratio; authentic pictures reach 15
_found: WeakKeyDictionary[Picture, Compatibility | None] = WeakKeyDictionary()


def former_jpeg(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Compatibility | None:
    """Find the JPEG that a picture once was; looked for once, as two views ask.

    Parameters
    ----------
    picture : Picture
    progress, cancel : callable, optional
        As of `compatibility`.

    Returns
    -------
    Compatibility or None

    Raises
    ------
    Cancelled
    """
    if picture not in _found:
        _found[picture] = compatibility(
            picture.luminance, out_of_range(picture.rgb), progress=progress, cancel=cancel
        )
    return _found[picture]


def compatibility_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Blocks that cannot come from the picture's former compression."""
    if picture.is_jpeg:
        try:
            steps = picture.coefficients.table
        except ValueError:  # arithmetic coding, which this libjpeg does not read
            return Evidence(finding="the file is a JPEG whose coefficients cannot be read")
        if steps.max() > _FINE:
            return Evidence(finding="the file is a JPEG itself: see double compression")
    found = former_jpeg(picture, progress=progress, cancel=cancel)
    if found is None:
        return Evidence(finding="no traces of a former JPEG")
    if not found.unchanged:
        return Evidence(finding="a JPEG once, but brightness or colours were changed since")
    regions, strongest = foreign_regions(found.ratios)
    told = np.isfinite(found.ratios)
    share = float(regions[told].mean()) if told.any() else 0.0
    table = (
        Row("Blocks begin at", f"row {found.grid[0]}, column {found.grid[1]}"),
        Row("Quantisation steps", ", ".join(str(found.steps[at] or "?") for at in ZIGZAG[1:16])),
        Row("Blocks that tell", f"{100 * told.mean():.0f} %"),
        Row("Blocks that do not fit", f"{100 * share:.1f} %"),
    )
    drawn = EvidenceMap(
        found.ratios, BLOCK, found.grid, (-20.0, 20.0),
        means="brighter: no block of the former JPEG", unit="log likelihood ratio",
    )  # fmt: skip
    if lies_in_a_page(found.ratios):
        finding = "a photograph that was a JPEG lies in a larger page"
        return Evidence(drawn, table=table, score=0.0, finding=finding)
    score = float(np.log10(1 + strongest / _UNIT_OF_SCORE))
    if not regions.any():
        finding = "all that tells comes from one former JPEG"
        return Evidence(drawn, table=table, score=score, finding=finding)
    accused = pixels_of(regions, picture.shape, found.grid)
    finding = "a region lacks the traces of the former JPEG that the rest has"
    return Evidence(drawn, table=table, score=score, finding=finding, regions=accused)


VIEW = View(
    "JPEG compatibility",
    "Blocks that cannot come from the JPEG that the picture once was.",
    "Captions, logos and frames put on later do not fit either; resizing removes the traces.",
    "Fridrich, Goljan and Du, SPIE 2001; Fan and de Queiroz, IEEE TIP 2003",
    compatibility_view,
    ("size",),
    "log10 of 1 + r / 20, where r is the log likelihood ratio of the strongest region",
)
