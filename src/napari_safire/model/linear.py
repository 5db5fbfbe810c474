"""Matrix products by oneDNN, where that is faster than what PyTorch takes by itself.

For float32 on a CPU `torch.nn.functional.linear` calls MKL, which on processors that are not
Intel's reaches half to two thirds of the rate of oneDNN, the library that PyTorch carries for
convolutions. TorchInductor reaches oneDNN by ``torch.ops.mkldnn._linear_pointwise``, which also
applies an activation while the result is still in the cache; so do we. The operator is not part of
PyTorch's public interface: where it is missing, or gives something else, the public one is taken.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Activation = Literal["none", "gelu", "relu"]
_ACTIVATIONS = {"none": lambda x: x, "gelu": F.gelu, "relu": F.relu}


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: Activation = "none"
) -> Tensor:
    """``activation(x @ weight.T + bias)``.

    Parameters
    ----------
    x : (..., C) tensor
    weight : (D, C) tensor
    bias : (D,) tensor, optional
    activation : {"none", "gelu", "relu"}

    Returns
    -------
    (..., D) tensor
        Differentiable; in the precision of an enclosing autocast.
    """
    if takes_onednn(x, weight, bias):
        return _onednn(x, weight, bias, activation)
    return _ACTIVATIONS[activation](F.linear(x, weight, bias))


def takes_onednn(x: Tensor, *others: Tensor | None) -> bool:
    """Whether `linear` calls oneDNN for these: float32 on a CPU, and no gradient is wanted."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.numel() == 0:
        return False
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return False
    if torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (x, *others)
    ):
        return False  # the operator has no gradient
    return _onednn_works()


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    algorithm = "none" if activation == "gelu" else ""  # "none": the error function, as F.gelu
    if not (weight.is_contiguous() or weight.T.is_contiguous()):
        weight = weight.contiguous()  # other strides take a path that is a hundred times slower
    x = x.contiguous()
    product: Any = torch.ops.mkldnn._linear_pointwise
    result: Tensor = product(x, weight, bias, activation, [], algorithm)
    return result


@cache
def _onednn_works() -> bool:
    """Whether the operator is there and computes what it should."""
    with torch.inference_mode(False), torch.no_grad():
        x = torch.linspace(-2, 2, 12).view(3, 4)
        weight, bias = torch.linspace(1, -1, 20).view(5, 4), torch.linspace(-1, 1, 5)
        try:
            found = [_onednn(x, weight, bias, name) for name in _ACTIVATIONS]
        except (AttributeError, RuntimeError, TypeError):
            return False
        wanted = [act(F.linear(x, weight, bias)) for act in _ACTIVATIONS.values()]
        return all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, wanted, strict=True))
