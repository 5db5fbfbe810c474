"""What answers pictures of a corpus in place of a model, in any process: quick, and known."""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from napari_safire.corpus.job import CorpusJob, begin_job
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.manifest_schema import ManifestRow
from napari_safire.corpus.work import Ask, CorpusSettings
from napari_safire.examination import Examination, ExaminationSettings
from napari_safire.forgery import ForgeryMap
from napari_safire.images.reading import ReadImage
from napari_safire.progress import Cancel

CHECKPOINT = "ab" * 32


def corpus(folder: Path, *parts: Sequence[ManifestRow]) -> Path:
    """Write the output folder of a corpus that was asked nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    begin_job(folder, CorpusJob(CorpusSettings().basis(CHECKPOINT, "float32"), "stand-in"))
    for number, rows in enumerate(parts):
        Manifest(folder).write_part(f"{number:032x}", list(rows))
    return folder


def manifest(folder: Path, scores: Sequence[tuple[str, float]]) -> Path:
    """Write a corpus of pictures, by their places and scores."""
    rows = [
        ManifestRow(number.to_bytes(16, "big"), place, os.fsencode(place), score=score)
        for number, (place, score) in enumerate(scores)
    ]
    return corpus(folder, rows)


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
    calls : str
        A folder in which each call leaves a file, whichever process it is in; `calls_in` counts.
    fails : str
        What the device says to each picture.
    gate : str
        A folder: pictures that are asked make the file ``asked`` in it, and wait for ``go``.
    """

    seconds: float = 0.0
    kills: bool = False
    calls: str = ""
    fails: str = ""
    gate: str = ""
    settings: ExaminationSettings = field(default_factory=ExaminationSettings)

    def __hash__(self) -> int:
        return hash((self.seconds, self.kills, self.fails, self.gate))

    def __call__(self) -> Ask:
        return self.answer

    def answer(self, image: ReadImage, cancel: Cancel | None) -> Examination:
        if self.calls:
            Path(self.calls, f"{image.sha256}-{secrets.token_hex(6)}").touch()
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


def calls_in(folder: Path) -> Counter[str]:
    """Count the calls that left a file, by the hash of the picture."""
    return Counter(path.name.partition("-")[0] for path in folder.iterdir())
