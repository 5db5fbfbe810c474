"""Going through a queue of pictures: each is read, shown, and saved when it is left.

It knows neither Qt nor napari, nor where the pictures lie: whoever shows them is a `QueueView`,
and where they lie is a `PictureStore`. Files are read in the reading worker and written in the file
worker, so that a slow disk keeps neither undo waiting nor the model. A picture is read before the
one that is open is saved, so that nothing is lost that is done to it meanwhile. No step looks at
more pictures than those it leaves and goes to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator
from typing import TypeVar

from psygnal import Signal

from napari_safire.annotation.completeness import Completeness
from napari_safire.errors import sentence
from napari_safire.project.queries import PictureQuery, PictureRow
from napari_safire.session.messages import Topic
from napari_safire.session.queue.finding import FoundPicture, find_picture
from napari_safire.session.queue.listing import Listing
from napari_safire.session.queue.open_picture import OpenPicture, Told
from napari_safire.session.queue.read_ahead import ReadAhead
from napari_safire.session.queue.rows import KnownRows
from napari_safire.session.queue.store import (
    Mark,
    NotDone,
    PictureStore,
    PictureWork,
)
from napari_safire.session.queue.view import QueueView
from napari_safire.session.session import Session

T = TypeVar("T")

_AHEAD = 2  # pictures that are read and embedded before they are gone to
_MOST_LOOKED_UP = 200  # pictures in a row that are found to be in another state than was known


class GoingThrough:
    """Go from picture to picture of a store; what was made is saved on the way.

    Parameters
    ----------
    session : Session
    view : QueueView

    Attributes
    ----------
    changed : Signal()
        Another picture or queue is open, something has begun or ended, or states of pictures are
        others.
    listed : Signal()
        `listing` is another one, or what it shows.
    rows_changed : Signal(tuple of PictureRow)
        These are known now, or others than before.
    missing_changed : Signal()
        `missing` is another one.
    notice : Signal(str, bool, Topic)
        A sentence for the user; true where something failed; what it belongs to. None: to what is
        worked on now.
    """

    changed = Signal()
    listed = Signal()
    rows_changed = Signal(tuple)
    missing_changed = Signal()
    notice = Signal(str, bool, object)

    def __init__(self, session: Session, view: QueueView) -> None:
        self._session = session
        self._view = view
        self._open: OpenPicture | None = None
        self._closing = False
        self._told: Told = ()  # of the picture that was left
        self._mark: Mark | None = None  # what is being said of the open picture
        self._skipped: dict[str, None] = {}
        self._ahead = ReadAhead(session)
        self.rows = KnownRows(session, self._take_rows)
        """What the list shows of each picture."""
        self.store: PictureStore | None = None
        self.query = PictureQuery()
        """What of the queue is to be seen, and in which order."""
        self.listed_query = self.query
        """The query of which `listing` is; that of `query` is looked up where it is another."""
        self.listing = Listing((), ())
        """The pictures, in this order."""
        session.model_changed.connect(self._want_ahead)
        self.key = ""
        """The picture that is gone to; empty where there is no queue."""
        self.problem = ""
        """Why the picture `key` cannot be opened; empty where it can."""
        self.doing = ""
        """What is under way, in which case nothing else is begun; empty: nothing."""
        self.missing: Completeness | None = None
        """What the open picture lacks to be done, where that was asked and still holds."""

    # ---------------------------------------------------------------- what is open

    @property
    def row(self) -> PictureRow | None:
        """What is known of the picture that is gone to."""
        return self.rows.peek(self.key)

    @property
    def place(self) -> int:
        """Place of the picture that is gone to in `listing.keys`, from 0; -1: not among them."""
        position = self.listing.position(self.key)
        return -1 if position is None else position

    @property
    def opened(self) -> Hashable | None:
        """Name of the picture that is shown, in the session."""
        return None if self._open is None else self._open.picture

    @property
    def work(self) -> PictureWork | None:
        """The piece of work on the picture that is shown."""
        return None if self._open is None else self._open.work

    @property
    def can_go_on(self) -> bool:
        """Whether there is a next picture to be seen."""
        return bool(self._following(1))

    @property
    def can_go_back(self) -> bool:
        """Whether there is a picture before to be seen."""
        return self.listing.preceding(self.place) is not None

    # ---------------------------------------------------------------- pictures

    def go_on(self) -> None:
        """Save what was changed as begun, and open the next picture to be seen."""
        self._go_to(self._following())

    def go_back(self) -> None:
        """Save what was changed as begun, and open the picture before."""
        places = itertools.islice(self._places(self.listing.preceding), _MOST_LOOKED_UP)
        self._go_to([self.listing.keys[place] for place in places])

    def skip(self) -> None:
        """Leave the open picture for later: it comes again when there are no others."""
        if not self.doing and self.key:
            self._skipped.pop(self.key, None)  # now the last of them
            self._skipped[self.key] = None
            self.go_on()

    def go_to(self, key: str) -> None:
        """Save what was changed as begun, and open another picture, whatever its state.

        Parameters
        ----------
        key : str
            As in `listing`; any other is none of the queue, and nothing happens.
        """
        if self.listing.position(key) is not None:
            self._go_to([key], any_state=True)

    # ---------------------------------------------------------------- from picture to picture

    def _following(self, most: int = _MOST_LOOKED_UP) -> list[str]:
        """Pictures to go to next; those that were skipped come when there are no others."""
        keys = self.listing.keys
        ahead = (keys[place] for place in self._places(self.listing.following))
        found = list(itertools.islice((key for key in ahead if key not in self._skipped), most))
        if found:
            return found
        skipped = (key for key in self._skipped if key != self.key)
        return list(itertools.islice(skipped, most))

    def _places(self, step: Callable[[int], int | None]) -> Iterator[int]:
        """Go through the places of pictures to be seen, from the present one on."""
        place = step(self.place)
        while place is not None:
            yield place
            place = step(place)

    def _go_to(self, keys: list[str], *, any_state: bool = False) -> None:
        if not self.doing and self.store is not None and keys:
            self._go(self.store, self.listing, keys, self.query, any_state=any_state)

    def _go(
        self,
        store: PictureStore,
        listing: Listing,
        keys: list[str],
        query: PictureQuery,
        mark: Mark | None = None,
        *,
        any_state: bool = True,
    ) -> None:
        """Read a picture, then save the open one, then show the one instead of the other."""
        opened = self._open
        row = self.rows.peek(keys[0]) if store is self.store else None
        self._begin(f"Opening {'the picture' if row is None else row.name} …")
        if opened is not None and opened.work.kept_at == store.kept_at(keys[0]):

            def stay() -> None:  # its files would be read before they are written
                self._take(store, listing, query)
                self.key = keys[0]
                self._look_again([self.key])

            self._save(mark, stay)
            return
        wanted = () if any_state else query.states

        def read(found: FoundPicture) -> None:
            if found.key:
                self._save(mark, lambda: self._swap(store, listing, query, found))
                return
            self._take_rows(found.looked_up)
            self.notice.emit("No further picture is in the states that are shown.", False, None)
            self._end()

        self._read(
            lambda: find_picture(store, keys, wanted, lambda key: self._ahead.take(store, key)),
            read,
        )

    def _save(
        self,
        mark: Mark | None,
        then: Callable[[], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Save the open picture if it was changed, or its state; go on once all of it is saved."""
        opened = self._open
        if opened is None or not opened.planes:
            then()
            return

        def saved(told: Told) -> None:
            self._told = told  # once the next picture is there: messages go with theirs
            then()

        opened.save(mark, saved, failed or self._not_saved, lambda: not self._closing)

    def _take(self, store: PictureStore, listing: Listing, query: PictureQuery) -> None:
        left = self.store
        if store is left:
            return  # it may have been put into another order meanwhile
        if left is not None:
            self._session.run(left.close, lambda _: None)  # after all that is read of it
        self.rows.of(store)
        self._skipped.clear()
        self.store, self.listing = store, listing
        self.query = self.listed_query = query
        self.listed.emit()

    def _take_rows(self, rows: tuple[PictureRow, ...]) -> None:
        """Know rows that were looked up, and what that means for the listing."""
        shown = self.listing.shown
        for row in rows:
            before = self.rows.peek(row.id)
            self.listing.set_state(row.id, row.state, None if before is None else before.state)
        self.rows.take(rows)
        if self.listing.shown is not shown:
            self.listed.emit()
        self.rows_changed.emit(rows)

    def _swap(
        self, store: PictureStore, listing: Listing, query: PictureQuery, found: FoundPicture
    ) -> None:
        left = None if self._open is None else self._open
        touched = [found.key]
        if left is not None:
            left.let_go()
            if self.store is store:
                touched.append(left.work.key)
        self._open, self.problem, self.key = None, found.problem, found.key
        self._take(store, listing, query)
        self._take_rows(found.looked_up)
        self._miss(None)
        work = found.work
        if work is None:
            self._view.clear()
        else:
            self._ahead.opened(work.key)
            picture = self._view.show(work)
            self._open = OpenPicture(self._session, self._view, picture, work, self._step_failed)
            for warning in work.warnings:
                self.notice.emit(warning, False, None)
            self._opened_now(self._open)
        if found.problem:
            self.notice.emit(found.problem, True, None)
        self._look_again(touched)

    def _opened_now(self, opened: OpenPicture) -> None:
        """A picture is shown from now on."""

    def _look_at_rows(self, keys: list[str]) -> None:
        """Look up pictures of which something was kept, while the user goes on."""
        store = self.store

        def found(rows: tuple[PictureRow, ...]) -> None:
            if self.store is store:
                self._take_rows(rows)

        if store is not None:
            self._session.run(lambda: store.look_up(keys), found, self._tell_failure)

    def _look_again(self, keys: list[str]) -> None:
        """Look up the states of the pictures that were left and gone to; let the user go on."""
        store = self.store
        if store is None:
            self._end()
            return

        def found(rows: tuple[PictureRow, ...]) -> None:
            if self.store is store:
                self._take_rows(rows)
            self._end()
            told, self._told = self._told, ()
            for text in told:
                self.notice.emit(text, False, None)
            self._want_ahead()

        self._read(lambda: store.look_up(keys), found)

    def _want_ahead(self) -> None:
        """Have the next pictures read, and embedded, before they are gone to."""
        if self.store is not None and not self.doing:
            keys = self._following(_AHEAD)
            self._ahead.want(self.store, keys, embed=self._view.embeds_at_once)

    # ---------------------------------------------------------------- jobs

    def _read(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Read files; a failure leaves all as it is."""

        def go_on(result: T) -> None:
            if not self._closing:
                then(result)

        def failed(error: Exception) -> None:
            self._tell_failure(error)
            self._end()

        self._session.run(work, go_on, failed)

    def _tell_failure(self, error: Exception) -> None:
        self.notice.emit(sentence(error), True, None)

    def _step_failed(self, error: Exception) -> None:
        """Hear that a step of the open picture could not be kept."""
        self._tell_failure(error)

    def _not_saved(self, error: Exception) -> None:
        opened = self._open
        name = "The picture" if opened is None else opened.work.name
        if isinstance(error, NotDone):
            self._miss(error.missing)
            planes = [] if opened is None else opened.planes
            # Until something is changed.
            topic = Topic(planes[0].key, "labels") if planes else None
            self.notice.emit(f"{name} is not done yet. {error}", True, topic)
        else:
            self.notice.emit(
                f"{name} stays open, because it could not be saved. {sentence(error)}", True, None
            )
        self._end()

    def _miss(self, missing: Completeness | None) -> None:
        self.missing = missing
        self.missing_changed.emit()

    def _begin(self, what: str) -> None:
        self.doing = what
        self.changed.emit()

    def _end(self) -> None:
        self.doing, self._mark = "", None
        self.changed.emit()
