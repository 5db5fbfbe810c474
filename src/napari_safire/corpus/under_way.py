"""Which picture was under way when a process died, so that one that kills it stops nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from napari_safire.atomic import not_written
from napari_safire.corpus.manifest_schema import KEY_BYTES

_NAME = "under-way"
_DEATHS = 3
"""That the same picture may be under way at, until it is passed over: a user may kill a run twice,
a decoder that crashes does so each time."""


class UnderWay:
    """Notes each picture before it is begun; the note outlives a process that dies of it.

    Parameters
    ----------
    folder : Path
        Of the manifest's parts; one process at a time, under the lock of the output folder.

    Raises
    ------
    NotWritten
        The note cannot be kept, here or in `begin`.

    Attributes
    ----------
    died : bool
        The last run died with a picture under way.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        before = b""
        with suppress(FileNotFoundError):
            before = self._path.read_bytes()
        self.died = len(before) == KEY_BYTES + 1
        self._suspect = before[:KEY_BYTES] if self.died else b""
        self._deaths = before[KEY_BYTES] + 1 if self.died else 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise not_written(folder, error) from error

    def kills(self, key: bytes) -> bool:
        """Whether runs have died again and again with this picture under way."""
        return key == self._suspect and self._deaths >= _DEATHS

    def begin(self, key: bytes) -> None:
        """Note that a picture is begun; not forced to the disk, for only the process may die."""
        deaths = self._deaths if key == self._suspect else 0
        try:
            os.lseek(self._file, 0, os.SEEK_SET)  # Windows has no pwrite
            os.write(self._file, key + bytes([min(deaths, 255)]))
        except OSError as error:
            raise not_written(self._path.parent, error) from error

    def end(self) -> None:
        """Nothing is under way any more."""
        with suppress(OSError):  # rights that went meanwhile: an empty note says as much as none
            os.ftruncate(self._file, 0)
        os.close(self._file)
        with suppress(OSError):
            self._path.unlink()
