"""Networks, their files and their names. Importing it, or `config`, does not load torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_safire.model.checkpoint import (
        initialise_from,
        load_checkpoint,
        save_checkpoint,
        write_published_layout,
    )
    from napari_safire.model.config import ModelConfig
    from napari_safire.model.registry import available_models, load_model, model_path, verify
    from napari_safire.model.safire import SafireModel

_HOME = {
    "ModelConfig": "config",
    "SafireModel": "safire",
    "available_models": "registry",
    "initialise_from": "checkpoint",
    "load_checkpoint": "checkpoint",
    "load_model": "registry",
    "model_path": "registry",
    "save_checkpoint": "checkpoint",
    "verify": "registry",
    "write_published_layout": "checkpoint",
}

__all__ = [
    "ModelConfig",
    "SafireModel",
    "available_models",
    "initialise_from",
    "load_checkpoint",
    "load_model",
    "model_path",
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
