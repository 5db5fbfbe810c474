"""Scores on disk: parts that come while a run is under way, so that the same command goes on.

::

    <set>/<model>/job.json         what the scores rest on; it never changes
    <set>/<model>/parts/*.parquet  scores of some pictures; that a file is there is its commit

A picture may stand in several parts, because workers that were lost had scored it already: it
counts once. Scores of before lie in ``<set>/<model>.jsonl``, one JSON object a line; they are taken
in where there is no part yet, and that file stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_safire import parquet_parts
from napari_safire.atomic import atomic_path, not_written
from napari_safire.basis import RunBasis
from napari_safire.errors import DatasetError, SafireError
from napari_safire.evaluation.entries import EvaluatedEntry
from napari_safire.evaluation.results import files_of_entry, recorded_files
from napari_safire.images.files import why_unreadable
from napari_safire.images.lists import ListEntry
from napari_safire.images.records.paths import whole_path
from napari_safire.parquet_parts import PARTS
from napari_safire.synthesis.degradations import Degradation
from napari_safire.text import brief, printable

if TYPE_CHECKING:
    import pyarrow as pa

JOB = "job.json"
SCORES_FORMAT = "napari-safire scores 3"
LINES_FORMAT = "napari-safire scores 2"
"""Of the lines of before."""

_OF = "the scores"
_TOGETHER = 16  # results that are lost at most when the program is killed …
_WITHIN = 20.0  # … or those of so many seconds, if they are fewer
_LARGEST_JOB = 1 << 20  # bytes
_MOST_VALUES = 1 << 20  # scores, times and warnings of one part, from anybody
_ROWS = 1 << 14  # of a part of scores that were taken in
# What reading damaged values raises: numbers may be too large, lists too deep.
_DAMAGED = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)


class SavedScores:
    """Scores of one list by one model, kept as they come; leave it by ``with``, to keep the last.

    Pictures are known again by their content, so that a list may grow, shrink or move between two
    runs; scores of pictures that the list no longer names stay and are not used.

    Parameters
    ----------
    folder : path-like
        Made if it is missing.
    basis : RunBasis
        What all scores in the folder rest on. Of which picture a score is says its own row.

    Raises
    ------
    SafireError
        The folder holds scores that rest on something else; or it cannot be read or written.
    DatasetError
        It holds no scores, or a part of them is damaged.

    Examples
    --------
    >>> with SavedScores(folder, RunBasis("1f0c", {"kind": "binary"})) as saved:   # doctest: +SKIP
    ...     for result in evaluate_entries(engine, entries, settings, known=saved.known):
    ...         saved.save(result)
    """

    def __init__(self, folder: str | os.PathLike[str], basis: RunBasis) -> None:
        self.folder = Path(folder)
        self._parts = self.folder / PARTS
        self._known: dict[tuple[str, str], EvaluatedEntry] = {}
        self._waiting: list[EvaluatedEntry] = []
        self._committed = time.monotonic()
        try:
            self._begin(basis)
        except OSError as error:
            raise not_written(self.folder, error) from error

    def __enter__(self) -> SavedScores:
        return self

    def __exit__(self, *_: object) -> None:
        self.commit()

    def __len__(self) -> int:
        """Pictures scored."""
        return len(self._known)

    def known(self, content: str, degradation: Degradation) -> EvaluatedEntry | None:
        """Return the scores of a picture, by the hash of its files, or None."""
        return self._known.get((content, degradation.name))

    def save(self, result: EvaluatedEntry) -> None:
        """Keep a result, unless it is there already. Errors are not kept: they may be mended.

        It is on the disk with the part it comes into: after 16 results or 20 s.

        Raises
        ------
        NotWritten
            The folder takes no more, as on a full disk.
        """
        if self.note(result):
            self._waiting.append(result)
        if len(self._waiting) >= _TOGETHER or time.monotonic() - self._committed >= _WITHIN:
            self.commit()

    def note(self, result: EvaluatedEntry) -> bool:
        """Know a result that others keep, such as a worker; whether it is new."""
        key = _key(result)
        if result.error is not None or key in self._known:
            return False
        self._known[key] = result
        return True

    def commit(self) -> None:
        """Write what waits; raises as `save`."""
        _write_part(self.folder, self._waiting)
        self._waiting = []
        self._committed = time.monotonic()

    def holds(self, part: str) -> bool:
        """Whether a part that `commit_scores` wrote elsewhere has come to this folder."""
        return bool(part) and (self._parts / part).is_file()

    def _begin(self, basis: RunBasis) -> None:
        before = read_job(self.folder)
        parts = parquet_parts.list_parts(self._parts)
        if before is None and parts:
            raise DatasetError(
                f"{printable(self.folder)} has parts of scores, but no {JOB} that says what they "
                "rest on: choose another folder, or remove them."
            )
        if before is not None:
            _require_same(before, basis, self.folder)
        old = [] if parts else list(_read_lines(_lines_of(self.folder), basis))
        self._parts.mkdir(parents=True, exist_ok=True)
        if before is None:
            with atomic_path(self.folder / JOB) as temporary:
                record = {"format": SCORES_FORMAT, **basis.as_record()}
                temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        parquet_parts.remove_unfinished(self._parts)
        for first in range(0, len(old), _ROWS):
            _write_part(self.folder, old[first : first + _ROWS])
        for path in parts:
            for result in _read_part(path, self.folder):
                self._known.setdefault(_key(result), result)
        self._known |= {_key(result): result for result in old}


def commit_scores(folder: str | os.PathLike[str], results: Iterable[EvaluatedEntry]) -> str:
    """Keep results as a part of the scores of a folder; for processes that do not look any up.

    Parameters
    ----------
    folder : path-like
        Of a `SavedScores` that another process may hold.
    results : iterable of EvaluatedEntry
        Those with errors are left out.

    Returns
    -------
    str
        Name of the part; "" where nothing was written, as the folder is not to be seen from here.

    Raises
    ------
    NotWritten
        It cannot be written.
    """
    good = [result for result in results if result.error is None]
    return _write_part(Path(folder), good) if (Path(folder) / JOB).is_file() else ""


def read_job(folder: str | os.PathLike[str]) -> RunBasis | None:
    """Read what the scores of a folder rest on; None where there are none.

    Raises
    ------
    DatasetError
        It does not say so, or is of a newer version.
    """
    path = Path(folder) / JOB
    if not os.path.lexists(path):
        return None
    reason = why_unreadable(path)
    if reason is not None:
        raise DatasetError(reason)
    with path.open("rb") as file:
        return _basis_in(file.read(_LARGEST_JOB), SCORES_FORMAT, path)


def read_basis(folder: str | os.PathLike[str]) -> RunBasis | None:
    """Read what scores rest on, also those of before that lie beside the folder.

    Raises
    ------
    DatasetError
        As of `read_job`.
    """
    found = read_job(folder)
    lines = _lines_of(Path(folder))
    if found is not None or not os.path.isfile(lines):
        return found
    with lines.open("rb") as file:
        return _basis_in(file.readline(_LARGEST_JOB), LINES_FORMAT, lines)


def _basis_in(data: bytes, form: str, path: Path) -> RunBasis:
    try:
        told = json.loads(data)
        basis = RunBasis.from_record(told) if told["format"] == form else None
    except _DAMAGED:
        basis = None
    if basis is None:
        raise DatasetError(
            f"{printable(path)} does not say what the scores rest on: update napari-safire, or "
            "choose another folder."
        )
    return basis


def _require_same(before: RunBasis, basis: RunBasis, place: Path) -> None:
    if before.differences(basis):
        was, now = ({**b.as_record(), **b.settings} for b in (before, basis))
        differ = [
            f"{brief(name, 60)} was {brief(was.get(name), 80)}, not {brief(now.get(name), 80)}"
            for name in dict.fromkeys([*was, *now])
            if name != "settings" and was.get(name) != now.get(name)
        ]
        raise SafireError(
            f"{printable(place)} holds scores of another run: {'; '.join(differ[:8])}. Choose "
            "another folder, or ask for the same again."
        )


def _key(result: EvaluatedEntry) -> tuple[str, str]:
    return result.content, result.degradation.name


def _write_part(folder: Path, results: Iterable[EvaluatedEntry]) -> str:
    """Write results under a name that stands for what they are of; its name, "" of nothing."""
    import pyarrow as pa

    by_key = {_key(result): result for result in results}
    if not by_key:
        return ""
    named = hashlib.sha256("\n".join(map(" ".join, sorted(by_key))).encode())
    rows = [_as_columns(result, folder) for result in by_key.values()]
    table = pa.Table.from_pylist(rows, _schema())
    return parquet_parts.write_part(folder / PARTS, named.hexdigest()[:32], table).name


def _read_part(path: Path, folder: Path) -> Iterator[EvaluatedEntry]:
    table = parquet_parts.read_part(path, _schema(), unset=("mask", "verdict"), of=_OF)
    try:
        lists = (table[name].combine_chunks() for name in ("scores", "seconds", "warnings"))
        if sum(int(column.offsets[-1].as_py()) for column in lists) > _MOST_VALUES:
            raise ValueError("it holds too many values")
        yield from [_as_result(values, folder) for values in table.to_pylist()]
    except _DAMAGED as error:
        raise parquet_parts.damaged_part(path, _OF, brief(error, 120)) from error


def _lines_of(folder: Path) -> Path:
    """Where scores were kept before."""
    return folder.with_name(f"{folder.name}.jsonl")


def _read_lines(path: Path, basis: RunBasis) -> Iterator[EvaluatedEntry]:
    """Read scores of before; the line that a killed program did not finish is left out."""
    if not os.path.lexists(path):
        return
    reason = why_unreadable(path)
    if reason is not None:
        raise SafireError(reason)
    data = path.read_bytes()
    header, *lines = data[: data.rfind(b"\n") + 1].splitlines() or [b""]
    if not header:
        return
    _require_same(_basis_in(header, LINES_FORMAT, path), basis, path)
    for number, line in enumerate(lines, start=2):
        try:
            found = _as_result(json.loads(line), path.parent)
            _require_text(found)
            yield found
        except _DAMAGED as error:
            raise DatasetError(
                f"Line {number} of {printable(path)} is no line of scores: remove the line, and "
                "the same command does its picture again."
            ) from error


def _require_text(result: EvaluatedEntry) -> None:
    """Raise a UnicodeEncodeError for what no part can hold: JSON has halves of characters."""
    "".join((result.content, result.verdict or "", *result.scores, *result.seconds)).encode()
    for path in (result.entry.image, result.entry.mask):
        if path is not None:
            os.fsencode(path)


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, real, named = pa.string(), pa.float64(), pa.binary()  # names of files may be no UTF-8
    return pa.schema(
        [
            ("content", text),
            ("degradation", text),
            ("image", named),
            ("mask", named),
            ("verdict", text),
            ("scores", pa.map_(text, real)),
            ("seconds", pa.map_(text, real)),  # not rounded: a table of a resumed run is the same
            ("warnings", pa.list_(text)),
        ]
    )


def _as_columns(result: EvaluatedEntry, folder: Path) -> dict[str, Any]:
    image, mask = recorded_files(result.entry, folder)
    warnings = list(result.warnings)
    for stands, path in files_of_entry(result.entry).items():
        warnings = [
            text.replace(str(path), stands).replace(printable(path), stands) for text in warnings
        ]
    return {
        "content": result.content,
        "degradation": result.degradation.name,
        "image": os.fsencode(image),
        "mask": None if mask is None else os.fsencode(mask),
        "verdict": result.verdict,
        "scores": [(name, float(value)) for name, value in result.scores.items()],
        "seconds": [(name, float(value)) for name, value in result.seconds.items()],
        "warnings": [text.encode(errors="backslashreplace").decode() for text in warnings],
    }


def _as_result(values: Mapping[str, Any], folder: Path) -> EvaluatedEntry:
    """Make a result of the columns of a row, or of the values of a line of before."""
    image, mask = (
        None if name is None else whole_path(os.fsdecode(os.fsencode(name)), folder)
        for name in (values["image"], values["mask"])
    )
    if image is None:
        raise ValueError("it names no image")
    entry = ListEntry(image, mask)
    warnings = [str(text) for text in values["warnings"]]
    for stands, path in files_of_entry(entry).items():
        warnings = [text.replace(stands, printable(path)) for text in warnings]
    verdict = values["verdict"]
    return EvaluatedEntry(
        entry,
        scores={  # names are shared: there may be hundreds of thousands of rows
            # JSON has no NaN: a score that is not defined was null
            sys.intern(_text(n)): math.nan if v is None else float(v)
            for n, v in dict(values["scores"]).items()
        },
        verdict=None if verdict is None else _text(verdict),
        seconds={sys.intern(_text(n)): float(v) for n, v in dict(values["seconds"]).items()},
        degradation=Degradation.parse(values["degradation"]),
        content=_text(values["content"]),
        warnings=tuple(warnings),
    )


def _text(value: Any) -> str:
    """What can be written again: JSON may hold halves of characters."""
    return str(value).encode().decode()
