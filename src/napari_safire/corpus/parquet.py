"""Parquet files from anybody, in pieces that fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
