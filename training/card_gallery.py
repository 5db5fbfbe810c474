"""Failures that a model card shows: numbers of all, thumbnails where the licences allow it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from card_tables import CardInputs, read_manifest

from napari_safire.atomic import atomic_path
from napari_safire.errors import DatasetError
from napari_safire.evaluation import EvaluatedEntry
from napari_safire.evaluation.entries import entry_content
from napari_safire.evaluation.gallery import RANKING, choose_examples
from napari_safire.evaluation.study import folder_name

_SHOWN = ("truth", "sources")  # views of a thumbnail


@dataclass(frozen=True)
class Failure:
    """A composite that the model got wrong.

    Parameters
    ----------
    name : str
    why : str
    score : float
        p_mIoU, hungarian.
    found, true : int
        Numbers of sources.
    verdict : str
    thumbnails : tuple of str
        Links relative to the card; empty where they may not be shown or were not made.
    credits : tuple of str
        Of the photographs in the thumbnails.
    """

    name: str
    why: str
    score: float
    found: int
    true: int
    verdict: str
    thumbnails: tuple[str, ...]
    credits: tuple[str, ...]


def failures(inputs: CardInputs, card: Path, count: int) -> list[Failure]:
    """The worst composites; their thumbnails are copied beside the card.

    Parameters
    ----------
    inputs : CardInputs
    card : Path
    count : int
        Of each kind.

    Raises
    ------
    DatasetError
        The table of photographs or the manifest cannot be read.
    """
    scores = inputs.model("auto", "composites")
    chosen = choose_examples(scores.good(), RANKING["sources"], count)
    records = read_manifest(inputs.folder / "composites")
    licences = _read_licences(Path(inputs.plan["photos"]))
    pictures = inputs.folder / "auto" / "composites" / f"{folder_name(scores.model)}-pictures"
    shown = []
    for result, reasons in chosen:
        if reasons[0] == "best":
            continue
        name = result.entry.image.name
        credits = _credits(records.get(name), licences)
        links = _copied(result, pictures, card) if credits else ()
        shown.append(
            Failure(
                name,
                ", ".join(reasons),
                result.scores[RANKING["sources"]],
                int(result.scores["n_sources_found"]),
                int(result.scores["n_sources_true"]),
                result.verdict or "-",
                links,
                credits if links else (),
            )
        )
    return shown


def _credits(record: dict[str, Any] | None, licences: dict[str, dict[str, str]]) -> tuple[str, ...]:
    """Who took the photographs of a composite; nothing unless all of them may be passed on."""
    if record is None:
        return ()
    names = list(dict.fromkeys(str(source["photo"]) for source in record["sources"]))
    rows = [licences.get(name, {}) for name in names]
    if not all(row.get("shippable") == "True" for row in rows):
        return ()
    return tuple(
        f"{name}: {row.get('author') or row.get('source_repo', '')}, {row.get('licence', '')}"
        for name, row in zip(names, rows, strict=True)
    )


def _copied(result: EvaluatedEntry, pictures: Path, card: Path) -> Sequence[str]:
    """Copy thumbnails into a folder named like the card; links to them."""
    digest = entry_content(result.entry)[:16]
    sources = [pictures / f"{digest}-{view}.jpg" for view in _SHOWN]
    if not all(source.is_file() for source in sources):
        return ()
    folder = card.with_name(f"{card.stem}-failures")
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        with atomic_path(folder / source.name) as temporary:
            shutil.copyfile(source, temporary)
    return tuple(f"{folder.name}/{source.name}" for source in sources)


def _read_licences(table: Path) -> dict[str, dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            return {row["file"]: row for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"The licences of the photographs cannot be read from {table}: {error}."
        ) from error
