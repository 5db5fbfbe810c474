"""Which pixels belong together? Scores of a partition against ground truth, for one image.

All of them are computed from one confusion matrix. "official" repeats the published definition with
its quirks; "hungarian" is the optimal assignment without them. NaN in a prediction, wrong shapes
and wrong dtypes are errors of the caller and raise.

Source: Kwon et al., "SAFIRE: Segment Any Forged Image Region", AAAI 2025 (arXiv 2412.08197),
section "Experiments".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from napari_safire.types import LabelImage

Variant = Literal["official", "hungarian"]
CountArray = npt.NDArray[np.int64]

MAX_LABEL = 255


@dataclass(frozen=True, slots=True)
class MultiSourceScores:
    """All multi-source scores of one partition; see `multi_source_scores`.

    Parameters
    ----------
    p_miou_official, miou_hungarian : float
        Mean IoU over the true sources under the best matching, by the two definitions.
    p_ari : float
        Adjusted Rand index on all pixels. It needs no matching and so has one definition only.
    floor : float
        ``miou_hungarian`` of a partition with a single source: share of the largest true source
        divided by the number of true sources.
    n_sources, n_clusters : int
        Sources in the ground truth and clusters in the prediction that have at least one pixel.
    """

    p_miou_official: float
    p_ari: float
    miou_hungarian: float
    floor: float
    n_sources: int
    n_clusters: int


def p_miou(
    gt: npt.ArrayLike,
    pred: npt.ArrayLike,
    *,
    variant: Variant = "official",
    n_clusters: int | None = None,
) -> float:
    """Mean IoU of the true sources under the best matching of clusters to sources.

    *official*: n is the highest label plus one, K the number of channels. If K > n only the n
    largest clusters can be matched (of equally large ones the lower label); if K < n only the
    sources 0 .. K - 1 can. The mean is over n, and a source without a pixel counts 0.

    *hungarian*: any cluster may be matched to any source; the mean is over the sources that have
    pixels. It is never below the official value.

    Parameters
    ----------
    gt : (H, W) int array
        Source of each pixel, 0 .. n - 1.
    pred : (K, H, W) float array, or (H, W) int array
        Probabilities of the K sources (the highest wins), or labels.
    variant : {"official", "hungarian"}
    n_clusters : int, optional
        K where `pred` holds labels; default: the highest label plus one. It matters to the
        official variant alone, and only if the last clusters have no pixels.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        For arrays of the wrong kind; see the module's rules.
    """
    if variant not in ("official", "hungarian"):
        raise ValueError(f"Unknown variant {variant!r}: choose 'official' or 'hungarian'.")
    confusion = confusion_matrix(gt, pred, n_clusters=n_clusters)
    return _p_miou_official(confusion) if variant == "official" else miou_of_counts(confusion)


def p_ari(gt: npt.ArrayLike, pred: npt.ArrayLike) -> float:
    """Adjusted Rand index on all pixels.

    Parameters
    ----------
    gt, pred
        As in `p_miou`.

    Returns
    -------
    float
        1 for the same partition, about 0 for an unrelated one; it may be negative. Two partitions
        that both consist of one source score 1, a single source against several scores 0.
    """
    return ari_of_counts(confusion_matrix(gt, pred))


def multi_source_scores(
    gt: npt.ArrayLike, pred: npt.ArrayLike, *, n_clusters: int | None = None
) -> MultiSourceScores:
    """All multi-source scores of one partition.

    Parameters
    ----------
    gt, pred, n_clusters
        As in `p_miou`.

    Returns
    -------
    MultiSourceScores

    Examples
    --------
    >>> import numpy as np
    >>> gt = np.repeat([[0, 1, 2]], 3, axis=0)
    >>> multi_source_scores(gt, 2 - gt).p_miou_official
    1.0
    """
    confusion = confusion_matrix(gt, pred, n_clusters=n_clusters)
    sizes = confusion.sum(axis=1)
    n_sources = int(np.count_nonzero(sizes))
    return MultiSourceScores(
        p_miou_official=_p_miou_official(confusion),
        p_ari=ari_of_counts(confusion),
        miou_hungarian=miou_of_counts(confusion),
        floor=float(sizes.max() / sizes.sum() / n_sources),
        n_sources=n_sources,
        n_clusters=int(np.count_nonzero(confusion.sum(axis=0))),
    )


def confusion_matrix(
    gt: npt.ArrayLike, pred: npt.ArrayLike, *, n_clusters: int | None = None
) -> CountArray:
    """How many pixels each true source shares with each cluster.

    Parameters
    ----------
    gt, pred, n_clusters
        Two partitions of one picture, as in `p_miou`.

    Returns
    -------
    (n, K) int64 array
        n is the highest true label plus one.
    """
    truth = _checked_labels(gt, "ground truth")
    labels, n_predicted = _predicted_labels(pred, n_clusters)
    if labels.shape != truth.shape:
        raise ValueError(
            f"The prediction has shape {labels.shape} and the ground truth {truth.shape}: "
            "bring the prediction to the ground truth's size (nearest neighbour for labels)."
        )
    n_true = int(truth.max()) + 1
    pairs = np.bincount(
        (truth.astype(np.intp) * n_predicted + labels).ravel(), minlength=n_true * n_predicted
    )
    return pairs.reshape(n_true, n_predicted).astype(np.int64)


def miou_of_counts(confusion: CountArray, *, unassigned: int | None = None) -> float:
    """Mean IoU over the true sources, as ``p_miou(variant="hungarian")``, from counts.

    Parameters
    ----------
    confusion : (n, K) int array
        As `confusion_matrix` gives it, with at least one pixel.
    unassigned : int, optional
        The column of pixels that no cluster holds: they lower the IoU of the sources that they
        belong to, and are matched with none.

    Returns
    -------
    float
        In [0, 1].
    """
    iou = _iou(confusion)
    if unassigned is not None:
        iou[:, unassigned] = 0
    present = confusion.sum(axis=1) > 0
    return _matched_sum(iou[present]) / int(np.count_nonzero(present))


def ari_of_counts(confusion: CountArray) -> float:
    """Adjusted Rand index, as `p_ari`, from how many pixels the sources of two partitions share.

    Parameters
    ----------
    confusion : (n, K) int array
        As `confusion_matrix` gives it.

    Returns
    -------
    float
    """
    # Ordered pairs of pixels, in Python integers: their products overflow int64 above 1 megapixel.
    n = int(confusion.sum())
    same_both = sum(int(count) ** 2 for count in confusion.flat)
    same_true = sum(int(count) ** 2 for count in confusion.sum(axis=1))
    same_predicted = sum(int(count) ** 2 for count in confusion.sum(axis=0))
    only_true, only_predicted = same_true - same_both, same_predicted - same_both
    if only_true == 0 and only_predicted == 0:
        return 1.0
    together = same_both - n
    apart = n * n - same_true - same_predicted + same_both
    return (
        2
        * (together * apart - only_true * only_predicted)
        / (
            (together + only_true) * (only_true + apart)
            + (together + only_predicted) * (only_predicted + apart)
        )
    )


def _checked_labels(values: npt.ArrayLike, what: str) -> LabelImage:
    labels = np.asarray(values)
    if labels.ndim != 2 or labels.size == 0:
        raise ValueError(
            f"The {what} has shape {labels.shape}: give an (H, W) array with at least a pixel."
        )
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"The {what} has dtype {labels.dtype}: give integer labels 0, 1, 2 ...")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > MAX_LABEL:
        raise ValueError(
            f"The {what} has labels from {low} to {high}: number the sources 0 to {MAX_LABEL} "
            "at most."
        )
    return labels


def _predicted_labels(pred: npt.ArrayLike, n_clusters: int | None) -> tuple[LabelImage, int]:
    """Labels of the prediction and their number, K."""
    values = np.asarray(pred)
    if values.ndim != 3:
        labels = _checked_labels(values, "prediction")
        k = int(labels.max()) + 1
        if n_clusters is None:
            return labels, k
        if not k <= n_clusters <= MAX_LABEL + 1:
            raise ValueError(
                f"n_clusters is {n_clusters}, but the prediction has {k} labels: give {k} to "
                f"{MAX_LABEL + 1}, or leave it out."
            )
        return labels, n_clusters
    if values.dtype.kind != "f":
        raise TypeError(
            f"The (K, H, W) prediction has dtype {values.dtype}: give floats, or (H, W) labels."
        )
    if values.size == 0 or len(values) > MAX_LABEL + 1:
        raise ValueError(
            f"The prediction has shape {values.shape}: give (K, H, W) with K from 1 to "
            f"{MAX_LABEL + 1}."
        )
    if n_clusters is not None and n_clusters != len(values):
        raise ValueError(
            f"n_clusters is {n_clusters}, but the prediction has {len(values)} channels: "
            "leave it out."
        )
    # A running maximum, seven times faster than np.argmax over the first axis. Of equal values the
    # first channel wins, as in np.argmax.
    labels = np.zeros(values.shape[1:], dtype=np.uint8)
    highest = values[0].copy()
    for k, channel in enumerate(values[1:], start=1):
        np.maximum(labels, (channel > highest) * np.uint8(k), out=labels)
        np.maximum(highest, channel, out=highest)  # passes NaN on
    n_nan = int(np.count_nonzero(np.isnan(highest)))
    if n_nan:
        raise ValueError(
            f"{n_nan} pixels of the prediction are NaN: they belong to no source; "
            "replace them first."
        )
    return labels, len(values)


def _iou(confusion: CountArray) -> npt.NDArray[np.float64]:
    """(n, K) IoU of every source with every cluster; an empty union counts 0."""
    union = confusion.sum(axis=1)[:, None] + confusion.sum(axis=0)[None, :] - confusion
    return confusion / np.maximum(union, 1)


def _matched_sum(iou: npt.NDArray[np.float64]) -> float:
    rows, columns = linear_sum_assignment(iou, maximize=True)
    return float(iou[rows, columns].sum())


def _p_miou_official(confusion: CountArray) -> float:
    n_true, n_predicted = confusion.shape
    iou = _iou(confusion)
    if n_predicted > n_true:
        largest = np.argsort(-confusion.sum(axis=0), kind="stable")[:n_true]
        iou = iou[:, largest]
    return _matched_sum(iou[:n_predicted]) / n_true
