"""The verdict in words: one line, one sentence, and all that stands behind them."""

from __future__ import annotations

import math

from napari_safire.forgery import Contribution, ForgeryMap
from napari_safire.gui.panels.folded_text import fold, sentences
from napari_safire.gui.preferences import EVEN_ODDS
from napari_safire.text import printable

_NOT = "not applicable: "


def headline(forgery: ForgeryMap) -> str:
    """One line; of an inconclusive verdict with its cause, which is no lack of evidence."""
    if forgery.verdict != "inconclusive":
        return f"{forgery.verdict.capitalize()} · {_short(forgery.score)} at even odds"
    limits = forgery.calibration
    if limits is None:
        return "Inconclusive: the model is not calibrated"
    if is_between(forgery):
        return f"Inconclusive: neither high nor low, {_short(forgery.score)}"
    return "Inconclusive: too little to judge by"


def so_far(network: ForgeryMap) -> str:
    """One line of what the network says while other evidence is still being weighed."""
    score = f" · {_short(network.score)}" if network.verdict != "inconclusive" else ""
    return f"So far, network alone: {network.verdict}{score}"


def contributions(forgery: ForgeryMap) -> str:
    """What each kind of evidence adds, a line each, the strongest first; empty for none.

    Kinds that do not apply come last.
    """
    told = sorted(
        forgery.contributions.items(),
        key=lambda item: (item[1].words.startswith(_NOT), -abs(item[1].log_odds)),
    )
    return "\n".join(_contribution(name, one) for name, one in told)


def _contribution(name: str, one: Contribution) -> str:
    words, how = printable(one.words), one.weight
    if words.startswith(_NOT):
        how, words = _NOT.removesuffix(": "), words.removeprefix(_NOT)
    elif how != "nothing":
        how = f"{how}, odds x {math.exp(one.log_odds):.2g}"
    return f"{name} ({how}): {words}"


def is_between(forgery: ForgeryMap) -> bool:
    """Whether the score lies between the thresholds, so that it was judged and found open."""
    limits = forgery.calibration
    between = limits is not None and limits.clean_below < forgery.score < limits.forged_above
    return between and not forgery.obstacle


def why(forgery: ForgeryMap) -> str:
    """The one sentence that matters most under the headline.

    Of an all-clear no ratio: it is that of the pictures of the calibration, and says nothing of
    the kinds of forgery that are missed.
    """
    if forgery.verdict == "no forgery found":
        return "Many real forgeries are missed like this: no proof of authenticity."
    told = [s for s in sentences(forgery.reason) if not s.startswith("At even odds")]
    first, _ = fold(told[0] if told else forgery.reason)
    return first


def details(forgery: ForgeryMap, prior: float) -> str:
    """Everything that is known of a verdict.

    Parameters
    ----------
    forgery : ForgeryMap
    prior : float
        Probability of forgery before the picture was seen; see Preferences.
    """
    limits = forgery.calibration
    if limits is None:
        return forgery.reason
    judged = forgery.verdict != "inconclusive" or is_between(forgery)
    weight = odds(forgery, prior) if judged else ""  # else the score is of what cannot be read
    parts = (forgery.reason, weight, f"The model is {limits.basis}")
    return "\n\n".join(part for part in parts if part)


def odds(forgery: ForgeryMap, prior: float) -> str:
    """What the score says whatever the odds, and at the user's own."""
    ratio, posterior = forgery.likelihood_ratio, forgery.with_prior(prior)
    if ratio is None or posterior is None:
        return ""
    told = f"Likelihood ratio {ratio:.2g} (forgery against authentic)."
    if prior != EVEN_ODDS:
        told += f" With a prior of {prior:.1%}, from Preferences: probability {posterior:.2g}."
    return told


def _short(probability: float) -> str:
    text = f"{probability:.2f}"
    known = {"0.00": "< .01", "1.00": "> .99"}  # never quite sure
    return known.get(text, text.removeprefix("0"))
