"""Scores of heatmaps and partitions against ground truth, and of probabilities against outcomes."""

from napari_safire.metrics.masks import (
    DILATION,
    EROSION,
    MAX_LABEL,
    BinaryScores,
    MultiSourceScores,
    auc,
    average_precision,
    binary_scores,
    blank_map_floor,
    confusion_matrix,
    f1_best,
    f1_fixed,
    mcc,
    multi_source_scores,
    p_ari,
    p_miou,
)
from napari_safire.metrics.reliability import Reliability, ReliabilityBin, reliability

__all__ = [
    "DILATION",
    "EROSION",
    "MAX_LABEL",
    "BinaryScores",
    "MultiSourceScores",
    "Reliability",
    "ReliabilityBin",
    "auc",
    "average_precision",
    "binary_scores",
    "blank_map_floor",
    "confusion_matrix",
    "f1_best",
    "f1_fixed",
    "mcc",
    "multi_source_scores",
    "p_ari",
    "p_miou",
    "reliability",
]
