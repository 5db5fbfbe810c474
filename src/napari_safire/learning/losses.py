"""The losses of the two training stages.

From Kwon et al., "SAFIRE", AAAI 2025: `region_contrast` (stage 1), `area_adaptive_loss` and
`confidence_loss` (stage 2). `compactness` is our own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -1


def region_contrast(features: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """Region-to-region contrastive loss (paper section "R2R"), for any number of regions.

    For a feature *q* of region *A* the positive logit is the mean similarity to the other features
    of *A*, the negatives are all features of the other regions of the same image:
    ``-log(e^p / (e^p + sum_n e^n))``. The mean over a region counts once, however large it is.

    Parameters
    ----------
    features : (B, N, C) tensor
        N patches of each of B images; normalised here.
    labels : (B, N) int tensor
        Region of each patch, `IGNORE` for patches to leave out.
    temperature : float

    Returns
    -------
    () tensor
        Sum over the regions of an image, mean over the images that have two or more regions with
        at least two patches each; 0 if there is none.
    """
    features = F.normalize(features.float(), dim=-1)
    logits = features @ features.transpose(1, 2) / temperature  # (B, N, N)
    labels = _drop_single_patches(labels)
    valid = labels != IGNORE
    same = (labels[:, :, None] == labels[:, None, :]) & valid[:, None, :] & valid[:, :, None]
    other = ~same & valid[:, None, :] & valid[:, :, None]
    itself = torch.eye(labels.shape[1], dtype=torch.bool, device=labels.device)
    positives = same & ~itself
    count = positives.sum(-1)
    positive = (logits * positives).sum(-1) / count.clamp(min=1)  # (B, N)
    negative = logits.masked_fill(~other, -torch.inf).logsumexp(-1)
    counted = valid & other.any(-1) & (count > 0)
    # Patches without a partner get a finite dummy so that no NaN enters the gradient.
    negative = torch.where(counted, negative, torch.zeros_like(negative))
    per_patch = F.softplus(negative - positive)
    weights = _one_per_region(labels, counted)
    images = counted.any(-1).sum()
    return (per_patch * weights).sum() / images.clamp(min=1)


def compactness(features: Tensor, labels: Tensor) -> Tensor:
    """Mean cosine distance of patches to the mean direction of their image, for one-source images.

    Contrast is silent about pictures with a single source; without this term their features may
    drift with content, and an authentic picture looks like several sources. Not in the paper.

    Parameters
    ----------
    features : (B, N, C) tensor
    labels : (B, N) int tensor
        Region of each patch, `IGNORE` for patches to leave out.

    Returns
    -------
    () tensor
        Mean over the patches of all such images; 0 if no image of the batch has exactly one region.
    """
    valid = labels != IGNORE
    largest = labels.amax(-1, keepdim=True)
    # Ignored patches may hold the edge of a region too small to have patches of its own.
    single = valid.any(-1) & ((labels == largest) | ~valid).all(-1)
    patches = F.normalize(features.float(), dim=-1)
    counted = (valid & single[:, None])[..., None].float()  # to ask for any would wait for them
    centre = F.normalize((patches * counted).sum(1, keepdim=True), dim=-1)
    distances = (1 - (patches * centre).sum(-1, keepdim=True)) * counted
    return distances.sum() / counted.sum().clamp(min=1)


def area_adaptive_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Area-adaptive source segmentation loss (paper, section of that name).

    Cross-entropy in which the inside and the outside of a region weigh the same, however small the
    region is: with P pixels inside and N outside (each taken as at least one) the weights are
    ``(P + N) / 2P`` and ``(P + N) / 2N``. The weighted sum is divided by the number of pixels of
    the whole batch that are not ignored.

    Parameters
    ----------
    logits, targets : (M, ..., H, W) tensors
        Targets 1 inside, 0 outside, `IGNORE` elsewhere.

    Returns
    -------
    () tensor
        0 if every pixel is ignored.
    """
    losses = F.binary_cross_entropy_with_logits(logits, targets.clamp(min=0), reduction="none")
    inside = (targets == 1).flatten(1).float()  # (M, pixels)
    outside = (targets == 0).flatten(1).float()
    n_inside = inside.sum(1, keepdim=True).clamp(min=1)
    n_outside = outside.sum(1, keepdim=True).clamp(min=1)
    weights = (inside / n_inside + outside / n_outside) * (n_inside + n_outside) / 2
    n_valid = (inside + outside).sum().clamp(min=1)
    return (losses.flatten(1) * weights).sum() / n_valid


def pixel_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """Share of pixels on the right side of zero, without ignored ones.

    Parameters
    ----------
    logits, targets : (N, ..., H, W) tensors
        Targets 1 inside, 0 outside, `IGNORE` elsewhere.

    Returns
    -------
    (N,) tensor
    """
    valid = targets != IGNORE
    right = ((logits > 0) == (targets > 0.5)) & valid
    return right.flatten(1).sum(1) / valid.flatten(1).sum(1).clamp(min=1)


def confidence_loss(confidence: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of the predicted pixel accuracy (paper, "confidence loss").

    Parameters
    ----------
    confidence : (N,) tensor
    logits, targets : (N, ..., H, W) tensors
        As in `pixel_accuracy`; they get no gradient from here.

    Returns
    -------
    () tensor
    """
    return F.mse_loss(confidence.float(), pixel_accuracy(logits, targets))


def _drop_single_patches(labels: Tensor) -> Tensor:
    """Set regions of one patch to `IGNORE`: they have no positive pair."""
    same = labels[:, :, None] == labels[:, None, :]
    return torch.where(same.sum(-1) < 2, torch.full_like(labels, IGNORE), labels)


def _one_per_region(labels: Tensor, counted: Tensor) -> Tensor:
    """Weights that sum to one over each region of each image."""
    same = (labels[:, :, None] == labels[:, None, :]) & counted[:, None, :]
    return counted / same.sum(-1).clamp(min=1)
