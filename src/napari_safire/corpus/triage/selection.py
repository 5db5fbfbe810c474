"""Pictures of a manifest chosen by a condition and put in order, in memory that stays small.

Only what is asked for is read: first the columns of the condition and of the order, of which no
more is kept than which rows are chosen; then, of these rows alone, what is to be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_safire.corpus.manifest import Counting, take_rows
from napari_safire.corpus.triage.conditions import (
    Condition,
    column_kind,
    column_values,
    parse_condition,
)
from napari_safire.corpus.triage.source import ManifestSource
from napari_safire.errors import DatasetError
from napari_safire.progress import Cancel, Progress, report

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_SORT = "-score"
_COUNTED = ("key", "attempt")


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column by which pictures are put in order.

    Parameters
    ----------
    column : str
    descending : bool
    """

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Chosen rows of a manifest, in order. Make one with `select`.

    Parameters
    ----------
    source : ManifestSource
    n_pictures : int
        Of the whole manifest.
    pieces, rows : (n,) int array
        Of each chosen row: the number of its piece, and its place there.
    """

    source: ManifestSource
    n_pictures: int
    pieces: npt.NDArray[np.int32] = field(repr=False)
    rows: npt.NDArray[np.int32] = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, places: npt.NDArray[np.intp] | slice) -> Selection:
        """Return some of the chosen rows."""
        return Selection(self.source, self.n_pictures, self.pieces[places], self.rows[places])

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the chosen rows, in their order.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these.

        Returns
        -------
        Table
        """
        import pyarrow as pa

        source = self.source
        names = list(source.schema.names if columns is None else columns)
        if not len(self):
            return pa.schema([source.schema.field(name) for name in names]).empty_table()
        order = np.lexsort((self.rows, self.pieces))
        numbers, starts = np.unique(self.pieces[order], return_index=True)
        stops = np.append(starts[1:], len(order))
        pieces = [source.pieces[number] for number in numbers]
        taken = [
            take_rows(path, table, self.rows[order[start:stop]])
            for (path, _), table, start, stop in zip(
                pieces, source.read_all(pieces, names), starts, stops, strict=True
            )
        ]
        back = np.empty(len(order), np.intp)
        back[order] = np.arange(len(order))
        table = pa.concat_tables(taken)
        del taken  # else the rows would be there three times
        table = table.combine_chunks()
        return table.take(back)


def parse_sort(text: str, schema: pa.Schema) -> tuple[SortKey, ...]:
    """Understand an order such as ``-score,picture``; ``-`` puts the largest first.

    Raises
    ------
    DatasetError
        A column is not there, or nothing can be sorted by it.
    """
    keys = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name = part.removeprefix("-").strip()
        if column_kind(schema, name) not in ("number", "text", "truth"):
            raise DatasetError(
                f"Nothing can be sorted by {name}: choose a column of numbers or text."
            )
        keys.append(SortKey(name, part.startswith("-")))
    return tuple(keys)


def select(
    source: ManifestSource,
    where: str = "",
    sort: str | None = None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Selection:
    """Choose pictures of a manifest.

    Parameters
    ----------
    source : ManifestSource
    where : str
        See `napari_safire.corpus.triage.conditions.parse_condition`; empty: all.
    sort : str, optional
        See `parse_sort`; default: the highest score first. Pictures without a value come last,
        equal ones always in the same order, whatever parts they lie in.
    progress, cancel : callable, optional

    Returns
    -------
    Selection

    Raises
    ------
    DatasetError
        Condition or order cannot be understood, or the manifest is damaged.
    """
    schema = source.schema
    if sort is None:
        sort = DEFAULT_SORT if DEFAULT_SORT[1:] in schema.names else ""
    keys = parse_sort(sort, schema)
    condition = parse_condition(where, schema) if where.strip() else None
    ordering = tuple(dict.fromkeys([*(key.column for key in keys), *_known(schema, "key")]))
    looked = _look(source, condition, ordering, progress, cancel)
    chosen, n_pictures = looked.chosen()
    if not any(len(rows) for rows in chosen):
        return Selection(source, n_pictures, np.zeros(0, np.int32), np.zeros(0, np.int32))
    order = _order(looked.ordering, chosen, keys)
    pieces = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(rows) for rows in chosen])
    return Selection(source, n_pictures, pieces[order], np.concatenate(chosen)[order])


@dataclass(slots=True)
class _Looked:
    """What is kept of the pieces that were read."""

    fulfilled: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    counted: list[pa.Table] = field(default_factory=list)
    ordering: list[pa.Table] = field(default_factory=list)

    def chosen(self) -> tuple[list[npt.NDArray[np.int32]], int]:
        """Rows of each piece that count and fulfil the condition; and how many count."""
        if not self.counted:  # each row is a picture
            rows = [np.flatnonzero(f).astype(np.int32) for f in self.fulfilled]
            return rows, sum(map(len, self.fulfilled))
        counting = Counting(self.counted)
        counting_rows = map(counting.rows_of, range(len(self.fulfilled)))
        pairs = zip(counting_rows, self.fulfilled, strict=True)
        return [rows[fulfilled[rows]] for rows, fulfilled in pairs], len(counting)


def _look(
    source: ManifestSource,
    condition: Condition | None,
    ordering: tuple[str, ...],
    progress: Progress | None,
    cancel: Cancel | None,
) -> _Looked:
    # An error that was tried again has several rows: which one counts is told before any is left
    # out, else a failure would be found that was mended.
    counted = _known(source.schema, *_COUNTED)
    asked = () if condition is None else condition.columns
    columns = tuple(dict.fromkeys([*counted, *ordering, *sorted(asked)]))
    looked, total = _Looked(), len(source.pieces)
    if not columns:  # something has to be read to know how many rows there are
        columns = ("picture",)
    for number, table in enumerate(source.read_all(source.pieces, columns)):
        report(progress, cancel, number, total, "reading the manifest")
        looked.fulfilled.append(
            np.ones(len(table), bool) if condition is None else condition.fulfilled(table)
        )
        if len(counted) == len(_COUNTED):
            looked.counted.append(table.select(_COUNTED))
        looked.ordering.append(table.select(ordering))
    return looked


def _order(
    tables: Sequence[pa.Table], chosen: Sequence[npt.NDArray[np.int32]], keys: Sequence[SortKey]
) -> npt.NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    taken = [table.take(rows) for table, rows in zip(tables, chosen, strict=True) if len(rows)]
    table = pa.concat_tables(taken)
    names = table.column_names
    table = pa.table([column_values(table, name).combine_chunks() for name in names], names)
    if not names:
        return np.arange(len(table))
    directions = [(k.column, "descending" if k.descending else "ascending") for k in keys]
    if "key" in names:
        directions.append(("key", "ascending"))
    return np.asarray(pc.sort_indices(table, sort_keys=directions))


def _known(schema: pa.Schema, *names: str) -> tuple[str, ...]:
    return tuple(name for name in names if name in schema.names)
