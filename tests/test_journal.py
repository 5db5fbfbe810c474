"""The journal: what was made of a picture outlives the process that made it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_safire.session.annotation import Annotation, Preview, SourcePrompt
from napari_safire.session.history import PackedLabels
from napari_safire.session.journal import Journal, _packed, _unpacked
from napari_safire.types import PointPrompt

SHAPE = (7, 9)


def annotation(seed: int = 0) -> Annotation:
    rng = np.random.default_rng(seed)
    settled = rng.integers(0, 4, SHAPE).astype(np.uint8)
    prompts = (
        SourcePrompt(PointPrompt(1.25, 2.5), 3),
        SourcePrompt(PointPrompt(4, 5), 1, exclude=True, live=False),
    )
    return Annotation(
        settled=PackedLabels.pack(settled),
        protected=PackedLabels.pack(rng.random(SHAPE) > 0.5),
        prompts=prompts,
        preview=Preview(PackedLabels.pack(settled), "prompts", prompts[:1], exact=False),
        seeds=((2, PointPrompt(3, 3)),),
    )


@given(
    settled=hnp.arrays(np.uint8, SHAPE),
    protected=hnp.arrays(np.bool_, SHAPE),
    source=st.integers(1, 255),
)
def test_a_state_comes_back_as_it_went(
    settled: np.ndarray, protected: np.ndarray, source: int
) -> None:
    state = Annotation(
        PackedLabels.pack(settled),
        PackedLabels.pack(protected),
        (SourcePrompt(PointPrompt(0.125, 8), source),),
    )
    assert _unpacked(_packed(state), SHAPE) == state


def test_every_part_of_a_state_comes_back() -> None:
    assert _unpacked(_packed(annotation()), SHAPE) == annotation()


def test_the_next_session_finds_the_latest_work(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.sqlite")
    assert first.keep("a", annotation(0))
    assert first.keep("a", annotation(1))
    assert first.keep("b", annotation(2))
    second = Journal(tmp_path / "journal.sqlite")
    found = second.find("a", SHAPE)
    assert found is not None
    assert found.annotation == annotation(1)
    assert found.saved.tzinfo is not None


def test_a_session_does_not_find_its_own_work(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.keep("a", annotation())
    assert journal.find("a", SHAPE) is None


def test_work_on_other_pictures_and_shapes_is_not_found(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.sqlite").keep("a", annotation())
    journal = Journal(tmp_path / "journal.sqlite")
    assert journal.find("b", SHAPE) is None
    assert journal.find("a", (9, 8)) is None


def test_forgotten_work_is_gone(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.sqlite").keep("a", annotation())
    journal = Journal(tmp_path / "journal.sqlite")
    journal.forget("a")
    assert journal.find("a", SHAPE) is None


def test_looking_for_work_makes_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "none" / "journal.sqlite")
    assert journal.find("a", SHAPE) is None
    assert not journal.path.parent.exists()


def test_damaged_work_is_passed_over_for_older_work(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).keep("a", annotation(0))
    Journal(path).keep("a", annotation(1))
    with sqlite3.connect(path) as connection:
        latest = "SELECT max(saved) FROM annotation"
        connection.execute(f"UPDATE annotation SET state = x'7b00' WHERE saved = ({latest})")
    found = Journal(path).find("a", SHAPE)
    assert found is not None
    assert found.annotation == annotation(0)


@pytest.mark.parametrize(
    "content", [b"", b"this is no database", b"SQLite format 3\0" + b"\xff" * 200]
)
def test_a_damaged_file_is_told_and_raises_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(content)
    journal = Journal(path)
    assert journal.find("a", SHAPE) is None
    kept = journal.keep("a", annotation())
    assert kept == (content == b"")  # an empty file is an empty database
    assert bool(journal.problem) == (not kept)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    journal = Journal(tmp_path / "file" / "journal.sqlite")
    assert not journal.keep("a", annotation())
    assert "save the labels yourself" in journal.problem


def _keep_many(path: Path, name: str) -> None:
    journal = Journal(path)
    for seed in range(20):
        assert journal.keep(f"{name}{seed % 5}", annotation(seed)), journal.problem


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_keep_many, args=(path, "a")) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = Journal(path).find("a4", SHAPE)
    assert found is not None
    assert found.annotation == annotation(19)


def test_work_outlives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_journal import Journal, annotation\n"
        "Journal(Path(sys.argv[2])).keep('a', annotation(3))\n"
        "print('kept', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "kept\n"
        os.kill(process.pid, signal.SIGKILL)
    found = Journal(path).find("a", SHAPE)
    assert found is not None
    assert found.annotation == annotation(3)
