"""How strongly findings speak for one of two propositions, in words of a published scale.

The words are those of the ENFSI *Guideline for Evaluative Reporting in Forensic Science* (2015),
which ties each of them to likelihood ratios: how many times as probable the findings are under one
proposition (the picture was manipulated) as under the other (it is as it was recorded). They say
nothing of how probable either proposition is: that takes what else is known of the case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Support = Literal[
    "no support",
    "weak support",
    "moderate support",
    "moderately strong support",
    "strong support",
    "very strong support",
    "extremely strong support",
]
SUPPORTS: tuple[Support, ...] = get_args(Support)
"""From the weakest on."""
SCALE = "ENFSI 2015"
LEAST_RATIOS = (1.0, 2.0, 10.0, 100.0, 1_000.0, 10_000.0, 1_000_000.0)
"""Likelihood ratio at which each of `SUPPORTS` begins; the next one ends it."""

Proposition = Literal["manipulated", "authentic"]


@dataclass(frozen=True, slots=True)
class SupportedProposition:
    """What a likelihood ratio speaks for, and how strongly.

    Parameters
    ----------
    support : Support
    proposition : {"manipulated", "authentic"} or None
        None where it speaks for neither.
    """

    support: Support
    proposition: Proposition | None


def supported_by(ratio: float) -> SupportedProposition:
    """Put a likelihood ratio into the words of the scale.

    Parameters
    ----------
    ratio : float
        Above 0: how many times as probable the findings are of a manipulated picture.

    Returns
    -------
    SupportedProposition

    Raises
    ------
    ValueError
        It is no ratio.

    Examples
    --------
    >>> supported_by(30)
    SupportedProposition(support='moderate support', proposition='manipulated')
    >>> supported_by(1 / 3)
    SupportedProposition(support='weak support', proposition='authentic')
    """
    if not (math.isfinite(ratio) and ratio > 0):
        raise ValueError(f"A likelihood ratio is above 0 and finite, not {ratio}.")
    strength = max(ratio, 1 / ratio)
    level = sum(strength >= least for least in LEAST_RATIOS) - 1
    if level == 0:
        return SupportedProposition(SUPPORTS[0], None)
    return SupportedProposition(SUPPORTS[level], "manipulated" if ratio > 1 else "authentic")
