"""Networks, their files and their names. Importing it, or `config`, does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from napari_safire.model.catalogue.download import download_model
    from napari_safire.model.catalogue.entry import ModelEntry
    from napari_safire.model.catalogue.registry import (
        available_models,
        load_model,
        model_path,
        model_state,
        registry_problems,
        verify,
    )
    from napari_safire.model.config import ModelConfig
    from napari_safire.model.files.checkpoint import (
        describe_checkpoint,
        initialise_from,
        inspect_checkpoint,
        load_checkpoint,
        save_checkpoint,
        write_published_layout,
    )
    from napari_safire.model.safire import SafireModel

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["ModelConfig"],
        "catalogue.registry": [
            "ModelEntry",
            "available_models",
            "load_model",
            "model_path",
            "model_state",
            "registry_problems",
            "verify",
        ],
        "safire": ["SafireModel"],
        "files.checkpoint": [
            "describe_checkpoint",
            "initialise_from",
            "inspect_checkpoint",
            "load_checkpoint",
            "save_checkpoint",
            "write_published_layout",
        ],
        "catalogue.download": ["download_model"],
    },
)

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
