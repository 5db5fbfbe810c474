"""Plain SAM ("Segment Anything", Kirillov et al., ICCV 2023) from its published file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_safire.errors import CheckpointError
from napari_safire.model.files.fitting import check_fit
from napari_safire.model.files.model_file import read_tensors
from napari_safire.model.sam_modules import modeling

# Shapes do not tell these: those of every published SAM.
_DECODER_HEADS = 8
_MOST_LAYERS = 256
_PIXEL_MEAN, _PIXEL_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def load_sam(path: str | PathLike[str]) -> nn.Module:
    """Load SAM, at the sizes that the shapes of its weights tell.

    Parameters
    ----------
    path : path-like
        A published checkpoint (ViT-B, -L or -H); read without running code of it.

    Returns
    -------
    nn.Module
        ``segment_anything.modeling.Sam`` in evaluation mode on the CPU.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, holds code, or holds another model.
    """
    path = Path(path)
    tensors, _ = read_tensors(path)
    try:
        with torch.device("meta"):  # no memory before the sizes are known to be the file's own
            sam = _built(_Shapes(tensors))
    except (
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        ArithmeticError,
        AssertionError,
        RuntimeError,
    ) as error:
        raise CheckpointError(
            f"{path} does not hold a plain SAM ({error!r:.120}): give a checkpoint as published "
            "with Segment Anything, for example sam_vit_b_01ec64.pth."
        ) from error
    check_fit(tensors, sam.state_dict(), path)
    # Copies: the tensors read are pages of the file, which somebody may change.
    placed = {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}
    sam.load_state_dict(placed, assign=True)
    for name, values in (("pixel_mean", _PIXEL_MEAN), ("pixel_std", _PIXEL_STD)):
        sam.register_buffer(name, torch.tensor(values).reshape(3, 1, 1), persistent=False)
    return sam.eval()


class _Shapes:
    """Shapes of tensors by their names."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors

    def __getitem__(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensors[name].shape)

    def count(self, pattern: str) -> int:
        found = (re.match(pattern, name) for name in self.tensors)
        count = 1 + max((int(match[1]) for match in found if match), default=-1)
        if count > _MOST_LAYERS:
            raise ValueError(f"{count} layers")
        return count


def _built(shapes: _Shapes) -> nn.Module:
    encoder, decoder = "image_encoder", "mask_decoder"
    _, cells, _, width = shapes[f"{encoder}.pos_embed"]
    patch = shapes[f"{encoder}.patch_embed.proj.weight"][-1]
    depth = shapes.count(rf"{encoder}\.blocks\.([0-9]{{1,6}})\.")
    lengths = [shapes[f"{encoder}.blocks.{i}.attn.rel_pos_w"] for i in range(depth)]
    reach = [(length + 1) // 2 for length, _ in lengths]  # cells along which a block attends
    prompt = shapes[f"{encoder}.neck.0.weight"][0]
    heads = f"{decoder}.iou_prediction_head.layers"
    layers = f"{decoder}.transformer.layers"
    parts: dict[str, Any] = {
        "image_encoder": modeling.ImageEncoderViT(
            img_size=patch * cells,
            patch_size=patch,
            embed_dim=width,
            depth=depth,
            num_heads=width // lengths[0][1],
            mlp_ratio=shapes[f"{encoder}.blocks.0.mlp.lin1.weight"][0] / width,
            out_chans=prompt,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=min(reach),
            global_attn_indexes=[i for i in range(depth) if reach[i] == cells],
        ),
        "prompt_encoder": modeling.PromptEncoder(
            embed_dim=prompt,
            image_embedding_size=(cells, cells),
            input_image_size=(patch * cells, patch * cells),
            mask_in_chans=shapes["prompt_encoder.mask_downscaling.3.weight"][0],
        ),
        "mask_decoder": modeling.MaskDecoder(
            num_multimask_outputs=shapes[f"{decoder}.mask_tokens.weight"][0] - 1,
            transformer=modeling.TwoWayTransformer(
                depth=shapes.count(rf"{re.escape(layers)}\.([0-9]{{1,6}})\."),
                embedding_dim=prompt,
                mlp_dim=shapes[f"{layers}.0.mlp.lin1.weight"][0],
                num_heads=_DECODER_HEADS,
            ),
            transformer_dim=prompt,
            iou_head_depth=shapes.count(rf"{re.escape(heads)}\.([0-9]{{1,6}})\."),
            iou_head_hidden_dim=shapes[f"{heads}.0.weight"][0],
        ),
    }
    return modeling.Sam(**parts, pixel_mean=_PIXEL_MEAN, pixel_std=_PIXEL_STD)
