"""Scores on disk: a file that grows line by line while a run is under way, and tables at its end.

The file has one JSON object a line. The first says what the scores rest on, as a
`napari_safire.basis.RunBasis`: model, settings, number of the algorithm. Each further one holds the
scores of one picture. A program that is killed loses at most the line it was writing.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from napari_safire.atomic import atomic_path
from napari_safire.basis import RunBasis
from napari_safire.errors import DatasetError, SafireError
from napari_safire.evaluation.entries import EvaluatedEntry
from napari_safire.images.files import why_unreadable
from napari_safire.images.lists import ListEntry
from napari_safire.images.records.paths import recorded_path, whole_path
from napari_safire.synthesis.degradations import NONE, Degradation
from napari_safire.text import brief, printable

SCORES_FORMAT = "napari-safire scores 2"
# What reading a damaged line raises: numbers may be too large, lists too deep.
_DAMAGED = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)
# Spreadsheets take a cell for a formula that begins so, and run it.
_FORMULA = re.compile(r"'*(\s*[=+\-@]|[\t\r\n])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|-|-?(nan|inf)")


class ResultFile:
    """Scores of one list by one model, appended as they come.

    Pictures are known again by their content, so that a list may grow, shrink or move between two
    runs; scores of pictures that the list no longer names stay in the file and are not used.

    Parameters
    ----------
    path : path-like
        Made if it is missing; its folder must exist.
    basis : RunBasis
        What all scores in the file rest on. Of which picture a score is says its own line.

    Raises
    ------
    SafireError
        The file holds scores that rest on something else; or it cannot be read or written.
    DatasetError
        The file is no file of scores, or a line in it is damaged.

    Examples
    --------
    >>> with ResultFile(path, RunBasis("1f0c", {"kind": "binary"})) as file:       # doctest: +SKIP
    ...     for result in evaluate_entries(engine, entries, settings, known=file.known):
    ...         file.save(result)
    """

    def __init__(self, path: str | os.PathLike[str], basis: RunBasis) -> None:
        self.path = Path(path)
        self._known: dict[tuple[str, str], EvaluatedEntry] = {}
        self._closing = ExitStack()
        try:
            whole = self._read(basis)
            self._file = self._closing.enter_context(self.path.open("ab"))
            self._file.truncate(whole)  # a line that a killed program did not finish
            if not whole:
                self._append({"format": SCORES_FORMAT, **basis.as_record()})
        except OSError as error:
            self._closing.close()
            raise self._unusable(error) from error

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def __len__(self) -> int:
        """Pictures scored."""
        return len(self._known)

    def known(self, content: str, degradation: Degradation) -> EvaluatedEntry | None:
        """Return the scores of a picture, by the hash of its files, or None."""
        return self._known.get((content, degradation.name))

    def save(self, result: EvaluatedEntry) -> None:
        """Write a result, unless it is there already. Errors are not saved: they may be mended.

        Raises
        ------
        SafireError
            The file cannot be written, as on a full disk.
        """
        key = (result.content, result.degradation.name)
        if result.error is not None or key in self._known:
            return
        try:
            self._append(_as_line(result, self.path.parent))
        except OSError as error:
            raise self._unusable(error) from error
        self._known[key] = result

    def _append(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()

    def _read(self, basis: RunBasis) -> int:
        """Take in what is there; return how many bytes of it are whole lines."""
        if not os.path.lexists(self.path):
            return 0
        reason = why_unreadable(self.path)
        if reason is not None:
            raise SafireError(reason)
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        header, *lines = data[:whole].splitlines() or [b""]
        if not whole:
            if not _SCORES_BEGIN.startswith(data[: len(_SCORES_BEGIN)]):
                raise self._damaged(1)
            return 0
        self._check_basis(header, basis)
        for number, line in enumerate(lines, start=2):
            try:
                result = _from_line(json.loads(line), self.path.parent)
            except _DAMAGED as error:
                raise self._damaged(number) from error
            self._known[result.content, result.degradation.name] = result
        return whole

    def _check_basis(self, line: bytes, basis: RunBasis) -> None:
        try:
            before = read_basis(line)
        except ValueError as error:
            raise self._damaged(1) from error
        if before.differences(basis):
            was, now = ({**b.as_record(), **b.settings} for b in (before, basis))
            differ = [
                f"{brief(name, 60)} was {brief(was.get(name), 80)}, not {brief(now.get(name), 80)}"
                for name in dict.fromkeys([*was, *now])
                if name != "settings" and was.get(name) != now.get(name)
            ]
            raise SafireError(
                f"{self.path} holds scores of another run: {'; '.join(differ[:8])}. Choose another "
                "folder, or ask for the same again."
            )

    def _damaged(self, number: int) -> DatasetError:
        return DatasetError(
            f"Line {number} of {self.path} is no line of scores: choose another folder, or remove "
            "the line if the file is one of this program."
        )

    def _unusable(self, error: OSError) -> SafireError:
        return SafireError(f"{self.path} cannot be used: {error.strerror or error}.")


def read_basis(line: bytes | str) -> RunBasis:
    """Read what the scores of a file rest on from its first line.

    Raises
    ------
    ValueError
        It does not say so.
    """
    try:
        told = json.loads(line)
    except _DAMAGED as error:
        raise ValueError("no JSON") from error
    if not isinstance(told, dict) or told.get("format") != SCORES_FORMAT:
        raise ValueError("another format")
    basis = RunBasis.from_record(told)
    if basis is None:
        raise ValueError("no basis")
    return basis


# How every such file begins: what a program killed at its first line has left of it.
_SCORES_BEGIN = json.dumps({"format": SCORES_FORMAT})[:-1].encode()


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
            *_recorded(result.entry, folder),
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
        Texts that a spreadsheet would run as formulas get a ``'`` in front; see `table_cell`.

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
    """Return what may stand in a CSV file for a value; `cell_text` gives the text back.

    Examples
    --------
    >>> table_cell("=1+1"), table_cell("-0.5"), table_cell(-0.5), table_cell("a.png")
    ("'=1+1", '-0.5', -0.5, 'a.png')
    """
    if value is None or isinstance(value, (int, float)):
        return value
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def cell_text(cell: str) -> str:
    """Return the text for which `table_cell` gave a cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def score_names(mappings: Iterable[Mapping[str, float]]) -> list[str]:
    """Names of all mappings, in the order in which they first occur."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _recorded(entry: ListEntry, folder: Path) -> tuple[str, str | None]:
    """Image and mask as they stand in a file of this folder: they name no user."""
    mask = None if entry.mask is None else recorded_path(entry.mask, folder)
    return recorded_path(entry.image, folder), mask


def _named(entry: ListEntry) -> dict[str, Path]:
    """Files of an entry by what stands for them in stored sentences; the longer path first."""
    found = {"{image}": entry.image} | ({} if entry.mask is None else {"{mask}": entry.mask})
    return dict(sorted(found.items(), key=lambda pair: -len(str(pair[1]))))


def short_sentence(sentence: str, entry: ListEntry, folder: Path) -> str:
    """Let a sentence name the files of its entry from this folder."""
    for path in _named(entry).values():
        short = printable(recorded_path(path, folder))
        sentence = sentence.replace(str(path), short).replace(printable(path), short)
    return sentence


def _as_line(result: EvaluatedEntry, folder: Path) -> dict[str, Any]:
    image, mask = _recorded(result.entry, folder)
    warnings = list(result.warnings)
    for stands, path in _named(result.entry).items():
        warnings = [
            text.replace(str(path), stands).replace(printable(path), stands) for text in warnings
        ]
    return {
        "content": result.content,
        "degradation": result.degradation.name,
        "image": image,
        "mask": mask,
        "verdict": result.verdict,
        # JSON has no NaN: a score that is not defined is null
        "scores": {n: None if math.isnan(v) else v for n, v in result.scores.items()},
        "seconds": dict(result.seconds),  # not rounded: a table of a resumed run is the same
        "warnings": warnings,
    }


def _from_line(record: Mapping[str, Any], folder: Path) -> EvaluatedEntry:
    mask = record["mask"]
    image = whole_path(record["image"], folder)
    entry = ListEntry(image, None if mask is None else whole_path(mask, folder))
    warnings = [str(text) for text in record["warnings"]]
    for stands, path in _named(entry).items():
        warnings = [text.replace(stands, printable(path)) for text in warnings]
    return EvaluatedEntry(
        entry,
        scores={  # names are shared: there may be hundreds of thousands of lines
            sys.intern(n): math.nan if v is None else float(v) for n, v in record["scores"].items()
        },
        verdict=record["verdict"],
        seconds=dict(record["seconds"]),
        degradation=Degradation.parse(record["degradation"]),
        content=str(record["content"]),
        warnings=tuple(warnings),
    )


def _cell(values: Mapping[str, float], name: str, digits: int) -> str:
    value = values.get(name, float("nan"))
    return "" if math.isnan(value) else f"{value:.{digits}g}"
