"""Where the pictures of a manifest lie, and their files while they are looked at."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from napari_safire.corpus.inputs.local import local_file
from napari_safire.corpus.inputs.picture import CorpusPicture
from napari_safire.corpus.inputs.remote import is_address
from napari_safire.corpus.inputs.shards import SHARD_SUFFIXES, members_of
from napari_safire.errors import ImageReadError
from napari_safire.images.files import why_unreadable
from napari_safire.images.records.paths import whole_path
from napari_safire.text import brief


@dataclass(frozen=True, slots=True)
class PicturePlace:
    """Where a picture of a manifest lies.

    Parameters
    ----------
    name : str
        As the manifest has it; to be made printable before it is shown.
    path : Path or None
        Its file, or the archive that it lies in; None of an address, or on another machine.
    member : str
        Its name in the archive; empty of a file.
    """

    name: str
    path: Path | None
    member: str = ""

    @property
    def file(self) -> Path | None:
        """The file, if it is one of its own; whether it is there or not."""
        return None if self.member else self.path

    @property
    def why_no_file(self) -> str:
        """Why other programs cannot open it by a path: a sentence; empty if they can."""
        shown = brief(self.name, 160)
        if self.path is None:
            return f"{shown} lies in a remote store: fetch it first."
        if self.member:
            return f"{shown} lies in an archive: unpack it first."
        return why_unreadable(self.path) or ""


def place_of(place: bytes, corpus: Path) -> PicturePlace:
    """Tell where a picture lies.

    Parameters
    ----------
    place : bytes
        As the manifest has it.
    corpus : Path
        The folder from which places are told.

    Returns
    -------
    PicturePlace

    Examples
    --------
    >>> place_of(b"../shards/7.tar!a/b.jpg", Path("/case/results")).member
    'a/b.jpg'
    """
    name = os.fsdecode(place)
    # No place of ours begins with two slashes: on Windows, to look there asks another machine.
    if is_address(name) or name[:2].replace("\\", "/") == "//":
        return PicturePlace(name, None)
    path = whole_path(name, corpus)
    if not os.path.lexists(path):  # a name may hold an exclamation mark itself
        for suffix in SHARD_SUFFIXES:
            shard, mark, member = name.partition(f"{suffix}!")
            if mark:
                return PicturePlace(name, whole_path(shard + suffix, corpus), member)
    return PicturePlace(name, path)


class PictureFiles:
    """Files of pictures, those in archives too. A context, at whose end nothing is left behind.

    Parameters
    ----------
    places : sequence of PicturePlace
        That will be asked for: each archive is looked through once.
    """

    def __init__(self, places: Sequence[PicturePlace]) -> None:
        self._wanted: defaultdict[Path, set[str]] = defaultdict(set)
        for place in places:
            if place.path is not None and place.member:
                self._wanted[place.path].add(place.member)
        self._members: dict[Path, dict[str, CorpusPicture]] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="napari-safire-")

    def __enter__(self) -> PictureFiles:
        return self

    def __exit__(self, *exception: object) -> None:
        self._scratch.cleanup()

    def opened(self, place: PicturePlace) -> AbstractContextManager[Path]:
        """Give a file that holds a picture, as long as the context lasts.

        Raises
        ------
        ImageReadError
            It cannot be had: a sentence that names it. What lies in a remote store is not fetched:
            a manifest may come from anybody, and shall not say whom this machine calls.
        """
        if place.path is None:
            raise ImageReadError(place.why_no_file)
        if not place.member:
            reason = why_unreadable(place.path)
            if reason is not None:
                raise ImageReadError(reason)
            return nullcontext(place.path)
        return self._member(place, place.path)

    @contextmanager
    def _member(self, place: PicturePlace, shard: Path) -> Iterator[Path]:
        if shard not in self._members:
            self._members[shard] = self._look_through(shard)
        picture = self._members[shard].get(place.member)
        if picture is None:
            raise ImageReadError(f"{brief(place.name, 160)} is not there: look after its archive.")
        with (
            tempfile.TemporaryDirectory(dir=self._scratch.name) as own,
            local_file(picture, Path(own)) as path,
        ):
            yield path

    def _look_through(self, shard: Path) -> dict[str, CorpusPicture]:
        wanted = self._wanted[shard]
        return {
            found.member: found
            for found in members_of(shard, shard.name)
            if isinstance(found, CorpusPicture) and found.member in wanted
        }
