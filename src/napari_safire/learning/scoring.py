"""Scores of pictures by which a fine-tuned model is held against the old one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing

from napari_safire.engine import Engine
from napari_safire.errors import Cancelled
from napari_safire.evaluation import EvaluatedEntry, ScoringSettings, evaluate_entries
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import MaskKind
from napari_safire.learning.comparison import PictureScore
from napari_safire.progress import Cancel

MEASURES = {"sources": "p_miou_hungarian", "binary": "f1_fixed_above_floor"}
"""What is compared, by the kind of the masks."""


def score_pictures(
    engine: Engine, entries: Sequence[ListEntry], kind: MaskKind, stop: Cancel
) -> Iterator[PictureScore]:
    """Score each entry, in order.

    Raises
    ------
    Cancelled
    """
    with closing(evaluate_entries(engine, entries, ScoringSettings(kind))) as results:
        for found in results:
            yield _score_of(found, MEASURES[kind])
            if stop():
                raise Cancelled


def _score_of(found: EvaluatedEntry, measure: str) -> PictureScore:
    scores = found.scores
    authentic = found.authentic or scores.get("n_sources_true") == 1
    # Of an authentic picture there is nothing to find; it is judged by its suspicion alone.
    measured = math.nan if authentic else scores.get(measure, math.nan)
    return PictureScore(
        measured, scores.get("score", math.nan), authentic, found.error, found.warnings
    )
