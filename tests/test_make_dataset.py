"""The script that makes data sets of composites, run as its users run it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic import photo_table

from napari_safire.data.composites import CompositeSettings
from napari_safire.data.dataset_writer import DatasetPlan, write_dataset
from napari_safire.data.lists import read_list, read_mask
from napari_safire.data.photos import Photo, divide, read_photo_table
from napari_safire.errors import DatasetError, ImageReadError

SCRIPT = Path(__file__).parents[1] / "training" / "make_dataset.py"
SMALL = DatasetPlan(count=5, shape=(64, 80), sources=(1, 2, 3), seed=4)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def records(folder: Path) -> list[dict]:
    text = (folder / "manifest.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_table(tmp_path_factory.mktemp("tables") / "photos.csv")


@pytest.fixture(scope="module")
def photos(table: Path) -> list[Photo]:
    return read_photo_table(table)


def test_script_makes_a_data_set_and_resumes(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Sätze 数据" / "two"
    folder.parent.mkdir()
    arguments = [table, "-o", folder, "--split", "train", "--size", "80x64", "--sources", "2,3"]
    done = run(*arguments, "--count", 4, "--seed", 3)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 composites, 4 of them new" in done.stdout
    before = hashes(folder)
    names = {f"{kind}/0000{i}.png" for kind in ("images", "masks") for i in range(4)}
    assert set(before) == names | {"list.txt", "manifest.jsonl"}
    entries = read_list(folder / "list.txt")
    for i, entry in enumerate(entries):
        labels = read_mask(entry, "sources", shape=(64, 80))
        assert np.unique(labels).tolist() == list(range(2 + i % 2))
    assert [record["n_sources"] for record in records(folder)] == [2, 3, 2, 3]

    (folder / "masks" / "00002.png").unlink()
    (folder / "list.txt").unlink()
    again = run(*arguments, "--count", 4, "--seed", 3, "--workers", 1)
    assert "4 composites, 1 of them new" in again.stdout
    assert hashes(folder) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--count", 0], 2, "at least 1, not 0"),
        (["--count", 2, "--size", "80"], 2, "argument --size"),
        (["--count", 2, "--sources", "2,7"], 2, "1 to 6 each, not (2, 7)"),
        (["--count", 2, "--held-out"], 2, "--held-out needs --held-out-groups"),
        (["--count", 2, "--split", "test"], 1, "the split 'test', only: train, val"),
    ],
)
def test_script_says_what_is_wrong(
    table: Path, tmp_path: Path, arguments: list[object], code: int, message: str
) -> None:
    done = run(table, "-o", tmp_path / "out", *arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_held_out_groups(table: Path, photos: list[Photo], tmp_path: Path) -> None:
    train = [photo for photo in photos if photo.split == "train"]
    kept, held_out = divide(train, 0.5)
    assert kept
    assert held_out
    options = ["--count", 2, "--split", "train", "--size", "64x64", "--held-out-groups", 0.5]
    for folder, extra, allowed in (("kept", [], kept), ("out", ["--held-out"], held_out)):
        done = run(table, "-o", tmp_path / folder, *options, *extra)
        assert done.returncode == 0, done.stderr
        used = {s["photo"] for record in records(tmp_path / folder) for s in record["sources"]}
        assert used <= {photo.path.name for photo in allowed}


def test_workers_and_continuation_change_nothing(photos: list[Photo], tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    made = write_dataset(photos, tmp_path / "a", SMALL, progress=lambda *step: steps.append(step))
    assert made == 5
    assert steps == [(i, 5) for i in range(1, 6)]
    short = DatasetPlan(count=2, shape=(64, 80), sources=(1, 2, 3), seed=4)
    assert write_dataset(photos, tmp_path / "b", short) == 2
    assert write_dataset(photos, tmp_path / "b", SMALL, workers=2) == 3
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    with Image.open(tmp_path / "a" / "masks" / "00002.png") as mask:
        assert np.unique(np.asarray(mask)).tolist() == [0, 50, 100]


def test_a_failure_keeps_what_is_done(photos: list[Photo], tmp_path: Path) -> None:
    def stop(done: int, count: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(photos, tmp_path / "a", SMALL, progress=stop)
    assert len(records(tmp_path / "a")) == 3
    assert not (tmp_path / "a" / "list.txt").exists()
    assert write_dataset(photos, tmp_path / "a", SMALL) == 2


def test_another_plan_is_refused(photos: list[Photo], tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write_dataset(photos, folder, SMALL)
    before = hashes(folder)
    other = DatasetPlan(count=5, shape=(64, 80), sources=(1, 2, 3), seed=5)
    with pytest.raises(DatasetError, match="other settings or other photographs"):
        write_dataset(photos, folder, other)
    with pytest.raises(DatasetError, match="other settings or other photographs"):
        write_dataset(photos[1:], folder, SMALL)
    fewer = DatasetPlan(count=4, shape=(64, 80), sources=(1, 2, 3), seed=4)
    with pytest.raises(DatasetError, match="5 composites already, more than the 4"):
        write_dataset(photos, folder, fewer)
    assert hashes(folder) == before
    (folder / "manifest.jsonl").write_text('{"index": 0}\n{"ind')
    with pytest.raises(DatasetError, match="is damaged"):
        write_dataset(photos, folder, SMALL)


def test_errors(photos: list[Photo], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no photographs"):
        write_dataset([], tmp_path, SMALL)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        write_dataset(photos, tmp_path, SMALL, workers=0)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"none")
    for workers in (1, 2):
        with pytest.raises(ImageReadError, match=r"broken\.png cannot be read"):
            write_dataset([Photo(broken, "g", "val")], tmp_path / "a", SMALL, workers=workers)
    crowded = DatasetPlan(
        count=1, shape=(64, 64), sources=(6,), settings=CompositeSettings(smallest=0.2)
    )
    with pytest.raises(DatasetError, match=r"Composite 0: Found no room"):
        write_dataset(photos, tmp_path / "b", crowded)


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", 0), ("shape", (32, 64)), ("shape", (64, 99999)), ("sources", ()), ("seed", -1)],
)
def test_plans_are_checked(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"not|cannot"):
        DatasetPlan(**{"count": 1, field: value})
