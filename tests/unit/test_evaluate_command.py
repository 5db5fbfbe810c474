"""``evaluate`` as a command: written first, said then, one bad file among good ones."""

from __future__ import annotations

import csv
import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli_runs import one_error
from disks import DISKS
from fakes import KnowingEngine
from mask_cases import SHAPE, two_sources
from PIL import Image
from typer.testing import CliRunner, Result

from napari_safire.cli import app
from napari_safire.evaluation import saved_scores
from napari_safire.evaluation.entries import EvaluatedEntry
from napari_safire.evaluation.saved_scores import SavedScores

# The package has a function of this name.
evaluate_module = importlib.import_module("napari_safire.cli.evaluate")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> KnowingEngine:
    """What every model's name stands for."""
    knowing = KnowingEngine()
    monkeypatch.setattr("napari_safire.cli.clusters.open_engine", lambda *_: knowing)
    return knowing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, whose grey says the truth, and a mask for all."""
    grey = two_sources() * 50
    Image.fromarray(grey).save(tmp_path / "m.png")
    for number in range(3):
        grey[0, 0] = number
        Image.fromarray(grey).save(tmp_path / f"{number}.png")
    return tmp_path


def listed(folder: Path, *lines: str) -> Path:
    path = folder / "list.txt"
    path.write_text("\n".join(lines or ("0.png,m.png", "1.png,m.png", "2.png,m.png")))
    return path


def evaluate(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_one_file_that_cannot_be_read_does_not_stop_the_others(
    engine: KnowingEngine, folder: Path
) -> None:
    path = listed(folder, "0.png,m.png", f"{'n' * 300}.png,None", "1.png,m.png", "2.png,gone.png",
                  "2.png,m.png")  # fmt: skip
    result = evaluate(path, "-o", folder / "out")
    assert result.exit_code == 1
    told = "3 images scored, 2 broken; masks read as sources; numbers of sources given"
    assert told in result.stdout
    assert "n_sources_true" in result.stdout
    assert "n_sources_found" not in result.stdout  # told, not found
    assert "n_sources_right" not in result.stdout
    assert "File name too long" in result.stderr
    assert "gone.png does not exist" in result.stderr
    assert engine.shapes[:3] == [SHAPE] * 3


def test_warnings_are_said_and_stand_in_the_report(engine: KnowingEngine, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(folder / "0.png").save(folder / "#1.png", exif=exif)
    result = evaluate(listed(folder, "#1.png,m.png"), "-o", folder / "out")
    assert result.exit_code == 0
    report = (folder / "out/report.html").read_text(encoding="utf-8")
    for told in ("begins with # but names a file", "painted on what was shown"):
        assert told in result.stderr
        assert told in report


def test_many_warnings_do_not_flood_the_terminal(engine: KnowingEngine, folder: Path) -> None:
    lines = []
    for number in range(30):
        name = f"p{number}.jpg"
        Image.open(folder / "0.png").save(folder / name, "PNG")
        lines.append(f"{name},m.png")
    result = evaluate(listed(folder, *lines), "-o", folder / "out", "--worst", 0)
    assert result.stderr.count("Warning: ") == 21
    assert "and 10 more" in result.stderr
    report = (folder / "out/report.html").read_text(encoding="utf-8")
    assert report.count("is a PNG file") == 30


@pytest.mark.parametrize("name", ["folder.csv", "n" * 300 + ".csv", "gone/scores.csv"])
def test_the_table_is_tried_before_any_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, folder: Path, name: str
) -> None:
    monkeypatch.setattr("napari_safire.cli.clusters.open_engine", lambda *_: pytest.fail("loaded"))
    (folder / "folder.csv").mkdir()
    result = evaluate(listed(folder), "-o", folder / name)
    assert result.exit_code in (1, 2)
    assert "cannot be" in " ".join(result.stderr.split())


def test_what_was_scored_before_a_stop_is_saved(
    engine: KnowingEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = KnowingEngine.localize

    def stopping(self: KnowingEngine, *args: Any, **kw: Any) -> Any:
        if len(self.shapes) == 3:
            raise KeyboardInterrupt
        return real(self, *args, **kw)

    monkeypatch.setattr(KnowingEngine, "localize", stopping)
    stopped = evaluate(listed(folder), "-o", folder / "scores.csv")
    assert stopped.exit_code == 1
    assert "2 pictures were scored before the stop" in stopped.stderr
    assert not (folder / "scores.csv").exists()
    with (folder / "scores-stopped.csv").open(newline="") as file:
        assert [Path(row["image"]).name for row in csv.DictReader(file)] == ["0.png", "1.png"]


def test_scores_survive_a_table_that_can_no_longer_be_written(
    engine: KnowingEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "out").mkdir()
    (folder / "rescued").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "rescued"))
    real = evaluate_module.progress_bar

    @contextmanager
    def unplugging(title: str) -> Iterator[Any]:
        with real(title) as show:
            yield show
        (folder / "out").rmdir()

    monkeypatch.setattr(evaluate_module, "progress_bar", unplugging)
    result = evaluate(listed(folder), "-o", folder / "out/scores.csv")
    assert result.exit_code == 1
    (saved,) = (folder / "rescued").rglob("scores.csv")
    assert str(saved) in result.stderr
    assert len(saved.read_text().splitlines()) == 4


@pytest.mark.parametrize("output", ["out", "scores.csv"])
def test_files_are_written_before_anything_is_said(
    engine: KnowingEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    """As with `| head`, or on a terminal that lacks a letter."""

    def broken(*_: Any, **__: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(evaluate_module, "show_scores", broken)
    assert evaluate(listed(folder), "-o", folder / output).exit_code == 1
    written = folder / ("out/report.html" if output == "out" else output)
    assert written.is_file()


@pytest.mark.parametrize("content", ["", "# nothing\n", "gone.png,None\n"])
def test_nothing_to_score_is_a_failure(engine: KnowingEngine, folder: Path, content: str) -> None:
    path = listed(folder, content or "\n")
    assert evaluate(path).exit_code == 1
    assert CliRunner().invoke(app, ["data", "check", str(path)]).exit_code == 1
    train = CliRunner().invoke(app, ["train", str(path), "-o", str(folder / "run")])
    assert train.exit_code == 1


def test_nothing_but_broken_pictures_is_a_failure(engine: KnowingEngine, folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"\x89PNG bad")
    path = listed(folder, "bad.png,m.png")
    result = evaluate(path, "-o", folder / "out")
    assert result.exit_code == 1
    assert (folder / "out/report.html").is_file()


def test_an_empty_folder_is_a_failure(engine: KnowingEngine, folder: Path) -> None:
    (folder / "empty").mkdir()
    assert evaluate("--set", "default", folder / "empty").exit_code == 1
    assert evaluate(folder / "empty").exit_code == 1


@pytest.mark.parametrize("kind", DISKS)
def test_a_full_disk_ends_it_in_a_sentence_and_the_same_command_goes_on(
    engine: KnowingEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(saved_scores, "_TOGETHER", 1)
    path, keep = listed(folder), SavedScores.save
    with DISKS[kind]() as disk:

        def keep_the_first(self: SavedScores, result: EvaluatedEntry) -> None:
            keep(self, result)
            disk.fill()

        with monkeypatch.context() as full:
            full.setattr(SavedScores, "save", keep_the_first)
            result = evaluate(path, "-o", disk.folder / "out")
        assert result.exit_code == 1
        assert f"({disk.says}): make room" in one_error(result.stderr)
        assert len(list(disk.folder.rglob("*.parquet"))) == 1
        result = evaluate(path, "-o", disk.folder / "out")
        assert disk.says in one_error(result.stderr)
        disk.make_room()
        result = evaluate(path, "-o", disk.folder / "out")
        assert result.exit_code == 0
        assert "3 images scored" in result.stdout
        assert len(list(disk.folder.rglob("*.parquet"))) == 3  # each picture once
        assert not list(disk.folder.rglob(".napari-safire-*"))
