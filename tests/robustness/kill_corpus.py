"""Kill a corpus job again and again: here, or its client, workers and scheduler on dask.

    python tests/robustness/kill_corpus.py --pictures 20000 --kills 50
    python tests/robustness/kill_corpus.py --pictures 20000 --kills 50 --cluster
    python tests/robustness/kill_corpus.py --composites FOLDER --kills 5 [--cluster]

Pictures are 8 x 8 pixels; a stand-in takes 5 ms for each. With ``--composites`` they are those of a
folder, answered by safire-lite with all evidence, and masks of those called forged are written. In
the end every picture must stand in the manifest once, with the row that an uninterrupted run gives,
timings aside; what is written is the same byte for byte, and nothing else lies in the folder. With
``--copies`` every other picture has the bytes of one before it: each copy must name one that was
examined, and how many were examined although a copy was is told.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

sys.path.insert(0, os.fspath(Path(__file__).parents[1]))
from corpus_stand_in import CHECKPOINT, StandIn

from napari_safire.basis import RunBasis
from napari_safire.corpus.asking import EngineSource, ModelSource, OpenAsk
from napari_safire.corpus.cluster.client import cluster_client
from napari_safire.corpus.cluster.pictures import ClusterJob, run_on_cluster
from napari_safire.corpus.cluster.stop_file import new_run
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.running import Corpus, opened, run_here
from napari_safire.corpus.tasks import TASK_SIZE
from napari_safire.corpus.work import CorpusSettings, CorpusWork

SECONDS = 0.005
MODEL = "safire-lite"
REAL_TASK = 32  # real pictures take longer, and a task that is killed is done again


def asked(real: bool) -> tuple[CorpusSettings, RunBasis, OpenAsk]:
    """What is asked of the pictures, and who answers."""
    if not real:
        settings = CorpusSettings(write="none")
        return settings, settings.basis(CHECKPOINT, "float32"), StandIn(SECONDS)
    from napari_safire.model.catalogue.registry import load_model

    settings = CorpusSettings()
    checkpoint = load_model(MODEL, device="cpu").checkpoint_sha256
    source = ModelSource(EngineSource(MODEL, checkpoint, "cpu"), settings.examination)
    return settings, settings.basis(checkpoint, "float32"), source


def work(photos: Path, output: Path, scheduler: str, *, real: bool) -> None:
    """What is killed: a client, or the whole of it."""
    settings, basis, source = asked(real)
    size = REAL_TASK if real else TASK_SIZE
    corpus = Corpus([photos], output, settings, recursive=True, task_size=size)
    memory: list[tuple[int, int]] = []
    process = psutil.Process()
    with opened(corpus, basis, MODEL if real else "stand-in") as (manifest, tasks, tally):
        if scheduler:
            job = ClusterJob(os.fspath(output.absolute()), settings, basis, source, new_run())
            with cluster_client(scheduler=scheduler) as client:
                run_on_cluster(client, job, tasks, tally)
        else:

            def told(row: object) -> None:
                memory.append((len(memory), process.memory_info().rss))

            run_here(CorpusWork(manifest, settings, basis, source()), tasks, tally, told)
    print(json.dumps({"done": tally.done, "there": tally.there, "slope": slope(memory)}))


def slope(memory: list[tuple[int, int]]) -> float:
    """MiB for each 1,000 pictures, over the last half."""
    half = memory[len(memory) // 2 :]
    if len(half) < 100:
        return 0.0
    x, y = np.array(half, float).T
    return float(np.polyfit(x / 1000, y / 2**20, 1)[0])


def make_pictures(folder: Path, number: int, *, copies: bool) -> None:
    rng = np.random.default_rng(0)
    for i in range(number):
        path = folder / f"{i // 1000:03d}" / f"{i}.png"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if copies and i % 64 >= 32:  # two workers meet copies at about the same time
            shutil.copy(folder / f"{(i - 32) // 1000:03d}" / f"{i - 32}.png", path)
        else:
            Image.fromarray(rng.integers(14, 255, (8, 8, 3), np.uint8)).save(path)


def rows_of(output: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    examined: dict[str, str] = {}
    copies: list[tuple[str, str]] = []
    for row in Manifest(output).rows():
        assert row.picture not in found, f"{row.picture} stands in the manifest twice"
        columns = row.as_columns()
        told = {
            name: value for name, value in columns.items() if name not in ("seconds", "same_as")
        }
        found[row.picture] = told
        if row.same_as:
            copies.append((row.same_as, row.file_sha256))
        else:
            examined[row.picture] = row.file_sha256
    for picture, sha256 in copies:
        assert examined.get(picture) == sha256, f"a copy names {picture}, which was not examined"
    twice = len(examined) - len({row["file_sha256"] for row in found.values()})
    print(f"{output.name}: {len(copies)} copies; {twice} pictures examined though a copy was")
    return found


def written(output: Path) -> dict[str, str]:
    """All that lies in a folder but parts, their index and job, by name, as hashes."""
    names = {path.relative_to(output): path for path in output.rglob("*") if path.is_file()}
    names = {n: path for n, path in names.items() if n.suffix != ".index" or n.name[0] == "."}
    return {
        name.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in names.items()
        if name.name != "job.json" and (name.parts[0] != "parts" or name.suffix != ".parquet"
                                        or name.name.startswith("."))
    }  # fmt: skip


def command(given: argparse.Namespace, photos: Path, output: Path) -> list[str]:
    real = ["--real"] if given.composites else []
    return [sys.executable, __file__, "--work", str(photos), str(output), *real]


class Cluster:
    """A scheduler and two workers as processes of their own, each begun again when it is killed."""

    def __init__(self, place: Path) -> None:
        self._port = random.randrange(20_000, 40_000)
        self._place = place
        self._kinds = {"scheduler": self._scheduler, "worker-1": self._worker,
                       "worker-2": self._worker}  # fmt: skip
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.keep_up()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self._port}"

    def keep_up(self) -> None:
        for name, make in self._kinds.items():
            if name not in self.processes or self.processes[name].poll() is not None:
                log = open(self._place / f"{name}.log", "ab")  # noqa: SIM115
                self.processes[name] = subprocess.Popen(
                    make(), stdout=log, stderr=log, start_new_session=True, cwd=self._place,
                    env={**os.environ, "PYTHONPATH": os.fspath(Path(__file__).parents[1])},
                )  # fmt: skip

    def kill(self, name: str) -> None:
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def close(self) -> None:
        for name in self.processes:
            self.kill(name)

    def _scheduler(self) -> list[str]:
        return [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port",
                str(self._port), "--no-dashboard", "--host", "127.0.0.1"]  # fmt: skip

    def _worker(self) -> list[str]:
        return [sys.executable, "-m", "distributed.cli.dask_worker", self.address, "--nthreads",
                "1", "--no-dashboard", "--death-timeout", "60"]  # fmt: skip


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=20_000)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--cluster", action="store_true")
    options.add_argument("--copies", action="store_true", help="every other one is a copy")
    options.add_argument("--composites", type=Path, metavar="FOLDER", help="real pictures")
    options.add_argument("--place", type=Path, default=Path(tempfile.gettempdir(), "kill-corpus"))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--work", nargs=2, type=Path, help=argparse.SUPPRESS)
    options.add_argument("--real", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--scheduler", default="", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.work:
        work(*given.work, given.scheduler, real=given.real)
        return 0
    photos = given.composites or given.place / "photos"
    if not given.composites:
        make_pictures(photos, given.pictures, copies=given.copies)
    whole = given.place / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    run = command(given, photos, whole)
    begun = time.monotonic()
    told = subprocess.run(run, check=True, capture_output=True)
    seconds = time.monotonic() - begun
    print(f"uninterrupted: {seconds:.0f} s {told.stdout.decode().strip()}", flush=True)
    output = given.place / ("killed-cluster" if given.cluster else "killed")
    shutil.rmtree(output, ignore_errors=True)
    killed = killed_again_and_again(given, photos, output, seconds)
    wanted, found = rows_of(whole), rows_of(output)
    files, others = written(whole), written(output)
    same = found == wanted
    print(f"{killed} kills: {len(found)} rows of {len(wanted)}; {'the same' if same else 'OTHERS'}")
    left = sorted(others.keys() - files.keys())
    print(
        f"{len(others)} files of {len(files)} beside the manifest; "
        f"{'the same' if others == files else 'OTHERS'}; left over: {left or 'nothing'}"
    )
    n_asked = len(list(photos.rglob("*.png"))) if given.composites else given.pictures
    return 0 if same and others == files and len(found) >= n_asked else 1


def killed_again_and_again(
    given: argparse.Namespace, photos: Path, output: Path, seconds: float
) -> dict[str, int]:
    rng = random.Random(given.seed)
    cluster = Cluster(given.place) if given.cluster else None
    extra = ["--scheduler", cluster.address] if cluster else []
    killed: dict[str, int] = {}
    left = given.kills
    client = None
    try:
        while True:
            if client is None or client.poll() is not None:
                if client is not None and client.returncode == 0:
                    return killed
                client = subprocess.Popen(
                    [*command(given, photos, output), *extra], start_new_session=True,
                    stderr=subprocess.DEVNULL if cluster else None,
                )  # fmt: skip
            if cluster is not None:
                cluster.keep_up()
            if not left:
                time.sleep(0.2)
                continue
            longest = (1.2 if given.composites else 2.2) * seconds / given.kills
            time.sleep(rng.uniform(0.5, max(1.0, longest)))
            names = ["client", *(cluster.processes if cluster else ())]
            name = rng.choice(names)
            if name == "client":
                if client.poll() is not None:
                    continue
                os.killpg(client.pid, signal.SIGKILL)
                client.wait()
            elif cluster is not None:
                cluster.kill(name)
            killed[name] = killed.get(name, 0) + 1
            left -= 1
    finally:
        if client is not None and client.poll() is None:
            os.killpg(client.pid, signal.SIGKILL)
        if cluster is not None:
            cluster.close()


if __name__ == "__main__":
    sys.exit(main())
