"""Time and memory of all that a report asks of a picture, stage by stage.

python benchmarks/review.py PICTURE
python benchmarks/review.py PICTURE --stability all         # every changed copy, as a whole
python benchmarks/review.py --photographs FOLDER --megapixels 12

A stage is what the analysis says it is doing. Processors' seconds are what an idle machine with one
core would take, which other jobs hardly change; with two idle cores it is done in little more than
half of them. `--photographs` lays a JPEG of the given size together from photographs.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from evidence import mosaic, peak_gib
from PIL import Image

from napari_safire import Engine, load_model
from napari_safire.review.analysis import analyse
from napari_safire.review.settings import AnalysisSettings


class Stages:
    """Processors' seconds by stage, as an analysis reports them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage, self._since = "", time.process_time()

    def told(self, done: int, total: int, stage: str) -> None:
        """Take one report of progress."""
        now = time.process_time()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("--photographs", type=Path, help="folder to lay a JPEG together from")
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--stability", choices=("all", "quick", "none"), default="quick")
    parser.add_argument("--record", type=Path, help="where to write what was found")
    options = parser.parse_args()
    if (options.picture is None) == (options.photographs is None):
        parser.error("give a picture, or --photographs FOLDER")
    engine = Engine(load_model("safire-lite", device="cpu"))
    engine.partition(engine.embed(np.zeros((300, 300, 3), np.uint8)))  # first allocations
    with tempfile.TemporaryDirectory() as folder:
        path = options.picture
        if path is None:
            path = Path(folder) / "picture.jpg"
            found = sorted(one for one in options.photographs.iterdir() if one.is_file())
            Image.fromarray(mosaic(found, options.megapixels)).save(path, quality=92)
        stages, before = Stages(), peak_gib()
        begin, worked = time.perf_counter(), time.process_time()
        settings = AnalysisSettings(stability=options.stability)
        analysis = analyse(path, engine, settings, model_name="safire-lite", progress=stages.told)
        record = analysis.as_record()
        wall, processors = time.perf_counter() - begin, time.process_time() - worked
    rows, cols = analysis.picture.shape
    print(f"{cols} x {rows}, {os.cpu_count()} cores, stability {options.stability}")
    for stage, seconds in sorted(stages.seconds.items(), key=lambda one: -one[1]):
        if seconds >= 0.05:
            print(f"  {seconds:7.2f} s  {stage}")
    print(
        f"{processors:.1f} s of processors, {wall:.1f} s by the clock, peak {peak_gib():.2f} GiB "
        f"({before:.2f} before), record of {len(json.dumps(record)) / 1000:.0f} kB"
    )
    if options.record is not None:
        options.record.write_text(json.dumps(record, indent=1), "utf-8")


if __name__ == "__main__":
    main()
