"""Studies: runs that survive, several models, degradations, and the report."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree  # reviewed: charts of ours

import numpy as np
import pyarrow as pa
import pytest
from fakes import KnowingEngine
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from systems import posix

from napari_safire.atomic import require_writable
from napari_safire.basis import RunBasis
from napari_safire.errors import DatasetError, NotWritten, SafireError
from napari_safire.evaluation import (
    EvaluatedEntry,
    EvaluationSet,
    SavedScores,
    ScoringSettings,
    SetScores,
    Study,
    differences,
    run_study,
    saved_scores,
)
from napari_safire.evaluation.charts import histogram_chart, roc_chart
from napari_safire.evaluation.gallery import choose_examples
from napari_safire.evaluation.report import write_report
from napari_safire.evaluation.saved_scores import JOB, LINES_FORMAT, commit_scores
from napari_safire.evaluation.saved_studies import read_study
from napari_safire.evaluation.study import folder_name, short_names
from napari_safire.evaluation.summary import share, verdict_shares
from napari_safire.images.lists import ListEntry, read_list, write_list
from napari_safire.images.masks import MaskRule, encode_sources
from napari_safire.images.records.paths import recorded_path, whole_path
from napari_safire.synthesis.degradations import NONE, Degradation
from napari_safire.text import printable

SHAPE = (48, 64)
JPEG, HALF = Degradation("jpeg", 90), Degradation("resize", 0.5)
NASTY = "<script>alert('x')&amp;<b>.png"


def make_pictures(folder: Path, count: int = 5) -> list[ListEntry]:
    """Pictures of one to three sources; every third is authentic, the first has an evil name."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(count):
        n_sources = (2, 3, 1)[number % 3]
        labels = np.tile(np.arange(SHAPE[1]) * n_sources // SHAPE[1], (SHAPE[0], 1))
        labels[: number + 1, 0] = 0  # no two alike
        labels[number, -1] = n_sources - 1
        pixels = encode_sources(labels)
        pixels[0, 0] = number
        name = NASTY if number == 0 else f"p{number}.png"
        Image.fromarray(pixels).save(folder / name)
        Image.fromarray(encode_sources(labels)).save(folder / f"m{number}.png")
        mask = None if n_sources == 1 else folder / f"m{number}.png"
        entries.append(ListEntry(folder / name, mask))
    return entries


@pytest.fixture
def entries(tmp_path: Path) -> list[ListEntry]:
    return make_pictures(tmp_path / "pictures")


def study_of(entries: list[ListEntry], folder: Path | None = None, **kw: Any) -> Study:
    settings = kw.pop("settings", ScoringSettings("sources", points_per_side=4))
    models = kw.pop("models", ("a",))
    return Study((EvaluationSet("set", tuple(entries), settings),), models, folder=folder, **kw)


def run(study: Study, engine: Any = None) -> list[SetScores]:
    return run_study(study, lambda _: engine or KnowingEngine())


def table(path: Path) -> list[dict[str, str]]:
    """A CSV file without the columns that say how long things took."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            {name: cell for name, cell in row.items() if not name.endswith("_s")}
            for row in csv.DictReader(stream)
        ]


def n_rows(folder: Path) -> int:
    """Rows in all parts of scores."""
    return sum(parquet.read_metadata(part).num_rows for part in folder.glob("parts/*.parquet"))


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def as_before(folder: Path) -> Path:
    """Turn saved scores into the lines in which they were kept before."""
    lines = [json.loads((folder / JOB).read_text()) | {"format": LINES_FORMAT}]
    for part in sorted(folder.glob("parts/*.parquet")):
        for row in parquet.read_table(part).to_pylist(maps_as_pydicts="strict"):
            row["scores"] = {n: None if v != v else v for n, v in row["scores"].items()}
            for name in ("image", "mask"):
                named = row[name] and whole_path(os.fsdecode(row[name]), folder)
                row[name] = named and recorded_path(named, folder.parent)
            lines.append(row)
    path = folder.with_name(f"{folder.name}.jsonl")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shutil.rmtree(folder)
    return path


# ------------------------------------------------------------------------ runs that survive


class Stopping(KnowingEngine):
    """Is interrupted at the picture of a number, whichever thread asks for it."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at
        self.begun = itertools.count()

    def embed(self, image: np.ndarray, **kw: Any) -> Any:
        if next(self.begun) >= self.at:
            raise KeyboardInterrupt
        return super().embed(image, **kw)


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_interrupted_run_goes_on_to_the_same_results(
    jobs: int, entries: list[ListEntry], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"degradations": (JPEG, HALF), "jobs": jobs, "examples": 0}
    whole = study_of(entries, tmp_path / "whole", **options)
    run(whole)
    halves = study_of(entries, tmp_path / "halves", **options)
    with pytest.raises(KeyboardInterrupt):
        run(halves, Stopping(7))
    n_saved = n_rows(tmp_path / "halves/set/a")
    assert 7 - jobs <= n_saved <= 7
    rest = KnowingEngine()
    run(halves, rest)
    assert len(rest.shapes) == 15 - n_saved
    assert rest.grids_cached == jobs
    assert table(tmp_path / "halves/set/a.csv") == table(tmp_path / "whole/set/a.csv")
    idle = KnowingEngine()
    run(halves, idle)
    assert not idle.shapes


KILLED = """
import sys, time
from pathlib import Path
from systems import posix
from fakes import KnowingEngine
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from napari_safire.evaluation import EvaluationSet, ScoringSettings, Study, run_study
from napari_safire.images.lists import read_list

class Slow(KnowingEngine):
    def embed(self, image, **kw):
        print("asked", flush=True)
        time.sleep(0.05)
        return super().embed(image, **kw)

a_set = EvaluationSet("set", tuple(read_list(sys.argv[1])), ScoringSettings("sources"))
run_study(Study((a_set,), ("a",), folder=Path(sys.argv[2]), examples=0), lambda _: Slow())
"""


@posix
def test_kill_9_loses_at_most_a_part_and_the_picture_under_way(tmp_path: Path) -> None:
    entries = make_pictures(tmp_path / "pictures", 40)
    write_list(tmp_path / "pictures/list.txt", entries)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "pictures/list.txt")]
    running = subprocess.Popen(
        [*command, str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
        },
    )
    assert running.stdout is not None
    for number, _ in enumerate(running.stdout, start=1):
        if number == 20:
            break
    running.send_signal(signal.SIGKILL)
    running.communicate()
    n_saved = n_rows(tmp_path / "out/set/a")
    assert 16 <= n_saved < 40
    settings = ScoringSettings("sources")
    rest = KnowingEngine()
    again = study_of(entries, tmp_path / "out", settings=settings, examples=0)
    run(again, rest)
    assert len(rest.shapes) == 40 - n_saved
    run(study_of(entries, tmp_path / "whole", settings=settings, examples=0))
    assert table(tmp_path / "out/set/a.csv") == table(tmp_path / "whole/set/a.csv")


def test_several_pictures_at_once_give_the_same(entries: list[ListEntry], tmp_path: Path) -> None:
    for jobs in (1, 4):
        study = study_of(entries, tmp_path / str(jobs), jobs=jobs, degradations=(JPEG,))
        run(study)
    first, second = (table(tmp_path / jobs / "set/a.csv") for jobs in ("1", "4"))
    assert first == second
    assert [row["degradation"] for row in first] == ["none"] * 5 + ["jpeg-90"] * 5
    assert [Path(row["image"]).name for row in first[:5]] == [e.image.name for e in entries]


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"engine": KnowingEngine("another")}, "checkpoint_sha256 was knowing, not another"),
        ({"settings": ScoringSettings("binary", points_per_side=4)}, "kind was sources"),
        ({"settings": ScoringSettings("sources", seed=1, points_per_side=4)}, "seed was 0, not 1"),
        ({"settings": ScoringSettings("sources", side=64, points_per_side=4)}, "side was None"),
        ({"algorithm": 0}, "algorithm was 0, not"),
    ],
)
def test_results_of_another_run_are_refused(
    other: dict[str, Any],
    named: str,
    entries: list[ListEntry],
    tmp_path: Path,
) -> None:
    run(study_of(entries, tmp_path, examples=0))
    engine = other.pop("engine", None)
    if (algorithm := other.pop("algorithm", None)) is not None:
        told = json.loads((tmp_path / "set/a" / JOB).read_text()) | {"algorithm": algorithm}
        (tmp_path / "set/a" / JOB).write_text(json.dumps(told))
    before = files_in(tmp_path / "set")
    with pytest.raises(SafireError, match=named):
        run(study_of(entries, tmp_path, examples=0, **other), engine)
    assert files_in(tmp_path / "set") == before


def test_pictures_are_known_by_their_content(entries: list[ListEntry], tmp_path: Path) -> None:
    """A longer list asks for the new ones only; a picture or mask that changed is asked again."""
    run(study_of(entries[:3], tmp_path, examples=0))
    grown = KnowingEngine()
    (scores,) = run(study_of(entries[::-1], tmp_path, examples=0), grown)
    assert len(grown.shapes) == 2
    assert [r.entry for r in scores.results] == entries[::-1]
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(entries[2].image)
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(entries[1].mask or "")
    changed = KnowingEngine()
    run(study_of(entries, tmp_path, examples=0), changed)
    assert len(changed.shapes) == 2


def test_warnings_outlive_a_stop(entries: list[ListEntry], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(entries[1].image).save(entries[1].image, exif=exif)
    (first,) = run(study_of(entries, tmp_path, examples=0))
    assert len(first.warnings) == 2
    (again,) = run(study_of(entries, tmp_path, examples=0))
    assert again.warnings == first.warnings
    text = write_report([again], tmp_path).read_text(encoding="utf-8")
    assert "painted on what was shown" in text
    (read,) = read_study(tmp_path)["set"]
    # From the folder of the scores, and without the name of a user.
    assert read.warnings == [" ".join(first.warnings).replace(str(tmp_path), "..")]


def test_warnings_name_the_files_of_their_own_entry(
    entries: list[ListEntry], tmp_path: Path
) -> None:
    """Scores are known again by content, wherever the picture lies now."""
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(entries[1].image).save(entries[1].image, exif=exif)
    run(study_of([entries[1]], tmp_path, examples=0))
    moved = entries[1].image.rename(tmp_path / "moved\x1b.png")
    engine = KnowingEngine()
    (scores,) = run(study_of([ListEntry(moved, entries[1].mask)], tmp_path, examples=0), engine)
    assert not engine.shapes
    assert len(scores.warnings) == 2
    assert all("moved" in text and "p1.png" not in text for text in scores.warnings)


def test_another_rule_of_masks_is_another_question(
    entries: list[ListEntry], tmp_path: Path
) -> None:
    settings = ScoringSettings("binary", points_per_side=4)
    run(study_of(entries[:1], tmp_path, settings=settings, examples=0))
    ruled = ListEntry(entries[0].image, entries[0].mask, rule=MaskRule(above=60))
    engine = KnowingEngine()
    run(study_of([ruled], tmp_path, settings=settings, examples=0), engine)
    assert len(engine.shapes) == 1


def test_an_entry_that_stands_twice_counts_twice(entries: list[ListEntry], tmp_path: Path) -> None:
    (scores,) = run(study_of([entries[0], entries[0]], tmp_path, examples=0))
    assert [r.number for r in scores.good()] == [0, 1]
    assert n_rows(tmp_path / "set/a") == 1


def test_broken_entries_count_once_and_may_be_mended(
    entries: list[ListEntry], tmp_path: Path
) -> None:
    whole = entries[1].image.read_bytes()
    entries[1].image.write_bytes(whole[:40])
    (scores,) = run(study_of(entries, tmp_path, degradations=(JPEG, HALF), examples=0))
    assert len(scores.broken) == 1
    assert "p1.png" in (scores.broken[0].error or "")
    assert len(scores.good()) == len(scores.good(JPEG)) == 4
    assert write_report(scores := [scores], tmp_path).is_file()
    entries[1].image.write_bytes(whole)
    (scores,) = run(study_of(entries, tmp_path, degradations=(JPEG, HALF), examples=0))
    assert not scores.broken
    assert len(scores.good()) == 5


@pytest.mark.parametrize("name", [f"a/{JOB}", "a.jsonl"])
@pytest.mark.parametrize(
    "content",
    [
        b"my notes\n",
        b'{"format": "other"}\n',
        b"[]\n",
        b"[" * 100_000 + b"\n",
        b'{"format": "napari-safire scores 2", "algorithm": 1e999, "checkpoint_sha256": "a", '
        b'"picture_sha256": null, "settings": {}}\n',
    ],
)
def test_files_that_hold_no_scores_are_left_alone(
    content: bytes, name: str, entries: list[ListEntry], tmp_path: Path
) -> None:
    path = tmp_path / "set" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="does not say what the scores rest on"):
        run(study_of(entries, tmp_path))
    assert path.read_bytes() == content


def test_a_damaged_part_is_named_and_may_be_removed(
    entries: list[ListEntry], tmp_path: Path
) -> None:
    run(study_of(entries, tmp_path, examples=0))
    (part,) = (tmp_path / "set/a/parts").iterdir()
    whole = part.read_bytes()
    damaged = [whole[:100], whole[:-40] + bytes(20) + whole[-20:], b"PAR1" * 3]
    for bad in damaged:
        part.write_bytes(bad)
        with pytest.raises(DatasetError, match=rf"{part.name} of the scores is damaged .*remove"):
            run(study_of(entries, tmp_path, examples=0))
    part.unlink()
    part.mkdir()
    with pytest.raises(DatasetError, match=rf"{part.name} of the scores .*it is no file"):
        run(study_of(entries, tmp_path, examples=0))
    part.rmdir()
    engine = KnowingEngine()
    run(study_of(entries, tmp_path, examples=0), engine)
    assert len(engine.shapes) == 5


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("scores", [[("x", None)] * 150, [("y", 1.0)], []], "too many values"),
        ("warnings", [[""] * 150, [""], []], "too many values"),
        ("seconds", [[("x", None)], [], []], "NoneType"),
        ("degradation", ["none", "jpeg-nought", "none"], "names no degradation"),
        ("image", [b"a.png", b"a.png", None], "image is not filled in"),
    ],
)
def test_parts_of_strangers_are_bounded_and_checked(
    column: str,
    values: list[Any],
    told: str,
    entries: list[ListEntry],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saved_scores, "_MOST_VALUES", 150)
    run(study_of(entries[:3], tmp_path, examples=0))
    run(study_of(entries[:3], tmp_path, examples=0))
    (part,) = (tmp_path / "set/a/parts").iterdir()
    table = parquet.read_table(part)
    other = pa.array(values, table.schema.field(column).type)
    number = table.schema.get_field_index(column)
    parquet.write_table(table.set_column(number, column, other), part)
    with pytest.raises(DatasetError, match=rf"{part.name} of the scores is damaged .*{told}"):
        run(study_of(entries[:3], tmp_path, examples=0))


def test_parts_that_nobody_accounts_for_are_not_believed(
    entries: list[ListEntry], tmp_path: Path
) -> None:
    run(study_of(entries, tmp_path, examples=0))
    (tmp_path / "set/a" / JOB).unlink()
    before = files_in(tmp_path / "set/a")
    with pytest.raises(DatasetError, match=r"has parts of scores, but no job\.json"):
        run(study_of(entries, tmp_path, examples=0))
    assert files_in(tmp_path / "set/a") == before


def test_scores_in_several_parts_count_once(entries: list[ListEntry], tmp_path: Path) -> None:
    """As workers leave them that were lost, and did not know of each other."""
    (scores,) = run(study_of(entries, tmp_path, examples=0))
    first = table(tmp_path / "set/a.csv")
    for some in (scores.results[:3], scores.results[1:], scores.results[:3]):
        assert commit_scores(tmp_path / "set/a", some)
    assert len(list((tmp_path / "set/a/parts").iterdir())) == 3
    engine = KnowingEngine()
    run(study_of(entries, tmp_path, examples=0), engine)
    assert not engine.shapes
    assert table(tmp_path / "set/a.csv") == first
    assert commit_scores(tmp_path / "elsewhere", scores.results) == ""
    assert not (tmp_path / "elsewhere").exists()


@settings(max_examples=20, deadline=None)
@given(
    scores=st.dictionaries(st.text(max_size=6), st.floats(), max_size=4),
    name=st.binary(min_size=1, max_size=9).filter(lambda name: not {0, 47} & {*name}),
    warning=st.text(max_size=9),
)
def test_scores_come_back_as_they_were(scores: dict[str, float], name: bytes, warning: str) -> None:
    degradation = Degradation("jpeg", 90.0)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "pictures", f"p{os.fsdecode(name)}.png")
        told = (f"{printable(image)} is turned{warning}.", warning)
        result = EvaluatedEntry(
            ListEntry(image), None, scores, "forged", {"embed": 0.1}, 0, degradation, "ab", told
        )
        with SavedScores(Path(folder, "a"), RunBasis("ab")) as saved:
            saved.save(result)
        with SavedScores(Path(folder, "a"), RunBasis("ab")) as saved:
            assert repr(saved.known("ab", degradation)) == repr(result)
            assert saved.known("ab", NONE) is None


def test_parts_come_by_number_and_by_time(
    entries: list[ListEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scores,) = run(study_of(entries[:1], tmp_path / "out", examples=0))
    (result,) = scores.results
    clock = iter([0.0, 1.0, 19.9, 20.0, 20.1, *[21.0] * 99])
    monkeypatch.setattr(saved_scores.time, "monotonic", lambda: next(clock))
    with SavedScores(tmp_path / "scores", RunBasis("ab")) as saved:
        seen = []
        for number in range(24):
            saved.save(replace(result, content=f"{number}"))
            seen.append(n_rows(tmp_path / "scores"))
        assert len(saved) == 24
    assert seen == [0, 0, 3, *[3] * 15, *[19] * 6]
    assert n_rows(tmp_path / "scores") == 24


def test_a_full_disk_is_a_sentence_and_loses_nothing_that_was_kept(
    entries: list[ListEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    run(study_of(entries[:2], tmp_path, examples=0))
    with monkeypatch.context() as patch:
        patch.setattr(parquet, "write_table", full)
        with pytest.raises(NotWritten, match=r"No space left on device.*make room"):
            run(study_of(entries, tmp_path, examples=0))
    engine = KnowingEngine()
    run(study_of(entries, tmp_path, examples=0), engine)
    assert len(engine.shapes) == 3


def test_scores_of_before_are_taken_in_once(entries: list[ListEntry], tmp_path: Path) -> None:
    entries[1] = ListEntry(
        entries[1].image.rename(tmp_path / os.fsdecode(b"caf\xe9.png")), entries[1].mask
    )
    options: dict[str, Any] = {"degradations": (JPEG,), "examples": 0}
    run(study_of(entries, tmp_path, **options))
    first = table(tmp_path / "set/a.csv")
    lines = as_before(tmp_path / "set/a")
    torn = lines.read_bytes() + b'{"content": "torn'
    lines.write_bytes(torn)
    for _ in range(2):
        engine = KnowingEngine()
        run(study_of(entries, tmp_path, **options), engine)
        assert not engine.shapes
        assert table(tmp_path / "set/a.csv") == first
    assert lines.read_bytes() == torn
    assert n_rows(tmp_path / "set/a") == 10
    lines.write_bytes(b"no more looked at")
    run(study_of(entries, tmp_path, **options), engine)
    assert not engine.shapes


def test_damaged_and_other_scores_of_before_are_told(
    entries: list[ListEntry], tmp_path: Path
) -> None:
    run(study_of(entries, tmp_path, examples=0))
    path = as_before(tmp_path / "set/a")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], '{"content": 3}\n', *lines[3:]]))
    with pytest.raises(DatasetError, match=r"Line 3 of .*a\.jsonl is no line of scores"):
        run(study_of(entries, tmp_path, examples=0))
    for name in ("content", "image", "mask", "verdict"):
        other = json.dumps(json.loads(lines[1]) | {name: "half a character: \ud800"})
        path.write_text(f"{lines[0]}{other}\n")
        with pytest.raises(DatasetError, match=r"Line 2 of"):
            run(study_of(entries, tmp_path, examples=0))
    path.write_text("".join(lines))
    with pytest.raises(SafireError, match=r"a\.jsonl holds scores of another run: checkpoint"):
        run(study_of(entries, tmp_path, examples=0), KnowingEngine("another"))
    path.write_text(lines[0][:-3])  # killed in its first line
    engine = KnowingEngine()
    run(study_of(entries, tmp_path, examples=0), engine)
    assert len(engine.shapes) == 5


def test_two_programs_do_not_write_to_one_folder(entries: list[ListEntry], tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(SafireError, match="Another evaluation"):
        run(study_of(entries, tmp_path))
    run(study_of(entries, tmp_path))


def test_a_file_in_place_of_the_folder(entries: list[ListEntry], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(SafireError, match="out"):
        run(study_of(entries, tmp_path / "out"))


# ------------------------------------------------------------------------ what is scored


def test_scoring_at_a_square_squashes_picture_and_truth(entries: list[ListEntry]) -> None:
    engine = KnowingEngine()
    settings = ScoringSettings("sources", side=32)
    (scores,) = run(study_of(entries[:1], settings=settings), engine)
    assert engine.shapes == [(32, 32)]
    assert scores.results[0].scores["p_miou_hungarian"] > 0.9  # bilinear mixes one column
    for side in (0, 100_000):
        with pytest.raises(ValueError, match="cannot be scored at"):
            ScoringSettings("sources", side=side)


def test_degraded_pictures_are_scored_at_their_own_size(entries: list[ListEntry]) -> None:
    engine = KnowingEngine()
    (scores,) = run(study_of(entries[:2], degradations=(HALF, JPEG)), engine)
    assert engine.shapes == [SHAPE, SHAPE, (24, 32), (24, 32), SHAPE, SHAPE]
    for degradation in (NONE, HALF, JPEG):
        for result in scores.good(degradation):
            assert result.scores["p_miou_hungarian"] > 0.85


def test_noise_does_not_depend_on_the_order(entries: list[ListEntry]) -> None:
    noise = Degradation("noise", 23)
    (forwards,) = run(study_of(entries, degradations=(noise,)))
    (backwards,) = run(study_of(entries[::-1], degradations=(JPEG, noise)))
    first = [dict(r.scores) for r in forwards.good(noise)]
    second = [dict(r.scores) for r in backwards.good(noise)][::-1]
    np.testing.assert_equal(first, second)  # NaN equals NaN here
    assert first[0]["p_ari"] < 1


def test_only_one_model_is_in_memory(entries: list[ListEntry]) -> None:
    alive: list[weakref.ref[Any]] = []

    def open_model(name: str) -> Any:
        assert all(engine() is None for engine in alive)
        engine = KnowingEngine(name)
        engine.itself = engine  # a cycle, as real engines are  # type: ignore[attr-defined]
        alive.append(weakref.ref(engine))
        return engine

    scores = run_study(study_of(entries, models=("a", "b")), open_model)
    assert [s.model for s in scores] == ["a", "b"]
    assert [s.checkpoint_sha256 for s in scores] == ["a", "b"]


def test_studies_that_mean_nothing(entries: list[ListEntry]) -> None:
    with pytest.raises(ValueError, match="a set and a model"):
        Study((), ("a",))
    with pytest.raises(ValueError, match="model a is named twice"):
        study_of(entries, models=("a", "a"))


def test_names() -> None:
    assert short_names(["x/best.safetensors", "y/best.safetensors"]) == ["x/best", "y/best"]
    assert short_names(["safire-lite", "v1.2"]) == ["safire-lite", "v1.2"]
    assert folder_name("a/b") != folder_name("a_b") == "a_b"
    assert "/" not in folder_name("../../etc")


# ------------------------------------------------------------------------ numbers


def scored(values: list[float], **kw: Any) -> list[EvaluatedEntry]:
    entry = ListEntry(Path("p.png"), Path("m.png"))
    return [
        EvaluatedEntry(entry, scores={"x": value}, number=n, **kw) for n, value in enumerate(values)
    ]


def test_paired_differences_do_not_see_how_hard_images_are() -> None:
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 1, 200)
    better = hard + 0.02 + rng.normal(0, 0.01, 200)
    difference = differences(scored(hard.tolist()), scored(better.tolist()))["x"]
    assert difference.n == 200
    assert 0.015 < difference.low < difference.mean < difference.high < 0.025
    constant = differences(scored([0.1, 0.9]), scored([0.2, 1.0]))["x"]
    assert constant.low == pytest.approx(0.1) == constant.high


def test_differences_are_over_images_that_both_scored() -> None:
    first, second = scored([1, 2, float("nan"), 4]), scored([2, 2, 2, 2])
    difference = differences(first[:3], second)["x"]
    assert (difference.mean, difference.n) == (0.5, 2)
    assert differences(first, scored([5.0], degradation=JPEG)) == {}


def test_shares_are_exact() -> None:
    """Clopper and Pearson; for 0 of n the upper end is 1 - (0.025) ** (1 / n)."""
    assert share(0, 10).high == pytest.approx(1 - 0.025**0.1)
    assert (share(0, 10).low, share(10, 10).high) == (0, 1)
    half = share(5, 10)
    assert half.share == 0.5
    assert half.low == pytest.approx(1 - half.high) == pytest.approx(0.1871, abs=1e-4)
    for count, total in ((1, 0), (3, 2), (-1, 4)):
        with pytest.raises(ValueError, match="no share"):
            share(count, total)


def test_verdicts_of_authentic_and_forged_images() -> None:
    authentic = ListEntry(Path("a.png"))
    forged = ListEntry(Path("f.png"), Path("m.png"))
    results = [
        EvaluatedEntry(authentic, verdict="forged"),
        EvaluatedEntry(authentic, verdict="inconclusive"),
        EvaluatedEntry(forged, verdict="no forgery found"),
    ]
    found = verdict_shares(results)
    assert (found[True]["forged"].count, found[True]["forged"].total) == (1, 2)
    assert found[False]["no forgery found"].share == 1
    assert list(verdict_shares(results[2:])) == [False]


# ------------------------------------------------------------------------ gallery and report


def ranked(score: float, number: int, verdict: str, authentic: bool = False) -> EvaluatedEntry:
    entry = ListEntry(Path(f"{number}.png"), None if authentic else Path("m.png"))
    value = float("nan") if authentic else score
    return EvaluatedEntry(
        entry, scores={"x": value, "score": score}, verdict=verdict, number=number
    )


def test_examples_are_the_telling_ones() -> None:
    results = [
        ranked(0.9, 0, "forged"),
        ranked(0.1, 1, "no forgery found"),
        ranked(0.5, 2, "inconclusive"),
        ranked(0.8, 3, "forged"),
        ranked(0.7, 4, "forged", authentic=True),
        ranked(0.2, 5, "no forgery found", authentic=True),
        EvaluatedEntry(ListEntry(Path("broken.png")), error="Broken.", number=6),
    ]
    chosen = choose_examples(results, "x", 2)
    assert [(r.number, reasons) for r, reasons in chosen] == [
        (1, ("worst", "missed forgery")),
        (2, ("worst",)),
        (4, ("false alarm",)),
        (0, ("best",)),
        (3, ("best",)),
    ]
    assert choose_examples(results, "x", 0) == []
    assert choose_examples([], "x", 3) == []


class Page(HTMLParser):
    """What a page names and whether its elements are closed."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def report_of(entries: list[ListEntry], folder: Path, **kw: Any) -> str:
    study = study_of(entries, folder, models=("good", "<b>bad"), **kw)
    scores = run_study(study, lambda name: KnowingEngine(name, wrong=float(name != "good")))
    return write_report(scores, folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["sources", "binary"])
def test_the_report_is_whole_and_harmless(
    kind: Any, entries: list[ListEntry], tmp_path: Path
) -> None:
    folder = tmp_path / "out put"
    text = report_of(entries, folder, settings=ScoringSettings(kind), degradations=(JPEG, HALF))
    page = Page(text)
    assert page.open == []
    assert not {"script", "b>bad", "object", "iframe"} & set(page.tags)
    assert NASTY not in text
    assert "&lt;script&gt;alert(&#39;x&#39;)&amp;amp;&lt;b&gt;.png" in text
    assert not any(name.startswith("on") for name in page.attributes)
    pictures = [link for link in page.links if not link.startswith("#")]
    assert len(pictures) >= 8
    for link in pictures:
        assert (folder / unquote(link)).is_file()
        assert (folder / unquote(link)).resolve().is_relative_to(folder)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    for told in (
        "missed forgery",
        "jpeg-90",
        "resize-0.5",
        "floor",
        "&lt;b&gt;bad - good",
    ):
        assert told in text


def test_tables_beside_the_report(entries: list[ListEntry], tmp_path: Path) -> None:
    report_of(entries, tmp_path, degradations=(JPEG,), examples=0)
    rows = table(tmp_path / "summary.csv")
    (pair,) = [
        row
        for row in rows
        if row["model"] != "good"
        and row["score"] == "p_miou_hungarian"
        and row["degradation"] == "none"
    ]
    assert float(pair["difference"]) < float(pair["difference_high"]) < 0
    assert 0 < float(pair["floor"]) < 1
    robustness = table(tmp_path / "set/robustness.csv")
    assert [(r["degradation"], r["model"]) for r in robustness] == [
        ("none", "good"), ("none", "<b>bad"), ("jpeg-90", "good"), ("jpeg-90", "<b>bad"),
    ]  # fmt: skip
    chart = ElementTree.parse(tmp_path / "set/robustness.svg")
    words = {element.text for element in chart.iter("{http://www.w3.org/2000/svg}text")}
    assert {"JPEG compression", "quality", "mean p_miou_hungarian", "90", "<b>bad"} <= words


def test_thumbnails_are_small_and_made_once(tmp_path: Path) -> None:
    labels = np.zeros((900, 1300), np.uint8)
    labels[:, 650:] = 1
    for name in ("p.png", "m.png"):
        Image.fromarray(encode_sources(labels)).save(tmp_path / name)
    entry = ListEntry(tmp_path / "p.png", tmp_path / "m.png")
    (scores,) = run(study_of([entry], tmp_path / "out"))
    (example,) = scores.examples
    sizes = {view: Image.open(path).size for view, path in example.files.items()}
    assert sizes["picture"] == (420, 291)
    assert sizes["truth"] == sizes["sources"] > sizes["picture"]
    engine = KnowingEngine()
    run(study_of([entry], tmp_path / "out"), engine)
    assert not engine.shapes


def test_thumbnails_of_another_model_or_torn_ones_are_made_again(
    entries: list[ListEntry], tmp_path: Path
) -> None:
    (scores,) = run(study_of(entries[:1], tmp_path))
    files = list(scores.examples[0].files.values())
    for damage in ("torn", "another model"):
        if damage == "torn":
            files[0].write_bytes(files[0].read_bytes()[:-200])
        else:
            shutil.rmtree(tmp_path / "set/a")
        engine = KnowingEngine("other" if damage == "another model" else "knowing")
        before = len(engine.shapes)
        run(study_of(entries[:1], tmp_path), engine)
        assert len(engine.shapes) > before
        for path in files:
            Image.open(path).load()


@pytest.mark.parametrize("room", [0, 100, 1000])
def test_a_full_disk_leaves_no_torn_thumbnail(
    entries: list[ListEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:room])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SafireError, match="No space left"):
        run(study_of(entries[:1], tmp_path))
    assert list((tmp_path / "set/a-pictures").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["report.html", "summary.csv", "set/a.csv", "set/a/job.json", "set/robustness.csv"],
)
def test_outputs_are_tried_before_any_picture(
    entries: list[ListEntry], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir(parents=True)
    engine = KnowingEngine()
    with pytest.raises(SafireError, match=r"cannot be (written|used)"):
        run(study_of(entries, tmp_path, degradations=(JPEG,)), engine)
    assert not engine.shapes


def test_trying_an_output_leaves_nothing_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_writable(tmp_path / "new.csv")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.csv").write_text("old")
    require_writable(tmp_path / "old.csv")
    assert (tmp_path / "old.csv").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
    for path in (tmp_path, tmp_path / "gone/x.csv", tmp_path / ("n" * 300), tmp_path / "a\0b"):
        with pytest.raises(SafireError, match="cannot be written"):
            require_writable(path)

    def forbidden(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", forbidden)  # file modes do not stop the superuser
    with pytest.raises(SafireError, match="Permission denied"):
        require_writable(tmp_path / "new.csv")


def test_names_in_the_report_are_printable(entries: list[ListEntry], tmp_path: Path) -> None:
    odd = entries[1].image.rename(tmp_path / "a\x1b[2J\u202eb.png")
    entries[1] = ListEntry(odd, entries[1].mask)
    text = report_of(entries, tmp_path / "out")
    assert not {"\x1b", "\u202e"} & set(text)
    assert "a\\x1b[2J\\u202eb.png" in text


def test_the_gallery_names_files_relative_to_the_report(
    entries: list[ListEntry], tmp_path: Path
) -> None:
    text = report_of(entries, tmp_path / "out")
    assert f">{entries[1].image}<" not in text
    assert str(entries[1].mask) not in text
    assert f"../pictures/{entries[1].image.name}" in text


def test_a_gallery_survives_a_picture_that_is_gone(
    entries: list[ListEntry], tmp_path: Path
) -> None:
    class Removing(KnowingEngine):
        def localize(self, embedding: Any, **kw: Any) -> Any:
            entries[0].image.unlink(missing_ok=True)
            return super().localize(embedding, **kw)

    (scores,) = run(study_of(entries[:2], tmp_path), Removing())
    assert any("does not exist" in example.missing for example in scores.examples)
    assert sorted(bool(example.files) for example in scores.examples) == [False, True]
    assert Page(write_report([scores], tmp_path).read_text(encoding="utf-8")).open == []


def test_a_histogram_counts_every_value_once() -> None:
    values = [0.0, 0.02, 0.5, 1.0, float("nan")]
    chart = ElementTree.fromstring(histogram_chart({"<a>": values}, "Images", "x"))
    titles = [t.text or "" for t in chart.iter("{http://www.w3.org/2000/svg}title")]
    assert [title.split(": ")[1] for title in titles] == [
        "2 from 0.00 to 0.05",
        "1 from 0.50 to 0.55",
        "1 from 0.95 to 1.00",
    ]
    assert ElementTree.fromstring(histogram_chart({}, "Nothing", "x")) is not None


def test_roc_curves_rise_from_the_origin_to_the_far_corner() -> None:
    shares = (np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.5, 1.0]))
    chart = ElementTree.fromstring(roc_chart({"A": {"<x>": shares}, "B": {"<x>": shares}}))
    lines = [line for line in chart.iter("{http://www.w3.org/2000/svg}polyline")]
    curves = [line.get("points", "").split() for line in lines if "dash" not in str(line.attrib)]
    assert len(curves) == 2
    first, middle, last = (tuple(map(float, place.split(","))) for place in curves[0])
    assert (first[0], last[0]) == (middle[0], max(first[0], last[0]))
    assert middle[1] == pytest.approx((first[1] + last[1]) / 2, abs=0.1)
    assert len({line.get("stroke") for line in lines}) == 2, "one colour a name, and chance"


def test_lists_of_authentic_pictures_alone(entries: list[ListEntry], tmp_path: Path) -> None:
    (scores,) = run(study_of([entries[2]], tmp_path, settings=ScoringSettings("binary")))
    text = write_report([scores], tmp_path).read_text(encoding="utf-8")
    assert "1 authentic" in text
    assert np.isnan(scores.results[0].scores["auc"])
    (again,) = run(study_of([entries[2]], tmp_path, settings=ScoringSettings("binary")))
    np.testing.assert_equal(dict(again.results[0].scores), dict(scores.results[0].scores))


def test_a_report_of_nothing_but_broken_pictures(tmp_path: Path) -> None:
    entry = ListEntry(tmp_path / "gone.png")
    (scores,) = run(study_of([entry], tmp_path / "out"))
    assert "gone.png" in write_report([scores], tmp_path / "out").read_text(encoding="utf-8")


# ------------------------------------------------------------------------ the script


SCRIPT = Path(__file__).parents[2] / "training" / "evaluate.py"


@pytest.fixture
def load_script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the script in this process with an engine that knows."""
    import runpy

    from napari_safire.cli import terminal

    monkeypatch.setattr(terminal, "open_engine", lambda name, *_: KnowingEngine(name))

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPT), run_name="__main__")  # reviewed: a script of ours
        return int(ended.value.code or 0)

    return call


def test_the_script_runs_named_sets(
    load_script: Callable[..., int], entries: list[ListEntry], tmp_path: Path, capsys: Any
) -> None:
    path = write_list(tmp_path / "pictures/list.txt", entries)
    assert len(read_list(path)) == 5
    config = tmp_path / "study.toml"
    config.write_text(
        f'output = "{tmp_path}/out"\nmodels = ["one", "two"]\nrobustness = ["jpeg-90"]\n'
        f'[sets.partition]\nlist = "{path}"\n'
        f'[sets.forgeries]\nlist = "{path}"\nkind = "binary"\nat = 32\nlimit = 2\n'
    )
    assert load_script(config) == 0
    out = capsys.readouterr().out
    assert "two - one" in out
    assert "partition" in out
    assert len(table(tmp_path / "out/forgeries/one.csv")) == 4
    text = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert 'id="partition"' in text
    assert "Scored at 32 x 32" in text
    assert load_script(config, "--model", "one", "-o", tmp_path / "other") == 0
    assert not (tmp_path / "other/partition/two.csv").exists()


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        ("", 2, "names no set"),
        ("x = ", 2, "no TOML"),
        ("colour = 1\n", 2, "colour"),
        ('[sets.a]\nlist = "gone.txt"\n', 2, "names no output"),
        ('output = "out"\n[sets.a]\n', 2, "has no list"),
        ('output = "out"\n[sets.a]\nlists = "x"\n', 2, "lists"),
        ('output = "out"\n[sets.a]\nlist = "gone.txt"\n', 1, "gone.txt"),
        ('output = "out"\n[sets.a]\nset = "Kaggle"\nlist = "LIST"\n', 1, "Unknown data set"),
        ('output = "out"\nrobustness = ["jpeg-0"]\n[sets.a]\nlist = "LIST"\n', 2, "jpeg"),
    ],
)
def test_bad_settings_of_the_script(
    content: str,
    code: int,
    told: str,
    load_script: Callable[..., int],
    entries: list[ListEntry],
    tmp_path: Path,
    capsys: Any,
) -> None:
    path = write_list(tmp_path / "pictures/list.txt", entries)
    (tmp_path / "study.toml").write_text(content.replace("LIST", str(path)))
    assert load_script(tmp_path / "study.toml") == code
    assert told in capsys.readouterr().err


def test_the_example_is_understood(load_script: Callable[..., int], capsys: Any) -> None:
    """Its lists are not there, and that is all that is wrong."""
    assert load_script(SCRIPT.with_name("evaluation.toml")) == 1
    assert "runs/val/list.txt" in capsys.readouterr().err
