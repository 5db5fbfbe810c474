"""Studies read back from their folders: the same scores, and what is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import KnowingEngine
from PIL import Image

from napari_safire.errors import DatasetError
from napari_safire.evaluation import (
    EvaluationSet,
    ScoringSettings,
    SetScores,
    Study,
    run_study,
    tables,
)
from napari_safire.evaluation.report import write_report
from napari_safire.evaluation.saved_studies import read_results, read_scores, read_study
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import encode_sources
from napari_safire.synthesis.degradations import Degradation


@pytest.fixture
def entries(tmp_path: Path) -> tuple[ListEntry, ...]:
    """Two and three sources, an authentic picture, and one that is missing."""
    made = []
    for n_sources in (2, 3, 1):
        labels = np.tile(np.arange(64) * n_sources // 64, (48, 1))
        image = tmp_path / f"a,{n_sources}.png"
        Image.fromarray(encode_sources(labels)).save(image)
        made.append(ListEntry(image, image if n_sources > 1 else None))
    return (*made, ListEntry(tmp_path / "missing.png", None))


def saved_study(
    entries: tuple[ListEntry, ...], folder: Path, *degraded: Degradation
) -> list[SetScores]:
    settings = ScoringSettings("sources", "auto", seed=3, points_per_side=4, side=32)
    sets = tuple(EvaluationSet(name, entries, settings) for name in ("one set", "two"))
    study = Study(sets, ("a", "b"), degraded, folder, examples=0)
    scores = run_study(study, lambda name: KnowingEngine(name, wrong=0.4 if name == "b" else 0))
    write_report(scores, folder)
    return scores


def test_a_study_comes_back_as_it_was(entries: tuple[ListEntry, ...], tmp_path: Path) -> None:
    folder = tmp_path / "study"
    before = saved_study(entries, folder, Degradation("jpeg", 90))
    study = read_study(folder)
    assert list(study) == ["one set", "two"]
    after = [of_model for of_set in study.values() for of_model in of_set]
    assert [one.model for one in after] == ["a", "b"] * 2
    for old, new in zip(sorted(before, key=lambda s: s.set.name), after, strict=True):
        assert (new.set, new.checkpoint_sha256) == (old.set, old.checkpoint_sha256)
        assert tables.score_table(new) == tables.score_table(old)
        for was, now in zip(old.results, new.results, strict=True):
            assert (now.entry, now.number, now.degradation) == (
                was.entry,
                was.number,
                was.degradation,
            )
            assert now.verdict == was.verdict
            assert now.error == (was.error and was.error.replace(f"{tmp_path}", "../.."))
            assert now.seconds.keys() == was.seconds.keys()
            for name, value in was.scores.items():
                assert now.scores[name] == pytest.approx(value, rel=1e-5, nan_ok=True)


def test_groups_have_rows_with_floors(entries: tuple[ListEntry, ...], tmp_path: Path) -> None:
    (scores, *_) = saved_study(entries, tmp_path / "study")
    two, three, _, broken = scores.results
    found = tables.group_table({"two": [two, broken], "three": [three]}, ("p_miou_hungarian",))
    assert found.header == ("group", "images", "p_miou_hungarian", "floor of p_miou_hungarian")
    assert found.rows[0] == ("two", "1", "1.000 [1.000, 1.000]", "0.250")
    assert [row[0] for row in found.rows] == ["two", "three"]


def test_what_cannot_be_read_is_said(entries: tuple[ListEntry, ...], tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with pytest.raises(DatasetError, match=r"summary\.csv cannot be read"):
        read_study(folder)
    saved_study(entries, folder)
    with pytest.raises(DatasetError, match=r"none.*\.csv cannot be read: No such file"):
        read_scores(folder, "one set", "none")
    basis = folder / "two" / "a" / "job.json"
    told = basis.read_text()
    basis.write_text('{"format": "other"}\n')
    with pytest.raises(DatasetError, match=r"job\.json does not say what the scores rest on"):
        read_scores(folder, "two", "a")
    basis.write_text(told.replace('"side"', '"sides"'))
    with pytest.raises(DatasetError, match="rest on other settings"):
        read_scores(folder, "two", "a")
    basis.unlink()
    with pytest.raises(DatasetError, match=r"job\.json cannot be read: nothing says what"):
        read_scores(folder, "two", "a")
    before = json.dumps(json.loads(told) | {"format": "napari-safire scores 2"})
    (folder / "two" / "a.jsonl").write_text(before + "\n")  # as scores were kept before
    assert read_scores(folder, "two", "a").set.settings.side == 32
    table = folder / "two" / "a.csv"
    table.write_text("image,mask,verdict,p_ari,error\na.png,,forged,much,\n")
    with pytest.raises(DatasetError, match="line 2 is no line of scores"):
        read_results(table)
    table.write_text("name,size\na.png,3\n")
    with pytest.raises(DatasetError, match="line 2 is no line of scores"):
        read_results(table)
    (folder / "summary.csv").write_text("name\na\n")
    with pytest.raises(DatasetError, match="no summary of a study"):
        read_study(folder)
