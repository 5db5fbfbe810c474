"""A report read back: its document believed only as far as its form goes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_safire.annotation.checked_values import Damaged
from napari_safire.errors import DatasetError
from napari_safire.images.files import why_unreadable
from napari_safire.model.files.strict_json import parse_json
from napari_safire.review.proof import form
from napari_safire.review.report.document import FORMAT, READ
from napari_safire.review.report.write import JSON
from napari_safire.text import printable

_LARGEST_DOCUMENT = 64 << 20  # bytes
LARGEST_FILE = 512 << 20
"""Bytes of any other file of a report."""


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report on the disk.

    Parameters
    ----------
    path : Path
        Of its document.
    data : bytes
        The document's.
    document : mapping
        Of the form that its version asks for; of another version anything that is JSON.
    """

    path: Path
    data: bytes
    document: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where its other files lie."""
        return self.path.parent

    @property
    def sha256(self) -> str:
        """Of the document's file."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def version(self) -> int:
        """Of the document's form."""
        return int(self.document["version"])


def read_report(path: str | os.PathLike[str]) -> StoredReport:
    """Read a report's document.

    Parameters
    ----------
    path : path-like
        The report's folder, or any of ``report.json``, ``report.html`` and ``report.pdf`` in it.

    Returns
    -------
    StoredReport

    Raises
    ------
    DatasetError
        There is none, it is too large, damaged, or no document of a report.
    """
    given = Path(os.path.abspath(path))
    file = given / JSON if given.is_dir() else given
    if file.suffix.lower() in (".html", ".pdf"):
        file = file.with_name(JSON)
    try:
        data = read_file(file, _LARGEST_DOCUMENT)
        document = parse_json(data)
        form.table(format=form.text, version=form.whole)(document, "the document")
        if document["format"] != FORMAT:
            raise Damaged(f"its format is {printable(document['format'])[:80]!r}")
    except (OSError, ValueError, Damaged) as error:
        raise DatasetError(
            f"{printable(file)} is no report that can be read ({error}): give a report's folder."
        ) from error
    if document["version"] in READ:
        try:
            form.DOCUMENT(document, "the document")
        except Damaged as error:
            raise DatasetError(f"The report {printable(file)} is damaged: {error}.") from error
    return StoredReport(file, data, document)


def read_file(path: Path, most: int = LARGEST_FILE) -> bytes:
    """Read a file that anybody may have put there.

    Raises
    ------
    ValueError
        It is gone, no file, unreadable, or larger than `most` bytes: part of a sentence.
    """
    why = why_unreadable(path)
    if why is not None:
        raise ValueError(why.rstrip("."))
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than {most >> 20} MiB")
    return data
