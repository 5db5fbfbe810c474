"""What all commands show on a terminal: tables, progress, names that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import rich.progress
from typer.testing import CliRunner

from napari_safire.cli import app
from napari_safire.cli.terminal import print_table, progress_bar


def test_texts_stand_to_the_left_and_numbers_to_the_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [("a.png", "forged", "0.9", "-"), ("long name.png", "", "12.50", "12 of 30")]
    print_table(rows, header=("picture", "verdict", "score", "n"))
    assert capsys.readouterr().out.splitlines() == [
        "picture        verdict  score         n",
        "a.png          forged     0.9         -",
        "long name.png           12.50  12 of 30",
    ]


def test_the_clock_goes_on_where_the_end_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 of 0 counted as the end, at which the clock stopped for the rest of a corpus."""
    bars: list[Any] = []

    class Bar(rich.progress.Progress):
        def __init__(self, *columns: Any, **options: Any) -> None:
            super().__init__(*columns, **options)
            bars.append(self)

    monkeypatch.setattr(rich.progress, "Progress", Bar)
    with progress_bar("pictures") as show:
        show(3, 0, "3 done")
        assert not bars[0].finished
        show(3, 3, "3 done")
        assert bars[0].finished


def test_a_mistyped_name_is_wrong_use_and_begins_no_corpus(tmp_path: Path) -> None:
    output = tmp_path / "out"
    asked = ["predict", "--manifest", str(tmp_path / "gone"), "-o", str(output)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 2
    assert "does not exist" in result.output
    assert not output.exists()
