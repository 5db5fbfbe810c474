"""Where the picture, the model and the case of a report are found again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from napari_safire.errors import SafireError
from napari_safire.images.files import file_sha256, why_unreadable
from napari_safire.images.records.paths import whole_path
from napari_safire.project.places import remembered
from napari_safire.project.store import is_project
from napari_safire.review.proof.reading import StoredReport

CASE = "case"
"""Folder of a case beside its report."""
_NEAR = 2
"""Folders around a report in which a picture of its name counts as its picture."""


def found_case(stored: StoredReport, given: Path | None) -> Path | None:
    """Return the folder of a report's case: the given one, or one beside or around the report."""
    if given is not None:
        return given
    near = (stored.folder / CASE, stored.folder.parent, stored.folder.parent / CASE)
    return next((folder for folder in near if is_project(folder)), None)


def found_picture(
    stored: StoredReport, given: Path | None, case: Path | None
) -> tuple[Path | None, bool]:
    """Find the picture of a report.

    Parameters
    ----------
    stored : StoredReport
    given, case : Path, optional

    Returns
    -------
    path : Path or None
        None where nothing has its name.
    is_it : bool
        Whether the file has the hash in the document.
    """
    expected = stored.document["picture"]["file_sha256"]
    places = [given] if given is not None else list(_places(stored, found_case(stored, case)))
    there = [place for place in places if why_unreadable(place) is None]
    for place in there:
        if file_sha256(place) == expected:
            return place, True
    return (there[0] if there else given), False


def _places(stored: StoredReport, case: Path | None) -> Iterator[Path]:
    """Relative paths only: a report from anybody shall not make this program look anywhere.

    Last, where this user named a picture with that hash.
    """
    written, name = stored.document["picture"]["path"], stored.document["picture"]["name"]
    is_relative = not PurePosixPath(written).is_absolute() and "\\" not in written
    parents = stored.folder.parents[:_NEAR]
    for base in (case, stored.folder, *parents):
        if base is None:
            continue
        if is_relative and ":" not in written and "\0" not in written:
            yield whole_path(written, base)
        if name == os.path.basename(name) and name not in ("", ".", "..") and "\0" not in name:
            yield base / name
    there = remembered(stored.document["picture"]["file_sha256"])
    if there is not None:
        yield there


def found_model(stored: StoredReport, given: Path | None) -> tuple[Path | None, bool]:
    """Find the model of a report; as `found_picture`."""
    from napari_safire.model.catalogue.registry import hashed_models, model_path

    expected = stored.document["model"]["sha256"]
    path = given
    if path is None:
        name = hashed_models().get(expected)
        if name is None:
            return None, False
        try:
            path = model_path(name)
        except SafireError:  # its file went meanwhile
            return None, False
    if why_unreadable(path) is not None:
        return path, False
    return path, file_sha256(path) == expected
