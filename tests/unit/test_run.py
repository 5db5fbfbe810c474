"""A batch run from Python: no command line, no process, no model."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import FakeEngine
from PIL import Image

from napari_safire.corpus.folder_lock import LOCK
from napari_safire.corpus.run import Batch, Outcome, begin, uninterrupted
from napari_safire.corpus.task import InTheWay
from napari_safire.errors import SafireError
from napari_safire.examination import ExaminationSettings
from napari_safire.types import PointPrompt

SETTINGS = ExaminationSettings(points=(PointPrompt(3, 4),), whole_image=False)


def fake_engine(device: str = "cpu", precision: str = "float32") -> Any:
    engine: Any = FakeEngine()
    engine.model = SimpleNamespace(
        device=SimpleNamespace(type=device),
        checkpoint_sha256="fake",
        config=SimpleNamespace(architecture="fake"),
    )
    engine.precision = precision
    return engine


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(np.full((20, 30, 3), number, np.uint8)).save(folder / f"p{number}.png")
    return folder


def run(batch: Batch, engine: Any = None, **options: Any) -> list[Outcome]:
    with begin(batch) as running:
        return list(running.outcomes(engine or fake_engine(), "by hand", **options))


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_batch_is_answered_once_and_then_there_already(
    jobs: int, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "p1.png").write_bytes(b"no picture")
    batch = Batch([pictures], tmp_path / "out", SETTINGS)
    first = sorted(run(batch, jobs=jobs), key=lambda outcome: outcome.task.image.name)
    assert [outcome.error is None for outcome in first] == [True, False, True, True]
    for outcome in (first[0], *first[2:]):
        assert outcome.found is not None
        assert outcome.files[-1] == outcome.task.record
        assert json.loads(outcome.task.record.read_text())["model"]["name"] == "by hand"
    again = run(batch, jobs=jobs)
    assert [outcome.found for outcome in again] == [None] * 4
    assert sum(outcome.error is not None for outcome in again) == 1
    assert not (tmp_path / "out" / LOCK).exists()


def test_what_rests_on_something_else_is_refused_before_and_after_the_model_is_there(
    pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run(Batch([pictures], output, SETTINGS))
    with pytest.raises(InTheWay, match="with other settings"):
        run(Batch([pictures], output), pytest.fail)  # no engine is asked
    with (
        pytest.raises(InTheWay, match="in float32, not in bf16"),
        begin(Batch([pictures], output, SETTINGS), "bf16"),
    ):
        pass
    other = fake_engine()
    other.model.checkpoint_sha256 = "another"
    with pytest.raises(InTheWay, match="with another model"):
        run(Batch([pictures], output, SETTINGS), other)
    assert other.calls == []
    replaced = run(Batch([pictures], output, SETTINGS, overwrite=True), other)
    assert all(outcome.files for outcome in replaced)


def test_results_that_a_killed_run_left_are_done_again_and_told(
    pictures: Path, tmp_path: Path
) -> None:
    batch = Batch([pictures / "p0.png"], tmp_path / "out", SETTINGS)
    (first,) = run(batch)
    assert first.warnings == ()
    first.task.record.unlink()
    (again,) = run(batch)
    assert "is done again" in again.warnings[0]


def test_results_do_not_go_where_pictures_lie(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InTheWay, match="among the pictures"):
        run(Batch([pictures], pictures / ".", SETTINGS))
    with pytest.raises(InTheWay, match="is a file"):
        run(Batch([pictures], pictures / "p0.png", SETTINGS))
    (tmp_path / "file").write_text("")
    with pytest.raises(SafireError, match="Nothing can be written"):
        run(Batch([pictures], tmp_path / "file" / "out", SETTINGS))


def test_who_stops_listening_leaves_whole_results_and_no_lock(
    pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with begin(Batch([pictures], output, SETTINGS)) as running:
        outcomes = running.outcomes(fake_engine(), "by hand")
        next(outcomes)
        outcomes.close()
        assert len(running.written) == 1
    assert {path.name for path in output.iterdir()} == {"p0.json", "p0_region_01.png"}


def test_as_many_pictures_as_a_device_can_use(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    for device, expected in (("cpu", 1), ("cuda", 3)):
        engine = fake_engine(device)
        run(Batch([pictures], tmp_path / device, SETTINGS), engine)
        assert engine.grids_cached == expected


def test_an_interrupt_waits_until_the_block_is_done() -> None:
    done = []

    def interrupted(number: signal.Signals) -> None:
        with uninterrupted():
            signal.raise_signal(number)
            done.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt):
            interrupted(number)
        assert signal.getsignal(number) == before
    assert done == [signal.SIGINT, signal.SIGTERM]
