"""The verdict on a whole picture: how probable a forgery is, and whether that can be said.

Every reason says what it rests on, and an inconclusive one what could settle the question, in
sentences of at most 20 words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from napari_safire.forgery import Calibration, Contribution, Verdict
from napari_safire.partitioning.uninformative import Informativeness

SMALLEST_SIDE = 128  # pixels: eight patches of 16
MOST_UNINFORMATIVE = 0.5  # of the picture: from here on there is too little to judge by
MOST_UNINFORMATIVE_STANDING_OUT = 0.6  # of what stands out: from here on it accuses nothing
SMALL_SIDE = 512  # pixels: below, a larger version is the first thing to look for
_MOST_DECIMALS = 6
_MOST_NAMED = 5  # kinds of evidence in a sentence
_UNCALIBRATED = (
    "This model has no calibration, so it gives no verdict. The score is a raw distance between "
    "two sources, not a probability. A calibrated model, such as safire-lite, could settle it."
)


class Judgement(NamedTuple):
    """What is said of a whole picture.

    Parameters
    ----------
    score : float
        Probability of forgery at even odds, also where it is not trusted; without a calibration the
        statistic squeezed to [0, 1].
    verdict : {"forged", "no forgery found", "inconclusive"}
        "inconclusive" for want of a calibration, of pixels, of traces, of a model that responds, or
        of a clear probability.
    reason : str
        The first of these that holds.
    obstacle : str
        The same where the score is not trusted whatever it is; else empty.
    """

    score: float
    verdict: Verdict
    reason: str
    obstacle: str = ""


def judge(
    statistic: float,
    calibration: Calibration | None,
    image_shape: tuple[int, int],
    informativeness: Informativeness | None = None,
    silence: str = "",
) -> Judgement:
    """Judge a picture by how far apart its two sources are.

    Parameters
    ----------
    statistic : float
        `napari_safire.partitioning.clustering.separation` of the two sources.
    calibration : Calibration or None
    image_shape : (int, int)
        Rows and columns.
    informativeness : Informativeness or None
        None where it is not known which patches are informative: they then count as informative.
    silence : str
        Why the model has nothing to say of this picture, one of the sentences of
        `napari_safire.engine.response`; empty if it has.

    Returns
    -------
    Judgement
    """
    if calibration is None:
        return _mute(min(1.0, statistic / 2), _UNCALIBRATED)
    probability = calibration.probability(statistic)
    obstacle = _obstacle(image_shape, informativeness) or silence
    if obstacle:
        return _mute(probability, obstacle)
    judged = _judged(probability, calibration, image_shape)
    if judged.verdict == "forged" and (doubt := _doubt(probability, informativeness)):
        return _mute(probability, doubt)
    return judged


def judge_sum(
    log_odds: float,
    calibration: Calibration,
    image_shape: tuple[int, ...],
    contributions: Mapping[str, Contribution],
) -> Judgement:
    """Judge a picture by the sum of what several kinds of evidence add.

    Parameters
    ----------
    log_odds : float
        The sum.
    calibration : Calibration
        Of such sums.
    image_shape : (int, int)
        Rows and columns.
    contributions : mapping of str to Contribution
        What was added; the reason begins with them.

    Returns
    -------
    Judgement
    """
    said = _judged(calibration.probability(log_odds), calibration, image_shape)
    return said._replace(reason=f"{_in_words(contributions)} {said.reason}")


def _judged(
    probability: float, calibration: Calibration, image_shape: tuple[int, ...]
) -> Judgement:
    verdict = _verdict(probability, calibration)
    if verdict == "inconclusive":
        return Judgement(probability, verdict, _between(probability, calibration, image_shape))
    return Judgement(probability, verdict, _basis(probability, calibration))


def _in_words(contributions: Mapping[str, Contribution]) -> str:
    """Which evidence says much, little, nothing: the strongest first."""
    ordered = sorted(contributions.items(), key=lambda item: -item[1].log_odds)
    strong, weak, against = (
        ", ".join([name for name, one in ordered if one.weight == weight][:_MOST_NAMED])
        for weight in ("strong", "weak", "against")
    )
    told = []
    if strong:
        told.append(f"Strong evidence of a forgery: {strong}")
    if weak:
        each = "each weak" if "," in weak else "weak"
        told.append(
            f"weaker: {weak}" if strong else f"Evidence of a forgery, {each} by itself: {weak}"
        )
    if against:
        told.append(f"against one: {against}" if told else f"Speaks against a forgery: {against}")
    if not told:
        return "No evidence speaks for a forgery or against one."
    return "; ".join(told) + "."


def _mute(score: float, obstacle: str) -> Judgement:
    return Judgement(score, "inconclusive", obstacle, obstacle)


def _obstacle(image_shape: tuple[int, int], informativeness: Informativeness | None) -> str:
    """Why nothing can be said of this picture, whatever its probability; empty if it can."""
    if min(image_shape) < SMALLEST_SIDE:
        return (
            f"A picture of {image_shape[0]} x {image_shape[1]} pixels is too small to judge: "
            f"{SMALLEST_SIDE} pixels a side are needed. A larger original could settle it."
        )
    if informativeness is not None and informativeness.whole.total >= MOST_UNINFORMATIVE:
        return (
            f"{informativeness.whole.total:.0%} of the picture carries no traces that could be "
            f"read ({informativeness.whole}). That leaves too little to judge by. A version with "
            "detail there could settle it."
        )
    return ""


def _doubt(probability: float, informativeness: Informativeness | None) -> str:
    """Why a high probability accuses nothing; empty if it does."""
    if (
        informativeness is None
        or informativeness.standing_out.total < MOST_UNINFORMATIVE_STANDING_OUT
    ):
        return ""
    return (
        f"{_said(probability)} But {informativeness.standing_out.total:.0%} of what stands "
        f"out carries no traces that could be read ({informativeness.standing_out}). It may stand "
        "out for that alone. A version with detail there could settle it."
    )


def _verdict(probability: float, calibration: Calibration) -> Verdict:
    if probability >= calibration.forged_above:
        return "forged"
    return "no forgery found" if probability <= calibration.clean_below else "inconclusive"


def _between(probability: float, calibration: Calibration, image_shape: tuple[int, ...]) -> str:
    """Where a probability lies between the thresholds, and what could take it out of there."""
    below, above = calibration.clean_below, calibration.forged_above
    score, low, high = _told(probability, below, above)
    # Distances of what is shown, so that they can be checked by whoever reads it.
    decimals = len(score.partition(".")[2])
    to_low, to_high = (f"{abs(float(score) - float(limit)):.{decimals}f}" for limit in (low, high))
    nearer, further, names = to_low, to_high, ('"no forgery found"', '"forged"')
    if float(to_high) < float(to_low):
        nearer, further, names = to_high, to_low, (names[1], names[0])
    where = f"It is nearer to {names[0]}: {nearer} away, and {further} from {names[1]}."
    if to_low == to_high:
        where = f"It is as near to the one as to the other: {to_low} away."
    version = "A larger" if min(image_shape) < SMALL_SIDE else "An earlier, less compressed"
    return (
        f'{_said(probability, score)} That lies between the thresholds: {low} for "no forgery '
        f'found", {high} for "forged". {where} {version} version could settle it. So could clicks '
        "on regions in doubt: do their sources end where the content does?"
    )


def _basis(probability: float, calibration: Calibration) -> str:
    """How often such a verdict was wrong among the pictures of the calibration."""
    weight = weight_in_words(probability, calibration)
    if probability >= calibration.forged_above:
        score, threshold = _told(probability, calibration.forged_above)
        highest = calibration.highest_false_alarm_rate
        of_a_kind = "" if highest is None else f" (of no kind more than {highest:.0%})"
        return (
            f"{_said(probability, score)} {weight} Of the authentic pictures it was fitted on, "
            f"{calibration.false_alarm_rate:.0%}{of_a_kind} reach the threshold, {threshold}."
        )
    # What matters of an all-clear is how often it is wrong, not how often an accusation is.
    score, threshold = _told(probability, calibration.clean_below)
    missed = calibration.miss_rate
    among = (
        f"How many forged pictures stay below the threshold, {threshold}, was not kept."
        if missed is None
        else f"Of the forged pictures it was fitted on, {missed:.0%} stay below the threshold, "
        f"{threshold}."
    )
    return (
        f"{_said(probability, score)} {weight} {among} Other kinds of forgery may be missed more "
        "often. This is no proof that the picture is authentic."
    )


def _said(probability: float, shown: str | None = None) -> str:
    text = shown or f"{probability:.2f}"
    text = {"0.00": "below 0.01", "1.00": "above 0.99"}.get(text, text)  # never quite sure
    return f"At even odds, the probability of forgery is {text}."


def weight_in_words(probability: float, calibration: Calibration) -> str:
    """Say what a score means whatever the odds: the likelihood ratio, the larger way round.

    Parameters
    ----------
    probability : float
        At even odds.
    calibration : Calibration

    Returns
    -------
    str
        One or two sentences.
    """
    ratio = calibration.likelihood_ratio(probability)
    lowest, highest = calibration.likelihood_bounds
    limit = " Its calibration supports no larger ratio." if ratio in (lowest, highest) else ""
    one, other = "a forgery", "an authentic picture"
    if ratio < 1:
        ratio, one, other = 1 / ratio, other, one
    times = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
    return f"Such a score is {times} times as likely for {one} as for {other}.{limit}"


def _told(*values: float) -> list[str]:
    """Write numbers with as many decimals, two at least, as tell different ones apart."""
    for decimals in range(2, _MOST_DECIMALS):
        texts = [f"{value:.{decimals}f}" for value in values]
        if len(set(texts)) == len(set(values)):
            return texts
    return [f"{value:.{_MOST_DECIMALS}f}" for value in values]
