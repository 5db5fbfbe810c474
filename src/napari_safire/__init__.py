"""Partition an image by where its pixels came from: SAFIRE for napari and for scripts.

The public names load when they are first used; importing the package loads neither torch nor Qt
nor napari.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from napari_safire import forensics
    from napari_safire.engine import Engine
    from napari_safire.examination import examine
    from napari_safire.forgery import ForgeryMap
    from napari_safire.model.catalogue.registry import load_model
    from napari_safire.model.config import ModelConfig
    from napari_safire.types import Embedding, PointPrompt, SourcePartition, SourceRegion

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
    "examine",
    "forensics",
    "load_model",
]

__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submodules=["forensics"],
    submod_attrs={
        "forgery": ["ForgeryMap"],
        "types": ["Embedding", "PointPrompt", "SourcePartition", "SourceRegion"],
        "engine": ["Engine"],
        "examination": ["examine"],
        "model.config": ["ModelConfig"],
        "model.catalogue.registry": ["load_model"],
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
