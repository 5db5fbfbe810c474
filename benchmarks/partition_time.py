"""Time and memory of one whole partition.

python benchmarks/partition_time.py vit-b            # random weights in the published layout
python benchmarks/partition_time.py safire-lite --size 1024x768 --repeats 5

Prints seconds per stage (median of the repeats after one warm-up for the lite model) and the peak
memory of the process.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from napari_safire import Engine, load_model
from napari_safire.model import ModelConfig, SafireModel, write_published_layout


def random_vit_b() -> SafireModel:
    """Write a ViT-B of random weights as the published code would, and load that file."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "safire.pth"
        write_published_layout(SafireModel(ModelConfig.vit_b()), path)
        return load_model(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help='"vit-b", a registered name or a path')
    parser.add_argument("--size", default="1024x1024", help="columns x rows")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    model = random_vit_b() if options.model == "vit-b" else load_model(options.model)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    times: dict[str, list[float]] = {"embed": [], "grid": [], "cluster": [], "all": [], "click": []}
    warm_up = 1 if options.repeats > 1 else 0
    for turn in range(options.repeats + warm_up):
        engine = Engine(model)
        marks = [time.perf_counter()]
        embedding = engine.embed(image)
        marks.append(time.perf_counter())
        engine.grid(embedding)
        marks.append(time.perf_counter())
        partition = engine.partition(embedding, "kmeans", n_sources=3)
        marks.append(time.perf_counter())
        engine.segment(embedding, [(height / 2, width / 3)])[0].mask.sum()
        marks.append(time.perf_counter())
        if turn >= warm_up:
            for name, (begin, end) in zip(
                ("embed", "grid", "cluster", "click"),
                itertools.pairwise(marks),
                strict=True,
            ):
                times[name].append(end - begin)
            times["all"].append(marks[3] - marks[0])
    print(
        f"{options.model}, {width} x {height}, {torch.get_num_threads()} threads, "
        f"{partition.n_sources} sources, {options.repeats} repeats"
    )
    for name, values in times.items():
        print(
            f"{name:8s} median {statistics.median(values):7.3f} s   "
            f"min {min(values):7.3f}   max {max(values):7.3f}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
