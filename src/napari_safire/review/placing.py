"""Which picture of a project a file is; it is added where it is none of them."""

from __future__ import annotations

import os
from pathlib import Path

from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.files import file_sha256, why_unreadable
from napari_safire.images.lists import ListEntry
from napari_safire.project.adding import add_pictures
from napari_safire.project.pictures import (
    ProjectPicture,
    find_picture,
    picture_path,
    pictures_at,
)
from napari_safire.project.places import remember
from napari_safire.project.store import Project


def known_picture(project: Project, path: Path) -> ProjectPicture | None:
    """Find the picture of a project that a file is: by its place, or by name and content.

    Parameters
    ----------
    project : Project
    path : Path

    Returns
    -------
    ProjectPicture or None
    """
    try:
        return find_picture(project, os.fspath(path))
    except DatasetError:
        named = pictures_at(project, path.name)
    there = Path(os.path.abspath(path))
    for one in named:
        if picture_path(project, one) == there:
            return one  # one that was changed is still the picture of its case, which then says so
    if not named or why_unreadable(path) is not None:
        return None
    digest = file_sha256(path)
    return next((one for one in named if one.file_sha256 == digest), None)


def picture_in(project: Project, path: Path) -> str:
    """Return the id of a picture of a project, which is added if it is not there.

    Raises
    ------
    SafireError
        The file cannot be read.
    """
    known = known_picture(project, path)
    if known is None:
        added = add_pictures(project, [ListEntry(path, None)], near=True)
        if added.problems:  # of a file that is cut short or damaged the bytes can be reviewed
            added = add_pictures(project, [ListEntry(path, None)], decode=False, near=True)
        if added.problems:
            raise SafireError(added.problems[0])
        known = known_picture(project, path)
        assert known is not None  # it was just added, or somebody else did that meanwhile
    if "/" not in known.path:
        remember(known.file_sha256, path)
    return known.id
