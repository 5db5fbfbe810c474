"""The states of the work on planes: changed, taken back and kept on disk, all in the state lane."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.engine.progress import Cancel, Progress
from napari_safire.errors import SafireError
from napari_safire.session.annotation import Annotation, Labels, Mask
from napari_safire.session.answers import previewed
from napari_safire.session.history import History
from napari_safire.session.jobs import Job, JobLane
from napari_safire.session.journal import Journal, KeptWork
from napari_safire.session.messages import Topic
from napari_safire.session.numbering import renumbered
from napari_safire.session.planes import Plane, PlaneKey, Planes, Snapshot


class States:
    """What users make of planes; nobody else touches a history.

    Every method returns at once. What it does is done in the state lane, in the order of the calls.

    Parameters
    ----------
    lane : JobLane
        The state lane.
    planes : Planes
    shown : callable
        Takes each plane that has a new snapshot.
    failed : callable
        Takes the reason why something could not be done, and its topic if it has one.
    found : callable
        Takes the plane and the work of an earlier session that was found for it.
    journal : Journal, optional
        Keeps every step on disk; without, nothing is kept.
    """

    def __init__(
        self,
        lane: JobLane,
        planes: Planes,
        shown: Callable[[Plane], None],
        failed: Callable[..., None],
        found: Callable[[Plane, KeptWork], None],
        journal: Journal | None = None,
    ) -> None:
        self._lane = lane
        self._planes = planes
        self._shown = shown
        self._failed = failed
        self._found = found
        self._journal = journal
        self._journal_complained = False
        self._serial = 0

    # ---------------------------------------------------------------- what users do

    def paint(self, key: PlaneKey, labels: npt.NDArray[np.integer], with_preview: bool) -> None:
        """Settle and protect what the user painted.

        Parameters
        ----------
        key : PlaneKey
        labels : (H, W) int array
            The Labels layer as it is now; it is copied.
        with_preview : bool
            Whether it showed the preview.
        """
        given = labels.copy()
        self.count_change(self._planes[key])
        self._transition(key, lambda s: s.painted(given, with_preview=with_preview), "paint")

    def commit(self, key: PlaneKey) -> None:
        """Settle the preview."""
        self._transition(key, Annotation.commit, "commit")

    def discard(self, key: PlaneKey) -> None:
        """Drop the preview and its prompts."""
        self._transition(key, Annotation.discard, "discard")

    def reopen(self, key: PlaneKey, source: int) -> None:
        """Take a settled source back to its prompts."""
        plane = self._planes[key]
        regions, grid = dict(plane.regions), plane.grid

        def reopened(state: Annotation) -> Annotation:
            return previewed(state.reopen(source), regions, grid, plane.unions)

        self._transition(key, reopened, f"reopen source {source}")

    def edit(
        self,
        key: PlaneKey,
        edit: Callable[[Labels, Mask], Labels],
        title: str,
        renumber: Callable[[int], int] | None = None,
    ) -> None:
        """Commit the preview, then change the labels; see `Annotation.edited`."""
        self._transition(key, lambda state: state.edited(edit, renumber), title)

    def renumber(self, key: PlaneKey) -> None:
        """Close the gaps between the numbers of the sources; see `numbering.renumbered`."""
        self._transition(key, renumbered, "renumber sources")

    def protect(self, key: PlaneKey, sources: Iterable[int]) -> None:
        """Protect all pixels of some sources from later predictions."""
        chosen = tuple(sources)
        self._transition(key, lambda state: state.protect(chosen), "protect")

    def unprotect(self, key: PlaneKey) -> None:
        """Lift all protection."""
        self._transition(key, Annotation.unprotected, "lift protection")

    def undo(self, key: PlaneKey) -> None:
        """Go back one step, if there is one."""
        self.change(self._planes[key], lambda h: h.undo() if h.can_undo else None)

    def redo(self, key: PlaneKey) -> None:
        """Go forward one step, if there is one."""
        self.change(self._planes[key], lambda h: h.redo() if h.can_redo else None)

    def show_preview(self, key: PlaneKey, shown: bool) -> None:
        """Show or hide the preview; nothing is lost."""
        self._planes[key].with_preview = shown
        self.refresh(key)

    def refresh(self, key: PlaneKey) -> None:
        """Show a plane as it is."""
        self.change(self._planes[key], lambda history: None)

    def _transition(
        self, key: PlaneKey, make: Callable[[Annotation], Annotation], title: str
    ) -> None:
        self.change(self._planes[key], lambda h: h.record(make(h.state), title))

    # ---------------------------------------------------------------- changes

    def count_change(self, plane: Plane) -> None:
        """Number a change that the owner made and shows already; see `Snapshot`."""
        self._serial += 1
        plane.serial = self._serial

    def change(self, plane: Plane, change: Callable[[History[Annotation]], Any]) -> None:
        """Change a history in the state lane and show the result."""
        serial, with_preview, confidences = plane.serial, plane.with_preview, plane.confidences

        def work(progress: Progress, cancel: Cancel) -> Snapshot:
            change(plane.history)
            history = plane.history
            labels = history.state.shown(with_preview=with_preview)
            counts = np.bincount(labels.ravel())
            return Snapshot(
                plane.key,
                history.state,
                labels,
                confidences,
                {k: int(count) for k, count in enumerate(counts) if k and count},
                with_preview,
                serial,
                history.undo_title,
                history.redo_title,
            )

        def done(snapshot: Snapshot) -> None:
            if self._planes.has(plane):
                plane.snapshot = snapshot
                self._shown(plane)
                self._keep(plane)

        def failed(error: Exception) -> None:
            # What is shown may differ from the state that stayed: show that again.
            self._failed(error, Topic(plane.key, "labels"))
            self.change(plane, lambda history: None)

        self._lane.submit(Job("", work, done, failed))

    # ---------------------------------------------------------------- journal

    def restore(self, key: PlaneKey, kept: KeptWork) -> None:
        """Take up the work of an earlier session; undo goes back to the present one."""
        self._transition(key, lambda state: kept.annotation, "restore earlier work")

    def look_for_kept_work(self, plane: Plane) -> None:
        """Look for earlier work on a picture, now that it is known by its hash."""
        journal, embedding = self._journal, plane.embedding
        if journal is None or embedding is None:
            return

        def done(kept: KeptWork | None) -> None:
            if kept is not None and self._planes.has(plane):
                self._found(plane, kept)

        self._lane.submit(
            Job(
                "",
                lambda progress, cancel: journal.find(embedding.image_sha256, plane.shape),
                done,
                self._failed,
            )
        )
        self._keep(plane)  # what was made before the hash was known

    def forget_kept_work(self, key: PlaneKey) -> None:
        """Drop all work on a picture from the journal."""
        journal, embedding = self._journal, self._planes[key].embedding
        if journal is not None and embedding is not None:
            self._lane.submit(
                Job(
                    "",
                    lambda progress, cancel: journal.forget(embedding.image_sha256),
                    lambda _: None,
                    self._failed,
                )
            )

    def _keep(self, plane: Plane) -> None:
        """Write the shown state down, unless it is there already or nothing was done yet."""
        journal, embedding, snapshot = self._journal, plane.embedding, plane.snapshot
        if journal is None or embedding is None or snapshot is None:
            return
        state = snapshot.annotation
        untouched = snapshot.undo_title is None and snapshot.redo_title is None
        if state is plane.kept or untouched:
            return
        plane.kept = state

        def done(written: bool) -> None:
            if not written and not self._journal_complained:
                self._journal_complained = True
                self._failed(SafireError(journal.problem))

        self._lane.submit(
            Job(
                "",
                lambda progress, cancel: journal.keep(embedding.image_sha256, state),
                done,
                self._failed,
                topic=("keep", plane.key),
            )
        )
