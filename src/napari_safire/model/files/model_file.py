"""What lies in a model file: tensors, sizes, metadata; read without running code, written whole.

The layouts are described in `napari_safire.model.files.checkpoint`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from napari_safire.atomic import atomic_path
from napari_safire.errors import CheckpointError, SafireError
from napari_safire.model.config import ModelConfig
from napari_safire.model.files.own_file import read_own_file
from napari_safire.model.files.tensors import Damage, check_weights, listed, mapped_file
from napari_safire.model.files.torch_file import Foreign, StoredTensor, read_torch_file
from napari_safire.text import printable

_LATEST_EPOCH = 10**9


@dataclass(frozen=True, slots=True)
class Contents:
    """What a model file holds; the tensors may still be pages of the file.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Plain, finite, of kinds that weights have.
    config : ModelConfig or None
    metadata : dict
    sha256 : str
        Of the file.
    zeros : frozenset of str
        Names of tensors that hold zeros only.
    self_test : object
        See `napari_safire.model.files.self_test`; an empty dict where the file has none.
    has_checksums : bool
        Whether damage would have been noticed.
    """

    tensors: dict[str, Tensor]
    config: ModelConfig | None
    metadata: dict[str, Any]
    sha256: str
    zeros: frozenset[str]
    self_test: Any
    has_checksums: bool


def read_tensors(path: str | PathLike[str]) -> tuple[Mapping[str, Tensor], str]:
    """Read the weights of any file that `load_checkpoint` may be given, without a model for them.

    Returns
    -------
    tensors : mapping of str to Tensor
        On the CPU, mapped from the disk.
    sha256 : str
        Of the file.

    Raises
    ------
    CheckpointError
        As `load_checkpoint`.
    """
    contents = read_contents(Path(path))
    return contents.tensors, contents.sha256


def read_contents(path: Path, check_hash: Callable[[str], None] | None = None) -> Contents:
    """Read any of the known layouts; refuse everything else with one sentence.

    ``check_hash`` is called with the SHA-256 of the file before anything of it is read.
    """
    file = mapped_file(path)
    if check_hash is not None:
        check_hash(file.sha256)
    start = bytes(file.data[:9])
    # A safetensors file starts with the length of its JSON header and that header.
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return _read_own(path, file.data, file.sha256)
    if start.startswith(b"PK\x03\x04"):
        return _read_torch(path, file.data, file.sha256)
    if start.startswith(b"\x80"):
        raise CheckpointError(
            f"{path} is a bare pickle, which may hold code and has no checksums; it was not run: "
            "save the weights again with torch.save of PyTorch 1.6 or newer."
        )
    raise CheckpointError(
        f"{path} is not a model file: give a .safetensors file of napari-safire or a published "
        ".pth file."
    )


def _read_own(path: Path, data: memoryview, sha256: str) -> Contents:
    try:
        found = read_own_file(data, path)
    except Damage as error:
        raise _damaged(path, error) from error
    return Contents(
        found.tensors,
        found.config,
        found.metadata,
        sha256,
        check_weights(found.tensors, path),
        found.self_test,
        found.has_digest,
    )


def _read_torch(path: Path, data: memoryview, sha256: str) -> Contents:
    try:
        file = read_torch_file(data)
        payload = file.payload
        state = payload.get("model", payload) if isinstance(payload, dict) else None
        if not isinstance(state, dict) or not state:
            raise CheckpointError(
                f"{path} holds no weights: expected a mapping of names to tensors, alone or under "
                "'model'."
            )
        tensors = file.tensors(_described(state, path))
    except Damage as error:
        raise _damaged(path, error) from error
    except Foreign as error:
        raise CheckpointError(
            f"{path} holds Python code or objects beside tensors ({printable(error):.80}), which "
            "was not run: ask for the weights alone."
        ) from error
    metadata: dict[str, Any] = {"name": path.stem}
    epoch = payload.get("epoch")
    if type(epoch) is int and 0 <= epoch < _LATEST_EPOCH:
        metadata["epoch"] = epoch
    zeros = check_weights(tensors, path)
    return Contents(tensors, None, metadata, sha256, zeros, {}, has_checksums=True)


def _described(state: Mapping[Any, Any], path: Path) -> dict[str, StoredTensor]:
    named = [(str(key).removeprefix("module."), value) for key, value in state.items()]
    wrong = [name for name, value in named if not isinstance(value, StoredTensor)]
    if wrong:
        raise CheckpointError(
            f"{path} holds another model: {len(wrong)} of its values ({listed(wrong)}) are no "
            "plain tensors."
        )
    found = dict(named)
    if len(found) != len(named):
        raise CheckpointError(f"{path} holds another model: it names some weights twice.")
    return found


def _damaged(path: Path, error: Damage) -> CheckpointError:
    return CheckpointError(f"{path} is damaged: {error}; download or copy it again.")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the block succeeds."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except (SafireError, OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise CheckpointError(f"{path} cannot be written: {reason}.") from error
