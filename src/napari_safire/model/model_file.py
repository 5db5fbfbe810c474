"""What lies in a model file: tensors, sizes, metadata; read without running code, written whole.

The layouts are described in `napari_safire.model.checkpoint`.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from napari_safire.errors import CheckpointError
from napari_safire.model.config import ModelConfig

FORMAT = "napari-safire/1"
SHOWN = 3  # of many names, in a sentence


@dataclass(frozen=True, slots=True)
class Contents:
    """What a model file holds; the tensors may still be pages of the file."""

    tensors: dict[str, Tensor]
    config: ModelConfig | None
    metadata: dict[str, Any]
    sha256: str


def file_sha256(path: str | PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_tensors(path: str | PathLike[str]) -> tuple[Mapping[str, Tensor], str]:
    """Read the weights of any file that `load_checkpoint` may be given, without a model for them.

    Returns
    -------
    tensors : mapping of str to Tensor
        On the CPU; of a torch file mapped from the disk.
    sha256 : str
        Of the file.

    Raises
    ------
    CheckpointError
        As `load_checkpoint`.
    """
    contents = read_contents(Path(path))
    return contents.tensors, contents.sha256


def read_contents(path: Path) -> Contents:
    """Read any of the known layouts; refuse everything else with one sentence."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a directory: give a model file.")
    try:
        with open(path, "rb") as stream:
            start = stream.read(9)
        if not start:
            raise CheckpointError(f"{path} is empty: download or copy it again.")
        sha256 = file_sha256(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no model file {path}: check the name.") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    # A safetensors file starts with the length of its JSON header and that header.
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return _read_own(path, sha256)
    if start.startswith((b"PK\x03\x04", b"\x80")):  # a zip archive or a bare pickle
        return _read_torch(path, sha256, is_zip=start.startswith(b"PK"))
    raise CheckpointError(
        f"{path} is not a model file: give a .safetensors file of napari-safire or a published "
        ".pth file."
    )


def _read_own(path: Path, sha256: str) -> Contents:
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            header = stream.metadata() or {}
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged, cut short, or no safetensors file: download or copy it again."
        ) from error
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file of another program (its format is "
            f"{header.get('format')!r:.40}): give a file that save_checkpoint wrote."
        )
    try:
        config = ModelConfig.from_dict(json.loads(header["config"]))
        metadata = json.loads(header["metadata"])
    except KeyError as error:
        raise CheckpointError(f"{path} has no {error} in its header: save it again.") from error
    except (ValueError, TypeError) as error:
        reason = str(error).rstrip(".")
        raise CheckpointError(f"{path} has a damaged header: {reason}.") from error
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path} has a damaged header: its metadata are no JSON object.")
    return Contents(_checked_tensors(tensors, path), config, metadata, sha256)


def _read_torch(path: Path, sha256: str, *, is_zip: bool) -> Contents:
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        if is_zip and "global" not in str(error).lower():
            raise _damaged_torch(path) from error
        raise CheckpointError(
            f"{path} holds Python code or objects beside tensors, which was not run: ask for the "
            "weights alone."
        ) from error
    except Exception as error:  # a damaged file can fail anywhere inside torch
        raise _damaged_torch(path) from error
    state = payload.get("model", payload) if isinstance(payload, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(
            f"{path} holds no weights: expected a mapping of names to tensors, alone or under "
            "'model'."
        )
    tensors = {str(key).removeprefix("module."): value for key, value in state.items()}
    metadata: dict[str, Any] = {"name": path.stem}
    if isinstance(payload.get("epoch"), int):
        metadata["epoch"] = payload["epoch"]
    return Contents(_checked_tensors(tensors, path), None, metadata, sha256)


def _damaged_torch(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged, cut short, or no PyTorch file of weights: download or copy it again."
    )


def _checked_tensors(tensors: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    wrong = [key for key, value in tensors.items() if not isinstance(value, Tensor)]
    if wrong:
        raise CheckpointError(
            f"{path} holds another model: {len(wrong)} of its values ({listed(wrong)}) are no "
            "tensors."
        )
    return dict(tensors)


def listed(names: list[str]) -> str:
    """Name the first few, for a sentence."""
    more = ", ..." if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the block succeeds."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} cannot be written: {reason}.") from error
    finally:
        temporary.unlink(missing_ok=True)
