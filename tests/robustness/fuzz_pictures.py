"""Mutated pictures of every format: read, or refused in a sentence; no crash, hang or flood.

    nice python tests/robustness/fuzz_pictures.py [--n 20000] [--seed 1] [--keep FOLDER]

Mutates the cases of tests/picture_cases.py (seeds are fixed; the same numbers give the same files).
Each file is read by `read_image` and by `image_shape` in a worker process that may take 4 GiB of
address space. Prints one line for each file that crashed (anything but `ImageReadError`), took more
than 10 s or more than 2 GiB, or whose two answers contradict each other, then a summary; exits with
1 if there was any. What has to be printed at the end:

    20000 pictures: ... read, ... refused; 0 crashed, 0 hung, 0 took more than 2 GiB, 0 contradicted
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import select
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

HANG_SECONDS = 10
MOST_BYTES = 2 << 30

WORKER = (
    f"HANG_SECONDS = {HANG_SECONDS}"
    + r"""
import json, resource, signal, sys, time, traceback
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import numpy as np
from napari_safire.images.reading import image_shape, read_image
from napari_safire.errors import ImageReadError


class Slow(BaseException):
    pass


def ring(*_):
    raise Slow


signal.signal(signal.SIGALRM, ring)


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


def ask(function, path):
    signal.alarm(HANG_SECONDS)
    try:
        answer = function(path)
    except ImageReadError as error:
        text = str(error)
        return ("refused", text) if "\n" not in text else ("crashed", "line break: " + text)
    except Slow:
        return "hung", ""
    except BaseException:
        return "crashed", traceback.format_exc()
    finally:
        signal.alarm(0)
    return "read", answer


for line in sys.stdin:
    path = line.rstrip("\n")
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    start = time.perf_counter()
    became, answer = ask(read_image, path)
    shape = None
    if became == "read":
        pixels = answer.pixels
        shape = pixels.shape[:2]
        good = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
        if not good or pixels.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
            became, answer = "crashed", f"{pixels.shape} {pixels.dtype}"
        else:
            json.dumps(answer.decoding.as_record(), allow_nan=False)
            answer = None
    by_header, told = ask(image_shape, path)
    if became == "read" and (by_header, told) != ("read", shape):
        became, answer = "contradicted", f"{shape} but {by_header} {told}"
    elif by_header in ("crashed", "hung"):
        became, answer = by_header, told
    print(
        json.dumps([became, answer, time.perf_counter() - start, peak()]), flush=True
    )
"""
)

ODD = [0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 4096, 14142, 32767, 32768, 65535]
ODD += [65536, 2**20, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


def mutated(data: bytes, name: str, rng: random.Random) -> bytes:
    """The file with some damage, small or aimed."""
    out = bytearray(data)
    kind = rng.choice(("bits", "bytes", "cut", "grow", "shrink", "head", "field", "splice", "aim"))
    size = max(1, len(out))
    if kind == "bits":
        for _ in range(rng.choice((1, 8, 64))):
            out[rng.randrange(size)] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        for _ in range(rng.randrange(1, 20)):
            out[rng.randrange(size)] = rng.choice((0, 255, 127, 128, rng.randrange(256)))
    elif kind == "cut":
        out = out[: rng.choice((rng.randrange(size), size - rng.randrange(min(64, size))))]
    elif kind == "grow":
        place = rng.randrange(size)
        out[place:place] = rng.randbytes(rng.randrange(1, 100))
    elif kind == "shrink":
        place = rng.randrange(size)
        del out[place : place + rng.randrange(1, 100)]
    elif kind == "head":
        for _ in range(rng.randrange(1, 4)):
            out[rng.randrange(min(64, size))] = rng.randrange(256)
    elif kind == "field" and size > 8:
        place, wide = rng.randrange(min(300, size - 4)), rng.choice((1, 2, 4))
        value = rng.choice(ODD) % 256**wide
        out[place : place + wide] = value.to_bytes(wide, rng.choice(("little", "big")))
    elif kind == "splice":
        place, other, length = rng.randrange(size), rng.randrange(size), rng.randrange(1, 200)
        out[place : place + length] = out[other : other + length]
    elif kind == "aim" and size > 64:
        out = _aimed(out, name, rng)
    if name.endswith(".png") and rng.random() < 0.7:
        return _with_checksums(bytes(out))
    return bytes(out)


def _aimed(out: bytearray, name: str, rng: random.Random) -> bytearray:
    """Change what a format's header says of sizes, counts and places."""
    if name.endswith(".tif"):
        return _aimed_tiff(out, rng)
    if name.endswith(".png"):
        place = rng.choice((16, 20, 24, 25, 26, 27, 28))
        value = rng.choice(ODD)
        if place < 24:
            struct.pack_into(">I", out, place, value)
        else:
            out[place] = value & 255
    elif name.endswith(".jpg"):
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            place = out.find(marker)
            if place > 0:
                struct.pack_into(">H", out, place + rng.choice((5, 7)), rng.choice(ODD) & 65535)
        if rng.random() < 0.3:
            place = out.find(b"\xff\xda")
            body = struct.pack(">H", rng.choice((0, 1, 2, 8, 65535))) + bytes(6)
            out[place:place] = bytes([255, rng.randrange(0xC0, 0xFF)]) + body
    elif name.endswith(".gif"):
        place = rng.choice((6, 8, out.find(b"\x2c") + rng.choice((1, 3, 5, 7))))
        struct.pack_into("<H", out, place, rng.choice(ODD) & 65535)
    elif name.endswith(".bmp"):
        place = rng.choice((10, 14, 18, 22, 26, 28, 30, 34, 46))
        struct.pack_into("<I", out, place, rng.choice((*ODD, 2**32 - 80)))
    elif name.endswith(".webp"):
        struct.pack_into("<I", out, rng.choice((4, 12, 16, 20, 24, 27, 30)), rng.choice(ODD))
    return out


_TAGS = (254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 284, 292, 317, 320, 322)
_TAGS += (323, 324, 325, 330, 332, 338, 339, 347, 530, 700, 32997, 34665, 50706)
_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34712, 34925, 50000, 50001)


def _aimed_tiff(out: bytearray, rng: random.Random) -> bytearray:
    order = ">" if out[:2] == b"MM" else "<"
    big = 43 in (out[2], out[3])
    if big:
        start = struct.unpack_from(order + "Q", out, 8)[0]
        count, size, first = struct.unpack_from(order + "Q", out, start)[0], 20, start + 8
    else:
        start = struct.unpack_from(order + "I", out, 4)[0]
        count, size, first = struct.unpack_from(order + "H", out, start)[0], 12, start + 2
    for _ in range(rng.randrange(1, 3)):
        place = first + rng.randrange(count) * size
        what = rng.choice(("type", "count", "value", "value", "value", "tag"))
        if what == "type":
            struct.pack_into(
                order + "H", out, place + 2, rng.choice((1, 2, 3, 4, 5, 11, 12, 16, 99))
            )
        elif what == "count":
            struct.pack_into(order + "I", out, place + 4, rng.choice(ODD))
        elif what == "tag":
            struct.pack_into(order + "H", out, place, rng.choice(_TAGS))
        else:
            value = rng.choice((*ODD, *_COMPRESSIONS))
            struct.pack_into(order + "I", out, place + size - (8 if big else 4), value)
    if rng.random() < 0.1:
        link = first + count * size
        struct.pack_into(order + "I", out, link, rng.choice((start, 8, 2**32 - 1, start + 2)))
    return out


def _with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums again, so that what is in them is looked at."""
    out, place = bytearray(data[:8]), 8
    while place + 8 <= len(data):
        length = struct.unpack_from(">I", data, place)[0]
        if place + 12 + length > len(data):
            break
        body = data[place + 4 : place + 8 + length]
        out += data[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return bytes(out) + data[place:]


class Worker:
    """A process that reads files; a new one where the last one died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, path: Path) -> list[Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._process.stdin.write(f"{__file__}\n")  # imports take no file's time
            self._process.stdin.flush()
            self._process.stdout.readline()
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], 3 * HANG_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.close()
        return ["crashed" if ready else "hung", "the process died", 0.0, 0]

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def main() -> int:
    """Run."""
    from picture_cases import CASES

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for files that failed")
    options = parser.parse_args()
    seeds = [(case.name, case.make()) for case in CASES]
    became: collections.Counter[str] = collections.Counter()
    slowest, largest, start = 0.0, 0, time.perf_counter()
    worker = Worker()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.n):
            name, data = seeds[number % len(seeds)]
            rng = random.Random(f"{options.seed} {number}")
            path = Path(folder) / f"mutated{Path(name).suffix}"
            path.write_bytes(mutated(data, name, rng))
            answer, told, seconds, memory = worker.ask(path)
            slowest, largest = max(slowest, seconds), max(largest, memory)
            if seconds > HANG_SECONDS and answer in ("read", "refused"):
                answer = "hung"
            became[answer] += 1
            became["large"] += memory > MOST_BYTES
            if answer not in ("read", "refused") or memory > MOST_BYTES:
                print(f"{number} {name}: {answer}, {seconds:.1f} s, {memory >> 20} MB: {told}")
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{options.seed}_{number}_{name}").write_bytes(
                        path.read_bytes()
                    )
    worker.close()
    print(
        f"{options.n} pictures: {became['read']} read, {became['refused']} refused; "
        f"{became['crashed']} crashed, {became['hung']} hung, {became['large']} took more than "
        f"2 GiB, {became['contradicted']} contradicted. Slowest {slowest:.1f} s, largest "
        f"{largest >> 20} MB, {time.perf_counter() - start:.0f} s in all."
    )
    failed = ("crashed", "hung", "large", "contradicted")
    return int(any(became[name] for name in failed))


if __name__ == "__main__":
    sys.exit(main())
