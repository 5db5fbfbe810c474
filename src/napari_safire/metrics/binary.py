"""Is this pixel forged? Scores of a heatmap against ground truth, for one image.

The official definition leaves out a band around the forged region's border, where nobody can say
which side a pixel is on, and is *permuted*: a map and its complement score the same, because the
two sources have no inherent order. The price is that a map that says nothing scores well: always
read a permuted F1 beside `blank_map_floor`.

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
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter, minimum_filter

BoolArray = npt.NDArray[np.bool_]
CountArray = npt.NDArray[np.int64]

EROSION = 15
DILATION = 11


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
    gt, heatmap, band
        As in `auc`.

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
