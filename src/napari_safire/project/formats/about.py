"""What lies beside every export: what it is, and what its format itself cannot hold.

==================  ======================================================================
``export.json``     the format, the settings, when and by which version; written last
``pictures.jsonl``  a line for each picture: key, part, name and mask in the format, types and
                    donors of its sources, annotators, licence, share of a model
==================  ======================================================================

An import takes it into account, so that also formats of bare masks give back all that was known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_safire import __version__
from napari_safire.annotation import checked_values as checked
from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.errors import DatasetError
from napari_safire.images.files import why_unreadable
from napari_safire.images.list_text import read_text
from napari_safire.images.records.writing import plain, record_text
from napari_safire.project.formats.format import Imported
from napari_safire.project.formats.labelled import (
    SPLITS,
    ExportSettings,
    LabelledPicture,
    PictureFacts,
    decode_facts,
)
from napari_safire.project.truth import PictureDescription, decode_description

EXPORT, PICTURES, CARD, CROISSANT = "export.json", "pictures.jsonl", "README.md", "croissant.json"
OWN_FILES = frozenset({EXPORT, PICTURES, CARD, CROISSANT})
"""Names in an export that are none of its format's."""
EXPORT_FORMAT = "napari-safire export 1"


@dataclass(frozen=True, slots=True)
class Known:
    """What a line of ``pictures.jsonl`` says.

    Parameters
    ----------
    key, name : str
        Of the picture, as it was exported.
    picture : str
        Its name in the format.
    split : str
    numbers : dict of int to int
        Numbers of the sources in the format, by their own.
    description : PictureDescription
    facts : PictureFacts
    """

    key: str
    name: str
    picture: str
    split: Any
    numbers: Mapping[int, int]
    description: PictureDescription
    facts: PictureFacts


def picture_line(
    picture: LabelledPicture,
    listed: str,
    mask: str | None,
    numbers: Mapping[int, int],
    group: str | None = None,
) -> dict[str, Any]:
    """Return what ``pictures.jsonl`` says of a picture.

    Parameters
    ----------
    picture : LabelledPicture
    listed : str
        Its name in the format.
    mask : str or None
        Of its mask's file.
    numbers : mapping of int to int
        What `napari_safire.project.formats.format.Format.numbers` gives.
    group : str, optional
        What the picture hangs together with, where the pictures were divided.
    """
    sources = picture.sources
    return {
        "key": picture.key,
        "name": picture.name,
        "picture": listed,
        "mask": mask,
        "split": picture.split,
        "group": group,
        "rows": picture.shape[0],
        "cols": picture.shape[1],
        "n_sources": len(sources),
        "types": [picture.description.of(number).type for number in sources],
        "unassigned": int(picture.counts()[0]),
        "numbers": [[number, numbers.get(number, number)] for number in sources],
        "description": picture.description.as_record(),
        "facts": picture.facts.as_record(),
    }


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON values, one a line, in ASCII: names may be no UTF-8."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        for line in lines:
            file.write(json.dumps(plain(line), allow_nan=False) + "\n")


def read_json_lines(path: Path) -> Iterator[Any]:
    """Read JSON values, one a line.

    Raises
    ------
    DatasetError
        A line is no JSON: its number and what is wrong.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}, line {number}, is no JSON ({error}): mend it.") from error


def write_export_record(
    folder: Path, format_name: str, settings: ExportSettings, counts: Mapping[str, Any]
) -> None:
    """Write ``export.json``, without which nothing takes a folder for an export."""
    record = {
        "format": EXPORT_FORMAT,
        "kind": format_name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "settings": settings.as_record(),
        **counts,
    }
    (folder / EXPORT).write_text(record_text(plain(record)), encoding="utf-8", newline="\n")


def read_export_kind(folder: Path) -> str | None:
    """Name the format of an export of this package; None for any other folder."""
    path = folder / EXPORT
    if why_unreadable(path) is not None:
        return None
    try:
        record = json.loads(read_text(path))
        return str(record["kind"]) if record["format"] == EXPORT_FORMAT else None
    except (DatasetError, ValueError, KeyError, TypeError, RecursionError):
        return None  # somebody else's file of that name


def read_known(folder: Path) -> dict[str, Known]:
    """Read ``pictures.jsonl``, by the names of pictures in the format; empty where there is none.

    Raises
    ------
    DatasetError
        It is damaged.
    """
    path = folder / PICTURES
    if read_export_kind(folder) is None or why_unreadable(path) is not None:
        return {}
    known = (_known(path, record) for record in read_json_lines(path))
    return {one.picture: one for one in known}


def _known(path: Path, record: Any) -> Known:
    try:
        given = checked.mapping(record, "a line")
        return Known(
            checked.words(given.get("key"), "a key"),
            checked.words(given.get("name"), "a name"),
            checked.words(given.get("picture"), "a picture"),
            checked.one_of(given.get("split"), "a part", SPLITS),
            dict(checked.each(given, "numbers", _number_pair)),
            decode_description(given.get("description")),
            decode_facts(given.get("facts")),
        )
    except checked.Damaged as damage:
        raise DatasetError(f"{path} is damaged ({damage}): export again.") from damage


def _number_pair(pair: Any) -> tuple[int, int]:
    own, other = checked.row(pair, "the numbers", 2)
    return (
        checked.whole(own, "the number of a source", 1, MOST_SOURCES),
        checked.whole(other, "the number of a source", 1, MOST_SOURCES),
    )


def with_known(got: Imported, known: Mapping[str, Known], *, binary: bool) -> Imported:
    """Give an imported picture back what was known when it was exported.

    Parameters
    ----------
    got : Imported
    known : mapping of str to Known
    binary : bool
        Its labels are no sources: they and their types stay as they were read.

    Returns
    -------
    Imported
        As it was where nothing is known; without types where the mask holds other sources now.
    """
    one, picture = known.get(got.name), got.picture
    if one is None or picture is None:
        return got
    picture = replace(picture, key=one.key, name=one.name, split=one.split, facts=one.facts)
    if binary:
        return replace(got, picture=picture)
    if set(one.numbers.values()) != set(picture.sources):
        sentence = f"{got.name} has other sources than when it was exported: types are unknown."
        return replace(got, picture=picture, sentences=(*got.sentences, sentence))
    table = np.zeros(MOST_SOURCES + 1, np.uint8)
    for own, other in one.numbers.items():
        table[other] = own
    labels = table[picture.labels]
    return replace(got, picture=replace(picture, labels=labels, description=one.description))
