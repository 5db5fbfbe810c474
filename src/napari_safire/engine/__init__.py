"""What one does with a model and a picture: embed, segment, partition, localise.

Importing it does not load torch: a viewer opens before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from napari_safire.engine.engine import Engine
    from napari_safire.engine.partitioning.patches import Patches
    from napari_safire.engine.partitioning.prompt_grid import PromptGrid

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "engine": ["Engine"],
        "partitioning.patches": ["Patches"],
        "partitioning.prompt_grid": ["PromptGrid"],
    },
)

__all__ = ["Engine", "Patches", "PromptGrid"]
