"""The sizes of a ViT model, SAFIRE's or SAM's own, read off the shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from napari_safire.errors import CheckpointError
from napari_safire.model.config import ModelConfig

ADAPTOR = ("image_encoder.adaptor_", "image_encoder.hfp_")


def has_adaptor(tensors: Collection[str]) -> bool:
    """Whether a ViT model is SAFIRE's; SAM's own has no adaptor."""
    return any(key.startswith(ADAPTOR) for key in tensors)


def infer_config(tensors: Mapping[str, Tensor], path: Path) -> ModelConfig:
    """Read the sizes of a ViT model off the shapes of its weights.

    Parameters
    ----------
    tensors : mapping of str to Tensor
    path : Path
        Of their file, for the sentence.

    Raises
    ------
    CheckpointError
        A weight is missing or has an odd shape, or the sizes make no model.
    """
    shape = partial(_shape, path, tensors)
    count = partial(_count, tensors)
    _, n_patches, _, embed_dim = shape("image_encoder.pos_embed", 4)
    depth = count(r"image_encoder\.blocks\.([0-9]{1,6})\.")
    reach = []  # patches along which each block attends
    head_dim = embed_dim
    for number in range(depth):
        length, head_dim = shape(f"image_encoder.blocks.{number}.attn.rel_pos_w", 2)
        reach.append((length + 1) // 2)
    windows = sorted({patches for patches in reach if patches != n_patches})
    if len(windows) > 1:
        raise CheckpointError(
            f"{path} holds another model: its windows have different sizes {windows!r:.80}."
        )
    decoder = "mask_decoder.transformer.layers"
    confidence = "mask_decoder.iou_prediction_head.layers"
    sizes: dict[str, Any] = {
        "image_size": 16 * n_patches,
        "patch_size": shape("image_encoder.patch_embed.proj.weight", 4)[-1],
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": embed_dim // head_dim,
        "mlp_ratio": shape("image_encoder.blocks.0.mlp.lin1.weight", 2)[0] / embed_dim,
        "global_attention": tuple(i for i, patches in enumerate(reach) if patches == n_patches),
        "prompt_dim": shape("image_encoder.neck.0.weight", 4)[0],
        "decoder_depth": count(rf"{re.escape(decoder)}\.([0-9]{{1,6}})\."),
        "decoder_mlp_dim": shape(f"{decoder}.0.mlp.lin1.weight", 2)[0],
        "confidence_depth": count(rf"{re.escape(confidence)}\.([0-9]{{1,6}})\."),
        "confidence_dim": shape(f"{confidence}.0.weight", 2)[0],
        "mask_in_chans": shape("prompt_encoder.mask_downscaling.3.weight", 4)[0],
        "prompt_from_embedding": "prompt_projection.weight" in tensors,
    }
    if windows:
        sizes["window_size"] = windows[0]
    if has_adaptor(tensors):
        width, _ = shape("image_encoder.adaptor_patch_embed_tune.weight", 2)
        sizes["adaptor_reduction"] = embed_dim // width
    try:
        return ModelConfig(**sizes)
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} has sizes that make no model, so a config is needed: {error}"
        ) from error


def _shape(path: Path, tensors: Mapping[str, Tensor], key: str, n_axes: int) -> tuple[int, ...]:
    if key not in tensors:
        raise CheckpointError(f"{path} does not hold a whole ViT model: {key} is missing.")
    found = tuple(tensors[key].shape)
    if len(found) != n_axes or 0 in found:
        raise CheckpointError(f"{path} holds another model: {key} has shape {found}.")
    return found


def _count(tensors: Collection[str], pattern: str) -> int:
    """One more than the highest number in place of the pattern's group."""
    matches = (re.match(pattern, key) for key in tensors)
    return 1 + max((int(match[1]) for match in matches if match), default=-1)
