"""What falls on the dock is taken by what it is, and what cannot be taken is told."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from .conftest import Dock
from .hand import wait_until


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def drop(dock: Dock, paths: Sequence[Path]) -> str:
    """Let paths fall on the dock; all that the message bar says of it."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    event = QDropEvent(QPointF(5, 5), copy, data, left, Qt.KeyboardModifier.NoModifier)
    dock.widget.dropEvent(event)
    wait_until(lambda: not dock.workspace.queue.work.doing)
    dock.settle()
    return dock.widget.message.text()


def names(dock: Dock) -> list[str]:
    return [layer.name for layer in dock.viewer.layers]


@pytest.mark.parametrize(
    ("name", "data"),
    [("b.png", b"no"), ("b.tif", b"II*\0no"), ("b.npy", b"no"), ("b.json", b"{}"), ("b", b"no")],
)
def test_a_damaged_picture_is_told(dock: Dock, picture: Path, name: str, data: bytes) -> None:
    damaged = picture.with_name(name)
    damaged.write_bytes(data)
    assert f"{name} cannot be opened" in drop(dock, [damaged, picture])
    assert names(dock) == ["a"]


def test_a_reader_that_raises_whatever_it_likes_is_told(
    dock: Dock, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **more: object) -> None:
        raise KeyError("no such thing")

    monkeypatch.setattr(type(dock.viewer), "open", fail)
    assert "a.png cannot be opened: 'no such thing'" in drop(dock, [picture])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("name", ["f.png", "f.npy", "f.tif", "f.txt", "f.pth", "f"])
def test_a_pipe_is_told_and_not_waited_for(dock: Dock, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    # Whoever waits for its other end gets one, but late.
    begin = time.monotonic()
    assert "is not a regular file" in drop(dock, [tmp_path / name])
    assert time.monotonic() - begin < 5
    assert not names(dock)


@pytest.mark.parametrize("model_first", [True, False])
def test_a_model_and_a_picture_are_both_taken(dock: Dock, picture: Path, model_first: bool) -> None:
    model = picture.with_name("m.pth")
    model.write_bytes(b"x")
    said = drop(dock, [model, picture] if model_first else [picture, model])
    assert names(dock) == ["a"]
    assert "m.pth" in dock.widget.model.model.currentText()
    assert "reader" not in said


def test_of_two_models_one_is_taken(dock: Dock, tmp_path: Path) -> None:
    for name in ("m.pth", "n.pt"):
        (tmp_path / name).write_bytes(b"x")
    assert "n.pt is not used" in drop(dock, [tmp_path / "m.pth", tmp_path / "n.pt"])


def test_a_model_and_a_folder_are_both_taken(dock: Dock, picture: Path) -> None:
    folder = picture.with_name("photos")
    folder.mkdir()
    picture.rename(folder / "a.png")
    (folder.parent / "m.pth").write_bytes(b"x")
    drop(dock, [folder.parent / "m.pth", folder])
    assert names(dock) == ["a.png"]
    assert dock.workspace.queue.work.store is not None


def test_what_is_not_there_is_told(dock: Dock, picture: Path) -> None:
    assert "gone.png does not exist" in drop(dock, [picture.with_name("gone.png"), picture])
    assert names(dock) == ["a"]


def test_a_model_that_cannot_be_used_is_told_above(dock: Dock, tmp_path: Path) -> None:
    (tmp_path / "M.PTH").write_bytes(b"junk")
    said = drop(dock, [tmp_path / "M.PTH"])
    assert said.startswith("⚠")
    assert said.endswith("stays in use.")
    assert dock.widget.model.about.text() == said
