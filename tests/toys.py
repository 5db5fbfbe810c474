"""Configurations of models that are small enough for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_safire.model import ModelConfig, SafireModel


def tiny_lite(**other: Any) -> ModelConfig:
    """A lite model of 37 thousand parameters, a file of 180 kB."""
    values: dict[str, Any] = {
        "stage_widths": (8, 8, 16, 16),
        "depth": 1,
        "num_heads": 2,
        "prompt_dim": 16,
        "decoder_mlp_dim": 16,
        "decoder_heads": 2,
        "confidence_dim": 8,
    }
    return ModelConfig.lite(**(values | other))


def small_vit(**other: Any) -> ModelConfig:
    """A ViT of two million parameters in the sizes of the published files."""
    values: dict[str, Any] = {
        "image_size": 64,
        "embed_dim": 128,
        "depth": 3,
        "num_heads": 2,
        "mlp_ratio": 2.0,
        "global_attention": (1,),
        "window_size": 3,
        "prompt_dim": 32,
        "decoder_mlp_dim": 48,
        "confidence_depth": 2,
        "confidence_dim": 24,
        "mask_in_chans": 8,
        "adaptor_reduction": 8,
    }
    return ModelConfig(**(values | other))


VIT_L = ModelConfig(embed_dim=1024, depth=24, num_heads=16, global_attention=(5, 11, 17, 23))
VIT_H = ModelConfig(embed_dim=1280, depth=32, num_heads=16, global_attention=(7, 15, 23, 31))
"""The published model on SAM's larger encoders."""


def write_published_layout(model: SafireModel, path: Path, *, encoder_only: bool = False) -> None:
    """Write the published layout; the encoder alone has keys relative to it, as pretraining has."""
    part = model.image_encoder if encoder_only else model
    state = {f"module.{key}": value.detach().cpu() for key, value in part.state_dict().items()}
    torch.save({"model": state, "epoch": 0}, path)


# Tiles above 128 pixels, pools above 192.
TILED_LITE = tiny_lite(confidence_dim=16, image_size=128, max_cells=12)

BY_PATCHES: dict[str, Any] = {
    "representative": "cells",
    "kinship": {"slope": 20.0, "size": 0.0, "offset": -10.0, "numbers": [0.0] * 5},
}
"""Metadata of a model that divides patches: pieces are of one source from a cosine of .5."""
