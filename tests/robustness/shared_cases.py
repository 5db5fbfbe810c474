"""The inputs of ../shared/cases against today's rooms: every script has to say RIGHT.

python tests/robustness/shared_cases.py            # all cases
python tests/robustness/shared_cases.py 12 24      # those whose folder begins so

The scripts lie outside the repository and name modules as they were called when the cases were
written. They are copied, and their names are replaced by those of today (NAMES); nothing else is
changed. The last line counts; the exit code is 1 if a script said WRONG or said nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT.parent / "shared" / "cases"
QUEUE = "napari_safire.gui.panels.curate.queue_section"
NAMES = {
    r"napari_safire\.data\.images": "napari_safire.images.reading",
    r"napari_safire\.data\.lists": "napari_safire.images.truth",
    r"napari_safire\.data\.demo": "napari_safire.images.demo",
    r"napari_safire\.gui\.sections\.series_section": QUEUE,
    r"w\.findChild\(SeriesSection\)": "w.workspace.queue.work",  # it has a dock of its own now
    r"\bSeriesSection\b": "QueueSection",
    r"\bopen_series\b": "open_queue",
    r"not w\.desk\.session\.busy": "w.desk.session.idle",
    r"\.desk\b": ".controller",
    r"napari_safire\.engine\.pixels": "napari_safire.images.pixels",
    r"\bs\._busy\b": "s.doing",
}
_LONGEST_S = 900


def main(chosen: list[str]) -> int:
    """Run the chosen cases, print what they say, and count."""
    if not CASES.is_dir():
        print(f"{CASES} is not there: the cases are kept beside the repository.")
        return 1
    right = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder) / "shared" / "cases"
        shutil.copytree(CASES, cases)
        for script in (*cases.rglob("*.py"), *cases.rglob("*.sh")):
            script.chmod(0o755)
            script.write_text(_renamed(script.read_text(encoding="utf-8")), encoding="utf-8")
        for case in sorted(cases.glob("*/run.sh")):
            if chosen and not case.parent.name.startswith(tuple(chosen)):
                continue
            said = _run(case)
            n_right = len(re.findall("^RIGHT", said, re.MULTILINE))
            n_wrong = len(re.findall("^WRONG", said, re.MULTILINE))
            if n_wrong or not n_right:
                print(f"{case.parent.name}:\n{said}")
            else:
                print(f"{case.parent.name}: {n_right} right", flush=True)
            right, wrong = right + n_right, wrong + (n_wrong or not n_right)
    print(f"{right} right, {wrong} wrong")
    return int(wrong > 0 or right == 0)


def _renamed(text: str) -> str:
    for old, new in NAMES.items():
        text = re.sub(old, new, text)
    return text


def _run(case: Path) -> str:
    environment = {**os.environ, "VENV": str(Path(sys.executable).parents[1])}
    try:
        done = subprocess.run(
            ["bash", str(case)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"WRONG: no end after {_LONGEST_S} seconds"
    return done.stdout.decode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
