"""What other systems do differently, as far as it can be acted here (docs/platforms.md)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from toys import tiny_lite

from napari_safire import atomic
from napari_safire.atomic import atomic_files, atomic_path
from napari_safire.corpus.folder_lock import locked
from napari_safire.errors import CheckpointError
from napari_safire.images.records import replacing
from napari_safire.images.records.paths import found_path, recorded_path
from napari_safire.images.records.replacing import rename_together
from napari_safire.learning.stopping import stoppable
from napari_safire.model import SafireModel, save_checkpoint


@pytest.fixture
def open_elsewhere(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """As on Windows: the next ``left`` renamings are refused, as the file is open elsewhere."""
    state = SimpleNamespace(left=0, refused=0)

    def replace(source: Path, target: Path, rename=os.replace) -> None:
        if state.left:
            state.left, state.refused = state.left - 1, state.refused + 1
            raise PermissionError(13, "Access is denied")
        rename(source, target)

    monkeypatch.setattr(atomic, "_HAS_SHARING_VIOLATIONS", True)
    monkeypatch.setattr(atomic, "_PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(os, "replace", replace)
    return state


def written_alone(folder: Path) -> None:
    with atomic_path(folder / "a.txt") as temporary:
        temporary.write_text("new")


def written_together(folder: Path) -> None:
    with atomic_files(folder, "a.txt") as staging:
        (staging / "a.txt").write_text("new")


@pytest.mark.parametrize("write", [written_alone, written_together])
def test_what_is_open_for_a_moment_is_replaced_all_the_same(tmp_path, open_elsewhere, write):
    (tmp_path / "a.txt").write_text("old")
    open_elsewhere.left = 3
    write(tmp_path)
    assert (tmp_path / "a.txt").read_text() == "new"
    assert open_elsewhere.refused == 3
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_stays_open_is_told_and_nothing_is_left_behind(tmp_path, open_elsewhere):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    open_elsewhere.left = 99
    with pytest.raises(CheckpointError, match=r"cannot be written: Access is denied\."):
        save_checkpoint(SafireModel(tiny_lite()), path)
    assert open_elsewhere.refused == 4
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


def test_elsewhere_a_refusal_is_told_at_once(tmp_path, open_elsewhere, monkeypatch):
    monkeypatch.setattr(atomic, "_HAS_SHARING_VIOLATIONS", False)
    open_elsewhere.left = 1
    with pytest.raises(PermissionError):
        written_alone(tmp_path)
    assert os.listdir(tmp_path) == []


def test_people_may_save_where_a_run_is_at_work(tmp_path, monkeypatch):
    """Where folders cannot be locked, both need a file: not the same one."""
    monkeypatch.setattr(replacing, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(replacing, "_LOCK_S", 0.0)
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "a.json").write_text("{}")
    with locked(tmp_path) as problem:
        assert problem is None
        rename_together(staging, tmp_path / "a.json", [], None)
    assert (tmp_path / "a.json").read_text() == "{}"


def test_a_picture_on_another_drive_is_recorded_by_its_name(tmp_path, monkeypatch):
    def relpath(*paths: object) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", relpath)
    assert recorded_path("/photos/a.jpg", tmp_path) == "a.jpg"
    (tmp_path / "a.jpg").touch()  # taken along with the record
    assert found_path("a.jpg", tmp_path / "a.json") == tmp_path / "a.jpg"


def test_training_can_be_stopped_where_there_is_no_sigusr1(monkeypatch):
    monkeypatch.delattr(signal, "SIGUSR1")
    before = signal.getsignal(signal.SIGTERM)
    with stoppable() as wished:
        assert not wished()
        signal.raise_signal(signal.SIGTERM)
        assert wished()
    assert signal.getsignal(signal.SIGTERM) is before
