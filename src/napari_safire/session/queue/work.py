"""What is said of the picture of a queue that is open: done, authentic, sent back, whose it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import replace

from psygnal import Signal

from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.errors import SafireError, sentence
from napari_safire.project.truth import PictureDescription
from napari_safire.session.planes import Snapshot
from napari_safire.session.queue.beginning import beginning_of
from napari_safire.session.queue.changes import filled, one_source
from napari_safire.session.queue.open_picture import OpenPicture, Told
from napari_safire.session.queue.queues import Queues
from napari_safire.session.queue.store import Beginning, ChangedMeanwhile, Mark
from napari_safire.session.queue.view import QueueView
from napari_safire.session.session import Session
from napari_safire.text import printable


class QueueWork(Queues):
    """Go through the pictures of a store, and say of each how far it is.

    Parameters and attributes as of `GoingThrough`.

    Attributes
    ----------
    conflict_changed : Signal()
        `conflict` is another one.
    """

    conflict_changed = Signal()

    def __init__(self, session: Session, view: QueueView) -> None:
        super().__init__(session, view)
        self.conflict: ChangedMeanwhile | None = None
        """What somebody else made of the open picture since it was opened; until it is settled
        nothing of it is saved."""
        self.beginning = Beginning()
        """What the work on pictures begins from of which nothing was made yet."""
        session.changed.connect(self._noted)

    # ---------------------------------------------------------------- done or not

    def finish(self, *, authentic: bool = False, waiver: str = "") -> None:
        """Save the open picture as done and open the next one, if there is one.

        Refused, with what is missing, unless every pixel has a source or a reason is given.

        Parameters
        ----------
        authentic : bool
            Say that all of it is one source; refused where something else is marked. Else it must
            have two sources at least.
        waiver : str
            Why pixels may be without a source.
        """
        planes = [] if self._open is None else self._open.planes
        if authentic and planes and self._open is not None and not self.doing:
            self._view.read_strokes(self._open.picture)
            self._session.annotations.edit(planes[0].key, one_source, "authentic: one source")
        self._conclude(Mark("done", authentic, waiver), "Saved as done.")

    def reject(self, note: str) -> None:
        """Send the open picture back, with what is to be done, and open the next one."""
        self._conclude(Mark("rejected", reason=note), "Sent back.")

    def accept(self) -> None:
        """Accept the open picture as it is, and open the next one."""
        self._conclude(Mark("accepted"), "Accepted.")

    def _conclude(self, mark: Mark, told: str) -> None:
        store, opened = self.store, self._open
        if self.doing or store is None or opened is None:
            return
        self._mark = mark
        self._skipped.pop(opened.work.key, None)
        keys = self._following()
        if keys:
            self._go(store, self.listing, keys, self.query, mark)
            return

        def saved() -> None:
            self.notice.emit(f"{told} There is no further picture{before}.", False, None)
            self._look_again([opened.work.key])

        before = self._told_of_open()
        self._begin("Saving …")
        self._save(mark, saved)

    def _told_of_open(self) -> str:
        """Say how many pictures of the queue, but for the present one, are still to be done."""
        states = () if self.store is None else self.store.open_states
        n_open = sum(self.listing.counts[state] for state in states)
        if self.row is not None and self.row.state in states:
            n_open -= 1
        if not n_open:
            return " to show"
        return f" after this one; {n_open:,} before it {'is' if n_open == 1 else 'are'} still to do"

    def fill_missing(self) -> None:
        """Give all pixels without a source the free number of `missing`."""
        missing = self.missing
        planes = [] if self._open is None else self._open.planes
        if missing is not None and planes:
            title = f"rest to source {missing.free_number}"
            self._session.annotations.edit(planes[0].key, filled(missing.free_number), title)

    def compare_missing(self, snapshot: Snapshot) -> None:
        """Forget `missing` where another number of pixels has no source by now."""
        n_assigned = sum(snapshot.areas.values())
        if (
            self.missing is not None
            and snapshot.labels.size - n_assigned != self.missing.n_unassigned
        ):
            self._miss(None)

    def leave(
        self, picture: Hashable, complain: Callable[[str], None], *, closing: bool = False
    ) -> None:
        """Save the open picture, if its layer is taken away: as done, if that is under way.

        Parameters
        ----------
        picture : hashable
        complain : callable
            Takes the reason if it cannot be saved.
        closing : bool
            Nothing but saving goes on from here.
        """
        opened = self._open
        if opened is None or picture != opened.picture:
            return
        self._closing = self._closing or closing
        planes, mark = opened.planes, self._mark
        if mark is not None:
            mark = replace(mark, else_begun=True)
        if not planes:
            return
        name = opened.work.name

        def done(told: Told | None) -> None:
            if told is None:
                return
            opened.note_saved(planes[0])
            self._told = told
            if not self._closing:
                self.notice.emit(f"{name} was closed. What was made of it is saved.", False, None)
                if not self.doing:
                    self._look_again([opened.work.key])

        opened.write(
            mark,
            done,
            lambda error: complain(f"{name} could not be saved: {sentence(error)}"),
        )

    def forget(self, picture: Hashable) -> None:
        """Go on without a picture that was taken away; `leave` has seen to what was made of it."""
        if self._open is not None and picture == self._open.picture:
            self._open.let_go()
            self._open = None
            self._settle_conflict(None)
            self._miss(None)
            self.changed.emit()

    def describe(self, description: PictureDescription) -> None:
        """Say what the sources of the open picture are; it is kept at once.

        Parameters
        ----------
        description : PictureDescription
        """
        opened = self._open
        if opened is None:
            return
        try:
            opened.work.describe(description)
        except SafireError as error:
            self._tell_failure(error)
            return
        self.note_activity()
        self._keep_now()

    def tag(self, tags: Collection[str]) -> None:
        """Give the picture that is gone to these tags in place of those that it has.

        Parameters
        ----------
        tags : collection of str
        """
        store, key = self.store, self.key
        if store is not None and key:
            self._session.run(
                lambda: store.tag(key, tags),
                lambda _: self._look_at_rows([key]),
                self._tell_failure,
            )

    def look_at_row(self) -> None:
        """Look up how far the picture is that is gone to: steps of it may have been kept."""
        if self.key and not self.doing:
            self._look_at_rows([self.key])

    def note_activity(self) -> None:
        """Somebody works on the open picture, though nothing of it changes."""
        if self._open is not None:
            self._open.time.note()

    def _noted(self, snapshot: Snapshot) -> None:
        if self._open is not None and snapshot.key.picture == self._open.picture:
            self._open.time.note()

    def _keep_now(self) -> None:
        """Save what is new, without any step."""
        opened = self._open
        planes = [] if opened is None else opened.planes
        if opened is None or not planes or self.conflict is not None:
            return

        def kept(told: Told | None) -> None:
            if told is not None:
                opened.note_saved(planes[0])
                self._look_at_rows([opened.work.key])

        opened.write(None, kept, self._step_failed)

    # ---------------------------------------------------------------- where it begins

    def begin_from(self, beginning: Beginning) -> None:
        """Put something else in place of what was made of the open picture; undo brings it back.

        Parameters
        ----------
        beginning : Beginning
        """
        if not self.doing:
            self._begin_from(beginning)

    def _begin_from(self, beginning: Beginning) -> None:
        opened, store = self._open, self.store
        planes = [] if opened is None else opened.planes
        if opened is None or store is None or not planes:
            return
        work, key, shape = opened.work, planes[0].key, planes[0].shape

        def read() -> AnnotatedPlane:
            return beginning_of(beginning, work, store, shape)

        def found(made: AnnotatedPlane) -> None:
            if self._open is not opened:
                return
            work.begin_from(beginning)
            self._session.annotations.restore(key, made, title=beginning.title)
            if beginning.what == "partition":
                self._view.partition(opened.picture)

        self._session.run(read, found, self._tell_failure)

    def _opened_now(self, opened: OpenPicture) -> None:
        self._settle_conflict(None)
        if opened.work.is_new and self.beginning.what not in ("given", "work"):
            self._begin_from(self.beginning)

    # ---------------------------------------------------------------- what others made

    def take_theirs(self) -> None:
        """Go on from what somebody else made meanwhile; one undo brings one's own back."""
        opened, conflict = self._open, self.conflict
        if opened is not None and conflict is not None and opened.planes:
            opened.take_theirs(conflict, lambda: self._settle_conflict(None), self._tell_failure)

    def keep_mine(self) -> None:
        """Keep one's own as a second opinion beside what somebody else made."""
        opened, conflict = self._open, self.conflict
        if opened is None or conflict is None or not opened.planes:
            return

        def kept(name: str) -> None:
            self._settle_conflict(None)
            self.notice.emit(
                f"Your work is kept as {printable(name)}, beside the other.", False, None
            )
            self._keep_now()

        opened.keep_mine(conflict, kept, self._tell_failure)

    def show_both(self) -> None:
        """Show what somebody else made meanwhile beside one's own; nothing is settled by that."""
        opened, conflict = self._open, self.conflict
        if opened is not None and conflict is not None:
            whose = printable(conflict.by) or "somebody else"
            self._view.show_other(opened.picture, conflict.theirs, f"sources by {whose}")

    def _settle_conflict(self, conflict: ChangedMeanwhile | None) -> None:
        if conflict is not self.conflict:
            self.conflict = conflict
            self.conflict_changed.emit()

    def _step_failed(self, error: Exception) -> None:
        if isinstance(error, ChangedMeanwhile):
            told_before = self.conflict is not None
            self._settle_conflict(error)
            if told_before:
                return
        super()._step_failed(error)

    def _not_saved(self, error: Exception) -> None:
        if isinstance(error, ChangedMeanwhile):
            self._settle_conflict(error)
        super()._not_saved(error)
