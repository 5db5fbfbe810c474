"""training/calibrate.py and what it looks at: composites, camera originals, folds, rates."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic import photo_files

from napari_safire.engine.rules import ModelRules, read_rules
from napari_safire.errors import DatasetError
from napari_safire.forgery import Calibration
from napari_safire.images.lists import read_list
from napari_safire.learning.calibration import Observation, candidates_of
from napari_safire.model import ModelConfig, SafireModel, load_model, save_checkpoint
from napari_safire.synthesis.degradations import Degradation
from napari_safire.synthesis.photos import Photo, divide_by_origin, read_photo_table

TRAINING = Path(__file__).parents[2] / "training"
MODULES = (
    "calibrate", "calibration_pictures", "calibration_report", "calibration_seen",
    "authentic_crops", "settings", "pictures",
)  # fmt: skip


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`calibrate` and `calibration_pictures`, the latter with tiny pictures."""
    monkeypatch.syspath_prepend(str(TRAINING))
    import calibrate
    import calibration_pictures

    monkeypatch.setattr(calibration_pictures, "SHAPES", ((96, 96), (96, 120)))
    yield calibrate, calibration_pictures
    for name in MODULES:
        sys.modules.pop(name, None)  # names as plain as these may be others' too


def write_photos(table: Path, rows: list[dict[str, str]]) -> Path:
    """A table of photographs made on the spot, with the columns that the rows have."""
    paths = photo_files(table.with_suffix(""), len(rows), (160, 176))
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", *rows[0]])
        writer.writeheader()
        writer.writerows([{"file": p.name, **row} for p, row in zip(paths, rows, strict=True)])
    return table


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Six photographs of the train split, one of val; three originals, two of them of the six."""
    published = [{"source_repo": "a/b", "path": f"{n}.jpg"} for n in range(9)]
    photos = [{"group": f"camera {n % 4}", "split": "train", **published[n]} for n in range(6)]
    photos.append({"group": "camera 9", "split": "val", **published[6]})
    originals = [{"split": "train", **published[n]} for n in (0, 5, 7)]
    return (
        write_photos(tmp_path / "photos.csv", photos),
        write_photos(tmp_path / "originals.csv", originals),
    )


def test_photographs_are_known_by_where_they_were_published(tables: tuple[Path, Path]) -> None:
    photos = read_photo_table(tables[0])
    originals = read_photo_table(tables[1], group="file")
    assert originals[0].group == originals[0].path.name
    shared, apart = divide_by_origin(originals, photos)
    assert [p.origin for p in shared] == ["a/b/0.jpg", "a/b/5.jpg"]
    assert [p.origin for p in apart] == ["a/b/7.jpg"]
    with pytest.raises(DatasetError, match=r"where x\.png was published: its table needs the"):
        divide_by_origin([Photo(Path("x.png"), "", "")], photos)
    with pytest.raises(DatasetError, match="has no column group"):
        read_photo_table(tables[1])


def test_what_calibration_uses_is_not_what_is_left_for_tests(
    tables: tuple[Path, Path], tmp_path: Path, scripts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import authentic_crops

    photos, originals = tables
    names = {}
    for option in ("--like", "--unlike"):
        out = tmp_path / option
        command = ["authentic_crops.py", str(originals), "--split", "train", "--size", "64x64"]
        monkeypatch.setattr(sys, "argv", [*command, "-o", str(out), option, str(photos)])
        assert authentic_crops.main() == 0
        names[option] = {entry.image.stem for entry in read_list(out / "list.txt")}
    assert names == {"--like": {"photo0", "photo1"}, "--unlike": {"photo2"}}
    table = [p for p in read_photo_table(photos) if p.split == "train"]
    used = scripts[1].originals_for_calibration(read_photo_table(originals, group="file"), table)
    assert {p.path.stem for p in used} == names["--like"]
    assert [p.group for p in used] == ["camera 0", "camera 1"]  # as in the training's table


def test_folds_share_no_photographer_and_all_kinds_are_in_both(
    tables: tuple[Path, Path], scripts: Any
) -> None:
    _, made = scripts
    photos = [p for p in read_photo_table(tables[0]) if p.split == "train"]
    originals = made.originals_for_calibration(read_photo_table(tables[1], group="file"), photos)
    folds = made.folds_of(photos, originals)
    assert sorted(folds.values()) == [0, 0, 1, 1]
    names = ("none", "resize-0.75")
    how = [Degradation.parse(name) for name in names]
    composites = list(made.composites(photos, folds, 24, how, seed=1))
    for fold in (0, 1):
        counts = [p.n_sources for p in composites if p.fold == fold]
        assert sorted(counts) == sorted((1, 2, 1, 3, 1, 4) * 2)
        assert {p.degradation for p in composites if p.fold == fold} == set(names)
    for one in composites:
        assert one.labels.shape == one.pixels.shape[:2]
        assert set(np.unique(one.labels)) == set(range(one.n_sources))
    assert {p.labels.shape for p in composites if p.degradation != "none"} <= {(72, 72), (72, 90)}
    again = list(made.composites(photos, folds, 3, how, seed=1))
    np.testing.assert_array_equal(again[2].pixels, composites[2].pixels)
    with pytest.raises(DatasetError, match="held-out photographers at least"):
        made.folds_of(photos[:1])


def test_untouched_crops_are_as_they_were_and_recompressed(
    tables: tuple[Path, Path], scripts: Any
) -> None:
    _, made = scripts
    photos = read_photo_table(tables[0])[:2]
    crops = list(
        made.untouched_crops("photographs", photos, made.folds_of(photos), crops=2, seed=0)
    )
    assert {p.kind for p in crops} == {"photographs"}
    assert [p.degradation for p in crops] == ["none", "jpeg-90", "jpeg-75"] * 4
    assert {p.n_sources for p in crops} == {1}
    assert [p.fold for p in crops[::6]] == [0, 1]
    whole = np.asarray(Image.open(photos[0].path))
    corners = [(row, col) for row in range(0, 65, 8) for col in range(0, 81, 8)]
    first = crops[0].pixels
    assert any(np.array_equal(first, whole[row : row + 96, col : col + 96]) for row, col in corners)
    assert not np.array_equal(crops[1].pixels, first)


@pytest.fixture
def command(tables: tuple[Path, Path], tmp_path: Path, scripts: Any) -> list[str]:
    """A toy model and settings; distances are made up, so that forgeries look like forgeries."""
    torch.manual_seed(0)
    save_checkpoint(
        SafireModel(ModelConfig.lite()),
        tmp_path / "trained.safetensors",
        metadata={"confidence_calibration": "of other weights, to be dropped"},
    )
    (tmp_path / "toy.toml").write_text(
        f'base = "{(TRAINING / "lite.toml").as_posix()}"\n[data]\nheld_out_groups = 1.0\n'
        f'photos_csv = "{tables[0].as_posix()}"\n',
        encoding="utf-8",
    )
    return [
        "calibrate.py", str(tmp_path / "trained.safetensors"), str(tmp_path / "toy.toml"),
        "-o", str(tmp_path / "model.safetensors"), "--count", "12", "--degraded", "12",
        "--crops", "1", "--untouched", "1",
    ]  # fmt: skip


def made_up(engine: Any, pixels: np.ndarray, n_sources: int) -> Observation:
    noise = np.random.default_rng(int(pixels.sum())).normal(0, 0.2)
    found = tuple(n_sources if k == 30 else 1 for k in range(len(candidates_of(engine.rules))))
    return Observation(n_sources, 3.0 + 4 * (n_sources > 1) + noise, found)


Calibrated = Callable[..., tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture
def calibrated(
    command: list[str],
    tmp_path: Path,
    scripts: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Calibrated:
    """Run the script: what it tells, and what is stored."""
    monkeypatch.setattr("calibration_seen.observe", made_up)

    def run(*extra: str) -> tuple[dict[str, Any], dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", [*command, *extra])
        assert scripts[0].main() == 0, capsys.readouterr().err
        stored = load_model(tmp_path / "model.safetensors").metadata
        return json.loads(capsys.readouterr().out), stored

    return run


@pytest.mark.parametrize("by", ["patches", "prompts"])
def test_a_model_is_calibrated_on_every_kind_of_picture(
    by: str, calibrated: Calibrated, tables: tuple[Path, Path], tmp_path: Path
) -> None:
    told, metadata = calibrated("--originals", str(tables[1]), "--by", by)
    basis = metadata["calibration"]["basis"]
    for said in (
        "24 synthetic pictures (12 of one source, 12 degraded) of 6 photographs",
        "18 untouched crops of these photographs (12 recompressed)",
        "6 untouched crops of 2 camera originals (4 recompressed)",
    ):  # fmt: skip
        assert said in basis
    assert basis.startswith("calibrated on ")
    rules = read_rules(metadata)
    assert (rules.patches is not None) == (by == "patches")
    if rules.patches is not None:
        assert "source_distance" not in metadata
        # Whatever lies between the two kinds finds as many numbers.
        assert 3.5 < rules.patches.least_score < 6.5
        assert rules.patches.weights.distance > 0
        assert any(rules.patches.grouping.numbers)
        assert 1 / 4 < told["number_of_sources_right, as fitted"] <= 1
        assert 0 <= told["number_of_sources_right, cross-fitted"] <= 1
        assert rules.patches.inverse_temperature not in (0, 1)
    else:
        assert not {"source_evidence", "evidence", "kinship", "cut_sharpness"} & metadata.keys()
        assert rules.threshold == candidates_of(rules)[30]
        assert told["number_of_sources_right, as fitted"] == 1
        assert told["number_of_sources_right, cross-fitted"] == 1
    assert metadata["calibration"]["n_authentic"] == 36
    assert metadata["calibration"]["n_forged"] == 12
    assert told["originals_learned_from_in_other_copies"] == 0
    assert rules.confidence is not None
    assert basis.removeprefix("calibrated on ") in rules.confidence.basis
    assert told["cross-fitted"]["authentic"]["pictures"] == 36
    assert told["cross-fitted"]["forged"]["pictures"] == 12
    assert told["all, as fitted"]["authentic"]["forged"] <= 0.1
    for shares in told["cross-fitted"].values():
        kinds = ("forged", "inconclusive", "no forgery found")
        assert sum(shares[kind] for kind in kinds) == pytest.approx(1)
    assert told["cross-fitted, originals, jpeg-75"]["authentic"]["pictures"] == 2
    assert "forged" not in told["cross-fitted, originals, none"]
    assert set(told["expected_calibration_error"]) == {"Verdicts", "Confidence, raw", "Confidence"}
    assert "Verdicts" in (tmp_path / "model-calibration.svg").read_text(encoding="utf-8")
    with (tmp_path / "model-calibration.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)


def test_numbers_of_sources_are_right_on_pictures_that_nothing_was_fitted_on(
    scripts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate, _ = scripts
    rules = ModelRules()
    count = len(candidates_of(rules))

    def seen(fold: int, n_sources: int) -> Any:
        # In fold 0 the tenth threshold is right, in fold 1 the twentieth.
        right = 10 + 10 * fold
        found = tuple(n_sources if place == right else 9 for place in range(count))
        observation = Observation(n_sources, 1.0, found)
        return calibrate.Seen("made up", "none", fold, observation, None, None, None)

    pictures = [seen(fold, n) for fold in (0, 1) for n in (1, 2, 3)]
    assert calibrate.settle_sources(rules, pictures)[1] == 0.5
    assert calibrate.settle_sources(rules, pictures[:3])[1] == 1
    assert calibrate.cross_fitted_numbers(rules, pictures) == 0
    assert np.isnan(calibrate.cross_fitted_numbers(rules, pictures[:3]))


def test_what_the_model_has_learned_from_counts_for_the_verdict_alone(
    calibrated: Calibrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was learned from looks more forged than the rest: only the verdict may hear of it.
    monkeypatch.setattr("calibration_seen.Engine.separation", lambda engine, embedding: 5.0)
    settings = tmp_path / "toy.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("1.0", "0.5"), "utf-8")
    told, stored = zip(*[calibrated("--learned", crops) for crops in ("0", "2")], strict=True)
    without, having = stored
    assert "learned" not in without["calibration"]["basis"]
    learned = told[1]["cross-fitted, learned, jpeg-75"]["authentic"]["pictures"]
    assert learned in (4, 6, 8)
    assert (
        f"; and {3 * learned} ({2 * learned} recompressed) of the {learned // 2} photographs it "
        "has learned from"
    ) in having["calibration"]["basis"]
    alike = without.keys() - {"calibration"}
    assert {key: having[key] for key in alike} == {key: without[key] for key in alike}

    def called_forged(metadata: dict[str, Any]) -> bool:
        calibration = Calibration(**metadata["calibration"])
        return calibration.probability(5.0) >= calibration.forged_above

    assert called_forged(without)
    assert not called_forged(having)


def test_what_cannot_be_calibrated_is_one_sentence(
    command: list[str],
    tables: tuple[Path, Path],
    tmp_path: Path,
    scripts: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calibrate, _ = scripts

    def upside_down(engine: Any, pixels: Any, n_sources: int) -> Observation:
        return Observation(n_sources, 1.0 - 0.5 * (n_sources > 1))

    monkeypatch.setattr("calibration_seen.observe", upside_down)
    others = write_photos(
        tmp_path / "others.csv", [{"split": "train", "source_repo": "c/d", "path": "0.jpg"}]
    )
    for extra, words in (
        (["--degraded", "0", "--count", "24"], "do not look more forged"),
        (["--miss-rate", "0", "--count", "24"], "miss_rate is a share between 0 and 1"),
        (["--originals", str(others)], "stands in"),
        (["--originals", str(tables[1]), "--originals-split", "test"], "split test"),
        (["--originals", str(tmp_path / "none.csv")], "There is no photo table"),
    ):
        monkeypatch.setattr(sys, "argv", [*command, *extra])
        assert calibrate.main() == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()
    for option in ("--count", "--degraded", "--crops", "--learned"):
        monkeypatch.setattr(sys, "argv", [*command, option, "-1"])
        with pytest.raises(SystemExit):
            calibrate.main()
        assert f"{option} must be at least" in capsys.readouterr().err
