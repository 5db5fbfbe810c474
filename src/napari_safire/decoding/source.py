"""Bytes of a file or of memory, read at places that are checked."""

from __future__ import annotations

import io
from typing import BinaryIO


class Refusal(Exception):
    """A picture is not read; the text goes on after the file's name and says the way out."""


class Damage(Exception):
    """A file is not whole; the text says what is wrong with it."""


class ByteSource:
    """Bytes at any place of a file or of memory.

    Parameters
    ----------
    data : bytes or binary file
        A file must be seekable.
    """

    def __init__(self, data: bytes | BinaryIO) -> None:
        self._data = data if isinstance(data, bytes) else None
        self._file = None if isinstance(data, bytes) else data
        if isinstance(data, bytes):
            self.size = len(data)
        else:
            self.size = data.seek(0, io.SEEK_END)

    def read(self, start: int, n_bytes: int) -> bytes:
        """Read up to `n_bytes` from `start` on; fewer where the file ends."""
        if start < 0 or start >= self.size or n_bytes <= 0:
            return b""
        stop = min(start + n_bytes, self.size)
        if self._data is not None:
            return self._data[start:stop]
        assert self._file is not None
        self._file.seek(start)
        return self._file.read(stop - start)

    def exactly(self, start: int, n_bytes: int) -> bytes:
        """Read `n_bytes` from `start` on.

        Raises
        ------
        Damage
            The file is shorter.
        """
        if start < 0 or n_bytes < 0 or start + n_bytes > self.size:
            raise Damage(f"bytes {start} to {start + n_bytes} are asked for, it has {self.size}")
        return self.read(start, n_bytes)

    def whole(self) -> bytes:
        """Return all of it."""
        return self._data if self._data is not None else self.read(0, self.size)

    def file(self) -> BinaryIO:
        """Return all of it as a file, for libraries."""
        return self._file if self._file is not None else io.BytesIO(self.whole())
