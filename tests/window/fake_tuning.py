"""A process that pretends to fine-tune: it says what it was told to, and obeys "stop"."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_safire.learning.comparison import Comparison
from napari_safire.learning.events import Divided, Event, Outcome, Scoring, Warned, to_line
from napari_safire.learning.run_log import RunEvent

_CODE = r"""
import json, pathlib, select, sys
place, *given = sys.argv[1:]
place = pathlib.Path(place)
told = json.loads((place / "told.json").read_text())
(place / "asked.json").write_text(json.dumps(given))
folder = pathlib.Path(given[given.index("--output") + 1])
folder.mkdir(exist_ok=True, parents=True)
(folder / "fine-tuning.json").write_text("{}")
for line in told["first"]:
    print(line, flush=True)
while not (place / "go").exists():
    if select.select([sys.stdin], [], [], 0.02)[0]:  # "stop", or the end of stdin
        print('{"event": "stopped", "reasons": ["Stopped as asked; --resume goes on."]}')
        sys.exit()
(folder / "result.json").write_text("{}")
for line in told["then"]:
    print(line, flush=True)
"""

BEGIN: tuple[Event, ...] = (
    Divided(31, 28, 4, 3, 9, 7),
    Scoring(9, 18),
    RunEvent("begun", 0, 300, 0.0, {"trainable": 5.0, "frozen": 2.0}),
    RunEvent("step", 120, 300, 240.0, {"segmentation": 0.5, "confidence": 0.25}),
)
REASONS = ("p_mIoU changed by +0.0720: a gain.",)


def comparison(better: bool, low: float = 0.02) -> Comparison:
    new = 0.684 if better else 0.613
    return Comparison(
        "p_miou_hungarian", 0.612, new, new - 0.612, low if better else -0.04, 0.12, 9, 7,
        "groups", None, None, better, REASONS,
    )  # fmt: skip


@dataclass(frozen=True)
class FakeTuning:
    """What the process says at once, and what once it may go on.

    Parameters
    ----------
    place : Path
        A folder of its own.
    """

    place: Path

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-I", "-c", _CODE, str(self.place)]

    @property
    def asked(self) -> list[str]:
        """The arguments that it was started with."""
        return json.loads((self.place / "asked.json").read_text())

    def will_say(self, first: Sequence[Event] = BEGIN, then: Sequence[Event] = ()) -> None:
        told = {"first": [to_line(e) for e in first], "then": [to_line(e) for e in then]}
        (self.place / "told.json").write_text(json.dumps(told))

    def will_accept(self, model: Path, warnings: Sequence[str] = ()) -> None:
        last = Outcome("accepted", REASONS, str(model), str(self.place / "result.json"))
        self.will_say((*BEGIN, *map(Warned, warnings)), (comparison(True), last))

    def go_on(self) -> None:
        (self.place / "go").touch()
