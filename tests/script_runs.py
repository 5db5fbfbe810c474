"""The scripts of training/, run here: a process of its own loads torch anew, in two seconds."""

from __future__ import annotations

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

TRAINING = Path(__file__).parents[1] / "training"


def run_script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script as ``python training/NAME …`` does, but in this process.

    What it imports from its folder is forgotten: names as plain as these may be others' too.
    """
    command = [str(TRAINING / name), *map(str, arguments)]
    told, complaints = io.StringIO(), io.StringIO()
    loaded = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TRAINING))
        patch.setattr(sys, "argv", command)
        with redirect_stdout(told), redirect_stderr(complaints):
            try:
                runpy.run_path(command[0], run_name="__main__")  # reviewed: a script of ours
                code: object = 0
            except SystemExit as end:
                code = end.code
            finally:
                forget(set(sys.modules) - loaded)
    if isinstance(code, str):  # as Python does with a sentence
        complaints.write(code + "\n")
    number = code if isinstance(code, int) else int(code is not None)
    return subprocess.CompletedProcess(command, number, told.getvalue(), complaints.getvalue())


def forget(names: set[str]) -> None:
    """Let go of the modules among these that lie in the folder of scripts."""
    for name in names:
        where = getattr(sys.modules[name], "__file__", None)
        if where and Path(where).parent == TRAINING:
            del sys.modules[name]
