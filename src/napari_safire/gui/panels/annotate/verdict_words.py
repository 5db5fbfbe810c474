"""The verdict in words: one line, one sentence, and all that stands behind them."""

from __future__ import annotations

from napari_safire.gui.panels.folded_text import fold, sentences
from napari_safire.gui.preferences import EVEN_ODDS
from napari_safire.types import ForgeryMap


def headline(forgery: ForgeryMap) -> str:
    """One line; of an inconclusive verdict with its cause, which is no lack of evidence."""
    if forgery.verdict != "inconclusive":
        return f"{forgery.verdict.capitalize()} · {_short(forgery.score)} at even odds"
    limits = forgery.calibration
    if limits is None:
        return "Inconclusive: the model is not calibrated"
    if limits.clean_below < forgery.score < limits.forged_above:
        return f"Inconclusive: neither high nor low, {_short(forgery.score)}"
    return "Inconclusive: too little to judge by"


def why(forgery: ForgeryMap) -> str:
    """The one sentence that matters most under the headline."""
    told = [s for s in sentences(forgery.reason) if not s.startswith("At even odds")]
    first, _ = fold(told[0] if told else forgery.reason)
    if forgery.verdict == "no forgery found":
        return first.removesuffix(".") + ": no proof of authenticity."
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
    parts = (forgery.reason, odds(forgery, prior), f"The model is {limits.basis}")
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
