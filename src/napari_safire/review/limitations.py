"""What an analysis of one very picture cannot tell: sentences that hold for it, and no others.

The sentences lie in the files of ``report/texts``, by the keys that are used here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from napari_safire.partitioning.patches import STRIDE
from napari_safire.partitioning.uninformative import INFORMATIVE
from napari_safire.partitioning.verdict import SMALL_SIDE, SMALLEST_SIDE
from napari_safire.review.looking import failed_views
from napari_safire.review.report.sentences import Sentence

if TYPE_CHECKING:
    from napari_safire.review.analysis import Analysis

_COARSE_QUALITY = 85  # of a JPEG: below, traces of what came before it are mostly gone
_LEAST_SILENT = 0.1  # of the patches
_MOST_NAMED = 2  # sources in a sentence
_CAMERA = ("Image Make", "Image Model", "XMP tiff:Make", "XMP tiff:Model")
# Pixels of screens, the longer side first: a picture of exactly this size may be a screenshot.
_SCREENS = frozenset(
    {
        (1280, 720), (1280, 800), (1366, 768), (1440, 900), (1600, 900), (1680, 1050),
        (1920, 1080), (1920, 1200), (2560, 1440), (2560, 1600), (2880, 1800), (3024, 1964),
        (3440, 1440), (3456, 2234), (3840, 2160), (5120, 2880),
        (1334, 750), (1792, 828), (2208, 1242), (2340, 1080), (2400, 1080), (2436, 1125),
        (2532, 1170), (2556, 1179), (2622, 1206), (2688, 1242), (2778, 1284), (2796, 1290),
        (2868, 1320), (3088, 1440), (3120, 1440), (3200, 1440), (2048, 1536), (2160, 1620),
        (2224, 1668), (2360, 1640), (2388, 1668), (2732, 2048),
    }
)  # fmt: skip


def limitations(analysis: Analysis) -> tuple[Sentence, ...]:
    """Say what limits an analysis.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    tuple of Sentence
        Those on the picture first, then on the model, then on what was done.
    """
    return (
        *_of_file(analysis),
        *_of_pixels(analysis),
        *_of_model(analysis),
        *_of_copies(analysis),
        *_of_work(analysis),
    )


def _said(key: str, **values: str | int) -> Sentence:
    return Sentence(f"limitation.{key}", values)


def _of_file(analysis: Analysis) -> Iterator[Sentence]:
    file = analysis.picture.file
    assert file is not None
    if analysis.picture.why_no_pixels:
        yield _said("no_pixels")
        return
    decoding = file.decoding
    if decoding.pages > 1:
        yield _said("pages")
    if decoding.opacity:
        yield _said("opacity")
    if decoding.converted:
        yield _said("converted")
    if str(file.pixels.dtype) != "uint8":
        yield _said("eight_bits")
    if file.format != "JPEG":
        yield _said("no_jpeg_an" if file.format == "AVIF" else "no_jpeg", format=file.format)
    quality = _jpeg_quality(analysis)
    if quality is not None and quality < _COARSE_QUALITY:
        yield _said("coarse", quality=quality)
    rows = {row["name"] for row in _evidence(analysis, "metadata").get("rows", ())}
    looked = bool(_evidence(analysis, "metadata"))
    if looked and not rows.intersection(_CAMERA):
        yield _said("no_camera")
        shape = analysis.picture.shape
        if (max(shape), min(shape)) in _SCREENS:
            yield _said("screen")


def _of_pixels(analysis: Analysis) -> Iterator[Sentence]:
    if analysis.picture.why_no_pixels:
        return
    height, width = analysis.picture.shape
    if min(height, width) < SMALLEST_SIDE:
        yield _said("too_small", height=height, width=width)
    elif min(height, width) < SMALL_SIDE:
        yield _said("small", height=height, width=width)
    answer = analysis.answer
    if answer is None:
        return
    if answer.embedding.uninformative is not None:
        silent = float((answer.embedding.uninformative != INFORMATIVE).mean())
        if silent >= _LEAST_SILENT:
            yield _said("silent", percent=round(100 * silent))
    step = STRIDE / min(answer.embedding.geometry.scale)
    if step > STRIDE:
        yield _said("step", pixels=round(step))


def _of_model(analysis: Analysis) -> Iterator[Sentence]:
    forgery = analysis.forgery
    if forgery is None:
        return
    if analysis.settings.evidence == "none":
        yield _said("network_asked")
    elif not forgery.contributions or set(forgery.contributions) == {"network"}:
        yield _said("network_only")
    calibration = forgery.calibration
    if calibration is None:
        yield _said("uncalibrated")
        return
    if forgery.obstacle:
        yield _said("obstacle")
    authentic, forged = calibration.n_authentic, calibration.n_forged
    low, high = calibration.likelihood_bounds
    bounds = {"least": round(1 / low), "most": round(high)}
    if authentic is None or forged is None:
        yield _said("bounds", **bounds)
    else:
        yield _said("pictures", authentic=authentic, forged=forged, **bounds)
    if forgery.likelihood_ratio in (low, high):
        yield _said("at_bound")
    if forgery.verdict == "no forgery found":
        yield _said("no_clearance")


def _of_copies(analysis: Analysis) -> Iterator[Sentence]:
    if analysis.answer is None:
        return
    tried, again = analysis.stability, analysis.saved_again
    if tried is None:
        yield _said("untried")
        return
    if tried.window is not None:
        yield _said("window")
    lost = [one.source + 1 for one in tried.of if one.ious and 2 * one.kept <= len(one.ious)]
    if len(lost) == 1:
        yield _said("lost_one", source=lost[0])
    elif len(lost) == _MOST_NAMED:
        yield _said("lost_two", first=lost[0], second=lost[1])
    elif lost:
        yield _said("lost_many", n=len(lost), all=len(tried.of))
    if again is not None and again.differs:
        yield _said("saved_again")


def _of_work(analysis: Analysis) -> Iterator[Sentence]:
    for name in failed_views(analysis.evidence):
        yield _said("failed", view=name)
    if analysis.settings.views is not None:
        yield _said("some_views")


def _evidence(analysis: Analysis, name: str) -> Mapping[str, Any]:
    return next((one for one in analysis.evidence if one["name"] == name), {})


def _jpeg_quality(analysis: Analysis) -> int | None:
    """Quality of the last save, as the view of quantisation tables tells it."""
    rows = _evidence(analysis, "quantisation tables").get("rows", ())
    told = next((row["value"] for row in rows if row["name"] == "Luminance: quality"), "")
    number = re.search(r"\d+", told)
    return None if number is None else int(number[0])
