"""Whether a record of labels says of every pixel which source it has, and which mask is its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_safire.errors import DatasetError
from napari_safire.images.files import file_sha256
from napari_safire.images.records.head import (
    SOURCES_FORMAT,
    mapping_in,
    read_record,
    record_format,
)
from napari_safire.text import printable


def record_of_mask(mask: Path) -> Path | None:
    """Find the record that a mask was saved with, ``<name>.json`` of ``<name>_sources.png``.

    Returns
    -------
    Path or None
        None as well where the mask was changed since.
    """
    stem = mask.stem.removesuffix("_sources")
    record = mask.with_name(f"{stem}.json")
    if stem == mask.stem or record_format(record) != SOURCES_FORMAT:
        return None
    try:
        return None if why_no_mask(read_record(record), mask) else record
    except DatasetError:
        return None


def why_incomplete(record: Mapping[str, Any]) -> str:
    """Why a record of sources does not say of every pixel which source it has, on purpose.

    Parameters
    ----------
    record : mapping
        As `read_record` gives it.

    Returns
    -------
    str
        As the end of a sentence about it; empty where it is complete.

    Raises
    ------
    DatasetError
        The record is damaged.
    """
    if record["format"] != SOURCES_FORMAT:
        return "it is no record of labels"
    layer = mapping_in(record, "layer")
    if layer.get("state") != "done":
        return "it is not marked as done"
    try:
        unassigned = int(mapping_in(record, "unassigned")["pixels"])
        n_sources = len([s for s in record["sources"] if int(s["pixels"]) > 0])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DatasetError(f"The record is damaged ({printable(repr(error))[:200]}).") from error
    if unassigned:
        return f"{unassigned} of its pixels have no source yet"
    if n_sources < 2 and layer.get("authentic") is not True:
        return "all of it is one source, and nobody said that it is authentic"
    return ""


def why_no_mask(record: Mapping[str, Any], mask: Path) -> str:
    """Why a mask is not the one that a record was written with.

    Parameters
    ----------
    record : mapping
    mask : Path

    Returns
    -------
    str
        As the end of a sentence; empty where it is.
    """
    named = mapping_in(record, "files").get("sources")
    if named is None:
        return "it has more sources than a mask holds"
    if named != mask.name:
        return f"it names another mask ({printable(named)[:80]})"
    if not os.path.isfile(mask):  # not Path.is_file, which raises for names no file can have
        return f"its mask {printable(mask.name)} is missing"
    try:
        if file_sha256(mask) != mapping_in(record, "files_sha256").get(mask.name):
            return f"{printable(mask.name)} is not the mask that it was saved with"
    except OSError as error:
        return f"its mask {printable(mask.name)} cannot be read ({error.strerror})"
    return ""
