"""What a list shows of pictures, looked up for the few that are on screen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from napari_safire.project.queries import PictureRow
from napari_safire.session.queue.store import PictureStore
from napari_safire.session.session import Session

_MOST_KNOWN = 4_000
_AT_ONCE = 200


class KnownRows:
    """Rows of a store: those that are known at once, the others as soon as they are looked up.

    Parameters
    ----------
    session : Session
    looked_up : callable
        Takes rows that were not known before, or are others now.
    """

    def __init__(
        self, session: Session, looked_up: Callable[[tuple[PictureRow, ...]], None]
    ) -> None:
        self._session = session
        self._looked_up = looked_up
        self._store: PictureStore | None = None
        self._known: OrderedDict[str, PictureRow] = OrderedDict()
        self._wanted: OrderedDict[str, None] = OrderedDict()
        self._under_way = False

    def of(self, store: PictureStore) -> None:
        """Forget all rows: they are another store's from now on."""
        self._store = store
        self._known.clear()
        self._wanted.clear()

    def get(self, key: str) -> PictureRow | None:
        """Return what is known of a picture; where nothing is, it is looked up."""
        row = self._known.get(key)
        if row is None and self._store is not None:
            self._wanted[key] = None
            self._wanted.move_to_end(key)  # who scrolls wants to see the last ones first
            self._ask()
        return row

    def peek(self, key: str) -> PictureRow | None:
        """Return what is known of a picture, if anything is."""
        return self._known.get(key)

    def take(self, rows: Iterable[PictureRow]) -> None:
        """Know rows that were looked up."""
        for row in rows:
            self._known[row.id] = row
            self._known.move_to_end(row.id)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def _ask(self) -> None:
        store = self._store
        if self._under_way or store is None or not self._wanted:
            return
        keys = [self._wanted.popitem()[0] for _ in range(min(_AT_ONCE, len(self._wanted)))]
        self._wanted.clear()  # of those that have scrolled by, nobody will ask again
        self._under_way = True

        def found(rows: tuple[PictureRow, ...]) -> None:
            self._under_way = False
            if self._store is store:
                self.take(rows)
                self._looked_up(rows)
            self._ask()

        def failed(error: Exception) -> None:
            self._under_way = False  # whoever asks again hears of it then

        self._session.run(lambda: store.look_up(keys), found, failed)
