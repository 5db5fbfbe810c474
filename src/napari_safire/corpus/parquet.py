"""Parquet files from anybody, in pieces that fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_BYTES = 128 << 20


def batch_rows(file: Any, columns: Sequence[str] | None, most: int) -> int:
    """Rows that may be read at once: one long text may stand in many rows, and weigh little.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
    columns : sequence of str, optional
        That are read; default: all.
    most : int

    Returns
    -------
    int
        At most so many that each could have the longest value that fits into its column.
    """
    wanted = None if columns is None else set(columns)
    about = file.metadata
    largest = 1
    for group in range(about.num_row_groups):
        of_group = about.row_group(group)
        for number in range(about.num_columns):
            column = of_group.column(number)
            if wanted is None or column.path_in_schema.split(".")[0] in wanted:
                largest = max(largest, column.total_uncompressed_size)
    return max(1, min(most, _MOST_BYTES // largest))


def read_bounded(
    file: Any,
    columns: Sequence[str] | None,
    most_rows: int,
    most_bytes: int,
    *,
    group: int | None = None,
) -> pa.Table:
    """Read a file that may be anybody's: piece by piece, and no more than is asked for.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
    columns : sequence of str, optional
        Only these.
    most_rows, most_bytes : int
    group : int, optional
        Only this group of rows; default: all.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        It holds more.
    """
    import pyarrow as pa

    about = file.metadata
    n_rows = about.num_rows if group is None else about.row_group(group).num_rows
    if n_rows > most_rows:
        raise ValueError(f"it has {n_rows:,} rows")
    names = None if columns is None else list(columns)
    groups = None if group is None else [group]
    pieces, size = [], 0
    for piece in file.iter_batches(
        batch_rows(file, columns, most_rows), groups, names, use_threads=False
    ):
        piece = _written_out(piece)
        size += piece.nbytes
        if size > most_bytes:
            raise ValueError(f"it unpacks to more than {most_bytes >> 20} MiB")
        pieces.append(piece)
    schema = file.schema_arrow
    wanted = schema if names is None else pa.schema([schema.field(name) for name in names])
    return pa.Table.from_batches(pieces, pieces[0].schema if pieces else wanted)


def _written_out(piece: pa.RecordBatch) -> pa.RecordBatch:
    """Rows with their own values, where they name values of a list that they share.

    Else a gigabyte would come to light when the rows are counted already.
    """
    import pyarrow as pa

    if not any(pa.types.is_dictionary(field.type) for field in piece.schema):
        return piece
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in piece.columns
    ]
    return pa.RecordBatch.from_arrays(columns, piece.schema.names)
