"""Paths in list files and tables, line by line."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from napari_safire.corpus.inputs.picture import InputProblem
from napari_safire.corpus.inputs.remote import is_address, shown_address
from napari_safire.errors import DatasetError
from napari_safire.images.files import DiskNames, why_unreadable
from napari_safire.images.list_text import (
    AUTHENTIC,
    LIST_SUFFIXES,
    MASK_COLUMNS,
    PATH_COLUMNS,
    is_comment,
    list_root,
    read_text,
)
from napari_safire.images.lists import ListEntry
from napari_safire.parquet_parts import batch_rows
from napari_safire.text import brief, printable

TABLE_SUFFIXES = (*LIST_SUFFIXES, ".tsv", ".parquet")
_LONGEST_FIELD = 100_000  # characters, of a table from anybody
_LONGEST_ROW = 1 << 20
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


def read_table(path: Path, left_out: list[str]) -> list[ListEntry] | None:
    """Read the files that a table names, with their masks where it names some.

    Parameters
    ----------
    path : Path
        CSV, TSV or text with a heading; or Parquet, which names no masks. Files outside its folder
        are left out: a table may come from anybody.
    left_out : list of str
        Gets a sentence for each row that names no file.

    Returns
    -------
    list of ListEntry or None
        None where it is no table, but perhaps a list without a heading.

    Raises
    ------
    DatasetError
        It cannot be read, or is a TSV or Parquet table without a column of paths.
    """
    if path.suffix.lower() == ".parquet":
        named = [_entry(found, None, left_out) for found in paths_in(path)]
        return [entry for entry in named if entry is not None]
    try:
        return _of_rows(path, left_out)
    except csv.Error as error:
        raise DatasetError(f"{printable(path)} is no table: {error}.") from error


def _of_rows(path: Path, left_out: list[str]) -> list[ListEntry] | None:
    text = read_text(path)
    separator = "\t" if "\t" in text.partition("\n")[0] else ","
    rows = csv.DictReader(io.StringIO(text), delimiter=separator)
    names = {name.strip().lower(): name for name in rows.fieldnames or ()}
    column = path_column(names.values())
    if column is None:
        if path.suffix.lower() == ".tsv":
            require_path_column(names.values(), path)
        return None
    masks = next((names[name] for name in MASK_COLUMNS if name in names), "")
    entries = []
    for row in rows:
        written, mask = (row[column] or "").strip(), (row.get(masks) or "").strip()
        if not written:
            continue
        beside = None
        if mask not in ("", AUTHENTIC):
            beside = Path(os.path.abspath(path.parent / mask))
            if not beside.is_relative_to(path.parent):
                left_out.append(f"The mask {brief(mask, 120)} leads out of the table's folder.")
                continue
        for found in _place(written, path.parent, None, printable(written)):
            entry = _entry(found, beside, left_out)
            entries += [] if entry is None else [entry]
    return entries


def _entry(found: str | InputProblem, mask: Path | None, left_out: list[str]) -> ListEntry | None:
    if isinstance(found, InputProblem):
        left_out.append(found.problem)
    elif is_address(found):
        left_out.append(f"{printable(shown_address(found))} lies in a remote store: fetch it.")
    else:
        return ListEntry(Path(found), mask)
    return None


def _of_parquet(table: Path, root: Path | None) -> Iterator[str | InputProblem]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(table) as file:
            column = require_path_column(file.schema_arrow.names, table)
            n_rows = batch_rows(table, [column], _ROWS_AT_ONCE)
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
            heading = next(_lines(file, table), "")
            separator = "\t" if "\t" in heading else ","
            fields = next(csv.reader([heading], delimiter=separator), [])
            known = [field.strip().lower() for field in fields]
            file.seek(0)
            if any(name in known for name in PATH_COLUMNS) or table.suffix.lower() == ".tsv":
                index = known.index(require_path_column(known, table).lower())
                folder, is_table = table.parent, True
            else:
                index, folder, is_table = 0, list_root(table), False
            lines = (line for line in _lines(file, table) if not is_comment(line, (folder,), names))
            for number, row in enumerate(_rows(lines, separator, table), 1):
                if is_table and number == 1:
                    continue
                where = f"entry {number} of {printable(table.name)}"
                written = row[index].strip() if index < len(row) else ""
                yield from _place(written, folder, root, where, names)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{printable(table)} is no table of UTF-8 text: {error}.") from error


def _lines(file: TextIO, table: Path) -> Iterator[str]:
    """Lines of a table, none of which takes the machine's memory."""
    while line := file.readline(_LONGEST_ROW + 1):
        if len(line) > _LONGEST_ROW:
            raise _row_too_long(table)
        yield line


def _rows(lines: Iterable[str], separator: str, table: Path) -> Iterator[list[str]]:
    """Rows of cells; between quotes a row may go on over any number of lines, so it is counted."""
    length = 0

    def counted() -> Iterator[str]:
        nonlocal length
        for line in lines:
            length += len(line)
            if length > _LONGEST_ROW:
                raise _row_too_long(table)
            yield line

    for row in csv.reader(counted(), delimiter=separator):
        length = 0
        yield row


def _row_too_long(table: Path) -> DatasetError:
    return DatasetError(
        f"{printable(table)} has a row of more than {_LONGEST_ROW:,} characters: leave out columns."
    )


def path_column(names: Iterable[str]) -> str | None:
    """Return the heading, of some, under which pictures are named; None if there is none.

    Examples
    --------
    >>> path_column(["id", " Path ", "image"])
    ' Path '
    """
    lower = {name.strip().lower(): name for name in names}
    return next((lower[name] for name in PATH_COLUMNS if name in lower), None)


def names_pictures(path: str | os.PathLike[str]) -> bool:
    """Whether a text file is a table that names pictures; only its heading is read."""
    file = Path(path)
    if file.suffix.lower() not in (*LIST_SUFFIXES, ".tsv"):
        return False
    try:
        heading = read_text(file, _LONGEST_FIELD).partition("\n")[0]
        separator = "\t" if "\t" in heading else ","
        fields = next(csv.reader([heading], delimiter=separator), [])
    except (DatasetError, ValueError, csv.Error):
        return False
    return path_column(fields) is not None


def require_path_column(names: Iterable[str], table: Path) -> str:
    """As `path_column`.

    Raises
    ------
    DatasetError
        There is none.
    """
    column = path_column(names)
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
            told = f"{where} leads out of its folder ({brief(written, 120)})"
            yield InputProblem(where, f"{told}: move the table above it, or give --root.")
            return
        yield os.fspath(path if names is None else names.find(path))
