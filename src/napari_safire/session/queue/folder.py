"""Pictures of a folder, a list file or a manifest, with masks and records beside them.

One person works on them, whoever that is, and each picture has one mask. How far the pictures are
is looked up once, when the queue is opened, and of single pictures whenever they are gone to.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_safire.annotation.annotation import Annotation, Labels
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.corpus.manifest_queue import QUEUE_CHOICE, manifest_queue
from napari_safire.corpus.queue import STATES, PictureQueue, QueueEntry
from napari_safire.corpus.queue_files import from_one
from napari_safire.corpus.triage.choice import Choice
from napari_safire.corpus.triage.source import is_manifest
from napari_safire.errors import DatasetError
from napari_safire.images.lists import ListEntry
from napari_safire.images.reading import ReadImage
from napari_safire.images.truth import read_label_truth
from napari_safire.project.queries import PictureQuery, PictureRow, RowState, SortKey
from napari_safire.session.queue.choosing import choice_as_texts
from napari_safire.session.queue.folder_work import FolderWork, read_work
from napari_safire.session.queue.listing import Listing
from napari_safire.session.queue.store import Action
from napari_safire.text import printable


class FolderPictures:
    """The `PictureStore` of a folder, a list or a manifest. Make one with `open`.

    Parameters
    ----------
    queue : PictureQueue
    place : Path
        The folder, list file or manifest.
    choice : Choice or None
        Which pictures of a manifest; None of a folder or list.

    Attributes
    ----------
    queue, place, choice
    """

    states: tuple[RowState, ...] = STATES
    open_states: tuple[RowState, ...] = ("untouched", "begun")
    sorts: tuple[SortKey, ...] = ("added", "name", "state")
    actions: frozenset[Action] = frozenset({"done", "authentic", "choose output"})

    def __init__(self, queue: PictureQueue, place: Path, choice: Choice | None = None) -> None:
        self.queue = queue
        self.place = place
        self.choice = choice
        # By key, which is the path below the queue's folder; states are written in the reading
        # worker, one at a time.
        self._states = queue.states()
        self._pictures = dict(zip(self._states, queue.pictures, strict=True))

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        output: str | os.PathLike[str] | None = None,
        choice: Choice | None = None,
    ) -> FolderPictures:
        """Find the pictures of a folder, a list or a manifest, and look up how far each of them is.

        Parameters
        ----------
        path : path-like
        output : path-like, optional
            See `PictureQueue.open`.
        choice : Choice, optional
            Of a manifest; default: `QUEUE_CHOICE`.

        Raises
        ------
        DatasetError
            It cannot be read or holds no pictures.
        """
        place = Path(os.path.abspath(path))
        if is_manifest(place):
            choice = choice or QUEUE_CHOICE
            return cls(manifest_queue(place, choice, output), place, choice)
        return cls(PictureQueue.open(place, output), place)

    def with_output(self, output: str | os.PathLike[str]) -> FolderPictures:
        """Return the same pictures with masks and records in another folder."""
        moved = replace(self.queue, output=Path(os.path.abspath(output)))
        return FolderPictures(moved, self.place, self.choice)

    annotator = ""

    @property
    def title(self) -> str:
        """See `PictureStore`."""
        return printable(self.place.name)

    @property
    def opened_with(self) -> Mapping[str, str]:
        """See `PictureStore`: the folder of masks, and what is chosen of a manifest."""
        chosen = {} if self.choice is None else choice_as_texts(self.choice)
        return {"output": os.fspath(self.queue.output), **chosen}

    @property
    def notes(self) -> tuple[str, ...]:
        """See `PictureStore`."""
        return self.queue.notes

    def listing(self, query: PictureQuery) -> Listing:
        """See `PictureStore`."""
        if query.sort not in self.sorts:
            raise DatasetError(
                f"A folder cannot be sorted by {query.sort!r}: choose one of "
                f"{', '.join(self.sorts)}."
            )
        keys = list(self._states)
        counts: Counter[str] = Counter(self._states.values())
        searched = query.text.strip().casefold()
        if searched:
            keys = [key for key in keys if searched in key.casefold()]
        if query.others or query.tag or query.stages or query.problems:
            keys = []  # nobody is named, and nothing has tags, stages or problems
        if query.sort == "name":
            keys.sort(key=lambda key: os.path.basename(key).casefold())
        elif query.sort == "state":
            ranks = {state: rank for rank, state in enumerate(STATES)}
            keys.sort(key=lambda key: ranks[self._states[key]])
        if query.descending:
            keys.reverse()
        return Listing(keys, [self._states[key] for key in keys], query.states, counts)

    def entry(self, key: str) -> QueueEntry:
        """Look up how far a picture is, and where what was made of it lies."""
        entry = self.queue.entry(self._pictures[key])
        self._states[key] = entry.state
        return entry

    def kept_at(self, key: str) -> Path:
        """See `PictureStore`: the record."""
        return self.queue.place(self._pictures[key]).record

    def begin(self, key: str, image: ReadImage) -> FolderWork:
        """Return work on a picture of which nothing was made."""
        shape = image.pixels.shape[0], image.pixels.shape[1]
        nothing = AnnotatedPlane(Annotation.empty(shape))
        return FolderWork(key, self.queue.place(self._pictures[key]), image, nothing)

    def look_up(self, keys: Sequence[str]) -> tuple[PictureRow, ...]:
        """See `PictureStore`."""
        return tuple(self._row(key) for key in keys)

    def _row(self, key: str) -> PictureRow:
        entry = self.entry(key)
        there = os.path.exists(entry.picture)  # which no name upsets, however long
        problem = "" if there else f"{printable(entry.picture)} is gone."
        return PictureRow(
            key, printable(entry.picture.name), key, entry.state, "annotate", (), None, None, None,
            "", (), problem, "",
        )  # fmt: skip

    def read(self, key: str) -> FolderWork:
        """See `PictureStore`."""
        return read_work(key, self.entry(key))

    def given(self, key: str) -> Labels | None:
        """See `PictureStore`: the mask that a list names."""
        entry = self.queue.place(self._pictures[key])
        if entry.given is None:
            return None
        return from_one(read_label_truth(ListEntry(entry.picture, entry.given)).labels)

    def locate(self, key: str) -> Path:
        """See `PictureStore`."""
        return self._pictures[key]

    def people(self) -> tuple[str, ...]:
        """See `PictureStore`: nobody is named."""
        return ()

    def tags(self) -> tuple[str, ...]:
        """See `PictureStore`: there are none."""
        return ()

    def tag(self, key: str, tags: Collection[str]) -> None:
        """See `PictureStore`."""
        raise DatasetError("A folder or list holds no tags: make a project of it.")

    def annotators(self, key: str) -> tuple[str, ...]:
        """See `PictureStore`: nobody is named."""
        return ()

    def other_work(self, key: str, annotator: str) -> AnnotatedPlane:
        """See `PictureStore`."""
        raise DatasetError(
            f"Masks beside pictures are nobody's: there is no work of {printable(annotator)}."
        )

    def close(self) -> None:
        """See `PictureStore`: no file is open."""
