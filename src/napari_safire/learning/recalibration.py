"""What a fine-tuned model's distances mean, as far as its held-out pictures can tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from napari_safire.engine import Engine
from napari_safire.engine.rules import ModelRules
from napari_safire.errors import Cancelled, SafireError
from napari_safire.forgery import Calibration
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import MaskKind
from napari_safire.images.reading import read_image
from napari_safire.images.truth import read_truth
from napari_safire.learning.calibration import (
    Observation,
    candidates_of,
    choose_threshold,
    fit_calibration,
    observe,
)
from napari_safire.progress import Cancel

_FALSE_ALARM_RATE = 0.1
# Fewer pictures of a kind than 1 / rate, and the rate is not seen in them.
_FEWEST_TO_CALIBRATE = round(1 / _FALSE_ALARM_RATE)
_FEWEST_OF_A_NUMBER = 5


def recalibrated(
    engine: Engine, entries: Sequence[ListEntry], kind: MaskKind, stop: Cancel
) -> tuple[ModelRules, tuple[str, ...]]:
    """Settle anew what fine-tuning has changed, where there are pictures enough.

    The probability of forgery needs ten authentic and ten forged pictures; without a calibration
    verdicts are inconclusive. The threshold of method "auto" needs five pictures of
    one source and five of another number; without them it stays that of the old model, which is
    nearer than any default.

    Parameters
    ----------
    engine : Engine
        With the new model.
    entries : sequence of ListEntry
        That it has not learned from. Those that cannot be read are left out.
    kind : {"sources", "binary"}
    stop : callable

    Returns
    -------
    rules : ModelRules
        The engine's, with the calibration and threshold that were settled.
    notes : tuple of str
        Plain sentences that say so.

    Raises
    ------
    Cancelled
    """
    observations = list(_observe(engine, entries, kind, stop))
    calibration, first = _calibration(observations)
    threshold, second = _threshold(engine, observations, kind)
    rules = replace(engine.rules, calibration=calibration)
    return rules if threshold is None else rules.with_threshold(threshold), (first, second)


def _observe(
    engine: Engine, entries: Sequence[ListEntry], kind: MaskKind, stop: Cancel
) -> Iterator[Observation]:
    for entry in entries:
        if stop():
            raise Cancelled("Stopped as asked.")
        try:
            pixels = read_image(entry.image).pixels
            labels = read_truth(entry, kind, shape=pixels.shape[:2]).labels  # warned of before
            n_sources = len(np.unique(labels)) if kind == "sources" else 1 + int(labels.any())
            yield observe(engine, pixels, n_sources)
        except (SafireError, ValueError):  # told when it was scored
            continue


def _calibration(observations: Sequence[Observation]) -> tuple[Calibration | None, str]:
    authentic = sum(one.n_sources == 1 for one in observations)
    forged = len(observations) - authentic
    if min(authentic, forged) < _FEWEST_TO_CALIBRATE:
        return None, (
            "The old calibration is not true of the new model, and a new one needs "
            f"{_FEWEST_TO_CALIBRATE} authentic and {_FEWEST_TO_CALIBRATE} forged held-out pictures "
            f"(there are {authentic} and {forged}): its verdicts will be inconclusive."
        )
    basis = (
        f"calibrated on {authentic} authentic and {forged} forged pictures held out of its "
        "fine-tuning, which also decided for this model."
    )
    calibration = fit_calibration(observations, _FALSE_ALARM_RATE, basis)
    if not (math.isfinite(calibration.slope) and calibration.slope > 0):
        return None, (
            "On the held-out pictures forgeries do not look more like forgeries than authentic "
            "pictures: the new model has no calibration, its verdicts will be inconclusive."
        )
    return calibration, f"Its verdicts are {basis}"


def _threshold(
    engine: Engine, observations: Sequence[Observation], kind: MaskKind
) -> tuple[float | None, str]:
    counts = [one.n_sources for one in observations]
    numbers = [n for n in set(counts) if counts.count(n) >= _FEWEST_OF_A_NUMBER]
    # Without any of one source, the threshold that divides everything would look best.
    if kind == "binary" or len(numbers) < 2 or 1 not in numbers:
        return None, (
            'The threshold of method "auto" is still that of the old model: a new one needs '
            f"{_FEWEST_OF_A_NUMBER} held-out pictures of one source, and as many of another number."
        )
    usable = [one for one in observations if one.n_sources in numbers]
    threshold, accuracy = choose_threshold(usable, candidates_of(engine.rules))
    return threshold, (
        f'The threshold of method "auto" is {threshold:.2f}, which finds the number of sources in '
        f"{100 * accuracy:.0f} % of the {len(usable)} held-out pictures that it was chosen by."
    )
