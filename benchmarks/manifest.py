"""A corpus with a manifest: how much of the model's speed is left, and how soon work begins.

    python training/make_dataset.py ../shared/photos.csv -o runs/composites --split val \\
        --sources 1,2,3 --size 256x256 --count 600 --seed 11
    python benchmarks/manifest.py speed runs/composites      # against the bare engine; 1, 2 workers
    python benchmarks/manifest.py start --pictures 200000    # first result, and a finished job
    python benchmarks/manifest.py tasks --parts 10 1000 10000   # what a task costs, with so many
    python benchmarks/manifest.py scheduler   # and what it costs client and scheduler
    python benchmarks/manifest.py names --names 10000000        # memory

"speed" asks the same pictures of a bare engine that has them decoded in memory, of a run in this
process and of dask workers with one thread each, in turn, and tells ratios of pictures a second.
The bare engine and the runs in this process use as many threads as torch takes.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))
from corpus_stand_in import CHECKPOINT, StandIn

from napari_safire import Engine, load_model
from napari_safire.corpus.asking import EngineSource, ModelSource
from napari_safire.corpus.claims import Claims
from napari_safire.corpus.cluster.client import cluster_client
from napari_safire.corpus.cluster.pictures import ClusterJob, run_on_cluster
from napari_safire.corpus.cluster.stop_file import new_run
from napari_safire.corpus.content_index import KEY_DIGITS, KNOWN
from napari_safire.corpus.inputs.enumeration import enumerate_pictures
from napari_safire.corpus.known_content import KnownContent, PublishedContent
from napari_safire.corpus.manifest import KnownKeys, Manifest
from napari_safire.corpus.manifest_schema import ManifestRow, manifest_schema
from napari_safire.corpus.running import Corpus, opened, run_here
from napari_safire.corpus.tasks import TASK_SIZE
from napari_safire.corpus.work import CorpusSettings, CorpusWork
from napari_safire.examination import examine_image
from napari_safire.forensics.cache import RESULTS
from napari_safire.images.reading import read_image

FILES = 1000  # that the names of a long table lead to
WARM_UP = 8  # pictures, before any time is taken


def bare(engine: Engine, settings: CorpusSettings, paths: list[Path]) -> float:
    images = [read_image(path) for path in paths]
    begun = time.perf_counter()
    for image in images:
        examine_image(engine, image, settings.examination)
    return len(paths) / (time.perf_counter() - begun)


def here(engine: Engine, settings: CorpusSettings, photos: Path, output: Path) -> float:
    basis = settings.basis(engine.model.checkpoint_sha256, engine.precision)
    begun = time.perf_counter()
    with opened(Corpus([photos], output, settings), basis, "safire-lite") as (m, tasks, tally):
        work = CorpusWork(
            m, settings, basis,
            lambda image, cancel: examine_image(engine, image, settings.examination, cancel=cancel),
        )  # fmt: skip
        run_here(work, tasks, tally)
    return tally.done / (time.perf_counter() - begun)


def on_workers(
    engine: Engine, settings: CorpusSettings, photos: Path, output: Path, workers: int
) -> float:
    sha256 = engine.model.checkpoint_sha256
    basis = settings.basis(sha256, engine.precision)
    source = ModelSource(EngineSource("safire-lite", sha256, "cpu"), settings.examination)
    with cluster_client(workers=workers) as client:
        client.run(lambda: source() is None)  # opens the model: once in a worker's life
        begun = time.perf_counter()
        corpus = Corpus([photos], output, settings, task_size=8)
        with opened(corpus, basis, "safire-lite") as (_, tasks, tally):
            job = ClusterJob(str(output), settings, basis, source, new_run())
            run_on_cluster(client, job, tasks, tally)
        return tally.done / (time.perf_counter() - begun)


def speed(given: argparse.Namespace) -> None:
    engine = Engine(load_model("safire-lite", device="cpu"))
    settings = CorpusSettings()
    photos = given.photos / "images" if (given.photos / "images").is_dir() else given.photos
    found = [Path(p.place) for p in enumerate_pictures([photos], Path("/nowhere"))]
    bare(engine, settings, found[:WARM_UP])
    ways: dict[str, Callable[[Path], float]] = {
        "bare engine": lambda place: bare(engine, settings, found),
        "this process": lambda place: here(engine, settings, photos, place),
        "1 worker": lambda place: on_workers(engine, settings, photos, place, 1),
        "2 workers": lambda place: on_workers(engine, settings, photos, place, 2),
    }
    ways = {name: way for name, way in ways.items() if name in (given.ways or ways)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.runs):
            for name, way in ways.items():
                RESULTS.clear()  # views are kept by their pixels: the next way would find them
                rates[name].append(way(Path(folder) / f"{name} {number}"))
                print(f"{name}: {rates[name][-1]:.2f} pictures a second", flush=True)
    for above, below in (("this process", "bare engine"), ("2 workers", "1 worker")):
        if above not in ways or below not in ways:
            continue
        ratios = [a / b for a, b in zip(rates[above], rates[below], strict=True)]
        told = ", ".join(f"{ratio:.3f}" for ratio in ratios)
        print(f"{above} / {below}: {statistics.median(ratios):.3f} (runs: {told})")


def start(given: argparse.Namespace) -> None:
    """Work begins on many files that are told one by one, and a finished job is gone through."""
    settings = CorpusSettings(write="none")
    basis = settings.basis(CHECKPOINT, "float32")
    place = Path(tempfile.mkdtemp())
    photos = place / "photos"
    make_pictures(photos, given.pictures)
    corpus = Corpus([photos], place / "out", settings, recursive=True, task_size=1024)
    for what in ("new job", "finished job"):
        begun = time.perf_counter()
        first: list[float] = []
        with opened(corpus, basis, "stand-in") as (manifest, tasks, tally):
            work = CorpusWork(manifest, settings, basis, StandIn()())
            run_here(
                work, tasks, tally,
                lambda row, first=first, begun=begun: (
                    first or first.append(time.perf_counter() - begun)
                ),
            )  # fmt: skip
        whole = time.perf_counter() - begun
        told = f"first result after {first[0]:.2f} s, " if first else ""
        print(
            f"{what}: {told}all after {whole:.1f} s ({tally.done:,} done, "
            f"{tally.failed:,} failed, {tally.there:,} there)"
        )
    size = sum(part.stat().st_size for part in Manifest(place / "out").parts())
    print(f"manifest: {size / given.pictures:.0f} bytes a picture")
    shutil.rmtree(place)


def tasks(given: argparse.Namespace) -> None:
    """What a worker does for each task and picture beside examining it, as the corpus grows.

    In processors' time, which other jobs on the machine change little; a slow disk adds to it.
    """
    for number in given.parts:
        with tempfile.TemporaryDirectory() as folder:
            manifest = Manifest(Path(folder))
            hashes = make_parts(manifest, number)
            begun = time.process_time()
            known = KnownContent(manifest)
            made = time.process_time() - begun
            known.publish()
            size = sum(path.stat().st_size for path in Path(folder, KNOWN).glob("*.index"))
            claims = Claims(Path(folder), "run")
            claims.begin()
            worker = PublishedContent(manifest)
            took = {
                "a task begins": median_ms(lambda manifest=manifest: PublishedContent(manifest)),
                "content that is new": median_ms(lambda w=worker: w.find(secrets.token_hex(32))),
                "its claim": median_ms(
                    lambda c=claims: c.make(secrets.token_hex(KEY_DIGITS // 2), bytes(16))
                ),
                "a copy": median_ms(lambda w=worker, all=hashes: w.find(random.choice(all))),
                "the next run opens the index": median_ms(lambda m=manifest: KnownContent(m), 5),
                "and the keys": median_ms(lambda m=manifest: KnownKeys(m), 1),
            }
            told = ", ".join(f"{what} {ms:.2f} ms" for what, ms in took.items())
            print(
                f"{number:,} parts, {len(hashes):,} pictures: {told}; {size / len(hashes):.1f} "
                f"bytes of index a picture; all parts read, as each task did once: {made:.2f} s",
                flush=True,
            )


def names(given: argparse.Namespace) -> None:
    """Memory of a corpus that is told by a table of very many names."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_pictures(place / "photos", FILES)
        with open(place / "list.csv", "w", encoding="utf-8") as file:
            file.write("path\n")
            for n in range(given.names):
                file.write(f"photos/0000/{n % FILES}.bmp\n")
        settings = CorpusSettings(write="none")
        corpus = Corpus([place / "list.csv"], place / "out", settings)
        basis = settings.basis(CHECKPOINT, "float32")
        before, begun, told = peak_memory(), time.process_time(), 0
        with opened(corpus, basis, "stand-in") as (_, tasks, _):
            for task in tasks:
                told += len(task.pictures)
        took = time.process_time() - begun
        print(
            f"{told:,} names: {peak_memory() - before:.0f} MiB more than before, "
            f"{1e6 * took / told:.0f} us of processor each"
        )


def scheduler(given: argparse.Namespace) -> None:
    """Processor's time of client and scheduler, which are one process here, for a task."""
    settings = CorpusSettings(write="none")
    basis = settings.basis(CHECKPOINT, "float32")
    with tempfile.TemporaryDirectory() as folder, cluster_client(workers=2) as client:
        place = Path(folder)
        make_pictures(place / "photos", TASK_SIZE * given.tasks)
        corpus = Corpus([place / "photos"], place / "out", settings, recursive=True)
        number: list[int] = []
        begun = time.process_time()
        with opened(corpus, basis, "stand-in") as (_, tasks, tally):
            job = ClusterJob(str(corpus.output), settings, basis, StandIn(), new_run())
            run_on_cluster(client, job, tasks, tally, lambda of_task: number.append(of_task.done))
        took = time.process_time() - begun
    print(
        f"{len(number):,} tasks of {tally.done / len(number):.0f} pictures: "
        f"{1000 * took / len(number):.1f} ms of processor each"
    )


def peak_memory() -> float:
    """MiB that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def median_ms(work: Callable[[], object], times: int = 100) -> float:
    took = []
    for _ in range(times):
        begun = time.process_time()
        work()
        took.append(time.process_time() - begun)
    return 1000 * statistics.median(took)


def make_parts(manifest: Manifest, number: int) -> list[str]:
    """Parts of 256 pictures, all different; gives the hashes of the pictures."""
    manifest.folder.mkdir(parents=True)
    row = ManifestRow(bytes(16), "../photos/0000.jpg", b"../photos/0000.jpg", score=0.1,
                      format="JPEG", height=3000, width=4000, verdict="no forgery found",
                      number_probabilities=(0.9, 0.1), n_sources=1)  # fmt: skip
    whole = pa.Table.from_pylist([row.as_columns()] * TASK_SIZE, manifest_schema())
    schema, hashes = manifest_schema(), []
    for _ in range(number):
        keys = [secrets.token_bytes(16) for _ in range(TASK_SIZE)]
        here = [secrets.token_hex(32) for _ in range(TASK_SIZE)]
        hashes += here
        columns = {"key": pa.array(keys, pa.binary(16)), "file_sha256": pa.array(here)}
        table = pa.table([columns.get(n, whole[n]) for n in schema.names], schema)
        pq.write_table(table, manifest.part(secrets.token_hex(16)), compression="zstd")
    return hashes


def make_pictures(folder: Path, number: int) -> None:
    """BMP files of 2 x 2 pixels that all differ, a thousand in a folder."""
    head = bytes.fromhex(
        "424d460000000000000036000000280000000200000002000000010018000000000010000000"
        "00000000000000000000000000000000"
    )
    for n in range(number):
        path = folder / f"{n // 1000:04d}"
        if n % 1000 == 0:
            path.mkdir(parents=True)
        (path / f"{n}.bmp").write_bytes(head + n.to_bytes(8, "little") + bytes(8))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    commands = options.add_subparsers(required=True)
    one = commands.add_parser("speed")
    one.add_argument("photos", type=Path)
    one.add_argument("--runs", type=int, default=3)
    one.add_argument("--ways", nargs="+", help="of those it tells; default: all")
    one.set_defaults(run=speed)
    other = commands.add_parser("start")
    other.add_argument("--pictures", type=int, default=200_000)
    other.set_defaults(run=start)
    third = commands.add_parser("tasks")
    third.add_argument("--parts", type=int, nargs="+", default=[10, 1000, 10_000])
    third.set_defaults(run=tasks)
    fourth = commands.add_parser("names")
    fourth.add_argument("--names", type=int, default=10_000_000)
    fourth.set_defaults(run=names)
    fifth = commands.add_parser("scheduler")
    fifth.add_argument("--tasks", type=int, default=100)
    fifth.set_defaults(run=scheduler)
    given = options.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
