"""A corpus where something goes wrong on the way: a row, a sentence, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from corpus_stand_in import CHECKPOINT, StandIn
from file_server import serving
from PIL import Image

from napari_safire.corpus.inputs import remote
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.manifest_schema import ManifestRow
from napari_safire.corpus.running import Corpus, Tally, opened, run_here
from napari_safire.corpus.work import CorpusSettings, CorpusWork
from napari_safire.errors import SafireError

SETTINGS = CorpusSettings(write="none")
BASIS = SETTINGS.basis(CHECKPOINT, "float32")
N = 12


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(N):
        pixels = np.full((8, 8, 3), 20 + number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def run(
    *inputs: object,
    output: Path,
    told: Callable[[ManifestRow], None] = lambda row: None,
    answers: StandIn | None = None,
    retry: bool = False,
) -> Tally:
    corpus = Corpus([os.fspath(i) for i in inputs], output, SETTINGS, retry_errors=retry)
    with opened(corpus, BASIS, "stand-in") as (manifest, tasks, tally):
        work = CorpusWork(manifest, SETTINGS, BASIS, (answers or StandIn())())
        run_here(work, tasks, tally, told)
    return tally


def rows(output: Path) -> dict[str, ManifestRow]:
    found = list(Manifest(output).rows())
    told = {Path(row.picture).name: row for row in found}
    assert len(told) == len(found)
    return told


def test_pictures_that_vanish_or_change_meanwhile_are_rows(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"

    def told(row: ManifestRow) -> None:
        if row.picture.endswith("00.png"):  # the whole task is known by then
            (photos / "07.png").unlink()
            Image.new("RGB", (8, 8), (250, 0, 0)).save(photos / "06.png")

    run(photos, output=output, told=told)
    found = rows(output)
    assert found["07.png"].error_class == "FileNotFoundError"
    assert found["06.png"].verdict == "forged"  # what lies there now
    assert sum(not row.error for row in found.values()) == N - 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_that_may_not_be_written_to_is_told(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir(mode=0o500)
    with pytest.raises(SafireError, match="Choose another folder"):
        run(photos, output=output)


def test_a_second_job_waits_and_does_nothing_twice(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    tallies: list[Tally] = []
    begun = threading.Event()

    def other() -> None:
        begun.wait()
        tallies.append(run(photos, output=output))

    thread = threading.Thread(target=other)
    thread.start()
    tallies.append(run(photos, output=output, told=lambda row: begun.set(), answers=StandIn(0.02)))
    thread.join()
    assert sorted(tally.done for tally in tallies) == [0, N]
    assert len(rows(output)) == N


def test_a_clock_that_goes_back_changes_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    run(photos, output=tmp_path / "out")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    Image.new("RGB", (8, 8), (9, 9, 9)).save(photos / "new.png")
    assert run(photos, output=tmp_path / "out").done == 1
    assert len(rows(tmp_path / "out")) == N + 1


def test_a_device_without_memory_is_a_row_and_can_be_tried_again(
    photos: Path, tmp_path: Path
) -> None:
    class Full(StandIn):
        def answer(self, image: object, cancel: object) -> object:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    output = tmp_path / "out"
    assert run(photos, output=output, answers=Full()).failed == N
    assert "out of memory" in rows(output)["00.png"].error
    assert run(photos, output=output).done == 0
    assert run(photos, output=output, retry=True).failed == 0
    assert {row.attempt for row in rows(output).values()} == {1}


def test_remote_stores_that_stall_reset_and_lie_are_rows(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote, "STALLED", 0.3)
    body = (photos / "00.png").read_bytes()
    with serving() as start:
        servers = {
            "good.png": start(body),
            "stalls.png": start(body, cuts=[20, 20, 20, 20], stall=threading.Event()),
            "resets.png": start(body, cuts=[20, 20, 20, 20]),
            "gone.png": start(body, status=[404] * 9),
            "fails.png": start(body, status=[500] * 9),
        }
        addresses = [
            f"http://me:secret@127.0.0.1:{server.port}/{name}?token=secret"
            for name, server in servers.items()
        ]
        run(*addresses, output=tmp_path / "out")
    found = rows(tmp_path / "out")
    assert found["good.png"].error == ""
    assert len(found) == len(servers)
    for name in ("stalls.png", "resets.png", "gone.png", "fails.png"):
        assert found[name].error_class, name
        assert found[name].error.endswith("."), found[name].error
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes()


SCRIPT = """
import sys; sys.path[:0] = sys.argv[3:]
from test_corpus_faults import *
def told(row):
    print("row", flush=True)
try:
    run(sys.argv[1], output=Path(sys.argv[2]), told=told, answers=StandIn(.05))
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_two_interrupts_leave_what_was_answered(photos: Path, tmp_path: Path) -> None:
    output, here = tmp_path / "out", Path(__file__)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, photos, output, here.parent, here.parents[1]],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(10):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert "stopped" in process.stdout.read()
    process.wait()
    assert len(rows(output)) >= 10
    run(photos, output=output)
    assert len(rows(output)) == N
