"""napari-safire's own format: a safetensors file whose digest vouches for all that it holds.

Its string metadata are ``format`` ("napari-safire/2"), ``config`` (a `ModelConfig` as JSON),
``metadata`` (JSON), ``self_test`` (JSON, see `napari_safire.model.files.self_test`) and ``digest``:
SHA-256 of the four and of every tensor's name, type, shape and bytes. Files of the first format
("napari-safire/1") have ``config`` and ``metadata`` only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from napari_safire.errors import CheckpointError
from napari_safire.model.config import ModelConfig
from napari_safire.model.files.strict_json import parse_json
from napari_safire.model.files.tensors import Damage, tensor_of
from napari_safire.text import printable

FORMAT, FIRST_FORMAT = "napari-safire/2", "napari-safire/1"
_SIGNED = ("format", "config", "metadata", "self_test")
_FIELDS = {FORMAT: {*_SIGNED, "digest"}, FIRST_FORMAT: {"format", "config", "metadata"}}
_MOST_HEADER = 1 << 23  # bytes; of the largest model 150 thousand
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_TEXTS = ("name", "licence", "trained_on", "description")  # of the metadata, shown to people


@dataclass(frozen=True, slots=True)
class OwnFile:
    """What a file of our own holds; the tensors are pages of it."""

    tensors: dict[str, Tensor]
    config: ModelConfig
    metadata: dict[str, Any]
    self_test: Any
    has_digest: bool


def own_file_bytes(
    tensors: Mapping[str, Tensor],
    config: ModelConfig,
    metadata: Mapping[str, Any],
    self_test: Mapping[str, Any],
) -> bytes:
    """Everything that a file is made of.

    Raises
    ------
    TypeError
        The metadata cannot be written as JSON.
    """
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
        parse_json(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"The metadata cannot be written as JSON: {error}.") from error
    header = {
        "format": FORMAT,
        "config": json.dumps(config.to_dict()),
        "metadata": text,
        "self_test": json.dumps(dict(self_test), allow_nan=False),
    }
    header["digest"] = _digest(header, tensors)
    return save(dict(tensors), metadata=header)


def read_own_file(data: memoryview, path: Path) -> OwnFile:
    """Read a file of our own and compare its digest.

    Raises
    ------
    Damage
        It is no safetensors file, or not what was written.
    CheckpointError
        It is another program's.
    """
    header, tensors = _read_safetensors(data)
    about = header.get("format", "")
    if about not in _FIELDS:
        raise CheckpointError(
            f"{path} is a safetensors file of another program or a newer version (its format is "
            f"{about!r:.40}): give a file that save_checkpoint wrote."
        )
    if header.keys() != _FIELDS[about]:
        raise Damage("its header has lost or gained a field")
    if about == FORMAT and header["digest"] != _digest(header, tensors):
        raise Damage("its weights or what it says of them have changed since it was written")
    try:
        config = ModelConfig.from_dict(parse_json(header["config"]))
        metadata = _checked_metadata(parse_json(header["metadata"]))
        self_test = parse_json(header.get("self_test", "{}"))
    except (ValueError, TypeError) as error:
        raise Damage(f"in its header, {str(error).rstrip('.')}") from error
    return OwnFile(tensors, config, metadata, self_test, about == FORMAT)


def _checked_metadata(metadata: Any) -> dict[str, Any]:
    if not isinstance(metadata, dict):
        raise ValueError("the metadata are no JSON object")
    for name in _TEXTS:
        if not isinstance(metadata.get(name), (str, type(None))):
            raise ValueError(f"{name} is {metadata[name]!r:.40}, but must be text")
    return metadata


def _digest(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    about = [[name, str(t.dtype), list(t.shape)] for name, t in sorted(tensors.items())]
    signed = {name: header[name] for name in _SIGNED}
    digest = hashlib.sha256(json.dumps([signed, about], sort_keys=True).encode())
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()}"


def _read_safetensors(data: memoryview) -> tuple[dict[str, str], dict[str, Tensor]]:
    """String metadata and tensors of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not length <= min(_MOST_HEADER, len(data) - 8):
        raise Damage("it is cut short, or no safetensors file")
    try:
        header = parse_json(bytes(data[8 : 8 + length]))
    except ValueError as error:  # no JSON, or no UTF-8
        raise Damage("its header makes no sense") from error
    if not isinstance(header, dict):
        raise Damage("its header makes no sense")
    strings = header.pop("__metadata__", {})
    if not isinstance(strings, dict) or any(type(text) is not str for text in strings.values()):
        raise Damage("its header makes no sense")
    content, tensors, places = data[8 + length :], {}, []
    for name, about in header.items():
        dtype, shape, begin, end = _described(name, about)
        if not begin <= end <= len(content):
            raise Damage("it is cut short")
        places.append((begin, end))
        tensors[name] = tensor_of(content[begin:end], dtype, shape)
    reached = 0
    for begin, end in sorted(places):
        if begin != reached:
            raise Damage("its tensors lie in each other, or apart")
        reached = end
    if reached != len(content):
        raise Damage("it holds more than its header says")
    return strings, tensors


def _described(name: str, about: Any) -> tuple[torch.dtype, list[int], int, int]:
    try:
        kind, shape, (begin, end) = about["dtype"], about["shape"], about["data_offsets"]
        plain = type(shape) is list and all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        dtype = _TYPES[kind]
    except (TypeError, ValueError, KeyError) as error:
        raise Damage(f"the description of {printable(name):.60} makes no sense") from error
    if not plain or len(about) != 3:
        raise Damage(f"the description of {printable(name):.60} makes no sense")
    return dtype, shape, begin, end
