"""Pictures in tar archives, as WebDataset lays them out: read at their place, never unpacked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from napari_safire.corpus.inputs.picture import CorpusPicture, Input, InputProblem
from napari_safire.decoding.names import is_picture_name
from napari_safire.text import brief, printable

SHARD_SUFFIXES = (".tar",)
_LARGEST_HEADER = 1 << 20  # bytes, of a name or what else stands before a member


class BoundedFile:
    """An archive's file, of which not too much is read at once, whatever its headers claim.

    Parameters
    ----------
    file : binary file
    most : int
        Bytes; a longer read is a ``tarfile.ReadError``.
    """

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most = file, most
        self.name = getattr(file, "name", "")
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Read as many bytes."""
        if not 0 <= size <= self._most:
            raise tarfile.ReadError(f"a part of it claims to have {brief(size, 40)} bytes")
        return self._file.read(size)


def members_of(shard: Path, name: str) -> Iterator[Input]:
    """Tell the pictures of an uncompressed tar archive, as its headers are read.

    Parameters
    ----------
    shard : Path
    name : str
        Of the shard, as the manifest has it.

    Yields
    ------
    CorpusPicture or InputProblem
        The latter where the archive ends too early, or holds what is no regular file.
    """
    shown = printable(name)
    try:
        status = os.stat(shard)
        stamp = f"{status.st_size}:{status.st_mtime_ns}"
        with (
            open(shard, "rb") as file,
            tarfile.open(fileobj=_headers(file), mode="r:") as archive,
        ):
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # else all headers are kept
                if not member.isreg() or not is_picture_name(member.name):
                    continue
                if member.issparse() or member.size < 0:
                    told = f"{shown}!{printable(member.name)}"
                    yield InputProblem(told, f"{told} is no plain file: pack it again.")
                    continue
                if member.offset_data + member.size > status.st_size:
                    told = f"{shown}!{printable(member.name)}"
                    yield InputProblem(told, f"{told} is cut short: fetch the archive again.")
                    return
                yield CorpusPicture(
                    f"{name}!{member.name}",
                    "shard",
                    os.fspath(shard),
                    member.name,
                    member.offset_data,
                    member.size,
                    f"{stamp}:{member.offset_data}",  # of two of one name, both are examined
                )
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        reason = brief(error, 120).rstrip(".")
        yield InputProblem(shown, f"{shown} cannot be read as a tar archive: {reason}.")


def _headers(file: BinaryIO) -> Any:
    return BoundedFile(file, _LARGEST_HEADER)
