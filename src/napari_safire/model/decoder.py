"""From prompts to masks: SAM's decoder for B images x P prompts in one pass.

The parameters are those of SAM's own ``PromptEncoder`` and ``MaskDecoder`` modules, and the result
is theirs (up to rounding). Only the order of the arithmetic differs:

One image per prompt is not needed at first.
    SAM copies the image embedding for every prompt. In the first layer of the two-way transformer
    those copies are still equal, so the tokens of all P prompts attend to *one* set of N cells.
    The cells differ between prompts only after they have attended to the tokens: (B P, N, C).

Few tokens are projected instead of many cells.
    ``q . (W_k c) = (W_k^T q) . c``: with T tokens and h heads, T h vectors taken through the
    projection's transpose replace N cells taken through the projection (T h = 28 or 56 against
    N = 3,072 or 4,096). The same holds for values, ``sum_n a_n (W_v c_n) = W_v (sum_n a_n c_n)``,
    and for the output projection when cells attend to tokens. The position is added by linearity,
    ``s . (c + p) = s . c + s . p``, and never to a copy of the cells.

Only one of the four masks is used.
    SAFIRE has single masks: mask token 0. The other tokens take part in the attention, but their
    hypernetworks are not run.

Upscaling is two matrix products.
    A transposed convolution whose kernel equals its stride does not overlap: each cell becomes
    2 x 2 cells by a linear map of its own channels. With channels last, both steps are products
    with (C_in, 2 * 2 * C_out) matrices, SAM's ``LayerNorm2d`` is a plain layer norm over the last
    axis, and the cells need to be put in their places only once, when one channel is left.

The position of a cell or a prompt is relative to the frame, (16 h, 16 w), of the embedding at hand,
so any h and w will do; for the published square frame this is the published encoding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STRIDE = 16
_N_OUTPUT_TOKENS_BEFORE_MASKS = 1  # the confidence token comes first, then the mask tokens


def decode_prompts(
    prompt_encoder: Any,
    mask_decoder: Any,
    feats: Tensor,
    points_xy: Tensor,
    prompt_projection: nn.Module | None = None,
) -> tuple[Tensor, Tensor]:
    """Predict the source region of every prompt.

    Parameters
    ----------
    prompt_encoder, mask_decoder : nn.Module
        SAM's ``PromptEncoder`` and ``MaskDecoder``, whose parameters are used.
    feats : (B, C, h, w) tensor
        Embeddings of B images.
    points_xy : (B, P, 2) float32 tensor
        P positive points for each image, in model pixels (x, y); on the device of ``feats``.
    prompt_projection : nn.Module, optional
        Maps the embedding at the point to an addition to the point token.

    Returns
    -------
    logits : (B, P, 4 h, 4 w) float32 tensor
        Positive inside the region.
    confidence : (B, P) float32 tensor
        Predicted pixel accuracy.
    """
    n_images, _, height, width = feats.shape
    n_prompts = points_xy.shape[1]
    # Sines of large arguments: positions stay float32 under autocast.
    with torch.autocast(feats.device.type, enabled=False):
        cell_position = prompt_encoder.pe_layer((height, width)).flatten(1).T  # (N, C)
        tokens = _prompt_tokens(prompt_encoder, mask_decoder, feats, points_xy, prompt_projection)
    cells = feats.flatten(2).transpose(1, 2) + prompt_encoder.no_mask_embed.weight  # (B, N, C)

    tokens, cells = _two_way_transformer(mask_decoder.transformer, tokens, cells, cell_position)

    confidence_token, mask_token = tokens[:, 0], tokens[:, _N_OUTPUT_TOKENS_BEFORE_MASKS]
    mask_weights = mask_decoder.output_hypernetworks_mlps[0](mask_token)  # (B P, C / 8)
    confidence = mask_decoder.iou_prediction_head(confidence_token)[:, 0]
    logits = _upscale(mask_decoder.output_upscaling, cells, mask_weights, height, width)
    return (
        logits.float().reshape(n_images, n_prompts, 4 * height, 4 * width),
        confidence.float().reshape(n_images, n_prompts),
    )


def _prompt_tokens(
    prompt_encoder: Any,
    mask_decoder: Any,
    feats: Tensor,
    points_xy: Tensor,
    prompt_projection: nn.Module | None,
) -> Tensor:
    """Output tokens, one positive point and SAM's padding point of each prompt: (B, P, T, C)."""
    height, width = feats.shape[-2:]
    frame_shape = (_STRIDE * height, _STRIDE * width)
    centres = points_xy + 0.5  # SAM counts from the pixel's corner
    point = prompt_encoder.pe_layer.forward_with_coords(centres, frame_shape)
    point = point + prompt_encoder.point_embeddings[1].weight  # 1: a positive point
    if prompt_projection is not None:
        point = point + prompt_projection(_sample(feats.float(), centres))
    shared = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight])
    padding = prompt_encoder.not_a_point_embed.weight
    around = point.shape[:2]  # (B, P)
    return torch.cat(
        [
            shared.expand(*around, -1, -1),
            point[:, :, None],
            padding.expand(*around, -1, -1),
        ],
        dim=2,
    )


def _sample(feats: Tensor, corners_xy: Tensor) -> Tensor:
    """Embedding (B, P, C) at points (B, P, 2) counted from the frame's corner, bilinear."""
    height, width = feats.shape[-2:]
    frame = corners_xy.new_tensor([_STRIDE * width, _STRIDE * height])
    where = (2 * corners_xy / frame - 1)[:, None]  # (B, 1, P, 2), -1 .. 1 from edge to edge
    sampled = F.grid_sample(
        feats, where, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[:, :, 0].transpose(1, 2)


def _two_way_transformer(
    transformer: Any, tokens: Tensor, cells: Tensor, cell_position: Tensor
) -> tuple[Tensor, Tensor]:
    """Let tokens (B, P, T, C) and cells (B, N, C) attend to each other.

    Returns
    -------
    tokens : (B P, T, C) tensor
    cells : (B P, N, C) tensor
    """
    n_images, n_prompts, n_tokens, n_channels = tokens.shape
    token_position = tokens.reshape(-1, n_tokens, n_channels)  # SAM's: the tokens as they came
    queries = token_position
    for number, layer in enumerate(transformer.layers):
        if layer.skip_first_layer_pe:
            queries = layer.norm1(layer.self_attn(q=queries, k=queries, v=queries))
        else:
            placed = queries + token_position
            queries = layer.norm1(queries + layer.self_attn(q=placed, k=placed, v=queries))

        # At first the prompts of an image share its cells, later each has its own.
        group = (n_images, n_prompts) if number == 0 else (n_images * n_prompts, 1)
        attended = _tokens_to_cells(
            layer.cross_attn_token_to_image,
            (queries + token_position).reshape(group[0], group[1] * n_tokens, n_channels),
            cells,
            cell_position,
        )
        queries = layer.norm2(queries + attended.reshape(queries.shape))

        queries = layer.norm3(queries + layer.mlp(queries))

        attended = _cells_to_tokens(
            layer.cross_attn_image_to_token,
            cells,
            cell_position,
            (queries + token_position).reshape(*group, n_tokens, n_channels),
            queries.reshape(*group, n_tokens, n_channels),
        )
        cells = layer.norm4(cells[:, None] + attended).flatten(0, 1)

    attended = _tokens_to_cells(
        transformer.final_attn_token_to_image, queries + token_position, cells, cell_position
    )
    return transformer.norm_final_attn(queries + attended), cells


def _tokens_to_cells(
    attention: Any, tokens: Tensor, cells: Tensor, cell_position: Tensor
) -> Tensor:
    """Tokens (G, Q, C) attend to the cells (G, N, C) of their group: (G, Q, C)."""
    groups, n_queries, _ = tokens.shape
    n_heads = attention.num_heads
    query = attention.q_proj(tokens).unflatten(-1, (n_heads, -1))  # (G, Q, h, d)
    # q . (W_k c + b_k) = (W_k^T q) . c + const, and a constant does not change a softmax.
    seen = _per_head(query, attention.k_proj.weight) / math.sqrt(query.shape[-1])
    seen = seen.flatten(1, 2)  # (G, Q h, C)
    scores = torch.baddbmm(seen @ cell_position.T, seen, cells.transpose(1, 2))
    mixed = scores.softmax(dim=-1) @ cells  # (G, Q h, C)
    # Weights sum to one: values may be projected after they were mixed.
    mixed = mixed.view(groups, n_queries, n_heads, cells.shape[-1])
    weight = attention.v_proj.weight.unflatten(0, (n_heads, -1))  # (h, d, C)
    values = torch.einsum("gqhc,hdc->gqhd", mixed, weight).flatten(-2) + attention.v_proj.bias
    return attention.out_proj(values)


def _cells_to_tokens(
    attention: Any, cells: Tensor, cell_position: Tensor, token_keys: Tensor, token_values: Tensor
) -> Tensor:
    """Cells (G, N, C) attend to the tokens (G, P, T, C) of each prompt apart: (G, P, N, C)."""
    groups, n_prompts, n_tokens, _ = token_keys.shape
    n_heads = attention.num_heads
    key = attention.k_proj(token_keys).unflatten(-1, (n_heads, -1))  # (G, P, T, h, d)
    key = key / math.sqrt(key.shape[-1])
    seen = _per_head(key, attention.q_proj.weight).flatten(1, 3)  # (G, P T h, C)
    bias = attention.q_proj.bias.view(n_heads, -1)
    offset = (key * bias).sum(-1).flatten(1)[..., None]  # (G, P T h, 1)
    placed = seen @ cell_position.T + offset
    scores = torch.baddbmm(placed, seen, cells.transpose(1, 2))  # (G, P T h, N)
    # Softmax over the few tokens with the many cells last: one pass over contiguous memory.
    scores = scores.view(groups, n_prompts, n_tokens, n_heads, cells.shape[1])
    weights = scores.softmax(dim=2)
    value = attention.v_proj(token_values).unflatten(-1, (n_heads, -1))  # (G, P, T, h, d)
    out_weight = attention.out_proj.weight.unflatten(-1, (n_heads, -1))  # (C, h, d)
    # The weights of each head sum to one: a bias shared among the heads arrives whole.
    value = torch.einsum("gpthd,chd->gpthc", value, out_weight) + attention.out_proj.bias / n_heads
    return weights.flatten(2, 3).transpose(2, 3) @ value.flatten(2, 3)  # (G, P, N, C)


def _per_head(projected: Tensor, weight: Tensor) -> Tensor:
    """Take (..., h, d) vectors back through a projection's (h d, C) weight: (..., h, C)."""
    weight = weight.unflatten(0, (projected.shape[-2], -1))  # (h, d, C)
    return torch.einsum("...hd,hdc->...hc", projected, weight)


def _upscale(
    upscaling: Any, cells: Tensor, mask_weights: Tensor, height: int, width: int
) -> Tensor:
    """Cells (M, h w, C) and one weight vector (M, C / 8) a mask to logits (M, 4 h, 4 w)."""
    first, norm, first_activation, second, second_activation = upscaling
    x = _double(first, cells)  # (M, N, 4, C / 4)
    x = F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)
    x = second_activation(_double(second, first_activation(x)))  # (M, N, 4, 4, C / 8)
    # The row vector comes first: ten times faster under autograd than a column vector last.
    masks = mask_weights[:, None] @ x.flatten(1, 3).transpose(1, 2)  # (M, 1, 16 N)
    # (h, w), then the row and column of the first doubling, then those of the second
    masks = masks.reshape(-1, height, width, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4, 6)
    return masks.reshape(-1, 4 * height, 4 * width)


def _double(convolution: Any, x: Tensor) -> Tensor:
    """A 2 x 2 transposed convolution of stride 2 on (..., C_in): (..., 2 * 2, C_out)."""
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * C_out, C_in)
    return F.linear(x, weight, convolution.bias.repeat(4)).unflatten(-1, (4, -1))
