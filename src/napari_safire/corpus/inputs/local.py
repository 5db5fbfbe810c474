"""The bytes of a picture of a corpus as a file that can be read, wherever they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_safire.corpus.inputs.picture import CorpusPicture
from napari_safire.corpus.inputs.remote import fetch
from napari_safire.errors import ImageReadError
from napari_safire.text import printable

_LONGEST_SUFFIX = 12


@contextmanager
def local_file(picture: CorpusPicture, scratch: Path) -> Iterator[Path]:
    """Give a file that holds a picture while the block runs.

    Parameters
    ----------
    picture : CorpusPicture
    scratch : Path
        A folder for those that lie in shards and remote stores; emptied again.

    Yields
    ------
    Path

    Raises
    ------
    ImageReadError
        Its bytes cannot be had: a sentence that names it.
    """
    if picture.store == "file":
        yield Path(picture.place)
        return
    # A name that says nothing but the format: members of archives may be called anything.
    digest = hashlib.sha256(picture.name.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    suffix = picture.suffix if picture.suffix.isascii() else ""
    path = scratch / f"{digest}{suffix[:_LONGEST_SUFFIX]}"
    try:
        if picture.store == "shard":
            path.write_bytes(_member(picture))
        else:
            fetch(picture, path)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _member(picture: CorpusPicture) -> bytes:
    shown = printable(picture.name)
    try:
        with open(picture.place, "rb") as shard:
            shard.seek(picture.offset)
            data = shard.read(picture.size)
    except OSError as error:
        raise ImageReadError(f"{shown} cannot be read: {error.strerror or error}.") from error
    if len(data) != picture.size:
        raise ImageReadError(f"{shown} is cut short: the archive has changed since it was listed.")
    return data
