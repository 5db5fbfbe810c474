"""The autosave: what was made of a picture outlives the process that made it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from systems import posix

from napari_safire.annotation.annotation import Annotation, Preview, SourcePrompt
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane, PartitionPredictions, Predictions
from napari_safire.basis import RunBasis
from napari_safire.forgery import ForgeryMap
from napari_safire.session import autosave as journal_module
from napari_safire.session.autosave import Autosave, AutosavedWork
from napari_safire.types import PointPrompt

SHAPE = (7, 9)


def made(seed: int = 0, forgery: ForgeryMap | None = None) -> AnnotatedPlane:
    rng = np.random.default_rng(seed)
    settled = rng.integers(0, 4, SHAPE).astype(np.uint8)
    prompts = (
        SourcePrompt(PointPrompt(1.25, 2.5), 3),
        SourcePrompt(PointPrompt(4, 5), 1, exclude=True, live=False),
    )
    annotation = Annotation(
        settled=PackedLabels.pack(settled),
        protected=PackedLabels.pack(rng.random(SHAPE) > 0.5),
        prompts=prompts,
        preview=Preview(PackedLabels.pack(settled), "prompts", prompts[:1], exact=False),
        seeds=((2, PointPrompt(3, 3)),),
    )
    said = PartitionPredictions("auto", (1, 2), {2: 0.75, 3: 0.25})
    return AnnotatedPlane(
        annotation,
        Predictions(RunBasis("model"), {PointPrompt(4, 5): 0.5}, said, forgery),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def found(path: Path, image: str = "a", **how: Any) -> AnnotatedPlane | None:
    kept = Autosave(path).find(image, SHAPE, **how)
    return None if kept is None else kept.made


def test_the_latest_state_of_the_latest_work_is_found(path: Path) -> None:
    autosave = Autosave(path)
    assert autosave.keep("first", "a", made(0))
    assert autosave.keep("first", "a", made(1))
    assert autosave.keep("second", "b", made(2))
    kept = Autosave(path).find("a", SHAPE)
    assert isinstance(kept, AutosavedWork)
    assert (kept.work, kept.made) == ("first", made(1))
    assert kept.changed.tzinfo is not None


def test_work_that_is_going_on_is_not_found(path: Path) -> None:
    autosave = Autosave(path)
    autosave.keep("earlier", "a", made(0))
    autosave.keep("now", "a", made(1))
    assert found(path, besides=["now"]) == made(0)
    assert found(path, besides=["now", "earlier"]) is None


def test_work_on_other_pictures_and_shapes_is_not_found(path: Path) -> None:
    Autosave(path).keep("work", "a", made())
    assert found(path, "b") is None
    assert Autosave(path).find("a", (9, 8)) is None


def test_forgotten_work_is_gone_and_what_is_going_on_stays(path: Path) -> None:
    for work in ("earlier", "now"):
        Autosave(path).keep(work, "a", made())
    Autosave(path).forget("a", ["now"])
    assert Autosave(path).find("a", SHAPE, ["now"]) is None
    assert found(path) == made()


def test_saved_work_is_not_offered_until_it_is_changed(path: Path) -> None:
    Autosave(path).keep("work", "a", made(0), saved=True)
    assert found(path) is None
    Autosave(path).keep("work", "a", made(1))
    assert found(path) == made(1)


def test_work_that_was_taken_up_is_offered_no_more_and_saved_along(path: Path) -> None:
    Autosave(path).keep("first", "a", made(0))
    Autosave(path).keep("second", "a", made(1), took_up=["first"])
    assert found(path, besides=["second"]) is None
    Autosave(path).keep("third", "a", made(2), took_up=["second"])
    assert found(path, besides=["third"]) is None
    Autosave(path).keep("third", "a", made(2), took_up=["second"], saved=True)
    assert found(path) is None
    Autosave(path).keep("third", "a", made(3), took_up=["second"])
    assert found(path) == made(3)


def test_what_was_taken_up_and_undone_is_offered_again(path: Path) -> None:
    Autosave(path).keep("first", "a", made(0))
    Autosave(path).keep("second", "a", made(1), took_up=["first"])
    Autosave(path).keep("second", "a", AnnotatedPlane(Annotation.empty(SHAPE)))
    assert found(path) == made(0)


def test_the_map_is_written_once_and_comes_back_with_every_state(path: Path) -> None:
    values = np.linspace(0, 1, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
    forgery = ForgeryMap(values, 0.97, "forged", "Because.")
    autosave = Autosave(path)
    autosave.keep("work", "a", made(0, forgery))
    autosave.keep("work", "a", made(1, forgery), map_is_kept=True)
    kept = found(path)
    assert kept is not None
    assert kept.annotation == made(1).annotation
    assert kept.predictions.forgery is not None
    assert (kept.predictions.forgery.score, kept.predictions.forgery.verdict) == (0.97, "forged")
    np.testing.assert_allclose(kept.predictions.forgery.heatmap, values, atol=0.5 / 255)
    # Where the row has gone meanwhile, all is written.
    autosave.forget("a")
    autosave.keep("work", "a", made(1, forgery), map_is_kept=True)
    kept = found(path)
    assert kept is not None
    assert kept.predictions.forgery is not None


def test_only_saved_work_makes_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_MOST_ROWS", 5)
    autosave = Autosave(path)
    autosave.keep("old", "unsaved", made(0))
    for number in range(6):
        assert autosave.keep(f"s{number}", f"saved {number}", made(1), saved=True)
    assert not autosave.problem
    assert rows(path) == 5
    for number in range(6):
        assert autosave.keep(f"u{number}", f"unsaved {number}", made(2))
    assert rows(path) == 7
    assert "never saved: save or forget some" in autosave.problem
    assert found(path, "unsaved") == made(0)
    assert [found(path, f"unsaved {number}") for number in range(6)] == [made(2)] * 6


def test_room_is_also_made_by_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_MOST_BYTES", 3000)
    autosave = Autosave(path)
    for number in range(20):
        autosave.keep(f"s{number}", f"saved {number}", made(1), saved=True)
    assert 1 <= rows(path) < 10


def rows(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute("SELECT count(*) FROM work").fetchone()
    return int(count)


def test_looking_for_work_makes_no_file(tmp_path: Path) -> None:
    autosave = Autosave(tmp_path / "none" / "journal.sqlite")
    assert autosave.find("a", SHAPE) is None
    assert not autosave.path.parent.exists()


_ODD = (
    None, "", "null", "[]", "{}", "7", b"{\0", "[" * 100_000, 3.5, 2**62, -1e300, b"\xff\xfe",
    '{"format": "napari-safire annotation 1", "shape": null}',
)  # fmt: skip


@pytest.mark.parametrize("odd", _ODD, ids=lambda odd: repr(odd)[:20])
@pytest.mark.parametrize("column", ["state", "changed", "took_up", "saved", "forgery", "size"])
def test_a_damaged_row_is_left_out_or_makes_sense(path: Path, column: str, odd: object) -> None:
    Autosave(path).keep("good", "a", made(0))
    Autosave(path).keep("damaged", "a", made(1))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE OR IGNORE work SET changed = 1 WHERE work = 'good'")
        connection.execute(f"UPDATE OR IGNORE work SET {column} = ? WHERE work = 'damaged'", (odd,))
    autosave = Autosave(path)
    kept = autosave.find("a", SHAPE)
    assert kept is not None
    assert kept.made in (made(0), made(1))
    if column == "state" and odd is not None:  # there it is refused by the table
        assert kept.made == made(0)
    assert autosave.keep("damaged", "a", made(2)), autosave.problem
    assert autosave.keep("other", "a", made(3), took_up=["damaged"], saved=True), autosave.problem
    assert found(path) == made(0)


def test_a_damaged_map_costs_the_map_alone(path: Path) -> None:
    Autosave(path).keep(
        "work", "a", made(0, ForgeryMap(np.ones(SHAPE, np.float32), 1, "forged", ""))
    )
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE work SET forgery = ?", (json.dumps({"map": "eJw="}),))
    assert found(path) == made(0)


@pytest.mark.parametrize(
    "content", [b"", b"this is no database", b"SQLite format 3\0" + b"\xff" * 200]
)
def test_a_damaged_file_is_told_and_raises_nothing(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    autosave = Autosave(path)
    assert autosave.find("a", SHAPE) is None
    kept = autosave.keep("work", "a", made())
    assert kept == (content == b"")  # an empty file is an empty database
    assert bool(autosave.problem) == (not kept)


@posix
@pytest.mark.parametrize("ending", ["", "-wal", "-journal"])
@pytest.mark.parametrize("what", ["fifo", "folder"])
def test_what_is_no_file_in_place_of_one_is_told_at_once(
    path: Path, ending: str, what: str
) -> None:
    place = path.with_name(path.name + ending)
    os.mkfifo(place) if what == "fifo" else place.mkdir()
    autosave = Autosave(path)
    assert autosave.find("a", SHAPE) is None
    assert not autosave.keep("work", "a", made())
    assert f"{place.name} is no file" in autosave.problem


def test_a_table_of_other_columns_is_told(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE work (other TEXT)")
    autosave = Autosave(path)
    assert not autosave.keep("work", "a", made())
    assert "save the labels yourself" in autosave.problem


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    autosave = Autosave(tmp_path / "file" / "journal.sqlite")
    assert not autosave.keep("work", "a", made())
    assert "save the labels yourself" in autosave.problem


def _keep_many(path: Path, name: str) -> None:
    autosave = Autosave(path)
    for seed in range(20):
        assert autosave.keep(name, f"{name}{seed % 5}", made(seed)), autosave.problem


def test_two_processes_may_write_at_once(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_keep_many, args=(path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert found(path, "a4") == found(path, "b4") == made(19)


@posix
def test_work_outlives_a_killed_process(path: Path) -> None:
    program = (
        "import sys, time; sys.path[:0] = [sys.argv[1], sys.argv[1] + '/..']\n"
        "from pathlib import Path\n"
        "from test_journal import Autosave, made\n"
        "Autosave(Path(sys.argv[2])).keep('work', 'a', made(3))\n"
        "print('kept', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "kept\n"
        os.kill(process.pid, signal.SIGKILL)
    assert found(path) == made(3)
