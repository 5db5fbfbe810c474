"""Whether a model responds at all: damage must not look like a picture without traces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_safire.partitioning.patches import directions
from napari_safire.partitioning.uninformative import INFORMATIVE
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


def same_everywhere(features: FloatImage, among: npt.NDArray[np.bool_] | None = None) -> bool:
    """Whether all features point the same way, as of a model whose weights are zero.

    Parameters
    ----------
    features : (N, C) float32 array
        Of any length.
    among : (N,) bool array, optional
        Those that count, such as the informative ones.

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

    Uninformative patches are left out: those of a filled background look alike to every model.
    """
    features = embedding.features.reshape(len(embedding.features), -1).T
    reasons = embedding.uninformative
    informative = None if reasons is None else (reasons == INFORMATIVE).ravel()
    return SAME_EVERYWHERE if same_everywhere(features, informative) else ""
