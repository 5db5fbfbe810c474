"""Plain SAM ("Segment Anything", Kirillov et al., ICCV 2023) from its published file."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path

import torch
from torch import nn

from napari_safire.errors import CheckpointError
from napari_safire.model.config import ModelConfig
from napari_safire.model.files.fitting import check_fit
from napari_safire.model.files.model_file import read_tensors
from napari_safire.model.files.sizes import infer_config
from napari_safire.model.safire import sam_decoder
from napari_safire.model.sam_modules import modeling

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
            sam = _built(infer_config(tensors, path))
    except (CheckpointError, ValueError, TypeError, AssertionError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not hold a plain SAM, give a checkpoint as published with Segment "
            f"Anything, for example sam_vit_b_01ec64.pth: {error}"
        ) from error
    check_fit(tensors, sam.state_dict(), path)
    # Copies: the tensors read are pages of the file, which somebody may change.
    placed = {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}
    sam.load_state_dict(placed, assign=True)
    for name, values in (("pixel_mean", _PIXEL_MEAN), ("pixel_std", _PIXEL_STD)):
        sam.register_buffer(name, torch.tensor(values).reshape(3, 1, 1), persistent=False)
    return sam.eval()


def _built(config: ModelConfig) -> nn.Module:
    encoder = modeling.ImageEncoderViT(
        img_size=config.image_size,
        patch_size=config.patch_size,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        out_chans=config.prompt_dim,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=config.window_size,
        global_attn_indexes=config.global_attention,
    )
    sam: nn.Module = modeling.Sam(encoder, *sam_decoder(config), _PIXEL_MEAN, _PIXEL_STD)
    return sam
