"""The published algorithm, written plainly with the modules of segment-anything.

The baseline of every ratio in `benchmarks/README.md` and the oracle of the tests that compare our
arithmetic with SAM's own. Nothing is saved here, as in the published code: SAM's attention with
whole maps of relative positions; all 256 prompts in one pass of the unmodified decoder, with all of
its four masks; full-size float masks of all prompts at once; and what SAM's automatic mask
generator, on which the published predictor is built, does with them: stability scores, boxes, a
sigmoid, and masks packed as run lengths and unpacked again.

Written from the paper (Kwon et al., AAAI 2025, arXiv 2412.08197), SAM's public modules and a look
at which steps the published predictor takes, in which order; none of its code is here.
"""

from __future__ import annotations

import importlib

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from napari_safire.model import SafireModel
from napari_safire.model.sam_modules import modeling
from napari_safire.model.vit import SafireViT, high_pass

# Beside the modules, and without torchvision as they are.
amg = importlib.import_module(".utils.amg", modeling.__name__.rpartition(".")[0])

PROMPTS_AT_ONCE = 256  # the default of the published scripts


def encode(model: SafireModel, pixels: Tensor) -> Tensor:
    """Embed (1, 3, S, S) pixels, 0 .. 255, by SAM's own blocks: (1, C, S/16, S/16)."""
    vit = model.image_encoder
    assert isinstance(vit, SafireViT)
    images = (pixels - model.pixel_mean) / model.pixel_std
    x = vit.patch_embed(images) + vit.pos_embed
    detail = vit.hfp_patch_embed_tune(vit.hfp_overlap_patch_embed(high_pass(images)))
    hints = vit.adaptor_patch_embed_tune(x) + detail
    for block, adaptor in zip(vit.blocks, vit.adaptor_blocks, strict=True):
        x = x + vit.adaptor_shared_up_projection_layer(adaptor(hints))
        x = modeling.image_encoder.Block.forward(block, x)
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


def full_size(logits: Tensor) -> Tensor:
    """(P, S/4, S/4) logits to (P, S, S)."""
    side = 4 * logits.shape[-1]
    return F.interpolate(logits[:, None], (side, side), mode="bilinear")[:, 0]


def generator_records(full: Tensor) -> Tensor:
    """SAM's mask generator on (P, S, S) logits: gives the (P, S, S) bool masks after packing."""
    amg.calculate_stability_score(full, mask_threshold=0.0, threshold_offset=1.0)
    masks = full > 0
    full.sigmoid()
    amg.batched_mask_to_box(masks)
    packed = amg.mask_to_rle_pytorch(masks)
    return torch.stack([torch.from_numpy(amg.rle_to_mask(one)) for one in packed]).to(full.device)


def divide(
    feats: Tensor, full: Tensor, masks: Tensor, confidence: Tensor, n_sources: int
) -> Tensor:
    """Cluster the prompts by the features inside their masks and let the best ones vote: (S, S)."""
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
    return torch.stack(chosen).softmax(0).argmax(0)
