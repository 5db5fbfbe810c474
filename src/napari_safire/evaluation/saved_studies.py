"""Scores that an earlier study left in its folder, read back for tables made later."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from pathlib import Path

from napari_safire.errors import DatasetError
from napari_safire.evaluation.entries import EvaluatedEntry
from napari_safire.evaluation.results import cell_text
from napari_safire.evaluation.saved_scores import JOB, read_basis
from napari_safire.evaluation.scoring import ScoringSettings
from napari_safire.evaluation.study import EvaluationSet, SetScores, folder_name
from napari_safire.images.files import why_unreadable
from napari_safire.images.lists import ListEntry
from napari_safire.images.records.paths import whole_path
from napari_safire.synthesis.degradations import Degradation
from napari_safire.text import brief

_FIXED = {"image", "mask", "degradation", "verdict", "warnings", "error"}
_SECONDS = "_s"


def read_study(folder: str | os.PathLike[str]) -> dict[str, list[SetScores]]:
    """Read a whole study.

    Parameters
    ----------
    folder : path-like
        Where `napari_safire.evaluation.report.write_report` left ``summary.csv``.

    Returns
    -------
    dict of str to list of SetScores
        By set; of each the models in their order. Models without any score are left out.

    Raises
    ------
    DatasetError
        The study is not there or not finished, or its files are damaged.
    """
    path = Path(folder) / "summary.csv"
    named = dict.fromkeys((row.get("set"), row.get("model")) for row in _rows(path))
    study: dict[str, list[SetScores]] = {}
    for set_name, model in named:
        if set_name is None or model is None:
            raise _unreadable(path, "it is no summary of a study")
        study.setdefault(set_name, []).append(read_scores(folder, set_name, model))
    return study


def read_scores(folder: str | os.PathLike[str], set_name: str, model: str) -> SetScores:
    """Read what one model scored on one set of a study.

    Parameters
    ----------
    folder : path-like
        Of the study.
    set_name, model : str
        Short names, as in the study's tables.

    Returns
    -------
    SetScores
        Scores with the six digits of the CSV file; without examples.

    Raises
    ------
    DatasetError
        The study has no such scores, or its files are damaged.
    """
    place = Path(folder) / folder_name(set_name)
    results = read_results(place / f"{folder_name(model)}.csv")
    saved = place / folder_name(model)
    told = read_basis(saved)
    if told is None:
        raise _unreadable(saved / JOB, "nothing says what they rest on")
    try:
        settings = ScoringSettings(
            **{name: told.settings[name] for name in ScoringSettings.__dataclass_fields__}
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(saved, f"they rest on other settings ({brief(error, 80)})") from error
    entries = dict.fromkeys((r.number, r.entry) for r in results)
    a_set = EvaluationSet(set_name, tuple(entry for _, entry in entries), settings)
    return SetScores(a_set, model, told.checkpoint_sha256, tuple(results))


def read_results(path: str | os.PathLike[str]) -> list[EvaluatedEntry]:
    """Read what `napari_safire.evaluation.write_results` has written.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of EvaluatedEntry
        Without hashes of the files, and with the digits that the file has.

    Raises
    ------
    DatasetError
        There is no such file, or it is another kind of table.
    """
    path = Path(path)
    numbers: Counter[str] = Counter()  # of the next entry under each degradation
    results = []
    for line, row in enumerate(_rows(path), start=2):
        try:
            result = _from_row(row, numbers[row.get("degradation", "none")], path.parent)
        except (KeyError, ValueError, TypeError) as error:
            raise _unreadable(path, f"line {line} is no line of scores") from error
        numbers[result.degradation.name] += 1
        results.append(result)
    return results


def _rows(path: Path) -> list[dict[str, str]]:
    reason = why_unreadable(path) if os.path.lexists(path) else None
    if reason is not None:  # a pipe would never end
        raise _unreadable(path, reason.rstrip("."))
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {name: cell_text(cell or "") for name, cell in row.items() if name is not None}
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or str(error)) from error


def _from_row(row: dict[str, str], number: int, folder: Path) -> EvaluatedEntry:
    numbers = {
        name: float(cell) if cell else math.nan for name, cell in row.items() if name not in _FIXED
    }
    broken = bool(row["error"])
    return EvaluatedEntry(
        ListEntry(
            whole_path(row["image"], folder),
            whole_path(row["mask"], folder) if row["mask"] else None,
        ),
        row["error"] or None,
        {} if broken else {n: v for n, v in numbers.items() if not n.endswith(_SECONDS)},
        row["verdict"] or None,
        {
            name.removesuffix(_SECONDS): value
            for name, value in numbers.items()
            if name.endswith(_SECONDS) and not math.isnan(value)
        },
        number,
        Degradation.parse(row.get("degradation", "none")),
        warnings=(row["warnings"],) if row.get("warnings") else (),
    )


def _unreadable(path: Path, reason: str) -> DatasetError:
    return DatasetError(
        f"The scores {path} cannot be read: {reason}. Run the evaluation that writes them."
    )
