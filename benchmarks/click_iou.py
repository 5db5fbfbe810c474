"""How well clicks find their source: answered from patches, and by the decoder.

python training/make_dataset.py ../shared/photos.csv -o runs/clicks --split val --sources 2,3,4 \\
    --size 1024x768 --count 96 --seed 7
python benchmarks/click_iou.py runs/clicks/list.txt

In every source of every picture points are drawn at random; with 1, 2 and 3 of them its region is
asked (`Engine.segment_source`) and compared with the true one: mean IoU over the sources, by the
number of sources in the picture. Beside it stands the time of one click, once the picture is
embedded and its patches are compared, as the median over all first clicks, and the ratio of both.

The exit code is 1 if patches are not better in every row, or not by GAIN in the mean.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from napari_safire import Embedding, Engine, load_model
from napari_safire.images.lists import read_list
from napari_safire.images.reading import read_image
from napari_safire.images.truth import read_mask

METHODS = ("decoder", "patches")
CLICKS = (1, 2, 3)
GAIN = 0.07

Scores = dict[tuple[int, int], list[float]]


def main() -> int:
    """Run the benchmark; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("list", type=Path)
    add("--root", type=Path)
    add("--model", default="safire-lite")
    add("--seed", type=int, default=5)
    arguments = parser.parse_args()
    engine = Engine(load_model(arguments.model))
    scores: dict[str, Scores] = {method: defaultdict(list) for method in METHODS}
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    for number, entry in enumerate(read_list(arguments.list, arguments.root)):
        pixels = read_image(entry.image).pixels
        truth = read_mask(entry, "sources", shape=pixels.shape[:2])
        embedding = engine.embed(pixels)
        engine.pieces(embedding)  # as a partition or the first click does, once a picture
        rng = np.random.default_rng((arguments.seed, number))
        for source in np.unique(truth):
            places = np.argwhere(truth == source)
            drawn = rng.choice(places, CLICKS[-1], replace=False)
            points = [tuple(map(float, at)) for at in drawn]
            for method in METHODS:
                found = _asked(engine, embedding, points, method, seconds[method])
                for clicks, mask in found.items():
                    wanted = truth == source
                    iou = float((mask & wanted).sum() / (mask | wanted).sum())
                    scores[method][len(np.unique(truth)), clicks].append(iou)
    return _tell(scores, seconds)


def _asked(
    engine: Engine,
    embedding: Embedding,
    points: list[tuple[float, ...]],
    method: str,
    seconds: list[float],
) -> dict[int, np.ndarray]:
    masks = {}
    for clicks in CLICKS:
        start = time.perf_counter()
        region = engine.segment_source(embedding, points[:clicks], method=method)
        if clicks == 1:
            seconds.append(time.perf_counter() - start)
        masks[clicks] = region.mask
    return masks


def _tell(scores: dict[str, Scores], seconds: dict[str, list[float]]) -> int:
    rows = sorted(scores["patches"])
    print("sources clicks  regions  decoder  patches")
    for row in rows:
        of_row = [statistics.mean(scores[method][row]) for method in METHODS]
        print(f"{row[0]:7} {row[1]:6}  {len(scores['patches'][row]):7}  ", end="")
        print("  ".join(f"{value:7.3f}" for value in of_row))
    means = {
        method: np.array([statistics.mean(scores[method][row]) for row in rows])
        for method in METHODS
    }
    gain = float((means["patches"] - means["decoder"]).mean())
    print(f"mean of the rows: {means['decoder'].mean():.3f}  {means['patches'].mean():.3f}", end="")
    print(f"  ({gain:+.3f})")
    slow, quick = (1e3 * statistics.median(seconds[method]) for method in METHODS)
    print(
        f"a click: {slow:.1f} ms by the decoder, {quick:.1f} ms by patches ({slow / quick:.1f} x)"
    )
    return int(gain < GAIN or not (means["patches"] > means["decoder"]).all())


if __name__ == "__main__":
    sys.exit(main())
