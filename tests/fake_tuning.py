"""A process that pretends to fine-tune: it says what it was told to, and obeys "stop"."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_safire.corpus.queue import PictureQueue
from napari_safire.gui.io.writer import write_labels
from napari_safire.gui.panels.fine_tune import section as fine_tune_section
from napari_safire.images.masks import decode_sources, encode_sources
from napari_safire.images.records.head import FROM_ONE
from napari_safire.learning.comparison import Comparison
from napari_safire.learning.events import Divided, Event, Outcome, Scoring, Warned, to_line
from napari_safire.learning.run_log import RunEvent
from napari_safire.session.fine_tuning import FineTuning

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

SHAPE = (24, 32)

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


def make_pictures(folder: Path, number: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"p{i}.png" for i in range(number)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((*SHAPE, 3), 10 * i, np.uint8)).save(path)
    return paths


def make_mask(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values).save(path)


def two_sources() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[SHAPE[0] // 2 :] = 1
    return encode_sources(labels)


def finish(folder: Path, numbers: Iterable[int]) -> None:
    """Save pictures of a series as done, as the plugin does."""
    entries = PictureQueue.open(folder).entries()
    labels = decode_sources(two_sources()) + 1
    done = {"metadata": {"napari_safire": {"numbering": FROM_ONE, "state": "done"}}}
    for number in numbers:
        entries[number].record.parent.mkdir(exist_ok=True)
        write_labels(str(entries[number].record), labels, done)


def make_series(folder: Path) -> Path:
    """A folder of 13 pictures, of which 12 are done."""
    make_pictures(folder / "photos", 13)
    finish(folder / "photos", range(12))
    return folder / "photos"


def make_fake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTuning:
    """What the section starts is this process."""
    (folder / "fake").mkdir()
    made = FakeTuning(folder / "fake")
    made.will_say()
    command = partial(FineTuning, command=made.command)
    monkeypatch.setattr(fine_tune_section, "FineTuning", command)
    return made
