"""Time and memory of one whole partition by one model, at any size.

python benchmarks/partition_time.py vit-b            # random weights in the published layout
python benchmarks/partition_time.py safire-lite --size 1024x768 --repeats 5

Prints the medians of the repeats in seconds and the peak memory of the process in GiB.
"""

from __future__ import annotations

import argparse

import torch
from speed import engine_figures, photograph, vit_b

from napari_safire import Engine, load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help='"vit-b", a registered name or a path')
    parser.add_argument("--size", default="1024x1024", help="columns x rows")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    model = vit_b() if options.model == "vit-b" else load_model(options.model)
    figures = engine_figures(Engine(model), photograph(width, height), options.repeats)
    print(f"{options.model}, {width} x {height}, {torch.get_num_threads()} threads")
    for name, value in figures.items():
        print(f"{name:10s} {value:8.3f}")


if __name__ == "__main__":
    main()
