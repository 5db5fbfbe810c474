"""The interactive session: what happens between a click and a painted region.

It knows neither Qt nor napari. Two lanes do the work: the *model lane* embeds, decodes and
partitions; the *state lane* owns the annotations and their history, composes label images and
answers undo. Whoever owns the session hands it a way to make calls in its own thread; every
signal is emitted there.

A click, hop by hop: the owner calls `set_prompts` -> the state lane records it and, where a grid
was asked before, shows the nearest prompt's region at once -> the model lane decodes the exact
region (between two batches of whatever else it does) -> the state lane composes it -> `changed`.
Answers to prompts that have changed since are dropped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_safire.engine.progress import Cancel, Progress
from napari_safire.errors import SafireError
from napari_safire.session.annotation import (
    MOST_SOURCES,
    Annotation,
    Labels,
    Mask,
    Preview,
    SourcePrompt,
)
from napari_safire.session.composition import (
    Unions,
    compose_labels,
    nearest_regions,
    numbers_like,
    partition_uncertainty,
)
from napari_safire.session.history import History, PackedLabels
from napari_safire.session.jobs import Deliver, Job, JobLane
from napari_safire.session.journal import Journal, KeptWork
from napari_safire.session.planes import PartitionSettings, Plane, PlaneKey, Snapshot
from napari_safire.types import (
    Embedding,
    FloatImage,
    ForgeryMap,
    PointPrompt,
    SourcePartition,
    SourceRegion,
)

if TYPE_CHECKING:
    from napari_safire.engine import Engine, PromptGrid

GRIDS_KEPT = 3
_SMALL_PICTURE = 2_000_000  # pixels: labels of more take too long to compose
_QUICK_S = 0.5

LoadEngine = Callable[[str, str, Callable[[str], None]], "Engine"]
"""``load(model name or path, device, notice)``; called in the model lane's thread."""


@dataclass(frozen=True, slots=True)
class _Partitioned:
    """What the model lane hands over after a partition."""

    grid: PromptGrid
    partition: SourcePartition
    forgery: ForgeryMap
    preview: Preview
    numbers: tuple[int, ...]


class Session:
    """Prompts, previews, partitions and edits on any number of planes, with one model at a time.

    Parameters
    ----------
    deliver : callable
        Makes a call in the owner's thread.
    load_engine : callable
        Loads a model; see `LoadEngine`.
    journal : Journal, optional
        Keeps every step on disk; without, nothing is kept.

    Attributes
    ----------
    changed : Signal(Snapshot)
        A plane is to be shown anew.
    embedded : Signal(PlaneKey)
        The traces of a plane have been read; prompts are answered from now on.
    partitioned : Signal(PlaneKey)
        Grid, partition and forgery map of a plane are there.
    progress : Signal(str, int, int)
        What is being done, and how far of how much; an empty text when nothing is.
    notice : Signal(str, bool)
        A sentence for the user; true where something failed.
    model_changed : Signal()
        Another model is loaded, or none.
    kept_work : Signal(PlaneKey, KeptWork)
        An earlier session's work on a picture was found; `restore` takes it up.
    """

    changed = Signal(Snapshot)
    embedded = Signal(PlaneKey)
    partitioned = Signal(PlaneKey)
    progress = Signal(str, int, int)
    notice = Signal(str, bool)
    model_changed = Signal()
    kept_work = Signal(PlaneKey, KeptWork)

    def __init__(
        self, deliver: Deliver, load_engine: LoadEngine, journal: Journal | None = None
    ) -> None:
        self._deliver = deliver
        self._load = load_engine
        self._journal = journal
        self._journal_complained = False
        self._model = JobLane(deliver, self._watch)
        self._states = JobLane(deliver)
        self._planes: dict[PlaneKey, Plane] = {}
        self._choice: tuple[str, str] | None = None
        # The engine and the choice it belongs to; written by the model lane only.
        self._loaded: tuple[tuple[str, str], Engine] | None = None
        self._serial = 0
        self._quickest_answer = math.inf  # seconds that the present model took for prompts

    # ---------------------------------------------------------------- model

    @property
    def engine(self) -> Engine | None:
        """The engine of the chosen model, once it is loaded."""
        loaded = self._loaded
        return loaded[1] if loaded is not None and loaded[0] == self._choice else None

    def choose_model(
        self,
        name: str,
        device: str = "auto",
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Load another model; what the last one said is forgotten, what the user made stays.

        Parameters
        ----------
        name : str
            Of a registered model, or a path.
        device : str
        failed : callable, optional
            Takes the reason if it cannot be loaded; default: it becomes a notice.
        """
        if self._choice == (name, device):
            return
        self._choice = (name, device)
        self._quickest_answer = math.inf
        self._model.cancel()
        for plane in self._planes.values():
            plane.forget_model()

        def work(progress: Progress, cancel: Cancel) -> Engine:
            return self._engine()

        self._model.submit(
            Job(
                "Loading the model",
                work,
                done=lambda _: self.model_changed.emit(),
                failed=failed or self._failed,
                topic="load",
            )
        )
        # Afterwards, so that what this makes others ask for waits for the model.
        self.model_changed.emit()

    # ---------------------------------------------------------------- planes

    def open(self, key: PlaneKey, shape: tuple[int, int], read: Callable[[], Any]) -> Plane:
        """Begin, or go on with, the work on a plane.

        Parameters
        ----------
        key : PlaneKey
        shape : (int, int)
            Rows and columns. Other than before: the plane is taken for another picture.
        read : callable
            Gives the picture; called in a worker thread.

        Returns
        -------
        Plane
        """
        plane = self._planes.get(key)
        if plane is None or plane.shape != shape:
            if plane is not None:
                self.forget(key.picture)
            plane = Plane(key, shape, read, History(_untouched(shape)))
            self._planes[key] = plane
        plane.read = read
        return plane

    def plane(self, key: PlaneKey) -> Plane:
        """Return what is known of a plane that was opened."""
        return self._planes[key]

    def find(self, key: PlaneKey) -> Plane | None:
        """Return what is known of a plane, None if it was not opened or was forgotten."""
        return self._planes.get(key)

    def planes_of(self, picture: Hashable) -> list[Plane]:
        """All opened planes of a picture."""
        return [plane for key, plane in self._planes.items() if key.picture == picture]

    def forget(self, picture: Hashable) -> None:
        """Drop all planes of a picture and stop the work on them."""
        for key in [key for key in self._planes if key.picture == picture]:
            del self._planes[key]
            self._stop_asking(key)

    def _stop_asking(self, key: PlaneKey) -> None:
        for topic in ("embed", "segment", "partition"):
            self._model.cancel_topic((topic, key))
        self._states.cancel_topic(("uncertainty", key))

    def reread(self, picture: Hashable) -> None:
        """The pixels of a picture have changed: what the model said of them no longer holds."""
        for plane in self.planes_of(picture):
            self._stop_asking(plane.key)
            plane.forget_model()

    # ---------------------------------------------------------------- embedding

    def embed(self, key: PlaneKey) -> None:
        """Read the traces of a plane, unless that is done or under way."""
        plane = self._planes[key]
        under_way = plane.reading is not None and not plane.reading.cancelled.is_set()
        if plane.embedding is not None or under_way or self._choice is None:
            return

        def work(progress: Progress, cancel: Cancel) -> Any:
            engine = self._engine()
            return engine.embed(plane.read(), progress=progress, cancel=cancel)

        def done(embedding: Any) -> None:
            if not self._is_current(plane):
                return
            plane.reading = None
            self._take_embedding(plane, embedding)
            self._ask_again(plane)

        def failed(error: Exception) -> None:
            plane.reading = None
            self._failed(error)

        plane.reading = self._model.submit(
            Job("Reading the picture's traces", work, done, failed, topic=("embed", key))
        )

    def _take_embedding(self, plane: Plane, embedding: Embedding) -> None:
        """From here on the picture is known by its hash: so is earlier work on it."""
        if plane.embedding is embedding:
            return
        plane.embedding = embedding
        plane.asked = None  # nothing has been asked of this one
        for warning in embedding.warnings:
            self.notice.emit(warning, False)
        self._look_for_kept_work(plane)
        self.embedded.emit(plane.key)

    # ---------------------------------------------------------------- prompts

    def set_prompts(
        self, key: PlaneKey, prompts: Sequence[SourcePrompt], title: str = "prompts"
    ) -> int:
        """Replace the prompts of a plane; live ones are answered.

        Parameters
        ----------
        key : PlaneKey
        prompts : sequence of SourcePrompt
            Those outside the picture are left out, with a notice.
        title : str
            For the history: "add prompt".

        Returns
        -------
        int
            Number of this change; see `Snapshot`.
        """
        plane = self._planes[key]
        self._serial += 1
        plane.serial = self._serial
        inside = tuple(p for p in prompts if _is_inside(p.point, plane.shape))
        if len(inside) < len(prompts):
            count = len(prompts) - len(inside)
            self.notice.emit(
                f"{count} point{'s lie' if count > 1 else ' lies'} outside the picture and "
                f"{'are' if count > 1 else 'is'} not asked.",
                False,
            )
        live = tuple(p for p in inside if p.live)
        regions, grid = dict(plane.regions), plane.grid

        def change(history: History[Annotation]) -> None:
            state = history.state
            if live and state.preview is not None and state.preview.origin == "partition":
                state = state.commit()  # one preview at a time, and nothing is lost
            history.record(
                _previewed(state.with_prompts(inside), regions, grid, plane.unions), title
            )

        self._change(plane, change)
        if grid is None and any(p.point not in regions for p in live):
            self._ask(plane, live)
        # With a grid the stand-in comes first, undisturbed: the snapshot that shows it asks.
        return plane.serial

    def answers_quickly(self, key: PlaneKey) -> bool:
        """Whether a prompt is likely to be answered within some hundredths of a second."""
        plane = self._planes[key]
        if plane.embedding is None or plane.shape[0] * plane.shape[1] > _SMALL_PICTURE:
            return False
        return self._quickest_answer < _QUICK_S or self._quickest_answer == math.inf

    def segment(self, key: PlaneKey) -> None:
        """Ask the live prompts again: after a cancelled embedding, or when results were cut."""
        plane = self._planes[key]
        plane.asked = None
        if plane.snapshot is not None:
            self._ask(plane, plane.snapshot.annotation.live_prompts)

    def _ask(self, plane: Plane, live: tuple[SourcePrompt, ...]) -> None:
        if not live or self._choice is None:
            return
        plane.asked = live
        embedding = plane.embedding
        if embedding is None:
            self.embed(plane.key)  # which asks again when it is done
            return
        missing = list(dict.fromkeys(p.point for p in live if p.point not in plane.regions))
        if not missing:
            self._answer_from(plane, live)
            return

        def work(progress: Progress, cancel: Cancel) -> list[SourceRegion]:
            start = time.perf_counter()
            regions = self._engine().segment(embedding, missing)
            self._quickest_answer = min(self._quickest_answer, time.perf_counter() - start)
            return regions

        def done(regions: list[SourceRegion]) -> None:
            if self._is_current(plane) and plane.embedding is embedding:
                plane.regions |= {region.prompt: region for region in regions}
                self._answer_from(plane, live)

        topic = ("segment", plane.key)
        self._model.submit(
            Job("Finding the region", work, done, self._failed, urgent=True, topic=topic)
        )

    def _answer_from(self, plane: Plane, live: tuple[SourcePrompt, ...]) -> None:
        """Compose the answer of regions that are all known."""
        regions = dict(plane.regions)

        def change(history: History[Annotation]) -> None:
            if history.state.live_prompts == live:
                history.amend(_previewed(history.state, regions, None, plane.unions))

        self._change(plane, change)

    def _ask_again(self, plane: Plane) -> None:
        """Ask what a snapshot shows unanswered: after undo, or once the embedding is there.

        Also what was answered by another model, or for other pixels.
        """
        if plane.snapshot is None:
            return
        state = plane.snapshot.annotation
        live = state.live_prompts
        outdated = (
            plane.embedding is not None
            and state.preview is not None
            and state.preview.origin == "prompts"
            and any(prompt.point not in plane.regions for prompt in live)
        )
        if (outdated or not state.is_answered) and plane.asked != live:
            self._ask(plane, live)

    # ---------------------------------------------------------------- partition

    def partition(self, key: PlaneKey, settings: PartitionSettings, title: str = "") -> None:
        """Divide a plane into its sources; asks the grid only if that was not done before.

        Parameters
        ----------
        key : PlaneKey
        settings : PartitionSettings
        title : str
            For the progress bar.
        """
        plane = self._planes[key]
        if self._choice is None:
            return
        ready = self.has_grid(key, settings)
        shown = None if plane.snapshot is None else plane.snapshot.labels
        # The forgery map is that of two sources: it depends on grid and seed alone.
        same_map = ready and plane.partition is not None and plane.partition.seed == settings.seed
        forgery = plane.forgery if same_map else None

        def work(progress: Progress, cancel: Cancel) -> tuple[Any, _Partitioned]:
            engine = self._engine()
            embedding = plane.embedding
            if embedding is None:
                embedding = engine.embed(plane.read(), progress=progress, cancel=cancel)
            return embedding, _partition(
                engine, embedding, settings, shown, forgery, progress, cancel
            )

        def done(answer: tuple[Any, _Partitioned]) -> None:
            if not self._is_current(plane):
                return
            embedding, result = answer
            self._take_embedding(plane, embedding)
            plane.grid, plane.partition = result.grid, result.partition
            plane.forgery, plane.numbers = result.forgery, result.numbers
            self._drop_old_grids(plane)
            count = result.partition.n_sources
            what = f"partition into {count} source{'s' if count > 1 else ''}"

            def change(history: History[Annotation]) -> None:
                state = history.state
                if state.live_prompts:
                    state = state.commit()  # what the prompts found stays under the partition
                history.record(state.with_preview(result.preview), what)

            self._change(plane, change)
            self.partitioned.emit(key)

        self._model.submit(
            Job(
                title or "Partitioning",
                work,
                done,
                self._failed,
                urgent=ready,
                topic=("partition", key),
            )
        )

    def has_grid(self, key: PlaneKey, settings: PartitionSettings) -> bool:
        """Whether a partition with these settings needs no run of the model."""
        grid = self._planes[key].grid
        return grid is not None and len(grid.prompts) == settings.points_per_side**2

    def partition_all(self, keys: Sequence[PlaneKey], settings: PartitionSettings) -> None:
        """Partition several planes, one after the other; `cancel` stops between batches."""
        for number, key in enumerate(keys, start=1):
            self.partition(key, settings, f"Slice {number} of {len(keys)}")

    def _drop_old_grids(self, plane: Plane) -> None:
        """Keep the grids of a few planes only: one takes 50 MB for a picture of 1024 x 768."""
        with_grid = [other for other in self._planes.values() if other.grid is not None]
        with_grid.sort(key=lambda other: other is plane)
        for other in with_grid[:-GRIDS_KEPT]:
            other.grid = None

    def ask_uncertainty(self, key: PlaneKey, done: Callable[[FloatImage], None]) -> None:
        """Make the uncertainty of a plane's partition, (H, W) float32 in [0, 1].

        Raises
        ------
        SafireError
            There is no partition yet.
        """
        partition = self._planes[key].partition
        if partition is None:
            raise SafireError("Uncertainty is that of a partition: run one first.")
        self._states.submit(
            Job(
                "Uncertainty",
                lambda progress, cancel: partition_uncertainty(partition),
                done,
                self._failed,
                topic=("uncertainty", key),
            )
        )

    # ---------------------------------------------------------------- states

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
        self._serial += 1
        self._planes[key].serial = self._serial
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
            return _previewed(state.reopen(source), regions, grid, plane.unions)

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

    def protect(self, key: PlaneKey, sources: Iterable[int]) -> None:
        """Protect all pixels of some sources from later predictions."""
        chosen = tuple(sources)
        self._transition(key, lambda state: state.protect(chosen), "protect")

    def unprotect(self, key: PlaneKey) -> None:
        """Lift all protection."""
        self._transition(key, Annotation.unprotected, "lift protection")

    def show_preview(self, key: PlaneKey, shown: bool) -> None:
        """Show or hide the preview; nothing is lost."""
        plane = self._planes[key]
        plane.with_preview = shown
        self._change(plane, lambda history: None)

    def undo(self, key: PlaneKey) -> None:
        """Go back one step, if there is one."""
        self._change(self._planes[key], lambda h: h.undo() if h.can_undo else None)

    def redo(self, key: PlaneKey) -> None:
        """Go forward one step, if there is one."""
        self._change(self._planes[key], lambda h: h.redo() if h.can_redo else None)

    def refresh(self, key: PlaneKey) -> None:
        """Emit `changed` for a plane as it is."""
        self._change(self._planes[key], lambda history: None)

    def _transition(
        self, key: PlaneKey, make: Callable[[Annotation], Annotation], title: str
    ) -> None:
        self._change(self._planes[key], lambda h: h.record(make(h.state), title))

    def _change(self, plane: Plane, change: Callable[[History[Annotation]], Any]) -> None:
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
            if self._is_current(plane):
                plane.snapshot = snapshot
                self.changed.emit(snapshot)
                self._ask_again(plane)
                self._keep(plane)

        def failed(error: Exception) -> None:
            # What is shown may differ from the state that stayed: show that again.
            self._failed(error)
            self._change(plane, lambda history: None)

        self._states.submit(Job("", work, done, failed))

    # ---------------------------------------------------------------- journal

    def restore(self, key: PlaneKey, kept: KeptWork) -> None:
        """Take up the work of an earlier session; undo goes back to the present one."""
        self._transition(key, lambda state: kept.annotation, "restore earlier work")

    def forget_kept_work(self, key: PlaneKey) -> None:
        """Drop all work on a picture from the journal."""
        journal, embedding = self._journal, self._planes[key].embedding
        if journal is not None and embedding is not None:
            self.run(lambda: journal.forget(embedding.image_sha256), lambda _: None)

    def _look_for_kept_work(self, plane: Plane) -> None:
        journal, embedding = self._journal, plane.embedding
        if journal is None or embedding is None:
            return

        def done(kept: KeptWork | None) -> None:
            if kept is not None and self._is_current(plane):
                self.kept_work.emit(plane.key, kept)

        self.run(lambda: journal.find(embedding.image_sha256, plane.shape), done)
        self._keep(plane)  # what was made before the hash was known

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
                self.notice.emit(journal.problem, True)

        self._states.submit(
            Job(
                "",
                lambda progress, cancel: journal.keep(embedding.image_sha256, state),
                done,
                self._failed,
                topic=("keep", plane.key),
            )
        )

    # ---------------------------------------------------------------- jobs

    @property
    def busy(self) -> bool:
        """Whether anything is being done."""
        return self._model.busy or self._states.busy

    def cancel(self) -> None:
        """Stop what the model does; states and their history are not touched.

        Prompts that were being answered are asked again by `segment`, or with the next prompt.
        """
        self._model.cancel()

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do something short off the owner's thread, between the states."""
        self._states.submit(Job("", lambda progress, cancel: work(), done, self._failed))

    def run_long(
        self, title: str, work: Callable[[Progress, Cancel], Any], done: Callable[[Any], None]
    ) -> None:
        """Do something long with progress and cancel, as the model lane does."""
        self._model.submit(Job(title, work, done, self._failed))

    def close(self) -> None:
        """Stop everything; no signal is emitted afterwards and the threads end by themselves."""
        self._model.close()
        self._states.close()
        self._planes.clear()
        for signal in (
            self.changed,
            self.embedded,
            self.partitioned,
            self.progress,
            self.notice,
            self.model_changed,
            self.kept_work,
        ):
            signal.disconnect()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the threads to end; false if they did not in time."""
        return self._model.join(timeout) and self._states.join(timeout)

    def _engine(self) -> Engine:
        """Return the chosen model's engine, loading it if need be; in the model lane's thread."""
        choice = self._choice
        if choice is None:
            raise SafireError("No model is chosen: choose one first.")
        if self._loaded is None or self._loaded[0] != choice:
            self._loaded = None  # two models at once may be more than the memory holds
            engine = self._load(*choice, self._notice_from_any_thread)
            self._loaded = (choice, engine)
        return self._loaded[1]

    def _notice_from_any_thread(self, sentence: str) -> None:
        self._deliver(lambda: self.notice.emit(sentence, False))

    def _failed(self, error: Exception) -> None:
        if isinstance(error, SafireError | ValueError | TypeError | OSError):
            self.notice.emit(str(error), True)
        else:
            self.notice.emit(f"{type(error).__name__}: {error}", True)

    def _watch(self, job: Job | None, done: int, total: int, stage: str) -> None:
        if job is None:
            self.progress.emit("", 0, 0)
        elif stage.lower() in (job.title.lower(), ""):
            self.progress.emit(job.title, done, total)
        else:
            self.progress.emit(f"{job.title}: {stage}", done, total)

    def _is_current(self, plane: Plane) -> bool:
        return self._planes.get(plane.key) is plane


def _previewed(
    state: Annotation,
    regions: dict[PointPrompt, SourceRegion],
    grid: PromptGrid | None,
    unions: Unions,
) -> Annotation:
    """Answer the live prompts without the model: exactly if all were asked, else by the grid."""
    live = state.live_prompts
    missing = [prompt.point for prompt in live if prompt.point not in regions]
    if not live or (missing and grid is None):
        return state
    if missing and grid is not None:
        regions = regions | nearest_regions(missing, grid)
    geometry = regions[live[0].point].geometry
    labels = compose_labels(live, regions, geometry, unions)
    return state.with_preview(
        Preview(PackedLabels.pack(labels), "prompts", live, exact=not missing)
    )


def _partition(
    engine: Engine,
    embedding: Any,
    settings: PartitionSettings,
    shown: Labels | None,
    forgery: ForgeryMap | None,
    progress: Progress,
    cancel: Cancel,
) -> _Partitioned:
    side, seed = settings.points_per_side, settings.seed
    grid = engine.grid(embedding, side, progress=progress, cancel=cancel)
    partition = engine.partition(embedding, **asdict(settings), progress=progress, cancel=cancel)
    if forgery is None:
        forgery = engine.localize(embedding, seed, side, progress=progress, cancel=cancel)
    if partition.n_sources > MOST_SOURCES:
        raise SafireError(
            f"The picture was divided into {partition.n_sources} sources, more than the "
            f"{MOST_SOURCES} that labels can hold: raise eps or choose a number of sources."
        )
    numbers = numbers_like(partition.labels, partition.n_sources, shown)
    seeds = tuple(
        zip(numbers, (region.prompt for region in partition.representatives), strict=True)
    )
    labels = np.array(numbers, np.uint8)[partition.labels]
    preview = Preview(PackedLabels.pack(labels), "partition", seeds=seeds)
    return _Partitioned(grid, partition, forgery, preview, numbers)


@lru_cache(maxsize=4)
def _untouched(shape: tuple[int, int]) -> Annotation:
    """Pack an empty annotation once, not for each slice of a stack: it is frozen, and slow."""
    return Annotation.empty(shape)


def _is_inside(point: PointPrompt, shape: tuple[int, int]) -> bool:
    return -0.5 <= point.row <= shape[0] - 0.5 and -0.5 <= point.col <= shape[1] - 0.5
