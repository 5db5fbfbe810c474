"""The two training stages: contrast of regions, then point prompts."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_safire.learning.losses import (
    area_adaptive_loss,
    compactness,
    confidence_loss,
    region_contrast,
)
from napari_safire.learning.streams import cell_labels, sample_prompts
from napari_safire.model import SafireModel, save_checkpoint
from napari_safire.model.vit import SafireViT

Batches = Iterator[tuple[Tensor, Tensor]]

_LOG_EVERY = 50  # steps


@dataclass(frozen=True, slots=True)
class StageSettings:
    """What a stage needs beside model and data.

    Parameters
    ----------
    steps : int
        Batches.
    learning_rate : float
        Peak; linear warm-up, then cosine decay to a hundredth.
    encoder_factor : float
        The encoder's learning rate as a share of ``learning_rate``.
    weight_decay : float
    temperature : float
        Of the contrastive loss.
    contrast_weight, compactness_weight : float
        In stage 2 the contrast goes on beside the segmentation loss, because the partition
        clusters the features: without it they drift.
    prompts_per_image : int
        Stage 2 only.
    averaging : float
        Decay of the exponential moving average of the weights, which is what is saved.
    bf16 : bool
        Autocast to bfloat16.
    checkpointing : bool
        Of a ViT's activations: slower, with a fraction of the memory.
    save_every : int
        Steps between checkpoints.
    seed : int
    """

    steps: int
    learning_rate: float = 1.5e-3
    encoder_factor: float = 1.0
    weight_decay: float = 0.02
    temperature: float = 0.1
    contrast_weight: float = 1.0
    compactness_weight: float = 0.5
    prompts_per_image: int = 8
    averaging: float = 0.998
    bf16: bool = False
    checkpointing: bool = False
    save_every: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "prompts_per_image", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")


def pretrain(model: SafireModel, batches: Batches, settings: StageSettings, folder: Path) -> None:
    """Stage 1, region-to-region contrastive pretraining of the encoder (paper, "R2R").

    Parameters
    ----------
    model : SafireModel
        Trained in place; ends with the averaged weights.
    batches : iterator of (pixels, labels)
        See `napari_safire.learning.streams.stream`.
    settings : StageSettings
    folder : Path
        Receives ``log.csv`` and ``last.safetensors``.

    Raises
    ------
    FloatingPointError
        The loss is no longer finite; the last checkpoint stays.
    """

    def losses(net: SafireModel, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
        feats = net.encode(pixels)
        return _feature_losses(feats, labels, settings)

    _run(model, model.image_encoder, batches, settings, folder, losses)


def train(model: SafireModel, batches: Batches, settings: StageSettings, folder: Path) -> None:
    """Stage 2, point-prompted training of the whole model.

    The published code gives the encoder no gradient in this stage by default; here it learns with
    ``encoder_factor`` times the rate. Parameters as in `pretrain`.
    """
    rng = np.random.default_rng(settings.seed)

    def losses(net: SafireModel, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
        feats = net.encode(pixels)
        points, targets = sample_prompts(labels.cpu(), settings.prompts_per_image, rng)
        points, targets = points.to(pixels.device), targets.to(pixels.device)
        logits, confidence = net.decode(feats, points)
        logits, targets = logits.flatten(0, 1).float(), targets.flatten(0, 1)
        parts = {
            "segmentation": area_adaptive_loss(logits, targets),
            "confidence": confidence_loss(confidence.flatten(), logits, targets),
        }
        for name, value in _feature_losses(feats, labels, settings).items():
            parts[name] = settings.contrast_weight * value
        return parts

    _run(model, model, batches, settings, folder, losses)


def _feature_losses(feats: Tensor, labels: Tensor, settings: StageSettings) -> dict[str, Tensor]:
    cells = feats.flatten(2).transpose(1, 2)  # (B, h*w, C)
    regions = cell_labels(labels)
    return {
        "contrast": region_contrast(cells, regions, settings.temperature),
        "compactness": settings.compactness_weight * compactness(cells, regions),
    }


def _run(
    model: SafireModel,
    trained: torch.nn.Module,
    batches: Batches,
    settings: StageSettings,
    folder: Path,
    losses: Callable[[SafireModel, Tensor, Tensor], dict[str, Tensor]],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    encoder = {id(p) for p in model.image_encoder.parameters()}
    shares = [
        (p, settings.encoder_factor if id(p) in encoder else 1.0)
        for p in trained.parameters()
        if p.requires_grad
    ]
    optimizer = torch.optim.AdamW(
        [
            {
                "params": [p for p, s in shares if s == share],
                "lr": settings.learning_rate * share,
                "weight_decay": settings.weight_decay,
            }
            for share in sorted({s for _, s in shares})
        ],
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _learning_rate_share(step, settings.steps)
    )
    average = AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(settings.averaging), use_buffers=True
    )
    model.train()
    if isinstance(model.image_encoder, SafireViT):
        model.image_encoder.checkpointing = settings.checkpointing
    began = time.monotonic()
    with (folder / "log.csv").open("w", newline="") as file:
        log = csv.writer(file)
        sums: dict[str, float] = {}
        summed = 0
        for step in range(1, settings.steps + 1):
            pixels, labels = next(batches)
            pixels = pixels.to(model.device).float()
            labels = labels.to(model.device)
            with torch.autocast(model.device.type, torch.bfloat16, enabled=settings.bf16):
                parts = losses(model, pixels, labels)
            loss = torch.stack(list(parts.values())).sum()
            if not bool(torch.isfinite(loss)):
                raise FloatingPointError(
                    f"The loss is {loss.item()} at step {step}: lower the learning rate."
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            # A long memory is useless at first: begin with a plain mean of the early steps.
            average.multi_avg_fn = get_ema_multi_avg_fn(
                min(settings.averaging, (1 + step) / (10 + step))
            )
            average.update_parameters(model)
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            summed += 1
            if step % _LOG_EVERY == 0 or step == settings.steps:
                if step <= _LOG_EVERY:
                    log.writerow(["step", "seconds", *sums])
                seconds = time.monotonic() - began
                means = {name: value / summed for name, value in sums.items()}
                log.writerow([step, f"{seconds:.0f}", *(f"{v:.4f}" for v in means.values())])
                file.flush()
                print(
                    f"step {step}/{settings.steps}  {seconds:.0f} s  "
                    + "  ".join(f"{k} {v:.3f}" for k, v in means.items()),
                    flush=True,
                )
                sums.clear()
                summed = 0
            if step % settings.save_every == 0 or step == settings.steps:
                averaged = cast(SafireModel, average.module)
                save_checkpoint(
                    averaged, folder / "last.safetensors", metadata={**model.metadata, "step": step}
                )
    model.load_state_dict(average.module.state_dict())
    model.eval()


def _learning_rate_share(step: int, steps: int) -> float:
    warm_up = max(1, min(200, steps // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, steps - warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
