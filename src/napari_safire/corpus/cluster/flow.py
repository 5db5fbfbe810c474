"""Items on their way through a cluster, a bounded number at a time."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari_safire.errors import SafireError
from napari_safire.progress import Cancel
from napari_safire.text import printable

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
R = TypeVar("R")

_WINDOW = 3  # items in flight for each worker: one at work, one waiting, one on its way
_RETRIES = 2  # of an item that raised, such as on a disk that was full for a moment
_ASKED_EVERY = 0.1  # seconds
_COMMITS_WITHIN = 0.8  # seconds


class Flow(Generic[T, R]):
    """Has workers do a piece of work for every item.

    Parameters
    ----------
    client : Client
    work : callable
        ``work(about, item)``, importable on the workers.
    about : object
        What all items have in common: names and settings, no data.
    items : iterator
        Taken one by one as there is room.

    Attributes
    ----------
    submitted : int
        How many items were handed out; they are numbered from 1.
    """

    def __init__(
        self, client: Client, work: Callable[[Any, T], R], about: object, items: Iterator[T]
    ) -> None:
        from distributed import as_completed

        self._client, self._work, self._items = client, work, items
        # Sent with each item: what is scattered is gone when the last worker that held it is lost.
        self._about = about
        self._under_way: dict[Any, tuple[int, T]] = {}  # in the order they were submitted
        self._again: deque[T] = deque()
        self._answers = as_completed(with_results=False)
        self._name = secrets.token_hex(6)
        self.submitted = 0

    @property
    def oldest(self) -> int:
        """Number of the item that is under way for longest; all before it are done."""
        return next((number for number, _ in self._under_way.values()), self.submitted + 1)

    def fill(self) -> bool:
        """Submit as many items as there is room for; false when none is left or under way."""
        n_workers = len(self._client.scheduler_info(n_workers=-1)["workers"])
        room = _WINDOW * max(1, n_workers) - len(self._under_way)
        for _ in range(room):
            item = self._again.popleft() if self._again else next(self._items, None)
            if item is None:
                break
            self.submitted += 1
            future = self._client.submit(
                self._work,
                self._about,
                item,
                key=f"safire-{self._name}-{self.submitted}",
                retries=_RETRIES,
                pure=False,
            )
            self._under_way[future] = (self.submitted, item)
            self._answers.add(future)
        return bool(self._under_way)

    def again(self, *items: T) -> None:
        """Put items before those that wait."""
        self._again += items

    def done(self, cancel: Cancel) -> Iterator[tuple[T, R | None]]:
        """Tell items that are done, if any are within a moment.

        Yields
        ------
        item, result
            None where it was lost with several workers, one after the other.

        Raises
        ------
        SafireError
            It raised, again and again.
        """
        until = time.monotonic() + _ASKED_EVERY
        while time.monotonic() < until and not cancel():
            if self._answers.has_ready():
                for future in self._answers.next_batch(block=False):
                    yield self._under_way.pop(future)[1], self._result(future)
                return
            time.sleep(0.01)

    def _result(self, future: Any) -> R | None:
        from distributed import KilledWorker

        try:
            found: R = future.result(timeout=30)
        except KilledWorker:
            return None
        except SafireError:
            raise
        except Exception as error:
            raise SafireError(
                f"A task could not be done by any worker ({type(error).__name__}: "
                f"{printable(error)[:200]}): what is kept stays; the same command goes on."
            ) from error
        return found

    def wait_a_moment(self) -> None:
        """Give workers that were asked to stop the time to keep what they have."""
        until = time.monotonic() + _COMMITS_WITHIN
        while time.monotonic() < until and any(f.status == "pending" for f in self._under_way):
            time.sleep(0.02)
