"""Embeddings on disk, so that a picture is read once and not at every start.

One file an entry: features, and which patches are uninformative, as safetensors, everything else as
JSON in its metadata, a checksum over both. No lock is needed: files appear whole or not at all, a
damaged one is found by its checksum, and whoever comes too late to an evicted one has missed it.

Torch is loaded by `EmbeddingCache.get` and `EmbeddingCache.put` alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from napari_safire.atomic import atomic_path
from napari_safire.basis import ALGORITHM
from napari_safire.errors import SafireError
from napari_safire.geometry import Geometry
from napari_safire.types import Embedding

Arrays = dict[str, npt.NDArray[Any]]

# Only files of these names are ever counted or removed: the folder may hold other things.
_ENTRY = re.compile(r"[0-9a-f]{64}\.safetensors")
_LEFTOVER = re.compile(r"\.[0-9a-f]+\.[0-9a-f]+\.tmp\.[a-z]+")  # as atomic_path names them
_CONTENTS = ({"features": "F32"}, {"features": "F32", "uninformative": "U8"})
# What a killed process left behind; nobody writes one embedding for so long.
_LEFTOVER_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """What an `EmbeddingCache` holds.

    Parameters
    ----------
    entries : int
    bytes : int
        Size of their files.
    """

    entries: int
    bytes: int


class EmbeddingCache:
    """Embeddings on disk, the least recently used of them dropped when there are too many.

    Any number of threads and processes may use one folder at once.

    Parameters
    ----------
    folder : Path, optional
        Made when the first embedding is stored. Default: "embeddings" in the user's folder for
        caches of napari-safire.
    max_bytes : int
        Limit on the size of all entries together.

    Raises
    ------
    ValueError
        The limit is negative.

    Examples
    --------
    >>> engine = Engine(model, cache=EmbeddingCache())      # doctest: +SKIP
    >>> engine.embed(image)  # read from the disk the next time   # doctest: +SKIP
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = 4 * 2**30) -> None:
        if folder is None:
            folder = platformdirs.user_cache_path("napari-safire") / "embeddings"
        self.folder = Path(folder)
        self._max_bytes = _checked_limit(max_bytes)
        self._problem = ""

    @property
    def max_bytes(self) -> int:
        """Limit on the size of all entries together; a lower one takes effect at once."""
        return self._max_bytes

    @max_bytes.setter
    def max_bytes(self, value: int) -> None:
        self._max_bytes = _checked_limit(value)
        self._evict()

    @property
    def problem(self) -> str:
        """Why the last `put` of any thread stored nothing, in one sentence; empty if it did."""
        return self._problem

    def get(self, image_sha256: str, checkpoint_sha256: str) -> Embedding | None:
        """Look for the embedding of a picture by a model.

        Parameters
        ----------
        image_sha256, checkpoint_sha256 : str
            As in `Embedding`.

        Returns
        -------
        Embedding or None
            None if there is none, or it is damaged (it is then removed), or cannot be read.
        """
        path = self._path(image_sha256, checkpoint_sha256)
        try:
            embedding = _read_entry(path, image_sha256, checkpoint_sha256)
        except OSError:
            return None
        except ValueError:
            _remove(path)
            return None
        _touch(path)
        return embedding

    def put(self, embedding: Embedding, on_problem: Callable[[str], None] | None = None) -> bool:
        """Keep an embedding, and drop the entries that were not used for longest.

        Parameters
        ----------
        embedding : Embedding
        on_problem : callable, optional
            Takes the sentence why it was not; `problem` may by then tell of another thread's.

        Returns
        -------
        bool
            False if it could not be cached: see `problem`. A full or read-only disk is no error.
        """
        problem = self._problem = self._store(embedding)
        if problem and on_problem is not None:
            on_problem(problem)
        return not problem

    def clear(self) -> int:
        """Remove all entries; other files in the folder stay.

        Returns
        -------
        int
            Bytes freed.
        """
        self._remove_leftovers()
        return sum(size for _, size, path in self._entries() if _remove(path))

    def usage(self) -> CacheUsage:
        """Count the entries and their bytes."""
        sizes = [size for _, size, _ in self._entries()]
        return CacheUsage(len(sizes), sum(sizes))

    def _path(self, image_sha256: str, checkpoint_sha256: str) -> Path:
        key = json.dumps({"algorithm": ALGORITHM, "of": [image_sha256, checkpoint_sha256]})
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"

    def _store(self, embedding: Embedding) -> str:
        """Write an entry; a sentence if that was not possible."""
        if not (embedding.image_sha256 and embedding.checkpoint_sha256):
            return (
                "The embedding was not cached, because its picture or its model has no hash by "
                "which it could be found again."
            )
        entry = _entry_bytes(embedding)
        if len(entry) > self._max_bytes:
            return (
                f"The embedding was not cached: its {len(entry):,} bytes exceed the cache's limit "
                f"of {self._max_bytes:,}. More disk space for it is a preference of the plugin."
            )
        path = self._path(embedding.image_sha256, embedding.checkpoint_sha256)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                temporary.write_bytes(entry)
                _touch(temporary)
        except (OSError, SafireError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return (
                f"The embedding could not be cached in {self.folder} ({reason or error}). It will "
                "be made again when it is needed; answers stay the same. Make room there for it."
            )
        self._evict(path)
        return ""

    def _evict(self, newest: Path | None = None) -> None:
        """Drop the entries that were not used for longest, never the newest."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self._max_bytes:
                break
            if path != newest:
                _remove(path)
                # Also where another process was quicker, or Windows keeps a file that is open.
                total -= size
        self._remove_leftovers()

    def _entries(self) -> list[tuple[int, int, Path]]:
        """Time of last use in ns, bytes and path of each entry."""
        found = [(status.st_mtime_ns, status.st_size, path) for path, status in self._files(_ENTRY)]
        # An entry of the future was written by a clock that went wrong: it would stay for ever.
        now = time.time_ns()
        return [(used if used <= now else 0, size, path) for used, size, path in found]

    def _remove_leftovers(self) -> None:
        for path, status in list(self._files(_LEFTOVER)):
            if status.st_mtime < time.time() - _LEFTOVER_SECONDS:
                _remove(path)

    def _files(self, name: re.Pattern[str]) -> Iterator[tuple[Path, os.stat_result]]:
        """Files of the folder whose names fit; those that vanish under way are left out."""
        try:
            with os.scandir(self.folder) as listing:
                files = [file for file in listing if name.fullmatch(file.name)]
        except OSError:  # not made yet, or not readable: nothing to count
            return
        for file in files:
            try:
                if file.is_file(follow_symlinks=False):
                    yield Path(file.path), file.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue


def _checked_limit(max_bytes: int) -> int:
    if max_bytes < 0:
        raise ValueError(f"max_bytes is {max_bytes}, but must not be negative.")
    return int(max_bytes)


def _entry_bytes(embedding: Embedding) -> bytes:
    features = np.ascontiguousarray(embedding.features, dtype=np.float32)
    description = json.dumps(
        {
            "image_sha256": embedding.image_sha256,
            "checkpoint_sha256": embedding.checkpoint_sha256,
            "algorithm": ALGORITHM,
            "geometry": asdict(embedding.geometry),
            "warnings": embedding.warnings,
        }
    )
    arrays: Arrays = {"features": features}
    if embedding.uninformative is not None:
        arrays["uninformative"] = np.ascontiguousarray(embedding.uninformative, dtype=np.uint8)
    metadata = {"embedding": description, "checksum": _checksum(description, arrays)}
    return save(arrays, metadata=metadata)


def _read_entry(path: Path, image_sha256: str, checkpoint_sha256: str) -> Embedding:
    """Read an entry and check it.

    Raises
    ------
    ValueError
        The file is damaged, something else, or the entry of another picture, model or version.
    OSError
        It cannot be read, or is not there.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            names: list[str] = file.keys()
            types = {name: file.get_slice(name).get_dtype() for name in names}
            if types not in _CONTENTS:
                raise ValueError(f"{path} holds no embedding.")
            arrays: Arrays = {name: file.get_tensor(name) for name in types}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    description = metadata.get("embedding", "")
    if metadata.get("checksum") != _checksum(description, arrays):
        raise ValueError(f"{path} is damaged: its checksum does not fit.")
    values: dict[str, Any] = json.loads(description)
    found = tuple(values.get(name) for name in ("image_sha256", "checkpoint_sha256", "algorithm"))
    if found != (image_sha256, checkpoint_sha256, ALGORITHM):
        raise ValueError(f"{path} is the entry of something else: {found}.")
    geometry = Geometry(**{name: tuple(pair) for name, pair in values["geometry"].items()})
    return Embedding(
        arrays["features"],
        geometry,
        image_sha256,
        checkpoint_sha256,
        tuple(values["warnings"]),
        arrays.get("uninformative"),
    )


def _checksum(description: str, arrays: Arrays) -> str:
    shapes = {name: arrays[name].shape for name in sorted(arrays)}
    digest = hashlib.sha256(f"{shapes} {description}".encode())
    for name in shapes:
        digest.update(arrays[name].data)
    return digest.hexdigest()


def _touch(path: Path) -> None:
    """Note the use of an entry; one in a folder that cannot be written to is still a hit."""
    now = time.time_ns()  # the file system's own clock is coarser than two entries are apart
    try:
        os.utime(path, ns=(now, now))
    except OSError:
        return


def _remove(path: Path) -> bool:
    """Remove a file; false if another process was quicker or has it open (on Windows)."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
