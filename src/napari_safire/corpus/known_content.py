"""Which bytes were examined already, so that copies of a picture are answered once.

Who runs a corpus keeps an index of its parts (`napari_safire.corpus.content_index`) in the output
folder. Workers look into it: what a task costs them does not grow with the corpus. The index can be
removed at any time, and is then made anew of the parts.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_safire.atomic import not_written
from napari_safire.corpus.content_index import (
    KEY,
    KEY_DIGITS,
    KNOWN,
    MOST_ENTRIES,
    MOST_PARTS,
    ContentIndex,
    Entries,
    IndexFile,
    Keys,
    remove_unfinished,
    write_index,
)
from napari_safire.corpus.manifest import Manifest, read_part
from napari_safire.corpus.manifest_schema import ManifestRow
from napari_safire.errors import DatasetError, SafireError
from napari_safire.text import printable

if TYPE_CHECKING:
    import pyarrow as pa

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[0-9a-f]{32}")
_WITHIN = 5.0  # seconds until workers are to know of a part that was written
_AT_ONCE = 1 << 17  # entries that wait in memory
_LARGER = 4
"""A file is merged with later ones until it is so many times larger: few files, little copying."""


@dataclass(frozen=True, slots=True)
class PartContent:
    """Which content the rows of a part tell of, of pictures that were examined without an error.

    Parameters
    ----------
    part : str
        Its name.
    keys : array of 16 bytes
    rows : array of int
    """

    part: str
    keys: Keys
    rows: npt.NDArray[np.int32]

    @classmethod
    def of(cls, part: str, values: Iterable[tuple[str, str, str]]) -> PartContent:
        """Take it from ``file_sha256``, ``same_as`` and ``error_class`` of all rows."""
        found = [
            (bytes.fromhex(sha256[:KEY_DIGITS]), row)
            for row, (sha256, same_as, wrong) in enumerate(values)
            if not same_as and not wrong and _SHA256.fullmatch(sha256)
        ]
        keys: Keys = np.array([key for key, _ in found], KEY)
        return cls(part, keys, np.array([row for _, row in found], np.int32))

    @classmethod
    def of_rows(cls, part: str, rows: Sequence[ManifestRow]) -> PartContent:
        """Take it from rows."""
        return cls.of(part, ((r.file_sha256, r.same_as, r.error_class) for r in rows))


class PublishedContent:
    """What stands in the index of an output folder, and in rows whose part is not written yet.

    Nothing is written, and no part read but the one that holds a row which is asked for.

    Parameters
    ----------
    manifest : Manifest
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._lock = threading.RLock()
        self._fresh: dict[bytes, ManifestRow] = {}
        self._index = self._open_index()
        self._last_read: tuple[str, pa.Table] | None = None

    def refresh(self) -> None:
        """Take notice of what was published since."""
        with self._lock:
            self._index.refresh()

    def note(self, row: ManifestRow) -> None:
        """Take notice of a row whose part is not written yet."""
        if row.file_sha256 and not row.same_as and not row.error_class:
            with self._lock:
                self._fresh[_key(row.file_sha256)] = row

    def take_in(self, content: PartContent) -> None:
        """Take notice of a part that was written, of rows that were noted."""
        with self._lock:
            self._fresh.clear()

    def publish(self) -> None:
        """Write down what was taken in: nothing, where another process does."""

    def find(self, file_sha256: str) -> ManifestRow | None:
        """Return the row of a picture with these bytes; None if there is none."""
        key = _key(file_sha256)
        with self._lock:
            fresh = self._fresh.get(key)
            if fresh is not None:
                return fresh if fresh.file_sha256 == file_sha256 else None
            for part, number in self._places(key):
                row = self._row(part, number)
                if row is not None and row.file_sha256 == file_sha256 and not row.error_class:
                    return row
        return None

    def _open_index(self) -> ContentIndex:
        return ContentIndex(self._manifest.output / KNOWN)

    def _places(self, key: bytes) -> Iterator[tuple[str, int]]:
        return self._index.find(key)

    def _row(self, part: str, number: int) -> ManifestRow | None:
        """Read a row; None where the part is gone, damaged or has no such row."""
        if self._last_read is None or self._last_read[0] != part:
            try:
                self._last_read = (part, read_part(self._manifest.part(part)))
            except DatasetError:  # its picture is examined anew; the next run names the part
                return None
        table = self._last_read[1]
        if number >= len(table):
            return None
        return ManifestRow.from_columns(table.slice(number, 1).to_pylist()[0])


class KnownContent(PublishedContent):
    """The same for the one process that keeps the index; the output folder is locked.

    Parameters
    ----------
    manifest : Manifest
        Parts that the index does not cover are read.

    Raises
    ------
    DatasetError
        Such a part is damaged.
    """

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self._waiting: list[PartContent] = []
        self._places_waiting: dict[bytes, tuple[str, int]] = {}
        self._n_waiting = 0
        self._published = time.monotonic()
        covered = self._covered()
        for path in manifest.parts():
            if _PART.fullmatch(path.stem) and bytes.fromhex(path.stem) not in covered:
                table = read_part(path, ["file_sha256", "same_as", "error_class"])
                values = (table[name].to_pylist() for name in table.column_names)
                self.take_in(PartContent.of(path.stem, zip(*values, strict=True)))
                if self._n_waiting >= _AT_ONCE:
                    self.publish()

    @property
    def is_due(self) -> bool:
        """Whether what was taken in should be published."""
        late = time.monotonic() - self._published > _WITHIN
        return self._n_waiting >= _AT_ONCE or (late and bool(self._waiting))

    def refresh(self) -> None:
        """Publish what was taken in, now and then; raises as `publish`."""
        if self.is_due:
            self.publish()

    def take_in(self, content: PartContent) -> None:
        """Take notice of a part that was written."""
        with self._lock:
            self._waiting.append(content)
            self._n_waiting += len(content.keys)
            for key, row in zip(content.keys.tolist(), content.rows.tolist(), strict=True):
                self._places_waiting[key.ljust(KEY.itemsize, b"\0")] = (content.part, row)
            super().take_in(content)

    def publish(self) -> None:
        """Write down what was taken in, so that workers, and the next run, know of it.

        Raises
        ------
        NotWritten
        """
        with self._lock:
            waiting = self._waiting[:]
            refused = set(self._index.refused)
        folder = self._manifest.output / KNOWN
        self._published = time.monotonic()
        if not waiting and not refused:
            return
        try:
            make_known(self._manifest.output)
            remove_unfinished(folder)
            for name in refused:
                _remove(folder / name)
            if waiting:
                self._write(folder, waiting)
        except OSError as error:
            raise not_written(folder, error) from error
        with self._lock:
            self._index.refused -= refused
            self._index.refresh()
            self._waiting = self._waiting[len(waiting) :]
            self._n_waiting = sum(len(content.keys) for content in self._waiting)
            self._places_waiting = {
                key.ljust(KEY.itemsize, b"\0"): (content.part, row)
                for content in self._waiting
                for key, row in zip(content.keys.tolist(), content.rows.tolist(), strict=True)
            }

    def _open_index(self) -> ContentIndex:
        return ContentIndex(self._manifest.output / KNOWN, verify=True)

    def _places(self, key: bytes) -> Iterator[tuple[str, int]]:
        found = self._places_waiting.get(key)
        if found is not None:
            yield found
        yield from super()._places(key)

    def _covered(self) -> set[bytes]:
        """Parts that the index covers; files that tell nothing new are refused, as leftovers."""
        covered: set[bytes] = set()
        files = sorted(self._index.files.items(), key=lambda item: -item[1].n_parts)
        for name, file in files:
            try:
                names = file.parts()
            except (ValueError, OSError):
                names = b""
            size = KEY.itemsize
            parts = {names[start : start + size] for start in range(0, len(names), size)}
            if parts <= covered:
                self._index.refused.add(name)
                del self._index.files[name]
            covered |= parts
        return covered

    def _write(self, folder: Path, waiting: Sequence[PartContent]) -> None:
        """Write a file of what waits and of those that are not much larger."""
        entries = Entries.of_parts([(c.part, c.keys, c.rows) for c in waiting])
        merged: list[IndexFile] = []
        n, n_parts = len(entries), len(waiting)
        for file in sorted(self._index.files.values(), key=lambda file: (len(file), file.n_parts)):
            if len(file) + file.n_parts > _LARGER * (n + n_parts):
                break
            if n + len(file) > MOST_ENTRIES or n_parts + file.n_parts > MOST_PARTS:
                break
            merged.append(file)
            n, n_parts = n + len(file), n_parts + file.n_parts
        try:
            path = write_index(folder, [entries, *merged])
        except (
            ValueError
        ):  # somebody's, with the right checksum; its parts are read by the next run
            path = write_index(folder, [entries])
        for file in merged:
            if file.path != path:
                _remove(file.path)


def make_known(output: Path) -> Path:
    """Make the folder of what is known, in an output folder.

    Raises
    ------
    SafireError
        It cannot be made, or leads elsewhere.
    """
    folder = output / KNOWN
    if folder.is_symlink():  # what is removed in it could be anything
        raise SafireError(
            f"{printable(folder)} is a link to another place: remove it, and go on with the same "
            "command."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(folder, error) from error
    return folder


def row_of_copy(known: ManifestRow, own: ManifestRow) -> ManifestRow:
    """Return what is known of a picture for another one with the same bytes.

    Parameters
    ----------
    known, own : ManifestRow
        The second with nothing but its name, place, key and attempt.

    Returns
    -------
    ManifestRow
        It names the picture that was examined, but where that is the same one, seen again.
    """
    examined = known.same_as or known.picture
    return replace(
        known,
        key=own.key,
        picture=own.picture,
        place=own.place,
        attempt=own.attempt,
        same_as="" if examined == own.picture else examined,
        seconds={},
    )


def _key(file_sha256: str) -> bytes:
    return bytes.fromhex(file_sha256[:KEY_DIGITS])


def _remove(path: Path) -> None:
    """Remove a file of the index, or what lies in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if os.name != "nt":  # there a worker may have it open: the next run removes it
            raise
