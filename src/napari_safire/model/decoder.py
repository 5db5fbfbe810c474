"""From prompts to masks: SAM's decoder for B images x P prompts in one pass.

The parameters are those of SAM's own ``PromptEncoder`` and ``MaskDecoder`` modules, and the result
is theirs (up to rounding). Only the order of the arithmetic differs:

One image per prompt is not needed at first.
    SAM copies the image embedding for every prompt. In the first layer of the two-way transformer
    those copies are still equal, so the tokens of all P prompts attend to *one* set of N patches.
    The patches differ between prompts only after they have attended to the tokens: (B P, N, C).
    From there on a CPU takes the patches of a few prompts at a time (a chunk), so that they stay in
    its cache, and the tokens, whose weights are larger than they are, of several chunks together.

Few tokens are projected instead of many patches.
    ``q . (W_k c) = (W_k^T q) . c``: with T tokens and h heads, T h vectors taken through the
    projection's transpose replace N patches taken through the projection (T h = 28 or 56 against
    N = 3,072 or 4,096). The same holds for values, ``sum_n a_n (W_v c_n) = W_v (sum_n a_n c_n)``,
    and for the output projection when patches attend to tokens.

Only one of the four masks is used.
    SAFIRE has single masks: mask token 0. The other tokens take part in the attention, but in the
    last step only the two tokens that are read attend, and three hypernetworks are not run.

Upscaling is two matrix products.
    A transposed convolution whose kernel equals its stride does not overlap: each patch becomes
    2 x 2 values by a linear map of its own channels. With channels last, both steps are products
    with (C_in, 2 * 2 * C_out) matrices, SAM's ``LayerNorm2d`` is a plain layer norm over the last
    axis, and the patches need to be put in their places only once, when one channel is left.

The position of a patch or a prompt is relative to the frame, (16 h, 16 w), of the embedding at
hand, so any h and w will do; for the published square frame this is the published encoding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_safire.model.linear import Activation, linear

_STRIDE = 16
_CONFIDENCE_TOKEN, _MASK_TOKEN, _N_READ = 0, 1, 2
# Bytes of the largest array, the upscaled patches, that a CPU makes at once: its cache holds them;
# and the chunks whose tokens it takes together. Measured in docs/lab-notes.md.
_CHUNK_BYTES, _CHUNKS = 2 * 2**20, 8


def decode_prompts(
    prompt_encoder: Any,
    mask_decoder: Any,
    feats: Tensor,
    points_xy: Tensor,
    prompt_projection: nn.Module | None = None,
    corners: bool = False,
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
    corners : bool
        Only the corners of each patch's 4 x 4 places, in a quarter of the second upscaling's time.

    Returns
    -------
    logits : (B, P, 4 h, 4 w) float32 tensor
        Positive inside the region. With ``corners``: (B, P, 2 h, 2 w), rows and columns 0 and 3 of
        each patch.
    confidence : (B, P) float32 tensor
        Predicted pixel accuracy.
    """
    n_images, _, height, width = feats.shape
    n_prompts = points_xy.shape[1]
    # Sines of large arguments: positions stay float32 under autocast.
    with torch.autocast(feats.device.type, enabled=False):
        patch_position = prompt_encoder.pe_layer((height, width)).flatten(1).T  # (N, C)
        tokens = _prompt_tokens(prompt_encoder, mask_decoder, feats, points_xy, prompt_projection)
    patches = feats.flatten(2).transpose(1, 2) + prompt_encoder.no_mask_embed.weight  # (B, N, C)

    first, *others = mask_decoder.transformer.layers
    queries = _update_tokens(first, tokens, tokens, [patches], patch_position)
    chunk = _chunk(n_images * n_prompts, feats)
    found = []
    for images, prompts in _pieces(n_images, n_prompts, chunk):
        some, position = queries[images, prompts], tokens[images, prompts]
        own = _update_patches(first, some, position, [patches[images]], patch_position, chunk)
        # From here on every prompt has its own patches: it is a group of its own.
        some, position = some.flatten(0, 1)[:, None], position.flatten(0, 1)[:, None]
        for layer in others:
            some = _update_tokens(layer, some, position, own, patch_position)
            own = _update_patches(layer, some, position, own, patch_position, chunk)
        read = _read_patches(mask_decoder.transformer, some, position, own, patch_position)
        found.append(_predictions(mask_decoder, read, own, (height, width), corners))
    logits, confidence = (torch.cat(parts) for parts in zip(*found, strict=True))
    return (
        logits.view(n_images, n_prompts, *logits.shape[1:]),
        confidence.view(n_images, n_prompts),
    )


def _predictions(
    mask_decoder: Any, read: Tensor, own: list[Tensor], shape: tuple[int, int], corners: bool
) -> tuple[Tensor, Tensor]:
    """Logits and confidences of prompts from their tokens and their chunks of patches."""
    mask_weights = mask_decoder.output_hypernetworks_mlps[0](read[:, _MASK_TOKEN])
    sizes = [len(patches) for patches in own]
    masks = [
        _upscale(mask_decoder.output_upscaling, *each, *shape, corners)
        for each in zip(own, mask_weights.split(sizes), strict=True)
    ]
    confidence = mask_decoder.iou_prediction_head(read[:, _CONFIDENCE_TOKEN])[:, 0]
    return torch.cat(masks).float(), confidence.float()


def upscaled_bytes(n_channels: int, n_patches: int) -> int:
    """Bytes of one prompt's largest float32 array: 16 places a patch with C / 8 channels."""
    return 4 * n_patches * 16 * n_channels // 8


def _chunk(n_prompts: int, feats: Tensor) -> int:
    """Prompts whose patches are taken at once: all, but on a CPU what its cache holds."""
    if feats.device.type != "cpu" or torch.is_grad_enabled():
        return max(1, n_prompts)
    return max(1, _CHUNK_BYTES // upscaled_bytes(*feats[0].flatten(1).shape))


def _pieces(n_images: int, n_prompts: int, chunk: int) -> Iterator[tuple[slice, slice]]:
    """Yield images and prompts to take at once: all in one chunk, or some chunks of an image."""
    if n_images * n_prompts <= chunk:
        yield slice(n_images), slice(n_prompts)
        return
    at_once = chunk * _CHUNKS
    for image in range(n_images):
        for begin in range(0, n_prompts, at_once):
            yield slice(image, image + 1), slice(begin, begin + at_once)


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


def _update_tokens(
    layer: Any, tokens: Tensor, position: Tensor, patches: list[Tensor], patch_position: Tensor
) -> Tensor:
    """First half of a layer: tokens attend to each other and to the patches.

    Parameters
    ----------
    layer : nn.Module
        SAM's ``TwoWayAttentionBlock``.
    tokens, position : (G, P, T, C) tensors
        Of P prompts that share their patches; SAM takes the tokens as they came for their position.
    patches : list of (g, N, C) tensors
        Of all groups, a chunk of g groups each.
    patch_position : (N, C) tensor

    Returns
    -------
    (G, P, T, C) tensor
    """
    queries, places = tokens.flatten(0, 1), position.flatten(0, 1)
    if layer.skip_first_layer_pe:
        queries = layer.norm1(layer.self_attn(q=queries, k=queries, v=queries))
    else:
        moved = queries + places
        queries = layer.norm1(queries + layer.self_attn(q=moved, k=moved, v=queries))
    asked = (queries + places).view_as(tokens).flatten(1, 2)  # (G, P T, C)
    attended = _tokens_to_patches(layer.cross_attn_token_to_image, asked, patches, patch_position)
    queries = layer.norm2(queries + attended.view_as(queries))
    return layer.norm3(queries + layer.mlp(queries)).view_as(tokens)


def _update_patches(
    layer: Any,
    tokens: Tensor,
    position: Tensor,
    patches: list[Tensor],
    patch_position: Tensor,
    chunk: int,
) -> list[Tensor]:
    """Second half: patches attend to the tokens of each prompt apart.

    As above; gives the G P prompts' own patches in chunks: (at most ``chunk``, N, C) tensors.
    """
    attention = layer.cross_attn_image_to_token
    weights, values = _ask_tokens(attention, patches, patch_position, tokens + position, tokens)
    weights, values = weights.split(chunk), values.split(chunk)
    if len(patches) == 1:
        patches = patches * len(weights)  # one image's, for each chunk of its prompts
    each = zip(patches, weights, values, strict=True)
    return [layer.norm4(_added(*some)) for some in each]


def _read_patches(
    transformer: Any,
    tokens: Tensor,
    position: Tensor,
    patches: list[Tensor],
    patch_position: Tensor,
) -> Tensor:
    """Let the tokens that are read, (M, 1, T, C), attend to M prompts' own patches: (M, 2, C)."""
    queries = tokens[:, 0, :_N_READ]
    asked = queries + position[:, 0, :_N_READ]
    attention = transformer.final_attn_token_to_image
    attended = _tokens_to_patches(attention, asked, patches, patch_position)
    return transformer.norm_final_attn(queries + attended)


def _tokens_to_patches(
    attention: Any, tokens: Tensor, patches: list[Tensor], patch_position: Tensor
) -> Tensor:
    """Tokens (G, Q, C) attend to the patches of their group: (G, Q, C)."""
    groups, n_queries, _ = tokens.shape
    n_heads = attention.num_heads
    query = attention.q_proj(tokens).unflatten(-1, (n_heads, -1))  # (G, Q, h, d)
    # q . (W_k c + b_k) = (W_k^T q) . c + const, and a constant does not change a softmax.
    seen = _per_head(query, attention.k_proj.weight) / math.sqrt(query.shape[-1])
    mixed = []
    for rows, some in zip(seen.flatten(1, 2).split(len(patches[0])), patches, strict=True):
        weights = _product(rows, some + patch_position).softmax(dim=-1)  # (g, Q h, N)
        mixed.append(_product(weights, some.transpose(1, 2)))  # (g, Q h, C)
    # Weights sum to one: values may be projected after they were mixed.
    values = torch.cat(mixed).view(groups, n_queries, n_heads, patches[0].shape[-1])
    weight = attention.v_proj.weight.unflatten(0, (n_heads, -1))  # (h, d, C)
    values = torch.einsum("gqhc,hdc->gqhd", values, weight).flatten(-2) + attention.v_proj.bias
    return attention.out_proj(values)


def _ask_tokens(
    attention: Any,
    patches: list[Tensor],
    patch_position: Tensor,
    token_keys: Tensor,
    token_values: Tensor,
) -> tuple[Tensor, Tensor]:
    """Say how patches attend to each prompt's tokens (G, P, T, C).

    Returns
    -------
    weights : (G P, N, T h) tensor
    values : (G P, T h, C) tensor
        Their product is what is added to the patches.
    """
    n_tokens, n_heads = token_keys.shape[2], attention.num_heads
    key = attention.k_proj(token_keys).unflatten(-1, (n_heads, -1))  # (G, P, T, h, d)
    key = key / math.sqrt(key.shape[-1])
    seen = _per_head(key, attention.q_proj.weight).flatten(1, 3)  # (G, P T h, C)
    bias = attention.q_proj.bias.view(n_heads, -1)
    offset = (key * bias).sum(-1).flatten(1)[..., None]  # (G, P T h, 1)
    size = len(patches[0])
    found = []
    for rows, more, some in zip(seen.split(size), offset.split(size), patches, strict=True):
        scores = _product(rows, some + patch_position).add_(more)  # (g, P T h, N)
        # Softmax over the few tokens with the many patches last: one pass over contiguous memory.
        scores = scores.view(-1, n_tokens, n_heads, scores.shape[-1])
        found.append(scores.softmax(dim=1).flatten(1, 2))  # (g P, T h, N)
    weights = found[0] if len(found) == 1 else torch.cat(found)
    value = attention.v_proj(token_values).unflatten(-1, (n_heads, -1))  # (G, P, T, h, d)
    out_weight = attention.out_proj.weight.unflatten(-1, (n_heads, -1))  # (C, h, d)
    # The weights of each head sum to one: a bias shared among the heads arrives whole.
    value = torch.einsum("gpthd,chd->gpthc", value, out_weight) + attention.out_proj.bias / n_heads
    return weights.transpose(1, 2), value.flatten(0, 1).flatten(1, 2)


def _added(patches: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    """Add weights (M, N, K) times values (M, K, C) to patches of one prompt or one image each."""
    if len(weights) == 1:  # two thirds of the time that a batch of one takes
        return torch.addmm(patches[0], weights[0], values[0])[None]
    if len(patches) not in (1, len(weights)):
        patches = patches.repeat_interleave(len(weights) // len(patches), dim=0)
    return torch.baddbmm(patches, weights, values)


def _product(rows: Tensor, patches: Tensor) -> Tensor:
    """(G, Q, C) with (G, N, C): (G, Q, N), all pairs within a group."""
    if rows.device.type == "cpu" and not torch.is_grad_enabled():
        if len(rows) == 1:
            return linear(rows[0], patches[0])[None]
        return torch.stack([linear(*group) for group in zip(rows, patches, strict=True)])
    return rows @ patches.transpose(1, 2)


def _per_head(projected: Tensor, weight: Tensor) -> Tensor:
    """Take (..., h, d) vectors back through a projection's (h d, C) weight: (..., h, C)."""
    weight = weight.unflatten(0, (projected.shape[-2], -1))  # (h, d, C)
    return torch.einsum("...hd,hdc->...hc", projected, weight)


def _upscale(
    upscaling: Any, patches: Tensor, mask_weights: Tensor, height: int, width: int, corners: bool
) -> Tensor:
    """Patches (M, h w, C) and one weight vector (M, C / 8) a mask to logits (M, 4 h, 4 w).

    With ``corners`` (M, 2 h, 2 w): the outer one of the four places that each of the first
    doubling's places becomes.
    """
    first, norm, first_activation, second, _gelu = upscaling
    x = _double(first, patches)  # (M, N, 4, C / 4)
    x = first_activation(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
    if corners:
        places = [
            # (M, N, C / 8), times the weights (M, 1, N)
            _product(mask_weights[:, None], linear(x[:, :, i], kernel, second.bias, "gelu"))
            for i, kernel in enumerate(second.weight.permute(2, 3, 1, 0).flatten(0, 1))
        ]
        masks = torch.cat(places, dim=1).view(-1, 2, 2, height, width).permute(0, 3, 1, 4, 2)
        return masks.reshape(-1, 2 * height, 2 * width)
    x = _double(second, x, "gelu")  # (M, N, 4, 4, C / 8)
    # The row vector comes first: ten times faster under autograd than a column vector last.
    masks = _product(mask_weights[:, None], x.flatten(1, 3))  # (M, 1, 16 N)
    # (h, w), then the row and column of the first doubling, then those of the second
    masks = masks.reshape(-1, height, width, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4, 6)
    return masks.reshape(-1, 4 * height, 4 * width)


def _double(convolution: Any, x: Tensor, activation: Activation = "none") -> Tensor:
    """A 2 x 2 transposed convolution of stride 2 on (..., C_in): (..., 2 * 2, C_out)."""
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * C_out, C_in)
    out = linear(x, weight, convolution.bias.repeat(4), activation)
    return out.unflatten(-1, (4, -1))
