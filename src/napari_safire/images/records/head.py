"""What a record says: its format, its files, its picture."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from napari_safire.errors import DatasetError
from napari_safire.images.records.paths import found_path
from napari_safire.text import printable

EXAMINATION_FORMAT = "napari-safire examination 1"
"""Of what `predict` finds, written by `napari_safire.examination.export`."""
SOURCES_FORMAT = "napari-safire sources 2"
"""Of labels that people made, written by `napari_safire.annotation.saving`."""
FROM_ONE = "sources from 1"
"""Numbering of labels layers that the plugin makes: 0 is "no source yet", sources from 1 on."""
IMAGE_FACTS: Mapping[str, str] = MappingProxyType(
    {
        "name": "image",
        "path": "image_path",
        "file_sha256": "image_file_sha256",
        "pixels_sha256": "image_sha256",
        "decoding": "decoding",
    }
)
"""What records say of a picture, and what the metadata of layers call it."""

_FORMATS = (EXAMINATION_FORMAT, SOURCES_FORMAT)
_BEGIN = 4096  # bytes in which the format is named
_LARGEST = 256 << 20
_HEAD = 1 << 14  # bytes in which `read_head` looks for the end of the head
_AFTER_HEAD = "device"


def record_format(path: str | os.PathLike[str]) -> str | None:
    """Which of our formats a file has, by its first bytes; None for all other files.

    Parameters
    ----------
    path : path-like
        Need not exist.

    Returns
    -------
    str or None
        `EXAMINATION_FORMAT`, `SOURCES_FORMAT`, or None.
    """
    try:
        if not os.path.isfile(path):  # a pipe would never answer
            return None
        with open(path, "rb") as file:
            begin = file.read(_BEGIN)
    except (OSError, ValueError):  # ValueError: a null character in the name
        return None
    found = re.match(rb'\s*\{\s*"format"\s*:\s*"([^"]*)"', begin)
    name = found[1].decode("utf-8", "replace") if found else None
    return name if name in _FORMATS else None


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a record as it was written.

    Raises
    ------
    DatasetError
        If the file cannot be read, is no JSON or has another format than ours.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise DatasetError(f"The record {printable(path)} is missing, or no file.")
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"The record {printable(path)} is larger than {_LARGEST >> 20} MiB.")
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise DatasetError(
            f"The record {printable(path)} cannot be read ({printable(error)}): export the results "
            "again."
        ) from error
    found = record.get("format") if isinstance(record, dict) else None
    if not isinstance(found, str) or found not in _FORMATS:
        raise DatasetError(
            f"{printable(path)} has the format {printable(repr(found))[:80]}, none of "
            f"{', '.join(map(repr, _FORMATS))}: open a record that napari-safire has written."
        )
    return dict(record)


def read_head(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a record of an examination says before its results: files, hashes, basis, picture.

    All of a record that is not laid out as `record_text` does it. Errors are those of
    `read_record`.
    """
    try:
        if not os.path.isfile(path):  # a pipe would never answer
            return read_record(path)  # says so
        with open(path, "rb") as file:
            begin, end, _ = file.read(_HEAD).partition(f',\n "{_AFTER_HEAD}"'.encode())
        head = json.loads(begin + b"}") if end else None
    except (OSError, ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or head.get("format") != EXAMINATION_FORMAT:
        return read_record(path)  # says what is wrong
    return head


def result_names(record: Mapping[str, Any]) -> list[str]:
    """Names of the files that a record says lie beside it.

    Raises
    ------
    DatasetError
        If it names none, or something else than files beside it.
    """
    files = record.get("files")
    found = []
    for names in files.values() if isinstance(files, dict) else ():
        found += names if isinstance(names, list) else [names]
    if not found or not all(isinstance(n, str) and PurePath(n).name == n for n in found):
        raise DatasetError(f"The record names no files beside it, but {files!r}: it was changed.")
    return found


def recorded_image_facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of its picture, under the names that layers have for it.

    Names without a value are left out.
    """
    about = mapping_in(record, "image")
    facts = {fact: about.get(name) for name, fact in IMAGE_FACTS.items()}
    return {fact: value for fact, value in facts.items() if value is not None}


def recorded_image(path: Path, record: Mapping[str, Any]) -> Path | None:
    """Find the picture of a record: where it says, or beside it; None if it is nowhere."""
    written = text_in(mapping_in(record, "image"), "path")
    if not written:
        return None
    found = found_path(written, path)
    return None if found is None else Path(os.path.abspath(found))


def mapping_in(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a table of a record, empty where there is none; a DatasetError for anything else."""
    found = record.get(name, {})
    if not isinstance(found, Mapping):
        raise DatasetError(f"{name} of the record is no table of values: it is damaged.")
    return found


def text_in(record: Mapping[str, Any], name: str) -> str | None:
    """Return a text of a record, None where there is none; a DatasetError for anything else."""
    found = record.get(name)
    if found is not None and not isinstance(found, str):
        raise DatasetError(f"{name} of the record is no text: it is damaged.")
    return found
