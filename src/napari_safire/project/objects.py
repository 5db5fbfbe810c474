"""Files named by their content: never changed once written, and two of one content are one.

``objects/ab/cdef….png`` holds labels as grey values, ``….json.gz`` a JSON value. The name is the
SHA-256 of the file's bytes, so `sha256sum` can check it without this program.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.atomic import rename
from napari_safire.decoding.limits import MAX_PIXELS
from napari_safire.errors import DatasetError, SafireError
from napari_safire.project.chain.events import canonical
from napari_safire.text import printable

Suffix = Literal[".png", ".json.gz"]
_SUFFIXES: tuple[Suffix, ...] = (".png", ".json.gz")
_PNG_LEVEL = 3  # of zlib: level 6 takes twice as long for a tenth less
_LARGEST_JSON = 1 << 30  # bytes unpacked


class Objects:
    """The content-addressed files of a project.

    Parameters
    ----------
    folder : Path
        Made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put_labels(self, labels: npt.NDArray[Any]) -> str:
        """Keep a label image.

        Parameters
        ----------
        labels : (H, W) uint8 array
            0 where there is no source; sources from 1.

        Returns
        -------
        str
            SHA-256 of its file.

        Raises
        ------
        SafireError
            It cannot be written: the disk is full, or the folder read-only.
        """
        if labels.dtype != np.uint8 or labels.ndim != 2:
            raise TypeError(f"Labels are (H, W) uint8, not {labels.dtype} of {labels.shape}.")
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(labels)).save(
            buffer, format="PNG", compress_level=_PNG_LEVEL
        )
        return self._put(buffer.getvalue(), ".png")

    def put_json(self, value: Any) -> str:
        """Keep a JSON value; as `put_labels`."""
        data = gzip.compress(canonical(value).encode(), compresslevel=3, mtime=0)
        return self._put(data, ".json.gz")

    def labels(self, sha256: str) -> npt.NDArray[np.uint8]:
        """Read a label image, if its file is still what it was.

        Parameters
        ----------
        sha256 : str

        Returns
        -------
        (H, W) uint8 array

        Raises
        ------
        DatasetError
            The file is gone or damaged.
        """
        data = self._get(sha256, ".png")
        try:
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                if image.mode != "L" or image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"it has mode {image.mode} and size {image.size}")
                return np.asarray(image).copy()
        except (OSError, ValueError, SyntaxError, zlib.error) as error:
            raise DatasetError(f"The labels {sha256[:12]}… are damaged ({error}).") from error

    def json(self, sha256: str) -> Any:
        """Read a JSON value; as `labels`."""
        data = self._get(sha256, ".json.gz")
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                unpacked = file.read(_LARGEST_JSON + 1)
            if len(unpacked) > _LARGEST_JSON:
                raise ValueError(f"it unpacks to more than {_LARGEST_JSON >> 20} MiB")
            return json.loads(unpacked)
        except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
            raise DatasetError(f"The object {sha256[:12]}… is damaged ({error}).") from error

    def path(self, sha256: str, suffix: Suffix) -> Path:
        """Return where an object lies, or would lie."""
        return self.folder / sha256[:2] / f"{sha256[2:]}{suffix}"

    def find(self, sha256: str) -> Path | None:
        """Return where an object lies; None if it is not there."""
        paths = (self.path(sha256, suffix) for suffix in _SUFFIXES)
        return next((path for path in paths if path.is_file()), None)

    def problem(self, sha256: str) -> str:
        """Say what is wrong with an object; empty if nothing is."""
        path = self.find(sha256)
        if path is None:
            return f"The object {sha256[:12]}… is missing from {printable(self.folder)}."
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"{printable(path)} cannot be read: {error.strerror}."
        return "" if found == sha256 else f"{printable(path)} was changed: its hash is another."

    def copy_from(self, other: Objects, sha256: str) -> None:
        """Take over an object from another project, if it is what its name says.

        Raises
        ------
        DatasetError
            It is gone or damaged there.
        """
        if self.find(sha256) is not None:
            return
        path = other.find(sha256)
        if path is None:
            raise DatasetError(other.problem(sha256))
        suffix: Suffix = ".png" if path.suffix == ".png" else ".json.gz"
        self._put(other._get(sha256, suffix), suffix)

    def __iter__(self) -> Iterator[str]:
        """Go through the hashes of all objects that are there."""
        for path in sorted(self.folder.glob("??/*")):
            digest = path.parent.name + path.name.split(".")[0]
            if len(digest) == 64:
                yield digest

    def _put(self, data: bytes, suffix: Suffix) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest, suffix)
        try:
            if path.is_file() and path.read_bytes() == data:  # a damaged one is mended
                return digest
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{secrets.token_hex(6)}.tmp")
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())  # an event that names it may be on the disk before it
                rename(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise SafireError(
                f"Nothing can be written to {printable(self.folder)} ({error.strerror or error}): "
                "make room, or have the folder made writable."
            ) from error
        return digest

    def _get(self, sha256: str, suffix: Suffix) -> bytes:
        path = self.path(sha256, suffix)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DatasetError(
                f"{printable(path)} cannot be read ({error.strerror}): fetch it from a backup."
            ) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DatasetError(
                f"{printable(path)} was changed, its hash is another: fetch it from a backup."
            )
        return data
