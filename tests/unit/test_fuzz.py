"""A few damaged files of every stored format; `tests/robustness/fuzz.py` reads 10,000 of each.

Here in one process, and without the slow ones: what is looked for are errors that are no sentence.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from robustness.fuzzing.formats import FORMATS

from napari_safire.errors import SafireError
from napari_safire.text import printable

N_FILES = 12
QUICK = [name for name in FORMATS if name not in ("own", "torch")]  # test_damaged_model_files


@pytest.mark.parametrize("name", QUICK)
def test_damaged_files_are_read_or_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    of = FORMATS[name]
    seeds = of.seeds(made)
    names = sorted(seeds)
    n_refused = 0
    for number in range(N_FILES):
        chosen = names[number % len(names)]
        path = tmp_path / chosen
        path.unlink(missing_ok=True)
        path.write_bytes(of.damage(seeds[chosen], chosen, random.Random(f"{name} {number}")))
        try:
            of.read(path)
        except SafireError as error:
            text = str(error)
            assert text == printable(text)
            assert text.endswith((".", "…"))
            assert len(text) < 1_500
            n_refused += 1
    assert n_refused or name == "metadata"  # whose damage is told in a view


@pytest.mark.parametrize("name", QUICK)
def test_whole_files_are_read(name: str, tmp_path: Path) -> None:
    """Else every refusal would say nothing of the damage."""
    made = tmp_path / "made"
    made.mkdir()
    n_read = 0
    seeds = FORMATS[name].seeds(made)
    for chosen, data in list(seeds.items())[:4]:
        path = tmp_path / chosen
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        try:
            FORMATS[name].read(path)
            n_read += 1
        except SafireError:
            continue  # among the pictures are some that are refused
    assert n_read
