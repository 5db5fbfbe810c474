"""What a run tells while it goes: to people, and in its log."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

RunEventName = Literal["begun", "step", "validation", "skipped", "saved", "ended"]
Ending = Literal["done", "no progress", "asked"]


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One thing that happened in a run.

    Parameters
    ----------
    event : {"begun", "step", "validation", "skipped", "saved", "ended"}
        "step": some updates were made, ``values`` are their mean losses. "validation": ``loss`` and
        ``best`` (so far). "skipped": an update was not made, because its gradients were not finite.
        "begun": ``trainable`` and ``frozen`` parameters. "ended": ``skipped`` updates in all.
    step, steps : int
        Updates made, and wanted.
    seconds : float
        Since the run began, of all its processes one after the other.
    values : mapping of str to float
    ending : {"done", "no progress", "asked"}, optional
        Why it ended: all steps are made; validation did not improve; someone asked it to stop.
    """

    event: RunEventName
    step: int
    steps: int
    seconds: float
    values: Mapping[str, float] = field(default_factory=dict)
    ending: Ending | None = None


Listener = Callable[[RunEvent], None]


def print_event(event: RunEvent) -> None:
    """Print one line, or nothing where people need not hear of it."""
    values = event.values
    where = f"step {event.step}/{event.steps}"
    match event.event:
        case "begun":
            text = (
                f"parameters: {values['trainable']:,.0f} trainable, {values['frozen']:,.0f} frozen"
            )
            if event.step:
                text += f"; goes on after step {event.step}"
        case "step":
            losses = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
            text = f"{where}  {event.seconds:.0f} s  {losses}"
        case "validation":
            text = f"{where}  validation {values['loss']:.4f} (best {values['best']:.4f})"
        case "ended":
            text = {
                "done": "",
                "no progress": "stopped: the last validations were no better",
                "asked": f"stopped as asked, after {where}: --resume goes on",
                None: "",
            }[event.ending]
            if values["skipped"]:
                many = f"{values['skipped']:.0f} updates were skipped"
                text += f"{text and '; '}{many}: their gradients were not finite"
        case _:
            text = ""
    if text:
        print(text, flush=True)


def append_row(path: Path, event: RunEvent) -> None:
    """Write the losses of a "step" into a CSV file; the first row names them."""
    header = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        if header:
            log.writerow(["step", "seconds", *event.values])
        values = (f"{value:.4f}" for value in event.values.values())
        log.writerow([event.step, f"{event.seconds:.0f}", *values])


def keep_rows(path: Path, last_step: int) -> None:
    """Drop what was logged after the step where a run goes on."""
    if not path.is_file():
        return
    if not last_step:
        path.unlink()
        return
    rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [row for row in rows[1:] if int(row.split(",")[0]) <= last_step]
    path.write_text("".join([*rows[:1], *kept]), encoding="utf-8")
