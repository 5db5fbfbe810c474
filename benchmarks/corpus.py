"""Pictures a second of a whole folder: reading, decoding, partition, forgery map, writing.

python benchmarks/corpus.py                                  # safire-lite on this machine
python benchmarks/corpus.py vit-b --precision bf16 --count 200 --jobs 1 4 8 16    # on a GPU

The folder is made anew: the composite that ships with the package, as JPEG files, each shifted by
some pixels so that no two are equal. ViT-B has random weights of the published layout: what it
finds means nothing, but takes as long. What is timed is what ``napari-safire predict`` does with a
folder, without loading the model; "nothing written" leaves out the files of the results.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from speed import peak_gib, photograph, vit_b

from napari_safire import Engine, load_model
from napari_safire.examination import ExaminationSettings, examine_image
from napari_safire.examination.export import export_examination
from napari_safire.examination.threads import as_completed
from napari_safire.images.reading import read_image
from napari_safire.settings import PartitionSettings

SIZES = {"vit-b": (1024, 1024), "safire-lite": (1024, 768)}


def write_pictures(folder: Path, width: int, height: int, count: int) -> list[Path]:
    """JPEG files that all differ."""
    pixels = photograph(width, height)
    paths = []
    for number in range(count):
        coded = io.BytesIO()
        Image.fromarray(np.roll(pixels, 8 * number, axis=1)).save(coded, "JPEG", quality=92)
        paths.append(folder / f"picture-{number:04d}.jpg")
        paths[-1].write_bytes(coded.getvalue())
    return paths


def pictures_a_second(engine: Engine, paths: list[Path], jobs: int, output: Path | None) -> float:
    settings = ExaminationSettings(PartitionSettings("kmeans", 3))

    def answer(path: Path, cancel: Any) -> None:
        found = examine_image(engine, read_image(path), settings, cancel=cancel)
        if output is not None:
            export_examination(
                found, output, path.stem, model={}, device=str(engine.model.device), overwrite=True
            )

    begin = time.perf_counter()
    for _, outcome in as_completed(answer, paths, jobs):
        if outcome is not None:
            raise outcome
    return len(paths) / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", choices=SIZES, default="safire-lite")
    parser.add_argument("--count", type=int, default=12, help="pictures")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="auto", help="of safire-lite")
    options = parser.parse_args()
    model = (
        vit_b() if options.model == "vit-b" else load_model("safire-lite", device=options.device)
    )
    width, height = SIZES[options.model]
    print(
        f"{options.model}, {width} x {height}, {options.precision}, on {model.device}; torch "
        f"{torch.__version__}, {options.count} pictures"
    )
    with tempfile.TemporaryDirectory() as name:
        paths = write_pictures(Path(name), width, height, options.count)
        engine = Engine(model, precision=options.precision, grids_cached=max(options.jobs))
        pictures_a_second(engine, paths[:2], 1, None)  # libraries and kernels load
        for jobs in options.jobs:
            for output in (None, Path(name) / "results"):
                # Another engine: the grids of the run before are gone.
                engine = Engine(model, precision=options.precision, grids_cached=jobs)
                rate = pictures_a_second(engine, paths, jobs, output)
                what = "files written" if output else "nothing written"
                print(f"{jobs:3d} at once, {what:15s} {rate:8.2f} pictures a second", flush=True)
    print(f"peak memory {peak_gib():.2f} GiB")


if __name__ == "__main__":
    main()
