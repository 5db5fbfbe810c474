"""The segmentation loss of the second stage."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from napari_safire.learning.losses import IGNORE


def area_adaptive_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in which the inside and the outside of a region weigh the same.

    Parameters
    ----------
    logits, targets : (N, H, W) tensors
        Targets 1 inside, 0 outside, `IGNORE` elsewhere.

    Returns
    -------
    () tensor
    """
    losses = F.binary_cross_entropy_with_logits(logits, targets.clamp(min=0), reduction="none")
    inside = (targets == 1).float()
    outside = (targets == 0).float()
    sides = [
        (losses * side).flatten(1).sum(1) / side.flatten(1).sum(1).clamp(min=1)
        for side in (inside, outside)
    ]
    return (0.5 * (sides[0] + sides[1])).mean()


assert IGNORE == -1
