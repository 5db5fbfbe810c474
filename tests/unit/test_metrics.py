"""Metrics against golden values, scikit-learn and slow implementations written here."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import maximum_filter, minimum_filter
from sklearn.metrics import (
    adjusted_rand_score,
    average_precision_score,
    matthews_corrcoef,
    roc_auc_score,
)

from napari_safire import metrics
from napari_safire.metrics import (
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

EXPECTED = Path(__file__).parents[1] / "data" / "parity" / "expected.npz"


@pytest.fixture(scope="module")
def expected():
    with np.load(EXPECTED) as arrays:
        return {name: arrays[name] for name in arrays.files if name[:3] in ("ms_", "bin")}


# ------------------------------------------------------------------- slow implementations


def slow_f1(truth, predicted):
    hits = sum(t and p for t, p in zip(truth, predicted, strict=True))
    misses = sum(t and not p for t, p in zip(truth, predicted, strict=True))
    alarms = sum(p and not t for t, p in zip(truth, predicted, strict=True))
    return 2 * hits / (2 * hits + misses + alarms)


def slow_f1_best(truth, scores, permuted):
    values = []
    for threshold in set(scores):
        predicted = [score > threshold for score in scores]
        values.append(slow_f1(truth, predicted))
        if permuted:
            values.append(slow_f1(truth, [not p for p in predicted]))
    return max(values)


def slow_band(gt):
    """Positive and evaluated pixels; a window that leaves the image sees it mirrored."""
    height, width = gt.shape
    positive, evaluated = np.zeros(gt.shape, bool), np.zeros(gt.shape, bool)

    def window(row, col, reach):
        mirror = lambda i, n: -i - 1 if i < 0 else 2 * n - 1 - i if i >= n else i  # noqa: E731
        return [
            gt[mirror(row + i, height), mirror(col + j, width)]
            for i in range(-reach, reach + 1)
            for j in range(-reach, reach + 1)
        ]

    for row, col in np.ndindex(*gt.shape):
        positive[row, col] = all(window(row, col, 7))
        evaluated[row, col] = positive[row, col] or not any(window(row, col, 5))
    return positive, evaluated


def slow_iou(gt, labels, source, cluster):
    union = np.count_nonzero((gt == source) | (labels == cluster))
    return np.count_nonzero((gt == source) & (labels == cluster)) / union if union else 0.0


def slow_official(gt, labels, k):
    n = gt.max() + 1
    clusters = list(range(k))
    if k > n:
        sizes = [np.count_nonzero(labels == cluster) for cluster in clusters]
        clusters = sorted(clusters, key=lambda c: (-sizes[c], c))[:n]
    sources = range(len(clusters))
    return max(
        sum(slow_iou(gt, labels, s, c) for s, c in zip(order, clusters, strict=True)) / n
        for order in itertools.permutations(sources)
    )


def slow_hungarian(gt, labels):
    sources, clusters = np.unique(gt), list(np.unique(labels))
    clusters += [-1] * len(sources)  # a source may stay without a cluster
    return max(
        np.mean(
            [
                slow_iou(gt, labels, s, c) if c >= 0 else 0
                for s, c in zip(sources, chosen, strict=True)
            ]
        )
        for chosen in set(itertools.permutations(clusters, len(sources)))
    )


small_gt = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.integers(0, 3)
)


@st.composite
def label_pairs(draw):
    gt = draw(small_gt)
    return gt, draw(hnp.arrays(np.int64, gt.shape, elements=st.integers(0, 3)))


@st.composite
def binary_pairs(draw, side=5):
    gt = draw(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=side)))
    # few distinct values, so that there are ties
    levels = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
    return gt, draw(hnp.arrays(np.float32, gt.shape, elements=levels))


# -------------------------------------------------------------------------------- golden


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("f1_fixed", f1_fixed),
        ("f1_best", f1_best),
        ("auc", auc),
        ("ap", average_precision),
        ("mcc", mcc),
    ],
)
def test_binary_golden(expected, name, metric):
    value = metric(expected["bin_gt"], expected["bin_pred"])
    # the official F1 adds 1e-8 to its denominator
    assert value == pytest.approx(float(expected[f"bin_{name}"]), abs=2e-8)


def test_multi_source_golden(expected):
    gt, pred = expected["ms_gt"], expected["ms_pred"]
    scores = multi_source_scores(gt, pred)
    assert scores.p_miou_official == pytest.approx(float(expected["ms_p_miou"]), abs=1e-12)
    assert scores.p_ari == pytest.approx(float(expected["ms_p_ari"]), abs=1e-12)
    assert scores == multi_source_scores(gt, pred.argmax(0), n_clusters=len(pred))


def test_scores_together_equal_scores_alone(expected):
    gt, heat = expected["bin_gt"], expected["bin_pred"]
    scores = binary_scores(gt, heat)
    assert scores.f1_fixed == f1_fixed(gt, heat)
    assert scores.f1_best == f1_best(gt, heat)
    assert scores.mcc == mcc(gt, heat)
    assert scores.f1_fixed_plain == f1_fixed(gt, heat, permuted=False)
    assert scores.f1_best_plain == f1_best(gt, heat, permuted=False)
    assert scores.mcc_plain == mcc(gt, heat, permuted=False)
    assert scores.auc == auc(gt, heat)
    assert scores.average_precision == average_precision(gt, heat)
    assert scores.floor == blank_map_floor(gt)


# -------------------------------------------------------------------- binary, brute force


@given(binary_pairs(), st.booleans())
@settings(deadline=None)
def test_f1_against_slow(pair, permuted):
    gt, heat = pair
    truth, scores = gt.ravel().tolist(), heat.ravel().tolist()
    if not gt.any():
        assert math.isnan(f1_fixed(gt, heat, band=False, permuted=permuted))
        assert math.isnan(f1_best(gt, heat, band=False, permuted=permuted))
        return
    predicted = [score > 0.5 for score in scores]
    fixed = slow_f1(truth, predicted)
    if permuted:
        fixed = max(fixed, slow_f1(truth, [not p for p in predicted]))
    assert f1_fixed(gt, heat, band=False, permuted=permuted) == pytest.approx(fixed)
    best = slow_f1_best(truth, scores, permuted)
    assert f1_best(gt, heat, band=False, permuted=permuted) == pytest.approx(best)


@given(binary_pairs())
@settings(deadline=None)
def test_ranking_scores_against_scikit_learn(pair):
    gt, heat = pair
    truth, scores = gt.ravel(), heat.ravel()
    if truth.any() and not truth.all():
        assert auc(gt, heat) == pytest.approx(roc_auc_score(truth, scores))
        correlation = matthews_corrcoef(truth, scores > 0.5)
        assert mcc(gt, heat, band=False, permuted=False) == pytest.approx(correlation)
        assert mcc(gt, heat, band=False) == pytest.approx(abs(correlation))
    else:
        assert math.isnan(auc(gt, heat))
        assert math.isnan(mcc(gt, heat, band=False))
    if truth.any():
        assert average_precision(gt, heat) == pytest.approx(average_precision_score(truth, scores))
    else:
        assert math.isnan(average_precision(gt, heat))


def test_band_against_slow():
    rng = np.random.default_rng(0)
    gt = np.zeros((30, 37), bool)
    gt[3:27, 8:30] = True
    gt[5, 10] = False  # a hole forbids positives around it
    heat = rng.random(gt.shape)
    positive, evaluated = slow_band(gt)
    assert positive.any()
    assert not evaluated.all()
    truth, scores = positive[evaluated].tolist(), heat[evaluated].tolist()
    assert f1_best(gt, heat) == pytest.approx(slow_f1_best(truth, scores, permuted=True))
    share = np.mean(truth)
    assert blank_map_floor(gt) == pytest.approx(2 * share / (1 + share))
    assert auc(gt, heat, band=True) == pytest.approx(roc_auc_score(truth, scores))


@given(binary_pairs(side=40))
@settings(deadline=None, max_examples=50)
def test_permuted_scores_do_not_know_which_side_is_forged(pair):
    gt, heat = pair
    # multiples of 1/8: 1 - heat is exact; 0.5 would change sides
    heat = np.where(heat == 0.5, np.float32(0.25), heat)
    ours, other = binary_scores(gt, heat), binary_scores(gt, 1 - heat)
    assert ours.f1_fixed == pytest.approx(other.f1_fixed, nan_ok=True)
    assert ours.mcc == pytest.approx(other.mcc, nan_ok=True)
    assert ours.mcc_plain == pytest.approx(-other.mcc_plain, nan_ok=True)
    assert ours.auc == pytest.approx(1 - other.auc, nan_ok=True)


@given(binary_pairs(side=40))
@settings(deadline=None, max_examples=50)
def test_order_of_binary_scores(pair):
    scores = binary_scores(*pair)
    if math.isnan(scores.f1_fixed):
        assert math.isnan(scores.floor)
        return
    assert scores.f1_best >= scores.f1_best_plain
    assert scores.f1_fixed >= scores.f1_fixed_plain
    assert scores.f1_best >= scores.floor - 1e-12  # the complement of "nothing" is always tried
    assert 0 <= scores.f1_fixed <= 1


@pytest.mark.parametrize("level", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_a_blank_map_scores_the_floor(level):
    gt = np.zeros((64, 80), int)
    gt[10:40, 20:60] = 1
    scores = binary_scores(gt, np.full(gt.shape, level))
    assert scores.f1_fixed == scores.f1_best == pytest.approx(scores.floor)
    assert scores.floor == pytest.approx(2 * scores.positive_share / (1 + scores.positive_share))
    assert scores.mcc == 0
    assert scores.auc == 0.5


def test_perfect_map():
    gt = np.zeros((64, 64), int)
    gt[:, 32:] = 1
    scores = binary_scores(gt, gt.astype(np.float32))
    assert (scores.f1_fixed, scores.f1_best, scores.mcc, scores.auc) == (1, 1, 1, 1)
    assert scores.average_precision == 1


# -------------------------------------------------------------------- binary, degenerate


def test_nothing_forged_is_nan():
    scores = binary_scores(np.zeros((20, 20), bool), np.random.default_rng(0).random((20, 20)))
    assert scores.positive_share == 0
    for name in ("f1_fixed", "f1_best", "mcc", "auc", "average_precision", "floor"):
        assert math.isnan(getattr(scores, name)), name


def test_everything_forged():
    scores = binary_scores(np.ones((20, 20), bool), np.full((20, 20), 0.25))
    assert scores.floor == scores.f1_fixed == scores.f1_best == 1
    assert scores.f1_fixed_plain == 0
    assert scores.average_precision == 1
    assert math.isnan(scores.mcc)
    assert math.isnan(scores.auc)


def test_a_region_within_the_band_is_nan_but_has_an_auc():
    gt = np.zeros((64, 64), bool)
    gt[30:40, 30:40] = True
    scores = binary_scores(gt, gt.astype(float))
    assert math.isnan(scores.f1_fixed)
    assert math.isnan(scores.floor)
    assert scores.auc == 1


def test_no_pixel_evaluated_is_nan():
    gt = np.zeros((4, 4), bool)
    gt[2, 2] = True  # all pixels are in the band
    scores = binary_scores(gt, np.zeros((4, 4)))
    assert math.isnan(scores.positive_share)
    assert math.isnan(scores.f1_best)
    assert math.isnan(auc(gt, np.zeros((4, 4)), band=True))


ZEROS = np.zeros((4, 4))


@pytest.mark.parametrize(
    ("gt", "heat", "error", "match"),
    [
        (np.zeros((4, 4), int), np.where(np.eye(4) > 0, np.nan, 0), ValueError, "4 pixels .* NaN"),
        (np.zeros((4, 4), int), np.zeros((4, 5)), ValueError, r"\(4, 5\) .* \(4, 4\)"),
        (np.zeros((4, 4), int), np.zeros((1, 4, 4)), ValueError, r"\(1, 4, 4\)"),
        (np.zeros((4, 4), int), np.zeros((4, 4), np.uint8), TypeError, "uint8"),
        (np.zeros((4, 4), int), np.zeros((4, 4), complex), TypeError, "complex"),
        (np.zeros((4, 4), int), np.full((4, 4), "a"), TypeError, "<U1"),
        (np.zeros((4, 4), int), ZEROS + 2, ValueError, "from 2 to 2"),
        (np.zeros((4, 4), int), ZEROS - np.inf, ValueError, "-inf"),
        (ZEROS, ZEROS, TypeError, "ground truth has dtype float64"),
        (np.full((4, 4), 255, np.uint8), ZEROS, ValueError, "mask > 0"),
        (np.full((4, 4), -1), ZEROS, ValueError, "-1"),
        (np.zeros(4, int), np.zeros(4), ValueError, r"\(4,\)"),
        (np.zeros((0, 4), int), np.zeros((0, 4)), ValueError, r"\(0, 4\)"),
    ],
)
def test_wrong_binary_input(gt, heat, error, match):
    for metric in (binary_scores, f1_fixed, f1_best, mcc, auc, average_precision):
        with pytest.raises(error, match=match):
            metric(gt, heat)


def test_other_layouts_give_the_same_scores(expected):
    gt, heat = expected["bin_gt"], expected["bin_pred"]
    scores = binary_scores(gt, heat)
    assert binary_scores(gt.astype(bool), np.asfortranarray(heat)) == scores
    frozen = heat.copy()
    frozen.flags.writeable = False
    assert binary_scores(gt.astype(np.uint8), frozen) == scores
    assert binary_scores(gt, heat > 0.5).f1_fixed == scores.f1_fixed


# -------------------------------------------------------------- multi-source, brute force


@given(label_pairs(), st.integers(0, 2))
@settings(deadline=None)
def test_p_miou_against_slow(pair, n_empty):
    gt, labels = pair
    k = int(labels.max()) + 1 + n_empty
    official = p_miou(gt, labels, n_clusters=k)
    assert official == pytest.approx(slow_official(gt, labels, k))
    hungarian = p_miou(gt, labels, variant="hungarian")
    assert hungarian == pytest.approx(slow_hungarian(gt, labels))
    assert hungarian >= official - 1e-12


@given(label_pairs())
@settings(deadline=None)
def test_p_ari_against_scikit_learn(pair):
    gt, labels = pair
    assert p_ari(gt, labels) == pytest.approx(adjusted_rand_score(gt.ravel(), labels.ravel()))


@given(label_pairs(), st.permutations(range(4)), st.permutations(range(4)))
@settings(deadline=None)
def test_names_of_sources_do_not_matter(pair, rename_gt, rename_pred):
    gt, labels = pair
    other = np.array(rename_gt)[gt], np.array(rename_pred)[labels]
    ours, theirs = multi_source_scores(gt, labels), multi_source_scores(*other)
    assert ours.p_ari == pytest.approx(theirs.p_ari)
    assert ours.miou_hungarian == pytest.approx(theirs.miou_hungarian)
    assert ours.floor == pytest.approx(theirs.floor)
    assert (ours.n_sources, ours.n_clusters) == (theirs.n_sources, theirs.n_clusters)


@given(label_pairs(), st.permutations(range(4)))
@settings(deadline=None)
def test_official_is_permutation_invariant_when_every_source_is_there(pair, rename):
    columns = np.tile(np.arange(4), (len(pair[0]), 1))
    gt, labels = (np.hstack([array, columns]) for array in pair)
    renamed = np.array(rename)[labels]
    assert p_miou(gt, labels) == pytest.approx(p_miou(gt, renamed))
    assert p_miou(gt, labels) == pytest.approx(p_miou(gt, labels, variant="hungarian"))


@given(small_gt)
@settings(deadline=None)
def test_a_partition_equals_itself(gt):
    scores = multi_source_scores(gt, gt)
    assert scores.p_ari == 1
    assert scores.miou_hungarian == 1
    assert scores.p_miou_official == pytest.approx(len(np.unique(gt)) / (gt.max() + 1))
    one = multi_source_scores(gt, np.zeros_like(gt))
    assert one.miou_hungarian == pytest.approx(scores.floor)


def test_official_quirk_more_clusters_than_sources():
    gt = np.array([[0, 0, 0, 0, 1, 1]])
    # the smallest cluster is the only one that fits source 1 in part, and may not be matched
    labels = np.array([[0, 0, 1, 1, 2, 0]])
    assert p_miou(gt, labels) == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert p_miou(gt, labels, variant="hungarian") == pytest.approx((2 / 4 + 1 / 2) / 2)


def test_official_quirk_fewer_clusters_than_sources():
    gt = np.array([[0, 1, 2, 2, 2, 2]])
    labels = np.zeros_like(gt)
    # the one cluster can only be matched to source 0, though source 2 fits better
    assert p_miou(gt, labels) == pytest.approx(1 / 6 / 3)
    assert p_miou(gt, labels, variant="hungarian") == pytest.approx(4 / 6 / 3)
    # with three channels, two of them never the highest, any source may have the cluster
    assert p_miou(gt, labels, n_clusters=3) == pytest.approx(4 / 6 / 3)


def test_official_quirk_empty_union_counts_zero():
    gt = np.array([[0, 0, 2, 2]])
    labels = np.array([[0, 0, 2, 2]])
    assert p_miou(gt, labels) == pytest.approx(2 / 3)
    assert p_miou(gt, labels, variant="hungarian") == 1


def test_probabilities_are_argmaxed_with_the_first_of_equals():
    rng = np.random.default_rng(0)
    pred = rng.integers(0, 3, (5, 30, 31)).astype(np.float32)  # many ties
    gt = rng.integers(0, 4, (30, 31))
    assert np.array_equal(
        confusion_matrix(gt, pred), confusion_matrix(gt, pred.argmax(0), n_clusters=5)
    )


def test_confusion_matrix_counts():
    gt = np.array([[0, 0, 1], [1, 1, 2]], np.uint8)
    labels = np.array([[1, 1, 0], [0, 1, 1]], np.uint16)
    assert confusion_matrix(gt, labels).tolist() == [[0, 2], [2, 1], [0, 1]]


def test_one_source_only():
    gt = np.zeros((5, 5), int)
    scores = multi_source_scores(gt, gt)
    assert scores == metrics.MultiSourceScores(1, 1, 1, 1, n_sources=1, n_clusters=1)
    split = np.arange(25).reshape(5, 5) % 2
    assert p_ari(gt, split) == 0
    assert p_miou(gt, split) == pytest.approx(13 / 25)


def test_large_images_do_not_overflow():
    gt = np.zeros((3000, 3000), np.uint8)
    gt[:, 1500:] = 1
    assert p_ari(gt, 1 - gt) == 1
    assert p_ari(gt, gt.T) == pytest.approx(0, abs=1e-6)


LABELS = np.zeros((4, 4), int)


@pytest.mark.parametrize(
    ("gt", "pred", "error", "match"),
    [
        (LABELS, np.full((2, 4, 4), np.nan), ValueError, "16 pixels .* NaN"),
        (LABELS, np.stack([ZEROS, np.where(np.eye(4), np.nan, 0)]), ValueError, "4 pixels .* NaN"),
        (LABELS, np.zeros((2, 4, 5)), ValueError, r"\(4, 5\) .* \(4, 4\)"),
        (LABELS, np.zeros((3, 4), int), ValueError, r"\(3, 4\)"),
        (LABELS, ZEROS, TypeError, "prediction has dtype float64"),
        (LABELS, np.zeros((2, 4, 4), int), TypeError, "int64"),
        (LABELS, np.zeros((0, 4, 4)), ValueError, r"\(0, 4, 4\)"),
        (LABELS, np.zeros((300, 4, 4)), ValueError, "300"),
        (LABELS, LABELS - 1, ValueError, "from -1 to -1"),
        (LABELS + 1000, LABELS, ValueError, "from 1000"),
        (LABELS - 1, LABELS, ValueError, "ground truth has labels from -1"),
        (ZEROS, LABELS, TypeError, "ground truth has dtype"),
        (np.zeros((0, 0), int), np.zeros((0, 0), int), ValueError, r"\(0, 0\)"),
    ],
)
def test_wrong_multi_source_input(gt, pred, error, match):
    for metric in (multi_source_scores, p_miou, p_ari, confusion_matrix):
        with pytest.raises(error, match=match):
            metric(gt, pred)


def test_wrong_options():
    with pytest.raises(ValueError, match="'best'"):
        p_miou(LABELS, LABELS, variant="best")
    with pytest.raises(ValueError, match="n_clusters is 1, but the prediction has 3 labels"):
        p_miou(LABELS, LABELS + 2, n_clusters=1)
    with pytest.raises(ValueError, match="2 channels"):
        p_miou(LABELS, np.zeros((2, 4, 4)), n_clusters=3)


def test_a_million_distinct_scores_are_all_tried():
    rng = np.random.default_rng(0)
    gt = np.zeros((1000, 1000), bool)
    gt[100:600, 200:700] = True
    heat = rng.permutation(gt.size).reshape(gt.shape) / gt.size
    heat[gt] = heat[gt] / 2 + 0.5
    # the threshold for this many pixels, searched with F1 at each count of predicted pixels
    positive = minimum_filter(gt.astype(np.uint8), 15) > 0
    keep = positive | (maximum_filter(gt.astype(np.uint8), 11) == 0)
    order = np.argsort(-heat[keep])
    hits = np.cumsum(positive[keep][order])[:-1]
    values = 2 * hits / (np.arange(1, keep.sum()) + positive.sum())
    assert f1_best(gt, heat) == pytest.approx(values.max())
