"""Tables in Parquet parts, each of which is there whole or not at all; Parquet from anybody.

A part's existence is its commit: it is written under another name, synced, then renamed. So many
processes may write to one folder, and whoever is killed leaves nothing that counts.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_safire.atomic import not_written, remove_leftovers, rename, staging_folder
from napari_safire.errors import DatasetError
from napari_safire.text import brief, printable

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = "parts"
"""Name of the folder in which parts lie."""

_SUFFIX = ".parquet"
_MOST_ROWS = 1 << 16  # of a part; ours have far fewer
_MOST_PART_BYTES = 256 << 20
_MOST_BYTES = 128 << 20


def write_part(folder: Path, name: str, table: pa.Table) -> Path:
    """Write a part: under another name, synced, then renamed.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    name : str
        Without suffix. A part that has it is replaced.
    table : Table

    Returns
    -------
    Path

    Raises
    ------
    NotWritten
        It cannot be written; nothing counts then.
    """
    import pyarrow.parquet as pq

    path = part_path(folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with staging_folder(folder) as staging:  # what a killed writer leaves of it is found
            unfinished = staging / path.name
            pq.write_table(table, unfinished, compression="zstd")
            with open(unfinished, "r+b") as written:  # Windows syncs no file opened to be read
                os.fsync(written.fileno())
            rename(unfinished, path)
    except OSError as error:
        raise not_written(folder, error) from error
    return path


def part_path(folder: Path, name: str) -> Path:
    """Return where the part of a name lies, or would."""
    return folder / f"{name}{_SUFFIX}"


def list_parts(folder: Path) -> tuple[Path, ...]:
    """Return the parts that are in a folder, by name; none where there is no folder."""
    try:
        names = sorted(n for n in os.listdir(folder) if n.endswith(_SUFFIX))
    except FileNotFoundError:
        return ()
    return tuple(folder / name for name in names if not name.startswith("."))


def remove_unfinished(folder: Path) -> int:
    """Remove what killed writers left of parts that were not complete; gives how many.

    What workers of another run are writing now stays.
    """
    return remove_leftovers(folder) if folder.is_dir() else 0


def read_part(
    path: Path,
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
    *,
    unset: Collection[str] = (),
    of: str = "the table",
) -> pa.Table:
    """Read a part that may be anybody's: no more than fits into memory, and checked.

    Parameters
    ----------
    path : Path
    schema : Schema
        Of the whole part.
    columns : sequence of str, optional
        Only these.
    unset : collection of str
        Columns in which values may be missing.
    of : str
        What it is a part of, in words for a sentence.

    Returns
    -------
    Table

    Raises
    ------
    DatasetError
        It is damaged, or of another version: a sentence that names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    if not os.path.isfile(path):  # a pipe would never end
        raise damaged_part(path, of, "it is no file")
    try:
        with pq.ParquetFile(path) as file:
            table = read_bounded(file, columns, _MOST_ROWS, _MOST_PART_BYTES).cast(wanted)
        table.validate(full=True)
        empty = [n for n in table.column_names if n not in unset and table[n].null_count]
        if empty:
            raise ValueError(f"its column {empty[0]} is not filled in")
        return table
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise damaged_part(path, of, brief(error, 120)) from error


def damaged_part(path: Path, of: str, why: str) -> DatasetError:
    """Return what to raise for a part that cannot be used: the sentence names it and the way out.

    Parameters
    ----------
    path : Path
    of : str
        As for `read_part`.
    why : str
    """
    return DatasetError(
        f"The part {printable(path)} of {of} is damaged ({why}): "
        "remove it, and the same command does its pictures again."
    )


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
