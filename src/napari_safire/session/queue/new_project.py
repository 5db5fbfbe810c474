"""A project is made of pictures, or gets more of them; for a worker."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from napari_safire.corpus.triage.choice import Choice
from napari_safire.corpus.triage.source import is_manifest
from napari_safire.images.lists import enumerated
from napari_safire.progress import Cancel, Progress
from napari_safire.project.adding import Added, add_pictures
from napari_safire.project.collecting import collect
from napari_safire.project.manifest_scores import note_scores
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import Project, is_project


@dataclass(frozen=True, slots=True)
class PicturesToAdd:
    """Where pictures come from, and the project that they are to be in.

    Parameters
    ----------
    source : path-like
        See `napari_safire.project.collecting.collect`.
    folder : Path
        Of the project; it is made where there is none.
    annotators : int
        How many annotate each picture, of a project that is made.
    decode : bool
        Read the pixels now; see `add_pictures`.
    choice : Choice, optional
        Which pictures, where the source is a manifest; default: all.
    """

    source: str | os.PathLike[str]
    folder: Path
    annotators: int = 1
    decode: bool = True
    choice: Choice | None = None


def add_to_project(
    wanted: PicturesToAdd, progress: Progress | None = None, cancel: Cancel | None = None
) -> Added:
    """Find pictures and add them to a project, which is made if there is none.

    Parameters
    ----------
    wanted : PicturesToAdd
    progress, cancel : callable, optional

    Returns
    -------
    Added

    Raises
    ------
    SafireError
        There are no pictures, or the project cannot be made or opened.
    """
    choice = wanted.choice if is_manifest(wanted.source) else None
    found = collect(wanted.source, choice=choice)
    if is_project(wanted.folder):
        project = Project.open(wanted.folder)
    else:
        settings = ProjectSettings(annotators_per_picture=wanted.annotators)
        project = Project.create(wanted.folder, settings=settings)
    try:
        added = add_pictures(
            project, found.entries, decode=wanted.decode, progress=progress, cancel=cancel
        )
        note_scores(project, found.scores)
        return replace(added, problems=(*found.left_out, *added.problems))
    finally:
        project.close()


def what_was_added(added: Added) -> str:
    """Say what became of pictures that were to be added, in one line."""
    n_pictures = len(added.ids)
    told = [f"{n_pictures:,} picture{'' if n_pictures == 1 else 's'} {_were(n_pictures)} added."]
    if added.known:
        told.append(f"{added.known:,} {_were(added.known)} there already.")
    if added.duplicates:
        n_same = len(added.duplicates)
        told.append(f"{n_same:,} {'has' if n_same == 1 else 'have'} the pixels of another one.")
    if added.problems:
        n_bad = len(added.problems)
        told.append(f"{n_bad:,} {_were(n_bad)} left out: {enumerated(added.problems)}")
    return " ".join(told)


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def project_folder_for(source: str | os.PathLike[str]) -> Path:
    """Suggest where the project of some pictures may lie: beside them."""
    path = Path(os.path.abspath(source))
    name = path.stem if path.suffix else path.name
    return path.parent / f"{name}_project"  # also of a root, which has no name
