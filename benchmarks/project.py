"""A project of 100,000 pictures: how long opening and listing take, and how large it is.

    python benchmarks/project.py [--pictures 100000]

The pictures are names and hashes without files, as those of `add --quick`; a tenth has work. Each
figure is the median of five runs in one process, beside the same question to a hundredth of the
pictures.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from napari_safire.project.chain.events import Draft
from napari_safire.project.queries import PictureQuery, count_states, list_pictures, picture_rows
from napari_safire.project.store import DATABASE, Project

ANNOTATOR = "Ada"
QUESTIONS = {
    "all, as added": PictureQuery(),
    "search in paths": PictureQuery(text="9917"),
    "state done": PictureQuery(states=("done",)),
    "tag": PictureQuery(tag="night"),
    "by name, falling": PictureQuery(sort="name", descending=True),
    "by state": PictureQuery(sort="state"),
    "by score, falling": PictureQuery(sort="score", descending=True),
}


def make_project(folder: Path, pictures: int) -> float:
    """Make it; gives the seconds that takes."""
    start = time.perf_counter()
    with Project.create(folder, author=ANNOTATOR) as project:
        project.append_many([draft for number in range(pictures) for draft in _drafts(number)])
    return time.perf_counter() - start


def _drafts(number: int) -> list[Draft]:
    picture = f"{number:016x}"
    added = {
        "path": f"../photos/folder {number % 97}/IMG_{number * 7919 % 1_000_003:07d}.jpg",
        "file_sha256": f"{number:064x}",
        "shape": [3000, 4000],
        "tags": ["night"] if number % 50 == 0 else [],
    }
    score = {"score": (number * 31 % 997) / 997, "verdict": "no forgery found"}
    found = [Draft("picture.added", picture, added), Draft("picture.scored", picture, score)]
    if number % 10 == 0:
        saved = {
            "annotator": ANNOTATOR, "revision": 1, "labels": f"{number:064x}", "n_sources": 2,
            "n_unassigned": 0, "seconds": 30.0,
        }  # fmt: skip
        found.append(Draft("work.saved", picture, saved))
        found.append(Draft("work.done", picture, {"annotator": ANNOTATOR, "revision": 1}))
    return found


def median_ms(act: Callable[[], object], runs: int = 5) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def measure(folder: Path) -> dict[str, float]:
    """Milliseconds of each question."""

    def reopen() -> None:
        with Project.open(folder, author=ANNOTATOR) as there:
            list_pictures(there, ANNOTATOR, PictureQuery())

    found = {"open and list": median_ms(reopen)}
    with Project.open(folder, author=ANNOTATOR) as project:
        for name, query in QUESTIONS.items():
            found[name] = median_ms(lambda query=query: list_pictures(project, ANNOTATOR, query))
        ids = list_pictures(project, ANNOTATOR, PictureQuery())
        middle = ids[len(ids) // 2 : len(ids) // 2 + 50]
        found["50 rows on screen"] = median_ms(lambda: picture_rows(project, ANNOTATOR, middle))
        found["counts of states"] = median_ms(lambda: count_states(project, ANNOTATOR))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    pictures = parser.parse_args().pictures
    with tempfile.TemporaryDirectory() as root:
        few, many = Path(root) / "few", Path(root) / "many"
        make_project(few, max(1, pictures // 100))
        seconds = make_project(many, pictures)
        size = (many / DATABASE).stat().st_size
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        small, large = measure(few), measure(many)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        with Project.open(many) as project:
            start = time.perf_counter()
            assert project.rebuild()
            rebuilt = time.perf_counter() - start
    print(f"{pictures:,} pictures: made in {seconds:.1f} s, {size / pictures:,.0f} bytes each,")
    print(f"state made anew in {rebuilt:.1f} s; {grown / 1024:.0f} MiB more while measuring")
    print("| question | ms | of a hundredth of the pictures, ms |")
    print("|---|---|---|")
    for name, value in large.items():
        print(f"| {name} | {value:.1f} | {small[name]:.1f} |")


if __name__ == "__main__":
    main()
