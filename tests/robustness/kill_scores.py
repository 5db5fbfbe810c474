"""Kill an evaluation again and again: its client, workers and scheduler on dask.

    python tests/robustness/kill_scores.py --pictures 600 --kills 20 [--clients]

Pictures are 48 x 64 pixels; a stand-in that reads the truth off them takes 20 ms for each, and
notes each picture that it is asked. With ``--clients`` only clients are killed: what their workers
scored meanwhile must be there for the next one. In the end every picture must have one row, the
table must be that of an uninterrupted run, timings aside, and nothing else may lie in the folder.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pyarrow import parquet

sys.path.insert(0, os.fspath(Path(__file__).parents[1]))
from corpus_stand_in import calls_in
from kill_corpus import Cluster
from scoring_stand_in import ScoringStandIn

from napari_safire.corpus.cluster.client import cluster_client
from napari_safire.corpus.cluster.scores import evaluate_on_cluster
from napari_safire.evaluation import (
    EvaluatedEntry,
    EvaluationSet,
    SavedScores,
    ScoringSettings,
    Study,
    run_study,
)
from napari_safire.evaluation.entries import Task
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import encode_sources

SECONDS = 0.02
SHAPE = (48, 64)


def make_pictures(folder: Path, number: int) -> tuple[ListEntry, ...]:
    """Pictures of two and three sources, no two alike; each is its own truth."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for n in range(number):
        path = folder / f"{n}.png"
        if not path.exists():
            labels = np.tile(np.arange(SHAPE[1]) * (2 + n % 2) // SHAPE[1], (SHAPE[0], 1))
            labels[0, :16] = n >> np.arange(16) & 1
            Image.fromarray(encode_sources(labels)).save(path)
        entries.append(ListEntry(path, path))
    return tuple(entries)


def score(entries: tuple[ListEntry, ...], output: Path, scheduler: str) -> None:
    """What is killed."""
    source = ScoringStandIn(SECONDS, os.fspath(asked(output)))
    a_set = EvaluationSet("set", entries, ScoringSettings("sources", points_per_side=4))
    study = Study((a_set,), ("a",), folder=output, examples=0)
    if not scheduler:
        run_study(study, lambda _: source.open())
        return
    with cluster_client(scheduler=scheduler) as client:

        def evaluate(
            engine: Any,
            tasks: Iterable[Task],
            settings: ScoringSettings,
            *,
            jobs: int = 1,
            saved: SavedScores | None = None,
        ) -> Generator[EvaluatedEntry]:
            return evaluate_on_cluster(client, source, tasks, settings, saved)

        run_study(study, lambda _: source.open(), evaluate=evaluate)


def table(output: Path) -> list[dict[str, str]]:
    with (output / "set/a.csv").open(newline="") as file:
        rows = csv.DictReader(file)
        return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows]


def rows_of(output: Path) -> Counter[str]:
    """How many rows each content has, over all parts."""
    parts = (output / "set/a/parts").glob("*.parquet")
    return Counter(c for part in parts for c in parquet.read_table(part)["content"].to_pylist())


def asked(output: Path) -> Path:
    """The folder in which pictures leave a file whenever they are asked about."""
    return output.with_name(f"{output.name}-asked")


def killed_again_and_again(given: argparse.Namespace, output: Path) -> dict[str, int]:
    rng = random.Random(given.seed)
    cluster = Cluster(given.place)
    command = [sys.executable, __file__, "--pictures", str(given.pictures), "--work", str(output)]
    command += ["--scheduler", cluster.address]
    killed: dict[str, int] = {}
    left, client = given.kills, None
    try:
        while True:
            if client is None or client.poll() is not None:
                if client is not None and client.returncode == 0:
                    return killed
                client = subprocess.Popen(
                    command, start_new_session=True, stderr=subprocess.DEVNULL
                )
                before = len(rows_of(output))
            cluster.keep_up()
            if not left:
                time.sleep(0.2)
                continue
            # A client takes seconds to begin: it is killed when something came of it.
            until = time.monotonic() + 30
            while len(rows_of(output)) == before and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 1))
            name = "client" if given.clients else rng.choice(["client", *cluster.processes])
            if name == "client":
                os.killpg(client.pid, signal.SIGKILL)
                client.wait()
            else:
                cluster.kill(name)
            killed[name] = killed.get(name, 0) + 1
            left -= 1
            before = len(rows_of(output))
    finally:
        if client is not None and client.poll() is None:
            os.killpg(client.pid, signal.SIGKILL)
        cluster.close()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=600)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--clients", action="store_true", help="kill nothing else")
    options.add_argument("--place", type=Path, default=Path(tempfile.gettempdir(), "kill-scores"))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--scheduler", default="", help=argparse.SUPPRESS)
    given = options.parse_args()
    place = given.work.parent if given.work else given.place
    entries = make_pictures(place / "pictures", given.pictures)
    if given.work:
        score(entries, given.work, given.scheduler)
        return 0
    whole, output = place / "whole", place / "killed"
    for folder in (whole, output):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(asked(folder), ignore_errors=True)
        asked(folder).mkdir(parents=True)
    score(entries, whole, "")
    killed = killed_again_and_again(given, output)
    rows, times = rows_of(output), calls_in(asked(output))
    others = {p for p in (output / "set/a/parts").iterdir() if p.suffix != ".parquet"}
    same = table(output) == table(whole)
    print(
        f"{killed} kills: {len(rows)} of {given.pictures} pictures scored, "
        f"{sum(times.values())} askings, {max(rows.values())} rows of one at most; "
        f"tables {'the same' if same else 'DIFFER'}; {len(others)} other files"
    )
    return 0 if same and len(rows) == len(times) == given.pictures and not others else 1


if __name__ == "__main__":
    sys.exit(main())
