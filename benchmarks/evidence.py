"""Time and memory of each forensic view at 1, 12 and 100 megapixels.

python benchmarks/evidence.py PHOTOS                    # a folder of photographs
python benchmarks/evidence.py PHOTOS --megapixels 12 --view residual --view copy-move
python benchmarks/evidence.py PHOTOS --verdict          # combined verdict against the network alone

A JPEG of each size is laid together from the photographs, unscaled, each once as long as they last.
It is decoded once; each view then runs in a child of its own (fork: Linux, macOS), so that the peak
memory is its own: what it takes beside the decoded picture. Prints a table for docs/evidence.md;
the last columns are how many times the processors' seconds of the first size.

With --verdict each of the first photographs of 1024 x 768 pixels is examined with the
network alone and with all evidence, in turn, as often as --repeats says; the median of the ratios
is printed, of wall time and of processors' seconds, which other jobs on the machine hardly change.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection  # reviewed: of its own children
from pathlib import Path

import numpy as np
from PIL import Image

from napari_safire import Engine, examine, forensics, load_model
from napari_safire.forensics.cache import RESULTS
from napari_safire.forensics.catalogue import VIEWS

_PAGE = resource.getpagesize()
_ASPECT = 4 / 3
_PICTURES = 4  # for the ratio of the verdict
Figures = tuple[float, float, float, float, str]
"""Seconds of the coarse picture (nan: none), of the view, of all processors for it, GiB, remark."""
_NONE = (float("nan"),) * 4


def mosaic(photographs: list[Path], megapixels: float) -> np.ndarray:
    """Lay photographs side by side, in rows: (H, W, 3) uint8."""
    height = round((megapixels * 1e6 / _ASPECT) ** 0.5)
    width = round(height * _ASPECT)
    pixels = np.zeros((height, width, 3), np.uint8)
    number = top = 0
    while top < height:
        left, lowest = 0, height
        while left < width:
            with Image.open(photographs[number % len(photographs)]) as image:
                one = np.asarray(image.convert("RGB"))[: height - top, : width - left]
            pixels[top : top + one.shape[0], left : left + one.shape[1]] = one
            left, lowest, number = left + one.shape[1], min(lowest, one.shape[0]), number + 1
        top += lowest
    return pixels


def resident_gib() -> float:
    """Memory of this process now (Linux), else the most it had."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**30
    except OSError:
        return peak_gib()


def peak_gib() -> float:
    """The most memory that this process had."""
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(view: forensics.EvidenceView, answer: Connection) -> None:
    """Run one view and send its figures."""
    before = resident_gib()
    coarse, seconds, remark = float("nan"), float("nan"), ""
    begin = time.perf_counter()
    if view.applicable and view.coarse() is not None:
        coarse = time.perf_counter() - begin
    begin, worked, processors = time.perf_counter(), time.process_time(), float("nan")
    try:
        remark = view.compute().finding
        seconds, processors = time.perf_counter() - begin, time.process_time() - worked
    except (MemoryError, ValueError) as error:
        remark = f"{type(error).__name__}: {error}"
    answer.send((coarse, seconds, processors, peak_gib() - before, remark))
    answer.close()


def figures_of(view: forensics.EvidenceView, limit: float) -> Figures:
    """Figures of one view, measured in a child."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=measure, args=(view, sender))
    child.start()
    sender.close()
    found: Figures = *_NONE, f"stopped after {limit:.0f} s"
    if receiver.poll(limit):
        try:
            found = receiver.recv()
        except EOFError:
            found = *_NONE, "died (memory?)"
    child.kill()
    child.join()
    return found


def ratios(photographs: list[Path], repeats: int) -> None:
    """Print how many times the network's time the combined verdict takes."""
    engine = Engine(load_model("safire-lite", device="cpu"))
    examine(np.zeros((300, 300, 3), np.uint8), engine=engine)  # imports and first allocations
    taken: list[tuple[float, ...]] = []
    for path in photographs:
        with Image.open(path) as image:
            size = image.size
        if sorted(size) != [768, 1024]:
            continue
        for _ in range(repeats):
            figures = []
            for evidence in ("none", "all"):
                RESULTS.clear()
                begin, worked = time.perf_counter(), time.process_time()
                examine(path, engine=engine, evidence=evidence)
                figures += [time.perf_counter() - begin, time.process_time() - worked]
            taken.append(tuple(figures))
        if len(taken) >= _PICTURES * repeats:
            break
    if not taken:
        sys.exit("No photograph of 1024 x 768 or 768 x 1024 pixels lies there.")
    for name, one, other in (("wall", 0, 2), ("processors", 1, 3)):
        alone, whole = (np.array([figures[n] for figures in taken]) for n in (one, other))
        print(
            f"{name}: network alone {np.median(alone):.2f} s, all evidence {np.median(whole):.2f} "
            f"s, {np.median(whole / alone):.2f} times ({np.min(whole / alone):.2f} to "
            f"{np.max(whole / alone):.2f}), {len(taken)} pairs"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 12, 100])
    parser.add_argument("--view", action="append", choices=[view.name for view in VIEWS])
    parser.add_argument("--limit", type=float, default=300, help="seconds for one view")
    parser.add_argument("--quality", type=int, default=92, help="of the JPEG; 0: a PNG of one")
    parser.add_argument("--verdict", action="store_true", help="against the network alone")
    parser.add_argument("--repeats", type=int, default=3, help="pairs for each photograph")
    options = parser.parse_args()
    photographs = sorted(path for path in options.photographs.iterdir() if path.is_file())
    if options.verdict:
        ratios(photographs, options.repeats)
        return
    table: dict[str, list[Figures]] = {}
    print(f"{os.cpu_count()} cores, JPEG of quality {options.quality}")
    for megapixels in options.megapixels:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.jpg"
            pixels = mosaic(photographs, megapixels)
            Image.fromarray(pixels).save(path, quality=options.quality or 92)
            if not options.quality:
                pixels, path = np.asarray(Image.open(path)), path.with_suffix(".png")
                Image.fromarray(pixels).save(path, compress_level=1)
            del pixels
            begin, before = time.perf_counter(), resident_gib()
            views = forensics.views(path)
            seconds, gib = time.perf_counter() - begin, peak_gib() - before
            rows, cols = next(iter(views.values())).picture.shape
            print(f"{cols} x {rows}: read in {seconds:.2f} s, {gib:.2f} GiB", flush=True)
            for name in options.view or views:
                view = views[name]
                if not view.applicable:  # of pixels that lie in no JPEG file
                    view = forensics.views(view.picture.rgb)[name]
                if name == "comparison":  # with itself, cut and exposed otherwise
                    other = (view.picture.rgb[24:, 40:] * 0.9).astype(np.uint8)
                    view = view.with_parameters(reference=forensics.Picture.of_pixels(other))
                found = figures_of(view, options.limit)
                table.setdefault(name, []).append(found)
                print(
                    "  {5:24s}{0:6.2f} {1:7.2f} {2:7.2f} s {3:6.2f} GiB  {4}".format(*found, name)
                )
                sys.stdout.flush()
    show(options.megapixels, table)


def show(sizes: list[float], table: dict[str, list[Figures]]) -> None:
    """Print a Markdown table."""
    heads = [f"{size:g} MP: coarse s | s | CPU s | GiB" for size in sizes]
    heads += [f"x {size / sizes[0]:.3g} pixels" for size in sizes[1:]]
    print("\n| view | " + " | ".join(heads) + " |")
    print("|---|" + "---|" * (4 * len(sizes) + len(sizes) - 1))
    for name, found in table.items():
        cells = ["{} | {:.2f} | {:.2f} | {:.2f}".format(_coarse(one), *one[1:4]) for one in found]
        cells += [f"x {one[2] / max(found[0][2], 1e-3):.1f}" for one in found[1:]]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _coarse(figures: Figures) -> str:
    return "-" if np.isnan(figures[0]) else f"{figures[0]:.2f}"


if __name__ == "__main__":
    main()
