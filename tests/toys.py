"""Configurations of models that are small enough for tests."""

from __future__ import annotations

from typing import Any

from napari_safire.model import ModelConfig


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


# Tiles above 128 pixels, pools above 192.
TILED_LITE = tiny_lite(confidence_dim=16, image_size=128, max_cells=12)

BY_PATCHES: dict[str, Any] = {
    "representative": "cells",
    "kinship": {"slope": 20.0, "size": 0.0, "offset": -10.0, "numbers": [0.0] * 5},
}
"""Metadata of a model that divides patches: pieces are of one source from a cosine of .5."""
