"""What one does with a model and a picture: embed, segment, partition, localise.

Importing it does not load torch: a viewer opens before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from napari_safire.engine.engine import Engine

__getattr__, __dir__, _ = lazy_loader.attach(__name__, submod_attrs={"engine": ["Engine"]})

__all__ = ["Engine"]
