"""What a predicted pixel accuracy is worth: a curve from what a model says to what came true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.types import FloatImage

LEAST_SLOPE = 0.01
"""How fast a curve rises beyond its ends, so that surer prompts stay surer."""

_KNOTS = (2, 64)


@dataclass(frozen=True, slots=True)
class ConfidenceCurve:
    """Maps the pixel accuracy that a model predicts to the one that such predictions had.

    Linear between knots, rising everywhere (beyond the ends by `LEAST_SLOPE`) until it is cut at 0
    and 1: which of two prompts is the surer one stays what it was, but for differences that float32
    cannot tell apart.

    Parameters
    ----------
    raw : tuple of float
        What the model says at the knots, increasing; 2 to 64 of them.
    accuracy : tuple of float
        What is true there, increasing, in [0, 1].
    basis : str
        One sentence: on which pictures this was fitted.

    Raises
    ------
    ValueError
        Knots that are too few, too many, not finite, not increasing or out of range.

    Examples
    --------
    >>> curve = ConfidenceCurve((0.5, 1.0), (0.4, 0.8), "made up.")
    >>> curve([0.75]).round(2).tolist()
    [0.6000000238418579]
    """

    raw: tuple[float, ...]
    accuracy: tuple[float, ...]
    basis: str

    def __post_init__(self) -> None:
        fewest, most = _KNOTS
        if len(self.raw) != len(self.accuracy) or not fewest <= len(self.raw) <= most:
            raise ValueError(
                f"it has {len(self.raw)} raw values and {len(self.accuracy)} accuracies: "
                f"{fewest} to {most} of each, and as many, are needed"
            )
        for name in ("raw", "accuracy"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if not (np.isfinite(values).all() and (np.diff(values) > 0).all()):
                raise ValueError(f"its {name} values {values.tolist()} do not increase")
        if self.accuracy[0] < 0 or self.accuracy[-1] > 1:
            raise ValueError(
                f"its accuracies reach from {self.accuracy[0]:g} to {self.accuracy[-1]:g}: they "
                "lie in [0, 1]"
            )

    def __call__(self, predicted: npt.ArrayLike) -> FloatImage:
        """Return the accuracy that such predictions had.

        Parameters
        ----------
        predicted : array_like of float
            Of any shape; NaN stays NaN.

        Returns
        -------
        float32 array of the same shape, in [0, 1]
        """
        values = np.asarray(predicted, dtype=np.float64)
        beyond = values - np.clip(values, self.raw[0], self.raw[-1])
        accuracy = np.interp(values, self.raw, self.accuracy) + LEAST_SLOPE * beyond
        return np.asarray(np.clip(accuracy, 0, 1), dtype=np.float32)
