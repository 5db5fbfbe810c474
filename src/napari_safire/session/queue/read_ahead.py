"""The next pictures of a queue are read and embedded while another one is worked on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from napari_safire.session.queue.store import PictureStore, PictureWork
from napari_safire.session.session import Session

_MOST_BYTES = 512 << 20
"""Of pixels that are held; larger pictures are read when they are gone to."""

_Signature = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    work: PictureWork
    signature: _Signature


class ReadAhead:
    """Holds pictures that were not gone to yet.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._store: PictureStore | None = None
        self._wanted: tuple[str, ...] = ()
        # Filled and emptied in the reading worker, so that whoever comes there next finds it.
        self._read: dict[str, _Read] = {}

    def want(self, store: PictureStore, keys: Sequence[str], *, embed: bool) -> None:
        """Read these pictures next, and drop all others.

        Parameters
        ----------
        store : PictureStore
        keys : sequence of str
            The next one first.
        embed : bool
            Have the model read them as well.
        """
        if store is not self._store:
            self._store, self._wanted = store, ()
        self._session.ahead.keep_only(tuple(keys))
        new = [key for key in keys if key not in self._wanted]
        self._wanted = tuple(keys)
        for key in keys:
            read = self._read.get(key)
            if embed and read is not None:  # before there was a model, or another one
                self._session.ahead.ask(key, read.work.image.pixels)
        for key in new:
            self._session.run(
                lambda key=key: self._read_one(store, key),  # type: ignore[misc]
                lambda work, key=key: self._embed(store, key, work) if embed else None,  # type: ignore[misc]
                lambda error: None,  # told when it is gone to
                ahead=True,
            )

    def take(self, store: PictureStore, key: str) -> PictureWork | None:
        """Return a picture that was read, if its file is still the same; for the reading worker."""
        read = self._read.pop(key, None)
        if read is None or store is not self._store:
            return None
        return read.work if _signature(read.work) == read.signature else None

    def opened(self, key: str) -> None:
        """A picture is shown: if it is being embedded, it is waited for."""
        self._session.ahead.expect(key)

    def _read_one(self, store: PictureStore, key: str) -> PictureWork | None:
        if store is not self._store or key not in self._wanted:
            return None  # somebody went elsewhere
        for other in self._read.keys() - set(self._wanted):
            self._read.pop(other, None)
        work = store.read(key)
        held = sum(read.work.image.pixels.nbytes for read in self._read.values())
        if held + work.image.pixels.nbytes <= _MOST_BYTES:
            self._read[key] = _Read(work, _signature(work))
        return work

    def _embed(self, store: PictureStore, key: str, work: PictureWork | None) -> None:
        if work is not None and store is self._store and key in self._wanted:
            self._session.ahead.ask(key, work.image.pixels)


def _signature(work: PictureWork) -> _Signature:
    try:
        found = os.stat(work.path)
    except OSError:  # gone: told when it is read
        return -1, -1
    return found.st_mtime_ns, found.st_size
