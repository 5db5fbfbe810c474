"""Whether a model knows where it is right: predicted pixel accuracy beside the true one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from napari_safire.engine import Engine
from napari_safire.engine.confidence import LEAST_SLOPE, ConfidenceCurve
from napari_safire.types import Embedding, LabelImage, PointPrompt

FEWEST_POINTS = 50
"""Fewer are not fitted: every knot rests on ten points or more."""

_POINTS_PER_KNOT = 10
_MOST_KNOTS = 20
# Knots nearer to each other than this could not be told apart in what they are mapped to.
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class AskedPoints:
    """Points of a picture whose truth is known, and how right their regions are.

    Parameters
    ----------
    places : (N, 2) int array
        Row and column.
    predicted : (N,) float array
        Confidence, as the engine gives it.
    accuracy : (N,) float array
        Share of the pixels that the region puts on the right side of "same source as the point".
    """

    places: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]


def ask_points(
    engine: Engine,
    embedding: Embedding,
    truth: LabelImage,
    n_points: int,
    rng: np.random.Generator,
    method: str = "auto",
) -> AskedPoints:
    """Ask points drawn evenly over a picture.

    Parameters
    ----------
    engine : Engine
    embedding : Embedding
    truth : (H, W) int array
        Source of each pixel.
    n_points : int
    rng : numpy.random.Generator
    method : {"auto", "patches", "decoder"}
        Of `napari_safire.engine.Engine.segment`. A curve is fitted to "decoder": it is what the
        engine applies to the decoder's predictions, and to these alone.

    Returns
    -------
    AskedPoints
    """
    height, width = truth.shape
    places = np.stack([rng.integers(height, size=n_points), rng.integers(width, size=n_points)], 1)
    regions = engine.segment(
        embedding, [PointPrompt(float(r), float(c)) for r, c in places], method=method
    )
    right = [
        float((region.mask == (truth == truth[row, col])).mean())
        for region, (row, col) in zip(regions, places, strict=True)
    ]
    predicted = np.array([region.confidence for region in regions], dtype=np.float64)
    return AskedPoints(places, predicted, np.array(right, dtype=np.float64))


def fit_confidence(
    predicted: npt.ArrayLike, accuracy: npt.ArrayLike, basis: str
) -> ConfidenceCurve:
    """Fit what predicted accuracies are worth, by isotonic regression.

    Predictions are first averaged in up to 20 groups of equal number, neighbours with neighbours,
    so that the ends of the curve do not rest on single points; then made monotone (Zadrozny and
    Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD
    2002). Steps of that fit get a small slope, so that no two predictions become the same.

    Parameters
    ----------
    predicted : (N,) array_like of float
        What the model says, raw.
    accuracy : (N,) array_like of float in [0, 1]
        What was true.
    basis : str
        One sentence on the pictures.

    Returns
    -------
    ConfidenceCurve
        Of at most 20 knots.

    Raises
    ------
    ValueError
        Too few points, lists of different lengths, numbers that are not finite, accuracies out of
        range, or predictions that are all the same.
    """
    values = np.asarray(predicted, dtype=np.float64)
    outcomes = np.asarray(accuracy, dtype=np.float64)
    _check_points(values, outcomes)
    order = np.argsort(values, kind="stable")
    groups = np.array_split(order, min(_MOST_KNOTS, len(order) // _POINTS_PER_KNOT))
    means = np.array([[values[g].mean(), outcomes[g].mean()] for g in groups])
    isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    raw = np.unique(means[:, 0].round(_DIGITS))
    if len(raw) < 2:
        raise ValueError(
            f"The model predicts an accuracy of {values.mean():g} everywhere: there is nothing to "
            "calibrate."
        )
    isotonic.fit(means[:, 0].round(_DIGITS), means[:, 1], sample_weight=[len(g) for g in groups])
    rising = _rising(raw, isotonic.predict(raw))
    return ConfidenceCurve(tuple(raw.tolist()), tuple(rising.tolist()), basis)


def _check_points(values: npt.NDArray[np.float64], outcomes: npt.NDArray[np.float64]) -> None:
    if values.ndim != 1 or values.shape != outcomes.shape:
        raise ValueError(
            f"Predictions and accuracies have the shapes {values.shape} and {outcomes.shape}: give "
            "two lists of one length."
        )
    if len(values) < FEWEST_POINTS:
        raise ValueError(
            f"{len(values)} points are too few to calibrate confidence: ask {FEWEST_POINTS} at "
            "least."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"{(~np.isfinite(values)).sum()} of {len(values)} predictions are not finite: leave "
            "them out."
        )
    if not ((outcomes >= 0) & (outcomes <= 1)).all():
        raise ValueError(
            f"The accuracies reach from {outcomes.min():g} to {outcomes.max():g}: give numbers in "
            "[0, 1]."
        )


def _rising(
    raw: npt.NDArray[np.float64], steps: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Give the flat parts of a monotone fit a small slope, within [0, 1]."""
    least = LEAST_SLOPE / max(1.0, raw[-1] - raw[0]) * raw
    rising = np.maximum.accumulate(steps - least) + least
    # Of two lines that rise, the lower one rises: the cut at 1 leaves no step either.
    return np.minimum(rising, 1 - (least[-1] - least))
