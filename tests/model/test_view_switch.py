"""Looking at a picture changes nothing of what was made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_safire.annotation.annotation import Labels, Mask
from napari_safire.gui.layers.layer_group import View

from .conftest import Dock
from .hand import wait_until

SHAPE = (120, 160)
MAPS: tuple[View, ...] = ("forgery map", "uncertainty")


def corner(labels: Labels, protected: Mask) -> Labels:
    made = np.ones_like(labels)
    made[:10, :10] = 2
    return made


def settle(dock: Dock) -> None:
    wait_until(lambda: not dock.workspace.queue.work.doing)
    dock.settle()


@pytest.mark.parametrize("view", MAPS)
def test_a_view_lays_nothing_over_sources(dock: Dock, view: View) -> None:
    dock.viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock.settle()
    assert dock.controller.key is not None
    dock.controller.session.annotations.edit(dock.controller.key, corner, "paint")
    dock.settle()
    made = dock.controller.plane.snapshot.annotation
    dock.press(dock.widget.view.buttons[view])
    dock.settle()
    assert dock.controller.plane.snapshot.annotation == made
    assert "Partition first" in dock.widget.message.text()
    assert not dock.widget.view.buttons[view].isChecked()
    dock.press(dock.widget.partition.run)
    dock.settle()
    dock.press(dock.widget.view.buttons[view])
    dock.settle()
    assert dock.widget.view.buttons[view].isChecked()


@pytest.mark.parametrize("view", MAPS)
@pytest.mark.parametrize("mark", ["finish", "finish_as_authentic"])
def test_a_finished_picture_that_is_only_looked_at_stays_done(
    dock: Dock, tmp_path: Path, view: View, mark: str
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(2):
        Image.fromarray(np.full((*SHAPE, 3), 40 * n, np.uint8)).save(folder / f"p{n}.png")
    queue = dock.workspace.queue
    queue.work.open_queue(folder)
    settle(dock)
    if mark == "finish":
        assert dock.controller.key is not None
        dock.controller.session.annotations.edit(dock.controller.key, corner, "paint")
        dock.settle()
    for step in (getattr(queue, mark), queue.go_back):
        step()
        settle(dock)
    files = {path: path.read_bytes() for path in tmp_path.glob("photos_masks/*")}
    assert len(files) >= 2
    dock.workspace.switch.toggle(view)
    settle(dock)
    queue.go_on()
    settle(dock)
    assert {path: path.read_bytes() for path in tmp_path.glob("photos_masks/*")} == files
