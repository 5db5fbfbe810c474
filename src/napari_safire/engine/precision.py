"""Approximate modes: half of the bits where a processor is faster with them, off by default."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

Precision = Literal["float32", "bf16", "fp16"]
_X86 = ("x86_64", "AMD64")
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse a precision that is none, or that the device has no use for.

    Raises
    ------
    ValueError
    """
    if precision not in get_args(Precision):
        raise ValueError(
            f"Unknown precision {precision!r}: use one of {', '.join(get_args(Precision))}."
        )
    if precision == "fp16" and device.type == "cpu":
        raise ValueError(
            'Precision "fp16" is for GPUs, but the model is on the CPU: use "bf16" or "float32".'
        )


def slow_precision(precision: str, device: torch.device) -> str | None:
    """Say that a processor has no arithmetic of its own for a precision, which then costs time.

    Without AVX-512 PyTorch's bfloat16 convolutions are plain loops: a training step of safire-lite
    took 10 s instead of 1.3 s (docs/lab-notes.md).

    Returns
    -------
    str or None
        One sentence, or None where there is nothing to say.
    """
    if precision != "bf16" or device.type != "cpu" or platform.machine() not in _X86:
        return None
    if torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return None
    return (
        "This processor has no bfloat16 arithmetic: precision bf16 will be several times slower "
        "here than float32."
    )


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Products and convolutions on the device in this precision, as PyTorch's autocast has it.

    A job that goes on elsewhere because memory ran out does so in float32; so do those that follow
    in fp16, of which a CPU is slow.
    """
    if precision == "float32" or (precision == "fp16" and device.type == "cpu"):
        return nullcontext()
    return torch.autocast(device.type, _TYPES[precision])
