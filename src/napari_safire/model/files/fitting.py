"""Whether the weights of a file are those of a model."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from napari_safire.errors import CheckpointError
from napari_safire.model.config import ModelConfig
from napari_safire.model.files.model_file import Contents
from napari_safire.model.files.sizes import infer_config
from napari_safire.model.files.tensors import SHOWN, listed
from napari_safire.model.safire import SafireModel
from napari_safire.text import printable

_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.", "prompt_projection.")
# What multiplies what it is given. (Biases, means, positions may be zero.)
_NEVER_ZERO = re.compile(r"(\.weight|_kernels|\.running_var|_gaussian_matrix)$")
# What starts as zero, or is never asked: SAM's prompts of other kinds.
_ZERO_AT_FIRST = re.compile(
    r"^prompt_projection\.|^image_encoder\.blocks\.[0-9]+\.(proj|reduce)\."
    r"|^prompt_encoder\.(mask_downscaling|no_mask_embed|point_embeddings|not_a_point_embed)\."
    r"|^mask_decoder\.output_hypernetworks_mlps\.[123]\."
)
# Fields that neither shape the weights nor change what they compute at a given frame.
_FREE_FIELDS = {"max_cells", "prompt_from_embedding"}


def is_encoder_only(
    tensors: Collection[str], path: Path, encoder_keys: Collection[str] = ("pos_embed",)
) -> bool:
    """Whether the keys are relative to an encoder, of which ``encoder_keys`` names some."""
    if any(key.startswith(_PARTS) for key in tensors):
        return False
    if any(key in encoder_keys for key in tensors):
        return True
    raise CheckpointError(
        f"{path} holds another model: none of its {len(tensors)} keys "
        f"({listed(sorted(tensors))}) belongs to SAFIRE."
    )


def fitting_model(contents: Contents, config: ModelConfig | None, path: Path) -> SafireModel:
    """The model that the file is made for, without its weights, once they are known to fit."""
    sizes = config or contents.config or infer_config(contents.tensors, path)
    model = outline(sizes, path)
    check_fit(contents.tensors, model.state_dict(), path)
    _check_is_alive(contents, path)
    return model


def outline(config: ModelConfig, path: Path) -> SafireModel:
    """A model without memory for its weights, however many a file asks for."""
    try:
        with torch.device("meta"), _Unfilled():
            return SafireModel(config)
    except (RuntimeError, AssertionError, TypeError, ValueError, OverflowError) as error:
        reason = printable(error)[:120].rstrip(".")
        raise CheckpointError(f"{path} asks for a model that cannot be built: {reason}.") from error


class _Unfilled(TorchFunctionMode):
    """Leaves fresh weights without numbers, of which the meta device keeps none anyway.

    To draw or to scale them there, PyTorch would import all of its compiler, or sympy: up to more
    than a second of every start.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        asked = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else asked["tensor"]
        if func is torch.randn:
            return torch.empty(*args, **asked)
        if func is torch.Tensor.mul and isinstance(args[1], float):
            return args[0]
        return func(*args, **asked)


def _check_is_alive(contents: Contents, path: Path) -> None:
    """Refuse layers of nothing but zeros, which answer the same whatever they are asked."""
    dead = sorted(
        name
        for name in contents.zeros
        if _NEVER_ZERO.search(name) and not _ZERO_AT_FIRST.search(name)
    )
    if dead:
        raise CheckpointError(
            f"{path} is damaged: {len(dead)} of its layers ({listed(dead)}) hold zeros only, so it "
            "would find nothing in any picture; get the file again."
        )


def check_fit(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Refuse unless both have the same keys, shapes and kinds of numbers."""
    missing = [key for key in wanted if key not in given]
    unexpected = [key for key in given if key not in wanted]
    misshaped = [
        f"{key:.80} {tuple(given[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    mistyped = [
        f"{key} {given[key].dtype} instead of {wanted[key].dtype}"
        for key in wanted
        if key in given and given[key].is_floating_point() != wanted[key].is_floating_point()
    ]
    faults = [
        f"{len(keys)} {what} ({listed(keys)})"
        for keys, what in (
            (missing, "missing"),
            (unexpected, "unexpected"),
            (misshaped, "of another shape"),
            (mistyped, "of another type"),
        )
        if keys
    ]
    if faults:
        raise CheckpointError(
            f"{path} does not fit the model: of its keys {', '.join(faults)}; give the config that "
            "it was made with, or another file."
        )


def check_same_arithmetic(given: ModelConfig, wanted: ModelConfig, path: Path) -> None:
    """Refuse configs that differ where shapes do not show it, as in the number of heads."""
    differ = [
        field.name
        for field in fields(ModelConfig)
        if field.name not in _FREE_FIELDS
        and getattr(given, field.name) != getattr(wanted, field.name)
    ]
    if differ:
        told = ", ".join(
            f"{name} {getattr(given, name)!r} instead of {getattr(wanted, name)!r}"
            for name in differ[:SHOWN]
        )
        raise CheckpointError(f"{path} does not fit the model: its config has {told}.")


def further_blocks(given: ModelConfig, wanted: ModelConfig) -> tuple[int, ...]:
    """Numbers of the blocks that a lite model has beyond those of a shallower one."""
    if {given.architecture, wanted.architecture} != {"lite"}:
        return ()
    return tuple(range(given.depth, wanted.depth))
