"""Pictures of a project: blind where several annotate them, and kept step by step."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from napari_safire.annotation.annotation import Labels
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.errors import DatasetError
from napari_safire.project.pictures import find_picture, open_picture, picture_path, tag_picture
from napari_safire.project.projections import Role
from napari_safire.project.queries import (
    SORT_KEYS,
    PictureQuery,
    PictureRow,
    RowState,
    SortKey,
    annotators,
    count_pictures,
    list_pictures,
    own_states,
    picture_rows,
    tags,
)
from napari_safire.project.store import Project
from napari_safire.project.visibility import PictureWorks, visible_works
from napari_safire.project.work import Work, find_work, truth_of, works
from napari_safire.session.queue.listing import Listing
from napari_safire.session.queue.project_work import ProjectWork, made_of_work
from napari_safire.session.queue.store import Action
from napari_safire.text import printable

_WORKED_ON: tuple[RowState, ...] = ("assigned", "begun", "rejected")


class ProjectPictures:
    """The `PictureStore` of a project, for the annotator in whose name it was opened.

    Parameters
    ----------
    project : Project
    """

    states: tuple[RowState, ...] = get_args(RowState)
    open_states: tuple[RowState, ...] = ("untouched", *_WORKED_ON)
    sorts: tuple[SortKey, ...] = SORT_KEYS
    actions: frozenset[Action] = frozenset(
        {"done", "authentic", "waive", "reject", "accept", "describe", "second opinion"}
    )
    notes: tuple[str, ...] = ()

    def __init__(self, project: Project) -> None:
        self.project = project

    @classmethod
    def open(cls, folder: str | os.PathLike[str], author: str | None = None) -> ProjectPictures:
        """Open the project of a folder.

        Parameters
        ----------
        folder : path-like
        author : str, optional
            In whose name work is kept; default: the name chosen for this machine.

        Raises
        ------
        DatasetError
            There is none, it is damaged, or of a newer version of this program.
        """
        return cls(Project.open(folder, author=author))

    def is_same(self, other: ProjectPictures) -> bool:
        """Whether it is the same folder, opened in the same name."""
        return self.place == other.place and self.annotator == other.annotator

    @property
    def annotator(self) -> str:
        """In whose name work is kept."""
        return self.project.author

    @property
    def opened_with(self) -> Mapping[str, str]:
        """See `PictureStore`: in whose name."""
        return {"author": self.annotator}

    @property
    def title(self) -> str:
        """See `PictureStore`."""
        return printable(self.project.folder.name)

    @property
    def place(self) -> Path:
        """See `PictureStore`."""
        return self.project.folder

    def listing(self, query: PictureQuery) -> Listing:
        """See `PictureStore`."""
        project, annotator = self.project, self.annotator
        keys = list_pictures(project, annotator, replace(query, states=()))
        known = own_states(project, annotator)
        states = [known.get(key, "untouched") for key in keys]
        counts = Counter(known.values())
        counts["untouched"] = count_pictures(project) - len(known)
        return Listing(keys, states, query.states, {str(state): n for state, n in counts.items()})

    def kept_at(self, key: str) -> Hashable:
        """See `PictureStore`."""
        return self.project.folder, self.annotator, key

    def look_up(self, keys: Sequence[str]) -> tuple[PictureRow, ...]:
        """See `PictureStore`."""
        return picture_rows(self.project, self.annotator, keys)

    def read(self, key: str) -> ProjectWork:
        """See `PictureStore`.

        One's own work is opened; that which counts so far where a picture waits for being accepted
        and one has nothing to do on it oneself.
        """
        project = self.project
        image = open_picture(project, key)
        picture = find_picture(project, key)
        own = find_work(project, key, self.annotator)
        seen = self.annotators(key)
        shown: Work | None = own
        if picture.stage in ("accept", "accepted") and (own is None or own.state not in _WORKED_ON):
            counts = truth_of(project, key)
            shown = counts if counts is not None and counts.annotator in seen else own
        begin = self.given(key)
        # Whoever may see what others made of it decides among them.
        role: Role = "adjudicator" if seen else "annotator"
        return ProjectWork.of(project, picture, image, shown, begin, role)

    def locate(self, key: str) -> Path:
        """See `PictureStore`."""
        return picture_path(self.project, find_picture(self.project, key))

    def people(self) -> tuple[str, ...]:
        """See `PictureStore`."""
        return annotators(self.project)

    def tags(self) -> tuple[str, ...]:
        """See `PictureStore`."""
        return tags(self.project)

    def tag(self, key: str, tags: Collection[str]) -> None:
        """See `PictureStore`."""
        tag_picture(self.project, key, tags)

    def given(self, key: str) -> Labels | None:
        """See `PictureStore`."""
        begin = find_picture(self.project, key).begin
        return None if begin is None else self.project.objects.labels(begin)

    def annotators(self, key: str) -> tuple[str, ...]:
        """See `PictureStore`: nobody else's before all who annotate the picture are done."""
        needed = self.project.settings.annotators_per_picture
        known = PictureWorks.of(works(self.project, key), needed)
        return tuple(
            name for name in visible_works(self.annotator, known) if name != self.annotator
        )

    def other_work(self, key: str, annotator: str) -> AnnotatedPlane:
        """See `PictureStore`."""
        if annotator not in self.annotators(key):
            raise DatasetError(
                f"The work of {printable(annotator)} may not be seen before all are done."
            )
        found = find_work(self.project, key, annotator)
        made = None if found is None else made_of_work(self.project, found)
        if made is None:
            raise DatasetError(f"{printable(annotator)} has made nothing of this picture.")
        return made

    def close(self) -> None:
        """See `PictureStore`."""
        self.project.close()
