"""A corpus on dask workers, each a process of its own: the same rows, the same scores."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import urllib3
from corpus_stand_in import CHECKPOINT, StandIn, calls_in, wait_for
from disks import mounted_disk
from PIL import Image
from scoring_stand_in import ScoringStandIn

from napari_safire import Engine, load_model
from napari_safire.basis import RunBasis
from napari_safire.corpus.asking import EngineSource
from napari_safire.corpus.cluster import scores
from napari_safire.corpus.cluster.client import cluster_client
from napari_safire.corpus.cluster.pictures import ClusterJob, run_on_cluster
from napari_safire.corpus.cluster.scores import Answer, Group, ScoringJob, evaluate_on_cluster
from napari_safire.corpus.cluster.stop_file import new_run
from napari_safire.corpus.known_content import KnownContent
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.running import Corpus, Tally, opened, run_here
from napari_safire.corpus.tasks import CorpusTask
from napari_safire.corpus.work import CorpusSettings, CorpusWork
from napari_safire.errors import Cancelled, SafireError
from napari_safire.evaluation.entries import EvaluatedEntry, Task, entry_content
from napari_safire.evaluation.saved_scores import SavedScores, commit_scores
from napari_safire.evaluation.scoring import ScoringSettings, basis_of, evaluate_entries
from napari_safire.images.lists import ListEntry

SETTINGS = CorpusSettings(write="none")
BASIS = SETTINGS.basis(CHECKPOINT, "float32")
N = 60


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster_client(workers=1, cards=("5", "7")) as client:
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


def test_copies_that_two_workers_meet_at_once_are_examined_once(tmp_path: Path) -> None:
    from distributed import Client

    calls = tmp_path / "calls"
    calls.mkdir()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(40):
            pixels = np.full((8, 8, 3), 20 + 5 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    corpus = Corpus([tmp_path / "a", tmp_path / "b"], tmp_path / "out", SETTINGS, task_size=40)
    with opened(corpus, BASIS, "stand-in") as (_, tasks, tally):
        whole = [picture for task in tasks for picture in task.pictures]
        both = iter([CorpusTask(tuple(p), (0,) * 40) for p in (whole[:40], whole[40:])])
        source = StandIn(0.02, calls=os.fspath(calls))
        job = ClusterJob(os.fspath(corpus.output), SETTINGS, BASIS, source, new_run())
        with Client(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as two:
            run_on_cluster(two, job, both, tally)
        known = KnownContent(Manifest(corpus.output))
        assert {path.suffix for path in (corpus.output / "known").iterdir()} == {".index"}
    counted = calls_in(calls)
    assert len(counted) == 40
    assert set(counted.values()) == {1}
    found = list(Manifest(corpus.output).rows())
    assert (len(found), tally.done, tally.copies) == (80, 80, 40)
    examined = {row.file_sha256: row.picture for row in found if not row.same_as}
    assert len(examined) == 40
    for row in found:
        assert row.same_as in ("", examined[row.file_sha256])
        again = known.find(row.file_sha256)
        assert again is not None
        assert again.picture == examined[row.file_sha256]


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
        numbers = [str({name: float(v) for name, v in r.scores.items()}) for r in found]
        return [replace(r, seconds={}, scores=n) for r, n in zip(found, numbers, strict=True)]

    here = plain(evaluate_entries(engine, tasks, settings))
    assert plain(evaluate_on_cluster(client, source, tasks, settings)) == here
    basis = basis_of(engine, settings)
    with SavedScores(tmp_path / "scores", basis) as saved:
        assert plain(evaluate_on_cluster(client, source, tasks, settings, saved)) == here
        assert len(list((tmp_path / "scores/parts").glob("*.parquet"))) == 1  # the worker's
    before = [path.read_bytes() for path in (tmp_path / "scores/parts").glob("*.parquet")]
    with SavedScores(tmp_path / "scores", basis) as saved:
        assert len(saved) == 1
        assert plain(evaluate_on_cluster(client, source, tasks, settings, saved)) == here
    assert [p.read_bytes() for p in (tmp_path / "scores/parts").iterdir()] == before
    with pytest.raises(SafireError, match="is another here"):
        list(evaluate_on_cluster(client, replace(source, checkpoint_sha256="0"), tasks, settings))


def test_scores_of_workers_that_see_another_disk_are_kept_here(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "score_group", scored_elsewhere)
    tasks = [Task(number, ListEntry(tmp_path / f"{number}.png")) for number in range(20)]
    for task in tasks:
        Image.fromarray(np.full((8, 8), task.number, np.uint8)).save(task.entry.image)
    settings, source = ScoringSettings("binary"), EngineSource("none", "ab")
    with SavedScores(tmp_path / "scores", RunBasis("ab")) as saved:
        found = list(evaluate_on_cluster(client, source, tasks, settings, saved))
    assert len(found) == 20
    with SavedScores(tmp_path / "scores", RunBasis("ab")) as saved:
        assert len(saved) == 20


def test_an_evaluation_that_is_stopped_keeps_what_its_workers_have(
    client: Any, tmp_path: Path
) -> None:
    asked, source = tmp_path / "asked", ScoringStandIn(0.02, str(tmp_path / "asked"))
    asked.mkdir()
    photos = sorted(made_of(tmp_path / "photos", 64).iterdir())
    tasks = [Task(number, ListEntry(path)) for number, path in enumerate(photos)]
    rest = []
    for last in (False, True):
        with (
            SavedScores(tmp_path / "scores", RunBasis("ab")) as saved,
            closing(scored_on(client, source, tasks, saved)) as results,
        ):
            rest.append(64 - len(saved))
            found = list(results) if last else [next(results)]
    assert len(found) == len({result.number for result in found}) == len(saved) == 64
    assert 16 <= 64 - rest[1] < 64
    assert sum(calls_in(asked).values()) <= 64 + 3  # under way when it was stopped
    assert not list((tmp_path / "scores/parts").glob(".*"))


def scored_on(
    client: Any, source: Any, tasks: list[Task], saved: SavedScores
) -> Generator[EvaluatedEntry]:
    return evaluate_on_cluster(client, source, tasks, ScoringSettings("binary"), saved)


def scored_elsewhere(job: ScoringJob, tasks: Group) -> Answer:
    """As a worker does whose disk is its own."""
    results = [
        EvaluatedEntry(task.entry, number=task.number, content=entry_content(task.entry))
        for task in tasks
    ]
    return results, commit_scores("/nowhere", results) or "there.parquet"


def on_cluster(
    client: Any,
    photos: Path,
    output: Path,
    source: StandIn,
    *,
    retry: bool = False,
    sandbox: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Tally:
    """Run a corpus on workers; meanwhile, once a picture of the first task is asked, something."""
    corpus = Corpus([photos], output, SETTINGS, retry_errors=retry)
    doing = threading.Thread(target=meanwhile)
    with opened(corpus, BASIS, "stand-in") as (_, tasks, tally):
        job = ClusterJob(os.fspath(output), SETTINGS, BASIS, source, new_run(), sandbox=sandbox)
        if meanwhile is not None:
            doing.start()
        run_on_cluster(client, job, tasks, tally)
    if meanwhile is not None:
        doing.join()
    return tally


def made_of(folder: Path, number: int) -> Path:
    folder.mkdir()
    for n in range(number):
        Image.fromarray(np.full((8, 8, 3), 20 + n, np.uint8)).save(folder / f"{n:02}.png")
    return folder


def test_a_workers_device_without_memory_is_a_row_and_can_be_tried_again(
    client: Any, tmp_path: Path
) -> None:
    photos, output = made_of(tmp_path / "photos", 5), tmp_path / "out"
    full = StandIn(fails="CUDA out of memory. Tried to allocate 2.00 GiB")
    assert on_cluster(client, photos, output, full).failed == 5
    assert all("out of memory" in told[2] for told in rows(output).values())
    tally = on_cluster(client, photos, output, StandIn(), retry=True)
    assert (tally.done, tally.failed) == (5, 0)
    assert {told[2] for told in rows(output).values()} == {""}


def test_pictures_that_vanish_or_change_while_their_task_is_under_way(
    client: Any, tmp_path: Path
) -> None:
    photos, output = made_of(tmp_path / "photos", 20), tmp_path / "out"

    def meanwhile() -> None:
        wait_for(tmp_path / "asked")
        Image.new("RGB", (8, 8), (250, 0, 0)).save(photos / "18.png")
        (photos / "19.png").unlink()
        (tmp_path / "go").touch()

    on_cluster(client, photos, output, StandIn(gate=str(tmp_path)), meanwhile=meanwhile)
    found = rows(output)
    assert found["18.png"][0] == "forged"  # what lies there now, and its hash
    assert found["18.png"][3] == hashlib.sha256((photos / "18.png").read_bytes()).hexdigest()
    assert found["19.png"][2]
    assert [name for name, told in found.items() if told[2]] == ["19.png"]


def test_a_workers_full_disk_ends_in_a_sentence_and_the_same_command_goes_on(
    client: Any, tmp_path: Path
) -> None:
    photos = made_of(tmp_path / "photos", 5)
    with mounted_disk() as disk:
        output = disk.folder / "out"
        on_cluster(client, photos / "00.png", output, StandIn())
        disk.fill()
        with pytest.raises(SafireError, match=r"No space left on device\): make room"):
            on_cluster(client, photos, output, StandIn())
        assert list(rows(output)) == ["00.png"]
        disk.make_room()
        tally = on_cluster(client, photos, output, StandIn())
        assert (tally.there, tally.done, tally.failed) == (1, 4, 0)
        assert not list((output / "parts").glob(".*"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox is of Linux")
def test_a_worker_killed_with_its_sandbox_loses_nothing_and_leaves_nobody(
    client: Any, tmp_path: Path
) -> None:
    photos, output = made_of(tmp_path / "photos", 12), tmp_path / "out"
    decoders: list[psutil.Process] = []

    def meanwhile() -> None:
        wait_for(tmp_path / "asked")
        (pid,) = client.run(os.getpid).values()
        worker = psutil.Process(pid)
        decoders.extend(worker.children(recursive=True))
        worker.kill()
        (tmp_path / "go").touch()

    source = StandIn(gate=str(tmp_path))
    tally = on_cluster(client, photos, output, source, sandbox=True, meanwhile=meanwhile)
    assert (tally.done, tally.failed) == (12, 0)
    assert len(rows(output)) == 12
    assert decoders
    _, alive = psutil.wait_procs(decoders, timeout=60)
    assert not alive


def test_a_worker_of_this_machine_sees_one_card(client: Any) -> None:
    seen = client.run(lambda: os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert list(seen.values()) == ["5"]


def test_nobody_but_these_processes_talks_to_the_workers(client: Any) -> None:
    from distributed import Client

    address = client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    with pytest.raises((OSError, TypeError, ValueError)):  # without the key
        Client(address, timeout=2)
    listening = [c.laddr.ip for c in psutil.Process().net_connections() if c.status == "LISTEN"]
    assert set(listening) <= {"127.0.0.1"}


def test_the_dashboard_shows_the_work(client: Any) -> None:
    page = urllib3.request("GET", client.dashboard_link, timeout=30)
    assert b"<title>Dask" in page.data  # without bokeh it is a sentence


def test_a_scheduler_that_does_not_answer_is_told() -> None:
    nowhere = cluster_client(scheduler_file="/nowhere/scheduler.json")
    with pytest.raises(SafireError, match="No scheduler answers"), nowhere:
        pass
