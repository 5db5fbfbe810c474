"""Networks, their files and their names. Importing it, or `config`, does not load torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_safire.model.checkpoint import (
        describe_checkpoint,
        initialise_from,
        inspect_checkpoint,
        load_checkpoint,
        save_checkpoint,
        write_published_layout,
    )
    from napari_safire.model.config import ModelConfig
    from napari_safire.model.download import download_model
    from napari_safire.model.registry import (
        ModelEntry,
        available_models,
        load_model,
        model_path,
        model_state,
        registry_problems,
        verify,
    )
    from napari_safire.model.safire import SafireModel

_HOME = {
    "ModelConfig": "config",
    "ModelEntry": "registry",
    "SafireModel": "safire",
    "available_models": "registry",
    "describe_checkpoint": "checkpoint",
    "download_model": "download",
    "initialise_from": "checkpoint",
    "inspect_checkpoint": "checkpoint",
    "load_checkpoint": "checkpoint",
    "load_model": "registry",
    "model_path": "registry",
    "model_state": "registry",
    "registry_problems": "registry",
    "save_checkpoint": "checkpoint",
    "verify": "registry",
    "write_published_layout": "checkpoint",
}

__all__ = [
    "ModelConfig",
    "ModelEntry",
    "SafireModel",
    "available_models",
    "describe_checkpoint",
    "download_model",
    "initialise_from",
    "inspect_checkpoint",
    "load_checkpoint",
    "load_model",
    "model_path",
    "model_state",
    "registry_problems",
    "save_checkpoint",
    "verify",
    "write_published_layout",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
