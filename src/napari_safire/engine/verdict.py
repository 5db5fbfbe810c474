"""The verdict on a whole picture: how probable a forgery is, and whether that can be said."""

from __future__ import annotations

from napari_safire.engine.readability import Readability
from napari_safire.types import Calibration, Verdict

SMALLEST_SIDE = 128  # pixels: eight cells of 16
MOST_UNREADABLE = 0.5  # of the picture: from here on there is too little to judge by
MOST_UNREADABLE_STANDING_OUT = 0.6  # of what stands out: from here on it accuses nothing


def judge(
    statistic: float,
    calibration: Calibration | None,
    image_shape: tuple[int, int],
    readability: Readability | None = None,
) -> tuple[float, Verdict, str]:
    """Judge a picture by how far apart its two sources are.

    Parameters
    ----------
    statistic : float
        `napari_safire.engine.clustering.separation` of the two sources.
    calibration : Calibration or None
    image_shape : (int, int)
        Rows and columns.
    readability : Readability or None
        None where it is not known which cells can be read: they then count as readable.

    Returns
    -------
    score : float
        Probability of forgery, also where it is not trusted; without a calibration the statistic
        squeezed to [0, 1].
    verdict : {"forged", "no forgery found", "inconclusive"}
        "inconclusive" for want of a calibration, of pixels, of traces, or of a clear probability.
    reason : str
        The first of these that holds, in one sentence.
    """
    if calibration is None:
        return (
            min(1.0, statistic / 2),
            "inconclusive",
            "This model has no calibration: the score is a raw distance between two sources, not "
            "a probability.",
        )
    probability = calibration.probability(statistic)
    obstacle = _obstacle(image_shape, readability)
    if obstacle:
        return probability, "inconclusive", obstacle
    if probability >= calibration.forged_above:
        doubt = _doubt(probability, readability)
        if doubt:
            return probability, "inconclusive", doubt
    return probability, _verdict(probability, calibration), _basis(probability, calibration)


def _obstacle(image_shape: tuple[int, int], readability: Readability | None) -> str:
    """Why nothing can be said of this picture, whatever its probability; empty if it can."""
    if min(image_shape) < SMALLEST_SIDE:
        return (
            f"A picture of {image_shape[0]} x {image_shape[1]} pixels is too small to judge: "
            f"{SMALLEST_SIDE} pixels a side are needed."
        )
    if readability is not None and readability.whole.total >= MOST_UNREADABLE:
        return (
            f"{readability.whole.total:.0%} of the picture carries no traces that could be read "
            f"({readability.whole}), so there is too little to judge by."
        )
    return ""


def _doubt(probability: float, readability: Readability | None) -> str:
    """Why a high probability accuses nothing; empty if it does."""
    if readability is None or readability.standing_out.total < MOST_UNREADABLE_STANDING_OUT:
        return ""
    return (
        f"The probability of forgery is {probability:.2f}, but {readability.standing_out.total:.0%}"
        f" of what stands out carries no traces that could be read ({readability.standing_out}): "
        "it may stand out for that alone."
    )


def _verdict(probability: float, calibration: Calibration) -> Verdict:
    if probability >= calibration.forged_above:
        return "forged"
    return "no forgery found" if probability <= calibration.clean_below else "inconclusive"


def _basis(probability: float, calibration: Calibration) -> str:
    told = f"The probability of forgery is {probability:.2f}; {calibration.basis}"
    if _verdict(probability, calibration) != "no forgery found":
        highest = calibration.highest_false_alarm_rate
        of_a_kind = "" if highest is None else f" (of no kind more than {highest:.0%})"
        return (
            f"{told} {calibration.false_alarm_rate:.0%} of the authentic ones among them{of_a_kind}"
            f" score {calibration.forged_above:.2f}, the threshold, or more."
        )
    # What matters of an all-clear is how often it is wrong, not how often an accusation is.
    threshold = f"{calibration.clean_below:.2f}, the threshold, or less"
    missed = calibration.miss_rate
    among = (
        f"How many forged ones score {threshold}, was not kept"
        if missed is None
        else f"{missed:.0%} of the forged ones among them score {threshold}"
    )
    return (
        f"{told} {among}, and other kinds of forgery may be missed more often: this is no proof "
        "that the picture is authentic."
    )
