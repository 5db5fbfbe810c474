"""How much speaks for a copy, given what tells it from a thing that looks alike."""

from __future__ import annotations

import math
from collections.abc import Mapping

from napari_safire.forensics.copy_move.verification import Traits

_PEAK = 6.0  # standard deviations: highest peaks of authentic pictures, beside repeated things
_FLAT = 0.1  # share of flat pixels from which on a region counts as drawn
_RECURRING = 0.9  # share of third places and of two tones together

DRAWN = -8.0
"""Log odds that a drawn region loses. A rule, not fitted: drawn things repeat to the pixel."""

CALLED = 0.5
"""Log odds from which on regions are called copies and marked."""

INPUTS = {
    "support": 1,
    "alone": 1,
    "fine": 1,
    "lowest": 1,
    "coarse": 1,
    "difference": -1,
    "distance": 1,
    "resembling": -1,
}
"""Names of what is weighed, and the sign that its weight may have."""

# fitted by training/fit_copy_move.py: fold 0, 279 candidates of 167 authentic pictures, 75 copies
BIAS = -14.13
WEIGHTS: Mapping[str, float] = {
    "support": 2.89,
    "alone": 3.69,
    "fine": 0.71,
    "lowest": 2.39,
    "difference": -3.05,
    "distance": 4.36,
    "resembling": -1.99,
}


def inputs_of(traits: Traits) -> tuple[float, ...]:
    """Values of `INPUTS`."""
    by_peak = min(max((traits.peak - _PEAK) / _PEAK, 0.0), 2.0)
    return (
        max(traits.matches, by_peak),
        traits.alone if traits.matches else 0.8,
        max(traits.fine, 0.5),
        max(traits.lowest, 0.3),
        max(traits.coarse, 0.5),
        min(traits.difference, 1.0),
        min(traits.distance, 2.0),
        traits.resembling,
    )


def drawn(traits: Traits) -> float:
    """Whether a region was drawn rather than photographed, 0 to 1.

    Drawn things (text, icons, tables) repeat to the pixel. They are told by pixels that equal their
    neighbours where there are few tones, or where the same shapes stand in third places.
    """
    even = min(traits.flat, _FLAT) / _FLAT
    recurring = traits.resembling + traits.two_tone - _RECURRING
    return even * min(max(recurring / 0.5, 0.0), 1.0)


def log_odds(traits: Traits, bias: float = BIAS, weights: Mapping[str, float] = WEIGHTS) -> float:
    """Log odds of a copy against a thing that looks alike."""
    values = dict(zip(INPUTS, inputs_of(traits), strict=True))
    known = bias + sum(weight * values[name] for name, weight in weights.items())
    return known + DRAWN * drawn(traits)


def score_of(best: float) -> float:
    """Score of a picture: 0 without candidates, the best one's log odds where they are high."""
    return max(best, 0.0) + math.log1p(math.exp(-abs(best)))
