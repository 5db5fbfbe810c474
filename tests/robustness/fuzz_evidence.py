"""Damaged and hostile pictures of every format, through the views of the file and those of pixels.

    nice python tests/robustness/fuzz_evidence.py [--n 1000] [--seed 1] [--all-views] [--keep DIR]

Mutates small pictures with Exif, XMP, IPTC, profiles, several pictures and Content Credentials
(seeds are fixed). Each is examined in a worker process that may take 4 GiB of address space, by the
views of the file, or with --all-views by every one. Prints a line for each file that ended the
worker, raised, took more than 20 s, or gave text that a terminal would obey; exits with 1 if there
was any. What has to be printed at the end:

    1000 pictures: ... decoded, ... examined undecoded, ... refused; 0 crashed, 0 hung
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import random
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(Path(__file__).resolve().parent)]

HANG_SECONDS = 20

WORKER = r"""
import json, logging, resource, sys, traceback, warnings
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
warnings.simplefilter("ignore")
from napari_safire import forensics
from napari_safire.errors import ImageReadError
from napari_safire.text import printable
of_the_file = ("file", "metadata", "content credentials", "thumbnail")
every = sys.argv[1] == "all"


def examined(path):
    try:
        picture = forensics.Picture.undecoded(path)
    except ImageReadError as error:
        return ("refused", "") if str(error) == printable(error) else ("crashed", repr(error))
    for name, view in forensics.views(picture).items():
        if not (every or name in of_the_file) or not view.applicable:
            continue
        found = view.result
        text = found.finding + "".join(r.name + r.value + r.remark for r in found.table)
        if text != printable(text):
            return "crashed", f"{name}: not printable"
        json.dumps([found.finding, found.score], allow_nan=False)
    return ("undecoded" if picture.why_no_pixels else "decoded"), ""


for line in sys.stdin:
    try:
        answer = examined(line.rstrip("\n"))
    except BaseException:
        answer = "crashed", traceback.format_exc()
    print(json.dumps(answer), flush=True)
"""


def samples() -> dict[str, bytes]:
    """Whole files that hold as much as there is to damage."""
    import numpy as np
    import picture_cases
    from credentials_cases import authority, signed
    from PIL import Image, PngImagePlugin

    pixels = np.kron(picture_cases.COLOUR, np.ones((2, 2, 1), np.uint8))
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x010F], exif[0x0131], exif[0x0132] = "Canon", "Adobe Photoshop", "2020:01:01 10:00:00"
    exif.get_ifd(0x8769).update({0x9003: "2019:01:01 10:00:00", 0x927C: b"\1\0" + b"\2" * 40})
    exif.get_ifd(0x8825)[29] = "2020:01:01"
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf'
        b'-syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Label="x">'
        b"<xmp:a><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq></xmp:a></rdf:Description></rdf:RDF>"
        b"</x:xmpmeta>"
    )
    common = {"exif": exif, "icc_profile": picture_cases.ICC}

    def saved(format: str, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, format, **options)
        return file.getvalue()

    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)
    info.add_text("parameters", "Steps: 20, Sampler: Euler a, Seed: 1", zip=True)
    resources = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\x0c\x1c\2\x78\0\7caption"
    plain = saved("JPEG", xmp=xmp, **common)
    thumbnail = saved("JPEG", quality=30)
    with_resources = b"\xff\xed" + (len(resources) + 2).to_bytes(2, "big") + resources
    by = authority()
    return {
        "a.jpg": plain[:2] + with_resources + plain[2:],
        "progressive.jpg": saved("JPEG", progressive=True, exif=exif),
        "signed.jpg": signed(plain, by),
        "signed.png": signed(saved("PNG"), by, format="image/png"),
        "a.png": saved("PNG", pnginfo=info, **common),
        "a.webp": saved("WEBP", xmp=xmp, **common),
        "a.tif": saved("TIFF", exif=exif, icc_profile=picture_cases.ICC),
        "a.gif": saved("GIF"),
        "a.bmp": saved("BMP"),
        "a.avif": saved("AVIF", xmp=xmp, **common),
        "a.mpo": saved("MPO", save_all=True, append_images=[image.resize((40, 32))]),
        "appended.jpg": plain + b"PK\3\4" + thumbnail,
    }


class Worker:
    """A process that examines one file after the other, and is replaced when it ends."""

    def __init__(self, which: str) -> None:
        self.which = which
        self.begin()

    def begin(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, self.which],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def ask(self, path: Path) -> tuple[str, str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], HANG_SECONDS)
        line = self.process.stdout.readline() if ready else ""
        if line:
            became, told = json.loads(line)
            return became, told
        self.process.kill()
        code = self.process.wait()
        self.begin()
        return ("hung", "") if not ready else ("crashed", f"the worker ended with {code}")


def main() -> int:
    from fuzz_pictures import mutated

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all-views", action="store_true")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    whole = samples()
    worker = Worker("all" if options.all_views else "file")
    worker.ask(ROOT)  # imports are not the first file's time
    counts: collections.Counter[str] = collections.Counter()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.n):
            rng = random.Random(options.seed * 1_000_003 + number)
            name = rng.choice(sorted(whole))
            data = whole[name]
            for _ in range(rng.choice((1, 1, 2, 4))):
                data = mutated(data, name, rng)
            path = Path(folder) / f"{number}_{name}"
            path.write_bytes(data)
            became, told = worker.ask(path)
            counts[became] += 1
            if became in ("crashed", "hung"):
                print(f"{path.name}: {became} {told}", flush=True)
                if options.keep is not None:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / path.name).write_bytes(data)
            path.unlink()
    worker.process.kill()
    print(
        f"{options.n} pictures: {counts['decoded']} decoded, {counts['undecoded']} examined "
        f"undecoded, {counts['refused']} refused; {counts['crashed']} crashed, "
        f"{counts['hung']} hung ({time.monotonic() - start:.0f} s)"
    )
    return 1 if counts["crashed"] or counts["hung"] else 0


if __name__ == "__main__":
    sys.exit(main())
