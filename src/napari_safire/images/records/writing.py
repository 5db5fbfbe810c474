"""The text of records."""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from napari_safire import __version__

_SURROGATES = re.compile("[\ud800-\udfff]")


def record_text(record: Mapping[str, Any]) -> str:
    r"""JSON text of a record, for a file in UTF-8; `record` holds what `plain` gives.

    Bytes of names that are no UTF-8 are written as JSON writes them, ``\udce9``, and are read back.
    """
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    text = _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # Hundreds of prompts: a list of numbers takes one line. (No string holds a line break.)
    return re.sub(r'\[\n\s*(-?\d[^\[\]{}"]*?)\n\s*\]', _one_line, text) + "\n"


def plain(value: Any) -> Any:
    """Python values only; what is not finite becomes null, for which JSON has no number."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def versions() -> dict[str, str]:
    """Versions of this package and of those that decide its results, and the platform."""
    found = {"napari-safire": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "pillow", "tifffile", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # installed without metadata, as conda-like builds may be
            found[package] = "unknown"
    return found | {"platform": platform.platform()}


def _one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"
