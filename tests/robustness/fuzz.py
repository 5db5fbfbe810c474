"""Damaged files of every format that is read: each is read, or refused in one sentence.

    python tests/robustness/fuzz.py                          10,000 files of every format
    python tests/robustness/fuzz.py png own --n 500 --seed 3 --keep FOLDER
    python tests/robustness/fuzz.py png --atheris 600        led by coverage, for so many seconds

The same numbers give the same damage. Each file is read in a child process that may take 2 GiB of
addresses more than it has when it is idle. A fault is: the end of the process, an error other than
one printable sentence, more than 10 s, more than 1 GiB, or a reader that finds that what it read
cannot be. Prints one line a format and one a fault; exits with 1 if there was any. What
docs/lab-notes.md states comes from here.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

SECONDS = 10
MOST_BYTES = 1 << 30
LONGEST_SENTENCE = 1_500


@dataclass
class Outcome:
    """What became of the damaged files of one format.

    Parameters
    ----------
    faults : list of str
        One for each file.
    """

    name: str
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest: float = 0.0
    largest: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        n = sum(self.counts.values())
        return (
            f"{self.name:12} {n:6} files: {self.counts['read']:5} read, {self.counts['refused']:5} "
            f"refused, {len(self.faults)} faults; slowest {self.slowest:.1f} s, largest "
            f"{self.largest >> 20} MiB, {self.seconds:.0f} s in all"
        )


def fuzz(
    name: str, numbers: Sequence[int], seed: int, *, keep: Path | None = None, tell: bool = False
) -> Outcome:
    """Damage and read files of a format."""
    outcome, start = Outcome(name), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        child = Child(name, seed, Path(folder))
        for number in numbers:
            told = child.ask(number)
            outcome.counts[told["became"]] += 1
            if tell and told["said"]:
                print(f"{number} {told['became']}: {told['said']}")
            outcome.slowest = max(outcome.slowest, told["seconds"])
            outcome.largest = max(outcome.largest, told["bytes"])
            if told["became"] not in ("read", "refused"):
                outcome.faults.append(f"{name} {number}: {told['became']}: {told['said']}")
                if keep is not None:
                    child.keep(number, keep)
        child.close()
    outcome.seconds = time.perf_counter() - start
    return outcome


class Child:
    """A process that damages and reads files of a format; another one where it ended."""

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self._name, self._seed, self._folder = name, seed, folder
        self._process: subprocess.Popen[str] | None = None

    def ask(self, number: int) -> dict[str, Any]:
        if self._process is None:
            command = [sys.executable, __file__, self._name, "--seed", str(self._seed)]
            self._process = subprocess.Popen(
                [*command, "--work-in", str(self._folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            if not self._line(60):  # imports are no file's time
                raise RuntimeError(f"The child for {self._name} did not begin: run it by hand.")
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        start = time.perf_counter()
        line = self._line(SECONDS + 5)
        if line:
            return json.loads(line)
        hangs = time.perf_counter() - start > SECONDS
        self.close()
        became = "hung" if hangs else "killed the process"
        return {"became": became, "said": "", "seconds": SECONDS * hangs, "bytes": 0}

    def _line(self, seconds: float) -> str:
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else ""

    def keep(self, number: int, folder: Path) -> None:
        """Copy the damaged file that was asked about last."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in (self._folder / "now").glob("*"):
            if path.is_file() and "made" not in path.parts:
                shutil.copy(path, folder / f"{self._name}_{self._seed}_{number}_{path.name}")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


# --- in the child ---------------------------------------------------------------------------------


def work(name: str, seed: int, folder: Path) -> None:
    """Answer numbers on stdin with what became of their files."""
    import signal

    from robustness.fuzzing.formats import FORMATS

    of = FORMATS[name]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    seeds, names = _whole_files(name, folder)
    baseline = _limited()
    signal.signal(signal.SIGALRM, _ring)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        number = int(line)
        rng = random.Random(f"{seed} {name} {number}")
        chosen = names[number % len(names)]
        data = of.damage(seeds[chosen], chosen, rng)
        home = folder / "now"
        _begin_anew(folder / "whole", home)
        (home / chosen).unlink(missing_ok=True)  # it may be a link to the whole one
        (home / chosen).write_bytes(data)
        Path("/proc/self/clear_refs").write_text("5")  # forget the largest size so far
        start = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            of.read(home / chosen)
            became, said = "read", ""
        except BaseException as error:  # that is what is looked for
            became, said = _refusal(error)
        finally:
            signal.alarm(0)
        told = {"seconds": time.perf_counter() - start, "bytes": _peak() - baseline}
        if told["bytes"] > MOST_BYTES and became in ("read", "refused"):
            became, said = "large", f"{told['bytes'] >> 20} MiB, {became}: {said}"
        print(json.dumps({"became": became, "said": said, **told}), file=answers, flush=True)


class _Slow(BaseException):
    """It took too long."""


def _ring(*_: object) -> None:
    raise _Slow


def _refusal(error: BaseException) -> tuple[str, str]:
    import traceback

    from napari_safire.errors import SafireError
    from napari_safire.text import printable

    text = str(error)
    if isinstance(error, _Slow):
        where = traceback.extract_tb(error.__traceback__)[-4:]
        return "hung", " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(where))
    if isinstance(error, SafireError):
        if text != printable(text):
            return "no sentence", repr(text)[:300]
        if len(text) > LONGEST_SENTENCE or not text.endswith((".", "…", ". ")):
            return "no sentence", f"{len(text)} characters: {text[:200]} … {text[-40:]}"
        return "refused", text
    return "crashed", "".join(traceback.format_exception(error))[-1500:]


def _whole_files(name: str, folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """Make whole files once in a folder, and hold that they are read."""
    from robustness.fuzzing.formats import FORMATS

    whole = folder / "whole"
    if not whole.is_dir():
        made = whole / "made"
        made.mkdir(parents=True)
        for seed, data in FORMATS[name].seeds(made).items():
            (folder / "seeds").mkdir(exist_ok=True)
            (folder / "seeds" / seed).write_bytes(data)
    seeds = {path.name: path.read_bytes() for path in sorted((folder / "seeds").iterdir())}
    return seeds, list(seeds)


def _begin_anew(whole: Path, home: Path) -> None:
    """The folder as it was before the last file: what stays whole is linked."""
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(whole, home, copy_function=os.link)


def _limited() -> int:
    """Limit this process, and tell what it takes when it is idle."""
    import resource

    sizes = dict(_sizes())
    most = sizes["VmSize"] + 2 * MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return sizes["VmRSS"]


def _peak() -> int:
    return dict(_sizes())["VmHWM"]


def _sizes() -> Iterator[tuple[str, int]]:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("Vm"):
                name, value = line.split(":")
                yield name, int(value.split()[0]) << 10


def lead_by_coverage(name: str, seconds: int) -> None:
    """Let atheris choose the damage, in this process; it ends at the first fault."""
    import atheris

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        with atheris.instrument_imports(include=["napari_safire"]):
            from robustness.fuzzing.formats import FORMATS

            of = FORMATS[name]
            seeds, names = _whole_files(name, Path(folder))
            _begin_anew(Path(folder) / "whole", Path(folder) / "now")
            path = Path(folder) / "now" / names[0]
            path.write_bytes(seeds[names[0]])
            of.read(path)  # which imports what reads it: later there is nothing to be led by

        def one(data: bytes) -> None:
            home = Path(folder) / "now"
            _begin_anew(Path(folder) / "whole", home)
            path = home / names[0]
            path.write_bytes(data)
            try:
                of.read(path)
            except Exception as error:
                if _refusal(error)[0] != "refused":
                    raise

        def damage(data: bytes, most: int, seed: int) -> bytes:
            rng, whole = random.Random(seed), seeds[names[0]]
            try:
                return of.damage(data or whole, names[0], rng)[:most]
            except Exception:  # it is damaged so much already that its structure is not found
                return of.damage(whole, names[0], rng)[:most]

        limits = [f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-timeout=10"]
        start = [str(Path(folder) / "seeds")]
        atheris.Setup(
            [sys.argv[0], *limits, "-max_len=1000000", *start], one, custom_mutator=damage
        )
        atheris.Fuzz()


def main() -> int:
    """Run."""
    from robustness.fuzzing.formats import FORMATS

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("formats", nargs="*", help=", ".join(FORMATS))
    parser.add_argument("--n", type=int, default=10_000, help="files of each format")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for files that are faults")
    parser.add_argument("--tell", action="store_true", help="print every sentence")
    parser.add_argument("--atheris", type=int, metavar="SECONDS")
    parser.add_argument("--work-in", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work_in is not None:
        work(options.formats[0], options.seed, options.work_in)
        return 0
    if options.atheris is not None:
        lead_by_coverage(options.formats[0], options.atheris)
        return 0
    n_faults = 0
    for name in options.formats or FORMATS:
        numbers = range(options.first, options.first + options.n)
        outcome = fuzz(name, numbers, options.seed, keep=options.keep, tell=options.tell)
        print(outcome, *outcome.faults, sep="\n", flush=True)
        n_faults += len(outcome.faults)
    return int(n_faults > 0)


if __name__ == "__main__":
    sys.exit(main())
