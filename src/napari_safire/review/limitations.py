"""What an analysis of one very picture cannot tell: sentences that hold for it, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from napari_safire.partitioning.patches import STRIDE
from napari_safire.partitioning.uninformative import INFORMATIVE
from napari_safire.partitioning.verdict import SMALL_SIDE, SMALLEST_SIDE
from napari_safire.review.looking import failed_views

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


def limitations(analysis: Analysis) -> tuple[str, ...]:
    """Say what limits an analysis.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    tuple of str
        Sentences, those on the picture first, then on the model, then on what was done.
    """
    return (
        *_of_file(analysis),
        *_of_pixels(analysis),
        *_of_model(analysis),
        *_of_copies(analysis),
        *_of_work(analysis),
    )


def _of_file(analysis: Analysis) -> Iterator[str]:
    file = analysis.picture.file
    assert file is not None
    if analysis.picture.why_no_pixels:
        yield "The pixels of this file cannot be read: only its bytes were examined."
        return
    decoding = file.decoding
    if decoding.pages > 1:
        yield "The file holds more than one picture: only the first was analysed."
    if decoding.opacity:
        yield "The file says where the picture is transparent; that was left out."
    if decoding.converted:
        yield "Pixel values were converted first: see how they were decoded."
    if str(file.pixels.dtype) != "uint8":
        yield "Forensic views looked at 8 bits a channel, fewer than the file holds."
    if file.format != "JPEG":
        article = "an" if file.format == "AVIF" else "a"
        yield (
            f"It is {article} {file.format} file, no JPEG: the history of its compression can only "
            "be told from pixels."
        )
    quality = _jpeg_quality(analysis)
    if quality is not None and quality < _COARSE_QUALITY:
        yield (
            f"It was last saved at a JPEG quality near {quality}: that wipes out most traces of "
            "what came before."
        )
    rows = {row["name"] for row in _evidence(analysis, "metadata").get("rows", ())}
    looked = bool(_evidence(analysis, "metadata"))
    if looked and not rows.intersection(_CAMERA):
        yield "No metadata name a camera: where the picture comes from cannot be checked by them."
        shape = analysis.picture.shape
        if (max(shape), min(shape)) in _SCREENS:
            yield "It has the size of a screen: a screenshot keeps few traces of what it shows."


def _of_pixels(analysis: Analysis) -> Iterator[str]:
    if analysis.picture.why_no_pixels:
        return
    height, width = analysis.picture.shape
    if min(height, width) < SMALLEST_SIDE:
        yield f"With {height} x {width} pixels the picture is too small for a verdict."
    elif min(height, width) < SMALL_SIDE:
        yield f"The picture is small, {height} x {width} pixels: a larger original shows more."
    answer = analysis.answer
    if answer is None:
        return
    if answer.embedding.uninformative is not None:
        silent = float((answer.embedding.uninformative != INFORMATIVE).mean())
        if silent >= _LEAST_SILENT:
            yield (
                f"{100 * silent:.0f} % of it is too dark, too bright or too flat to carry traces: "
                "sources are guessed there."
            )
    step = STRIDE / min(answer.embedding.geometry.scale)
    if step > STRIDE:
        yield (
            f"The model compares squares of {step:.0f} pixels here: smaller regions are missed, "
            "edges are coarse."
        )


def _of_model(analysis: Analysis) -> Iterator[str]:
    forgery = analysis.forgery
    if forgery is None:
        return
    if analysis.settings.evidence == "none":
        yield "The verdict counts the network alone: no forensic view was weighed."
    elif not forgery.contributions or set(forgery.contributions) == {"network"}:
        yield "The model has no weights for forensic views: its verdict is the network's alone."
    calibration = forgery.calibration
    if calibration is None:
        yield "The model is not calibrated: its score is no probability, and there is no verdict."
        return
    if forgery.obstacle:
        yield "The network's score is not trusted for this picture; the verdict says why."
    authentic, forged = calibration.n_authentic, calibration.n_forged
    low, high = calibration.likelihood_bounds
    if authentic is None or forged is None:
        yield f"The likelihood ratio is kept between 1/{1 / low:.0f} and {high:.0f}."
    else:
        yield (
            f"The likelihood ratio rests on {authentic} authentic and {forged} forged pictures: it "
            f"is never above {high:.0f}."
        )
    if forgery.likelihood_ratio in (low, high):
        yield "It lies at that limit: so many pictures support no stronger statement."
    if forgery.verdict == "no forgery found":
        yield '"No forgery found" is no proof that the picture is authentic.'


def _of_copies(analysis: Analysis) -> Iterator[str]:
    if analysis.answer is None:
        return
    tried, again = analysis.stability, analysis.saved_again
    if tried is None:
        yield "Whether the sources outlive cropping, recompression or resizing was not tried."
        return
    if tried.window is not None:
        yield "Changed copies of this large picture were tried in a window only, without verdicts."
    lost = [one.source + 1 for one in tried.of if one.ious and 2 * one.kept <= len(one.ious)]
    if lost:
        named = f"{len(lost)} of {len(tried.of)} sources are"
        if len(lost) == 1:
            named = f"Source {lost[0]} is"
        elif len(lost) <= _MOST_NAMED:
            named = f"Sources {' and '.join(map(str, lost))} are"
        weak = "a weak finding by itself" if len(lost) == 1 else "weak findings by themselves"
        yield f"{named} lost in half of the changed copies or more: {weak}."
    if again is not None and again.differs:
        yield "Saved once more, the same picture is answered otherwise: see what differs."


def _of_work(analysis: Analysis) -> Iterator[str]:
    for name in failed_views(analysis.evidence):
        yield f'The view "{name}" failed: what it would have shown is not known.'
    if analysis.settings.views is not None:
        yield "Not all forensic views were looked at: the settings name those that were."


def _evidence(analysis: Analysis, name: str) -> Mapping[str, Any]:
    return next((one for one in analysis.evidence if one["name"] == name), {})


def _jpeg_quality(analysis: Analysis) -> int | None:
    """Quality of the last save, as the view of quantisation tables tells it."""
    rows = _evidence(analysis, "quantisation tables").get("rows", ())
    told = next((row["value"] for row in rows if row["name"] == "Luminance: quality"), "")
    number = re.search(r"\d+", told)
    return None if number is None else int(number[0])
