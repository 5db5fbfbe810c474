"""The index of known content: damaged, and made by somebody who knows how it is made."""

from __future__ import annotations

import hashlib
import shutil
import struct
from pathlib import Path
from random import Random

import numpy as np
from robustness.fuzzing.stores import damaged_bytes

N_ROWS = 600  # enough for a fan-out
TRIED = range(0, N_ROWS, 40)
_HEAD = struct.Struct("<8sIIQ")


def _hash(number: int) -> str:
    return hashlib.sha256(number.to_bytes(4, "little")).hexdigest()


def seeds(folder: Path) -> dict[str, bytes]:
    """An index of three parts."""
    from napari_safire.corpus.known_content import KnownContent
    from napari_safire.corpus.manifest import Manifest
    from napari_safire.corpus.manifest_schema import ManifestRow

    manifest = Manifest(folder / "output")
    for part in range(3):
        rows = [
            ManifestRow(n.to_bytes(16, "little"), f"{n}.png", b"", file_sha256=_hash(n), score=n)
            for n in range(part, N_ROWS, 3)
        ]
        manifest.write_part(f"{part:032x}", rows)
    KnownContent(manifest).publish()
    (path,) = (folder / "output" / "known").iterdir()
    return {"a.index": path.read_bytes()}


def damaged(data: bytes, name: str, rng: Random) -> bytes:
    """Flip, cut or insert; or write other numbers, and most often the right checksum over them."""
    if rng.random() < 0.3:
        return damaged_bytes(data, name, rng)
    magic, version, n_parts, n = _HEAD.unpack_from(data)
    body = bytearray(data[_HEAD.size : -32])
    match rng.randrange(6):
        case 0:
            version = rng.choice((0, 2, rng.randrange(1 << 32)))
        case 1:
            n_parts = rng.choice((0, 1, 2, 4, 1 << 22, (1 << 32) - 1))
        case 2:
            n = rng.choice((0, 1, 255, n - 1, n + 1, 1 << 25, 1 << 40, (1 << 64) - 1))
        case 3:  # any four bytes: fan-out, keys, places, names
            for _ in range(rng.choice((1, 4, 400))):
                start = rng.randrange(len(body) // 4) * 4
                odd = rng.choice((0, 1, 255, (1 << 31) - 1, (1 << 32) - 1, rng.randrange(1 << 32)))
                struct.pack_into("<I", body, start, odd)
        case 4:  # keys in another order
            start = len(body) - (16 * n_parts + 24 * n)
            keys = np.frombuffer(bytes(body[start : start + 16 * n]), "V16").copy()
            np.random.default_rng(rng.randrange(1 << 32)).shuffle(keys)
            body[start : start + 16 * n] = keys.tobytes()
        case _:  # places of others
            start = len(body) - (16 * n_parts + 8 * n)
            places = np.frombuffer(bytes(body[start : start + 8 * n]), "V8").copy()
            np.random.default_rng(rng.randrange(1 << 32)).shuffle(places)
            body[start : start + 8 * n] = places.tobytes()
    whole = _HEAD.pack(magic, version, n_parts, n) + bytes(body)
    right = hashlib.blake2b(whole, digest_size=32).digest()
    return whole + (right if rng.random() < 0.8 else data[-32:])


def read(path: Path) -> None:
    """Look into it as a worker, then as the next run, and mend it."""
    from napari_safire.corpus.content_index import KNOWN, ContentIndex
    from napari_safire.corpus.known_content import KnownContent, PublishedContent
    from napari_safire.corpus.manifest import Manifest
    from napari_safire.errors import DatasetError

    output = path.parent / "output"
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(path.parent / "made" / "output" / "parts", output / "parts")
    (output / KNOWN).mkdir()
    shutil.copy(path, output / KNOWN / path.name)
    manifest = Manifest(output)
    worker = PublishedContent(manifest)
    found = _right(worker, TRIED)
    usable = path.name in ContentIndex(output / KNOWN, verify=True).files
    known = KnownContent(manifest)
    assert usable or _right(known, TRIED) == len(TRIED)
    known.publish()
    assert _right(KnownContent(manifest), TRIED) >= found
    if not usable:
        raise DatasetError("The index is damaged, and was made anew.")


def _right(known: object, numbers: range) -> int:
    """How much is known; all that is known must be right."""
    rows = [known.find(_hash(number)) for number in numbers]  # type: ignore[attr-defined]
    for row, number in zip(rows, numbers, strict=True):
        assert row is None or (row.picture, row.file_sha256) == (f"{number}.png", _hash(number))
    return sum(row is not None for row in rows)
