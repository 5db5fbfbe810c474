"""Which queue is gone through, and what of it, in which order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from napari_safire.corpus.triage.choice import Choice
from napari_safire.project.queries import PictureQuery
from napari_safire.project.store import is_project
from napari_safire.session.messages import ANYWHERE
from napari_safire.session.queue.choosing import choice_of_texts
from napari_safire.session.queue.folder import FolderPictures
from napari_safire.session.queue.going import GoingThrough
from napari_safire.session.queue.listing import Listing
from napari_safire.session.queue.project_pictures import ProjectPictures
from napari_safire.session.queue.store import PictureStore
from napari_safire.text import printable


class Queues(GoingThrough):
    """Open queues one after the other, and go through each.

    Parameters and attributes as of `GoingThrough`.
    """

    def open_queue(self, path: str | os.PathLike[str], choice: Choice | None = None) -> None:
        """Begin with the first picture of a folder, a list, a manifest or a project to be done.

        Parameters
        ----------
        path : path-like
            What cannot be opened is told, and the queue before stays.
        choice : Choice, optional
            Which pictures of a manifest; default: the highest scores.
        """
        present = self.store

        def make() -> PictureStore:
            if not is_project(path):
                return FolderPictures.open(path, choice=choice)
            store = ProjectPictures.open(path)
            if isinstance(present, ProjectPictures) and present.is_same(store):
                store.close()
                return present
            return store

        self.open_store(make, Path(path).name)

    @property
    def noted(self) -> dict[str, str]:
        """What `resume` needs to go on here in another session; empty without a queue."""
        store = self.store
        if store is None:
            return {}
        return {**store.opened_with, "place": os.fspath(store.place), "key": self.key}

    def resume(self, noted: Mapping[str, str]) -> None:
        """Open the queue and the picture that an earlier session of this program had open.

        Parameters
        ----------
        noted : mapping of str to str
            As `noted` was then.
        """
        place = noted["place"]

        def make() -> PictureStore:
            if is_project(place):
                return ProjectPictures.open(place, noted.get("author"))
            return FolderPictures.open(place, noted.get("output"), choice_of_texts(noted))

        self.open_store(make, Path(place).name, noted["key"])

    def open_store(self, make: Callable[[], PictureStore], name: str, key: str = "") -> None:
        """Begin with the first picture of a store in which there is something to do.

        Parameters
        ----------
        make : callable
            Gives the store; called in the reading worker. What it raises is told, and the queue
            before stays.
        name : str
            Of what is opened, for the user.
        key : str
            The picture to begin with, if it is there.
        """
        if self.doing:
            return

        def look() -> tuple[PictureStore, Listing]:
            store = make()
            return store, store.listing(PictureQuery())

        def found(made: tuple[PictureStore, Listing]) -> None:
            store, listing = made
            for note in store.notes:
                self.notice.emit(note, False, ANYWHERE)
            first = listing.position(key)
            if first is None:
                first = listing.following(-1, store.open_states) or 0
            if not listing.keys:
                self.notice.emit(f"{store.title} has no pictures yet: add some.", True, ANYWHERE)
                self._end()
                return
            self._go(store, listing, [listing.keys[first]], PictureQuery())

        self._begin(f"Looking into {printable(name)} …")
        self._read(look, found)

    def set_query(self, query: PictureQuery) -> None:
        """See other pictures of the queue, or in another order; the open one stays open.

        Parameters
        ----------
        query : PictureQuery
        """
        store, before = self.store, self.query
        if store is None or query == before:
            return
        self.query = query
        if query == replace(before, states=query.states):
            self.listing = self.listing.with_wanted(query.states)
            self.listed_query = replace(self.listed_query, states=query.states)
            self.listed.emit()
            self.changed.emit()
            return

        self.list_anew()

    def list_anew(self) -> None:
        """Look up again which pictures there are; others may have added some."""
        store, query = self.store, self.query
        if store is None:
            return

        def found(listing: Listing) -> None:
            now = self.query
            if self.store is store and now == replace(query, states=now.states):
                self.listing, self.listed_query = listing.with_wanted(now.states), now
                self.listed.emit()
                self.changed.emit()

        self._session.run(lambda: store.listing(query), found, self._tell_failure)

    def choose_output(self, folder: str | os.PathLike[str]) -> None:
        """Put masks and records of a folder or list into another folder from now on.

        The open picture is saved where it was. Where that is not possible, it goes along.

        Parameters
        ----------
        folder : path-like
            Need not exist.
        """
        store, key, query = self.store, self.key, self.query
        if self.doing or not isinstance(store, FolderPictures):
            return

        def look() -> tuple[FolderPictures, Listing]:
            moved = store.with_output(folder)
            return moved, moved.listing(query)

        def found(made: tuple[FolderPictures, Listing]) -> None:
            moved, listing = made

            def not_saved(error: Exception) -> None:
                if self._open is None or moved.entry(key).state != "untouched":
                    self._not_saved(error)
                    return
                self._open.work = moved.begin(key, self._open.work.image)
                self._take(moved, listing, query)
                self._end()

            self._save(None, lambda: self._go(moved, listing, [key], query), not_saved)

        self._begin(f"Looking into {printable(Path(folder).name)} …")
        self._read(look, found)
