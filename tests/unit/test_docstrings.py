"""The samples in docstrings give what stands there."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in sorted(SOURCE.rglob("*.py"))
    if re.search(r">>> (?!.*\+SKIP)", path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("name", MODULES)
def test_samples_of_a_module(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    # reviewed: modules of ours
    ran = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert ran.attempted > 0
    assert ran.failed == 0
