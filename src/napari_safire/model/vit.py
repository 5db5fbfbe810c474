"""SAFIRE's image encoder: SAM's ViT and an adaptor fed with the image's high frequencies.

Kwon et al., AAAI 2025 (arXiv 2412.08197), section "Method"; the adaptor follows explicit visual
prompting (Liu et al., CVPR 2023). What the text leaves open was found by comparing with the
published implementation's outputs (tests/data/parity).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from napari_safire.model.attention import Block
from napari_safire.model.config import ModelConfig
from napari_safire.model.linear import linear
from napari_safire.model.sam_modules import modeling

_LOW_FREQUENCY_SHARE = 0.25  # of the spectrum's area


def high_pass(images: Tensor) -> Tensor:
    """Magnitude of what is left of images without their low frequencies.

    A centred square that covers a quarter of the (shifted) spectrum is set to zero.

    Parameters
    ----------
    images : (B, 3, S, S) float tensor
        Normalised images, S even.

    Returns
    -------
    (B, 3, S, S) float32 tensor, >= 0
    """
    height, width = images.shape[-2:]
    half = int(math.sqrt(height * width * _LOW_FREQUENCY_SHARE)) // 2
    # Half precision has no FFT, and would lose the small high frequencies beside the large mean.
    with torch.autocast(images.device.type, enabled=False):
        spectrum = torch.fft.fft2(images.float())
        # In the order that fft2 returns, frequencies 0 .. half - 1 come first and -half .. -1 last.
        low_rows = _is_low(height, half, images.device)
        low_cols = _is_low(width, half, images.device)
        keep = ~(low_rows[:, None] & low_cols)
        return torch.fft.ifft2(spectrum * keep).real.abs()


def _is_low(length: int, half: int, device: torch.device) -> Tensor:
    index = torch.arange(length, device=device)
    return (index < half) | (index >= length - half)


class SafireViT(nn.Module):
    """SAM's ViT with SAFIRE's high-pass adaptor.

    Two views of each patch, its patch embedding with its position and its high-pass patch without
    one, are brought to the adaptor's width and added. Before every block, a small layer of its
    own and an up projection that all blocks share turn this sum into something added to the patch;
    once more after the last block.

    Parameters
    ----------
    config : ModelConfig
        With ``architecture="vit"``.

    Attributes
    ----------
    checkpointing : bool
        Keep no activations inside the blocks in training, but make them again on the way back:
        slower, with a fraction of the memory.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.checkpointing = False
        width = config.embed_dim
        reduced = width // config.adaptor_reduction
        sam = modeling.ImageEncoderViT(
            img_size=config.image_size,
            patch_size=config.patch_size,
            embed_dim=width,
            depth=0,  # the blocks are our own
            out_chans=config.prompt_dim,
        )
        # SAM's parts are adopted one by one: their names are those of the published files.
        self.pos_embed: nn.Parameter = sam.pos_embed
        self.patch_embed: nn.Module = sam.patch_embed
        self.blocks = nn.ModuleList(
            _make_block(config, everywhere=number in config.global_attention)
            for number in range(config.depth)
        )
        self.neck: nn.Sequential = sam.neck

        self.hfp_overlap_patch_embed: nn.Module = modeling.image_encoder.PatchEmbed(
            kernel_size=(32, 32), stride=(16, 16), padding=(8, 8), embed_dim=width
        )
        self.adaptor_patch_embed_tune = nn.Linear(width, reduced)
        self.hfp_patch_embed_tune = nn.Linear(width, reduced)
        self.adaptor_shared_up_projection_layer = nn.Linear(reduced, width)
        self.adaptor_blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(reduced, reduced), nn.GELU()) for _ in range(config.depth)
        )
        self.adaptor_final_block = nn.Sequential(nn.Linear(reduced, reduced), nn.GELU())

    def forward(self, images: Tensor, before_block: Callable[[int], None] | None = None) -> Tensor:
        """Embed normalised images (B, 3, S, S): (B, C, S / 16, S / 16)."""
        x = self.patch_embed(images) + self.pos_embed  # (B, h, w, D)
        hints = self.adaptor_patch_embed_tune(x) + self.hfp_patch_embed_tune(
            self.hfp_overlap_patch_embed(high_pass(images))
        )
        pairs = zip(self.blocks, self.adaptor_blocks, strict=True)
        for number, (block, adaptor) in enumerate(pairs, start=1):
            if before_block is not None:
                before_block(number)
            x = x + self._hint(adaptor(hints))
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        x = x + self._hint(self.adaptor_final_block(hints))
        embedding: Tensor = self.neck(x.permute(0, 3, 1, 2))
        return embedding

    def _hint(self, reduced: Tensor) -> Tensor:
        up = self.adaptor_shared_up_projection_layer
        return linear(reduced, up.weight, up.bias)


def _make_block(config: ModelConfig, *, everywhere: bool) -> Block:
    side = config.image_size // config.patch_size
    window = 0 if everywhere else config.window_size
    return Block(
        dim=config.embed_dim,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=window,
        input_size=(window or side, window or side),
    )
