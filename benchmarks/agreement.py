"""Agreement, regions and decisions of two annotators of one large picture: how long each takes.

    OMP_NUM_THREADS=1 python benchmarks/agreement.py [--rows 3000 --cols 4000]

The second annotator numbers the sources otherwise, draws all borders three pixels aside and has a
source of their own; the worst case beside it is noise, in which most pixels are regions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from napari_safire.project.chain.events import now
from napari_safire.project.team.adjudicating import OpenAdjudication
from napari_safire.project.team.adjudication import RegionStep, after, agreed, compare, resolve
from napari_safire.project.team.agreement import agreement, agreement_of_all
from napari_safire.project.team.disagreement import disagreements

BLOCK = 100  # pixels of a side of the pieces that sources are made of


def sources(rows: int, cols: int, number: int, seed: int) -> np.ndarray:
    """(rows, cols) uint8 labels from 1, in blocks."""
    drawn = np.random.default_rng(seed).integers(1, number + 1, (rows // BLOCK, cols // BLOCK))
    return np.kron(drawn, np.ones((BLOCK, BLOCK), int)).astype(np.uint8)


def timed(what: str, act: Callable[[], object], runs: int = 3) -> None:
    """Print the median of some runs."""
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - begin)
    print(f"{what:48s} {statistics.median(seconds):7.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--cols", type=int, default=4000)
    chosen = parser.parse_args()
    first = sources(chosen.rows, chosen.cols, 5, seed=0)
    second = np.array([0, 3, 1, 2, 5, 4], np.uint8)[np.roll(first, 3, axis=1)]
    second[: 3 * BLOCK, : 3 * BLOCK] = 7
    third = np.roll(first, 9, axis=0)
    print(f"{chosen.rows} x {chosen.cols} pixels")
    timed("agreement of two", lambda: agreement(first, second))
    timed("agreement of three", lambda: agreement_of_all({"a": first, "b": second, "c": third}))
    timed("regions, matched and numbered", lambda: compare([first, second], smallest=16))
    comparison = compare([first, second], smallest=16)
    listed = comparison.disagreements
    print(f"  {len(listed.regions)} regions, {listed.area:,} pixels")
    who = {"adjudicator": "c", "at": now()}
    steps = [
        RegionStep(**who, region=region.name, choice=k % 2)
        for k, region in enumerate(listed.regions)
    ]
    start = agreed(comparison)
    timed("a decision", lambda: after(comparison, start, steps[:1]))
    timed("all decisions, from the record", lambda: resolve(comparison, steps))
    opened = OpenAdjudication("c", (), comparison)
    labels = resolve(comparison, steps).labels
    labels[: chosen.rows // 4, :200] = 9
    timed("what was decided, read off the labels", lambda: opened.decided(labels, steps))
    record = opened.record(opened.decided(labels, steps)).as_record()
    print(f"  {len(json.dumps(record)):,} bytes of decisions, a quarter of a side painted")
    noise = np.random.default_rng(1).integers(1, 4, first.shape).astype(np.uint8)
    timed("agreement with noise", lambda: agreement(first, noise))
    timed("regions of noise", lambda: disagreements([first, noise], smallest=16), runs=1)


if __name__ == "__main__":
    main()
