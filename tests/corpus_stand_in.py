"""What answers pictures of a corpus in place of a model, in any process: quick, and known."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from napari_safire.corpus.work import Ask
from napari_safire.examination import Examination, ExaminationSettings
from napari_safire.forgery import ForgeryMap
from napari_safire.images.reading import ReadImage
from napari_safire.progress import Cancel

CHECKPOINT = "ab" * 32


def wait_for(path: Path, seconds: float = 60) -> None:
    """Wait until a file is there; seconds are for what went wrong."""
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"nobody made {path}")
        time.sleep(0.01)


@dataclass(frozen=True)
class StandIn:
    """Calls a picture forged whose first pixel is above 200.

    Parameters
    ----------
    seconds : float
        That an answer takes.
    kills : bool
        Pictures whose first pixel is 13 end the process, as a decoder might.
    fails : str
        What the device says to each picture.
    gate : str
        A folder: pictures that are asked make the file ``asked`` in it, and wait for ``go``.
    """

    seconds: float = 0.0
    kills: bool = False
    fails: str = ""
    gate: str = ""
    settings: ExaminationSettings = field(default_factory=ExaminationSettings)

    def __hash__(self) -> int:
        return hash((self.seconds, self.kills, self.fails, self.gate))

    def __call__(self) -> Ask:
        return self.answer

    def answer(self, image: ReadImage, cancel: Cancel | None) -> Examination:
        first = int(image.pixels.flat[0])
        if self.kills and first == 13:
            os._exit(9)
        if self.fails:
            raise RuntimeError(self.fails)
        if self.gate:
            Path(self.gate, "asked").touch()
            wait_for(Path(self.gate, "go"))
        time.sleep(self.seconds)
        shape = image.pixels.shape[:2]
        verdict = "forged" if first > 200 else "no forgery found"
        forgery = ForgeryMap(np.zeros(shape, np.float32), first / 255, verdict, "A stand-in.")
        nothing: Any = SimpleNamespace(warnings=(), notices=())
        return Examination(image, self.settings, nothing, None, forgery, (), {"ask": self.seconds})
