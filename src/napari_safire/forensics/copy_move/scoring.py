"""How much speaks for a copy, given what tells it from a thing that looks alike."""

from __future__ import annotations

import math
from collections.abc import Mapping

from napari_safire.forensics.copy_move.verification import Traits

INPUTS = {
    "matches": 1,
    "peak": 1,
    "area": 1,
    "hull_same": 1,
    "same": 1,
    "held": 1,
    "fine": 1,
    "lowest": 1,
    "coarse": 1,
    "difference": -1,
    "zoom": -1,
    "distance": 1,
    "resembling": -1,
    "alone": 1,
    "flat": -1,
    "two_tone": -1,
}
"""Names of what is weighed, and the sign that its weight may have."""

BIAS = 0.0
WEIGHTS: Mapping[str, float] = {"same": 1.0}


def inputs_of(traits: Traits) -> tuple[float, ...]:
    """Values of `INPUTS`."""
    return (
        traits.matches,
        min(traits.peak, 12.0),
        min(traits.area, 4.0),
        traits.hull_same,
        traits.same,
        traits.held,
        traits.fine,
        traits.lowest,
        traits.coarse,
        traits.difference,
        traits.zoom,
        traits.distance,
        traits.resembling,
        traits.alone,
        traits.flat,
        traits.two_tone,
    )


def log_odds(
    traits: Traits, bias: float = BIAS, weights: Mapping[str, float] = WEIGHTS
) -> float:
    """Log odds of a copy against a thing that looks alike."""
    values = dict(zip(INPUTS, inputs_of(traits), strict=True))
    return bias + sum(weight * values[name] for name, weight in weights.items())


def score_of(best: float) -> float:
    """Score of a picture: 0 without candidates, the best one's log odds where they are high."""
    return max(best, 0.0) + math.log1p(math.exp(-abs(best)))
