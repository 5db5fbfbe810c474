"""Whether a loaded model computes what it did when it was saved: known input, known output.

The digest of a file says that its weights are whole. This says that they are used as they were: the
same layers, in the same order, by arithmetic that is right on this machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from napari_safire.model.safire import SafireModel

_RECIPE = 1  # number of the input; a file with another one is not tested
_TOLERANCE = 1e-3  # of the largest value, and of 1
_MOST_VALUES = 64  # of each kind
_LARGEST_FRAME = 256  # pixels a side that are encoded within a second on two cores
_HEIGHT, _WIDTH = 64, 96  # of the input where the model takes any size
_POINTS = ((20.0, 12.0), (70.0, 50.0))


def self_test_of(model: SafireModel) -> dict[str, Any]:
    """Ask a model for its answer to the known input.

    Parameters
    ----------
    model : SafireModel
        On the CPU, in evaluation mode, float32.

    Returns
    -------
    dict
        Values for JSON. Of a ViT with a frame of more than 256 pixels only the decoder is asked:
        its encoder would take many seconds. Empty where the answer is not finite.
    """
    answer = {name: _few(values) for name, values in _answers(model).items()}
    if not all(math.isfinite(value) for values in answer.values() for value in values):
        return {}
    return {"recipe": _RECIPE, **answer}


def check_self_test(model: SafireModel, expected: Any) -> str | None:
    """Compare a model's answer with the expected one.

    Parameters
    ----------
    model : SafireModel
        As in `self_test_of`.
    expected : object
        What `self_test_of` gave.

    Returns
    -------
    str or None
        What is wrong, without a full stop; None if nothing is, or if nothing is expected.
    """
    if expected == {}:
        return None
    if not isinstance(expected, Mapping):
        return "its self-test makes no sense"
    if expected.get("recipe") != _RECIPE:
        return None
    answers = _answers(model)
    if expected.keys() != {"recipe", *answers}:
        return "its self-test makes no sense"
    for name, values in answers.items():
        wanted, found = expected[name], _few(values)
        if not _are_numbers(wanted) or len(wanted) != len(found):
            return "its self-test makes no sense"
        allowed = _TOLERANCE * max(1.0, *(abs(value) for value in wanted))
        difference = max(abs(a - b) for a, b in zip(wanted, found, strict=True))
        if not difference <= allowed:  # NaN is in no order
            return (
                f"it does not compute what it did when it was saved: its {name} differ by "
                f"{difference:.2g}, where {allowed:.2g} is allowed"
            )
    return None


def _answers(model: SafireModel) -> dict[str, torch.Tensor]:
    config = model.config
    answers = {}
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        if config.native_resolution or config.image_size <= _LARGEST_FRAME:
            side = (config.image_size, config.image_size)
            rows, cols = (_HEIGHT, _WIDTH) if config.native_resolution else side
            features = model.encode(_pattern(3, rows, cols) * 255)
            answers["features"] = features
        else:
            features = 2 * _pattern(config.prompt_dim, _HEIGHT // 16, _WIDTH // 16) - 1
        logits, confidence = model.decode(features, _POINTS)
        return {**answers, "logits": logits, "confidence": confidence}


def _pattern(channels: int, rows: int, cols: int) -> torch.Tensor:
    """(1, channels, rows, cols) values in [0, 1) that are the same on every machine."""
    count = torch.arange(channels * rows * cols, dtype=torch.int64)
    mixed = (count * 2654435761) % 2**32
    return (((mixed ^ (mixed >> 15)) % 1009).float() / 1009).reshape(1, channels, rows, cols)


def _few(values: torch.Tensor) -> list[float]:
    flat = values.float().flatten()
    step = max(1, len(flat) // _MOST_VALUES)
    return [float(f"{value:.7g}") for value in flat[::step][:_MOST_VALUES].tolist()]


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) in (int, float) for value in values)
