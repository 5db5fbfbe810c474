"""What one does with a model and a picture: embed, segment, partition, localise."""

from __future__ import annotations

from napari_safire.engine.engine import METHODS, Engine
from napari_safire.engine.grid import PromptGrid

__all__ = ["METHODS", "Engine", "PromptGrid"]
