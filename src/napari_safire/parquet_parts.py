"""Tables in Parquet parts, each of which is there whole or not at all; Parquet from anybody.

A part's existence is its commit: it is written under another name, synced, then renamed. So many
processes may write to one folder, and whoever is killed leaves nothing that counts.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_safire.atomic import not_written, remove_leftovers, rename, staging_folder
from napari_safire.errors import DatasetError
from napari_safire.parquet_footer import ColumnChunk, measure, row_groups
from napari_safire.text import brief, printable

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = "parts"
"""Name of the folder in which parts lie."""

_SUFFIX = ".parquet"
_MOST_ROWS = 1 << 16  # of a part; ours have far fewer
_MOST_PART_BYTES = 256 << 20
_MOST_BYTES = 128 << 20
_MOST_ROW_BYTES = 512 << 20  # of all columns together
_MOST_VALUES = 1 << 25
_MOST_PAGES = 1 << 15  # of a column in a group of rows


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
            pq.write_table(
                table, unfinished, compression="zstd", use_dictionary=flat_columns(table)
            )
            with open(unfinished, "r+b") as written:  # Windows syncs no file opened to be read
                os.fsync(written.fileno())
            rename(unfinished, path)
    except OSError as error:
        raise not_written(folder, error) from error
    return path


def part_path(folder: Path, name: str) -> Path:
    """Return where the part of a name lies, or would."""
    return folder / f"{name}{_SUFFIX}"


def flat_columns(table: pa.Table) -> list[str]:
    """Return the columns without lists: only of these `batch_rows` takes large dictionaries.

    Parameters
    ----------
    table : Table

    Returns
    -------
    list of str
    """
    import pyarrow as pa

    return [field.name for field in table.schema if not pa.types.is_nested(field.type)]


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

    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    if not os.path.isfile(path):  # a pipe would never end
        raise damaged_part(path, of, "it is no file")
    try:
        table = read_bounded(path, columns, _MOST_ROWS, _MOST_PART_BYTES).cast(wanted)
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


def batch_rows(
    path: str | os.PathLike[str], columns: Sequence[str] | None, most: int, group: int | None = None
) -> int:
    """Rows that may be read at once: one long text may stand in many rows, and weigh little.

    Parameters
    ----------
    path : path-like
        Of a Parquet file; if it is anybody's, before pyarrow looks at its columns.
    columns : sequence of str, optional
        That are read; default: all.
    most : int
    group : int, optional
        Only this group of rows; default: all.

    Returns
    -------
    int
        At most so many that each could have the longest value that fits into its column.

    Raises
    ------
    OSError
    ValueError
        It holds more values than anybody reads, or its footer is damaged.
    """
    wanted = None if columns is None else set(columns)
    groups = row_groups(path)
    longest_row = longest = 1
    with open(path, "rb") as file:
        for one in groups if group is None else groups[group : group + 1]:
            row = 0
            for chunk in one.columns:
                if wanted is None or chunk.name in wanted:
                    size = _longest_value(file, chunk)
                    row, longest = row + size, max(longest, size)
            longest_row = max(longest_row, row)
    return max(1, min(most, _MOST_BYTES // longest, _MOST_ROW_BYTES // longest_row))


def _longest_value(file: BinaryIO, chunk: ColumnChunk) -> int:
    """Bytes that a row may have in a column, of which a list may have as many as there are."""
    pages = measure(file, chunk, _MOST_PAGES)
    if pages.n_values > _MOST_VALUES:  # of lists within rows, which weigh nothing in the file
        raise ValueError(f"a column of it has {pages.n_values:,} values")
    if chunk.repeated and pages.data + pages.n_values * pages.dictionary > _MOST_BYTES:
        raise ValueError(f"its lists may unpack to more than {_MOST_BYTES >> 20} MiB")
    return pages.longest


def read_bounded(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None,
    most_rows: int,
    most_bytes: int,
    *,
    group: int | None = None,
) -> pa.Table:
    """Read a file that may be anybody's: piece by piece, and no more than is asked for.

    Parameters
    ----------
    path : path-like
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
    OSError
    ValueError
        It holds more, or is damaged; pyarrow raises errors of its own as well.
    """
    import pyarrow.parquet as pq

    found = row_groups(path)
    n_rows = sum(one.n_rows for one in (found if group is None else found[group : group + 1]))
    if n_rows > most_rows:
        raise ValueError(f"it has {n_rows:,} rows")
    at_once = batch_rows(path, columns, most_rows, group)
    with pq.ParquetFile(path) as file:
        return _in_pieces(file, columns, at_once, most_bytes, group)


def _in_pieces(
    file: Any, columns: Sequence[str] | None, at_once: int, most_bytes: int, group: int | None
) -> pa.Table:
    import pyarrow as pa

    names = None if columns is None else list(columns)
    groups = None if group is None else [group]
    pieces, size = [], 0
    for piece in file.iter_batches(at_once, groups, names, use_threads=False):
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
