"""Partition an image by where its pixels came from: SAFIRE for napari and for scripts.

The public names load when they are first used; importing the package loads neither torch nor Qt
nor napari.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.model.config import ModelConfig
    from napari_safire.model.registry import load_model
    from napari_safire.types import (
        Embedding,
        ForgeryMap,
        PointPrompt,
        SourcePartition,
        SourceRegion,
    )

__version__ = "0.1.0"

__all__ = [
    "Embedding",
    "Engine",
    "ForgeryMap",
    "ModelConfig",
    "PointPrompt",
    "SourcePartition",
    "SourceRegion",
    "__version__",
    "load_model",
]

_HOME_OF = {
    "Embedding": "types",
    "Engine": "engine",
    "ForgeryMap": "types",
    "ModelConfig": "model.config",
    "PointPrompt": "types",
    "SourcePartition": "types",
    "SourceRegion": "types",
    "load_model": "model.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
