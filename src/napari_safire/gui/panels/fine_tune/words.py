"""What a fine-tuning tells, as sentences for the dock."""

from __future__ import annotations

import math

from napari_safire.learning.comparison import Comparison
from napari_safire.learning.events import Divided
from napari_safire.learning.run_log import RunEvent

_MEASURES = {
    "p_miou_hungarian": "p_mIoU",
    "f1_fixed_above_floor": "F1 above that of a blank map",
}


def counted(number: int, what: str) -> str:
    """Say how many there are.

    Examples
    --------
    >>> counted(1, "picture"), counted(2, "picture")
    ('1 picture', '2 pictures')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def divided(parts: Divided) -> str:
    """Say what is learned from, and what judges.

    Examples
    --------
    >>> divided(Divided(31, 28, 0, 0, 9, 7))
    'Learning from 31 pictures (28 groups); 9 (7 groups) judge.'
    """
    watched = f", {parts.watched} tell when to stop" if parts.watched else ""
    return (
        f"Learning from {counted(parts.learned, 'picture')} "
        f"({counted(parts.learned_groups, 'group')}); {parts.held_out} "
        f"({counted(parts.held_out_groups, 'group')}) judge{watched}."
    )


def step(progress: RunEvent, loss: float) -> str:
    """Say how far a training is.

    Examples
    --------
    >>> step(RunEvent("step", 40, 300, 80.0), 0.8123)
    'Step 40 of 300 · loss 0.812 · about 9 min left'
    >>> step(RunEvent("begun", 0, 300, 0.0), math.nan)
    'Step 0 of 300'
    """
    said = [f"Step {progress.step} of {progress.steps}"]
    if math.isfinite(loss):
        said.append(f"loss {loss:.3f}")
    if 0 < progress.step < progress.steps:
        left = progress.seconds / progress.step * (progress.steps - progress.step)
        said.append(f"{_duration(left)} left")
    return " · ".join(said)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return "less than a minute"
    minutes = seconds / 60
    return f"about {minutes:.0f} min" if minutes < 100 else f"about {minutes / 60:.1f} h"


def comparison(found: Comparison) -> str:
    """Say what both models have scored, in one sentence with the decision."""
    measure = _MEASURES.get(found.measure, found.measure)
    scores = (
        f"On {counted(found.pictures, 'held-out picture')} the new model has {measure} "
        f"{found.new:.3f}, the old one {found.old:.3f} ({found.difference:+.3f})"
    )
    if found.better:
        return f"Accepted: {small_begin(scores)}. That is more than chance."
    return f"Rejected, the old model stays: {small_begin(scores)}. {_why_not(found)}"


def _why_not(found: Comparison) -> str:
    before, after = found.false_alarms_old, found.false_alarms_new
    if found.low > 0 and before is not None and after is not None:
        return f"False alarms rose too much, from {before:.2f} to {after:.2f}."
    if found.difference > 0:
        return "The gain may be chance: more pictures could tell."
    return "That is no gain."


def small_begin(sentence: str) -> str:
    """Let a sentence go on another one, after a colon."""
    return sentence[0].lower() + sentence[1:]
