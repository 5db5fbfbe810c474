"""What opens an engine that knows, in any process, and notes what it is asked."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fakes import KnowingEngine

from napari_safire.types import Embedding


@dataclass(frozen=True)
class ScoringStandIn:
    """Stands in for `napari_safire.corpus.asking.EngineSource`.

    Parameters
    ----------
    seconds : float
        That an answer takes.
    calls : str
        A folder in which each picture leaves a file, by the hash of its pixels, whenever it is
        asked about; `corpus_stand_in.calls_in` counts.
    """

    seconds: float = 0.0
    calls: str = ""

    def open(self) -> Any:
        """Make the engine."""
        return _Noting(self)


class _Noting(KnowingEngine):
    def __init__(self, source: ScoringStandIn) -> None:
        super().__init__()
        self._source = source

    def embed(self, image: np.ndarray, **options: Any) -> Embedding:
        if self._source.calls:
            name = hashlib.sha256(image.tobytes()).hexdigest()
            Path(self._source.calls, f"{name}-{secrets.token_hex(6)}").touch()
        time.sleep(self._source.seconds)
        return super().embed(image, **options)
