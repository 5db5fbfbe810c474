"""How method "auto" finds the number of sources: a threshold that is stored with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class AutoRule:
    """What is compared with a threshold, and that threshold.

    Parameters
    ----------
    name : {"source_distance", "source_eigenvalue"}
        Key of the threshold in a model's metadata: the cosine distance at which groups of prompts
        are two sources (`napari_safire.engine.clustering.cluster_auto`), or the eigenvalue from
        which on a group of cells is a source (`napari_safire.engine.cells.estimated_sources`).
    threshold : float
    candidates : tuple of float
        Among which a calibration chooses.
    """

    name: str
    threshold: float
    candidates: tuple[float, ...]


def auto_rule(metadata: Mapping[str, Any]) -> AutoRule:
    """Return the rule of a model, with a default threshold if it was never calibrated."""
    if metadata.get("representative") == "cells":
        candidates = tuple(float(v) for v in (1 - np.geomspace(0.5, 0.001, 80)).round(4))
        name, default = "source_eigenvalue", 0.96
    else:
        candidates = tuple(float(v) for v in np.arange(0.02, 1.2, 0.02))
        name, default = "source_distance", 0.3
    return AutoRule(name, float(metadata.get(name, default)), candidates)
