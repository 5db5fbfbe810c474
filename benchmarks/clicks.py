"""How many clicks a curator needs: proposed, drawn at random, and in the largest wrong region.

python training/make_dataset.py ../shared/photos.csv -o runs/clicks60 --split val --sources 2,3,4 \\
    --size 1024x768 --count 60 --seed 7
python benchmarks/clicks.py runs/clicks60/list.txt -o clicks.csv

An oracle clicks: it gives the true source of each point that it is asked for. Prompts are answered
as the session does it (`napari_safire.annotation.answers`), from an empty annotation on. Points are

- proposed: `napari_safire.annotation.next_click`, which sees no truth;
- random: any pixel, each as likely;
- error: the place deepest inside the largest connected region of one true source that is wrong or
  without a source: it sees the truth, and is what a diligent curator does.

Told are the clicks until the mean IoU over the true sources, by the oracle's numbers (pixels
without a source are wrong), reaches .90 and .95; who does not within the cap counts as cap + 1.
Differences are paired, intervals 95 % by bootstrap over pictures. The exit code is 1 if the
proposal is not better than random, its interval above zero.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_safire import Embedding, Engine, load_model
from napari_safire.annotation.annotation import Annotation, SourcePrompt
from napari_safire.annotation.answers import ask_regions, previewed
from napari_safire.annotation.next_click import next_click
from napari_safire.annotation.region_labels import Unions, asked_for
from napari_safire.evaluation.summary import summarise
from napari_safire.images.lists import read_list
from napari_safire.images.reading import read_image
from napari_safire.images.truth import read_mask
from napari_safire.metrics import confusion_matrix
from napari_safire.types import PointPrompt

WAYS = ("proposed", "random", "error")
GOALS = (0.90, 0.95)
SHOWN = (1, 2, 3, 5, 10, 20, 30)
STEP = 4  # the largest wrong region is looked for on every fourth pixel


class Clicker:
    """Clicks on one picture, answered as the session does it."""

    def __init__(self, engine: Engine, embedding: Embedding, truth: np.ndarray) -> None:
        self.engine, self.embedding, self.truth = engine, embedding, truth
        self.state = Annotation.empty(truth.shape)
        self.regions: dict = {}
        self.unions = Unions()
        self.labels = np.zeros(truth.shape, np.uint8)

    def click(self, point: PointPrompt) -> float:
        """Have the oracle name the source; return the mean IoU after the answer."""
        row, col = (min(max(round(at), 0), n - 1) for at, n in zip(
            (point.row, point.col), self.truth.shape, strict=True))  # fmt: skip
        prompt = SourcePrompt(point, int(self.truth[row, col]))
        self.state = self.state.with_prompts([*self.state.prompts, prompt])
        live, jointly = self.state.live_prompts, self.engine.answers_by_patches
        asked = dict.fromkeys(asked_for(live, jointly).values())
        missing = [one for one in asked if one not in self.regions]
        self.regions |= ask_regions(self.engine, self.embedding, missing)
        self.state = previewed(self.state, self.regions, None, self.unions, jointly)
        self.labels = self.state.shown()
        overlap = confusion_matrix(self.truth, self.labels)[1:]
        both = np.array([row[k] if k < len(row) else 0 for k, row in enumerate(overlap, 1)])
        claimed = np.bincount(self.labels.ravel(), minlength=len(overlap) + 1)[1 : len(overlap) + 1]
        return float((both / (overlap.sum(axis=1) + claimed - both)).mean())

    def largest_error(self) -> PointPrompt | None:
        """The place deepest inside the largest wrong region of one source."""
        truth, labels = self.truth[::STEP, ::STEP], self.labels[::STEP, ::STEP]
        largest, size = None, 0
        for source in np.unique(truth):
            pieces, count = ndimage.label((truth == source) & (labels != source))
            sizes = np.bincount(pieces.ravel())[1:]
            if count and sizes.max() > size:
                largest, size = pieces == 1 + sizes.argmax(), sizes.max()
        if largest is None:
            return None
        depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
        row, col = np.unravel_index(int(depth.argmax()), depth.shape)
        return PointPrompt(float(row * STEP), float(col * STEP))

    def propose(self) -> PointPrompt | None:
        """What the software proposes."""
        found = next_click(self.engine, self.embedding, self.state, self.regions)
        if found is not None:
            self.promised = found.settles
        return None if found is None else found.point


def main() -> int:
    """Run the benchmark; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("list", type=Path)
    add("-o", "--output", type=Path, help="CSV of all curves")
    add("--root", type=Path)
    add("--model", default="safire-lite")
    add("--count", type=int, help="of pictures; default: all")
    add("--cap", type=int, default=30, help="clicks at most (default: 30)")
    add("--seed", type=int, default=1)
    arguments = parser.parse_args()
    engine = Engine(load_model(arguments.model))
    curves: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    sources: list[int] = []
    seconds: list[float] = []
    promises: list[tuple[int, float, float]] = []
    for number, entry in enumerate(read_list(arguments.list, arguments.root)[: arguments.count]):
        pixels = read_image(entry.image).pixels
        truth = read_mask(entry, "sources", shape=pixels.shape[:2])
        numbers = np.unique(truth)
        truth = (1 + np.searchsorted(numbers, truth)).astype(np.uint8)
        embedding = engine.embed(pixels)
        engine.pieces(embedding)  # as a partition or the first click does, once a picture
        sources.append(len(numbers))
        for way in WAYS:
            rng = np.random.default_rng((arguments.seed, number))
            clicker = Clicker(engine, embedding, truth)
            curves[way].append(_curve(clicker, way, arguments.cap, rng, seconds, promises))
        print(f"{number + 1} pictures", file=sys.stderr, flush=True)
    if arguments.output is not None:
        _write(arguments.output, curves, sources)
    print(f"{len(sources)} pictures; a proposal takes {1e3 * statistics.median(seconds):.0f} ms "
          f"(median; slowest twentieth {1e3 * float(np.quantile(seconds, 0.95)):.0f})")  # fmt: skip
    _tell_promises(promises)
    return _tell(curves, sources, arguments.cap)


def _curve(
    clicker: Clicker,
    way: str,
    cap: int,
    rng: np.random.Generator,
    seconds: list[float],
    promises: list[tuple[int, float, float]],
) -> list[float]:
    """Mean IoU after 1, 2, ... clicks; who has nothing more to click stays where it is."""
    curve: list[float] = []
    height, width = clicker.truth.shape
    while len(curve) < cap:
        if way == "random":
            point = PointPrompt(float(rng.integers(height)), float(rng.integers(width)))
        elif way == "error":
            point = clicker.largest_error()
        else:
            start = time.perf_counter()
            point = clicker.propose()
            seconds.append(time.perf_counter() - start)
        if point is None:
            curve += [curve[-1]] * (cap - len(curve))
            break
        wrong = np.count_nonzero(clicker.labels != clicker.truth)
        curve.append(clicker.click(point))
        if way == "proposed":
            less = wrong - np.count_nonzero(clicker.labels != clicker.truth)
            promises.append((len(curve), float(clicker.promised), float(less)))
    return curve


def clicks_to(curves: np.ndarray, goal: float) -> np.ndarray:
    """(N,): clicks until each curve reaches the goal; one more than there are if it does not."""
    reached = curves >= goal
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, curves.shape[1] + 1)


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean, by bootstrap."""
    mean = summarise([{"clicks": float(value)} for value in values])["clicks"]
    return mean.low, mean.high


def _tell_promises(promises: list[tuple[int, float, float]]) -> None:
    print(
        "\n| clicks made before | pixels promised, mean | wrong pixels fewer, mean |\n|---|---|---|"
    )
    for low, high in ((1, 1), (2, 3), (4, 6), (7, 12), (13, 30)):
        some = np.array([row[1:] for row in promises if low <= row[0] <= high])
        if len(some):
            print(
                f"| {low - 1} to {high - 1} | {some[:, 0].mean():.0f} | {some[:, 1].mean():.0f} |"
            )


def _tell(curves: dict[str, list[list[float]]], sources: list[int], cap: int) -> int:
    arrays = {way: np.array(found) for way, found in curves.items()}
    of_number = np.array(sources)
    print("\n| clicks | " + " | ".join(str(n) for n in SHOWN if n <= cap) + " |")
    print("|---" * (1 + sum(n <= cap for n in SHOWN)) + "|")
    for way, found in arrays.items():
        means = (f"{found[:, n - 1].mean():.3f}" for n in SHOWN if n <= cap)
        print(f"| {way} | " + " | ".join(means) + " |")
    better = False
    for goal in GOALS:
        needed = {way: clicks_to(found, goal) for way, found in arrays.items()}
        print(f"\n| clicks to {goal:.2f} | pictures that reach it | median | mean (95 %) | "
              "by number of sources 2, 3, 4 | fewer than random (95 %) |\n"
              "|---|---|---|---|---|---|")  # fmt: skip
        for way, counts in needed.items():
            low, high = interval(counts)
            parts = ", ".join(f"{counts[of_number == k].mean():.1f}" for k in np.unique(of_number))
            gain = needed["random"] - counts
            least, most = interval(gain)
            print(f"| {way} | {(counts <= cap).mean():.0%} | {np.median(counts):.0f} | "
                  f"{counts.mean():.1f} ({low:.1f} to {high:.1f}) | {parts} | "
                  f"{gain.mean():+.1f} ({least:+.1f} to {most:+.1f}) |")  # fmt: skip
            if way == "proposed" and goal == GOALS[-1]:
                better = least > 0
    return int(not better)


def _write(path: Path, curves: dict[str, list[list[float]]], sources: list[int]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["picture", "sources", "way", "click", "mean_iou"])
        for way, found in curves.items():
            for picture, (curve, number) in enumerate(zip(found, sources, strict=True)):
                for click, value in enumerate(curve, 1):
                    table.writerow([picture, number, way, click, f"{value:.4f}"])


if __name__ == "__main__":
    sys.exit(main())
