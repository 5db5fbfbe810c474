"""Strokes 6 to 12 pixels off the true edge, snapped to the picture's: two ways.

python benchmarks/snapping.py runs/clicks60/list.txt

In every picture a place on an edge between two true sources is drawn, and one of the two is painted
along it over 600 x 300 pixels: everything up to 70 pixels inside the edge, and 6 to 12 pixels too
far or too short, changing smoothly. Told is the boundary F (2 pixels) around the stroke, before and
after `napari_safire.annotation.snapping.snapped`, and after a random walker (Grady 2006) on the
same undecided pixels, with 95 % intervals by bootstrap, and the time of a call.

Last, the time for a stroke of 600 x 200 pixels in a picture of 4,000 x 3,000.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
from scipy import ndimage

from napari_safire.annotation import snapping
from napari_safire.annotation.annotation import Stroke
from napari_safire.evaluation.summary import summarise
from napari_safire.images.lists import read_list
from napari_safire.images.reading import read_image
from napari_safire.images.truth import read_mask
from napari_safire.metrics.boundaries import boundary_f

BETAS = (130, 1000)  # of the random walker: scikit-image's default, and the best of three tried


def main() -> int:
    """Run the benchmark; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--count", type=int, help="of pictures; default: all")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    names = ["drawn", "watershed", *(f"random walker, beta {beta}" for beta in BETAS)]
    scores: list[dict[str, float]] = []
    seconds: dict[str, list[float]] = {name: [] for name in names[1:]}
    for number, entry in enumerate(read_list(arguments.list, arguments.root)[: arguments.count]):
        pixels = read_image(entry.image).pixels
        truth = read_mask(entry, "sources", shape=pixels.shape[:2]).astype(np.uint8) + 1
        before, stroke = drawn(truth, np.random.default_rng((arguments.seed, number)))
        near = np.zeros(truth.shape, bool)
        stroke.put(near, True)
        near = ndimage.binary_dilation(near, iterations=16)
        results = {"drawn": _after(before, stroke)}
        for name, beta in zip(names[1:], (None, *BETAS), strict=True):
            start = time.perf_counter()
            change = _snapped(before, stroke, pixels, beta)
            seconds[name].append(time.perf_counter() - start)
            results[name] = _after(before, change or stroke)
        scores.append(
            {name: boundary_f(truth, labels, where=near) for name, labels in results.items()}
        )
    print("| edge | boundary F at 2 px (95 %) | ms, median | slowest |\n|---|---|---|---|")
    for name, mean in summarise(scores).items():
        spent = seconds.get(name, [0.0])
        print(f"| {name} | {mean.mean:.3f} ({mean.low:.3f} to {mean.high:.3f}) | "
              f"{1e3 * statistics.median(spent):.0f} | {1e3 * max(spent):.0f} |")  # fmt: skip
    worse = sum(row["watershed"] < row["drawn"] for row in scores)
    print(f"{len(scores)} strokes; after the watershed {worse} are worse than drawn")
    print(f"600 x 200 pixels of 4,000 x 3,000: {1e3 * _large():.0f} ms (slowest of five)")
    return int(worse * 20 > len(scores))


def drawn(truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Stroke]:
    """Labels before a stroke, and the stroke: see the top of this file."""
    edge = np.argwhere(truth[:-1, :-1] != truth[1:, 1:])
    row, col = edge[rng.integers(len(edge))]
    source = truth[row, col] if rng.random() < 0.5 else truth[row + 1, col + 1]
    inside = truth == source
    outside_by, nearest = ndimage.distance_transform_edt(inside, return_indices=True)
    depth = np.where(inside, -outside_by, ndimage.distance_transform_edt(~inside))
    window = np.zeros(truth.shape, bool)
    window[max(0, row - 150) : row + 150, max(0, col - 300) : col + 300] = True
    before = np.where(window & (depth > -60), truth[tuple(nearest)], truth)
    wrong = np.clip(9 + 2 * _smooth(truth.shape, 40, rng), 6, 12)
    wrong *= np.sign(_smooth(truth.shape, 60, rng))
    painted = np.where(window & (depth > -70) & (depth < wrong), source, before)
    stroke = Stroke.between(before, painted)
    assert stroke is not None
    return before, stroke


def _smooth(shape: tuple[int, ...], width: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of variance 1 that changes over `width` pixels."""
    coarse = rng.normal(size=[n // 8 + 2 for n in shape])
    fine = ndimage.zoom(ndimage.gaussian_filter(coarse, width / 8), 8, order=1)
    return fine[: shape[0], : shape[1]] / fine.std()


def _snapped(
    before: np.ndarray, stroke: Stroke, pixels: np.ndarray, beta: float | None
) -> Stroke | None:
    """By the shipped way, or (with `beta`) by a random walker in place of its watershed."""
    if beta is None:
        return snapping.snapped(before, stroke, pixels)
    colours = lambda box: ndimage.gaussian_filter(box.astype(np.float32), (0.7, 0.7, 0))  # noqa: E731
    with (
        mock.patch.object(snapping, "gradient", colours),
        mock.patch.object(snapping, "_divided", lambda *box: _walked(*box, beta)),
    ):
        return snapping.snapped(before, stroke, pixels)


def _walked(
    labels: np.ndarray, undecided: np.ndarray, colours: np.ndarray, beta: float
) -> np.ndarray:
    from skimage.segmentation import random_walker

    numbers, seeds = np.unique(labels, return_inverse=True)
    seeds = np.where(undecided, 0, seeds.reshape(labels.shape) + 1)
    seeds[ndimage.distance_transform_edt(~undecided) > 2] = -1  # far away: no part of the graph
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rounding, and of seeds that touch nothing
        found = random_walker(
            colours / colours[undecided].std(), seeds, beta, "cg_j", channel_axis=-1, tol=1e-2
        )
    return np.where(undecided & (found > 0), numbers[np.maximum(found, 1) - 1], labels)


def _after(before: np.ndarray, stroke: Stroke) -> np.ndarray:
    changed = before.copy()
    stroke.put(changed, stroke.labels)
    return changed


def _large() -> float:
    """Seconds for a wavy stroke of 600 x 200 pixels over noise, the slowest of five."""
    pixels = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8)
    before = np.zeros((3000, 4000), np.uint8)
    rows, cols = np.mgrid[:3000, :4000]
    wave = np.abs(rows - 1500 - 40 * np.sin(cols / 90)) < 100
    stroke = Stroke.between(before, (wave & (cols >= 1000) & (cols < 1600)).astype(np.uint8))
    assert stroke is not None
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        snapping.snapped(before, stroke, pixels)
        spent.append(time.perf_counter() - start)
    return max(spent)


if __name__ == "__main__":
    sys.exit(main())
