"""Evaluation with an engine that knows the truth, so that every score is known beforehand."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import KnowingEngine
from PIL import Image

from napari_safire.errors import Cancelled, SafireError
from napari_safire.evaluation import (
    EvaluatedEntry,
    ScoringSettings,
    evaluate_entries,
    summarise,
    write_results,
)
from napari_safire.evaluation.entries import entry_content
from napari_safire.evaluation.results import cell_text, write_table
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import MaskRule, encode_sources
from napari_safire.text import printable
from napari_safire.types import Embedding

SHAPE = (64, 96)


@pytest.fixture
def entries(tmp_path: Path) -> list[ListEntry]:
    """Two and three sources, an authentic picture, and a broken one."""
    made = []
    for n_sources in (2, 3, 1):
        labels = np.tile(np.arange(SHAPE[1]) * n_sources // SHAPE[1], (SHAPE[0], 1))
        image, mask = tmp_path / f"{n_sources}.png", tmp_path / f"{n_sources}_mask.png"
        Image.fromarray(encode_sources(labels)).save(image)
        Image.fromarray(encode_sources(labels)).save(mask)
        made.append(ListEntry(image, mask if n_sources > 1 else None))
    broken = tmp_path / "broken.png"
    broken.write_bytes((tmp_path / "2.png").read_bytes()[:60])
    return [*made, ListEntry(broken, tmp_path / "2_mask.png")]


def run(engine: KnowingEngine, entries: list[ListEntry], *args: Any, **kw: Any) -> list[Any]:
    return list(evaluate_entries(engine, entries, ScoringSettings(*args, **kw)))  # type: ignore[arg-type]


def test_given_number_of_sources_comes_from_the_mask(entries: list[ListEntry]) -> None:
    engine = KnowingEngine()
    results = run(engine, entries, "sources")
    assert engine.asked == [("kmeans", 2), ("kmeans", 3), ("kmeans", 1)]
    for result in results[:3]:
        assert result.error is None
        assert result.scores["p_miou_hungarian"] == 1
        assert result.scores["p_ari"] == 1
        assert result.scores["n_sources_right"] == 1
        assert {"embed", "partition", "localize"} <= result.seconds.keys()
    for result in results[:2]:
        assert result.scores["f1_fixed"] == 1
        floor = result.scores["f1_floor"]
        assert 0 < floor < 1
        assert result.scores["f1_fixed_above_floor"] == pytest.approx(1 - floor)
    assert np.isnan(results[2].scores["f1_fixed"])  # nothing is forged there
    assert results[2].verdict == "no forgery found"
    assert [result.authentic for result in results] == [False, False, True, False]


def test_broken_entry_is_told_and_not_fatal(entries: list[ListEntry]) -> None:
    *good, broken = run(KnowingEngine(), entries, "sources")
    assert len(good) == 3
    assert "broken.png" in broken.error
    assert not broken.scores


def test_masks_that_do_not_fit_are_told(entries: list[ListEntry], tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.new("L", (5, 5)).save(small)
    (result,) = run(KnowingEngine(), [ListEntry(entries[0].image, small)], "sources")
    assert "small.png" in result.error
    (result,) = run(KnowingEngine(), [ListEntry(tmp_path / "2.png", small)], "binary")
    assert "5 x 5" in result.error


def test_auto_lets_the_engine_choose(entries: list[ListEntry]) -> None:
    engine = KnowingEngine()
    run(engine, entries[:2], "sources", sources="auto")
    assert engine.asked == [("auto", None)] * 2


def test_binary_masks(entries: list[ListEntry]) -> None:
    engine = KnowingEngine()
    two, three, authentic, _ = run(engine, entries, "binary")
    assert engine.asked == [("auto", None)] * 3
    assert two.scores["auc"] == three.scores["f1_best"] == 1
    assert "p_ari" not in two.scores
    assert np.isnan(authentic.scores["auc"])
    assert authentic.scores["score"] == 0


def test_no_background_no_binary_scores(tmp_path: Path) -> None:
    labels = np.ones(SHAPE, np.uint8)
    labels[:, 40:] = 2
    for name in ("image.png", "mask.png"):
        Image.fromarray(encode_sources(labels)).save(tmp_path / name)
    entry = ListEntry(tmp_path / "image.png", tmp_path / "mask.png")
    (result,) = run(KnowingEngine(), [entry], "sources")
    assert "f1_fixed" not in result.scores
    assert result.scores["p_miou_hungarian"] == 1


@pytest.mark.parametrize(("args", "kw"), [(("grey",), {}), (("sources",), {"sources": "some"})])
def test_unknown_words_are_refused(entries: list[ListEntry], args: Any, kw: Any) -> None:
    with pytest.raises(ValueError, match="Unknown"):
        run(KnowingEngine(), entries, *args, **kw)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("odd"), KeyError("x")])
def test_whatever_one_picture_raises_is_its_own_error(
    entries: list[ListEntry], error: Exception
) -> None:
    class Failing(KnowingEngine):
        def localize(self, embedding: Embedding, **kw: Any) -> Any:
            if len(self.shapes) == 1:
                raise error
            return super().localize(embedding, **kw)

    broken, *good, _ = run(Failing(), entries, "sources")
    assert "2.png" in broken.error
    assert all(result.error is None for result in good)


def test_warnings_of_picture_and_mask_are_kept(entries: list[ListEntry], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 2
    turned = tmp_path / "turned.png"
    Image.open(entries[0].image).save(turned, exif=exif)
    (result,) = run(KnowingEngine(), [ListEntry(turned, entries[0].mask)], "sources")
    assert len(result.warnings) == 2
    assert "orientation 2" in result.warnings[0]
    assert "painted on what was shown" in result.warnings[1]
    (row,) = csv.DictReader(
        write_results(tmp_path / "t.csv", [result]).read_text("utf-8").splitlines()
    )
    # In files they name pictures and masks from there, and no user.
    assert row["warnings"] == " ".join(result.warnings).replace(f"{tmp_path}/", "")
    assert str(tmp_path) not in (tmp_path / "t.csv").read_text("utf-8")


def test_content_includes_how_a_mask_is_read(entries: list[ListEntry]) -> None:
    """Scores under one rule are not taken for those under another."""
    plain, ruled, other = (
        entry_content(ListEntry(entries[0].image, entries[0].mask, rule=rule))
        for rule in (None, MaskRule("sources"), MaskRule(above=60))
    )
    assert len({plain, ruled, other}) == 3


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+x",
        "-x",
        "@sum",
        "\tx",
        "\rx",
        " =1",
        "'=1",
        "''+1",
        "x",
        "'x",
        "",
        "-",
        "-1.5",
        "ä=1",
        "a\x1b[2Jb\u202egnp.png",
    ],
)
def test_cells_that_a_spreadsheet_would_run_are_quoted(text: str, tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", ["a", text], [[text, -0.5]])
    with path.open(newline="", encoding="utf-8") as file:
        (_, header), (cell, number) = csv.reader(file)
    assert number == "-0.5"
    for found in (cell, header):
        stripped = found.lstrip(" ")
        assert not stripped.startswith(("=", "+", "@", "\t", "\r")) or text == found == "-"
        assert found in ("-", "-1.5") or not stripped.startswith("-")
        assert cell_text(found) == printable(text)


def test_cancelling_is_not_a_broken_entry(entries: list[ListEntry]) -> None:
    class Stopped(KnowingEngine):
        def embed(self, image: np.ndarray, **_: Any) -> Embedding:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        run(Stopped(), entries, "sources")


def test_means_leave_out_what_is_not_defined() -> None:
    values = [{"a": 1.0, "b": float("nan")}, {"a": 3.0}, {"a": float("nan"), "c": 2.0}]
    summary = summarise(values)
    assert list(summary) == ["a", "c"]
    assert (summary["a"].mean, summary["a"].n) == (2.0, 2)
    assert summary["a"].low == 1.0
    assert summary["a"].high == 3.0
    assert (summary["c"].low, summary["c"].high) == (2.0, 2.0)


def test_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    mean = summarise([{"x": float(v)} for v in values], seed=3)["x"]
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert mean.high - mean.mean == pytest.approx(half, rel=0.15)
    assert mean.mean - mean.low == pytest.approx(half, rel=0.15)
    assert summarise([{"x": float(v)} for v in values], seed=3)["x"] == mean


def test_results_are_written_whole(entries: list[ListEntry], tmp_path: Path) -> None:
    results = run(KnowingEngine(), entries, "sources")
    path = write_results(tmp_path / "scores.csv", results)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [Path(row["image"]).name for row in rows] == ["2.png", "3.png", "1.png", "broken.png"]
    assert rows[0]["p_miou_hungarian"] == "1"
    assert rows[2]["mask"] == ""
    assert rows[2]["f1_fixed"] == ""
    assert "broken.png" in rows[3]["error"]
    assert float(rows[0]["embed_s"]) >= 0


def test_results_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(SafireError, match="does not exist"):
        write_results(tmp_path / "none" / "scores.csv", [EvaluatedEntry(ListEntry(tmp_path))])
