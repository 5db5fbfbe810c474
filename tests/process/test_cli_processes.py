"""The command line as a process, where a process is the point: signals, pipes, two at once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_runs import (
    MAIN,
    ONLY,
    SHAPE,
    cli,
    make_batch,
    one_error,
    process,
)
from PIL import Image

from napari_safire.corpus.folder_lock import locked
from napari_safire.images.masks import decode_sources
from napari_safire.images.records.results import read_results


def test_help_is_quick_and_names_every_command() -> None:
    code = (
        "import sys, napari_safire.cli;"
        "print(sorted({'torch', 'napari', 'qtpy', 'skimage'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
    result = cli("--help")
    assert result.exit_code == 0
    for command in ("demo", "predict", "evaluate", "models"):
        assert f"\n  {command} " in result.stdout


def test_predict_as_a_process_waits_for_another_run(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "results"
    command = (
        "predict", picture, "-o", output, "--model", tiny_model, "--device", "cpu",
        "--sources", 2, "--points", "10,20", "--points", "90.5,100", "--seed", 5,
    )  # fmt: skip
    with locked(output):
        running = subprocess.Popen(
            [sys.executable, "-c", MAIN, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert running.stderr is not None
        assert "Another run is at work" in running.stderr.readline()
        assert list(output.glob("*.json")) == []
    told, complaints = running.communicate(timeout=120)
    assert running.returncode == 0, complaints
    assert complaints == ""  # but for the line that was read above
    assert {path.name for path in output.iterdir()} == {
        "street.json",
        "street_heatmap.tif",
        "street_overlay.png",
        "street_probabilities.tif",
        "street_region_01.png",
        "street_region_02.png",
        "street_sources.png",
    }
    assert str(output / "street.json") in told
    record = json.loads((output / "street.json").read_text(encoding="utf-8"))
    assert record["image"]["file_sha256"] == hashlib.sha256(picture.read_bytes()).hexdigest()
    checkpoint = hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert record["model"]["checkpoint_sha256"] == checkpoint
    assert record["device"] == "cpu"
    assert record["parameters"]["method"] == "kmeans"
    assert record["parameters"]["seed"] == 5
    assert record["forgery"]["verdict"] == "inconclusive"  # the model has no calibration
    assert len(record["partition"]["prompts"]) == 256
    stages = {"embed", "segment", "partition", "localize", "evidence"}
    assert record["seconds"].keys() == stages
    assert "no weights for other evidence" in record["forgery"]["contributions"]["network"]["words"]
    n_sources = record["partition"]["n_sources"]
    labels = decode_sources(np.asarray(Image.open(output / "street_sources.png")))
    assert labels.shape == SHAPE
    assert labels.max() < n_sources
    probabilities = tifffile.imread(output / "street_probabilities.tif")
    assert probabilities.reshape(-1, *SHAPE).shape[0] == n_sources
    assert tifffile.imread(output / "street_heatmap.tif").shape == SHAPE
    assert np.asarray(Image.open(output / "street_region_01.png")).shape == SHAPE


@pytest.mark.parametrize(
    ("jobs", "number"),
    [(1, signal.SIGTERM), pytest.param(3, signal.SIGINT, marks=pytest.mark.by_hand)],
)
def test_a_batch_that_is_interrupted_leaves_whole_results_and_goes_on(
    jobs: int, number: int, tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    """Ctrl-C or SIGTERM to a process in the middle; the same command then does the rest."""
    count = 100
    folder, output = make_batch(tmp_path / "in", picture, count), tmp_path / "out"
    command = (
        "predict", folder, "-o", output, "--model", tiny_model, "--device", "cpu",
        "--sources", 2, "--points-per-side", 4, "--jobs", jobs,
    )  # fmt: skip
    running = subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        for line in running.stdout or ():
            if "p1.png" in line:
                break
        running.send_signal(number)
        told, complaints = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 1
    assert complaints == "Cancelled; nothing half-written.\n"
    assert "the same command goes on" in told
    records = list(output.glob("*.json"))
    assert 2 <= len(records) < count
    named = {record.name for record in records}
    for record in records:
        for files in json.loads(record.read_text(encoding="utf-8"))["files"].values():
            named |= {files} if isinstance(files, str) else set(files)
    assert {path.name for path in output.iterdir()} == named
    pending = [n for n in range(count) if not (output / f"p{n}.json").is_file()]
    for left in pending[1:]:  # the rest need not take long
        (folder / f"p{left}.png").unlink()
    rest = cli(*command)
    assert rest.exit_code == 0, rest.stderr
    assert f"1 done, {len(records)} were there already." in rest.stdout


def test_names_from_anywhere_on_a_terminal_of_few_letters_whose_reader_is_gone(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    """No name, code page or closed pipe costs a result; nothing but lines of text is shown."""
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = [
        "写真.png", "n" * 251 + ".png", "nl\nb.png: 1 source, no forgery found.png",
        os.fsdecode(b"caf\xe9.png"),
    ]  # fmt: skip
    for name in names:
        (folder / name).write_bytes(picture.read_bytes())
    (folder / "bad\x1b[31m.png").write_bytes(b"x")
    command = (
        "predict", folder, "-o", output, "--model", tiny_model, "--points-per-side", 4, *ONLY,
    )  # fmt: skip
    done = process(*command, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"})
    assert done.returncode == 1
    assert f"{len(names) + 1} pictures: {len(names)} done, 1 failed." in done.stdout
    for shown in (done.stdout, done.stderr):
        assert all(character.isprintable() for character in shown.replace("\n", ""))
    assert len(done.stdout.splitlines()) == len(names) + 1
    assert "bad\\x1b[31m.png" in one_error(done.stderr)
    found = {}
    for path in output.glob("*.json"):
        record = json.loads(path.read_bytes().decode("utf-8"))
        found[os.fsencode(Path(record["image"]["path"]).name)] = path
        assert read_results(path).image is not None  # found by its relative path
    assert found.keys() == {os.fsencode(name) for name in names}
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, command), "--overwrite"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()  # as `| head` does
        complaints = running.stderr.read().decode()
    assert running.returncode == 1
    one_error(complaints)
    assert len(list(output.glob("*.json"))) == len(names)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is full")
def test_text_that_is_lost_is_told() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert "stdout could not be written" in one_error(done.stderr)
