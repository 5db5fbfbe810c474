"""The manifest of a corpus: Parquet parts, each of which is there whole or not at all.

::

    <output>/job.json              what is asked of the pictures; it never changes
    <output>/parts/<task>.parquet  rows of one task; that the file is there is its commit
    <output>/pictures/ab/…         masks and other files of single pictures, by content
    <output>/known/…               an index of the parts, by content, that can be made anew of them

A picture may stand in several parts, because a task that was lost was done again, or an error was
tried once more. Whoever reads takes the row with the highest attempt, and of equal ones any: they
hold the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_safire import parquet_parts
from napari_safire.corpus.manifest_schema import (
    CONTRIBUTIONS,
    KEY_BYTES,
    ManifestRow,
    manifest_schema,
)
from napari_safire.errors import DatasetError
from napari_safire.parquet_parts import PARTS

if TYPE_CHECKING:
    import pyarrow as pa

_OF = "the manifest"
_UNSET = ("score", "likelihood_ratio", "smallest_source")
_KEY = np.dtype((np.void, KEY_BYTES))


class Manifest:
    """The parts in an output folder, as far as they were written.

    Parameters
    ----------
    output : Path
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output / PARTS

    def write_part(self, name: str, rows: Sequence[ManifestRow]) -> Path:
        """Write the rows of a task: under another name, synced, then renamed.

        Parameters
        ----------
        name : str
            Of the task. A part that is there is replaced by rows of the same pictures.
        rows : sequence of ManifestRow

        Returns
        -------
        Path

        Raises
        ------
        NotWritten
            It cannot be written; nothing counts then.
        """
        import pyarrow as pa

        table = pa.Table.from_pylist([row.as_columns() for row in rows], manifest_schema())
        return parquet_parts.write_part(self.folder, name, table)

    def parts(self) -> tuple[Path, ...]:
        """Return the parts that are there, by name."""
        return parquet_parts.list_parts(self.folder)

    def part(self, name: str) -> Path:
        """Return where the part of a name lies, or would."""
        return parquet_parts.part_path(self.folder, name)

    def tidy(self) -> int:
        """Remove what killed runs left of parts that were not complete; gives how many."""
        return parquet_parts.remove_unfinished(self.folder)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[tuple[Path, pa.Table]]:
        """Read the parts one after the other.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these.

        Yields
        ------
        (Path, Table)

        Raises
        ------
        DatasetError
            A part is damaged: a sentence that names it.
        """
        for path in self.parts():
            yield path, read_part(path, columns)

    def rows(self) -> Iterator[ManifestRow]:
        """Tell the row of each picture, once."""
        best = self._counting()
        for number, (path, table) in enumerate(self.tables()):
            for values in best.taken(number, path, table).to_pylist():
                yield ManifestRow.from_columns(values)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of all pictures, each once, as one table."""
        import pyarrow as pa

        best = self._counting()
        found = [best.taken(n, *part) for n, part in enumerate(self.tables(columns))]
        if not found:
            schema = manifest_schema()
            names = schema.names if columns is None else columns
            return pa.schema([schema.field(name) for name in names]).empty_table()
        return pa.concat_tables(found)

    def _counting(self) -> Counting:
        return Counting(table for _, table in self.tables(["key", "attempt"]))


class Counting:
    """Which row of which part counts, of pictures that stand in several.

    Parameters
    ----------
    tables : iterable of Table
        Of each part the columns ``key`` and ``attempt``.
    """

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        keys, attempts, parts, rows = [], [], [], []
        for number, table in enumerate(tables):
            keys.append(keys_of(table))
            attempts.append(table["attempt"].to_numpy())
            parts.append(np.full(len(table), number, np.int32))
            rows.append(np.arange(len(table), dtype=np.int32))
        if not keys:
            self._parts = self._rows = np.zeros(0, np.int32)
            return
        key, attempt = np.concatenate(keys), np.concatenate(attempts)
        part, row = np.concatenate(parts), np.concatenate(rows)
        order = np.lexsort((-part, attempt, *_columns(key)))
        sorted_key = key[order]
        last = np.ones(len(order), bool)
        last[:-1] = sorted_key[1:] != sorted_key[:-1]
        winners = np.sort(order[last])
        self._parts, self._rows = part[winners], row[winners]

    def __len__(self) -> int:
        return len(self._rows)

    def rows_of(self, part: int) -> npt.NDArray[np.int32]:
        """Return the rows of a part that count, in their order."""
        start, stop = np.searchsorted(self._parts, (part, part + 1))
        return self._rows[start:stop]

    def taken(self, part: int, path: Path, table: pa.Table) -> pa.Table:
        """Return the rows of a part that count, of its table."""
        return take_rows(path, table, self.rows_of(part))


class KnownKeys:
    """Keys of pictures that need not be done again; 16 bytes each.

    Parameters
    ----------
    manifest : Manifest
    retry_errors : bool
        Pictures that failed are not among them.
    """

    def __init__(self, manifest: Manifest, *, retry_errors: bool = False) -> None:
        self._sorted = np.zeros(0, _KEY)
        self.attempts: dict[bytes, int] = {}
        done: list[npt.NDArray[np.void]] = []
        failed: list[tuple[bytes, int]] = []
        for _, table in manifest.tables(["key", "attempt", "error_class"]):
            keys = keys_of(table)
            wrong = np.array([bool(c) for c in table["error_class"].to_pylist()], bool)
            done.append(keys[~wrong] if retry_errors else keys)
            if retry_errors:
                failed += zip(keys[wrong].tolist(), table["attempt"].to_numpy()[wrong], strict=True)
        if done:
            self._sorted = _pairs(np.concatenate(done))
            done.clear()  # they are as large once more
            self._sorted.sort()
            first = np.ones(len(self._sorted), bool)
            first[1:] = self._sorted[1:] != self._sorted[:-1]
            if not first.all():
                self._sorted = self._sorted[first]
        for key, attempt in failed:
            if key not in self:
                self.attempts[key] = max(int(attempt) + 1, self.attempts.get(key, 0))

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, key: bytes) -> bool:
        wanted = _pairs(np.frombuffer(key, _KEY))[0]
        place = int(np.searchsorted(self._sorted, wanted))
        return place < len(self._sorted) and bool(self._sorted[place] == wanted)


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a part of a manifest.

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
        Only these.

    Returns
    -------
    Table

    Raises
    ------
    DatasetError
        It is damaged, or of another version: a sentence that names it.
    """
    unset = (*_UNSET, *CONTRIBUTIONS.values())
    return parquet_parts.read_part(path, manifest_schema(), columns, unset=unset, of=_OF)


def take_rows(path: Path, table: pa.Table, rows: npt.NDArray[np.int32]) -> pa.Table:
    """Take rows of a part that were told by other columns than those of its table.

    Raises
    ------
    DatasetError
        It has fewer rows: a sentence that names it.
    """
    if len(rows) and rows.max() >= len(table):
        raise parquet_parts.damaged_part(path, _OF, "its columns differ in length")
    return table.take(rows)


def keys_of(table: pa.Table) -> npt.NDArray[np.void]:
    """Keys of the rows of a table, as an array of 16 bytes each."""
    column = table["key"].combine_chunks()
    if column.null_count:
        raise DatasetError("Rows of the manifest have no key: remove the part they stand in.")
    start = column.offset * KEY_BYTES
    data = column.buffers()[1]
    if not len(column) or data is None:
        return np.zeros(0, _KEY)
    return np.frombuffer(data, _KEY, count=len(column), offset=start)


def _pairs(keys: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Keys as values that can be sorted and searched."""
    return keys.view(np.dtype(("S", KEY_BYTES)))


def _columns(keys: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    pairs = keys.view(np.uint64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
