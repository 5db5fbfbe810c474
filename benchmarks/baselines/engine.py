"""Classical methods behind the engine's own interface, so that they are scored as models are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from baselines import BASELINES, Description, forgery_heatmap, source_labels
from napari_safire.forgery import ForgeryMap
from napari_safire.geometry import Geometry
from napari_safire.images.pixels import PictureReader
from napari_safire.types import FloatImage, PointPrompt, SourcePartition, SourceRegion

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in JPEG


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """What stands for an embedding: a picture as a classical method sees it."""

    description: Description
    geometry: Geometry
    warnings: tuple[str, ...] = ()


class BaselineEngine:
    """A classical method that is asked like `napari_safire.Engine`.

    It gives no probability that the whole picture is forged: scores are ``nan``, verdicts
    "inconclusive". Without a number of sources it is asked for two.

    Parameters
    ----------
    name : str
        A key of `baselines.BASELINES`.
    """

    def __init__(self, name: str) -> None:
        self._describe = BASELINES[name]
        self.model = SimpleNamespace(checkpoint_sha256=_source_sha256())
        self.precision = "float64"
        self.grids_cached = 0

    def embed(self, image: Any, **_: Any) -> Described:
        """Describe a picture of any kind."""
        reader = PictureReader(image)
        height, width = reader.shape
        luma = reader.crop(slice(None), slice(None)) @ _LUMA
        geometry = Geometry((height, width), (height, width), (float(height), float(width)))
        return Described(self._describe(luma), geometry, reader.warnings)

    def partition(
        self,
        embedding: Described,
        method: str = "kmeans",
        n_sources: int | None = None,
        seed: int = 0,
        **_: Any,
    ) -> SourcePartition:
        """Divide the picture into so many sources, or fewer if the method sees fewer."""
        labels = source_labels(embedding.description, n_sources or 2, seed)
        regions = tuple(
            _region(labels == k, embedding.geometry) for k in range(int(labels.max()) + 1)
        )
        return SourcePartition(labels, regions, method, seed=seed)

    def localize(self, embedding: Described, seed: int = 0, **_: Any) -> ForgeryMap:
        """Heatmap of the smaller of two sources."""
        heatmap = forgery_heatmap(embedding.description, seed)
        return ForgeryMap(
            heatmap, float("nan"), "inconclusive", "This method does not judge whole pictures."
        )


def _region(mask: Any, geometry: Geometry) -> SourceRegion:
    logits: FloatImage = np.where(mask, 1, -1).astype(np.float32)
    return SourceRegion(PointPrompt(0, 0), logits, geometry, float("nan"))


def _source_sha256() -> str:
    """Hash of the methods' own code: results of other code are not taken for theirs."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
