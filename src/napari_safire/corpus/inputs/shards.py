"""Pictures in tar archives, as WebDataset lays them out: read at their place, never unpacked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from napari_safire.corpus.inputs.picture import CorpusPicture, Input, InputProblem
from napari_safire.decoding.names import is_picture_name
from napari_safire.text import printable

SHARD_SUFFIXES = (".tar",)


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
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # else all headers are kept
                if not member.isreg() or not is_picture_name(member.name):
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
                    stamp,
                )
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        yield InputProblem(shown, f"{shown} cannot be read as a tar archive: {error}.")
