"""A corpus where something goes wrong on the way: a row, a sentence, and nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from corpus_stand_in import CHECKPOINT, StandIn
from disks import DISKS, mounted_disk, open_folder, unprivileged
from file_server import serving
from PIL import Image
from typer.testing import CliRunner

from napari_safire.cli import app
from napari_safire.corpus.inputs import remote
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.manifest_schema import ManifestRow
from napari_safire.corpus.running import Corpus, Tally, opened, run_here
from napari_safire.corpus.tasks import TASK_SIZE
from napari_safire.corpus.work import CorpusSettings, CorpusWork
from napari_safire.errors import SafireError

SETTINGS = CorpusSettings(write="none")
WRITTEN = CorpusSettings(write="all", files=("heatmap",))
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
    settings: CorpusSettings = SETTINGS,
    task_size: int = TASK_SIZE,
) -> Tally:
    corpus = Corpus(
        [os.fspath(i) for i in inputs], output, settings, retry_errors=retry, task_size=task_size
    )
    basis = settings.basis(CHECKPOINT, "float32")
    with opened(corpus, basis, "stand-in") as (manifest, tasks, tally):
        work = CorpusWork(manifest, settings, basis, (answers or StandIn())())
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


def nothing_left_over(output: Path) -> None:
    names = [path.name for path in output.rglob("*") if path.is_file()]
    assert not [name for name in names if name.startswith(".")]
    assert not [
        n for n in names if n != "job.json" and not n.endswith((".parquet", ".tif", ".index"))
    ]


def test_an_output_that_may_not_be_written_to_is_told(photos: Path) -> None:
    with open_folder() as place:
        shutil.copytree(photos, place / "photos")
        output = place / "out"
        output.mkdir(mode=0o500)
        with unprivileged(), pytest.raises(SafireError, match="Choose another folder"):
            run(place / "photos", output=output)


@pytest.mark.parametrize("what", ["parts", "pictures"])
def test_an_output_that_becomes_read_only_ends_in_a_sentence(photos: Path, what: str) -> None:
    with open_folder() as place:
        shutil.copytree(photos, place / "photos")
        output = place / "out"
        with unprivileged():
            run(place / "photos/00.png", output=output, settings=WRITTEN)
            refuse = [lambda: os.chmod(output / what, 0o500)]
            with pytest.raises(SafireError, match=rf"{what} \(Permission denied\): .*same command"):
                run(
                    place / "photos", output=output, settings=WRITTEN,
                    told=lambda row: refuse.pop()() if refuse else None,
                )  # fmt: skip
            os.chmod(output / what, 0o700)
            tally = run(place / "photos", output=output, settings=WRITTEN)
        assert tally.there + tally.done == N
        assert not any(row.error for row in rows(output).values())
        nothing_left_over(output)


@pytest.mark.parametrize("kind", DISKS)
def test_a_full_disk_ends_in_a_sentence_and_the_same_command_goes_on(
    photos: Path, kind: str
) -> None:
    with DISKS[kind]() as disk:
        output = disk.folder / "out"

        def told(row: ManifestRow) -> None:
            if row.picture.endswith("05.png"):
                disk.fill()

        with pytest.raises(SafireError, match=rf"{disk.says}\): make room") as refused:
            run(photos, output=output, settings=WRITTEN, told=told, task_size=4)
        assert str(refused.value).count(".") == 1
        found = rows(output)
        assert 4 <= len(found) < N  # what is committed is whole
        assert not any(row.error for row in found.values())
        with pytest.raises(SafireError, match=disk.says):
            run(photos, output=output, settings=WRITTEN)
        disk.make_room()
        tally = run(photos, output=output, settings=WRITTEN)
        assert (tally.there, tally.failed) == (len(found), 0)
        assert tally.done == N - len(found)
        assert all((output / row.outputs[0]).is_file() for row in rows(output).values())
        nothing_left_over(output)


def test_a_full_disk_for_unpacked_pictures_is_not_their_fault(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        for name in ("00.png", "01.png"):
            shard.add(photos / name, name)
    with mounted_disk() as disk:
        monkeypatch.setattr(tempfile, "tempdir", os.fspath(disk.folder))
        disk.fill()
        with pytest.raises(SafireError, match=f"{disk.folder} .*No space left"):
            run(tmp_path / "a.tar", output=tmp_path / "out")
        disk.make_room()
        assert run(tmp_path / "a.tar", output=tmp_path / "out").failed == 0


def test_what_a_killed_run_left_of_a_picture_is_removed(photos: Path, tmp_path: Path) -> None:
    run(photos / "00.png", output=tmp_path / "out", settings=WRITTEN)
    left = tmp_path / "out/pictures/.napari-safire-0123456789ab"
    left.mkdir()
    (left / "half.tif").write_bytes(b"half")
    run(photos, output=tmp_path / "out", settings=WRITTEN)
    nothing_left_over(tmp_path / "out")


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


@contextmanager
def answered_by(stand_in: StandIn, asked: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Let the commands ask a stand-in."""

    def examine(engine: object, image: Any, settings: object, *, cancel: Any = None) -> Any:
        asked()
        return stand_in.answer(image, cancel)

    model = SimpleNamespace(checkpoint_sha256=CHECKPOINT)
    engine = SimpleNamespace(model=model, precision="float32")
    with (
        mock.patch("napari_safire.cli.corpus.open_engine", return_value=engine),
        mock.patch("napari_safire.corpus.asking.examine_image", examine),
    ):
        yield


def test_the_command_says_in_a_sentence_that_the_disk_is_full(photos: Path) -> None:
    with mounted_disk() as disk:
        asked = [
            "predict", *(os.fspath(path) for path in sorted(photos.iterdir())), "--manifest",
            "--write", "all", "--files", "heatmap", "--task-size", "4", "-o",
            str(disk.folder / "out"),
        ]  # fmt: skip
        calls = iter(range(99))
        with answered_by(StandIn(), lambda: disk.fill() if next(calls) == 5 else None):
            told = CliRunner().invoke(app, asked)
        assert told.exit_code == 1
        (line,) = told.stderr.splitlines()
        assert line.startswith("Error: The results cannot be written to ")
        assert line.endswith("and go on with the same command.")
        disk.make_room()
        with answered_by(StandIn()):
            told = CliRunner().invoke(app, asked)
        assert told.exit_code == 0
        assert len(rows(disk.folder / "out")) == N


SCRIPT = """
import sys; sys.path[:0] = [sys.argv.pop(1), sys.argv.pop(1)]
from test_corpus_faults import *
from napari_safire.cli import main
with answered_by(StandIn(.05), lambda: print("asked", flush=True)):
    main()
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("signals", [("SIGINT", "SIGINT"), ("SIGTERM",)], ids="-".join)
def test_signals_end_the_command_and_leave_what_was_answered(
    photos: Path, tmp_path: Path, signals: tuple[str, ...]
) -> None:
    output, here = tmp_path / "out", Path(__file__)
    process = subprocess.Popen(
        [
            sys.executable, "-c", SCRIPT, here.parent, here.parents[1],
            "predict", photos, "--manifest", "--write", "none", "--task-size", "4", "-o", output,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(7):
        process.stdout.readline()
    for name in signals:
        process.send_signal(getattr(signal, name))
    told, complained = process.communicate()
    assert process.returncode not in (0, None)
    assert told.count("asked") < N - 7
    assert "Traceback" not in complained
    assert 6 <= len(rows(output)) < N
    nothing_left_over(output)
    run(photos, output=output)
    assert len(rows(output)) == N
