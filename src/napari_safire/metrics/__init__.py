"""Scores of heatmaps and partitions against ground truth, and of probabilities against outcomes."""

from napari_safire.metrics.binary import (
    DILATION,
    EROSION,
    BinaryScores,
    auc,
    average_precision,
    binary_scores,
    blank_map_floor,
    f1_best,
    f1_fixed,
    mcc,
)
from napari_safire.metrics.reliability import (
    Reliability,
    ReliabilityBin,
    balanced_weights,
    reliability,
)
from napari_safire.metrics.sources import (
    MAX_LABEL,
    MultiSourceScores,
    confusion_matrix,
    multi_source_scores,
    p_ari,
    p_miou,
)

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
    "balanced_weights",
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
