"""How often the region table marks authentic pictures, and how often it finds forgeries.

python benchmarks/region_table.py PHOTOS [FORGED]      # folders, with tables beside them
python benchmarks/region_table.py PHOTOS --megapixels 12    # its time instead

Each photograph is divided by the nearest of four random points, by superpixels joined by colour,
and by the model as it sees fit (one source: nothing to compare). Of each measure the largest effect
of a picture that is sure (`RegionRow.at_least`) is kept. A half's limit is the value that one of 40
of its photographs exceeds, by the worst of these; each photograph is judged by the limits of the
half that it does not belong to. What ships is the largest limit of both halves and of photographs
saved again (--other). Besides, the model is made to cut each photograph in two and in three, which
nothing in it asks for: it then cuts along the strongest difference there is. Halves share no
photographer or camera (column "group" of PHOTOS.csv, where there is one). FORGED is a folder with
FORGED.csv beside it (columns image, mask, pasted_mask); each forgery is divided by its mask.
Photographs of --other folders are judged by what ships. Prints tables for docs/review.md.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from evidence import mosaic
from PIL import Image
from skimage.segmentation import slic
from sklearn.cluster import KMeans

from napari_safire import Engine, load_model
from napari_safire.evaluation.summary import share
from napari_safire.forensics import Picture
from napari_safire.review.regions import MEASURES, RegionMeasure, RegionTable, region_table
from napari_safire.review.regions.cells import tiles
from napari_safire.review.regions.table import Looked, compare, look

N_SOURCES = 4
EXCEEDING = 0.025
"""Share of a half's photographs beyond its limits."""
LEAST_LIMIT = 0.15
"""A smaller effect is small (J. Romano et al. 2006: .147)."""
NEVER = ("saturation", "clipping")
"""What is shown counts more than where it comes from: never an outlier."""
NAMES = tuple(measure.name for measure in MEASURES)
WAYS = ("random", "superpixels", "model")
FORCED = ("forced, 2", "forced, 3")
Sure = Mapping[str, float]
"""By measure: the largest sure effect; nan where it does not apply."""
Photograph = tuple[str, str, Sure]
"""File, way of dividing, sure effects."""


def points(shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Divide by the nearest of some random points."""
    at = generator.uniform(0, shape, size=(N_SOURCES, 2))
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    distances = [(rows - row) ** 2 + (cols - col) ** 2 for row, col in at]
    return np.argmin(distances, axis=0).astype(np.uint8)


def superpixels(rgb: np.ndarray, seed: int) -> np.ndarray:
    """Divide by colour and place: superpixels, joined by the means of their colours."""
    step = max(1, max(rgb.shape) // 512)
    numbers = slic(rgb[::step, ::step], 120, compactness=10, start_label=0)
    counts = np.bincount(numbers.ravel())
    colours = [
        np.bincount(numbers.ravel(), rgb[::step, ::step, c].ravel()) / np.maximum(counts, 1)
        for c in range(3)
    ]
    joined = KMeans(N_SOURCES, n_init=3, random_state=seed).fit_predict(np.stack(colours, axis=1))
    grown = np.repeat(np.repeat(joined[numbers], step, axis=0), step, axis=1)
    return grown[: rgb.shape[0], : rgb.shape[1]].astype(np.uint8)


def partitions(rgb: np.ndarray, engine: Engine, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Divide a photograph in each way."""
    generator = np.random.default_rng(seed)
    yield "random", points(rgb.shape[:2], generator)
    yield "superpixels", superpixels(rgb, seed)
    embedding = engine.embed(rgb)
    yield "model", engine.partition(embedding, method="auto").labels
    for n in (2, 3):
        yield f"forced, {n}", engine.partition(embedding, method="kmeans", n_sources=n).labels


def looked_at(path: Path) -> tuple[Picture, Looked]:
    """Measure a picture; of a large one the squares that region_table takes of one source."""
    picture = Picture.read(path)
    return picture, look(picture, tiles(np.zeros(picture.shape, np.uint8), (0,), 0))


def sure(table: RegionTable, sources: tuple[int, ...] | None = None) -> dict[str, float]:
    """Largest sure effect of each measure, over sources."""
    found = dict.fromkeys(NAMES, float("nan"))
    for row in table.rows:
        if row.at_least is not None and (sources is None or row.source in sources):
            found[row.measure] = float(np.fmax(found[row.measure], row.at_least))
    return found


def of_photographs(folder: Path) -> list[Photograph]:
    """(file, way of dividing, sure effects) of all photographs."""
    engine = Engine(load_model("safire-lite", device="cpu"))
    found = []
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    for seed, path in enumerate(paths):
        picture, looked = looked_at(path)
        for way, labels in partitions(picture.rgb, engine, seed):
            found.append((path.name, way, sure(compare(looked, labels))))
        print(f"{seed + 1} of {len(paths)}: {path.name}", file=sys.stderr)
    return found


def of_forgeries(folder: Path) -> list[tuple[str, Sure]]:
    """(file, sure effects of the forged region) of all forgeries."""
    found = []
    for row in rows_beside(folder):
        picture, looked = looked_at(folder / row["image"])
        with Image.open(folder / (row.get("pasted_mask") or row["mask"])) as mask:
            labels = (np.asarray(mask.convert("L")) > 127).astype(np.uint8)
        if labels.shape == picture.shape:
            found.append((row["image"], sure(compare(looked, labels), (1,))))
        else:
            print(f"{row['image']}: its mask has another size, left out", file=sys.stderr)
    return found


def rows_beside(folder: Path) -> list[dict[str, str]]:
    """Rows of the table that lies beside a folder, if there is one."""
    table = folder.with_name(folder.name + ".csv")
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def half_of(name: str, groups: Mapping[str, str]) -> int:
    """0 or 1, by the group that a photograph belongs to."""
    return hashlib.sha256(groups.get(name, name).encode()).digest()[0] % 2


def limits_of(photographs: list[Photograph]) -> dict[str, float]:
    """Value that few photographs exceed by the worst way of dividing, rounded up to .05."""
    limits = dict.fromkeys(NEVER, 1.0)
    for name in NAMES:
        for way in WAYS:
            values = [s[name] for _, w, s in photographs if w == way]
            known = np.nan_to_num(np.array(values), nan=-1.0)
            limit = float(np.ceil(20 * np.quantile(known, 1 - EXCEEDING)) / 20)
            limits[name] = max(limits.get(name, LEAST_LIMIT), limit)
    return limits


def percent(hits: list[bool]) -> str:
    """Share with its exact interval."""
    if not hits:
        return ""
    found = share(sum(hits), len(hits))
    return f"{100 * found.share:.0f} % ({100 * found.low:.0f} to {100 * found.high:.0f})"


def false_outliers(photographs: list[Photograph], halves: Mapping[str, int]) -> None:
    """Print how many photographs have an outlier, each judged by the other half's limits."""
    by_half = [limits_of([p for p in photographs if halves[p[0]] != half]) for half in (0, 1)]
    print("Limits of the halves: " + "; ".join(
        f"{name} {by_half[1][name]:.2f} and {by_half[0][name]:.2f}" for name in NAMES
    ))  # fmt: skip
    print_rates(photographs, {file: by_half[half] for file, half in halves.items()})


def print_rates(photographs: list[Photograph], limits: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table of shares beyond limits, by measure and way of dividing."""
    ways = [way for way in WAYS + FORCED if any(w == way for _, w, _ in photographs)]
    print("| measure | limit | " + " | ".join(ways) + " |\n|---|---|" + "---|" * len(ways))
    for measure in MEASURES:
        print(
            f"| {measure.name} | {measure.limit} |" + _rates(photographs, limits, ways, [measure])
        )
    print("| any of them | |" + _rates(photographs, limits, ways, MEASURES))


def _rates(
    photographs: list[Photograph],
    limits: Mapping[str, Mapping[str, float]],
    ways: list[str],
    measures: Sequence[RegionMeasure],
) -> str:
    names = [measure.name for measure in measures]
    cells = [
        percent([any(s[n] > limits[f][n] for n in names) for f, w, s in photographs if w == way])
        for way in ways
    ]
    return " " + " | ".join(cells) + " |"


def power(forgeries: list[tuple[str, Sure]]) -> None:
    """Print how many forged regions stand out, by measure."""
    print("| measure | applies to | forged region stands out |")
    print("|---|---|---|")
    for measure in MEASURES:
        values = [s[measure.name] for _, s in forgeries]
        hits = [value > measure.limit for value in values]
        print(f"| {measure.name} | {np.isfinite(values).sum()} | {percent(hits)} |")
    any_ = [any(s[m.name] > m.limit for m in MEASURES) for _, s in forgeries]
    print(f"| any of them | {len(forgeries)} | {percent(any_)} |")


def time_of(folder: Path, megapixels: float) -> None:
    """Print the time of a table of four sources of a JPEG laid together from photographs."""
    pixels = mosaic(sorted(folder.glob("*.jpg")), megapixels)
    labels = points(pixels.shape[:2], np.random.default_rng(0))
    for suffix in ("jpg", "png"):
        with tempfile.TemporaryDirectory() as made:
            path = Path(made) / f"mosaic.{suffix}"
            Image.fromarray(pixels).save(path, quality=92)
            picture = Picture.read(path)
            wall, cpu = time.perf_counter(), time.process_time()
            table = region_table(picture, labels)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(
            f"{suffix}, {pixels.shape[0]} x {pixels.shape[1]}: {wall:.1f} s, {cpu:.1f} s of the "
            f"processors, {table.n_looked_at} of {table.n_cells} cells"
        )


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("forged", type=Path, nargs="?")
    parser.add_argument("--megapixels", type=float)
    parser.add_argument("--other", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    if given.megapixels:
        time_of(given.photos, given.megapixels)
        return
    photographs = of_photographs(given.photos)
    groups = {row["file"]: row["group"] for row in rows_beside(given.photos)}
    halves = {file: half_of(file, groups) for file, _, _ in photographs}
    print(f"{len(halves)} photographs, {sum(halves.values())} of them in one half.\n")
    false_outliers(photographs, halves)
    shipped = {measure.name: measure.limit for measure in MEASURES}
    for folder in given.other:
        others = of_photographs(folder)
        print(f"\n{folder.name}, {len(others) // len(WAYS + FORCED)} photographs. Their limits:")
        print("; ".join(f"{name} {limit:.2f}" for name, limit in limits_of(others).items()) + "\n")
        print_rates(others, {file: shipped for file, _, _ in others})
    if given.forged:
        print()
        power(of_forgeries(given.forged))


if __name__ == "__main__":
    main()
