"""Where the rows of pictures stand that were examined, in sorted files of an output folder.

::

    <output>/known/<digest of the names of its parts>.index

    head       magic, version; how many entries and parts
    fan-out    of each beginning of a key: how many entries come before it
    keys       the first 16 bytes of the SHA-256 of files, sorted
    places     of each key: number of the part, row
    parts      their names, 16 bytes each
    checksum   of all before

One process writes these files, any number look into them. They are read with ``seek`` and ``read``,
not mapped: a file that another machine has replaced is an error then, and no signal that ends the
process. Nothing in them is believed: whoever finds a place looks at the row.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from napari_safire.atomic import atomic_path

KNOWN = "known"
KEY_DIGITS = 32
"""Of a hash: 16 bytes tell any two of 10^9 files apart."""
KEY = np.dtype((np.bytes_, KEY_DIGITS // 2))

MOST_ENTRIES = 1 << 25
"""Of one file: 800 MB. Larger ones are not made of smaller ones, and not read."""
MOST_PARTS = 1 << 22
_MOST_FILES = 256
_SUFFIX = ".index"
_MAGIC = b"SAFIRE\0K"
_VERSION = 1
_HEAD = struct.Struct("<8sIIQ")  # magic, version, parts, entries
_PLACE = np.dtype("<u4")
_FAN = np.dtype("<u4")
_CHECKSUM = 32
_BUCKET = 256  # entries that one beginning of a key should have
_MOST_BITS = 16
_READ_AT_ONCE = 4096  # entries that are looked through in memory
_SAME_KEY = 4  # entries of one key that are looked at: there is one, but after accidents
_CHUNK = 1 << 18  # entries that are merged at once, about
_LARGEST_CHUNK = 1 << 21


Keys = npt.NDArray[np.bytes_]
Places = npt.NDArray[np.uint32]


class Source(Protocol):
    """Sorted entries, here or in a file."""

    def __len__(self) -> int: ...

    def parts(self) -> bytes:
        """Names of the parts, one after the other."""
        ...

    def lower_bound(self, key: bytes) -> int:
        """How many entries come before a key."""
        ...

    def read(self, start: int, stop: int) -> tuple[Keys, Places]:
        """Some entries."""
        ...


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries in memory.

    Parameters
    ----------
    keys : array of 16 bytes
        Sorted.
    places : (N, 2) array of int
        Number of the part, row.
    names : bytes
        Of the parts.
    """

    keys: Keys
    places: Places
    names: bytes

    @classmethod
    def of_parts(cls, contents: Sequence[tuple[str, Keys, npt.NDArray[np.int32]]]) -> Entries:
        """Sort what parts hold: name, keys and rows of each."""
        keys = np.concatenate([np.zeros(0, KEY), *(keys for _, keys, _ in contents)])
        places = np.zeros((len(keys), 2), _PLACE)
        places[:, 0] = np.repeat(np.arange(len(contents)), [len(k) for _, k, _ in contents])
        places[:, 1] = np.concatenate([np.zeros(0, np.int32), *(rows for *_, rows in contents)])
        order = np.argsort(keys, kind="stable")
        names = b"".join(bytes.fromhex(name) for name, *_ in contents)
        return cls(keys[order], places[order], names)

    def __len__(self) -> int:
        return len(self.keys)

    def parts(self) -> bytes:
        """As `Source` says."""
        return self.names

    def lower_bound(self, key: bytes) -> int:
        """As `Source` says."""
        return int(np.searchsorted(self.keys, np.array([key], KEY))[0])

    def read(self, start: int, stop: int) -> tuple[Keys, Places]:
        """As `Source` says."""
        return self.keys[start:stop], self.places[start:stop]


class IndexFile:
    """A file of the index, which may be anybody's.

    Parameters
    ----------
    path : Path
    verify : bool
        Compare its checksum, which means to read all of it.

    Raises
    ------
    ValueError
        It is damaged, or of another version.
    OSError
        It cannot be read.
    """

    def __init__(self, path: Path, *, verify: bool = False) -> None:
        self.path = path
        if not stat.S_ISREG(os.lstat(path).st_mode):  # to open a pipe would wait for ever
            raise ValueError("it is no file")
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)
        magic, version, self.n_parts, self._n = _HEAD.unpack(self._bytes(0, _HEAD.size))
        if magic != _MAGIC or version != _VERSION:
            raise ValueError("it is of another version")
        if self._n > MOST_ENTRIES or self.n_parts > MOST_PARTS:
            raise ValueError("it is too large")
        self._layout = _Layout.of(self._n, self.n_parts)
        if os.fstat(self._file).st_size != self._layout.end + _CHECKSUM:
            raise ValueError("it was cut off")
        if verify:
            self._compare_checksum()
        fan = self._bytes(_HEAD.size, self._layout.keys - _HEAD.size)
        self._fan = np.frombuffer(fan, _FAN)
        ends = (int(self._fan[0]), int(self._fan[-1]))
        if ends != (0, self._n) or np.any(self._fan[1:] < self._fan[:-1]):
            raise ValueError("its fan-out is damaged")

    def __len__(self) -> int:
        return self._n

    def parts(self) -> bytes:
        """As `Source` says."""
        return self._bytes(self._layout.parts, KEY.itemsize * self.n_parts)

    def part(self, number: int) -> str | None:
        """Name of a part; None where there is none of this number."""
        if number >= self.n_parts:
            return None
        return self._bytes(self._layout.parts + KEY.itemsize * number, KEY.itemsize).hex()

    def lower_bound(self, key: bytes) -> int:
        """As `Source` says."""
        bucket = int.from_bytes(key[:4], "big") >> (32 - self._layout.bits)
        start, stop = int(self._fan[bucket]), int(self._fan[bucket + 1])
        while stop - start > _READ_AT_ONCE:  # far more than its share: keys made for it
            middle = (start + stop) // 2
            if self._keys(middle, middle + 1)[0].ljust(KEY.itemsize, b"\0") < key:
                start = middle + 1
            else:
                stop = middle
        return start + int(np.searchsorted(self._keys(start, stop), np.array([key], KEY))[0])

    def read(self, start: int, stop: int) -> tuple[Keys, Places]:
        """As `Source` says."""
        size = 2 * _PLACE.itemsize
        data = self._bytes(self._layout.places + size * start, size * (stop - start))
        return self._keys(start, stop), np.frombuffer(data, _PLACE).reshape(-1, 2)

    def find(self, key: bytes) -> list[tuple[str, int]]:
        """Return parts and rows that may hold content with this key."""
        start = self.lower_bound(key)
        keys, places = self.read(start, min(start + _SAME_KEY, self._n))
        same = places[keys == np.array([key], KEY)]
        named = [(self.part(int(part)), int(row)) for part, row in same]
        return [(part, row) for part, row in named if part is not None]

    def _keys(self, start: int, stop: int) -> Keys:
        size = KEY.itemsize
        data = self._bytes(self._layout.keys + size * start, size * (stop - start))
        return np.frombuffer(data, KEY)

    def _bytes(self, start: int, size: int) -> bytes:
        os.lseek(self._file, start, os.SEEK_SET)  # Windows has no pread
        data = os.read(self._file, size) if size else b""
        while len(data) < size:
            more = os.read(self._file, size - len(data))
            if not more:
                raise ValueError("it was cut off")
            data += more
        return data

    def _compare_checksum(self) -> None:
        with open(self._file, "rb", closefd=False) as file:
            wanted = _checksum(file, self._layout.end)
        if self._bytes(self._layout.end, _CHECKSUM) != wanted:
            raise ValueError("its checksum is another")


class ContentIndex:
    """The files of an index, as far as they can be used.

    Parameters
    ----------
    folder : Path
        Need not exist.
    verify : bool
        Files whose checksum is wrong are not used.
    """

    def __init__(self, folder: Path, *, verify: bool = False) -> None:
        self._folder = folder
        self._verify = verify
        self.files: dict[str, IndexFile] = {}
        self.refused: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take notice of files that came or went since."""
        for _ in range(3):  # one may be replaced between being listed and being opened
            names = _index_names(self._folder)
            self.refused.update(names[_MOST_FILES:])
            self.files = {name: self.files[name] for name in names if name in self.files}
            vanished = False
            for name in names:
                if name in self.files or name in self.refused:
                    continue
                try:
                    self.files[name] = IndexFile(self._folder / name, verify=self._verify)
                except FileNotFoundError:
                    vanished = True
                except (ValueError, OSError):  # what it knew is found out anew
                    self.refused.add(name)
            if not vanished:
                return

    def find(self, key: bytes) -> Iterator[tuple[str, int]]:
        """Tell parts and rows that may hold content with this key."""
        for name, file in list(self.files.items()):
            try:
                yield from file.find(key)
            except (ValueError, OSError):  # cut off or replaced, elsewhere, while it was open
                self.refused.add(name)
                self.files.pop(name, None)


def _index_names(folder: Path) -> list[str]:
    """List the files of an index; there is none where the folder is missing."""
    try:
        names = os.listdir(folder)
    except OSError:  # there is none, or it may not be read: whoever publishes says so
        return []
    return sorted(n for n in names if n.endswith(_SUFFIX) and not n.startswith("."))


def write_index(folder: Path, sources: Sequence[Source]) -> Path:
    """Write entries to one file: under another name, synced, then renamed.

    Parameters
    ----------
    folder : Path
        Must exist.
    sources : sequence of Source

    Returns
    -------
    Path
        Its name stands for the parts that it covers.

    Raises
    ------
    OSError
        It cannot be written.
    ValueError
        A source is damaged.
    """
    names = b"".join(source.parts() for source in sources)
    size = KEY.itemsize
    each = sorted(names[start : start + size] for start in range(0, len(names), size))
    digest = hashlib.blake2b(b"".join(each), digest_size=16).hexdigest()
    n, layout = sum(map(len, sources)), _Layout.of(sum(map(len, sources)), len(each))
    path = folder / f"{digest}{_SUFFIX}"
    with atomic_path(path) as temporary, open(temporary, "w+b") as file:
        file.write(_HEAD.pack(_MAGIC, _VERSION, len(each), n))
        fan = np.zeros((1 << layout.bits) + 1, np.int64)
        done = 0
        for keys, places in _merged(sources):
            file.seek(layout.keys + KEY.itemsize * done)
            file.write(keys.tobytes())
            file.seek(layout.places + 2 * _PLACE.itemsize * done)
            file.write(places.tobytes())
            begins = keys.view(">u4").reshape(-1, 4)[:, 0].astype(np.int64)
            fan[1:] += np.bincount(begins >> (32 - layout.bits), minlength=1 << layout.bits)
            done += len(keys)
        file.seek(layout.parts)
        file.write(names)
        file.seek(_HEAD.size)
        file.write(np.cumsum(fan).astype(_FAN).tobytes())
        file.flush()
        checksum = _checksum(file, layout.end)
        file.seek(layout.end)
        file.write(checksum)
        file.flush()
        os.fsync(file.fileno())
    return path


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed writer left; no other may be at work."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(_SUFFIX):
            (folder / name).unlink(missing_ok=True)


def _merged(sources: Sequence[Source]) -> Iterator[tuple[Keys, Places]]:
    """Entries of all sources in their order, some at a time."""
    firsts = np.cumsum([0] + [len(source.parts()) // KEY.itemsize for source in sources])
    chunks = 1 << (max(1, sum(map(len, sources))) // _CHUNK).bit_length()
    starts = [0] * len(sources)
    for chunk in range(1, chunks + 1):
        end = min(chunk * (1 << 32) // chunks, (1 << 32) - 1).to_bytes(4, "big")
        end = end.ljust(KEY.itemsize, b"\0")
        stops = [len(s) if chunk == chunks else s.lower_bound(end) for s in sources]
        if any(stop < start for start, stop in zip(starts, stops, strict=True)):
            raise ValueError("its keys are not sorted")
        if sum(stops) - sum(starts) > _LARGEST_CHUNK:
            raise ValueError("its keys are no hashes")
        read = [s.read(*place) for s, *place in zip(sources, starts, stops, strict=True)]
        keys = np.concatenate([keys for keys, _ in read])
        moved = [
            places + np.array([first, 0], _PLACE)
            for (_, places), first in zip(read, firsts[:-1], strict=True)
        ]
        order = np.argsort(keys, kind="stable")
        yield keys[order], np.concatenate(moved).astype(_PLACE)[order]
        starts = stops


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where what begins in a file, and how many bits of a key its fan-out tells apart."""

    bits: int
    keys: int
    places: int
    parts: int
    end: int

    @classmethod
    def of(cls, n: int, n_parts: int) -> _Layout:
        bits = min(_MOST_BITS, (n // _BUCKET).bit_length())
        keys = _HEAD.size + _FAN.itemsize * ((1 << bits) + 1)
        places = keys + KEY.itemsize * n
        parts = places + 2 * _PLACE.itemsize * n
        return cls(bits, keys, places, parts, parts + KEY.itemsize * n_parts)


def _checksum(file: BinaryIO, size: int) -> bytes:
    digest = hashlib.blake2b(digest_size=_CHECKSUM)
    file.seek(0)
    while size:
        data = file.read(min(size, 1 << 20))
        if not data:
            raise ValueError("it was cut off")
        digest.update(data)
        size -= len(data)
    return digest.digest()
