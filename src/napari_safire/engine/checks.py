"""What an engine refuses before it asks its model."""

from __future__ import annotations

import numbers
from collections.abc import Iterable

import numpy as np

from napari_safire.engine.asked_grid import points_in_model
from napari_safire.types import Embedding, PointPrompt, SourcePartition

Prompts = Iterable[PointPrompt | tuple[float, float]]


def check_embedding(embedding: Embedding, checkpoint_sha256: str) -> None:
    """Refuse what is no embedding of this model, or damaged.

    Raises
    ------
    TypeError, ValueError
    """
    if not isinstance(embedding, Embedding):
        raise TypeError(
            f"An Embedding is needed, not {type(embedding).__name__}: call embed() first."
        )
    if embedding.checkpoint_sha256 != checkpoint_sha256:
        raise ValueError(
            "The embedding was made by another model: embed the picture again with this one."
        )
    if not np.isfinite(embedding.features).all():
        raise ValueError(
            "The embedding holds numbers that are not finite: embed the picture again."
        )


def checked_prompts(embedding: Embedding, prompts: Prompts) -> list[PointPrompt]:
    """Prompts as values; refuses those that are none, or lie outside the picture.

    Raises
    ------
    ValueError
    """
    if not isinstance(prompts, Iterable):
        raise TypeError(f"Prompts are (row, col) pairs in a list, not {prompts!r}.")
    points = [_as_prompt(prompt) for prompt in prompts]
    points_in_model(embedding, points)
    return points


def check_partition(
    embedding: Embedding, partition: SourcePartition, units: str, repeats: int
) -> None:
    """Refuse to repeat what was not made of this embedding, and in these units.

    Raises
    ------
    ValueError
    """
    if not isinstance(partition, SourcePartition):
        raise TypeError(
            f"A SourcePartition is needed, not {type(partition).__name__}: call partition() first."
        )
    if not isinstance(repeats, numbers.Integral) or repeats < 1:
        raise ValueError(f"repeats is {repeats}, but must be a whole number of at least 1.")
    if partition.labels.shape != embedding.image_shape:
        raise ValueError(
            f"The partition is of a picture of {partition.labels.shape} pixels, the embedding "
            f"of one of {embedding.image_shape}: give the embedding it was made of."
        )
    if partition.parameters.get("units") != units:
        raise ValueError(
            "The partition was made by another model: partition the picture again with this one."
        )


def _as_prompt(prompt: PointPrompt | tuple[float, float]) -> PointPrompt:
    if isinstance(prompt, PointPrompt):
        return prompt
    try:
        values = np.asarray(prompt, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (2,):
        raise ValueError(f"A prompt is one (row, col) pair, not {prompt!r}.")
    return PointPrompt(float(values[0]), float(values[1]))
