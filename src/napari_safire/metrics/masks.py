"""Scores of a heatmap or a partition against ground truth, for one image.

Two families:

*Binary* (is this pixel forged?): `binary_scores` and its parts. The official definition leaves out
a band around the forged region's border, where nobody can say which side a pixel is on, and is
*permuted*: a map and its complement score the same, because the two sources have no inherent order.
The price is that a map that says nothing scores well: always read a permuted F1 beside
`blank_map_floor`.

*Multi-source* (which pixels belong together?): `multi_source_scores` and its parts, all computed
from one confusion matrix. "official" repeats the published definition with its quirks; "hungarian"
is the optimal assignment without them.

Rules for degenerate input
--------------------------
- A score that is not defined is ``nan`` and never an invented number: F1 and average precision
  without an evaluated forged pixel, AUC and MCC with forged or authentic pixels missing. The
  official 15 x 15 filter removes every forged region narrower than 15 pixels, so the banded scores
  of such an image are ``nan`` while its AUC is not.
- A constant prediction has a defined MCC of 0, as in scikit-learn.
- NaN in a prediction, scores outside [0, 1], wrong shapes and wrong dtypes are errors of the
  caller and raise.

Sources: Kwon et al., "SAFIRE: Segment Any Forged Image Region", AAAI 2025 (arXiv 2412.08197),
section "Experiments"; Guillaro et al., "TruFor", CVPR 2023, for the boundary band.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.optimize import linear_sum_assignment

from napari_safire.types import LabelImage

Variant = Literal["official", "hungarian"]
BoolArray = npt.NDArray[np.bool_]
CountArray = npt.NDArray[np.int64]

EROSION = 15
DILATION = 11
MAX_LABEL = 255


@dataclass(frozen=True, slots=True)
class BinaryScores:
    """All binary scores of one heatmap; see `binary_scores`.

    Parameters
    ----------
    f1_fixed, f1_best, mcc : float
        Official: on the banded pixels, permuted.
    f1_fixed_plain, f1_best_plain, mcc_plain : float
        The same without permutation: the map must be high where the image is forged.
    auc, average_precision : float
        Official: on all pixels, not permuted.
    floor : float
        Permuted F1 of a map that says nothing, ``2q / (1 + q)``.
    positive_share : float
        q, the share of forged pixels among the evaluated (banded) ones.
    """

    f1_fixed: float
    f1_best: float
    mcc: float
    f1_fixed_plain: float
    f1_best_plain: float
    mcc_plain: float
    auc: float
    average_precision: float
    floor: float
    positive_share: float


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


# ------------------------------------------------------------------------------- binary


def f1_fixed(
    gt: npt.ArrayLike, heatmap: npt.ArrayLike, *, permuted: bool = True, band: bool = True
) -> float:
    """F1 of the prediction ``heatmap > 0.5``.

    Parameters
    ----------
    gt : (H, W) bool or int array of 0 and 1
        1 where the image is forged.
    heatmap : (H, W) float array in [0, 1]
    permuted : bool
        Official: the maximum of the F1 of the prediction and of its complement.
    band : bool
        Official: leave out the pixels around the border of the forged region.

    Returns
    -------
    float
        In [0, 1], or ``nan`` where no evaluated pixel is forged.

    Raises
    ------
    TypeError, ValueError
        For arrays of the wrong kind; see the module's rules.
    """
    positive, scores = _evaluated(*_checked_binary(gt, heatmap), band)
    return _f1_fixed(positive, scores, permuted)


def f1_best(
    gt: npt.ArrayLike, heatmap: npt.ArrayLike, *, permuted: bool = True, band: bool = True
) -> float:
    """F1 at the threshold that suits this image best: an oracle's score.

    Every distinct score ``t`` of the evaluated pixels is tried as ``heatmap > t``.

    Parameters
    ----------
    gt, heatmap, permuted, band
        As in `f1_fixed`.

    Returns
    -------
    float
        In [0, 1], or ``nan`` where no evaluated pixel is forged.
    """
    positive, scores = _evaluated(*_checked_binary(gt, heatmap), band)
    return _f1_best(positive, scores, permuted)


def mcc(
    gt: npt.ArrayLike, heatmap: npt.ArrayLike, *, permuted: bool = True, band: bool = True
) -> float:
    """Matthews correlation coefficient of the prediction ``heatmap > 0.5``.

    Parameters
    ----------
    gt, heatmap, band
        As in `f1_fixed`.
    permuted : bool
        Official: the absolute value (the complement has the opposite sign).

    Returns
    -------
    float
        In [-1, 1]; 0 for a constant prediction; ``nan`` unless both forged and authentic pixels
        are evaluated.
    """
    positive, scores = _evaluated(*_checked_binary(gt, heatmap), band)
    return _mcc(positive, scores, permuted)


def auc(gt: npt.ArrayLike, heatmap: npt.ArrayLike, *, band: bool = False) -> float:
    """Area under the ROC curve; tied scores count half.

    Parameters
    ----------
    gt, heatmap
        As in `f1_fixed`.
    band : bool
        Official: False, all pixels count.

    Returns
    -------
    float
        In [0, 1], or ``nan`` unless both forged and authentic pixels are evaluated.
    """
    return _auc(*_ranked(*_evaluated(*_checked_binary(gt, heatmap), band)))


def average_precision(gt: npt.ArrayLike, heatmap: npt.ArrayLike, *, band: bool = False) -> float:
    """Precision averaged over the steps in recall (no interpolation), as in scikit-learn.

    Parameters
    ----------
    gt, heatmap
        As in `f1_fixed`.
    band : bool
        Official: False, all pixels count.

    Returns
    -------
    float
        In [0, 1], or ``nan`` where no evaluated pixel is forged.
    """
    return _average_precision(*_ranked(*_evaluated(*_checked_binary(gt, heatmap), band)))


def blank_map_floor(gt: npt.ArrayLike, *, band: bool = True) -> float:
    """Permuted F1 of a map that says nothing.

    A constant map predicts nothing; its complement predicts every pixel, with precision q (the
    share of forged pixels) and recall 1: ``F1 = 2q / (1 + q)``. Permuted F1 lets any blank map
    have that score, so it is the zero of the scale.

    Parameters
    ----------
    gt, band
        As in `f1_fixed`.

    Returns
    -------
    float
        In (0, 1], or ``nan`` where no evaluated pixel is forged.
    """
    truth = _checked_truth(gt)
    positive, keep = _boundary_band(truth) if band else (truth, np.ones_like(truth))
    return _floor(_share(positive[keep]))


def binary_scores(gt: npt.ArrayLike, heatmap: npt.ArrayLike) -> BinaryScores:
    """All binary scores of one heatmap by the official definition, with the plain ones beside.

    Parameters
    ----------
    gt : (H, W) bool or int array of 0 and 1
        1 where the image is forged.
    heatmap : (H, W) float array in [0, 1]

    Returns
    -------
    BinaryScores
        Undefined scores are ``nan``; see the module's rules.

    Raises
    ------
    TypeError, ValueError
        For arrays of the wrong kind.

    Examples
    --------
    >>> import numpy as np
    >>> gt = np.zeros((64, 64), dtype=bool)
    >>> gt[16:48, 16:48] = True
    >>> scores = binary_scores(gt, 1.0 - gt)
    >>> scores.f1_fixed, scores.f1_fixed_plain, scores.auc
    (1.0, 0.0, 0.0)
    """
    truth, heat = _checked_binary(gt, heatmap)
    positive, scores = _evaluated(truth, heat, band=True)
    all_ranked = _ranked(truth.ravel(), heat.ravel())
    share = _share(positive)
    best_permuted, best_plain = _f1_best_both(positive, scores)
    return BinaryScores(
        f1_fixed=_f1_fixed(positive, scores, permuted=True),
        f1_best=best_permuted,
        mcc=_mcc(positive, scores, permuted=True),
        f1_fixed_plain=_f1_fixed(positive, scores, permuted=False),
        f1_best_plain=best_plain,
        mcc_plain=_mcc(positive, scores, permuted=False),
        auc=_auc(*all_ranked),
        average_precision=_average_precision(*all_ranked),
        floor=_floor(share),
        positive_share=share,
    )


def _checked_truth(gt: npt.ArrayLike) -> BoolArray:
    truth = np.asarray(gt)
    if truth.ndim != 2 or truth.size == 0:
        raise ValueError(
            f"The ground truth has shape {truth.shape}: give an (H, W) array with at least a pixel."
        )
    if truth.dtype != bool:
        if truth.dtype.kind not in "iu":
            raise TypeError(
                f"The ground truth has dtype {truth.dtype}: give bool, or integers 0 and 1."
            )
        if truth.min() < 0 or truth.max() > 1:
            raise ValueError(
                f"Binary ground truth must be 0 and 1, not {truth.min()} to {truth.max()}: "
                "give `mask > 0`."
            )
        truth = truth.astype(bool)
    return truth


def _checked_binary(
    gt: npt.ArrayLike, heatmap: npt.ArrayLike
) -> tuple[BoolArray, npt.NDArray[np.floating[Any]]]:
    truth = _checked_truth(gt)
    heat = np.asarray(heatmap)
    if heat.dtype == bool:
        heat = heat.astype(np.float32)
    if heat.dtype.kind != "f":
        raise TypeError(
            f"The heatmap has dtype {heat.dtype}: give floats in [0, 1] (or bool), "
            "for uint8 pictures divide by 255."
        )
    if heat.shape != truth.shape:
        raise ValueError(
            f"The heatmap has shape {heat.shape} and the ground truth {truth.shape}: "
            "bring the heatmap to the ground truth's size."
        )
    low, high = float(heat.min()), float(heat.max())
    if np.isnan(low):
        raise ValueError(
            f"{np.count_nonzero(np.isnan(heat))} pixels of the heatmap are NaN: "
            "a score cannot rank them; replace them first."
        )
    if low < 0 or high > 1:
        raise ValueError(
            f"The heatmap reaches from {low:g} to {high:g}: give probabilities in [0, 1]."
        )
    return truth, heat


def _boundary_band(truth: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Positives, and which pixels are evaluated, by the official band."""
    coded = truth.astype(np.uint8)  # the filters are several times faster on uint8 than on bool
    positive = minimum_filter(coded, EROSION).astype(bool)
    negative = maximum_filter(coded, DILATION) == 0
    return positive, positive | negative


def _evaluated(
    truth: BoolArray, heat: npt.NDArray[np.floating[Any]], band: bool
) -> tuple[BoolArray, npt.NDArray[np.floating[Any]]]:
    """The evaluated pixels, flattened: whether each is forged, and its score."""
    if not band:
        return truth.ravel(), heat.ravel()
    positive, keep = _boundary_band(truth)
    return positive[keep], heat[keep]


def _share(positive: BoolArray) -> float:
    return float(positive.mean()) if positive.size else float("nan")


def _floor(share: float) -> float:
    return 2 * share / (1 + share) if share > 0 else float("nan")


def _ranked(
    positive: BoolArray, scores: npt.NDArray[np.floating[Any]]
) -> tuple[CountArray, CountArray]:
    """True and false positives of every threshold, from "nothing" to "every pixel".

    One sort and one cumulative sum; entry 0 predicts nothing, entry i the pixels with the i
    highest distinct scores.
    """
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    last_of_score = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)[: ranked.size])
    true_positives = np.cumsum(positive[order], dtype=np.int64)[last_of_score]
    false_positives = last_of_score + 1 - true_positives
    return np.append(0, true_positives), np.append(0, false_positives)


def _f1(
    true_positives: CountArray, false_positives: CountArray, n_positives: int
) -> npt.NDArray[np.float64]:
    # 2TP / (2TP + FP + FN) with FN = n - TP; n > 0 keeps the denominator positive
    return 2 * true_positives / (true_positives + false_positives + n_positives)


def _f1_fixed(positive: BoolArray, scores: npt.NDArray[np.floating[Any]], permuted: bool) -> float:
    n_positives = int(np.count_nonzero(positive))
    if n_positives == 0:
        return float("nan")
    predicted = scores > 0.5
    hits = np.count_nonzero(positive & predicted)
    n_predicted = np.count_nonzero(predicted)
    best = 2 * hits / (n_predicted + n_positives)
    if permuted:
        best = max(best, 2 * (n_positives - hits) / (positive.size - n_predicted + n_positives))
    return float(best)


def _f1_best(positive: BoolArray, scores: npt.NDArray[np.floating[Any]], permuted: bool) -> float:
    best_permuted, best_plain = _f1_best_both(positive, scores)
    return best_permuted if permuted else best_plain


def _f1_best_both(
    positive: BoolArray, scores: npt.NDArray[np.floating[Any]]
) -> tuple[float, float]:
    """Best F1 with and without permutation, from one ranking."""
    n_positives = int(np.count_nonzero(positive))
    if n_positives == 0:
        return float("nan"), float("nan")
    hits, alarms = _ranked(positive, scores)
    # "p > t" for the lowest t leaves the lowest scores out: "every pixel" is not a prediction
    hits, alarms = hits[:-1], alarms[:-1]
    plain = float(_f1(hits, alarms, n_positives).max())
    n_negatives = positive.size - n_positives
    complement = float(_f1(n_positives - hits, n_negatives - alarms, n_positives).max())
    return max(plain, complement), plain


def _mcc(positive: BoolArray, scores: npt.NDArray[np.floating[Any]], permuted: bool) -> float:
    n_positives = int(np.count_nonzero(positive))
    n_negatives = positive.size - n_positives
    if n_positives == 0 or n_negatives == 0:
        return float("nan")
    predicted = scores > 0.5
    n_predicted = int(np.count_nonzero(predicted))
    hits = int(np.count_nonzero(positive & predicted))
    # Python integers: the product of four counts of a large image overflows int64
    squared = n_predicted * (positive.size - n_predicted) * n_positives * n_negatives
    if squared == 0:
        return 0.0
    value = (hits * positive.size - n_predicted * n_positives) / squared**0.5
    return abs(value) if permuted else value


def _auc(true_positives: CountArray, false_positives: CountArray) -> float:
    n_positives, n_negatives = int(true_positives[-1]), int(false_positives[-1])
    if n_positives == 0 or n_negatives == 0:
        return float("nan")
    # trapezoids under the curve; np.trapezoid would need NumPy 2
    heights = true_positives[1:] + true_positives[:-1]
    area = np.sum(np.diff(false_positives) * (heights / 2))
    return float(area / n_positives / n_negatives)


def _average_precision(true_positives: CountArray, false_positives: CountArray) -> float:
    n_positives = int(true_positives[-1])
    if n_positives == 0:
        return float("nan")
    hits, alarms = true_positives[1:], false_positives[1:]
    precision = hits / (hits + alarms)
    return float(np.sum(np.diff(true_positives) * precision) / n_positives)


# ------------------------------------------------------------------------- multi-source


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
    return _p_miou_official(confusion) if variant == "official" else _miou_hungarian(confusion)


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
    return _ari(confusion_matrix(gt, pred))


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
        p_ari=_ari(confusion),
        miou_hungarian=_miou_hungarian(confusion),
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
        As in `p_miou`.

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


def _miou_hungarian(confusion: CountArray) -> float:
    present = confusion.sum(axis=1) > 0
    return _matched_sum(_iou(confusion)[present]) / int(np.count_nonzero(present))


def _ari(confusion: CountArray) -> float:
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
