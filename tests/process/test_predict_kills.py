"""`predict` killed where it changes a folder, one point after the other.

`tests/robustness/kill_predict.py` does so with real processes, and at random moments.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import FakeEngine
from PIL import Image
from typer.testing import CliRunner

from napari_safire.cli import app

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def killed_at(count: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that dies at its n-th change of a folder; whether it came to that.

    The point is counted here, in the forked process: nothing in the program knows of it.
    """
    process = os.fork()
    if process == 0:
        left = count

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return call

        for name in ("replace", "unlink", "rmdir", "mkdir"):
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(process, 0)
    return os.WIFSIGNALED(status)


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}
    for name in [name for name in found if name.endswith(".json")]:
        record = json.loads(found[name])
        del record["created"], record["seconds"]
        found[name] = json.dumps(record).encode()
    return found


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    engine: Any = FakeEngine()
    engine.model = SimpleNamespace(
        device=SimpleNamespace(type="cpu"),
        checkpoint_sha256="fake",
        config=SimpleNamespace(architecture="fake"),
    )
    engine.precision = "float32"
    # Not by its dotted name, under which the package has the function `predict`.
    command = sys.modules["napari_safire.cli.predict"]
    monkeypatch.setattr(command, "open_engine", lambda *_: engine)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "a.jpg"):  # they share a name, too
        Image.fromarray(np.full((20, 30, 3), len(name), np.uint8)).save(folder / name)
    return folder


@pytest.mark.parametrize(("overwrite", "points"), [(False, (1, 3)), (True, (2, 3))])
def test_the_same_command_finishes_what_was_killed_anywhere(
    overwrite: bool, points: tuple[int, int], pictures: Path, tmp_path: Path
) -> None:
    first, step = points  # all of them would take half a minute
    asked = (pictures, "--sources", 2, "--points", "3,4", "-o")
    assert run(*asked, tmp_path / "whole").exit_code == 0
    expected = contents(tmp_path / "whole")
    assert len(expected) == 12
    for point in range(first, 200, step):
        output = tmp_path / str(point)
        if overwrite:  # more sources and regions than there will be
            before = (pictures, "--sources", 3, "--points", "3,4", "--points", "5,6", "-o", output)
            assert run(*before).exit_code == 0
        again = ("--overwrite",) if overwrite else ()
        if not killed_at(point, lambda to=output, more=again: run(*asked, to, *more)):
            break
        done = run(*asked, output, *again)
        assert done.exit_code == 0, f"{point}: {done.output}"
        assert contents(output) == expected, point
    assert point > 20


def test_a_kill_while_overwriting_leaves_no_record_over_files_of_another_run(
    pictures: Path, tmp_path: Path
) -> None:
    """Whatever lies there after the kill: a record describes the files beside it or is missing."""
    from napari_safire.images.records.results import read_results

    for point in range(1, 200, 3):
        output = tmp_path / str(point)
        assert run(pictures, "--sources", 2, "-o", output).exit_code == 0
        asked = (pictures, "--sources", 4, "-o", output, "--overwrite")
        if not killed_at(point, lambda asked=asked: run(*asked)):
            break
        for record in output.glob("*.json"):
            results = read_results(record)  # refuses files that are not those of the record
            assert results.labels is not None
            found = len(np.unique(results.labels))
            assert found == results.record["partition"]["n_sources"]
    assert point > 20
