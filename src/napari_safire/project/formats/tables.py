"""Lists in JSON and pictures in archives, from anybody."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from napari_safire.atomic import atomic_path
from napari_safire.corpus.naming import marked
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.list_text import read_text
from napari_safire.project.formats.names import Wanted, export_names
from napari_safire.text import brief


def read_json(path: Path) -> list[Any]:
    """Read a JSON list.

    Raises
    ------
    DatasetError
        It cannot be read, is no JSON, or no list.
    """
    value = read_any_json(path)
    if not isinstance(value, list):
        raise DatasetError(f"{path} holds no list: this is another format.")
    return value


def read_any_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DatasetError
        It cannot be read, or is no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{path} is no JSON ({brief(error, 120)}): mend it, or choose another."
        ) from error


def within(list_file: Path, listed: str) -> Path:
    """Find a file that a list names: beside the list, or as it stands.

    Lists of trainers name files from where the training is started, so the folders above the list
    are tried as well.
    """
    path = Path(listed)
    if path.is_absolute():
        return path
    beside = Path(os.path.normpath(list_file.parent / path))
    for folder in (list_file.parent, *list_file.parent.parents):
        tried = Path(os.path.normpath(folder / path))
        if os.path.isfile(tried):  # not Path.is_file, which raises for long names
            return tried
    return beside


def unpacked(data: bytes, name: str, unpack: Path | None, archive: Path) -> Path:
    """Write a picture that was packed in an archive.

    Parameters
    ----------
    data : bytes
    name : str
        As the archive has it, whatever it is.
    unpack : Path or None
        Folder for it; made if need be.
    archive : Path

    Returns
    -------
    Path
        Of the file. One of that name with other bytes stays, and the new one gets a hash.

    Raises
    ------
    DatasetError
        No folder was given.
    SafireError
        It cannot be written.
    """
    if unpack is None:
        raise DatasetError(
            f"The pictures of {archive.name} are packed inside: give a folder to unpack them to."
        )
    (safe,) = export_names([Wanted(name, name)])
    for place in (safe, safe.with_name(marked(safe.stem, digest(data)) + safe.suffix)):
        path = unpack / place
        if path.is_file() and path.read_bytes() == data:
            return path
        if not path.exists():
            break
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise SafireError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
