"""Who answers pictures: a model by its name and hash, opened once in each process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_safire.corpus.work import Ask
from napari_safire.errors import SafireError
from napari_safire.examination import Examination, ExaminationSettings, examine_image
from napari_safire.forensics.cache import RESULTS
from napari_safire.images.reading import ReadImage
from napari_safire.progress import Cancel
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari_safire.engine import Engine

OpenAsk = Callable[[], Ask]
"""Opens what answers; may be sent to another process."""

_OPEN: dict[EngineSource, Engine] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class EngineSource:
    """A model that another process can open for itself.

    Parameters
    ----------
    name : str
        Registered, or a file that every process can read.
    checkpoint_sha256 : str
        That it must have.
    device, precision : str
    """

    name: str
    checkpoint_sha256: str
    device: str = "auto"
    precision: str = "float32"

    def open(self) -> Engine:
        """Return its engine, opened once in a process.

        Raises
        ------
        SafireError
            It cannot be opened, or is another than the job's.
        """
        with _LOCK:
            if self not in _OPEN:
                _OPEN.clear()  # one model at a time: a process goes from job to job
                _OPEN[self] = self._opened()
            return _OPEN[self]

    def _opened(self) -> Engine:
        from napari_safire.engine import Engine
        from napari_safire.model.catalogue.registry import load_model

        engine = Engine(
            load_model(self.name, device=self.device),
            precision=self.precision,  # type: ignore[arg-type]  # text from the job
        )
        found = engine.model.checkpoint_sha256
        if found != self.checkpoint_sha256:
            raise SafireError(
                f"The model {printable(self.name)} is another here ({found[:12]}…) than the "
                f"job's ({self.checkpoint_sha256[:12]}…): give all machines the same file."
            )
        return engine


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model, and what it is asked of every picture; opens what answers.

    Parameters
    ----------
    engine : EngineSource
    settings : ExaminationSettings
    """

    engine: EngineSource
    settings: ExaminationSettings

    def __call__(self) -> Ask:
        """Open it; raises as `EngineSource.open`."""
        return asking(self.engine.open(), self.settings)


def asking(engine: Engine, settings: ExaminationSettings) -> Ask:
    """Return what asks a model; nothing of a picture is kept, for none is asked twice.

    Parameters
    ----------
    engine : Engine
    settings : ExaminationSettings

    Returns
    -------
    callable
    """

    def ask(image: ReadImage, cancel: Cancel | None) -> Examination:
        try:
            return examine_image(engine, image, settings, cancel=cancel)
        finally:
            RESULTS.clear()  # else half a gigabyte of views gathers in each process

    return ask
