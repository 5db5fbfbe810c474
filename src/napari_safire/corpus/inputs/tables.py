"""Paths in list files and tables, line by line."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_safire.corpus.inputs.picture import InputProblem
from napari_safire.corpus.inputs.remote import is_address
from napari_safire.corpus.parquet import batch_rows
from napari_safire.errors import DatasetError
from napari_safire.images.files import DiskNames, why_unreadable
from napari_safire.images.list_text import LIST_SUFFIXES, is_comment, list_root
from napari_safire.text import brief, printable

PATH_COLUMNS = ("path", "image", "picture", "file", "filename", "image_path", "file_name")
"""Headings under which a table may name its pictures; the first that is there counts."""
TABLE_SUFFIXES = (*LIST_SUFFIXES, ".tsv", ".parquet")
_LONGEST_FIELD = 100_000  # characters, of a table from anybody
_ROWS_AT_ONCE = 8_192


def paths_in(table: Path, root: Path | None = None) -> Iterator[str | InputProblem]:
    """Tell the pictures that a list file or a table names.

    Parameters
    ----------
    table : Path
        ``image,mask`` lines relative to its folder (or the one above: `list_root`), or a table
        whose heading names a column of `PATH_COLUMNS`; CSV, TSV, text or Parquet.
    root : Path, optional
        Nothing outside this folder is told, whatever the table says; default: the folder that its
        paths are relative to.

    Yields
    ------
    str or InputProblem
        Whole paths, and addresses as they are written.

    Raises
    ------
    DatasetError
        It cannot be read, or has no column of paths.
    """
    reason = why_unreadable(table)
    if reason is not None:
        raise DatasetError(f"The list cannot be read: {reason}")
    if table.suffix.lower() == ".parquet":
        yield from _of_parquet(table, root)
    else:
        yield from _of_text(table, root)


def _of_parquet(table: Path, root: Path | None) -> Iterator[str | InputProblem]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(table) as file:
            column = _path_column(file.schema_arrow.names, table)
            n_rows = batch_rows(file, [column], _ROWS_AT_ONCE)
            where = f"a row of {printable(table.name)}"
            for batch in file.iter_batches(n_rows, columns=[column]):
                for written in batch.column(0).to_pylist():
                    yield from _place(written, table.parent, root, where)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetError(
            f"{printable(table)} is no Parquet table that can be read ({brief(error, 120)})."
        ) from error


def _of_text(table: Path, root: Path | None) -> Iterator[str | InputProblem]:
    names = DiskNames()
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            heading = file.readline(_LONGEST_FIELD)
            separator = "\t" if "\t" in heading else ","
            fields = next(csv.reader([heading], delimiter=separator), [])
            known = [field.strip().lower() for field in fields]
            file.seek(0)
            if any(name in known for name in PATH_COLUMNS) or table.suffix.lower() == ".tsv":
                index = known.index(_path_column(known, table).lower())
                folder, is_table = table.parent, True
            else:
                index, folder, is_table = 0, list_root(table), False
            lines = (line for line in file if not is_comment(line, (folder,), names))
            rows = csv.reader(lines, delimiter=separator)
            for number, row in enumerate(rows, 1):
                if is_table and number == 1:
                    continue
                where = f"entry {number} of {printable(table.name)}"
                written = row[index].strip() if index < len(row) else ""
                yield from _place(written, folder, root, where, names)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{printable(table)} is no table of UTF-8 text: {error}.") from error


def _path_column(names: list[str], table: Path) -> str:
    lower = {name.strip().lower(): name for name in names}
    column = next((lower[name] for name in PATH_COLUMNS if name in lower), None)
    if column is None:
        raise DatasetError(
            f"{printable(table)} has no column of paths: call one of them "
            f"{', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}."
        )
    return column


def _place(
    written: Any, folder: Path, root: Path | None, where: str, names: DiskNames | None = None
) -> Iterator[str | InputProblem]:
    if not isinstance(written, str) or not written.strip():
        yield InputProblem(where, f"{where} names no picture: fill it in.")
    elif is_address(written):
        yield written
    elif "\0" in written or len(written) > _LONGEST_FIELD:
        yield InputProblem(where, f"{where} cannot be the name of a file: correct it.")
    else:
        path = Path(os.path.abspath(folder / written))
        if not path.is_relative_to(folder if root is None else root):
            told = f"{where} leads out of its folder ({brief(written, 120)}): give --root."
            yield InputProblem(where, told)
            return
        yield os.fspath(path if names is None else names.find(path))
