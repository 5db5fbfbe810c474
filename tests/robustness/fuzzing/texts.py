"""Damage to texts: lists, tables, JSON, TOML. Seeds that are told by their content, and readers."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from robustness.fuzzing.checkpoints import ODD, place

PIECES = (b'"', b",", b"\n", b"#", b"..", b"/../", b"~nobody/", b"\x00", b"\xff\xfe", b"\x1b[2J")
PIECES += (b"\t", b"'", b"\\", b"[" * 3000, b'{"a":' * 3000, b"/etc/passwd", b"file:///etc/passwd")
PIECES += (b"http://127.0.0.1:9/a.png", b"zip://a::b.png", b"1e999", b"NaN", b"-1", b"9" * 5000)
_ODD_TEXTS = ("", "x", "..", "/", "\x00", "\ud800", "\u202e", "-1", "nan", "9" * 400, "a/" * 3000)


def damaged_text(data: bytes, name: str, rng: Random) -> bytes:
    """Flip, cut, insert, double or lengthen somewhere."""
    found = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        spot = rng.randrange(len(found) + 1)
        match rng.randrange(6):
            case 0 if spot < len(found):
                found[spot] ^= 1 << rng.randrange(8)
            case 1:
                del found[spot : spot + rng.randrange(1, 40)]
            case 2:
                found[spot:spot] = rng.choice(PIECES) * rng.randrange(1, 4)
            case 3:
                found[spot:spot] = found[spot : spot + 60]
            case 4:
                found[spot:spot] = rng.choice((b"a", b"a/")) * rng.choice((300, 4000, 100_000))
            case _:
                found[spot : spot + 4] = rng.randbytes(4)
    return bytes(found)


def damaged_json(data: bytes, name: str, rng: Random) -> bytes:
    """Put odd values in the places of others; of JSON lines in one of them."""
    if rng.random() < 0.3:
        return damaged_text(data, name, rng)
    lines = data.splitlines() if name.endswith(".jsonl") else [data]
    number = rng.randrange(len(lines))
    value: Any = json.loads(lines[number])
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        if value:
            place(value, rng)
    lines[number] = json.dumps(value).encode()
    return b"\n".join(lines) + b"\n"


def damaged_table(data: bytes, name: str, rng: Random) -> bytes:
    """Put odd texts in the places of fields, or double, drop and mix lines."""
    if rng.random() < 0.5:
        return damaged_text(data, name, rng)
    separator = b"\t" if name.endswith(".tsv") else b","
    lines = [line.split(separator) for line in data.splitlines()]
    for _ in range(rng.randrange(1, 4)):
        line = rng.choice(lines)
        match rng.randrange(4):
            case 0:
                line[rng.randrange(len(line))] = _field(rng)
            case 1:
                line.insert(rng.randrange(len(line) + 1), _field(rng))
            case 2 if len(line) > 1:
                line.pop(rng.randrange(len(line)))
            case _:
                lines.insert(rng.randrange(len(lines) + 1), list(rng.choice(lines)))
    return b"\n".join(separator.join(line) for line in lines)


def _field(rng: Random) -> bytes:
    odd = rng.choice((*_ODD_TEXTS, str(rng.choice(ODD[:20]))))
    return rng.choice((odd.encode("utf-8", "surrogatepass"), rng.choice(PIECES)))


def nothing_outside(path: Path, found: Path) -> None:
    """What a list names must lie below the list's folder, or below the one above it."""
    assert found.is_relative_to(path.parent) or found.is_relative_to(path.parent.parent), found
