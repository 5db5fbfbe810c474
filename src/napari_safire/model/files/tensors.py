"""Bytes of a model file as tensors, and whether their values can be weights."""

from __future__ import annotations

import hashlib
import mmap
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from napari_safire.errors import CheckpointError
from napari_safire.text import printable

SHOWN = 3  # of many names, in a sentence
_SHOWN_CHARACTERS = 80  # of each
_MOST_TENSORS = 5_000  # the largest published model has about 900
MOST_AXES = 8
_WEIGHT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
_LARGEST = torch.finfo(torch.float32).max  # what the model computes with


class Damage(ValueError):
    """Bytes are not what their format says; the text says what, without a full stop."""


@dataclass(frozen=True, slots=True)
class MappedFile:
    """A file in memory: pages of the disk, read when they are looked at.

    Parameters
    ----------
    data : memoryview
        All of it. Nothing is written back.
    sha256 : str
        Of exactly these bytes.
    """

    data: memoryview
    sha256: str


def mapped_file(path: Path) -> MappedFile:
    """Map a file.

    Raises
    ------
    CheckpointError
        There is none, it is empty, no plain file (a pipe would be waited for without end), or
        cannot be read.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise CheckpointError(f"{path} is a directory: give a model file.")
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path} is a pipe or a device: give a model file.")
        if not status.st_size:
            raise CheckpointError(f"{path} is empty: download or copy it again.")
        with open(path, "rb") as stream:
            # Private pages: tensors want memory that may be written.
            data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no model file {path}: check the name.") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a null character in the name, or a file that became empty
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    return MappedFile(data, hashlib.sha256(data).hexdigest())


def tensor_of(data: memoryview, dtype: torch.dtype, shape: Collection[int]) -> Tensor:
    """Bytes as a tensor; the same memory where it is aligned.

    Raises
    ------
    Damage
        There are more or fewer bytes than the shape needs.
    """
    if len(shape) > MOST_AXES:
        raise Damage(f"a tensor has {len(shape)} axes")
    if prod(shape) * dtype.itemsize != len(data):
        raise Damage("a tensor has another size than its shape")
    if not len(data):
        return torch.empty(tuple(shape), dtype=dtype)
    raw = torch.frombuffer(data, dtype=torch.uint8)
    if raw.data_ptr() % dtype.itemsize:
        raw = raw.clone()
    return raw.view(dtype).reshape(tuple(shape))


def check_weights(tensors: Mapping[str, Tensor], path: Path) -> frozenset[str]:
    """Refuse what cannot be weights: too many, odd kinds, values that are not finite.

    Parameters
    ----------
    tensors : mapping of str to Tensor
    path : Path
        Of their file, for the sentence.

    Returns
    -------
    frozenset of str
        Names of tensors that hold zeros only; whether they may depends on the model.

    Raises
    ------
    CheckpointError
    """
    if len(tensors) > _MOST_TENSORS:
        raise CheckpointError(
            f"{path} holds another model: it has {len(tensors)} tensors, but no model that is "
            f"known has more than {_MOST_TENSORS}."
        )
    odd = [name for name, tensor in tensors.items() if tensor.dtype not in _WEIGHT_TYPES]
    if odd:
        raise CheckpointError(
            f"{path} holds another model: {len(odd)} of its tensors ({listed(odd)}) hold "
            f"{tensors[odd[0]].dtype}, but weights are float16, bfloat16, float32 or float64."
        )
    zeros, infinite = set(), []
    for name, tensor in tensors.items():
        if not tensor.numel():
            continue
        low, high = (float(value) for value in torch.aminmax(tensor))
        if not -_LARGEST <= low <= high <= _LARGEST:  # NaN is in no order
            infinite.append(name)
        elif low == high == 0:
            zeros.add(name)
    if infinite:
        raise CheckpointError(
            f"{path} is damaged: {len(infinite)} of its tensors ({listed(infinite)}) hold values "
            "that are not finite; get the file again, or save an earlier state of the training."
        )
    return frozenset(zeros)


def listed(names: list[str]) -> str:
    """Name the first few, for a sentence; names in a file may be anything."""
    shown = [printable(name[: _SHOWN_CHARACTERS + 1]) for name in names[:SHOWN]]
    shown = [n if len(n) <= _SHOWN_CHARACTERS else n[:_SHOWN_CHARACTERS] + "..." for n in shown]
    more = ", ..." if len(names) > SHOWN else ""
    return ", ".join(shown) + more
