"""Pictures that wait until those are done whose bytes they have."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from napari_safire.corpus.claims import PutOffPicture
from napari_safire.corpus.tasks import MOST_IN_A_TASK, TASK_SIZE, CorpusTask


class PutOff:
    """Pictures that were put off, until all tasks are done that were under way then."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Sequence[PutOffPicture]]] = deque()
        self._due: list[PutOffPicture] = []

    def __bool__(self) -> bool:
        return bool(self._waiting or self._due)

    def add(self, pictures: Sequence[PutOffPicture], latest: int) -> None:
        """Put pictures off.

        Parameters
        ----------
        pictures : sequence of PutOffPicture
        latest : int
            Number of the task that was submitted last.
        """
        if pictures:
            self._waiting.append((latest, pictures))

    def due(self, oldest: int, *, everything: bool) -> list[CorpusTask]:
        """Return tasks of pictures that need not wait any more.

        Copies of one picture stand in one task, so that they are examined once even if that one
        could not be.

        Parameters
        ----------
        oldest : int
            Number of the oldest task that is not done.
        everything : bool
            Do not wait until there are as many pictures as a task should have.
        """
        while self._waiting and self._waiting[0][0] < oldest:
            self._due += self._waiting.popleft()[1]
        if not self._due or (len(self._due) < TASK_SIZE and not everything):
            return []
        self._due.sort(key=lambda picture: picture.content)
        tasks, begun = [], 0
        for end in range(1, len(self._due) + 1):
            number, last = end - begun, end == len(self._due)
            between = last or self._due[end].content != self._due[end - 1].content
            if last or (number >= TASK_SIZE and between) or number == MOST_IN_A_TASK:
                tasks.append(_task(self._due[begun:end]))
                begun = end
        self._due = []
        return tasks


def _task(pictures: Sequence[PutOffPicture]) -> CorpusTask:
    return CorpusTask(
        tuple(one.picture for one in pictures),
        tuple(one.attempt for one in pictures),
        was_put_off=True,
    )
