"""50 kills (SIGKILL) of `predict` over 60 small pictures; then the same command has to finish.

Run from the project's root, takes about five minutes on two cores::

    .venv/bin/python tests/robustness/kill_predict.py [KILLS]

Half of the kills come at a random moment, half just before a file is renamed, removed or made (the
processes get a `sitecustomize` that counts these calls). Some runs have several jobs, and every
third round begins with complete results of other settings that are to be overwritten. After ten
kills each round the plain command runs to its end. It must print ``0 problems`` in the end: every
round exit code 0, all files byte-equal to those of an undisturbed run (records but for their
times), and nothing else in the folder.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import photograph
from toys import tiny_lite

from napari_safire.model.files.checkpoint import save_checkpoint
from napari_safire.model.safire import SafireModel

SEED = 17
PICTURES = 60
KILLS_A_ROUND = 10
HOOK = """
import os, signal
count = int(os.environ.get("KILL_AT", "0"))
def counted(real):
    def call(*arguments, **options):
        global count
        if "napari-safire" in str(arguments[0]) or "out" in str(arguments[0]):
            count -= 1
            if count == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
if count:
    for name in ("replace", "unlink", "rmdir", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
"""


def make_pictures(folder: Path) -> None:
    folder.mkdir()
    for number in range(PICTURES):
        name = f"p{number:02d}.png"
        if number < 4:  # pairs that share a name
            name = ("a.png", "a.jpg", "IMG_2.png", "img_2.png")[number]
        Image.fromarray(photograph(number, (64, 80))).save(folder / name)


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}
    for name in [name for name in found if name.endswith(".json")]:
        record = json.loads(found[name])
        for varying in ("created", "seconds"):
            del record[varying]
        found[name] = json.dumps(record).encode()
    return found


class Command:
    """The command, in a folder of its own."""

    def __init__(self, work: Path) -> None:
        self.work = work
        hook = work / "hook"
        hook.mkdir()
        (hook / "sitecustomize.py").write_text(HOOK)
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(hook)}

    def start(self, output: Path, *options: str, kill_at: int = 0) -> subprocess.Popen[str]:
        code = "from napari_safire.cli import main; main()"
        command = [
            sys.executable, "-c", code, "predict", str(self.work / "in"), "-o", str(output),
            "--model", str(self.work / "tiny.safetensors"), "--points-per-side", "4",
            "--device", "cpu", "--points", "5,6", *options,
        ]  # fmt: skip
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environment, "KILL_AT": str(kill_at)},
        )

    def finish(self, output: Path, *options: str) -> tuple[int, str, str]:
        running = self.start(output, *options)
        told, complaints = running.communicate(timeout=600)
        return running.returncode, told, complaints


def kill_once(command: Command, output: Path, options: tuple[str, ...], rng: random.Random) -> str:
    """Kill one run; how."""
    if rng.random() < 0.5:
        at = rng.randint(1, 40)
        running = command.start(output, *options, kill_at=at)
        running.communicate(timeout=600)
        return f"call {at}" if running.returncode == -signal.SIGKILL else "finished"
    running = command.start(output, *options)
    lines = rng.randint(0, 3)
    assert running.stdout is not None
    for _ in range(lines):
        running.stdout.readline()
    time.sleep(rng.uniform(0, 3.0 if lines == 0 else 0.15))
    running.kill()
    running.communicate(timeout=600)
    if running.returncode != -signal.SIGKILL:
        return "finished"
    return f"line {lines}"


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    rng = random.Random(SEED)
    problems: list[str] = []
    done = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_pictures(work / "in")
        torch.manual_seed(0)
        save_checkpoint(SafireModel(tiny_lite()), work / "tiny.safetensors")
        command = Command(work)
        code, _, complaints = command.finish(work / "out-whole", "--sources", "2")
        assert code == 0, complaints
        expected = contents(work / "out-whole")
        round_ = 0
        while done < kills:
            round_ += 1
            output = work / f"out-{round_}"
            options: tuple[str, ...] = ("--sources", "2")
            first = options
            if round_ % 3 == 0:
                code, _, complaints = command.finish(output, "--sources", "3")
                assert code == 0, complaints
                first = (*options, "--overwrite")
            how = []
            for n in range(min(KILLS_A_ROUND, kills - done)):
                jobs = ("--jobs", str(rng.choice((1, 1, 3))))
                # Overwriting anew would never come to an end: it is killed, and then gone on with.
                now = first if n == 0 or round_ % 3 == 0 else options
                how.append(kill_once(command, output, (*now, *jobs), rng))
            done += sum(name != "finished" for name in how)
            if round_ % 3 == 0:  # what was not reached yet is still that of the other settings
                for path in output.glob("*.json"):
                    if json.loads(path.read_text())["parameters"]["n_sources"] == 3:
                        path.unlink()
            code, told, complaints = command.finish(output, *options)
            found = contents(output)
            wrong = {
                "exit code": code,
                "missing": sorted(expected.keys() - found.keys()),
                "left over": sorted(found.keys() - expected.keys()),
                "different": sorted(
                    n for n in expected if found.get(n, expected[n]) != expected[n]
                ),
            }
            if any(wrong.values()):
                problems.append(f"round {round_}: {wrong} {complaints[-500:]}")
            print(f"round {round_}: {', '.join(how)}; then {told.splitlines()[-1:]}", flush=True)
    print(*problems, sep="\n")
    print(f"{done} kills in {round_} rounds over {PICTURES} pictures: {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
