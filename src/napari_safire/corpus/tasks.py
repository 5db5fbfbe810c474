"""A corpus in tasks: pictures that are answered, and committed, together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from napari_safire.corpus.inputs.picture import Input
from napari_safire.corpus.manifest import KnownKeys
from napari_safire.corpus.manifest_schema import ManifestRow

TASK_SIZE = 256
"""Pictures of a task: as many as may be done again when a worker is lost."""
MOST_IN_A_TASK = 4_096
_FIRST_SIZE = 8
_NAMED_TWICE = 1 << 18
"""Pictures of which it is noticed that several inputs name them: 25 MB. One that is named again
later is answered again, as a copy of itself, and stands in the manifest once all the same."""


@dataclass(frozen=True, slots=True)
class CorpusTask:
    """Pictures that are answered and committed together.

    Parameters
    ----------
    pictures : tuple of CorpusPicture or InputProblem
    attempts : tuple of int
        Of each: how often it failed before.
    was_put_off : bool
        Another picture had claimed their bytes (`napari_safire.corpus.claims`).
    """

    pictures: tuple[Input, ...]
    attempts: tuple[int, ...]
    was_put_off: bool = False

    def part(self, start: int, stop: int) -> CorpusTask:
        """Return the task of some of its pictures."""
        return replace(self, pictures=self.pictures[start:stop], attempts=self.attempts[start:stop])


def part_name(rows: Iterable[ManifestRow]) -> str:
    """Name the part that holds rows: the same pictures at the same attempts have one name.

    Parameters
    ----------
    rows : iterable of ManifestRow
        Of a task, or of as many of its pictures as were answered.

    Returns
    -------
    str
        32 digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(row.key + row.attempt.to_bytes(4, "little"))
    return digest.hexdigest()


def make_tasks(
    pictures: Iterable[Input], known: KnownKeys, size: int = TASK_SIZE
) -> Iterator[CorpusTask]:
    """Put pictures that are not done yet into tasks, as they come.

    The first tasks are small, each next one twice the size, so that results are there soon.

    Parameters
    ----------
    pictures : iterable of CorpusPicture or InputProblem
    known : KnownKeys
    size : int
        Pictures of a task, 1 to `MOST_IN_A_TASK`.

    Yields
    ------
    CorpusTask

    Raises
    ------
    ValueError
        The size is out of range.
    """
    if not 1 <= size <= MOST_IN_A_TASK:
        raise ValueError(f"A task cannot have {size} pictures: choose 1 to {MOST_IN_A_TASK:,}.")
    now, waiting = min(_FIRST_SIZE, size), []
    told: set[bytes] = set()
    for picture in pictures:
        if picture.key in told or picture.key in known:
            continue
        if len(told) < _NAMED_TWICE:
            told.add(picture.key)
        waiting.append(picture)
        if len(waiting) == now:
            yield _task(waiting, known)
            now, waiting = min(2 * now, size), []
    if waiting:
        yield _task(waiting, known)


def _task(pictures: list[Input], known: KnownKeys) -> CorpusTask:
    return CorpusTask(tuple(pictures), tuple(known.attempts.get(p.key, 0) for p in pictures))
