"""Compare the pixel accuracy that a model predicts for its regions with the true one.

python training/confidence.py runs/val/list.txt --limit 40 -o runs/confidence.csv

Asks points drawn at random in each picture; true is the share of pixels that the region puts on
the right side of "same source as the point". Exit code 0: done; 1: it failed; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_safire.cli.terminal import open_engine, progress_bar
from napari_safire.errors import SafireError
from napari_safire.evaluation.results import write_table
from napari_safire.images.lists import ListEntry, read_list
from napari_safire.images.reading import read_image
from napari_safire.images.truth import read_mask
from napari_safire.learning.confidence import ask_points

if TYPE_CHECKING:
    from napari_safire.engine import Engine

HEADER = ("image", "row", "col", "predicted", "accuracy")


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--model", default="safire-lite")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--points", type=int, default=16, help="in each picture")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.csv")
    options = parser.parse_args()
    if options.points < 1:
        parser.error(f"--points must be at least 1, not {options.points}.")
    try:
        entries = read_list(options.list, options.root)[: options.limit]
        engine = open_engine(options.model, options.device)
        rows: list[tuple[Any, ...]] = []
        with progress_bar("asking points") as show:
            for number, entry in enumerate(entries):
                rng = np.random.default_rng((options.seed, number))
                rows += accuracies(engine, entry, options.points, rng)
                show(number + 1, len(entries), entry.image.name)
        write_table(options.output, HEADER, rows)
    except (SafireError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"{len(rows)} points of {len(entries)} pictures in {options.output}")
    return 0


def accuracies(
    engine: Engine, entry: ListEntry, n_points: int, rng: np.random.Generator
) -> Iterator[tuple[Any, ...]]:
    """Rows of the table for one picture; see `HEADER`."""
    pixels = read_image(entry.image).pixels
    truth = read_mask(entry, "sources", shape=pixels.shape[:2])
    asked = ask_points(engine, engine.embed(pixels), truth, n_points, rng)
    for (row, col), predicted, right in zip(*astuple(asked), strict=True):
        yield entry.image.name, row, col, f"{predicted:.6g}", f"{right:.6g}"


if __name__ == "__main__":
    sys.exit(main())
