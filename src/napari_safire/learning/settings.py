"""How a run goes, and its learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from napari_safire.learning.devices import PRECISIONS

Schedule = Literal["cosine", "warm restarts"]
_LOWEST = 0.01  # of the peak rate


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run goes, whatever it learns.

    Parameters
    ----------
    steps : int
        Updates of the weights.
    learning_rate : float
        Peak.
    encoder_factor : float
        The encoder's learning rate as a share of ``learning_rate``.
    weight_decay : float
    schedule : {"cosine", "warm restarts"}
        "cosine": linear warm-up, then one cosine down to a hundredth of the peak. "warm restarts":
        as published (SGDR): cosines from the peak to a hundredth, the first one 10 epochs long,
        each next one twice as long; the rate stays the same through an epoch.
    epoch : int
        Steps of an epoch, for "warm restarts".
    accumulate : int
        Batches of every device whose gradients make one update.
    largest_gradient : float
        Norm to which gradients are clipped; ``inf``: never.
    averaging : float
        Decay of the exponential moving average of the weights, which is what is saved; 0: none.
    precision : {"float32", "bf16", "fp16"}
        Other than float32: mixed precision.
    checkpointing : bool
        Of a ViT's activations: slower, with a fraction of the memory.
    save_every : int
        Steps between checkpoints, and between validations.
    log_every : int
        Steps between rows of the log.
    patience : int, optional
        Validations without a better one after which the run stops.
    seed : int
    """

    steps: int
    learning_rate: float = 1.5e-3
    encoder_factor: float = 1.0
    weight_decay: float = 0.02
    schedule: Schedule = "cosine"
    epoch: int = 1
    accumulate: int = 1
    largest_gradient: float = 1.0
    averaging: float = 0.998
    precision: str = "float32"
    checkpointing: bool = False
    save_every: int = 250
    log_every: int = 50
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "epoch", "accumulate", "save_every", "log_every", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}.")
        for name in ("learning_rate", "largest_gradient"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}.")
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging must lie in [0, 1), not {self.averaging}.")
        for name, known in (("precision", PRECISIONS), ("schedule", ("cosine", "warm restarts"))):
            if getattr(self, name) not in known:
                raise ValueError(f"Unknown {name} {getattr(self, name)!r}: use {', '.join(known)}.")

    def rate(self, step: int) -> float:
        """Learning rate of an update, as a share of the peak.

        Parameters
        ----------
        step : int
            Updates before this one.
        """
        if self.schedule == "cosine":
            return _cosine_after_warm_up(step, self.steps)
        return _warm_restarts(step // self.epoch)


def _cosine_after_warm_up(step: int, steps: int) -> float:
    """Linear warm-up over a tenth (200 steps at most), then a cosine down to a hundredth."""
    warm_up = max(1, min(200, steps // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    return _cosine((step - warm_up) / max(1, steps - warm_up))


def _warm_restarts(epoch: int, first_period: int = 10) -> float:
    period = first_period
    while epoch >= period:
        epoch -= period
        period *= 2
    return _cosine(epoch / period)


def _cosine(progress: float) -> float:
    return _LOWEST + (1 - _LOWEST) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
