"""The script that makes data sets of composites, and the writer that it rests on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from script_runs import TRAINING, run_script
from synthetic import photo_files, photo_table

from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.lists import read_list
from napari_safire.images.mask_pairs import find_folder_pairs, pair_pictures
from napari_safire.images.truth import read_mask
from napari_safire.synthesis.composite_settings import OPERATIONS, CompositeSettings
from napari_safire.synthesis.dataset_plan import DatasetPlan
from napari_safire.synthesis.dataset_writer import write_dataset
from napari_safire.synthesis.photos import Photo, divide, read_photo_folder, read_photo_table

SCRIPT = "make_dataset.py"
SMALL = DatasetPlan(count=5, shape=(64, 80), sources=(1, 2, 3), seed=4)
ALL_PARTS = DatasetPlan(
    count=8,
    shape=(64, 80),
    sources=(2, 5),
    seed=1,
    settings=CompositeSettings(operations=dict.fromkeys(OPERATIONS, 0.25), strengths=(0.4, 0.95)),
    layout="safirems",
)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_script(SCRIPT, *arguments)


def run_as_users_do(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TRAINING / SCRIPT), *map(str, arguments)],
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
    done = run_as_users_do(*arguments, "--count", 4, "--seed", 3)
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
        (["--count", 2, "--operations", "splicing,blur"], 2, "not blur"),
        (
            ["--count", 2, "--operations", "removal", "--inpainter", "lama"],
            1,
            "no inpainter 'lama': use biharmonic or clone, or package.module:name",
        ),
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
        with pytest.raises(ImageReadError, match=r"broken\.png (is not|begins like)"):
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


def test_layout_of_safirems(photos: list[Photo], tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert write_dataset(photos, folder, ALL_PARTS) == 8
    lists = {path.name: read_list(path) for path in sorted(folder.glob("*.txt"))}
    assert {name: len(entries) for name, entries in lists.items()} == {
        "SafireMSAuto_cm_list.txt": 2,
        "SafireMSAuto_sp_list.txt": 2,
        "SafireMSAuto_rm_list.txt": 1,
        "SafireMSAuto_gn_list.txt": 2,  # one mask, two strengths
        "Safire_ms2.txt": 1,
        "Safire_ms5.txt": 1,
    }
    for name, entries in lists.items():
        for entry in entries:
            stack = name.startswith("Safire_ms")
            with Image.open(entry.mask) as mask:
                values = np.unique(np.asarray(mask)).tolist()
            assert values == [50 * k for k in range(int(name[9]))] if stack else [0, 255]
    weak, strong = lists["SafireMSAuto_gn_list.txt"]
    assert weak.mask == strong.mask
    assert weak.image.name == f"0.4_{weak.mask.name}"
    assert strong.image.name == f"0.95_{weak.mask.name}"
    assert weak.image.parts[-4:-2] in (("gn", "inpainting_sd"), ("gn", "inpainting_pp_sd"))
    with Image.open(weak.image) as one, Image.open(strong.image) as other:
        outside = np.asarray(Image.open(weak.mask)) == 0
        if "pp" not in weak.image.parts[-3]:
            np.testing.assert_array_equal(np.asarray(one)[outside], np.asarray(other)[outside])
    (splicing, _) = lists["SafireMSAuto_sp_list.txt"]
    assert splicing.image.name[:6] == splicing.mask.name[:6]
    assert splicing.image.name != splicing.mask.name
    # The folders alone say the same as the lists.
    paired = {
        (entry.image, entry.mask)
        for top in (folder, *(folder / part for part in ("cm", "sp", "rm", "gn")))
        for pair in find_folder_pairs(top)
        for entry in pair_pictures(pair).entries
    }
    assert paired == {(e.image, e.mask) for entries in lists.values() for e in entries}


def test_safirems_is_the_same_however_it_is_made(photos: list[Photo], tmp_path: Path) -> None:
    write_dataset(photos, tmp_path / "a", ALL_PARTS)
    before = hashes(tmp_path / "a")
    short = dataclasses.replace(ALL_PARTS, count=5)
    write_dataset(photos, tmp_path / "b", short)
    next((tmp_path / "b").rglob("gn/**/0.95_*.png")).unlink()
    assert write_dataset(photos, tmp_path / "b", ALL_PARTS, workers=2) == 4
    assert hashes(tmp_path / "b") == before
    singles = dataclasses.replace(ALL_PARTS, count=4, sources=())
    write_dataset(photos, tmp_path / "c", singles)
    assert not list((tmp_path / "c").glob("ms*"))


def test_stacks_of_safirems_have_two_to_five_sources() -> None:
    for sources in ((1,), (6,)):
        with pytest.raises(ValueError, match="must be 2 to 5 each"):
            dataclasses.replace(ALL_PARTS, sources=sources)
    with pytest.raises(ValueError, match="plain or safirems, not 'coco'"):
        dataclasses.replace(ALL_PARTS, layout="coco")


def test_script_takes_a_folder_with_broken_files(tmp_path: Path) -> None:
    folder = tmp_path / "Fotos ä"
    photo_files(folder / "Ana", 2)
    photo_files(folder / "Bo 数据", 2)
    (folder / "empty.jpg").touch()
    whole = (folder / "Ana" / "photo0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    arguments = [folder, "--count", 12, "--sources", "2", "--size", "64x64"]
    done = run(*arguments, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "12 of them new; 2 photographs could not be read" in done.stdout
    assert done.stderr.count("empty.jpg is empty") == 1
    assert done.stderr.count("cut.png begins like a PNG file but is damaged") == 1
    used = {s["photo"] for record in records(tmp_path / "out") for s in record["sources"]}
    assert used <= {f"{group}/photo{i}.png" for group in ("Ana", "Bo 数据") for i in (0, 1)}
    plan = DatasetPlan(count=12, shape=(64, 64), sources=(2,))
    told: list[str] = []
    write_dataset(read_photo_folder(folder), tmp_path / "one", plan, on_problem=told.append)
    assert len(told) == 2
    assert hashes(tmp_path / "one") == hashes(tmp_path / "out")

    inside = run(*arguments, "-o", folder / "out")
    assert inside.returncode == 1
    assert "lies in the folder of the photographs" in inside.stderr
    split = run(*arguments, "-o", tmp_path / "x", "--split", "val")
    assert split.returncode == 2
    assert "--split chooses rows of a table" in " ".join(split.stderr.split())
