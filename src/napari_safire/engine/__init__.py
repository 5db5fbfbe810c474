"""What one does with a model and a picture: embed, segment, partition, localise.

Importing it does not load torch: a viewer opens before that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_safire.engine.engine import METHODS, Engine
    from napari_safire.engine.grid import PromptGrid

_HOME = {"METHODS": "engine", "Engine": "engine", "PromptGrid": "grid"}

__all__ = ["METHODS", "Engine", "PromptGrid"]


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
