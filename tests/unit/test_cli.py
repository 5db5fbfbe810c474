"""The command line with a tiny random model; as a process: tests/process/test_cli_processes.py."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_runs import (
    ONLY,
    SHAPE,
    cli,
    damaged_models,
    make_batch,
    one_error,
    predict,
)
from PIL import Image
from pyarrow.parquet import read_metadata
from toys import tiny_lite
from typer.testing import CliRunner

from napari_safire import __version__
from napari_safire.cli import app, terminal
from napari_safire.errors import CheckpointError
from napari_safire.images.masks import encode_sources
from napari_safire.images.records.head import SOURCES_FORMAT
from napari_safire.images.records.results import read_results
from napari_safire.model.files.checkpoint import save_checkpoint
from napari_safire.model.safire import SafireModel

# ------------------------------------------------------------------------- the program


@pytest.mark.parametrize("group", [(), ("models",), ("data",)])
def test_a_group_without_a_command_shows_its_help(group: tuple[str, ...]) -> None:
    result = cli(*group)
    assert result.exit_code == 2
    assert result.output.rstrip() == cli(*group, "--help").output.rstrip()


def test_version() -> None:
    assert cli("--version").stdout == f"napari-safire {__version__}\n"


@pytest.mark.parametrize("arguments", [("paint",), ("predict",), ("demo", "--colour")])
def test_wrong_use(arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).exit_code == 2


# ----------------------------------------------------------------------------- predict


def test_same_seed_same_files(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert predict(tiny_model, picture, "-o", tmp_path / folder).exit_code == 0
    for name in ("street_sources.png", "street_heatmap.tif", "street_probabilities.tif"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_only_points(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    result = predict(tiny_model, picture, "-o", tmp_path, "--points", "1,1", "--only-points")
    assert result.exit_code == 0
    assert "1 region " in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"street.json", "street_region_01.png"}
    record = json.loads((tmp_path / "street.json").read_text())
    assert record["partition"] is record["forgery"] is None
    assert record["regions"][0]["prompt"] == [1.0, 1.0]


def test_results_are_replaced_only_when_asked(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    only = ("--points", "1,1", "--only-points")
    assert predict(tiny_model, picture, "-o", tmp_path, *only).exit_code == 0
    before = (tmp_path / "street.json").read_bytes()
    refused = predict(tiny_model, picture, "-o", tmp_path, *only, "--seed", 1)
    assert refused.exit_code == 2
    assert "other settings" in " ".join(refused.stderr.split())
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "street.json").read_bytes() == before
    asked = predict(tiny_model, picture, "-o", tmp_path, "--overwrite", *only, "--seed", 1)
    assert asked.exit_code == 0
    assert json.loads((tmp_path / "street.json").read_bytes())["parameters"]["seed"] == 1


def test_it_says_how_sure_the_number_of_sources_is(picture: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    kinship = {"slope": 0.0, "size": 0.0, "offset": 0.0, "numbers": [9.0, 0.0, 0.0, 0.0, 0.0]}
    model = SafireModel(tiny_lite())
    cells = {"representative": "cells", "source_evidence": 0.0, "kinship": kinship}
    save_checkpoint(model, tmp_path / "cells.safetensors", metadata=cells)
    done = predict(tmp_path / "cells.safetensors", picture, "-o", tmp_path / "out")
    # 31 ways of making two groups of six pieces, each e^9 as probable as the 171 others.
    sure = 31 * np.exp(9) / (31 * np.exp(9) + 171)
    assert f"2 sources ({sure:.0%} sure of the number)" in done.stdout
    record = json.loads((tmp_path / "out" / "street.json").read_text(encoding="utf-8"))
    assert record["partition"]["number_probabilities"]["2"] == pytest.approx(sure)
    given = predict(
        tmp_path / "cells.safetensors", picture, "-o", tmp_path / "given", "--sources", 2
    )
    assert "2 sources," in given.stdout


def test_only_bad_images_leave_no_folder(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    result = predict(tiny_model, tmp_path / "bad.png", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "0 bytes" in one_error(result.stderr)
    assert not (tmp_path / "out").exists()


def test_bad_images_among_good_ones(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    """All bad inputs in one run: each is told in one sentence, and the others go on."""
    whole = picture.read_bytes()
    image = Image.open(picture)
    folder = tmp_path / "in"
    folder.mkdir()
    bad = {
        "truncated.png": whole[: len(whole) // 2],
        "headless.png": whole[:20],
        "empty.png": b"",
        "text.jpg": b"Dear all,\nthis is no picture.\n",
    }
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    (folder / "folder.png").mkdir()
    bad_paths = [*(folder / name for name in bad), folder / "folder.png", folder / "missing.png"]
    image.convert("CMYK").save(folder / "cmyk.jpg")
    frames = [image.convert("P"), image.rotate(180).convert("P")]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    output = tmp_path / "new" / "results"
    result = cli(
        "predict", *bad_paths, folder / "cmyk.jpg", folder / "moving.gif", "-o", output,
        "--model", tiny_model, "--points", "3,4", "--only-points",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == len(bad_paths)
    for path, line in zip(bad_paths, errors, strict=True):
        assert str(path) in line
    warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning:")]
    assert any("CMYK" in line for line in warnings)
    assert any("moving.gif holds 2 pictures" in line for line in warnings)
    assert {path.name for path in output.iterdir()} == {
        "cmyk.json", "cmyk_region_01.png", "moving.json", "moving_region_01.png",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["keys", "truncated", "text", "shapes", "code", "other keys"])
def test_bad_checkpoints(name: str, tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    model = damaged_models(tmp_path, tiny_model)[name]
    result = predict(model, picture, "-o", tmp_path / "out")
    assert result.exit_code == 1
    complaint = one_error(result.stderr)
    assert str(model) in complaint
    assert ("Python code" in complaint) == (name == "code")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "code-was-run").exists()


def test_missing_model(picture: Path, tmp_path: Path) -> None:
    result = predict(tmp_path / "none.pth", picture, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "neither a file nor a model" in one_error(result.stderr)


def test_unknown_device(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    result = predict(tiny_model, picture, "-o", tmp_path / "out", "--device", "abacus")
    assert result.exit_code == 2
    assert "abacus" in one_error(result.stderr)


def test_traceback_on_request(tmp_path: Path, picture: Path) -> None:
    result = CliRunner().invoke(
        app, ["--traceback", "predict", str(picture), "-o", str(tmp_path), "--model", "none"]
    )
    assert isinstance(result.exception, CheckpointError)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--sources", "0"), "neither a number"),
        (("--sources", "many"), "neither a number"),
        (("--sources", "7"), "ask for fewer"),
        (("--method", "kmeans"), "add --sources K"),
        (("--method", "dbscan", "--sources", "2"), "leave out --sources"),
        (("--method", "auto", "--sources", "2"), "leave out --sources"),
        (("--method", "guess"), "guess"),
        (("--eps", "0.3"), "auto has no eps"),
        (("--method", "dbscan", "--eps", "-1"), "not a positive distance"),
        (("--method", "dbscan", "--eps", "nan"), "not a positive distance"),
        (("--points", "3"), "not a point"),
        (("--points", "3,4,5"), "not a point"),
        (("--points", "3,inf"), "not a point"),
        (("--points", "-3,5"), "lies outside"),
        (("--only-points",), "Nothing is asked"),
        (("--points-per-side", "0"), "points-per-side"),
        (("--seed", "-1"), "seed"),
    ],
)
def test_wrong_options_of_predict(
    options: tuple[str, ...], told: str, tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    result = cli("predict", picture, "-o", tmp_path / "out", "--model", tiny_model, *options)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_dbscan(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    result = predict(tiny_model, picture, "-o", tmp_path, "--method", "dbscan", "--eps", "9")
    assert result.exit_code == 0, result.stderr
    record = json.loads((tmp_path / "street.json").read_text())
    assert record["partition"]["parameters"]["eps"] == 9
    assert record["partition"]["n_sources"] == 1


def test_pictures_that_share_a_name_have_results_of_their_own(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number, name in enumerate(("IMG_1.jpg", "IMG_1.png", "IMG_2.jpg", "img_2.jpg", "b.png")):
        Image.open(picture).rotate(number).save(folder / name)
    result = predict(tiny_model, folder, "-o", output, *ONLY)
    assert result.exit_code == 0, result.stderr
    expected = {"IMG_1.jpg", "IMG_1.png", "IMG_2.jpg", "img_2.jpg", "b"}
    assert {path.stem for path in output.glob("*.json")} == expected
    for name in ("IMG_1.jpg", "IMG_1.png"):
        record = json.loads((output / f"{name}.json").read_text())
        assert record["image"]["path"] == f"../in/{name}"
    assert "5 were there already" in predict(tiny_model, folder, "-o", output, *ONLY).stdout


def test_pictures_are_never_replaced(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a_sources.png"):
        (tmp_path / name).write_bytes(picture.read_bytes())
    both = (tmp_path / "a.png", tmp_path / "a_sources.png")
    result = predict(tiny_model, *both, "-o", tmp_path, "--overwrite")
    assert result.exit_code == 2
    assert "would replace the picture" in result.stderr
    assert (tmp_path / "a_sources.png").read_bytes() == picture.read_bytes()


def test_output_that_is_a_file(tiny_model: Path, picture: Path) -> None:
    assert predict(tiny_model, picture, "-o", picture).exit_code == 2


def test_cancelling(
    tiny_model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_safire.corpus.run.examine_image", interrupt)
    result = predict(tiny_model, picture, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr == "Cancelled; nothing half-written.\n"


# ----------------------------------------------------------------------------- batches


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_batch_goes_on_where_it_was(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    folder, output = make_batch(tmp_path / "in", picture), tmp_path / "out"
    first = predict(tiny_model, folder / "p1.png", "-o", output, *ONLY)
    assert first.exit_code == 0
    before = times(output)
    rest = predict(tiny_model, folder, "-o", output, *ONLY)
    assert rest.exit_code == 0, rest.stderr
    assert "3 pictures: 2 done, 1 was there already." in rest.stdout
    after = times(output)
    assert {name: after[name] for name in before} == before
    assert {path.stem for path in output.glob("*.json")} == {"p0", "p1", "p2"}
    again = predict(tiny_model, folder, "-o", output, *ONLY)
    assert again.exit_code == 0
    assert "3 pictures: 0 done, 3 were there already." in again.stdout
    assert times(output) == after


def test_whole_results_are_known_again(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    """With partition, heatmap and k-means, every file of the result counts."""
    options = (picture, "-o", tmp_path, "--sources", 2)
    assert predict(tiny_model, *options).exit_code == 0
    assert "1 picture: 0 done, 1 was there already." in predict(tiny_model, *options).stdout
    (tmp_path / "street_heatmap.tif").unlink()
    again = predict(tiny_model, *options)
    assert again.exit_code == 0
    assert "is done again" in again.stderr
    assert (tmp_path / "street_heatmap.tif").is_file()


def contents(folder: Path) -> dict[str, bytes]:
    """Files by name, records without what differs from run to run."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in [name for name in found if name.endswith(".json")]:
        record = json.loads(found[name])
        for varying in ("created", "created_utc", "seconds"):
            record.pop(varying, None)
        found[name] = json.dumps(record).encode()
    return found


def test_several_pictures_at_once_give_the_same(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    folder = make_batch(tmp_path / "in", picture, 7)
    for jobs in (1, 3):
        result = predict(
            tiny_model, folder, "-o", tmp_path / str(jobs), "--sources", 2, "--jobs", jobs
        )
        assert result.exit_code == 0, result.stderr
        assert "7 pictures: 7 done." in result.stdout
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


def test_results_in_another_precision_are_not_passed_as_those_of_this_one(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    assert predict(tiny_model, picture, "-o", tmp_path, *ONLY).exit_code == 0
    refused = predict(tiny_model, picture, "-o", tmp_path, *ONLY, "--precision", "bf16")
    assert refused.exit_code == 2
    assert "was made in float32, not in bf16" in " ".join(refused.stderr.split())
    rough = ("--precision", "bf16", "--overwrite")
    assert predict(tiny_model, picture, "-o", tmp_path, *ONLY, *rough).exit_code == 0
    record = json.loads((tmp_path / "street.json").read_text(encoding="utf-8"))
    assert record["model"]["precision"] == "bf16"


def test_half_precision_is_refused_on_a_cpu(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    result = predict(tiny_model, picture, "-o", tmp_path, "--precision", "fp16")
    assert result.exit_code == 2
    assert "bf16" in one_error(result.stderr)


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_picture_does_not_stop_a_batch(
    jobs: int, tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    folder, output = make_batch(tmp_path / "in", picture), tmp_path / "out"
    (folder / "p1.png").write_bytes(b"\x89PNG broken")
    for done in ("2 done, 1 failed", "0 done, 2 were there already, 1 failed"):
        result = predict(tiny_model, folder, "-o", output, *ONLY, "--jobs", jobs)
        assert result.exit_code == 1
        assert "p1.png" in one_error(result.stderr)
        assert f"3 pictures: {done}." in result.stdout


def test_a_picture_that_changed_is_told_and_its_results_stay(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    folder, output = make_batch(tmp_path / "in", picture), tmp_path / "out"
    assert predict(tiny_model, folder, "-o", output, *ONLY).exit_code == 0
    before = times(output)
    Image.open(picture).rotate(180).save(folder / "p1.png")
    (folder / "p2.png").unlink()
    again = predict(tiny_model, *(folder / f"p{n}.png" for n in range(3)), "-o", output, *ONLY)
    assert again.exit_code == 1
    errors = [line for line in again.stderr.splitlines() if line.startswith("Error:")]
    assert "another file" in errors[0]
    assert "p2.png" in errors[1]
    assert "1 was there already, 2 failed" in again.stdout
    assert times(output) == before


def test_results_of_another_model_are_not_passed_as_those_of_this_one(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    from napari_safire.model.catalogue.registry import load_model

    assert predict(tiny_model, picture, "-o", tmp_path / "out", *ONLY).exit_code == 0
    model = load_model(tiny_model)
    other = tmp_path / "other.safetensors"
    with torch.no_grad():
        next(model.parameters()).add_(0.1)
    save_checkpoint(model, other)
    before = times(tmp_path / "out")
    refused = predict(other, picture, "-o", tmp_path / "out", *ONLY)
    assert refused.exit_code == 2
    assert "another model" in " ".join(refused.stderr.split())
    assert times(tmp_path / "out") == before


@pytest.mark.parametrize(
    "content", ["{ torn", "[]", '{"format": "napari-safire examination 1"}', '{"milk": 1}']
)
def test_a_record_that_says_nothing_is_not_replaced(
    content: str, tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "street.json").write_text(content)
    refused = predict(tiny_model, picture, "-o", tmp_path, *ONLY)
    assert refused.exit_code == 2
    assert "no complete result" in " ".join(refused.stderr.split())
    assert (tmp_path / "street.json").read_text() == content


def test_a_list_is_done_with_its_folders(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    for name in ("x", "y"):
        make_batch(tmp_path / name, picture, 1)
    path = tmp_path / "list.txt"
    path.write_text("x/p0.png,None\ny/p0.png,None\nx/p0.png,None\n", encoding="utf-8")
    result = predict(tiny_model, path, "-o", tmp_path / "out", *ONLY)
    assert result.exit_code == 0, result.stderr
    assert "2 pictures: 2 done." in result.stdout
    for name in ("x", "y"):
        assert (tmp_path / "out" / name / "p0.json").is_file()


def test_bad_folders_and_lists_do_not_stop_the_others(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("gone.png,None\n")
    result = predict(
        tiny_model, tmp_path / "empty", tmp_path / "list.txt", picture,
        "-o", tmp_path / "out", *ONLY,
    )  # fmt: skip
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert "no pictures" in errors[0]
    assert "gone.png" in errors[1]
    assert (tmp_path / "out" / "street.json").is_file()


def test_results_do_not_go_among_the_pictures_of_a_folder(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    folder = make_batch(tmp_path / "in", picture)
    before = times(folder)
    result = predict(tiny_model, folder, "-o", folder / ".", *ONLY)
    assert result.exit_code == 2
    assert "choose another folder" in " ".join(result.stderr.split())
    assert times(folder) == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_whatever_goes_wrong_with_one_picture_is_its_own_error(
    jobs: int, tiny_model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_safire.corpus import run

    folder = make_batch(tmp_path / "in", picture, 5)
    true_examine = run.examine_image
    failures = {"p1": MemoryError(), "p2": ZeroDivisionError("float"), "p3": OSError(5, "I/O")}

    def examine(engine: Any, image: Any, *arguments: Any, **options: Any) -> Any:
        if image.path.stem in failures:
            raise failures[image.path.stem]
        return true_examine(engine, image, *arguments, **options)

    monkeypatch.setattr(run, "examine_image", examine)
    result = predict(tiny_model, folder, "-o", tmp_path / "out", *ONLY, "--jobs", jobs)
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    for name in failures:
        assert sum(str(folder / f"{name}.png") in line for line in errors) == 1
    assert "5 pictures: 2 done, 3 failed." in result.stdout
    assert "Traceback" not in result.stderr
    shown = CliRunner().invoke(
        app,
        [
            "--traceback", "predict", str(folder), "-o", str(tmp_path / "out"), "--model",
            str(tiny_model), "--points-per-side", "4", *ONLY,
        ],
    )  # fmt: skip
    assert "ZeroDivisionError" in shown.stderr
    assert "Traceback" in shown.stderr


def test_the_output_folder_is_not_listed_for_each_picture(
    tiny_model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = make_batch(tmp_path / "in", picture, 6), tmp_path / "out"
    listed: list[Path] = []
    for name in ("listdir", "scandir"):
        true = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda path=".", true=true: listed.append(Path(str(path))) or true(path)
        )
    for more in ((), (), ("--overwrite",)):
        listed.clear()
        assert predict(tiny_model, folder, "-o", output, *ONLY, *more).exit_code == 0
        assert listed.count(output) == 1


def test_nothing_done_is_no_success(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "bad.png").write_bytes(b"x")
    for name in ("empty", "empty.txt", "bad.png"):
        result = predict(tiny_model, tmp_path / name, "-o", tmp_path / "out")
        assert result.exit_code == 1, name
        assert name in one_error(result.stderr)
        assert not (tmp_path / "out").exists()


def test_a_point_outside_one_picture_only(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    folder = make_batch(tmp_path / "in", picture, 2)
    Image.open(picture).crop((0, 0, 40, 40)).save(folder / "p1.png")
    result = predict(
        tiny_model, folder, "-o", tmp_path / "out", "--points", "60,60", "--only-points"
    )
    assert result.exit_code == 1  # the command as such is right
    assert "p1.png" in one_error(result.stderr)
    assert (tmp_path / "out" / "p0.json").is_file()


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(
    picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = cli("predict", picture, "-o", tmp_path / "file" / "out", "--model", "none")
    assert result.exit_code == 1
    assert "Nothing can be written to" in one_error(result.stderr)
    result = cli("demo", "-o", tmp_path / "file" / "out", "--model", "none")
    assert "Nothing can be written to" in one_error(result.stderr)


def test_records_name_no_user_unless_asked(
    tiny_model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "jane.doe"
    folder = make_batch(tmp_path / "jane.doe", picture, 1)
    Image.open(picture).convert("CMYK").save(folder / "cmyk.jpg")  # its warning has its name
    (home / "tiny.safetensors").write_bytes(tiny_model.read_bytes())
    monkeypatch.setenv("HOME", str(home))
    model = home / "tiny.safetensors"
    assert predict(model, folder, "-o", tmp_path / "out", *ONLY).exit_code == 0
    for path in (tmp_path / "out").glob("*.json"):
        assert "jane" not in path.read_text()
        assert read_results(path).image is not None
    result = predict(model, folder, "-o", tmp_path / "whole", *ONLY, "--absolute-paths")
    assert result.exit_code == 0
    record = json.loads((tmp_path / "whole" / "cmyk.json").read_text())
    assert record["image"]["path"] == str(folder / "cmyk.jpg")
    assert record["model"]["name"] == str(model)


def test_labels_made_by_hand_are_never_replaced(
    tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    text = json.dumps({"format": SOURCES_FORMAT, "image": {}})
    (tmp_path / "street.json").write_text(text)
    result = predict(tiny_model, picture, "-o", tmp_path, *ONLY, "--overwrite")
    assert result.exit_code == 2
    assert "made by hand" in one_error(result.stderr)
    assert (tmp_path / "street.json").read_text() == text


def test_all_output_goes_through_one_function() -> None:
    """Anywhere else a name could write to the terminal what it likes."""
    folder = Path(terminal.__file__).parent
    for path in folder.glob("*.py"):
        calls = path.read_text(encoding="utf-8").count("typer.echo(")
        assert calls == (path.name == "terminal.py"), path


# -------------------------------------------------------------------- demo and the rest


def test_demo(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = cli("demo", "-o", folder, "--model", tiny_model)
    assert done.exit_code == 0, done.stderr
    for told in ("sources found", "(true: 3)", "p_mIoU", "inconclusive", "seconds: embed"):
        assert told in done.stdout
    assert "no calibration" in done.stdout
    shown = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert {Path(path) for path in shown} == set(folder.iterdir())
    again = cli("demo", "-o", folder, "--model", tiny_model)  # replaces the first results
    assert again.exit_code == 0
    assert {Path(path) for path in shown} == set(folder.iterdir())


def make_data_set(folder: Path, picture: Path) -> Path:
    image = np.asarray(Image.open(picture))
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 64:] = 1
    for number in range(2):
        Image.fromarray(image[::-1] if number else image).save(folder / f"{number}.png")
        Image.fromarray(encode_sources(labels)).save(folder / f"{number}_mask.png")
    (folder / "broken.png").write_bytes(b"\x89PNG broken")
    path = folder / "list.txt"
    path.write_text(
        "0.png,0_mask.png\n1.png,1_mask.png\nbroken.png,0_mask.png\n0.png,None\n", encoding="utf-8"
    )
    return path


@pytest.mark.parametrize("kind", ["sources", "binary"])
def test_evaluate(kind: str, tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    result = cli(
        "evaluate", make_data_set(tmp_path, picture), "--kind", kind, "--model", tiny_model,
        "-o", table, "--points-per-side", 4,
    )  # fmt: skip
    assert result.exit_code == 1, result.stderr  # of the broken one
    assert f"3 images scored, 1 broken; masks read as {kind}" in result.stdout
    assert "broken.png" in one_error(result.stderr)
    assert "f1_fixed_above_floor" in result.stdout
    assert ("p_miou_hungarian" in result.stdout) == (kind == "sources")
    assert "1 authentic images: 0 called forged" in result.stdout
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    assert rows[2]["error"]


def test_evaluate_with_limit(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    result = cli(
        "evaluate", make_data_set(tmp_path, picture), "--limit", 1, "--model", tiny_model,
        "--sources", "auto", "--points-per-side", 4,
    )  # fmt: skip
    assert result.exit_code == 0
    assert "1 images scored, 0 broken" in result.stdout


def test_evaluate_only_broken_images(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    path = make_data_set(tmp_path, picture)
    path.write_text("broken.png,None\n")
    result = cli("evaluate", path, "--model", tiny_model)
    assert result.exit_code == 1
    assert "0 images scored, 1 broken" in result.stdout


@pytest.mark.parametrize("content", ["", "one field\n", "0.png,gone.png\n", "../x.png,None\n"])
def test_bad_lists(content: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(content)
    result = cli("evaluate", tmp_path / "list.txt")
    assert result.exit_code == 1
    assert "list.txt" in one_error(result.stderr)


def test_evaluate_into_a_missing_folder(tmp_path: Path) -> None:
    result = cli("evaluate", tmp_path / "list.txt", "-o", tmp_path / "none" / "scores.csv")
    assert result.exit_code == 2


@pytest.fixture
def other_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The same network with other weights, in a file of the same name."""
    from napari_safire.model.catalogue.registry import load_model

    model = load_model(tiny_model)
    with torch.no_grad():
        next(model.parameters()).add_(0.1)
    path = tmp_path / "other" / tiny_model.name
    path.parent.mkdir()
    save_checkpoint(model, path)
    return path


def test_evaluate_into_a_folder(
    tiny_model: Path, other_model: Path, picture: Path, tmp_path: Path
) -> None:
    """Two models on two lists, one picture degraded; the second time nothing is asked again."""
    path = make_data_set(tmp_path, picture)
    (tmp_path / "more.txt").write_text("1.png,1_mask.png\n")
    command = (
        "evaluate", path, tmp_path / "more.txt", "-o", tmp_path / "out", "--model", tiny_model,
        "--model", other_model, "--degradation", "jpeg-75", "--points-per-side", 4, "--at", 64,
        "--jobs", 2, "--worst", 1,
    )  # fmt: skip
    first = cli(*command)
    assert first.exit_code == 1, first.stderr  # of the broken one
    assert "broken.png" in one_error(first.stderr)
    for told in ("other/tiny - model", "jpeg-75", "floor: an answer that says nothing"):
        assert told in first.stdout
    (part,) = (tmp_path / "out" / "more").glob("other*/parts/*.parquet")
    kept = (tmp_path / "out").rglob("*/parts/*.parquet")
    files = {path: path.read_bytes() for path in kept}
    assert len(files) == 4
    assert read_metadata(part).num_rows == 2
    again = cli(*command)
    assert again.exit_code == 1
    assert again.stdout == first.stdout
    assert {path: path.read_bytes() for path in files} == files
    assert "jpeg-75" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_evaluate_refuses_scores_of_another_model(
    tiny_model: Path, other_model: Path, picture: Path, tmp_path: Path
) -> None:
    command = ("evaluate", make_data_set(tmp_path, picture), "-o", tmp_path / "out", "--limit", 1)
    options = ("--points-per-side", 4, "--worst", 0)
    assert cli(*command, *options, "--model", tiny_model).exit_code == 0
    refused = cli(*command, *options, "--model", other_model)
    assert refused.exit_code == 1
    assert "checkpoint_sha256 was" in one_error(refused.stderr)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--degradation", "jpeg-0"), "whole quality"),
        (("--degradation", "haze-3"), "haze"),
        (("--at", 3), "cannot be scored at"),
        (("--model", "a", "--model", "a"), "named twice"),
        (("--model", "a", "--model", "b", "-o", "{folder}/scores.csv"), "give a folder"),
        (("-o", "{folder}/0.png"), "is a file"),
    ],
)
def test_evaluate_with_options_that_mean_nothing(
    options: tuple[object, ...], told: str, picture: Path, tmp_path: Path
) -> None:
    path = make_data_set(tmp_path, picture)
    result = cli("evaluate", path, *(str(o).format(folder=tmp_path) for o in options))
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())


def test_models_list() -> None:
    result = cli("models", "list")
    assert result.exit_code == 0
    assert "safire-lite  (lite, BSD-3-Clause)" in result.stdout


@pytest.mark.parametrize("command", ["path", "verify"])
def test_models_of_unknown_name(command: str) -> None:
    result = cli("models", command, "none")
    assert result.exit_code == 1
    assert "'none'" in one_error(result.stderr)


def test_models_path_and_verify() -> None:
    """Both say where and what, or both say that the weights are not there."""
    path, verified = cli("models", "path", "safire-lite"), cli("models", "verify")
    assert path.exit_code == verified.exit_code
    if path.exit_code == 0:
        digest = hashlib.sha256(Path(path.stdout.strip()).read_bytes()).hexdigest()
        assert verified.stdout == f"safire-lite: intact, SHA-256 {digest}\n"
    else:
        assert "missing" in one_error(path.stderr)
        assert "missing" in one_error(verified.stderr)
