"""Thumbnails of the pictures of a list: read for those on screen, kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_safire.errors import SafireError
from napari_safire.images.thumbnails import picture_thumbnail
from napari_safire.session.workers import Deliver, Job, Worker

Thumbnail = npt.NDArray[np.uint8]

_MOST_KEPT = 2_000  # of 27 kB each at most
_MOST_WANTED = 60  # more rows are on no screen: those that have scrolled by are not read


class QueueThumbnails:
    """Thumbnails by the keys of pictures, read one after the other in a thread of their own.

    What cannot be read has none; the list says why when the picture is gone to.

    Parameters
    ----------
    deliver : callable
        Makes a call in the owner's thread.

    Attributes
    ----------
    known : Signal(str)
        The thumbnail of this key is there now.
    """

    known = Signal(str)

    def __init__(self, deliver: Deliver) -> None:
        self._worker = Worker(deliver)
        self._locate: Callable[[str], Path] | None = None
        self._kept: OrderedDict[str, Thumbnail | None] = OrderedDict()
        self._wanted: OrderedDict[str, None] = OrderedDict()
        self._under_way = False

    def of(self, locate: Callable[[str], Path]) -> None:
        """Forget all: they are another list's from now on.

        Parameters
        ----------
        locate : callable
            Gives the file of a key; called in the worker's thread.
        """
        self._locate = locate
        self._kept = OrderedDict()
        self._wanted.clear()

    def get(self, key: str) -> Thumbnail | None:
        """Return the thumbnail of a picture; where it is not known, it is read."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self._wanted[key] = None
        self._wanted.move_to_end(key)  # who scrolls wants to see the last ones first
        while len(self._wanted) > _MOST_WANTED:
            self._wanted.popitem(last=False)
        self._read()
        return None

    def close(self) -> None:
        """Read no more."""
        self._wanted.clear()
        self._worker.close()

    def _read(self) -> None:
        locate, kept = self._locate, self._kept
        if self._under_way or not self._wanted or locate is None:
            return
        key, _ = self._wanted.popitem()
        self._under_way = True

        def take(thumbnail: Thumbnail | None) -> None:
            self._under_way = False
            if kept is self._kept:
                kept[key] = thumbnail
                while len(kept) > _MOST_KEPT:
                    kept.popitem(last=False)
                self.known.emit(key)
            self._read()

        self._worker.submit(
            Job("", lambda progress, cancel: _look(locate, key), take, lambda error: take(None))
        )


def _look(locate: Callable[[str], Path], key: str) -> Thumbnail | None:
    try:
        return picture_thumbnail(locate(key))
    except (SafireError, OSError, ValueError, MemoryError):
        return None
