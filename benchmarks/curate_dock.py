"""The dock SAFIRE Curate on a project of many pictures, in a real napari window.

xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/curate_dock.py  # 100,000
xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/curate_dock.py --n 1000

The pictures are fifty files of 1600 x 1200, each named two thousand times. The model is one that
answers at once, so that the figures are those of project, queue, dock and viewer. Beside each time
stands the longest time in which the viewer's thread took no event.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "window"), str(TESTS)]  # for its hand and its engine

N_FILES = 50
SHAPE = (1200, 1600)
GIVE_UP_S = 60.0


def make_project(folder: Path, number: int) -> Path:
    """Make a project whose pictures share a few files; tells how long it took and its size."""
    from napari_safire.images.files import file_sha256
    from napari_safire.project.chain.events import Draft
    from napari_safire.project.store import Project

    dice = np.random.default_rng(0)
    photos = folder / "photos"
    photos.mkdir()
    hashes = []
    for n in range(N_FILES):
        noise = dice.integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photos / f"{n}.jpg", quality=90)
        hashes.append(file_sha256(photos / f"{n}.jpg"))
    project = Project.create(folder / "project")
    begun = time.perf_counter()
    project.append_many(
        [
            Draft(
                "picture.added",
                f"{n:016x}",
                {
                    "path": f"../photos/{n % N_FILES}.jpg",
                    "tags": ["odd" if n % 2 else "even"],
                    "file_sha256": hashes[n % N_FILES],
                    "shape": list(SHAPE),
                },
            )
            for n in range(number)
        ]
    )
    seconds = time.perf_counter() - begun
    project.close()
    size = sum(file.stat().st_size for file in (folder / "project").glob("project.sqlite*"))
    print(f"{number:,} pictures added in {seconds:.1f} s; database {size / 1e6:.0f} MB")
    return folder / "project"


def timed(what: str, act: Callable[[], object], until: Callable[[], bool]) -> None:
    """Do something, and tell how long it took until a condition holds."""
    from qtpy.QtWidgets import QApplication

    begun = last = time.perf_counter()
    longest = 0.0
    act()
    while True:
        QApplication.processEvents()
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
        if until():
            break
        if now - begun > GIVE_UP_S:
            sys.exit(f"Waited {GIVE_UP_S:g} s in vain: {what}.")
        time.sleep(0.001)
    print(f"{what:<24} {1000 * (now - begun):6.0f} ms   no event for {1000 * longest:5.0f} ms")


def measure(project: Path) -> None:
    """Open, filter, sort, scroll and go on."""
    import napari
    from fakes import FakeEngine
    from hand import pump, wait_idle
    from qtpy.QtWidgets import QApplication

    from napari_safire.gui.curate import CurateWidget
    from napari_safire.gui.panels.curate.queue_model import NAME
    from napari_safire.project.queries import PictureQuery

    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    pump(0.5)
    bare = psutil.Process().memory_info().rss
    curate = CurateWidget(viewer, load_engine=lambda name, device, notice: FakeEngine())
    viewer.window.add_dock_widget(curate, name="SAFIRE Curate")
    pump(0.5)
    work, model, table = curate.workspace.queue.work, curate.list.model, curate.list.table
    timed(
        "open",
        lambda: work.open_queue(project),
        lambda: work.opened is not None and not work.doing,
    )
    pump(1.0)
    queries = {
        "search": PictureQuery(text="17.jpg"),
        "filter by tag": PictureQuery(tag="odd"),
        "sort by name": PictureQuery(sort="name"),
        "sort by state": PictureQuery(sort="state"),
        "filter by state": PictureQuery(states=("untouched",)),
        "all again": PictureQuery(),
    }
    for what, query in queries.items():
        timed(what, lambda q=query: work.set_query(q), lambda: work.listed_query == work.query)
        pump(0.3)
    for row in (model.rowCount() // 3, model.rowCount() - 20):
        key = model.key(row + 1)
        timed(
            f"scroll to row {row:,}",
            lambda r=row: table.scrollTo(model.index(r, NAME), table.ScrollHint.PositionAtTop),
            lambda k=key: work.rows.peek(k) is not None,
        )
    bar = table.verticalScrollBar()
    begun = time.perf_counter()
    for step in range(100):
        bar.setValue(bar.maximum() * step // 100)
        QApplication.processEvents()
    print(f"dragging the scroll bar  {100 / (time.perf_counter() - begun):6.0f} frames a second")
    pump(2.0)
    for _ in range(3):
        before = work.key
        timed("next picture", work.go_on, lambda b=before: work.key != b and not work.doing)
        pump(1.0)
    wait_idle(curate.controller)
    memory = psutil.Process().memory_info().rss - bare
    print(f"memory over the viewer   {memory / 2**20:6.0f} MiB")
    curate.close_work()
    viewer.close()


def main() -> None:
    """Make a project and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=100_000, help="pictures of the project")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        for name in ("CONFIG", "DATA", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(home) / name.lower())
        os.environ["NAPARI_SAFIRE_ANNOTATOR"] = "annotator"
        measure(make_project(Path(home), options.n))


if __name__ == "__main__":
    main()
