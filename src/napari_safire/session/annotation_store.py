"""Annotations of planes: changed, taken back and autosaved, all in the annotation worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import Annotation, Labels, Mask, Stroke
from napari_safire.annotation.answers import previewed
from napari_safire.annotation.numbering import renumbered
from napari_safire.annotation.predictions import AnnotatedPlane, PartitionPredictions, Predictions
from napari_safire.basis import RunBasis
from napari_safire.errors import SafireError
from napari_safire.progress import Cancel, Progress
from napari_safire.session.autosave import Autosave, AutosavedWork
from napari_safire.session.history import History
from napari_safire.session.messages import Topic
from napari_safire.session.planes import Plane, PlaneKey, Planes, Snapshot
from napari_safire.session.step_keeping import Step, StepKeeper, StepKeeping
from napari_safire.session.workers import Job, Worker

T = TypeVar("T")

_COUNTED_SINGLY = 16  # sources


class AnnotationStore:
    """What users make of planes; nobody else touches a history.

    Every method returns at once. What it does is done in the annotation worker, in the order of
    the calls.

    Parameters
    ----------
    worker : Worker
        The annotation worker.
    file_worker : Worker
        Reads and writes what is kept; it touches no history.
    planes : Planes
    shown : callable
        Takes each plane that has a new snapshot.
    failed : callable
        Takes the reason why something could not be done, and its topic if it has one.
    found : callable
        Takes the plane and the work of an earlier session that was found for it.
    restored : callable
        Takes each plane that has predictions of earlier work now.
    autosave : Autosave, optional
        Keeps every step on disk; without, nothing is kept.
    """

    def __init__(
        self,
        worker: Worker,
        file_worker: Worker,
        planes: Planes,
        shown: Callable[[Plane], None],
        failed: Callable[..., None],
        found: Callable[[Plane, AutosavedWork], None],
        restored: Callable[[Plane], None],
        autosave: Autosave | None = None,
    ) -> None:
        self._worker = worker
        self._file_worker = file_worker
        self._planes = planes
        self._shown = shown
        self._failed = failed
        self._found = found
        self._restored = restored
        self._autosave = autosave
        self._keeping = StepKeeping(file_worker, failed, autosave)
        self._serial = 0

    # ---------------------------------------------------------------- what users do

    def paint(self, key: PlaneKey, stroke: Stroke, part_of: int | None = None) -> None:
        """Settle and protect what the user painted.

        Parameters
        ----------
        key : PlaneKey
        stroke : Stroke
        part_of : int, optional
            Number of a stroke that goes on: all parts of it are one step, unless something else
            came between.
        """
        plane = self._planes[key]
        self.count_change(plane)

        def change(history: History[Annotation]) -> None:
            present, state = history.state, history.state.painted(stroke)
            before = plane.last_part
            goes_on = before is not None and before[0] == part_of and before[1] is present
            if goes_on:
                history.amend(state)
            else:
                history.record(state, "paint")
            plane.last_part = None if part_of is None else (part_of, history.state)

        self.change(plane, change)

    def commit(self, key: PlaneKey) -> None:
        """Settle the preview."""
        self._transition(key, Annotation.commit, "commit")

    def discard(self, key: PlaneKey) -> None:
        """Drop the preview and its prompts."""
        self._transition(key, Annotation.discard, "discard")

    def reopen(self, key: PlaneKey, source: int) -> None:
        """Take a settled source back to its prompts."""
        plane = self._planes[key]
        regions, grid, jointly = dict(plane.regions), plane.grid, plane.jointly

        def reopened(state: Annotation) -> Annotation:
            return previewed(state.reopen(source), regions, grid, plane.unions, jointly)

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
        """Change a history in the annotation worker and show the result.

        Where the change gives `PartitionPredictions`, they take the place of those of the plane:
        the
        numbers of a partition are known only once it lies over the present state.
        """
        serial, with_preview, confidences = plane.serial, plane.with_preview, plane.confidences
        step = self._step_of(plane)

        numbered: list[PartitionPredictions] = []

        def work(progress: Progress, cancel: Cancel) -> Snapshot:
            found, now = change(plane.history), step
            if isinstance(found, PartitionPredictions):
                numbered.append(found)
                now = replace(step, predictions=replace(step.predictions, partition=found))
            history = plane.history
            self._keeping.keep(now, history)  # whether or not anybody is there to be shown it
            labels = history.state.shown(with_preview=with_preview)
            return Snapshot(
                plane.key,
                history.state,
                labels,
                confidences,
                _areas(labels),
                with_preview,
                serial,
                history.undo_title,
                history.redo_title,
            )

        def done(snapshot: Snapshot) -> None:
            if self._planes.has(plane):
                if numbered and plane.predictions.partition is step.predictions.partition:
                    plane.predictions = replace(plane.predictions, partition=numbered[0])
                plane.snapshot = snapshot
                self._shown(plane)

        def failed(error: Exception) -> None:
            # What is shown may differ from the state that stayed: show that again.
            self._failed(error, Topic(plane.key, "labels"))
            self.change(plane, lambda history: None)

        self._worker.submit(Job("", work, done, failed))

    # ---------------------------------------------------------------- autosave

    def restore(
        self,
        key: PlaneKey,
        work: AnnotatedPlane,
        origin: str = "",
        title: str = "restore earlier work",
    ) -> None:
        """Take up earlier work; undo goes back to the present state.

        Parameters
        ----------
        key : PlaneKey
        work : AnnotatedPlane
            What another model, or another algorithm, than the present one said is left out.
        origin : str
            `AutosavedWork.work` where it comes from the autosave. It is then offered no more, and
            is
            saved when this work is, as long as it is not undone.
        title : str
            What it is called among the steps that can be undone.
        """
        plane = self._planes[key]
        self._take_predictions(plane, work)
        self.change(
            plane,
            lambda history: history.record(work.annotation, title, origin),
        )

    def _take_predictions(self, plane: Plane, work: AnnotatedPlane) -> None:
        """Show what a model said earlier, unless another one is asked now."""
        predictions, whom = work.predictions, work.predictions.others(plane.embedding)
        if whom:
            self._failed(SafireError(work.without(whom)), Topic(plane.key, "partition"))
            return
        if predictions == Predictions():
            return
        plane.partition = None
        plane.predictions = predictions
        self._restored(plane)

    def open_saved(
        self, key: PlaneKey, work: AnnotatedPlane, *, under_present: bool = False
    ) -> None:
        """Go on with work that files hold: undo goes no further back.

        Nothing is to be kept before it is changed.

        Parameters
        ----------
        key : PlaneKey
        work : AnnotatedPlane
        under_present : bool
            What was made of the plane meanwhile is laid over it, as a step that can be undone.
        """
        plane = self._planes[key]
        plane.saved = work.annotation
        if not under_present or plane.predictions == Predictions():
            self._take_predictions(plane, work)

        def change(history: History[Annotation]) -> None:
            present, nothing = history.state, Annotation.empty(plane.shape)
            if not under_present or present == nothing:
                history.begin_with(work.annotation)
            elif work.annotation not in (nothing, present):
                history.begin_with(work.annotation)
                history.record(present, "go on with what was open")

        self.change(plane, change)

    def mark_saved(self, plane: Plane, annotation: Annotation) -> None:
        """Remember that files which the user chose hold a state of a plane.

        Work that is saved is not offered again, and may leave the autosave when that grows large.

        Parameters
        ----------
        plane : Plane
            It need not be open any more.
        annotation : Annotation
        """
        plane.saved = annotation
        step = self._step_of(plane)
        self._worker.submit(
            Job(
                "",
                lambda progress, cancel: self._keeping.keep(step, plane.history),
                _ignore,
                self._failed,
            )
        )

    def write(
        self,
        plane: Plane,
        write: Callable[[Annotation], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Hand the present annotation of a plane to the file worker, which writes it.

        Parameters
        ----------
        plane : Plane
            It need not be open any more.
        write : callable
            Takes the annotation, in the file worker.
        done, failed : callable
            Take what `write` gives or raises, in the owner's thread.
        """

        def take(progress: Progress, cancel: Cancel) -> None:
            annotation = plane.history.state
            self._file_worker.submit(
                Job("", lambda progress, cancel: write(annotation), done, failed)
            )

        self._worker.submit(Job("", take, _ignore, failed))

    def mark_shown_as_saved(self, key: PlaneKey, labels: npt.NDArray[np.integer]) -> None:
        """The same, where only labels were saved: of the present state, if it shows these."""
        plane = self._planes[key]
        given = labels.copy()

        def work(progress: Progress, cancel: Cancel) -> Annotation | None:
            state: Annotation = plane.history.state
            return state if np.array_equal(state.shown(), given) else None

        def done(state: Annotation | None) -> None:
            if state is not None:
                self.mark_saved(plane, state)

        self._worker.submit(Job("", work, done, self._failed))

    def look_for_autosaved_work(self, plane: Plane) -> None:
        """Look for earlier work on the picture that a plane is, once; no model is needed."""
        autosave, pixels = self._autosave, plane.pixels
        if autosave is None or pixels.looked_up:
            return
        pixels.looked_up = True
        # Not what is being made right now, of layers of the same picture.
        own = [other.work for other in self._planes]

        def work(progress: Progress, cancel: Cancel) -> AutosavedWork | None:
            return autosave.find(pixels.identify(), plane.shape, own)

        def done(kept: AutosavedWork | None) -> None:
            if kept is not None and self._planes.has(plane) and plane.pixels is pixels:
                self._found(plane, kept)

        def failed(error: Exception) -> None:
            pixels.looked_up = False  # whoever works on it is told why it cannot be kept

        self._file_worker.submit(Job("", work, done, failed))

    def forget_autosaved_work(self, key: PlaneKey) -> None:
        """Drop all earlier work on a picture from the autosave; what is open stays in it."""
        autosave, pixels = self._autosave, self._planes[key].pixels
        if autosave is None:
            return
        own = [other.work for other in self._planes]
        self._file_worker.submit(
            Job(
                "",
                lambda progress, cancel: autosave.forget(pixels.identify(), own),
                _ignore,
                self._failed,
            )
        )

    def keep_with(self, picture: Hashable, keeper: StepKeeper | None) -> None:
        """Have every step of a picture kept by somebody else than the autosave.

        The autosave has those steps that this one fails to keep.

        Parameters
        ----------
        picture : hashable
        keeper : StepKeeper or None
            None: by the autosave again.
        """
        self._keeping.keep_with(picture, keeper)

    def finish(self, timeout: float) -> bool:
        """Wait until all that was done is on disk, or cannot be; false if that takes longer."""
        end = time.monotonic() + timeout
        done = self._worker.finish(timeout)
        return self._file_worker.finish(max(0.0, end - time.monotonic())) and done

    @property
    def settled(self) -> bool:
        """Whether all that was done is on disk, or cannot be, and whoever asked was told."""
        return self._worker.settled and self._file_worker.settled

    def predictions_of(self, plane: Plane) -> Predictions:
        """All that a model said of a plane, with what it rests on and all confidences."""
        basis = plane.predictions.basis
        if basis is None and plane.embedding is not None and plane.regions:
            basis = RunBasis(plane.embedding.checkpoint_sha256)
        return replace(plane.predictions, basis=basis, confidences=plane.confidences)

    def _step_of(self, plane: Plane) -> Step:
        return self._keeping.step_of(plane, self.predictions_of(plane))


def _ignore(_: object) -> None:
    """Take an answer that nobody waits for."""


def _areas(labels: Labels) -> dict[int, int]:
    """Pixels of each source.

    Counted one by one while there are few: twelve megapixels take 1 ms a source, and 40 ms in
    `numpy.bincount`, which makes eight bytes of each label. A stroke waits for it once a second.
    """
    found: dict[int, int] = {}
    left = int(np.count_nonzero(labels))
    for source in range(1, _COUNTED_SINGLY + 1):
        if not left:
            return found
        count = int(np.count_nonzero(labels == source))
        left -= count
        if count:
            found[source] = count
    if not left:
        return found
    return {k: int(count) for k, count in enumerate(np.bincount(labels.ravel())) if k and count}
