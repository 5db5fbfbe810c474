"""SAM's transformer block without maps of all pairs of patches.

SAM adds to the score of query patch *q* and key patch *k* what it learned for their distance, along
rows and along columns apart (decomposed relative positions, MViTv2): ``s(q, k) = q . k / sqrt(d) +
q . R_rows[q_row - k_row] + q . R_cols[q_col - k_col]``. The published code makes the whole map of
each head, 64 MiB at 64 x 64 patches, and walks over it again for each of the two summands and for
the softmax. Here a strip of queries at a time gets its scores, so that they stay in the processor's
cache. The parameters are those of SAM's own ``Block``, and the result is its own up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_safire.model.linear import linear, takes_onednn
from napari_safire.model.sam_modules import modeling

# Bytes of bias made at once. More leaves the processor's cache; measured in docs/lab-notes.md.
_BIAS_BYTES = {"cpu": 8 * 2**20, "cuda": 2**30, "mps": 2**28}
_PATCHES_AT_ONCE = 1024  # through the MLP: what lies between its layers is four times as wide


_SamBlock: Any = modeling.image_encoder.Block


class Block(_SamBlock):
    """SAM's block: patches (B, H, W, D) attend to each other and pass an MLP; the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, D) to (B, H, W, D)."""
        normed = self.norm1(x)
        if self.window_size > 0:
            attended = _attend_in_windows(self.attn, normed, self.window_size)
        else:
            attended = _attend_everywhere(self.attn, normed)
        # In place on what is new: nothing larger than the patches themselves is made.
        x = linear(attended, self.attn.proj.weight, self.attn.proj.bias).add_(x)
        return _mlp(self.mlp, self.norm2(x)).add_(x)


def _mlp(mlp: Any, x: Tensor) -> Tensor:
    patches = x.flatten(0, 2)
    if x.device.type != "cpu":
        patches = _two_layers(mlp, patches)
    else:
        patches = torch.cat([_two_layers(mlp, some) for some in patches.split(_PATCHES_AT_ONCE)])
    return patches.view_as(x)


def _two_layers(mlp: Any, patches: Tensor) -> Tensor:
    hidden = linear(patches, mlp.lin1.weight, mlp.lin1.bias, "gelu")
    return linear(hidden, mlp.lin2.weight, mlp.lin2.bias)


def _attend_everywhere(attention: Any, x: Tensor) -> Tensor:
    """Every patch (B, H, W, D) attends to every other: (B, H, W, D), before the projection."""
    # Apart: blocks of up to 32 MiB are kept by the allocator, the three in one are larger.
    weights, biases = attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3)
    return _attend(attention, *(linear(x, w, b) for w, b in zip(weights, biases, strict=True)))


def _attend_in_windows(attention: Any, x: Tensor, side: int) -> Tensor:
    """Patches (B, H, W, D) attend to those of their window: (B, H, W, D), before the projection.

    Where windows reach over the border SAM fills them with zeros, and their keys and values, which
    are then the biases, take part: they are put in after the projection, which saves it a sixth of
    the patches at 64 x 64.
    """
    if x.device.type != "cpu":
        return _attend_in_rows(attention, x, side)
    # A row of windows at a time: blocks of up to 32 MiB are kept by the allocator.
    return torch.cat([_attend_in_rows(attention, row, side) for row in x.split(side, dim=1)], dim=1)


def _attend_in_rows(attention: Any, x: Tensor, side: int) -> Tensor:
    """Some rows of windows: patches (B, H, W, D) to the same shape."""
    batch, height, width, channels = x.shape
    qkv = linear(x, attention.qkv.weight, attention.qkv.bias)
    tall, wide = height + -height % side, width + -width % side
    if (tall, wide) != (height, width):
        inside = qkv
        qkv = attention.qkv.bias.to(inside.dtype).expand(batch, tall, wide, -1).clone()
        qkv[:, :height, :width] = inside
    grid = (batch, tall // side, side, wide // side, side)
    windows = qkv.view(*grid, -1).transpose(2, 3).flatten(0, 2)
    attended = _attend(attention, *windows.chunk(3, dim=-1))
    attended = attended.view(batch, tall // side, wide // side, side, side, channels)
    attended = attended.transpose(2, 3).reshape(batch, tall, wide, channels)
    return attended[:, :height, :width]


def _attend(attention: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention within each of G groups: three times (G, H, W, D) to (G, H, W, D)."""
    groups, height, width, _ = query.shape
    count, heads = height * width, attention.num_heads
    # From here on (M, ...): one map for each head of each group.
    placed, keys, values = (
        part.unflatten(-1, (heads, -1)).movedim(3, 1).flatten(0, 1) for part in (query, key, value)
    )
    keys, values = keys.flatten(1, 2).contiguous(), values.flatten(1, 2).contiguous()
    rows = torch.einsum("mrcd,rkd->mrck", placed, _relative(attention.rel_pos_h, height))
    cols = torch.einsum("mrcd,ckd->mrck", placed, _relative(attention.rel_pos_w, width))

    def attend(maps: slice, strip: slice) -> Tensor:
        asked = placed[maps, strip].flatten(1, 2)
        of_rows, of_cols = rows[maps, strip, :, :, None], cols[maps, strip, :, None, :]
        if len(asked) == 1 and takes_onednn(asked, keys, values):
            return _attend_once(asked[0], keys[maps][0], values[maps][0], of_rows[0], of_cols[0])
        bias = (of_rows + of_cols).flatten(3).flatten(1, 2)
        return F.scaled_dot_product_attention(
            asked[None], keys[maps][None], values[maps][None], attn_mask=bias[None]
        )[0]

    at_once = _BIAS_BYTES.get(query.device.type, _BIAS_BYTES["cpu"]) // query.element_size()
    strips = _slices(height, at_once // (width * count))
    out = torch.cat(
        [
            torch.cat([attend(maps, strip) for strip in strips], dim=1)
            for maps in _slices(len(keys), at_once // count**2)
        ]
    )
    out = out.view(groups, heads, height, width, -1).movedim(1, 3)
    return out.flatten(3)


def _attend_once(
    query: Tensor, key: Tensor, value: Tensor, of_rows: Tensor, of_cols: Tensor
) -> Tensor:
    """One strip of one map, a fifth faster than PyTorch's fused attention, which calls MKL.

    Parameters
    ----------
    query : (L, d) tensor
    key, value : (N, d) tensors
    of_rows, of_cols : (r, W, H, 1) and (r, W, 1, W) tensors
        The two terms of the bias, r W = L and H W = N.

    Returns
    -------
    (1, L, d) tensor
    """
    scores = linear(query * query.shape[-1] ** -0.5, key)
    scores.view(*of_rows.shape[:3], of_cols.shape[3]).add_(of_rows).add_(of_cols)
    torch.softmax(scores, dim=-1, out=scores)
    return linear(scores, value.T)[None]


def _slices(length: int, at_once: int) -> list[slice]:
    step = max(1, at_once)
    return [slice(begin, min(begin + step, length)) for begin in range(0, length, step)]


def _relative(table: Tensor, length: int) -> Tensor:
    """What was learned for each pair of places along one axis: (length, length, d), query first."""
    if len(table) != 2 * length - 1:
        raise ValueError(
            f"The relative positions are for {(len(table) + 1) // 2} patches a side, but the "
            f"picture has {length}: this model takes its own frame only."
        )
    place = torch.arange(length, device=table.device)
    return table[place[:, None] - place + length - 1]
