"""What is said of the picture of a queue that is open: done, authentic, sent back, whose it is."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from napari_safire.errors import sentence
from napari_safire.session.planes import Snapshot
from napari_safire.session.queue.changes import filled, one_source
from napari_safire.session.queue.going import GoingThrough
from napari_safire.session.queue.open_picture import Told
from napari_safire.session.queue.store import Mark


class QueueWork(GoingThrough):
    """Go through the pictures of a store, and say of each how far it is.

    Parameters and attributes as of `GoingThrough`.
    """

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
        keys = list(self._following())
        if keys:
            self._go(store, self.listing, keys, self.query, mark)
            return

        def saved() -> None:
            self.notice.emit(f"{told} There is no further picture to show.", False, None)
            self._look_again([opened.work.key])

        self._begin("Saving …")
        self._save(mark, saved)

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
            mark = Mark(mark.state, mark.authentic, mark.reason, else_begun=True)
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
            self._miss(None)
            self.changed.emit()
