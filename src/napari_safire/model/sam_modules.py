"""SAM's network modules, without torchvision.

``import segment_anything`` runs a package file that imports torchvision, whose compiled operators
must match torch exactly; the modules that SAFIRE needs import torch and NumPy alone. They are
loaded here through a private package that has segment_anything's folder as its path, so the
package file never runs and ``sys.modules["segment_anything"]`` is left as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

_PRIVATE_NAME = "napari_safire.model._segment_anything"


def _load_modeling() -> ModuleType:
    """Import ``segment_anything.modeling`` under the private name.

    Raises
    ------
    ImportError
        segment-anything is not installed.
    """
    if _PRIVATE_NAME not in sys.modules:
        spec = importlib.util.find_spec("segment_anything")  # finds it without importing it
        if spec is None or not spec.submodule_search_locations:
            raise ImportError(
                "napari-safire needs SAM's network modules, which are not installed: run "
                "'pip install segment-anything'."
            )
        package = ModuleType(_PRIVATE_NAME, "segment_anything's folder under a private name.")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules[_PRIVATE_NAME] = package
    # reviewed: segment_anything under a name of ours
    return importlib.import_module(f"{_PRIVATE_NAME}.modeling")


# Loaded at import, so that a pickled model finds its classes again in another process.
modeling = _load_modeling()
