"""Evaluation on lists of pictures: scoring, results that survive, summaries, galleries, reports."""

from napari_safire.evaluation.entries import EvaluatedEntry, Task
from napari_safire.evaluation.results import write_results
from napari_safire.evaluation.saved_scores import SavedScores
from napari_safire.evaluation.scoring import (
    ScoringSettings,
    evaluate_entries,
    forgery_scores,
    partition_scores,
)
from napari_safire.evaluation.study import EvaluationSet, SetScores, Study, run_study
from napari_safire.evaluation.summary import Mean, differences, summarise

__all__ = [
    "EvaluatedEntry",
    "EvaluationSet",
    "Mean",
    "SavedScores",
    "ScoringSettings",
    "SetScores",
    "Study",
    "Task",
    "differences",
    "evaluate_entries",
    "forgery_scores",
    "partition_scores",
    "run_study",
    "summarise",
    "write_results",
]
