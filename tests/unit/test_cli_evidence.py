"""``napari-safire evidence``: what is written, and what is said of bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_safire.cli import app


def run(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["evidence", *map(str, words)])
    return found.exit_code, found.output


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rows, cols = np.mgrid[:80, :96]
    return np.stack([rows * 3, cols * 2, (rows * cols) % 256], axis=-1).astype(np.uint8)


def test_views_are_written_beside_one_json(tmp_path, picture):
    path = tmp_path / "a.jpg"
    Image.fromarray(picture).save(path, quality=85)
    code, said = run(path, "-o", tmp_path / "out")
    assert code == 0
    document = json.loads((tmp_path / "out" / "a.jpg_evidence.json").read_text("utf-8"))
    assert document["format"] == "napari-safire evidence 1"
    assert document["image"] == "a.jpg"
    assert document["shape"] == [80, 96]
    by_name = {view["view"]: view for view in document["views"]}
    assert f"quantisation tables: {by_name['quantisation tables']['finding']}" in said
    named = {file for view in document["views"] for file in view.get("files", {}).values()}
    assert named
    assert named | {"a.jpg_evidence.json"} == {p.name for p in (tmp_path / "out").iterdir()}
    assert by_name["noise level"]["parameters"] == {"cell": 32}


def test_one_view_of_pictures_that_share_a_name(tmp_path, picture):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture).save(tmp_path / folder / "a.png")
    code, said = run(
        tmp_path / "one", tmp_path / "two", "--view", "clipping", "-o", tmp_path / "out"
    )
    assert code == 0
    records = sorted((tmp_path / "out").glob("*.json"))
    assert len(records) == 2
    assert said.count("clipping: ") == 2
    assert all(len(json.loads(r.read_text())["views"]) == 1 for r in records)


def test_a_view_that_does_not_apply_says_why(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    code, said = run(tmp_path / "a.png", "--view", "double compression", "-o", tmp_path)
    assert code == 0
    assert "double compression: not applicable: a PNG file, not a JPEG" in said
    view = json.loads((tmp_path / "a.png_evidence.json").read_text())["views"][0]
    assert view == {
        "view": "double compression",
        "applicable": False,
        "why_not": "not applicable: a PNG file, not a JPEG",
    }


def test_a_bad_picture_is_told_and_the_others_are_done(tmp_path, picture):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    Image.fromarray(picture).save(tmp_path / "good.png")
    words = tmp_path / "bad.jpg", tmp_path / "none.png", tmp_path / "good.png"
    code, said = run(*words, "--view", "clipping", "-o", tmp_path / "out")
    assert code == 1
    assert said.count("Error: ") == 2
    assert (tmp_path / "out" / "good.png_evidence.json").exists()


def test_a_view_that_there_is_not_is_wrong_use(tmp_path):
    code, said = run(tmp_path / "a.png", "--view", "aura", "-o", tmp_path)
    assert code == 2
    assert "There is no view 'aura': give one of file, metadata" in said


def test_an_empty_folder_is_told(tmp_path):
    code, said = run(tmp_path, "-o", tmp_path / "out")
    assert code == 1
    assert "holds no pictures" in said


def test_one_view_as_json_is_one_line_a_picture(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    code, said = run(
        tmp_path / "a.png", tmp_path / "b.png", "--view", "noise level", "-o", tmp_path, "--json"
    )
    assert code == 1
    (line,) = [line for line in said.splitlines() if line.startswith("{")]
    told = json.loads(line)
    (view,) = told["views"]
    assert told["picture"] == str(tmp_path / "a.png")
    assert view["view"] == "noise level"
    assert (tmp_path / view["files"]["map"]).is_file()
    assert json.loads((tmp_path / "a.png_evidence.json").read_text()) == {
        name: value for name, value in told.items() if name not in ("picture", "record")
    }
