"""Whether a model's answers are numbers, and differ: looked at where they were made."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from napari_safire.errors import ModelFailure
from napari_safire.model import SafireModel

_LEAST_SPREAD = 1e-6  # of logits, relative to the largest: what is below is rounding


def extremes(values: torch.Tensor) -> torch.Tensor:
    """Least and largest value, where they are: NaN where any is, in one pass and without a mask."""
    return torch.stack(torch.aminmax(values)).float()


def require_finite(values: Iterable[torch.Tensor], model: SafireModel, stage: str) -> None:
    """Refuse numbers of a model that are not finite.

    Comparisons with NaN are false without a word: masks would be empty, and a picture calm.

    Parameters
    ----------
    values : iterable of tensor
    model : SafireModel
        That gave them.
    stage : str
        What it was doing, for the sentence: "reading the picture's traces".

    Raises
    ------
    ModelFailure
    """
    found = [extremes(some).cpu() for some in values]
    if not found or bool(torch.isfinite(torch.stack(found)).all()):
        return
    device = model.device
    name = str(model.metadata.get("name", "the model"))
    told = f" (SHA-256 {model.checkpoint_sha256[:12]}…)" if model.checkpoint_sha256 else ""
    half = (
        " Half precision may also be too small for it: use float32."
        if torch.is_autocast_enabled(device.type)
        else ""
    )
    raise ModelFailure(
        f"The model gave numbers that are not finite while {stage}. The file of {name}{told} is "
        f"damaged, or the device {device} fails: get the file again, or use another device.{half}"
    )


class Spread:
    """How far the answers to prompts differ from each other; fed by several threads.

    A logit map that is the same for every prompt comes from weights that were lost, never from a
    picture: prompts at different places differ at least in their last digits.
    """

    def __init__(self) -> None:
        self._extremes: list[tuple[torch.Tensor, torch.Tensor]] = []

    def add(self, logits: torch.Tensor) -> None:
        """Take the (P, h, w) logits of some prompts, where they are: nothing waits for them."""
        self._extremes.append((logits.amin(dim=0), logits.amax(dim=0)))

    @property
    def none(self) -> bool:
        """Whether all prompts had the same answer."""
        low = torch.stack([low.cpu() for low, _ in self._extremes]).amin(dim=0)
        high = torch.stack([high.cpu() for _, high in self._extremes]).amax(dim=0)
        largest = max(1.0, float(high.abs().max()), float(low.abs().max()))
        return bool((high - low).max() <= _LEAST_SPREAD * largest)
