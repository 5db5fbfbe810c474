"""Fixtures that several test files use."""

from __future__ import annotations

import os

# One thread for each worker, and for the processes that tests start: workers that share cores wait
# for each other's threads many times as long as they compute. Before NumPy and torch are loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# The software renderer draws with a thread of its own for every core, in every window.
os.environ.setdefault("LP_NUM_THREADS", "0")

import functools
import gc
import json
import random
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import FileServer, serving
from hypothesis import HealthCheck, settings
from PIL import Image

# It compiles what draws a layer in every process anew, for two seconds, unless it finds it where
# the last run left it.
_ROOT = Path(__file__).parents[1]
if os.access(_ROOT, os.W_OK):
    (_ROOT / "build").mkdir(exist_ok=True)
    os.environ.setdefault("MESA_SHADER_CACHE_DIR", str(_ROOT / "build" / "shaders"))

# Tests that were started in the background of a shell would have children that no Ctrl-C stops.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No timed assertions: a busy machine is no fault of the code. Where a test does not say how many
# examples it needs, `pytest --hypothesis-profile=thorough` by hand tries many times as many.
_UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("untimed", max_examples=40, **_UNTIMED)
settings.register_profile("thorough", max_examples=2000, **_UNTIMED)
settings.load_profile("untimed")

# Tests that are collected, and what they import, are there to stay: see pytest_collection_finish.
gc.disable()

_looked_through = 0

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_finish() -> None:
    """Spare the collector what was imported: .3 s each time it looks through everything."""
    gc.collect()
    gc.freeze()
    gc.enable()
    # It walks through all that is frozen: .1 s whenever a dock's queue asks whether anything is.
    gc.get_freeze_count = lambda: 1
    # Each command that a test runs here would make all commands anew, in 25 ms.
    if testing := sys.modules.get("typer.testing"):
        testing._get_command = functools.cache(testing._get_command)


def pytest_runtest_logfinish() -> None:
    """Spare it what tests have imported since, once it has looked through that three times."""
    global _looked_through
    if gc.get_stats()[2]["collections"] - _looked_through >= 3:
        gc.collect()
        gc.freeze()
        _looked_through = gc.get_stats()[2]["collections"]


@dataclass(frozen=True)
class Parity:
    """Golden data made by the published implementation; see shared/parity/README.md."""

    folder: Path
    expected: dict[str, np.ndarray]
    image: np.ndarray  # (256, 256, 3) uint8
    vit_b: dict[str, tuple[tuple[int, ...], str]]  # key -> shape, dtype

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pth"

    @property
    def config(self) -> Path:
        return self.folder / "config.json"


@pytest.fixture(scope="session")
def parity() -> Parity:
    folder = DATA / "parity"
    table: dict[str, Any] = json.loads((folder / "vit_b_state_dict.json").read_text())
    with np.load(folder / "expected.npz") as stored, Image.open(folder / "image.png") as picture:
        return Parity(
            folder=folder,
            expected=dict(stored),
            image=np.asarray(picture.convert("RGB")),
            vit_b={key: (tuple(shape), dtype) for key, (shape, dtype) in table.items()},
        )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of photographs and reference data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"The photographs and reference data of {SHARED} are not on this machine.")
    return SHARED


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model for the command line; tests only read it."""
    from cli_runs import make_model  # torch: only for those who use it

    return make_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small picture file for the command line; tests only read it."""
    from cli_runs import make_picture

    return make_picture(tmp_path_factory.mktemp("pictures") / "street.png")


@pytest.fixture
def serve() -> Iterator[Callable[..., FileServer]]:
    """Starts servers of one file each, which end with the test."""
    with serving() as start:
        yield start


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the models, keys and caches of whoever runs it."""
    home = tmp_path_factory.mktemp("home")
    for name in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Every test starts from the same random state."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - third parties draw from the global state
    if "torch" in sys.modules:  # tests of NumPy code alone need not load it
        sys.modules["torch"].manual_seed(0)
