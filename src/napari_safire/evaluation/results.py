"""Tables of scores, as CSV that a spreadsheet may open."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_safire.atomic import atomic_path
from napari_safire.errors import SafireError
from napari_safire.evaluation.entries import EvaluatedEntry
from napari_safire.images.lists import ListEntry
from napari_safire.images.records.paths import recorded_path
from napari_safire.synthesis.degradations import NONE
from napari_safire.text import printable

# Spreadsheets take a cell for a formula that begins so, and run it.
_FORMULA = re.compile(r"'*(\s*[=+\-@]|[\t\r\n])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|-|-?(nan|inf)")


def write_results(path: str | os.PathLike[str], results: Sequence[EvaluatedEntry]) -> Path:
    """Write one line an entry as CSV, all of it or nothing.

    Parameters
    ----------
    path : path-like
    results : sequence of EvaluatedEntry
        Where any was degraded, a column names the degradation; where any has warnings, another
        holds them.

    Returns
    -------
    Path

    Raises
    ------
    SafireError
        The file cannot be written.
    """
    folder = Path(path).parent
    scores = score_names(result.scores for result in results)
    seconds = score_names(result.seconds for result in results)
    degraded = any(result.degradation != NONE for result in results)
    warned = any(result.warnings for result in results)
    header = [
        "image",
        "mask",
        *(["degradation"] if degraded else []),
        "verdict",
        *scores,
        *(f"{name}_s" for name in seconds),
        *(["warnings"] if warned else []),
        "error",
    ]
    rows = (
        [
            *recorded_files(result.entry, folder),
            *([result.degradation.name] if degraded else []),
            result.verdict,
            *(_cell(result.scores, name, 6) for name in scores),
            *(_cell(result.seconds, name, 4) for name in seconds),
            *([short_sentence(" ".join(result.warnings), result.entry, folder)] if warned else []),
            result.error and short_sentence(result.error, result.entry, folder),
        ]
        for result in results
    )
    return write_table(path, header, rows)


def write_table(
    path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> Path:
    """Write a CSV file, all of it or nothing.

    Parameters
    ----------
    path : path-like
    header : sequence of str
    rows : iterable of sequence
        What texts become in it says `table_cell`.

    Returns
    -------
    Path
        As it was given.

    Raises
    ------
    SafireError
        The folder is missing, the disk full, or the file may not be written.
    """
    path = Path(path)
    try:
        with (
            atomic_path(path) as temporary,
            temporary.open(
                # A file name that is no valid Unicode must not cost the table.
                "w",
                newline="",
                encoding="utf-8",
                errors="backslashreplace",
            ) as file,
        ):
            writer = csv.writer(file)
            writer.writerow([table_cell(cell) for cell in header])
            writer.writerows([table_cell(cell) for cell in row] for row in rows)
    except OSError as error:
        raise SafireError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path


def table_cell(value: Any) -> Any:
    """Return what may stand in a CSV file: nothing that a spreadsheet or a terminal obeys.

    `cell_text` gives the text back, with control characters as `printable` shows them.

    Examples
    --------
    >>> table_cell("=1+1"), table_cell("-0.5"), table_cell(-0.5), table_cell("a.png")
    ("'=1+1", '-0.5', -0.5, 'a.png')
    """
    if value is None or isinstance(value, (int, float)):
        return value
    text = printable(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def cell_text(cell: str) -> str:
    """Return the text for which `table_cell` gave a cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def score_names(mappings: Iterable[Mapping[str, float]]) -> list[str]:
    """Names of all mappings, in the order in which they first occur."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def recorded_files(entry: ListEntry, folder: Path) -> tuple[str, str | None]:
    """Image and mask as they stand in a file of this folder: they name no user."""
    mask = None if entry.mask is None else recorded_path(entry.mask, folder)
    return recorded_path(entry.image, folder), mask


def files_of_entry(entry: ListEntry) -> dict[str, Path]:
    """Files of an entry by what stands for them in stored sentences; the longer path first."""
    found = {"{image}": entry.image} | ({} if entry.mask is None else {"{mask}": entry.mask})
    return dict(sorted(found.items(), key=lambda pair: -len(str(pair[1]))))


def short_sentence(sentence: str, entry: ListEntry, folder: Path) -> str:
    """Let a sentence name the files of its entry from this folder."""
    for path in files_of_entry(entry).values():
        short = printable(recorded_path(path, folder))
        sentence = sentence.replace(str(path), short).replace(printable(path), short)
    return sentence


def _cell(values: Mapping[str, float], name: str, digits: int) -> str:
    value = values.get(name, float("nan"))
    return "" if math.isnan(value) else f"{value:.{digits}g}"
