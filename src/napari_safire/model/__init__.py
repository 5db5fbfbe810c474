"""Networks, their files and their names. Importing it, or `config`, does not load torch."""

from __future__ import annotations

import lazy_loader

# What there is stands in __init__.pyi, for this line and for type checkers.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
