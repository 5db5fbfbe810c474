"""kill -9 at random moments of exports, and damaged exports that are imported.

Run it from the repository's root, with rounds and a seed::

    .venv/bin/python tests/robustness/exports.py kill 200 [1]
    .venv/bin/python tests/robustness/exports.py damage 300 [1]

``kill``: a child exports thirty pictures in all formats, over and over, half of the time in place
of an earlier export; it is killed after up to a second. Whatever has a final name must be a whole
export of all its pictures. ``damage``: a byte, a value or the end of a file of an export is
changed; an import must give pictures or sentences. The last line must be ``RESULT … 0 problems``.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from labelled_pictures import labelled

from napari_safire.errors import SafireError
from napari_safire.project.formats.about import read_export_kind
from napari_safire.project.formats.catalogue import FORMATS, import_pictures
from napari_safire.project.formats.export import export
from napari_safire.project.formats.labelled import ExportSettings, LabelledPicture

_VALUES = (b"null", b"[]", b"{}", b"-1", b'"x"', b"1e400", b"9" * 20, b"[1,2]", b'""', b"../..")
_PIECE = re.compile(rb'"[^"]*"|\d+|true|null')


def pictures(folder: Path, count: int) -> list[LabelledPicture]:
    return [labelled(folder / "in", f"{n}.png", (1, 2, 3), shape=(60, 80)) for n in range(count)]


def export_for_ever(folder: Path, given: list[LabelledPicture], seed: int) -> None:
    rng = random.Random(seed)
    again = ExportSettings(replace=True)
    while True:
        kind = rng.choice(sorted(FORMATS))
        target = folder / rng.choice(("one", "two", "three"))
        export(given, target, kind, again)
        if rng.random() < 0.5:
            gone = folder / f"gone {rng.random()}"  # a half removed one is no half export
            target.rename(gone)
            shutil.rmtree(gone)


def kill(rounds: int, seed: int) -> int:
    rng = random.Random(seed)
    problems = whole = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = pictures(folder, 30)
        for number in range(rounds):
            child = os.fork()
            if child == 0:
                export_for_ever(folder, given, seed * 100_000 + number)
            time.sleep(rng.random())
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            for there in (folder / one for one in ("one", "two", "three")):
                if not there.exists():
                    continue
                got = list(import_pictures(there, unpack=folder / "unpacked"))
                same = sum(one.picture is not None for one in got) == len(given)
                if read_export_kind(there) is None or not same:
                    problems += 1
                    print(f"round {number}: {there.name} is not whole")
                whole += same
            export(given[:1], folder / "last", "coco", ExportSettings(replace=True))
            left = [one.name for one in folder.iterdir() if one.name.startswith(".napari-safire-")]
            problems += len(left)
    print(f"RESULT {rounds} kills, {whole} whole exports, {problems} problems")
    return problems


def damage(rounds: int, seed: int) -> int:
    rng = random.Random(seed)
    problems = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = [labelled(folder / "in", f"{n}.png", (1, 2), shape=(9, 12)) for n in range(2)]
        for kind in FORMATS:
            export(given, folder / kind, kind)
            for number in range(rounds):
                copy = folder / "copy"
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(folder / kind, copy)
                files = sorted(one for one in copy.rglob("*") if one.is_file())
                file = rng.choice([one for one in files if one.suffix != ".md"])
                file.write_bytes(damaged(file.read_bytes(), rng))
                try:
                    list(import_pictures(copy, kind, unpack=folder / "unpacked"))
                except SafireError:
                    pass
                except Exception:
                    problems += 1
                    print(f"{kind}, {number}, {file.name}")
                    traceback.print_exc(limit=-3)
    print(f"RESULT {rounds * len(FORMATS)} damaged exports, {problems} problems")
    return problems


def damaged(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    how = rng.random()
    if how < 0.5:
        for _ in range(rng.choice((1, 3, 20))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    elif how < 0.7:
        del changed[rng.randrange(len(changed)) :]
    else:
        pieces = list(_PIECE.finditer(data))
        place = rng.choice(pieces).span() if pieces else (rng.randrange(len(changed)),) * 2
        changed[slice(*place)] = rng.choice(_VALUES)
    return bytes(changed)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    _, what, rounds, *rest = sys.argv
    run = {"kill": kill, "damage": damage}[what]
    sys.exit(1 if run(int(rounds), int(rest[0]) if rest else 1) else 0)
