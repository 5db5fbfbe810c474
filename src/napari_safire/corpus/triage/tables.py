"""Chosen pictures as tables: for a terminal, as CSV, JSON, Parquet, and as a list of files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_safire.atomic import atomic_path
from napari_safire.corpus.triage.choice import Chosen
from napari_safire.corpus.triage.conditions import column_kind
from napari_safire.corpus.triage.places import PicturePlace, place_of
from napari_safire.errors import SafireError
from napari_safire.images.lists import write_paths
from napari_safire.parquet_parts import flat_columns
from napari_safire.text import brief, printable

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = ("picture", "verdict", "score", "n_sources", "smallest_source")
"""Columns of a table in a terminal, where no others are asked for."""
_BYTES = ("key", "place")
_GROUP = 8_192  # rows of a Parquet file that are read together
_ROWS = 4_096  # turned to Python's values at once


def known_columns(chosen: Chosen, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that are wanted.

    Raises
    ------
    DatasetError
        One of them is not there.
    """
    for name in wanted:
        column_kind(chosen.source.schema, name)
    return tuple(dict.fromkeys(wanted))


def readable_columns(chosen: Chosen) -> tuple[str, ...]:
    """Return all columns but those of bytes, which say nothing to a reader."""
    return tuple(name for name in chosen.source.schema.names if name not in _BYTES)


def shown_columns(chosen: Chosen) -> tuple[str, ...]:
    """Return those of `SHOWN` that the manifest has, and those that it was sorted by."""
    names = chosen.source.schema.names
    sort = chosen.choice.sort or ""
    by = (part.strip().removeprefix("-").strip() for part in sort.split(","))
    return tuple(dict.fromkeys(name for name in (*SHOWN, *by) if name in names))


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Tell the rows of a table as JSON values: bytes as digits, maps as objects."""
    import pyarrow as pa

    maps = [field.name for field in table.schema if pa.types.is_map(field.type)]
    for start in range(0, len(table), _ROWS):
        for row in table.slice(start, _ROWS).to_pylist():
            for name in maps:
                row[name] = dict(row[name] or ())
            yield {name: _plain(value) for name, value in row.items()}


def json_lines(table: pa.Table) -> Iterator[str]:
    """Tell a table as one JSON array, a row a line."""
    before = "["
    for row in rows_of(table):
        yield before + json.dumps(row)
        before = ","
    yield "[]" if before == "[" else "]"


def cells(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Tell the rows of a table as cells: lists and maps as JSON."""
    for row in rows_of(table):
        yield tuple(
            json.dumps(value) if isinstance(value, (list, dict)) else value
            for value in row.values()
        )


def text_rows(table: pa.Table) -> list[tuple[str, ...]]:
    """Return the rows of a table as short texts."""
    return [tuple(map(_short, row)) for row in cells(table)]


def write_csv(path: Path, table: pa.Table) -> None:
    """Write a table as CSV, with nothing in it that a spreadsheet runs or a terminal obeys."""
    from napari_safire.evaluation.results import write_table  # and half the program with it

    write_table(path, table.column_names, cells(table))


def write_parquet(path: Path, chosen: Chosen, columns: Sequence[str] | None) -> None:
    """Write chosen rows as Parquet; `open_manifest` reads it, and finds the pictures again.

    Raises
    ------
    SafireError
        It cannot be written.
    """
    import pyarrow.parquet as pq

    if columns is not None:  # without these it would be no manifest
        columns = tuple(dict.fromkeys(["picture", "place", *columns]))
    table = chosen.table(columns).replace_schema_metadata(chosen.source.note(path))
    try:
        with atomic_path(path) as temporary:
            flat = flat_columns(table)
            pq.write_table(
                table, temporary, row_group_size=_GROUP, compression="zstd", use_dictionary=flat
            )
    except OSError as error:
        raise SafireError(
            f"{printable(path)} cannot be written: {error.strerror or error}."
        ) from error


def places(chosen: Chosen) -> list[PicturePlace]:
    """Return where the chosen pictures lie."""
    corpus = chosen.source.corpus
    return [place_of(place, corpus) for place in chosen.table(["place"])["place"].to_pylist()]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that was written.

    Parameters
    ----------
    n_pictures : int
    left_out : tuple of str
        Of those that no list can name, a sentence each.
    outside : int
        Pictures that lie outside the list's folder, where whoever reads it looks for none.
    above : Path or None
        The folder that the list and all pictures lie below; None if there is none.
    """

    n_pictures: int
    left_out: tuple[str, ...]
    outside: int
    above: Path | None


def write_picture_list(path: Path, chosen: Chosen) -> Listed:
    """Write a list of the chosen pictures for other commands, and for the queue of the plugin.

    Parameters
    ----------
    path : Path
    chosen : Chosen

    Returns
    -------
    Listed
    """
    files: list[Path] = []
    left_out: list[str] = []
    for place in places(chosen):
        if place.file is None:
            left_out.append(place.why_no_file)
        else:
            files.append(place.file)
    unnamed = write_paths(path, files)
    left_out += [
        f"{printable(file)} cannot be listed: {why.rstrip('.')}." for file, why in unnamed.items()
    ]
    folder = Path(os.path.abspath(path.parent))
    named = [file for file in files if file not in unnamed]
    outside = sum(not file.is_relative_to(folder) for file in named)
    try:
        above = Path(os.path.commonpath([folder, *(file.parent for file in named)]))
    except ValueError:  # several drives of Windows
        above = None
    return Listed(len(named), tuple(left_out), outside, above)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value if value is None or isinstance(value, (int, str)) else str(value)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else brief(value)


def head_of(table: pa.Table) -> tuple[str, ...]:
    """Return the headings of a table that is shown."""
    return tuple(printable(name) for name in table.column_names)
