"""How much speaks for a copy, given what tells it from a thing that looks alike."""

from __future__ import annotations

import math

from napari_safire.forensics.copy_move.verification import Traits

_BIAS = 0.0
_WEIGHTS = {"same": 1.0}


def log_odds(traits: Traits) -> float:
    """Log odds of a copy against a thing that looks alike."""
    return _BIAS + sum(weight * getattr(traits, name) for name, weight in _WEIGHTS.items())


def score_of(best: float) -> float:
    """Score of a picture: 0 without candidates, the best one's log odds where they are high."""
    return max(best, 0.0) + math.log1p(math.exp(-abs(best)))
