"""Scores of heatmaps and partitions against ground truth, and of probabilities against outcomes."""

from napari_safire.metrics.alpha import alpha_of_coincidences, coincidence_matrix
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
from napari_safire.metrics.boundaries import boundary_f
from napari_safire.metrics.reliability import (
    Reliability,
    ReliabilityBin,
    balanced_weights,
    reliability,
)
from napari_safire.metrics.sources import (
    MAX_LABEL,
    MultiSourceScores,
    ari_of_counts,
    confusion_matrix,
    miou_of_counts,
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
    "alpha_of_coincidences",
    "ari_of_counts",
    "auc",
    "average_precision",
    "balanced_weights",
    "binary_scores",
    "blank_map_floor",
    "boundary_f",
    "coincidence_matrix",
    "confusion_matrix",
    "f1_best",
    "f1_fixed",
    "mcc",
    "miou_of_counts",
    "multi_source_scores",
    "p_ari",
    "p_miou",
    "reliability",
]
