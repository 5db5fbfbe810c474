"""The two training stages: contrast of regions, then point prompts.

A stage is a module that maps a batch to its named losses; `napari_safire.learning.run` trains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from napari_safire.learning.losses import (
    area_adaptive_loss,
    compactness,
    confidence_loss,
    region_contrast,
)
from napari_safire.learning.prompts import PromptSettings
from napari_safire.learning.samples import coloured, contact_sheet, masked, principal_colours
from napari_safire.learning.streams import patch_labels
from napari_safire.model import SafireModel

PARTS = ("filters", "stem", "backbone", "adaptor", "prompt encoder", "decoder")
_ADAPTOR = ("adaptor_", "hfp_")
_FILTERS = ("learned_kernels",)
_STEM = ("stem.", "stage2.")
_SHOWN_PROMPTS = 3


@dataclass(frozen=True, slots=True)
class StageSettings:
    """What a stage asks for, and what of the model answers by learning.

    Parameters
    ----------
    learns : tuple of str, optional
        Of "filters" (a lite model's first ones; without them an update takes two thirds of the
        time, as no gradient goes through the residuals), "stem" (a lite model's layers at stride
        2; without them it takes another quarter less), "backbone", "adaptor" (of a ViT), "prompt
        encoder" and "decoder". Default: in stage 1 the whole encoder, as published. In
        stage 2 adaptor and decoder of a ViT, all of a lite model; the published code means the
        same, but as its frozen blocks pass no gradient on, only the decoder learns there.
    temperature : float
        Of the contrastive loss.
    purity : float
        Share of a patch that one region must cover for the patch to count in the contrast.
    contrast_weight, compactness_weight : float
        In stage 2 the contrast goes on beside the segmentation loss, because the partition
        clusters the features: without it they drift. Published: 0 in stage 2; no compactness.
    confidence_weight : float
        Of the confidence loss in stage 2. Published: 0.1.
    prompts : PromptSettings
        Stage 2 only.
    """

    learns: tuple[str, ...] | None = None
    temperature: float = 0.1
    purity: float = 0.85
    contrast_weight: float = 1.0
    compactness_weight: float = 0.5
    confidence_weight: float = 1.0
    prompts: PromptSettings = PromptSettings()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        unknown = set(self.learns or ()) - set(PARTS)
        if unknown or self.learns == ():
            raise ValueError(
                f"learns must name parts of a model ({', '.join(PARTS)}), not {self.learns}."
            )


class _Stage(nn.Module):
    """A model, of which some parts learn."""

    default: tuple[str, ...]

    def __init__(self, model: SafireModel, settings: StageSettings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        parts = parts_of(model)
        chosen = settings.learns or self.default
        self._trained = [p for part in chosen for p in parts[part]]
        if not self._trained:
            raise ValueError(f"This model has no {' and no '.join(chosen)}: nothing would learn.")
        learning = {id(p) for p in self._trained}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) in learning)
        self._encoder_learns = any(p.requires_grad for p in model.image_encoder.parameters())

    def trained(self) -> list[nn.Parameter]:
        """Give what learns."""
        return self._trained

    def _encode(self, pixels: Tensor) -> Tensor:
        with torch.set_grad_enabled(self._encoder_learns and torch.is_grad_enabled()):
            return self.model.encode(pixels.float())

    def _feature_losses(self, feats: Tensor, labels: Tensor) -> dict[str, Tensor]:
        patches = feats.flatten(2).transpose(1, 2)  # (B, h*w, C)
        regions = patch_labels(labels, purity=self.settings.purity)
        parts = {"contrast": region_contrast(patches, regions, self.settings.temperature)}
        if self.settings.compactness_weight:
            weight = self.settings.compactness_weight
            parts["compactness"] = weight * compactness(patches, regions)
        return parts


class ContrastStage(_Stage):
    """Stage 1, region-to-region contrastive pretraining of the encoder (paper, "R2R")."""

    default = ("filters", "stem", "backbone", "adaptor")

    def forward(self, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Map (B, 3, S, S) pixels and (B, S, S) labels to losses."""
        return self._feature_losses(self._encode(pixels), labels)

    def illustrate(self, pixels: Tensor, labels: Tensor) -> npt.NDArray[np.uint8]:
        """Draw pictures, their regions, and the features' principal components as colours."""
        feats = self._encode(pixels).permute(0, 2, 3, 1).float().cpu().numpy()
        rows = [
            (picture, coloured(regions), principal_colours(patches))
            for picture, regions, patches in zip(
                _pictures(pixels), labels.cpu().numpy(), feats, strict=True
            )
        ]
        return contact_sheet(rows)


class PromptStage(_Stage):
    """Stage 2, source region segmentation by point prompts (paper, section of that name)."""

    def __init__(self, model: SafireModel, settings: StageSettings) -> None:
        vit = model.config.architecture == "vit"
        self.default = ("adaptor", "decoder") if vit else PARTS
        super().__init__(model, settings)

    def forward(
        self, pixels: Tensor, labels: Tensor, points: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """Map a batch with prompts, see `prompts.sample_prompts`, to losses."""
        feats = self._encode(pixels)
        logits, confidence = self.model.decode(feats, points)
        logits, targets = logits.flatten(0, 1).float(), targets.flatten(0, 1).float()
        parts = {
            "segmentation": area_adaptive_loss(logits, targets),
            "confidence": self.settings.confidence_weight
            * confidence_loss(confidence.flatten(), logits, targets),
        }
        if self.settings.contrast_weight:
            for name, value in self._feature_losses(feats, labels).items():
                parts[name] = self.settings.contrast_weight * value
        return parts

    def illustrate(
        self, pixels: Tensor, labels: Tensor, points: Tensor, targets: Tensor
    ) -> npt.NDArray[np.uint8]:
        """Draw pictures, their regions, and the answers to the first prompts."""
        logits, _ = self.model.decode(self._encode(pixels), points)
        inside = (logits.float() > 0).cpu().numpy()
        places = points.cpu().numpy()[..., ::-1]  # row, column
        rows = [
            [
                picture,
                coloured(regions),
                *(
                    masked(picture, mask, tuple(place))
                    for mask, place in list(zip(masks, some, strict=True))[:_SHOWN_PROMPTS]
                ),
            ]
            for picture, regions, masks, some in zip(
                _pictures(pixels), labels.cpu().numpy(), inside, places, strict=True
            )
        ]
        return contact_sheet(rows)


def parts_of(model: SafireModel) -> dict[str, list[nn.Parameter]]:
    """Divide a model's parameters into `PARTS`.

    The adaptor is what SAFIRE adds to SAM's encoder, with the high-pass patches; a lite model has
    none, and a ViT has no filters of its own.
    """
    parts: dict[str, list[nn.Parameter]] = {part: [] for part in PARTS}
    for name, parameter in model.named_parameters():
        room, _, inner = name.partition(".")
        if room == "image_encoder":
            part = _part_of_encoder(inner)
        elif room == "mask_decoder":
            part = "decoder"
        else:
            part = "prompt encoder"
        parts[part].append(parameter)
    return parts


def _part_of_encoder(name: str) -> str:
    if name.startswith(_ADAPTOR):
        return "adaptor"
    if name.startswith(_FILTERS):
        return "filters"
    return "stem" if name.startswith(_STEM) else "backbone"


def _pictures(pixels: Tensor) -> npt.NDArray[np.uint8]:
    values = pixels.permute(0, 2, 3, 1).cpu().numpy()
    return cast(npt.NDArray[np.uint8], np.clip(values, 0, 255).astype(np.uint8))
