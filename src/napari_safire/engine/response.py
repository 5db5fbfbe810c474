"""Whether a model responds at all: damage must not look like a picture without traces."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from napari_safire.engine.partitioning.clustering import directions
from napari_safire.engine.uninformative import READABLE
from napari_safire.errors import ModelFailure
from napari_safire.model import SafireModel
from napari_safire.types import Embedding, FloatImage

SAME_EVERYWHERE = (
    "The model gives the same features all over the picture: it does not respond to the picture. "
    "Get the model's file again, or choose another model."
)
SAME_FOR_ALL = (
    "The model answers every prompt alike: it does not respond to prompts in this picture. Get the "
    "model's file again, or choose another model."
)
NOTHING_FOUND = (
    "Fewer than two prompts found a region: there is nothing to compare. Ask a finer grid, or "
    "choose another model."
)
_DIGITS = 4  # of a direction's components: what differs less is rounding
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


def same_everywhere(features: FloatImage, among: npt.NDArray[np.bool_] | None = None) -> bool:
    """Whether all features point the same way, as of a model whose weights are zero.

    Parameters
    ----------
    features : (N, C) float32 array
        Of any length.
    among : (N,) bool array, optional
        Those that count, such as the readable ones.

    Returns
    -------
    bool
        False for fewer than two features: nothing is known of these.
    """
    some = features if among is None else features[among]
    if len(some) < 2:
        return False
    units = directions(some)
    return bool((units.round(_DIGITS) == units[0].round(_DIGITS)).all())


def silence_of(embedding: Embedding) -> str:
    """Why an embedding says nothing of its picture, in sentences; empty if it does.

    Cells that cannot be read are left out: those of a filled background look alike to every model.
    """
    features = embedding.features.reshape(len(embedding.features), -1).T
    reasons = embedding.unreadable
    readable = None if reasons is None else (reasons == READABLE).ravel()
    return SAME_EVERYWHERE if same_everywhere(features, readable) else ""


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
