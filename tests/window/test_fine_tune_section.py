"""Fine-tuning from the dock in a window: its command, and its end with the dock or the viewer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import napari
import psutil
import pytest
from fake_tuning import FakeTuning, make_fake, make_series

from napari_safire.gui.keys.commands import fine_tune

from .conftest import Dock
from .hand import pump, wait_until
from .test_closing import Opened, assert_freed, assert_threads_end, open_dock
from .test_closing import quiet as quiet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_series(tmp_path)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTuning:
    return make_fake(tmp_path, monkeypatch)


def test_the_command_opens_the_section(dock: Dock, fake: FakeTuning) -> None:
    fine_tune(dock.viewer)
    pump(0.05)
    section = dock.widget.fine_tune
    assert section.heading.isChecked()
    assert not section.start.visibleRegion().isEmpty()


@pytest.mark.own_window
@pytest.mark.parametrize("how", ["dock", "viewer"])
def test_the_process_ends_with_the_dock_and_nothing_is_left(
    viewer: napari.Viewer, quiet: None, fake: FakeTuning, folder: Path, how: str
) -> None:
    opened = open_dock(viewer)
    pump(0.1)
    process = psutil.Process(learn(opened, folder))
    close: dict[str, Callable[[], None]] = {
        "dock": lambda: opened.click_title("QTitleBarCloseButton"),
        "viewer": opened.viewer.close,
    }
    close[how]()
    assert_threads_end()
    wait_until(lambda: not of_tuning(), what="the end of the threads")
    assert not process.is_running()
    assert_freed(opened.traces)


def learn(opened: Opened, folder: Path) -> int:
    """Let a dock learn; gives the number of the process, and keeps nothing alive."""
    series, section = opened.widget.workspace.queue, opened.widget.fine_tune
    series.work.open_queue(folder)
    wait_until(lambda: not series.work.doing and section.start.isEnabled())
    section.unfold()
    opened.click(section.start)
    wait_until(lambda: section.status.text().startswith("Step 120"))
    assert of_tuning()
    return section._tuning._process.pid


def of_tuning() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("fine-tuning")]
