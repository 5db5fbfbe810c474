"""What a model may learn from a project: a list of pictures and masks, grouped by their origin."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_safire.corpus.learning_list import LearningList
from napari_safire.errors import DatasetError
from napari_safire.images.lists import ListEntry, write_list
from napari_safire.images.masks import SOURCE_NUMBERS, encode_sources
from napari_safire.images.reading import write_image_atomic
from napari_safire.project.exchange import TruthOfProject
from napari_safire.project.formats.labelled import LabelledPicture
from napari_safire.project.formats.splits import divide, split_picture
from napari_safire.project.pictures import picture_path, project_pictures
from napari_safire.project.store import Project
from napari_safire.text import printable

_MASKS = "masks"


@dataclass(frozen=True, slots=True)
class _Learned:
    picture: LabelledPicture
    mask: Path | None


def write_truth_list(project: Project, path: Path) -> LearningList:
    """Write a list of what is done in a project, with masks beside it.

    Only complete annotations are learned from. Pictures with a common donor share the third field
    of their lines, so that none of them judges what another taught.

    Parameters
    ----------
    project : Project
    path : Path
        The list file; its folder is made if need be, and masks go into ``masks`` below it.

    Returns
    -------
    LearningList

    Raises
    ------
    DatasetError
        Nothing is done, or pictures and list lie on two drives.
    SafireError
        Something cannot be written.
    """
    truth = TruthOfProject(project)
    learned: list[_Learned] = []
    left_out: list[str] = []
    folder = path.parent / _MASKS
    folder.mkdir(parents=True, exist_ok=True)
    for picture in truth:
        reason = _why_not(picture)
        if reason:
            left_out.append(f"{printable(Path(picture.name).name)}: {reason}.")
            continue
        learned.append(_Learned(picture, _write_mask(picture, folder)))
    if not learned:
        raise DatasetError("Nothing in the project is done and complete: annotate pictures first.")
    groups = _groups(learned)
    root = truth_list_root(project, path)
    entries = [ListEntry(one.picture.path, one.mask, (groups[one.picture.key],)) for one in learned]
    write_list(path, entries, root)
    return LearningList(path, root, "sources", len(entries), tuple(left_out))


def _why_not(picture: LabelledPicture) -> str:
    if not picture.labels.all():
        return "some of its pixels have no source"
    if len(picture.sources) > SOURCE_NUMBERS:
        return f"it has {len(picture.sources)} sources, and masks hold {SOURCE_NUMBERS}"
    if not picture.path.is_file():
        return "its file is gone"
    return ""


def _write_mask(picture: LabelledPicture, folder: Path) -> Path | None:
    """Write the sources in SafireMS encoding; None for an authentic picture."""
    numbers = picture.sources
    if len(numbers) == 1:
        return None
    table = np.zeros(256, np.uint8)
    table[list(numbers)] = np.arange(len(numbers))
    path = folder / f"{picture.key}.png"
    write_image_atomic(path, encode_sources(table[picture.labels]))
    return path


def _groups(learned: list[_Learned]) -> Mapping[str, str]:
    division = divide([split_picture(one.picture) for one in learned], {"train": 1.0})
    return division.groups


def truth_list_root(project: Project, path: Path) -> Path:
    """Return the folder that holds a list of a project and all of the project's pictures.

    Raises
    ------
    DatasetError
        There is none: they lie on two drives.
    """
    pictures = (picture_path(project, one) for one in project_pictures(project, removed=True))
    try:
        return Path(os.path.commonpath([path.parent, *pictures]))
    except ValueError as error:
        raise DatasetError(
            "The pictures and the folder for the result lie on two drives: choose a folder on the "
            "drive of the pictures."
        ) from error
