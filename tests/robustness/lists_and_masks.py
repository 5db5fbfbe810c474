"""Mutated lists, masks, archives and score files: each is read or refused in a sentence.

Run ``python tests/robustness/lists_and_masks.py [COUNT]`` (default 4000, about a minute on one
core). Seeds are fixed. It must print ``0 failures``; else the file that failed is named.
"""

from __future__ import annotations

import io
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from napari_safire.basis import RunBasis
from napari_safire.corpus.queue import PictureQueue
from napari_safire.datasets.catalogue import read_entries
from napari_safire.datasets.integrity import check_lists
from napari_safire.errors import SafireError
from napari_safire.evaluation.results import ResultFile
from napari_safire.evaluation.saved_studies import read_results
from napari_safire.images.list_text import list_root, looks_like_list
from napari_safire.images.lists import ListEntry, parse_list, read_list
from napari_safire.images.masks import MaskRule
from napari_safire.images.truth import read_labels, read_mask

SECONDS, GIB = 10, 2
SHAPE = (48, 64)
PIECES = (b'"', b",", b"\n", b"#", b"..", b"/../", b"~nobody/", b"\x00", b"\xff\xfe", b"\x1b[2J")


def mutated(data: bytes, rng: Random) -> bytes:
    """Flip, cut, insert, double or lengthen somewhere."""
    found = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        place = rng.randrange(len(found) + 1)
        match rng.randrange(6):
            case 0 if place < len(found):
                found[place] ^= 1 << rng.randrange(8)
            case 1:
                del found[place : place + rng.randrange(1, 40)]
            case 2:
                found[place:place] = rng.choice(PIECES) * rng.randrange(1, 4)
            case 3:
                found[place:place] = found[place : place + 60]
            case 4:
                found[place:place] = rng.choice((b"a", b"a/")) * rng.choice((300, 4000, 100_000))
            case _:
                found[place : place + 4] = rng.randbytes(4)
    return bytes(found)


def masks() -> dict[str, bytes]:
    """Whole masks of several formats, by file name."""
    values = np.zeros(SHAPE, np.uint8)
    values[10:30, 10:30] = 50
    made = {}
    for suffix, name in (("png", "PNG"), ("tif", "TIFF"), ("bmp", "BMP"), ("gif", "GIF")):
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, name)
        made[f"m.{suffix}"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, arr_0=values)
    return made | {"m.npz": buffer.getvalue()}


def main() -> int:
    """Run it; the number of failures is the exit code."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    signal.signal(signal.SIGALRM, _too_long)
    rng, outcomes, failures = Random(17), Counter[str](), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        targets = _targets(folder)
        for number in range(count):
            file, whole, functions = rng.choice(targets)
            file.write_bytes(mutated(whole, rng))
            for what, function in functions.items():
                begin = time.monotonic()
                signal.alarm(2 * SECONDS)
                try:
                    function()
                    outcomes[f"{what}: accepted"] += 1
                except SafireError as error:
                    outcomes[f"{what}: refused"] += 1
                    if "\n" in str(error):
                        failures.append(f"{number} {what}: more than a line: {error!r}")
                except BaseException as error:  # that is what is looked for
                    failures.append(f"{number} {what}: {error!r}"[:300])
                finally:
                    signal.alarm(0)
                if time.monotonic() - begin > SECONDS:
                    failures.append(f"{number} {what}: took {time.monotonic() - begin:.0f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if peak > GIB:
        failures.append(f"memory reached {peak:.1f} GiB")
    print("\n".join(failures))
    print(dict(sorted(outcomes.items())))
    print(f"{count} files, {peak:.2f} GiB at most, {len(failures)} failures")
    return min(len(failures), 100)


def _targets(folder: Path) -> list[tuple[Path, bytes, dict[str, Callable[[], object]]]]:
    picture = folder / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)).save(picture)
    whole = masks()
    (folder / "b.png").write_bytes(whole["m.png"])
    listed = folder / "list.txt"
    lines = b'a.png,b.png\na.png,None,group1\n"a.png",b.png,"x,y"\n# comment\n#a.png,None\n'
    of_lists: dict[str, Callable[[], object]] = {
        "parse_list": lambda: parse_list(listed, folder),
        "read_list": lambda: read_list(listed),
        "read_entries": lambda: read_entries(listed),
        "check_lists": lambda: list(check_lists([listed], kind=None, workers=1)),
        "series": lambda: PictureQueue.open(listed, folder / "out").entries(),
        "reader": lambda: list_root(listed) if looks_like_list(listed) else None,
    }
    targets = [(listed, lines, of_lists)] * 2
    for name, data in whole.items():
        entry = ListEntry(picture, folder / name)
        key = "arr_0" if name.endswith(".npz") else None
        rules = (MaskRule(key=key), MaskRule("sources", nearest=True, key=key))
        entries = [ListEntry(picture, folder / name, rule=rule) for rule in rules]
        of_masks: dict[str, Callable[[], object]] = {
            f"mask {place}": lambda entry=ruled: read_mask(entry, "sources", shape=SHAPE)
            for place, ruled in enumerate(entries)
        }
        if key is None:
            of_masks["labels"] = lambda entry=entry: read_labels(entry, shape=SHAPE)
        targets.append((folder / name, data, of_masks))
    scores = folder / "scores.jsonl"
    basis = RunBasis("ab", {"kind": "binary"})
    with ResultFile(scores, basis):
        pass
    line = (
        b'{"content": "c", "degradation": "none", "image": "a.png", "mask": null, "verdict": null, '
        b'"scores": {"x": 0.5, "y": null}, "seconds": {"embed": 0.1}, "warnings": ["w"]}\n'
    )
    targets.append(
        (scores, scores.read_bytes() + line * 3, {"scores": lambda: _opened(scores, basis)})
    )
    table = folder / "scores.csv"
    rows = b"image,mask,degradation,verdict,x,embed_s,error\r\na.png,b.png,none,forged,0.5,0.1,\r\n"
    targets.append((table, rows, {"table": lambda: read_results(table)}))
    return targets


def _opened(path: Path, basis: RunBasis) -> int:
    with ResultFile(path, basis) as file:
        return len(file)


def _too_long(*_: object) -> None:
    raise TimeoutError("hangs")


if __name__ == "__main__":
    sys.exit(main())
