"""The two training stages: contrast of regions, then point prompts.

A stage is a module that maps a batch to its named losses; `napari_safire.learning.run` trains it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor, nn

from napari_safire.learning.losses import (
    area_adaptive_loss,
    compactness,
    confidence_loss,
    region_contrast,
)
from napari_safire.learning.run import BatchSource, RunSettings, run
from napari_safire.learning.streams import cell_labels, sample_prompts
from napari_safire.model import SafireModel

Composites = Callable[[int, int, int], Iterator[tuple[Tensor, Tensor]]]
"""As `BatchSource`, with (B, 3, S, S) pixels and (B, S, S) labels."""


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What a stage asks for.

    Parameters
    ----------
    temperature : float
        Of the contrastive loss.
    contrast_weight, compactness_weight : float
        In stage 2 the contrast goes on beside the segmentation loss, because the partition
        clusters the features: without it they drift.
    prompts_per_image : int
        Stage 2 only.
    """

    temperature: float = 0.1
    contrast_weight: float = 1.0
    compactness_weight: float = 0.5
    prompts_per_image: int = 8

    def __post_init__(self) -> None:
        if self.prompts_per_image < 1:
            raise ValueError(f"prompts_per_image must be at least 1, not {self.prompts_per_image}.")


class ContrastStage(nn.Module):
    """Stage 1, region-to-region contrastive pretraining of the encoder (paper, "R2R")."""

    def __init__(self, model: SafireModel, settings: LossSettings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings

    @property
    def trained(self) -> nn.Module:
        """What learns."""
        return self.model.image_encoder

    def forward(self, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Map (B, 3, S, S) pixels and (B, S, S) labels to losses."""
        return _feature_losses(self.model.encode(pixels.float()), labels, self.settings)


class PromptStage(nn.Module):
    """Stage 2, point-prompted training of the whole model.

    The published code gives the encoder no gradient in this stage by default; here it learns with
    ``encoder_factor`` times the rate.
    """

    def __init__(self, model: SafireModel, settings: LossSettings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings

    @property
    def trained(self) -> nn.Module:
        """What learns."""
        return self.model

    def forward(
        self, pixels: Tensor, labels: Tensor, points: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """Map a batch with prompts, see `sample_prompts`, to losses."""
        feats = self.model.encode(pixels.float())
        logits, confidence = self.model.decode(feats, points)
        logits, targets = logits.flatten(0, 1).float(), targets.flatten(0, 1)
        parts = {
            "segmentation": area_adaptive_loss(logits, targets),
            "confidence": confidence_loss(confidence.flatten(), logits, targets),
        }
        for name, value in _feature_losses(feats, labels, self.settings).items():
            parts[name] = self.settings.contrast_weight * value
        return parts


def pretrain(
    model: SafireModel,
    composites: Composites,
    settings: RunSettings,
    folder: Path,
    *,
    fabric: Fabric,
    losses: LossSettings | None = None,
    resume: bool = False,
    validation: list[tuple[Tensor, Tensor]] | None = None,
) -> None:
    """Stage 1; for the parameters see `napari_safire.learning.run.run`."""
    stage = ContrastStage(model, losses or LossSettings())
    kept = [tuple(batch) for batch in validation] if validation else None
    run(fabric, model, stage, composites, settings, folder, resume=resume, validation=kept)


def train(
    model: SafireModel,
    composites: Composites,
    settings: RunSettings,
    folder: Path,
    *,
    fabric: Fabric,
    losses: LossSettings | None = None,
    resume: bool = False,
    validation: list[tuple[Tensor, Tensor]] | None = None,
) -> None:
    """Stage 2; for the parameters see `napari_safire.learning.run.run`."""
    losses = losses or LossSettings()
    stage = PromptStage(model, losses)
    source = _prompted(composites, losses.prompts_per_image, settings.seed)
    kept = None
    if validation:
        # Prompts of their own, the same at every validation.
        drawn = _prompted(lambda *_: iter(validation), losses.prompts_per_image, settings.seed + 1)
        kept = list(drawn(0, 0, 1))
    run(fabric, model, stage, source, settings, folder, resume=resume, validation=kept)


def _prompted(composites: Composites, per_image: int, seed: int) -> BatchSource:
    """Add prompts that depend on the number of the batch alone."""

    def source(start: int, rank: int, world: int) -> Iterator[tuple[Tensor, ...]]:
        numbers = count(start * world + rank, world)
        for number, (pixels, labels) in zip(numbers, composites(start, rank, world), strict=False):
            rng = np.random.default_rng((seed, number))
            yield pixels, labels, *sample_prompts(labels, per_image, rng)

    return source


def _feature_losses(feats: Tensor, labels: Tensor, settings: LossSettings) -> dict[str, Tensor]:
    cells = feats.flatten(2).transpose(1, 2)  # (B, h*w, C)
    regions = cell_labels(labels)
    return {
        "contrast": region_contrast(cells, regions, settings.temperature),
        "compactness": settings.compactness_weight * compactness(cells, regions),
    }
