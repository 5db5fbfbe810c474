"""``napari-safire review`` and ``report verify``, with a tiny model, as users run them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_runs import cli, make_model
from review_cases import small_picture

from napari_safire.images.files import file_sha256

TIME = ("--timestamp", "2026-11-29T10:00:00Z")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with picture, model and report, and what was said of it."""
    folder = tmp_path_factory.mktemp("review")
    small_picture(folder / "a.png")
    model = make_model(folder / "model.safetensors")
    said = cli(
        "review", folder / "a.png", "-o", folder / "out", "--as", "Anna", "--model", model,
        "--stability", "none", "--evidence", "none", "--number", "17/26", "--json", *TIME,
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("{")]
    return folder, json.loads(line)


def prove(folder: Path, *options: object) -> tuple[int, dict[str, tuple[str, str]]]:
    said = cli(
        "report", "verify", folder / "out" / "a.png", "--model", folder / "model.safetensors",
        "--json", *options,
    )  # fmt: skip
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("{")]
    found = json.loads(line)
    assert found["holds"] == (said.exit_code == 0)
    return said.exit_code, {one["what"]: (one["state"], one["words"]) for one in found["checks"]}


def test_a_report_is_made_and_holds_with_the_analysis_made_again(done) -> None:
    folder, told = done
    assert Path(told["report"]) == folder / "out" / "a.png" / "report.json"
    assert told["problem"] == ""
    document = json.loads(Path(told["report"]).read_text("utf-8"))
    assert document["case"]["number"] == "17/26"
    assert document["made"]["by"] == "Anna"
    assert document["digest"] == told["digest"]
    code, found = prove(folder)
    assert code == 0
    assert {state for state, _ in found.values()} == {"right"}
    assert "came again" in found["analysis made again"][1]


def test_a_second_run_replaces_nothing_unasked_and_gives_the_same_bytes(done, tmp_path) -> None:
    folder = Path(shutil.copytree(done[0], tmp_path / "copy"))
    report = folder / "out" / "a.png" / "report.json"
    options = ("-o", folder / "out", "--as", "Anna", "--model", folder / "model.safetensors",
               "--stability", "none", "--evidence", "none", *TIME)  # fmt: skip
    before = file_sha256(report)
    refused = cli("review", folder / "a.png", *options)
    assert refused.exit_code == 2
    assert "holds a report already" in refused.output
    again = cli("review", folder / "a.png", *options, "--overwrite")
    assert again.exit_code == 0
    assert "is replaced" in again.output
    assert file_sha256(report) == before


@pytest.mark.parametrize("name", ["a.png", "model.safetensors", "out/a.png/report.pdf"])
def test_a_changed_byte_ends_with_exit_code_1(done, tmp_path, name: str) -> None:
    folder = Path(shutil.copytree(done[0], tmp_path / "copy"))
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(bytes(data))
    code, found = prove(folder, "--no-rerun")
    assert code == 1
    wrong = {what for what, (state, _) in found.items() if state == "wrong"}
    assert wrong <= {"picture", "model", "report.pdf", "case"}
    assert {"a.png": "picture", "model.safetensors": "model"}.get(name, "report.pdf") in wrong


def test_lines_for_people_name_each_check(done) -> None:
    said = cli("report", "verify", done[0] / "out" / "a.png", "--no-rerun")
    assert "RIGHT        report.json: " in said.stdout
    assert "not checked  model: It is not on this machine" in said.stdout
    assert "Nothing is wrong with what was checked; not checked: 2." in said.stdout
    assert cli("report", "verify", done[0]).exit_code == 1


def test_wrong_use_is_told_before_the_model_is_loaded(tmp_path) -> None:
    picture = small_picture(tmp_path / "a.png")
    for options in (
        ("--timestamp", "noon"),
        ("--timestamp", "9999-12-31T23:59:59-12:00"),
        ("--language", "xx"),
        ("--stability", "some"),
    ):
        assert cli("review", picture, "-o", tmp_path, *options).exit_code == 2
    (tmp_path / "empty").mkdir()
    assert cli("review", tmp_path / "empty", "-o", tmp_path / "out").exit_code == 1
