"""How method "auto" finds the number of sources: by thresholds that are stored with the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from napari_safire.engine.metadata_numbers import stored_number
from napari_safire.engine.partitioning.grouping import KINSHIP
from napari_safire.errors import CheckpointError

Thresholds = tuple[float, ...]
_LEAST_EVIDENCE = np.arange(1.5, 14.0, 0.25).tolist()


@dataclass(frozen=True, slots=True)
class AutoRule:
    """What is compared with thresholds, and these.

    Parameters
    ----------
    names : tuple of str
        Keys of the thresholds in a model's metadata. ("source_distance",): the cosine distance at
        which groups of prompts are two sources
        (`napari_safire.engine.partitioning.clustering.cluster_auto`).
        ("source_evidence", "source_similarity"): of cells, see
        `napari_safire.engine.partitioning.n_sources.estimated_sources`; of a model that knows its
        `napari_safire.engine.partitioning.grouping.GroupingRule` only the first.
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
    """Return the rule of a model, with default thresholds if it was never calibrated.

    Raises
    ------
    CheckpointError
        A threshold is no number.
    """
    try:
        return _auto_rule(metadata)
    except ValueError as error:
        raise CheckpointError(
            f"This model's rule for the number of sources cannot be used: {error}. Get the file "
            "again, or calibrate the model again."
        ) from error


def _auto_rule(metadata: Mapping[str, Any]) -> AutoRule:
    candidates: tuple[Thresholds, ...]
    stored = dict(metadata)
    if metadata.get("representative") == "cells":
        defaults = {"source_evidence": 4.0, "source_similarity": 0.15}
        if "source_eigenvalue" in stored:  # of a model before the fourth version of safire-lite
            eigenvalue = stored_number("source_eigenvalue", stored["source_eigenvalue"])
            gap = max(1e-9, 1 - eigenvalue)
            stored = {"source_evidence": -math.log(gap)} | stored
        tried = [_LEAST_EVIDENCE, np.arange(-0.1, 0.5, 0.02).round(2).tolist()]
        if KINSHIP in stored:
            del defaults["source_similarity"], tried[1]
        candidates = tuple(product(*tried))
    else:
        defaults = {"source_distance": 0.3}
        candidates = tuple((float(v),) for v in np.arange(0.02, 1.2, 0.02))
    thresholds = tuple(
        stored_number(name, stored.get(name, value)) for name, value in defaults.items()
    )
    return AutoRule(tuple(defaults), thresholds, candidates)
