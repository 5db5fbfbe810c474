"""The values that rooms hand to each other: frozen, NumPy only, row/col in image pixels.

Pixel ``(row, col)`` is the centre of that pixel, as in napari: the top left pixel covers
``-0.5 <= row < 0.5`` (`napari_safire.geometry`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.geometry import Geometry, inside

Verdict = Literal["forged", "no forgery found", "inconclusive"]
FloatImage = npt.NDArray[np.float32]
LabelImage = npt.NDArray[np.integer[Any]]
NO_EVIDENCE = "If anything were pasted, most likely here: no evidence that it was."
_STRIP_VALUES = 4_000_000  # what is made at once of arrays of the picture's own size


@dataclass(frozen=True, slots=True)
class PointPrompt:
    """One positive point. SAFIRE was trained with single points: one prompt is one point.

    Parameters
    ----------
    row, col : float
        Position in image pixels.
    """

    row: float
    col: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.row) and np.isfinite(self.col)):
            raise ValueError(
                f"The prompt ({self.row}, {self.col}) is not a position: give finite row and "
                "column."
            )

    def lies_in(self, shape: Sequence[float]) -> bool:
        """Whether the point lies on a picture.

        Parameters
        ----------
        shape : (rows, cols)
            Of the picture, in pixels.

        Returns
        -------
        bool
            True on its edges too, half a pixel beyond the centres of the outer pixels.
        """
        return bool(inside(shape, (self.row, self.col)))


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What the encoder says of one image; every later stage starts from it.

    Parameters
    ----------
    features : (C, h, w) float32 array
        One feature vector for each 16 x 16 patch of the model's frame.
    geometry : Geometry
        How the image lies in that frame.
    image_sha256, checkpoint_sha256 : str
        Hashes of the pixels and of the weights: together they identify the embedding.
    warnings : tuple of str
        What had to be mended in the image before it could be embedded, in plain sentences.
    uninformative : (h, w) uint8 array, optional
        For each feature vector whether a camera's traces can be in its patch: 0 if so, else the
        reason (1 dark, 2 saturated, 3 flat; `napari_safire.partitioning.uninformative`). None: not
        known.
    """

    features: FloatImage
    geometry: Geometry
    image_sha256: str
    checkpoint_sha256: str
    warnings: tuple[str, ...] = ()
    uninformative: npt.NDArray[np.uint8] | None = None

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return self.geometry.image_shape


@dataclass(frozen=True, slots=True, eq=False)
class SourceRegion:
    """The source region that contains a prompt.

    The region keeps the decoder's small logit map and makes arrays of the image's own size when
    asked: a grid of 256 regions of a 100-megapixel image then costs megabytes, not gigabytes.

    Parameters
    ----------
    prompt : PointPrompt
    low_res_logits : (h4, w4) float32 array
        The decoder's output over the model's frame.
    geometry : Geometry
    confidence : float
        Predicted pixel accuracy of the mask (the reference calls it ``predicted_iou``, but trains
        it on accuracy). Of a model whose file has a "confidence_calibration": the accuracy that
        such predictions had in the pictures it was calibrated on, in [0, 1]. Of all others the raw
        output of the model: not clipped, mostly in [0, 1].
    """

    prompt: PointPrompt
    low_res_logits: FloatImage
    geometry: Geometry
    confidence: float

    @property
    def logits(self) -> FloatImage:
        """(H, W) float32 logits, positive inside the region; computed at each access."""
        return self.geometry.to_image_size(self.low_res_logits)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W) bool, ``logits > 0``; computed at each access."""
        return self.logits > 0


@dataclass(frozen=True, slots=True, eq=False)
class SourcePartition:
    """The image divided into its sources.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Source of each pixel, ``0 .. n_sources - 1``; 0 is the largest source. Equal to the argmax
        of `probabilities`, up to the rounding of near ties.
    representatives : tuple of SourceRegion
        For each source the region that stands for it, in the order of the labels.
    method : str
        "kmeans", "dbscan" or "auto".
    parameters : mapping
        Everything else that is needed to make this partition again.
    seed : int
    prompts : tuple of PointPrompt
        The grid.
    prompt_sources : (P,) int array
        Source of each prompt, or -1 where the prompt was dropped or is noise.
    n_dropped : int
        Prompts whose mask is empty and which therefore have no feature.
    number_probabilities : mapping of int to float
        Where the number of sources was estimated, how probable each one was, given that there are
        several; empty where it was given, where the model cannot tell, and for a single source.
    """

    labels: npt.NDArray[np.uint8]
    representatives: tuple[SourceRegion, ...]
    method: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    seed: int = 0
    prompts: tuple[PointPrompt, ...] = ()
    prompt_sources: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )
    n_dropped: int = 0
    number_probabilities: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def n_sources(self) -> int:
        """Number of sources, K."""
        return len(self.representatives)

    def probability_strips(self) -> Iterator[tuple[slice, FloatImage]]:
        """Softmax over the sources' logits, a strip of rows at a time.

        Yields
        ------
        rows : slice
        probabilities : (K, h, W) float32 array
            The caller may write to it.
        """
        geometry = self.representatives[0].geometry
        low_res = np.stack([region.low_res_logits for region in self.representatives])
        rows = geometry.interpolation(0, low_res.shape[1])  # (H, h4)
        cols = geometry.interpolation(1, low_res.shape[2])
        halves = [logits @ cols.T for logits in low_res]  # K times (h4, W)
        height, width = geometry.image_shape
        step = max(1, _STRIP_VALUES // (width * self.n_sources))
        for top in range(0, height, step):
            strip = slice(top, min(top + step, height))
            weights = rows[strip]
            values = np.stack([weights @ half for half in halves])
            values -= values.max(axis=0)
            np.exp(values, out=values)
            values /= values.sum(axis=0)
            yield strip, values

    @property
    def probabilities(self) -> FloatImage:
        """(K, H, W) float32 softmax over the sources' logits; computed at each access."""
        shape = self.representatives[0].geometry.image_shape
        whole = np.empty((self.n_sources, *shape), np.float32)
        for rows, values in self.probability_strips():
            whole[:, rows] = values
        return whole


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a verdict rests on: a logistic curve and the two thresholds on its output.

    The curve is fitted with authentic and forged pictures counting the same: it gives the
    probability of forgery *at even odds*. `likelihood_ratio` is what it says whatever the odds,
    `with_prior` the probability at other odds. All rates are those of the pictures that it was
    fitted on.

    Parameters
    ----------
    slope, intercept : float
        ``P(forged) = 1 / (1 + exp(-(slope * statistic + intercept)))`` (Platt scaling).
    forged_above, clean_below : float
        Verdict "forged" at or above the first, "no forgery found" at or below the second.
    false_alarm_rate : float
        Share of authentic calibration images at or above ``forged_above``.
    basis : str
        One sentence: on which images this was fitted.
    miss_rate : float, optional
        Share of forged calibration images at or below ``clean_below``; None where it was not
        kept, as by models of earlier versions.
    highest_false_alarm_rate : float, optional
        The same share as ``false_alarm_rate`` in that kind of authentic images where it is highest
        (such as those compressed once more); None where no kinds were told apart.
    n_authentic, n_forged : int, optional
        Pictures it was fitted on; None where that was not kept.

    Raises
    ------
    ValueError
        Numbers that are not finite, thresholds out of order, or rates that are no shares.
    """

    slope: float
    intercept: float
    forged_above: float
    clean_below: float
    false_alarm_rate: float
    basis: str
    miss_rate: float | None = None
    highest_false_alarm_rate: float | None = None
    n_authentic: int | None = None
    n_forged: int | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept)):
            raise ValueError(
                f"A calibration's slope and intercept must be finite, not {self.slope} and "
                f"{self.intercept}: fit the calibration again."
            )
        if not 0 <= self.clean_below <= self.forged_above <= 1:
            raise ValueError(
                f"Calibration thresholds must be 0 <= clean_below <= forged_above <= 1, not "
                f"{self.clean_below} and {self.forged_above}: fit the calibration again."
            )
        for name in ("n_authentic", "n_forged"):
            number = getattr(self, name)
            if number is not None and not (isinstance(number, int) and number > 0):
                raise ValueError(
                    f"A calibration's {name} is a number of pictures, not {number}: fit the "
                    "calibration again."
                )
        for name in ("false_alarm_rate", "miss_rate", "highest_false_alarm_rate"):
            rate = getattr(self, name)
            known = rate is not None
            if (known and not 0 <= rate <= 1) or (name == "false_alarm_rate" and not known):
                raise ValueError(
                    f"A calibration's {name} is a share, 0 to 1, not {rate}: fit the calibration "
                    "again."
                )

    @property
    def likelihood_bounds(self) -> tuple[float, float]:
        """Smallest and largest likelihood ratio that so many pictures can support.

        Beyond the pictures that it was fitted on, a logistic curve only extrapolates. That none of
        N authentic pictures looks as suspicious as the one at hand still leaves a share of about
        1 / (N + 1) (rule of succession): so a ratio is never above N + 1, nor below 1 / (M + 1)
        with M forged ones. Where the numbers were not kept, they are the fewest with which the
        stored rates are possible. (For the same reason: Vergeer et al., "Numerical likelihood
        ratios outputted by LR systems are often based on extrapolation: when to stop
        extrapolating?", Science & Justice 56, 2016.)
        """
        authentic = self.n_authentic or max(
            _fewest(self.false_alarm_rate), _fewest(self.highest_false_alarm_rate)
        )
        forged = self.n_forged or _fewest(self.miss_rate)
        return 1 / (forged + 1), float(authentic + 1)

    def likelihood_ratio(self, probability: float) -> float:
        """How many times as likely such a score is of a forgery as of an authentic picture.

        Parameters
        ----------
        probability : float
            At even odds, from `probability`.

        Returns
        -------
        float
            Within `likelihood_bounds`.
        """
        low, high = self.likelihood_bounds
        if probability >= 1:
            return high
        return float(np.clip(probability / (1 - probability), low, high))

    def with_prior(self, probability: float, prior: float) -> float:
        """Return the probability of forgery at other odds than even ones.

        Parameters
        ----------
        probability : float
            At even odds, from `probability`.
        prior : float
            Probability of forgery before the picture was seen, between 0 and 1.

        Returns
        -------
        float
            By Bayes' rule from `likelihood_ratio`, and so within its bounds.

        Raises
        ------
        ValueError
            The prior does not lie between 0 and 1: nothing could change it.

        Examples
        --------
        >>> calibration = Calibration(1, 0, 0.9, 0.1, 0.05, "", n_authentic=200, n_forged=200)
        >>> round(calibration.with_prior(0.97, 0.01), 2)
        0.25
        """
        if not 0 < prior < 1:
            raise ValueError(
                f"A prior probability of forgery lies between 0 and 1, not at {prior}: give a "
                "share such as 0.05."
            )
        odds = self.likelihood_ratio(probability) * prior / (1 - prior)
        return odds / (1 + odds)

    def probability(self, statistic: float) -> float:
        """Probability, at even odds, that an image with this separation statistic is forged."""
        return float(1.0 / (1.0 + np.exp(-(self.slope * statistic + self.intercept))))


@dataclass(frozen=True, slots=True, eq=False)
class ForgeryMap:
    """The binary answer: where, how likely, and what that rests on.

    Parameters
    ----------
    heatmap : (H, W) float32 array in [0, 1]
    score : float
        Image-level probability of forgery at even odds where the model is calibrated, else the raw
        statistic squeezed to [0, 1].
    verdict : {"forged", "no forgery found", "inconclusive"}
    reason : str
        Why this verdict, in sentences of at most 20 words. On which pictures it rests is said by
        ``calibration.basis``.
    calibration : Calibration or None
        None where the model has none; the verdict is then always "inconclusive".
    """

    heatmap: FloatImage
    score: float
    verdict: Verdict
    reason: str
    calibration: Calibration | None = None

    @property
    def caveat(self) -> str:
        """What has to stand beside the heatmap; empty if the verdict is "forged".

        A heatmap is a conditional statement: where a paste would be, if there were one.
        """
        return "" if self.verdict == "forged" else NO_EVIDENCE

    @property
    def likelihood_ratio(self) -> float | None:
        """See `Calibration.likelihood_ratio`; None without a calibration.

        Like `score` it is there for inconclusive pictures too, and to be trusted as little there.
        """
        if self.calibration is None:
            return None
        return self.calibration.likelihood_ratio(self.score)

    def with_prior(self, prior: float) -> float | None:
        """Return the probability of forgery at a prior; None without a calibration.

        Parameters
        ----------
        prior : float
            See `Calibration.with_prior`.

        Returns
        -------
        float or None

        Raises
        ------
        ValueError
            The prior does not lie between 0 and 1.
        """
        if self.calibration is None:
            return None
        return self.calibration.with_prior(self.score, prior)


def _fewest(rate: float | None) -> int:
    """Fewest pictures of which a share can be exactly this one."""
    if rate is None:
        return 1
    share = Fraction(rate).limit_denominator(1_000_000)
    return share.denominator if float(share) == rate else 1
