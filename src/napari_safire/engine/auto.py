"""How method "auto" finds the number of sources: by thresholds that are stored with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

Thresholds = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AutoRule:
    """What is compared with thresholds, and these.

    Parameters
    ----------
    names : tuple of str
        Keys of the thresholds in a model's metadata. ("source_distance",): the cosine distance at
        which groups of prompts are two sources (`napari_safire.engine.clustering.cluster_auto`).
        ("source_eigenvalue", "source_similarity"): of cells, see
        `napari_safire.engine.cells.estimated_sources`.
    thresholds : tuple of float
        One for each name.
    candidates : tuple of tuple of float
        Among which a calibration chooses.
    """

    names: tuple[str, ...]
    thresholds: Thresholds
    candidates: tuple[Thresholds, ...]

    def as_metadata(self, thresholds: Thresholds | None = None) -> dict[str, float]:
        """Thresholds by name: the rule's, or others."""
        chosen = self.thresholds if thresholds is None else thresholds
        return dict(zip(self.names, chosen, strict=True))


def auto_rule(metadata: Mapping[str, Any]) -> AutoRule:
    """Return the rule of a model, with default thresholds if it was never calibrated."""
    candidates: tuple[Thresholds, ...]
    if metadata.get("representative") == "cells":
        defaults = {"source_eigenvalue": 0.98, "source_similarity": 0.15}
        eigenvalues = (1 - np.geomspace(0.2, 0.003, 24)).round(4).tolist()
        candidates = tuple(product(eigenvalues, np.arange(-0.1, 0.5, 0.02).round(2).tolist()))
    else:
        defaults = {"source_distance": 0.3}
        candidates = tuple((float(v),) for v in np.arange(0.02, 1.2, 0.02))
    thresholds = tuple(float(metadata.get(name, value)) for name, value in defaults.items())
    return AutoRule(tuple(defaults), thresholds, candidates)
