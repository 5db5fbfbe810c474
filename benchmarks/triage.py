"""A manifest of a million rows: filtered, sorted, read, written; and looks compared.

python benchmarks/triage.py FOLDER                      # made there if it is not there yet
python benchmarks/triage.py FOLDER --count 100000

The rows are drawn at random and have the columns of `napari-safire predict --manifest`, 256 rows a
part as there. Each line is one process of its own: seconds with reading all that is needed, of the
processor too, and the peak of its memory (what Python and pyarrow take by themselves is the first
line). "looks" compares hashes that are drawn, every fourth of them near another: reading the
pictures for them takes a thousand times as long.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from napari_safire.corpus.job import CorpusJob, begin_job
from napari_safire.corpus.manifest_schema import CONTRIBUTIONS, KEY_BYTES, manifest_schema
from napari_safire.corpus.tasks import TASK_SIZE
from napari_safire.corpus.triage.choice import Choice, choose
from napari_safire.corpus.triage.source import open_manifest
from napari_safire.corpus.triage.tables import write_csv, write_parquet
from napari_safire.corpus.work import CorpusSettings
from napari_safire.datasets.near_duplicates import AlikeGroups

_AT_ONCE = 40 * TASK_SIZE
_WHERE = "verdict == 'forged' and n_sources >= 3 and contribution_copy_move > 1"


def make_manifest(folder: Path, count: int) -> None:
    """Rows drawn at random, one in a thousand an error."""
    random = np.random.default_rng(0)
    begin_job(folder, CorpusJob(CorpusSettings().basis("ab" * 32, "float32"), "drawn"))
    parts = folder / "parts"
    parts.mkdir()
    for start in range(0, count, _AT_ONCE):
        table = _rows(random, range(start, min(count, start + _AT_ONCE)))
        for top in range(0, len(table), TASK_SIZE):
            name = f"{start + top:032x}.parquet"
            pq.write_table(table.slice(top, TASK_SIZE), parts / name, compression="zstd")


def _rows(random: np.random.Generator, numbers: range) -> pa.Table:
    n = len(numbers)
    names = [f"../photos/{k // 1000:05d}/picture-{k:08d}.jpg" for k in numbers]
    score, failed = random.random(n), random.random(n) < 0.001
    keys, hashes = random.bytes(KEY_BYTES * n), random.bytes(32 * n).hex()
    columns = {
        "key": [keys[KEY_BYTES * k : KEY_BYTES * (k + 1)] for k in range(n)],
        "picture": names,
        "place": [os.fsencode(name) for name in names],
        "attempt": np.zeros(n, np.int32),
        "file_sha256": [hashes[64 * k : 64 * (k + 1)] for k in range(n)],
        "same_as": [""] * n,
        "format": ["JPEG"] * n,
        "height": np.full(n, 768, np.int32),
        "width": np.full(n, 1024, np.int32),
        "verdict": np.where(failed, "", np.where(score > 0.9, "forged", "no forgery found")),
        "score": pa.array(score, mask=failed),
        "likelihood_ratio": pa.array(score / (1 - score), mask=failed),
        "smallest_source": pa.array(random.random(n) / 2, mask=failed),
        "n_sources": random.integers(1, 6, n, np.int32),
        "number_probabilities": [[0.25] * 4] * n,
        "warnings": [[]] * n,
        "seconds": [[("embed", 0.1)]] * n,
        "error_class": np.where(failed, "ImageReadError", ""),
        "error": np.where(failed, "It is damaged.", ""),
        "outputs": [[]] * n,
        **{name: random.normal(size=n) for name in CONTRIBUTIONS.values()},
    }
    schema = manifest_schema()
    arrays = [
        values if isinstance(values, pa.Array) else pa.array(values, f.type)
        for f, values in ((f, columns[f.name]) for f in schema)
    ]
    return pa.table(arrays, schema=schema)


def _choose(folder: Path, choice: Choice, columns: list[str] | None = None) -> str:
    chosen = choose(open_manifest(folder), choice)
    return f"{len(chosen.table(columns)):,} of {len(chosen.selection):,}"


def _compare_looks(count: int) -> str:
    random = np.random.default_rng(0)
    groups = AlikeGroups()
    looks = random.random((count, 64)) < 0.5
    looks[3::4] = looks[::4][: len(looks[3::4])]
    looks[3::4, :3] ^= True
    begun = 0
    for number, one in enumerate(looks):
        if groups.find(one) is None:
            groups.begin(one, number)
            begun += 1
    return f"{begun:,} groups of {count:,}"


def _write(folder: Path, kind: str) -> str:
    chosen, target = choose(open_manifest(folder), Choice()), folder / f"all.{kind}"
    if kind == "csv":
        write_csv(target, chosen.table(["picture", "verdict", "score"]))
    else:
        write_parquet(target, chosen, None)
    return f"{target.stat().st_size >> 20} MiB"


CASES: dict[str, Callable[[Path], str]] = {
    "nothing": lambda folder: "",
    "all by score, top 100": lambda folder: _choose(folder, Choice(top=100)),
    "three conditions, all columns": lambda folder: _choose(folder, Choice(_WHERE)),
    "a part of the name": lambda folder: _choose(
        folder, Choice("'00000042' in picture or error_class is not None", "picture")
    ),
    "same files, top 100": lambda folder: _choose(folder, Choice(top=100, grouping="same")),
    "all rows, three columns": lambda folder: _choose(
        folder, Choice(), ["picture", "verdict", "score"]
    ),
    "CSV of three columns": lambda folder: _write(folder, "csv"),
    "Parquet of all columns": lambda folder: _write(folder, "parquet"),
    "Parquet: three conditions": lambda folder: _choose(folder / "all.parquet", Choice(_WHERE)),
    "looks, 100,000": lambda folder: _compare_looks(100_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--case", choices=CASES, help="only this one, in this process")
    options = parser.parse_args()
    if options.case is None:
        if not options.folder.exists():
            make_manifest(options.folder, options.count)
        for case in CASES:
            command = [sys.executable, __file__, os.fspath(options.folder), "--case", case]
            subprocess.run(command, check=True)
        return
    begin, processor = time.perf_counter(), time.process_time()
    told = CASES[options.case](options.folder)
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"{options.case:30s} {seconds:7.1f} s {processor:7.1f} s of a core {peak:6.0f} MiB  {told}",
        flush=True,
    )


if __name__ == "__main__":
    main()
