"""Entries of a list on their way: what is to be scored, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from napari_safire.errors import ImageReadError
from napari_safire.images.files import why_unreadable
from napari_safire.images.lists import ListEntry
from napari_safire.synthesis.degradations import NONE, Degradation


@dataclass(frozen=True, slots=True)
class Task:
    """One picture to be scored.

    Parameters
    ----------
    number : int
        Position of the entry in its list, from 0.
    entry : ListEntry
    degradation : Degradation
    """

    number: int
    entry: ListEntry
    degradation: Degradation = NONE


@dataclass(frozen=True, slots=True)
class EvaluatedEntry:
    """What came of one entry.

    Parameters
    ----------
    entry : ListEntry
    error : str or None
        Why the entry could not be scored, in one sentence.
    scores : mapping of str to float
        Undefined scores are ``nan``; empty where there is an error.
    verdict : str or None
        The engine's verdict on the image.
    seconds : mapping of str to float
        Wall time of each stage.
    number : int
        Position of the entry in its list, from 0.
    degradation : Degradation
        What was done to the image before.
    content : str
        Hash of the files of image and mask; "" where they cannot be read.
    warnings : tuple of str
        What was assumed or mended in image and mask, in plain sentences.
    """

    entry: ListEntry
    error: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    verdict: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    number: int = 0
    degradation: Degradation = NONE
    content: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def authentic(self) -> bool:
        """Whether the list calls the image authentic."""
        return self.entry.mask is None


def entry_content(entry: ListEntry) -> str:
    """Hash of the files of an entry and of how its mask is read, whatever the files are called.

    Parameters
    ----------
    entry : ListEntry

    Returns
    -------
    str
        SHA-256.

    Raises
    ------
    ImageReadError
        A file cannot be read.
    """
    digest = hashlib.sha256()
    if entry.mask is not None and entry.rule is not None:
        digest.update(repr(entry.rule).encode())
    for path in (entry.image, entry.mask):
        if path is None:
            digest.update(b"authentic")
            continue
        reason = why_unreadable(path)
        if reason is not None:
            raise ImageReadError(reason)
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ImageReadError(f"{path} cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest()


def in_list_order(
    results: Iterable[EvaluatedEntry], degradations: Sequence[Degradation] = (NONE,)
) -> list[EvaluatedEntry]:
    """Sort by degradation and place in the list, in whatever order results came.

    Parameters
    ----------
    results : iterable of EvaluatedEntry
    degradations : sequence of Degradation
        Others than these come last.

    Returns
    -------
    list of EvaluatedEntry
    """
    rank = {degradation: place for place, degradation in enumerate(degradations)}
    return sorted(results, key=lambda r: (rank.get(r.degradation, len(rank)), r.number))
