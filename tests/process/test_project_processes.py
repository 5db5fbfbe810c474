"""Projects whose writers are killed, and that several processes write to at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "robustness"))
from kill_project import at_once, kill_loop


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_killed_writers_lose_nothing_that_was_kept(tmp_path: Path) -> None:
    assert kill_loop(tmp_path, kills=3) == []


def test_two_processes_at_once_lose_no_update(tmp_path: Path) -> None:
    assert at_once(tmp_path, processes=2, seconds=1.5) == []
