"""A corpus on dask workers, each a process of its own: the same rows, the same scores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from corpus_stand_in import CHECKPOINT, StandIn
from PIL import Image

from napari_safire import Engine, load_model
from napari_safire.corpus.asking import EngineSource
from napari_safire.corpus.cluster.client import cluster_client
from napari_safire.corpus.cluster.pictures import ClusterJob, new_run, run_on_cluster
from napari_safire.corpus.cluster.scores import evaluate_on_cluster
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.running import Corpus, Tally, opened, run_here
from napari_safire.corpus.work import CorpusSettings, CorpusWork
from napari_safire.errors import Cancelled, SafireError
from napari_safire.evaluation.entries import EvaluatedEntry, Task
from napari_safire.evaluation.scoring import ScoringSettings, evaluate_entries
from napari_safire.images.lists import ListEntry

SETTINGS = CorpusSettings(write="none")
BASIS = SETTINGS.basis(CHECKPOINT, "float32")
N = 60


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster_client(workers=2, cards=("5", "7")) as client:
        yield client


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(N):
        pixels = np.full((8, 8, 3), 20 + 4 * (number // 2), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    return folder


def rows(output: Path) -> dict[str, tuple[object, ...]]:
    found = list(Manifest(output).rows())
    told = {Path(r.picture).name: (r.verdict, r.score, r.error, r.file_sha256) for r in found}
    assert len(told) == len(found)
    return told


def test_workers_make_the_rows_that_this_process_makes(
    client: Any, photos: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    with opened(Corpus([photos], here, SETTINGS), BASIS, "stand-in") as (manifest, tasks, tally):
        run_here(CorpusWork(manifest, SETTINGS, BASIS, StandIn()()), tasks, tally)
    with opened(Corpus([photos], there, SETTINGS), BASIS, "stand-in") as (_, tasks, on_cluster):
        job = ClusterJob(os.fspath(there), SETTINGS, BASIS, StandIn(), new_run())
        run_on_cluster(client, job, tasks, on_cluster)
    assert rows(there) == rows(here)
    assert on_cluster.done == tally.done == N + 1


def test_a_job_that_is_stopped_is_kept_and_gone_on_with(
    client: Any, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    told: list[Tally] = []

    def run(cancel: bool) -> None:
        with opened(Corpus([photos], output, SETTINGS), BASIS, "stand-in") as (_, tasks, tally):
            job = ClusterJob(os.fspath(output), SETTINGS, BASIS, StandIn(0.02), new_run())
            stop = (lambda: bool(told)) if cancel else (lambda: False)
            run_on_cluster(client, job, tasks, tally, told.append, stop)

    with pytest.raises(Cancelled):
        run(cancel=True)
    kept = rows(output)
    assert told[0].done <= len(kept) < N + 1
    run(cancel=False)
    assert len(rows(output)) == N + 1
    assert not list((output / "parts").glob(".stop-*"))


def test_scores_are_those_of_one_process(client: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (96, 96, 3), np.uint8)).save(tmp_path / "a.png")
    engine = Engine(load_model("safire-lite", device="cpu"))
    source = EngineSource("safire-lite", engine.model.checkpoint_sha256, "cpu")
    settings = ScoringSettings("binary")
    entries = (ListEntry(tmp_path / "a.png"), ListEntry(tmp_path / "gone.png"))
    tasks = [Task(number, entry) for number, entry in enumerate(entries)]

    def plain(results: Iterable[EvaluatedEntry]) -> list[EvaluatedEntry]:
        found = sorted(results, key=lambda result: result.number)
        return [replace(result, seconds={}, scores=str(result.scores)) for result in found]

    here = plain(evaluate_entries(engine, tasks, settings))
    assert plain(evaluate_on_cluster(client, source, tasks, settings)) == here
    known = {here[0].content: here[0]}
    again = evaluate_on_cluster(
        client, source, tasks, settings, lambda content, degradation: known.get(content)
    )
    assert plain(again) == here
    with pytest.raises(SafireError, match="is another here"):
        list(evaluate_on_cluster(client, replace(source, checkpoint_sha256="0"), tasks, settings))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX signals")
def test_sigterm_keeps_what_was_answered_within_a_second(photos: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from test_corpus_cluster import *\n"
        "from napari_safire.cli.terminal import stop_on_sigterm\n"
        "stop_on_sigterm()\n"
        "corpus = Corpus([sys.argv[1]], Path(sys.argv[2]), SETTINGS)\n"
        "with opened(corpus, BASIS, 'x') as (manifest, tasks, tally):\n"
        "    work = CorpusWork(manifest, SETTINGS, BASIS, StandIn(.05)())\n"
        "    run_here(work, tasks, tally, lambda row: print('row', flush=True))\n"
    )
    output, here = tmp_path / "out", Path(__file__)
    process = subprocess.Popen(
        [sys.executable, "-c", script, photos, output, here.parent, here.parents[1]],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    for _ in range(12):  # into the second task
        process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    left = len(process.stdout.read().split())
    process.wait()
    assert time.monotonic() - begun < 10  # it does not go on to the end
    assert 12 <= len(rows(output)) <= 13 + left


def test_workers_of_this_machine_see_one_card_each(client: Any) -> None:
    seen = client.run(lambda: os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert sorted(seen.values()) == ["5", "7"]


def test_nobody_but_these_processes_talks_to_the_workers(client: Any) -> None:
    from distributed import Client

    address = client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    with pytest.raises((OSError, TypeError, ValueError)):  # without the key
        Client(address, timeout=2)
    listening = [c.laddr.ip for c in psutil.Process().net_connections() if c.status == "LISTEN"]
    assert set(listening) <= {"127.0.0.1"}


def test_the_dashboard_shows_the_work(client: Any) -> None:
    with urllib.request.urlopen(client.dashboard_link, timeout=30) as page:
        assert b"bokeh" in page.read().lower()


def test_a_scheduler_that_does_not_answer_is_told() -> None:
    nowhere = cluster_client(scheduler_file="/nowhere/scheduler.json")
    with pytest.raises(SafireError, match="No scheduler answers"), nowhere:
        pass
