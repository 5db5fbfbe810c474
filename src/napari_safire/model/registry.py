"""Models by name: what ships with the package, where it lies, and whether it is intact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from napari_safire.errors import CheckpointError
from napari_safire.model.config import Architecture, ModelConfig

if TYPE_CHECKING:
    import torch

    from napari_safire.model.safire import SafireModel

_WEIGHTS = Path(__file__).parent / "weights"
_SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that ships with the package.

    Parameters
    ----------
    name : str
        What `load_model` takes.
    description : str
        One sentence.
    filename : str
        Name of the file in the package's folder of weights.
    sha256 : str or None
        Hash that the file must have; None where the package lists none.
    licence : str
        Of the weights.
    architecture : {"vit", "lite"}
    """

    name: str
    description: str
    filename: str
    sha256: str | None
    licence: str
    architecture: Architecture


_ENTRIES = (
    ModelEntry(
        name="safire-lite",
        description="Compact encoder of forensic traces at native resolution, for any CPU.",
        filename="safire-lite.safetensors",
        sha256=None,
        licence="BSD-3-Clause",
        architecture="lite",
    ),
)


def available_models() -> tuple[ModelEntry, ...]:
    """The models that `load_model` knows by name.

    Returns
    -------
    tuple of ModelEntry
        With the hashes that the package lists for their files.

    Raises
    ------
    CheckpointError
        The package's list of hashes is damaged.
    """
    sums = _listed_sums()
    return tuple(replace(entry, sha256=sums.get(entry.filename)) for entry in _ENTRIES)


def model_path(name: str) -> Path:
    """Where the file of a model lies.

    Parameters
    ----------
    name : str
        One of `available_models`.

    Raises
    ------
    CheckpointError
        The name is unknown, or the file is not there.
    """
    path = _WEIGHTS / _entry(name).filename
    if not path.is_file():
        raise CheckpointError(
            f"The weights of {name!r} are missing, {path} is not there: install napari-safire "
            "again."
        )
    return path


def verify(name: str) -> str:
    """Check that the file of a model is the one the package was built with.

    Parameters
    ----------
    name : str
        One of `available_models`.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    CheckpointError
        The name is unknown, the file is missing or altered, or the package lists no hash for it.
    """
    from napari_safire.model.checkpoint import file_sha256  # brings torch

    path = model_path(name)
    found = file_sha256(path)
    expected = _entry(name).sha256
    if expected is None:
        raise CheckpointError(f"{_WEIGHTS / _SUMS} lists no hash of {path.name} to compare with.")
    _check_hash(path, found, expected)
    return found


def load_model(
    name_or_path: str | PathLike[str],
    *,
    device: str | torch.device = "auto",
    config: ModelConfig | None = None,
) -> SafireModel:
    """Load a model by its registered name or from a file.

    Parameters
    ----------
    name_or_path : str or path-like
        A name from `available_models`, or a file in napari-safire's own format or in the published
        layout. A registered name wins over a file of the same name.
    device : str or torch.device
        "cpu", "cuda", "cuda:1", "mps", or "auto": the first of cuda, mps and cpu that is there.
    config : ModelConfig, optional
        For published files whose sizes are not the published ones; see `load_checkpoint`.

    Returns
    -------
    SafireModel
        In eval mode.

    Raises
    ------
    CheckpointError
        There is no such model, or its file is damaged, unsafe or does not fit.
    ValueError
        The device is unknown or not available.
    """
    from napari_safire.model.checkpoint import load_checkpoint  # brings torch

    if name_or_path not in {entry.name for entry in _ENTRIES}:
        path = Path(name_or_path)
        if not path.exists():
            raise CheckpointError(
                f"{str(name_or_path)!r} is neither a file nor a model that ships with "
                f"napari-safire ({_known()})."
            )
        return load_checkpoint(path, config, device)
    name = str(name_or_path)
    path = model_path(name)
    expected = _entry(name).sha256
    model = load_checkpoint(path, config, device)
    if expected is not None:
        _check_hash(path, model.checkpoint_sha256, expected)
    return model


def _entry(name: str) -> ModelEntry:
    for entry in available_models():
        if entry.name == name:
            return entry
    raise CheckpointError(
        f"There is no model {name!r}: those that ship with napari-safire are {_known()}."
    )


def _known() -> str:
    return ", ".join(entry.name for entry in _ENTRIES)


def _check_hash(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise CheckpointError(
            f"{path} is not the file that napari-safire was built with (SHA-256 {found[:12]}... "
            f"instead of {expected[:12]}...): install napari-safire again."
        )


def _listed_sums() -> dict[str, str]:
    """File name to hash, from the sha256sum list beside the weights; empty without a list."""
    path = _WEIGHTS / _SUMS
    if not path.is_file():
        return {}
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        digest, _, name = line.partition(" ")
        name = name.lstrip(" *")  # sha256sum writes two spaces, or a space and a star
        if len(digest) != 64 or not name:
            raise CheckpointError(
                f"Line {number} of {path} is not a SHA-256 and a file name: install napari-safire "
                "again."
            )
        sums[name] = digest.lower()
    return sums
