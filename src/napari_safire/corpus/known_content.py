"""Which bytes were examined already, so that copies of a picture are answered once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_safire.corpus.manifest import Manifest, read_part
from napari_safire.corpus.manifest_schema import ManifestRow

_DIGITS = 32  # of the hash: 16 bytes tell any two of 10^8 files apart
_KEY = np.dtype((np.bytes_, _DIGITS // 2))


class KnownContent:
    """Rows of pictures that were examined, by the hash of their bytes.

    Parameters
    ----------
    manifest : Manifest
        Its parts are looked through as they come, those of other workers too (`refresh`).
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._parts: list[Path] = []
        self._seen: set[str] = set()
        self._keys = np.zeros(0, _KEY)
        self._places = np.zeros((0, 2), np.int32)
        self._fresh: dict[bytes, ManifestRow] = {}
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Take notice of parts that were written since."""
        keys, places = [self._keys], [self._places]
        with self._lock:
            for path in self._manifest.parts():
                if path.name in self._seen:
                    continue
                self._seen.add(path.name)
                table = read_part(path, ["file_sha256", "same_as", "error_class"])
                values = zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
                found = [
                    (bytes.fromhex(sha256[:_DIGITS]), row)
                    for row, (sha256, same_as, wrong) in enumerate(values)
                    if sha256 and not same_as and not wrong
                ]
                keys.append(np.array([key for key, _ in found], _KEY))
                place = np.full((len(found), 2), len(self._parts), np.int32)
                place[:, 1] = [row for _, row in found]
                places.append(place)
                self._parts.append(path)
            if len(keys) > 1:
                everything, where = np.concatenate(keys), np.concatenate(places)
                self._keys, first = np.unique(everything, return_index=True)
                self._places = where[first]
                self._fresh.clear()  # they stand in a part by now, or their task was lost

    def note(self, row: ManifestRow) -> None:
        """Take notice of a row whose part is not written yet."""
        if row.file_sha256 and not row.same_as and not row.error_class:
            with self._lock:
                self._fresh[bytes.fromhex(row.file_sha256[:_DIGITS])] = row

    def find(self, file_sha256: str) -> ManifestRow | None:
        """Return the row of a picture with these bytes; None if there is none."""
        key = bytes.fromhex(file_sha256[:_DIGITS])
        with self._lock:
            fresh = self._fresh.get(key)
            if fresh is not None:
                return fresh if fresh.file_sha256 == file_sha256 else None
            wanted = np.array([key], _KEY)[0]
            place = int(np.searchsorted(self._keys, wanted))
            if place >= len(self._keys) or self._keys[place] != wanted:
                return None
            part, row = self._places[place]
            values = read_part(self._parts[part]).slice(int(row), 1).to_pylist()[0]
        found = ManifestRow.from_columns(values)
        return found if found.file_sha256 == file_sha256 else None


def row_of_copy(known: ManifestRow, own: ManifestRow) -> ManifestRow:
    """Return what is known of a picture for another one with the same bytes.

    Parameters
    ----------
    known, own : ManifestRow
        The second with nothing but its name, place, key and attempt.

    Returns
    -------
    ManifestRow
    """
    return replace(
        known,
        key=own.key,
        picture=own.picture,
        place=own.place,
        attempt=own.attempt,
        same_as=known.picture,
        seconds={},
    )
