"""What a fine-tuning tells while it goes, and how it passes between processes: a JSON line each.

An object has ``"event"`` and the fields of the value that it stands for; numbers that are not
finite are null. The process that fine-tunes writes them, a viewer reads them; neither torch nor
Lightning is needed for that.

==================================================  ==============================================
``event``                                           value
==================================================  ==============================================
begun, step, validation, skipped, saved, ended      `napari_safire.learning.run_log.RunEvent`
divided                                             `Divided`
warning                                             `Warned`
scoring                                             `Scoring`
compared                                            `napari_safire.learning.comparison.Comparison`
accepted, rejected, stopped                         `Outcome`; the last line
error                                               `Failed`; the last line
==================================================  ==============================================
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from napari_safire.images.records.writing import plain
from napari_safire.learning.comparison import Comparison
from napari_safire.learning.run_log import RunEvent, RunEventName

Decision = Literal["accepted", "rejected", "stopped"]
BASIS, RESULT = "fine-tuning.json", "result.json"  # in the folder; see `learning.candidate`


@dataclass(frozen=True, slots=True)
class Divided:
    """How pictures were divided, in pictures and in groups that share no origin.

    Parameters
    ----------
    learned, learned_groups : int
        The model learns from these.
    watched, watched_groups : int
        These tell when to stop.
    held_out, held_out_groups : int
        These judge.
    """

    learned: int
    learned_groups: int
    watched: int
    watched_groups: int
    held_out: int
    held_out_groups: int


@dataclass(frozen=True, slots=True)
class Warned:
    """A file that cannot be used; said once, and the others go on."""

    text: str


@dataclass(frozen=True, slots=True)
class Scoring:
    """Held-out pictures that were scored: with the old model before the training, then the new."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended.

    Parameters
    ----------
    decision : {"accepted", "rejected", "stopped"}
        "accepted": a new model is proposed. "rejected": the old one stays. "stopped": as asked; it
        can be gone on with.
    reasons : tuple of str
        Plain sentences.
    model : str or None
        File of the proposed model.
    result : str or None
        File with everything that was found; None where it was stopped.
    """

    decision: Decision
    reasons: tuple[str, ...] = ()
    model: str | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The one sentence that says what went wrong."""

    text: str


Event = RunEvent | Divided | Warned | Scoring | Comparison | Outcome | Failed
Listener = Callable[[Event], None]

_NAMES: dict[str, type[Any]] = {
    **dict.fromkeys(get_args(RunEventName), RunEvent),
    "divided": Divided,
    "warning": Warned,
    "scoring": Scoring,
    "compared": Comparison,
    **dict.fromkeys(get_args(Decision), Outcome),
    "error": Failed,
}
# Where the name of the event is itself a field of the value.
_OWN_NAMES = {RunEvent: "event", Outcome: "decision"}


def to_line(event: Event) -> str:
    """Write an event as one line of JSON, without the line break."""
    told = plain(asdict(event))
    kind = type(event)
    if kind in _OWN_NAMES:
        name = told.pop(_OWN_NAMES[kind])
    else:
        name = next(name for name, value in _NAMES.items() if value is kind)
    return json.dumps({"event": name, **told}, allow_nan=False)


def from_line(line: str) -> Event:
    """Read what `to_line` wrote.

    Raises
    ------
    ValueError
        The line is no event.
    """
    try:
        told = json.loads(line)
        name = told.pop("event")
        kind = _NAMES[name]
        if kind in _OWN_NAMES:
            told[_OWN_NAMES[kind]] = name
        if "reasons" in told:
            told["reasons"] = tuple(told["reasons"])
        if kind is RunEvent:
            values = told.get("values", {}).items()
            told["values"] = {k: math.nan if v is None else float(v) for k, v in values}
        unknown = told.keys() - {field.name for field in fields(kind)}
        return kind(**{key: value for key, value in told.items() if key not in unknown})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{line.strip()!r:.120} is no event of a fine-tuning.") from error
