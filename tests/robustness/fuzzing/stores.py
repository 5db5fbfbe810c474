"""Damage to databases, tables and archives that knows what is in them."""

from __future__ import annotations

import io
import json
import math
import sqlite3
import struct
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from robustness.fuzzing.checkpoints import ODD, blanked, cut, flipped, place, stuffed

from napari_safire.basis import RunBasis

SCORES_BASIS = RunBasis("ab", {"kind": "binary"})
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT"


def damaged_bytes(data: bytes, name: str, rng: Random) -> bytes:
    """Flip, cut, insert or blank anywhere."""
    return rng.choice((flipped, flipped, cut, stuffed, blanked))(data, rng)


# --- SQLite ---------------------------------------------------------------------------------------


def damaged_database(data: bytes, name: str, rng: Random) -> bytes:
    """Pages are damaged; or cells, tables and the schema are not what they were, in good order."""
    if rng.random() < 0.4:
        return damaged_bytes(data, name, rng)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.deserialize(data)
        connection.execute("PRAGMA journal_mode = MEMORY")
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for _ in range(rng.choice((1, 1, 2))):
            try:
                if _changed(connection, rng.choice(tables), rng):
                    break  # whatever is asked of it now has no end
            except (sqlite3.Error, UnicodeEncodeError, OverflowError):
                continue
        return connection.serialize()


def _changed(connection: sqlite3.Connection, table: str, rng: Random) -> bool:
    """Change something; whether the database is a trap now."""
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    if not columns:  # it was dropped
        return False
    column = rng.choice(columns)
    match rng.randrange(12):
        case 0:
            connection.execute(f'DELETE FROM "{table}" WHERE random() % 2')
        case 1:
            connection.execute(f'DROP TABLE "{table}"')
        case 2:
            connection.execute(f'ALTER TABLE "{table}" DROP COLUMN "{column}"')
        case 3:
            made = ", ".join(f"x AS {name}" for name in columns)
            connection.execute(f'DROP TABLE "{table}"')
            connection.execute(f'CREATE VIEW "{table}" AS {ENDLESS} {made} FROM c')
            return True
        case 4:
            when = rng.choice(("INSERT", "UPDATE", "DELETE"))
            connection.execute(
                f'CREATE TRIGGER evil AFTER {when} ON "{table}" BEGIN '
                f'DELETE FROM "{table}"; INSERT INTO "{table}" {ENDLESS} x FROM c; END'
            )
            return True
        case 5:
            connection.execute(f"PRAGMA user_version = {rng.choice((-1, 0, 1, 2, 99, 2**31 - 1))}")
        case 6:
            connection.execute(f'UPDATE "{table}" SET "{column}" = zeroblob(50000000)')
        case _:
            _change_cell(connection, table, column, rng)
    return False


def _change_cell(connection: sqlite3.Connection, table: str, column: str, rng: Random) -> None:
    query = f'SELECT rowid, "{column}" FROM "{table}" ORDER BY random() LIMIT 1'
    for row, value in connection.execute(query).fetchall():
        new = rng.choice(ODD)
        if isinstance(value, str) and value[:1] in ("{", "[") and rng.random() < 0.8:
            record = json.loads(value)
            if record:
                place(record, rng)
            new = json.dumps(record)
        elif not isinstance(new, int | float | str | bytes | None) or rng.random() < 0.3:
            new = rng.randbytes(rng.choice((0, 1, 64, 4096)))
        connection.execute(
            f'UPDATE OR IGNORE "{table}" SET "{column}" = ? WHERE rowid = ?', (new, row)
        )


# --- Parquet --------------------------------------------------------------------------------------


def damaged_parquet(data: bytes, name: str, rng: Random) -> bytes:
    """Bytes are damaged; or a whole file says what none should."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if rng.random() < 0.6:
        out = bytearray(data)
        if rng.random() < 0.5:  # the description at the end
            length = struct.unpack("<I", out[-8:-4])[0]
            for _ in range(rng.choice((1, 1, 4))):
                out[-8 - rng.randrange(1, length + 1)] = rng.randrange(256)
            return bytes(out)
        return damaged_bytes(data, name, rng)
    table = pq.read_table(pa.BufferReader(data))
    column = rng.choice(table.column_names)
    place_of = table.column_names.index(column)
    match rng.randrange(7):
        case 0:
            table = table.drop_columns([column])
        case 1:
            table = table.set_column(place_of, column, pa.array([None] * len(table)))
        case 2:
            table = table.set_column(place_of, column, pa.array([_cell(rng)] * len(table)))
        case 3:
            table = table.append_column(rng.choice((column, "more", "\x1b[2J")), table[column])
        case 4:
            table = pa.concat_tables([table] * rng.choice((2, 100, 2_000)))
        case 5:  # one long text, named by many rows
            long = pa.array(["a" * rng.choice((10**5, 10**7))]).dictionary_encode()
            many = pa.DictionaryArray.from_arrays(np.zeros(len(table), np.int32), long.dictionary)
            table = table.set_column(place_of, column, many)
        case _:
            table = table.slice(0, 0)
    out_file = io.BytesIO()
    pq.write_table(table, out_file, compression="zstd", use_dictionary=True)
    return out_file.getvalue()


def _cell(rng: Random) -> Any:
    return rng.choice(
        ("", "x", "\x1b[2J", "../" * 40, "/etc/passwd", "a" * 10**5, b"x", 2**60, -1, float("nan"))
    )


def database_bytes(path: Path) -> bytes:
    """All of a database as one file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    return path.read_bytes()


# --- tar and NumPy archives -----------------------------------------------------------------------


def damaged_tar(data: bytes, name: str, rng: Random) -> bytes:
    """Bytes are damaged, or fields of headers, whose checksum is right again."""
    out = bytearray(data)
    if rng.random() < 0.3:
        return damaged_bytes(data, name, rng)
    heads = [
        place
        for place in range(0, len(out) - 511, 512)
        if out[place + 257 : place + 262] == b"ustar"
    ]
    for head in rng.choices(heads, k=rng.choice((1, 1, 3))):
        match rng.randrange(6):
            case 0:
                names = (b"../" * 20 + b"a.png", b"/etc/a.png", b"a\x00b.png", b"\xff.png", b"")
                out[head : head + 100] = rng.choice(names)[:100].ljust(100, b"\0")
            case 1:
                sizes = (b"77777777777\0", b"00000000000\0", b"-0000000001\0", b"x" * 12)
                big = (b"\x80" + b"\xff" * 11, b"\xff" * 12)
                out[head + 124 : head + 136] = rng.choice((*sizes, *big))
            case 2:
                out[head + 156] = rng.choice(b"0123456789DKLMNSVXgx\x00\xff")
            case 3:
                place_of = rng.randrange(head, head + 512)
                out[place_of] = rng.randrange(256)
            case _:
                out[head + 345 : head + 500] = rng.randbytes(155)
        out[head + 148 : head + 156] = b" " * 8
        out[head + 148 : head + 156] = b"%06o\0 " % sum(out[head : head + 512])
    return bytes(out)


def tar_seed(members: dict[str, bytes]) -> bytes:
    """A tar archive of some files, with names that need several headers."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def damaged_npz(data: bytes, name: str, rng: Random) -> bytes:
    """Bytes are damaged, or what an array says of itself."""
    if rng.random() < 0.5:
        return damaged_bytes(data, name, rng)
    shapes = (
        "(48, 64)",
        "(-1, 64)",
        "(48,)",
        "()",
        "(4000000, 4000000)",
        "(1, 48, 64, 1)",
        "(0, 0)",
    )
    types = ("|u1", "<f8", "|O", ">i4", "<U9", "|b1", "<M8[s]", "[('a', '|O')]", "<c16", "V3")
    head = (
        f"{{'descr': '{rng.choice(types)}', 'fortran_order': {rng.choice(('False', 'True', '2'))}, "
    )
    head += f"'shape': {rng.choice(shapes)}, }}"
    head += rng.choice(("", "\n", " " * 70_000))
    version = rng.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    length = struct.pack("<H" if version[0] == 1 else "<I", len(head) & 0xFFFF)
    content = b"\x93NUMPY" + version + length + head.encode() + bytes(rng.choice((0, 100, 48 * 64)))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice((0, 8, 12, 14))) as archive:
        for _ in range(rng.choice((1, 1, 2))):
            archive.writestr(rng.choice(("arr_0.npy", "arr_0", "b.npy")), content)
    return file.getvalue()


def saved_rows(folder: Path) -> bytes:
    """A part of a manifest, of a few rows."""
    from napari_safire.corpus.manifest import Manifest
    from napari_safire.corpus.manifest_schema import ManifestRow

    rows = [
        ManifestRow(
            bytes([n]) * 16, f"a{n}.png", b"a.png", file_sha256="ab" * 32, format="PNG", height=9,
            width=9, verdict="forged", score=0.5, contributions={"network": 0.1}, n_sources=2,
            number_probabilities=(0.1, 0.9), warnings=("w",), seconds={"embed": 0.1},
            outputs=(f"pictures/ab/{n}.png",),
        )
        for n in range(5)
    ]  # fmt: skip
    return Manifest(folder).write_part("task", rows).read_bytes()


def saved_scores(folder: Path) -> tuple[bytes, bytes, bytes]:
    """Scores of one list by one model: a part, what it rests on, and lines as they were before."""
    from napari_safire.evaluation import EvaluatedEntry
    from napari_safire.evaluation.saved_scores import JOB, LINES_FORMAT, SavedScores
    from napari_safire.images.lists import ListEntry

    with SavedScores(folder, SCORES_BASIS) as saved:
        for n in range(5):
            saved.save(
                EvaluatedEntry(
                    ListEntry(folder / f"a{n}.png", None if n % 2 else folder / "m.png"),
                    scores={"x": 0.5, "y": math.nan}, verdict="forged", seconds={"embed": 0.1},
                    number=n, content=f"{n}", warnings=("{image} is turned.",),
                )
            )  # fmt: skip
    (part,) = (folder / "parts").iterdir()
    line = {
        "content": "c", "degradation": "none", "image": "a.png", "mask": None, "verdict": None,
        "scores": {"x": 0.5, "y": None}, "seconds": {"embed": 0.1}, "warnings": ["w"],
    }  # fmt: skip
    told = {"format": LINES_FORMAT, **SCORES_BASIS.as_record()}
    lines = "".join(json.dumps(record) + "\n" for record in (told, line, line, line))
    return part.read_bytes(), (folder / JOB).read_bytes(), lines.encode()
