"""The published algorithm, written plainly with the modules of segment-anything.

The baseline of every ratio in `benchmarks/README.md` and the oracle of the tests that compare our
arithmetic with SAM's own. Nothing is saved here, as in the published code: SAM's attention with
whole maps of relative positions, every prompt through the unmodified decoder with all of its four
masks, full-size float masks of all prompts at once. Written from the paper (Kwon et al., AAAI 2025,
arXiv 2412.08197) and SAM's public modules; what the published code does on a GPU runs here on the
device of the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from napari_safire.model import SafireModel
from napari_safire.model.vit import SafireViT, high_pass

PROMPTS_AT_ONCE = 64  # as in SAM's automatic mask generator


@dataclass(frozen=True, eq=False)
class PlainPartition:
    """What the baseline finds in one square picture.

    Parameters
    ----------
    labels : (S, S) int tensor
    masks : (P, S, S) bool tensor
        Of all prompts of the grid.
    logits : (P, S/4, S/4) float32 tensor
    """

    labels: Tensor
    masks: Tensor
    logits: Tensor


def encode(model: SafireModel, pixels: Tensor) -> Tensor:
    """Embed (1, 3, S, S) pixels, 0 .. 255, by SAM's own blocks: (1, C, S/16, S/16)."""
    vit = model.image_encoder
    assert isinstance(vit, SafireViT)
    images = (pixels - model.pixel_mean) / model.pixel_std
    x = vit.patch_embed(images) + vit.pos_embed
    detail = vit.hfp_patch_embed_tune(vit.hfp_overlap_patch_embed(high_pass(images)))
    hints = vit.adaptor_patch_embed_tune(x) + detail
    for block, adaptor in zip(vit.blocks, vit.adaptor_blocks, strict=True):
        x = block(x + vit.adaptor_shared_up_projection_layer(adaptor(hints)))
    x = x + vit.adaptor_shared_up_projection_layer(vit.adaptor_final_block(hints))
    return vit.neck(x.permute(0, 3, 1, 2))


def decode(model: SafireModel, feats: Tensor, points_xy: Tensor) -> tuple[Tensor, Tensor]:
    """Ask (P, 2) points of one image (1, C, h, w) by SAM's own forward methods.

    Returns
    -------
    logits : (P, 4 h, 4 w) tensor
    confidence : (P,) tensor
    """
    height, width = feats.shape[-2:]
    prompts = model.prompt_encoder
    prompts.image_embedding_size = (height, width)
    prompts.input_image_size = (16 * height, 16 * width)
    ones = torch.ones(len(points_xy), 1, device=feats.device)
    sparse, dense = prompts((points_xy[:, None], ones), None, None)
    masks, quality = model.mask_decoder(
        image_embeddings=feats,
        image_pe=prompts.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    return masks[:, 0], quality[:, 0]


def grid(side: int, points_per_side: int = 16, device: torch.device | None = None) -> Tensor:
    """(P, 2) points, x fastest."""
    steps = (torch.arange(points_per_side, device=device) + 0.5) * (side / points_per_side)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def decode_grid(model: SafireModel, feats: Tensor) -> tuple[Tensor, Tensor]:
    """`decode` for 256 points, `PROMPTS_AT_ONCE` together."""
    side = 16 * feats.shape[-1]
    parts = [
        decode(model, feats, points)
        for points in grid(side, device=feats.device).split(PROMPTS_AT_ONCE)
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def divide(feats: Tensor, logits: Tensor, confidence: Tensor, n_sources: int) -> PlainPartition:
    """Cluster the prompts by the features of their full-size masks and let the best ones vote."""
    side = 4 * logits.shape[-1]
    full = F.interpolate(logits[:, None], (side, side), mode="bilinear")[:, 0]
    masks = full > 0
    sampled = masks[:, ::16, ::16].float()
    sums = torch.einsum("phw,chw->pc", sampled, feats[0])
    features = sums / sampled.sum((1, 2))[:, None]
    valid = torch.isfinite(features).all(1)
    directions = F.normalize(features[valid], dim=1).cpu().numpy()
    found = KMeans(n_clusters=n_sources, n_init=1, random_state=0).fit_predict(directions)
    chosen = []
    for cluster in range(n_sources):
        mine = torch.nonzero(valid)[torch.as_tensor(found == cluster), 0]
        chosen.append(full[mine[confidence[mine].argmax()]])
    labels = torch.stack(chosen).softmax(0).argmax(0)
    return PlainPartition(labels, masks, logits)


def partition(model: SafireModel, pixels: Tensor, n_sources: int = 3) -> PlainPartition:
    """Everything from (1, 3, S, S) pixels to labels."""
    with torch.inference_mode():
        feats = encode(model, pixels)
        logits, confidence = decode_grid(model, feats)
        return divide(feats, logits, confidence, n_sources)
