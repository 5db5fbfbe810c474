"""The interactive session: what happens between a click and a painted region.

It knows neither Qt nor napari. Three lanes do the work: the *model lane* embeds, decodes and
partitions; the *state lane* owns the annotations and their history, composes label images and
answers undo; the *file lane* keeps every step on disk. Whoever owns the session hands it a way to
make calls in its own thread; every signal is emitted there.

A click, hop by hop: the owner calls `set_prompts` -> the state lane records it and, where a grid
was asked before, shows the nearest prompt's region at once -> the model lane decodes the exact
region (between two batches of whatever else it does) -> the state lane composes it -> `changed`.
Answers to prompts that have changed since are dropped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from psygnal import Signal

from napari_safire.annotation.annotation import Annotation, SourcePrompt, changed_prompts
from napari_safire.annotation.numbering import numbers_of
from napari_safire.annotation.predictions import AnnotatedPlane, PartitionPredictions, Predictions
from napari_safire.errors import SafireError, sentence
from napari_safire.progress import Cancel, Progress
from napari_safire.session.annotation_store import OTHER_MODEL, AnnotationStore
from napari_safire.session.autosave import Autosave, AutosavedWork
from napari_safire.session.chosen_model import ChosenModel, LoadEngine
from napari_safire.session.history import History
from napari_safire.session.messages import ANYWHERE, Stage, Topic
from napari_safire.session.planes import Pixels, Plane, PlaneKey, Planes, Snapshot
from napari_safire.session.region_labels import Asked, partition_uncertainty
from napari_safire.session.results import (
    Partitioned,
    ask_regions,
    partitioned,
    points_outside,
    previewed,
    with_partition,
)
from napari_safire.session.workers import Deliver, Job, Worker
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding, FloatImage, SourceRegion

if TYPE_CHECKING:
    from napari_safire.engine import Engine

T = TypeVar("T")

_SMALL_PICTURE = 2_000_000  # pixels: labels of more take too long to compose
_QUICK_S = 0.5


class Session:
    """Prompts, previews, partitions and edits on any number of planes, with one model at a time.

    Parameters
    ----------
    deliver : callable
        Makes a call in the owner's thread.
    load_engine : callable
        Loads a model; see `LoadEngine`.
    autosave : Autosave, optional
        Keeps every step on disk; without, nothing is kept.

    Attributes
    ----------
    planes : Planes
        Those that are open.
    states : AnnotationStore
        What users make of them: commit, edit, undo.
    changed : Signal(Snapshot)
        A plane is to be shown anew.
    embedded : Signal(PlaneKey)
        The traces of a plane have been read; prompts are answered from now on.
    partitioned : Signal(PlaneKey)
        What the model says of a whole plane is another: there are grid, partition and forgery map,
        or what was kept of them with earlier work, or nothing any more.
    progress : Signal(str, int, int)
        What is being done, and how far of how much; an empty text when nothing is.
    notice : Signal(str, bool, Topic)
        A sentence for the user; true where something failed; what it belongs to.
    model_changed : Signal()
        Another model is loaded, or none.
    autosaved_work : Signal(PlaneKey, AutosavedWork)
        An earlier session's work on a picture was found; `AnnotationStore.restore` takes it up.
    """

    changed = Signal(Snapshot)
    embedded = Signal(PlaneKey)
    partitioned = Signal(PlaneKey)
    progress = Signal(str, int, int)
    notice = Signal(str, bool, Topic)
    model_changed = Signal()
    autosaved_work = Signal(PlaneKey, AutosavedWork)

    def __init__(
        self, deliver: Deliver, load_engine: LoadEngine, autosave: Autosave | None = None
    ) -> None:
        self._chosen = ChosenModel(
            load_engine,
            lambda sentence: deliver(lambda: self.notice.emit(sentence, False, ANYWHERE)),
        )
        self._model_lane = Worker(deliver, self._watch)
        self._state_lane = Worker(deliver, lasting=True)
        self._file_lane = Worker(deliver, lasting=True)
        self._reading_lane = Worker(deliver)
        self.planes = Planes()
        self.states = AnnotationStore(
            self._state_lane,
            self._file_lane,
            self.planes,
            self._shown,
            self._failed,
            lambda plane, kept: self.autosaved_work.emit(plane.key, kept),
            lambda plane: self.partitioned.emit(plane.key),
            autosave,
        )
        self._workers = (
            self._model_lane, self._state_lane, self._file_lane, self._reading_lane,
        )  # fmt: skip
        self._quickest_answer = math.inf  # seconds that the present model took for prompts

    # ---------------------------------------------------------------- model

    @property
    def engine(self) -> Engine | None:
        """The engine of the chosen model, once it is loaded."""
        return self._chosen.engine

    @property
    def answers_by_patches(self) -> bool:
        """Whether the model, if it is loaded, asks no grid of prompts; see `Engine`."""
        engine = self._chosen.engine
        return engine is not None and engine.answers_by_patches

    @property
    def most_sources(self) -> int | None:
        """How many sources the model tells apart at most; None while none is loaded."""
        return None if self.engine is None else self.engine.most_sources

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
        is_first = not self._chosen.is_chosen
        if not self._chosen.choose(name, device):
            return
        self._quickest_answer = math.inf
        self._model_lane.cancel()
        for plane in () if is_first else self.planes:  # what one said in earlier work may fit
            plane.forget_model()
        self._model_lane.submit(
            Job(
                "Loading the model",
                lambda progress, cancel: self._chosen.need_engine(),
                done=lambda _: self.model_changed.emit(),
                failed=failed or self._failed,
                topic="load",
            )
        )
        # Afterwards, so that what this makes others ask for waits for the model.
        self.model_changed.emit()

    # ---------------------------------------------------------------- planes

    def open(
        self,
        key: PlaneKey,
        shape: tuple[int, int],
        read: Callable[[], Any],
        begin: AnnotatedPlane | None = None,
        work: str = "",
    ) -> Plane:
        """Begin, or go on with, the work on a plane.

        Parameters
        ----------
        key : PlaneKey
        shape : (int, int)
            Rows and columns. Other than before: the plane is taken for another picture.
        read : callable
            Gives the picture; called in a worker thread.
        begin : AnnotatedPlane, optional
            What was made of it before, in this very viewer; undo does not go further back.
        work : str
            `Plane.work` of that time: it goes on in the autosave.

        Returns
        -------
        Plane
        """
        plane = self.planes.find(key)
        if plane is None or plane.shape != shape:
            if plane is not None:
                self.forget(key.picture)
            begin = begin or AnnotatedPlane(Annotation.empty(shape))
            plane = Plane(
                key, shape, read, History(begin.annotation), predictions=begin.predictions
            )
            plane.work = work or plane.work
            self.planes.add(plane)
        plane.read = read
        if not plane.pixels.sha256:
            plane.pixels.read = read
        return plane

    def forget(self, picture: Hashable) -> None:
        """Drop all planes of a picture and stop the work on them."""
        for plane in self.planes.of(picture):
            self.planes.remove(plane)
            self._stop_asking(plane.key)

    def _stop_asking(self, key: PlaneKey) -> None:
        for topic in ("embed", "segment", "partition", "uncertainty"):
            self._model_lane.cancel_topic((topic, key))

    def reread(self, picture: Hashable) -> None:
        """The pixels of a picture have changed: what the model said of them no longer holds."""
        for plane in self.planes.of(picture):
            self._stop_asking(plane.key)
            plane.forget_model()
            plane.pixels = Pixels(plane.read)

    # ---------------------------------------------------------------- embedding

    def embed(self, key: PlaneKey) -> None:
        """Read the traces of a plane, unless that is done or under way."""
        plane = self.planes[key]
        under_way = plane.reading is not None and not plane.reading.cancelled.is_set()
        if not self._chosen.is_chosen:
            self.states.look_for_kept_work(plane)  # which needs no model
        if plane.embedding is not None or under_way or not self._chosen.is_chosen:
            return

        def work(progress: Progress, cancel: Cancel) -> Any:
            engine = self._chosen.need_engine()
            return engine.embed(plane.read(), progress=progress, cancel=cancel)

        def done(embedding: Any) -> None:
            if not self.planes.has(plane):
                return
            plane.reading = None
            self._take_embedding(plane, embedding)
            self._ask_again(plane)

        def failed(error: Exception) -> None:
            plane.reading = None
            self._failed(error, Topic(key, "picture"))
            self.states.look_for_kept_work(plane)

        plane.reading = self._model_lane.submit(
            Job("Reading the picture's traces", work, done, failed, topic=("embed", key))
        )

    def _take_embedding(self, plane: Plane, embedding: Embedding) -> None:
        if plane.embedding is embedding:
            return
        plane.embedding = embedding
        engine = self._chosen.engine
        plane.jointly = engine is not None and engine.answers_by_patches
        plane.pixels.sha256 = plane.pixels.sha256 or embedding.image_sha256
        if not plane.predictions.fits(embedding):
            plane.predictions = Predictions()
            self.notice.emit(OTHER_MODEL, False, Topic(plane.key, "picture"))
            self.partitioned.emit(plane.key)
        plane.asked = None  # nothing has been asked of this one
        for warning in embedding.warnings:
            self.notice.emit(warning, False, Topic(plane.key, "picture"))
        self.states.look_for_kept_work(plane)
        self.embedded.emit(plane.key)

    # ---------------------------------------------------------------- prompts

    def set_prompts(
        self,
        key: PlaneKey,
        prompts: Sequence[SourcePrompt],
        title: str = "prompts",
        shown: Sequence[SourcePrompt] | None = None,
    ) -> int:
        """Change the prompts of a plane; live ones are answered.

        Parameters
        ----------
        key : PlaneKey
        prompts : sequence of SourcePrompt
            Those outside the picture are left out, with a notice.
        title : str
            For the history: "add prompt".
        shown : sequence of SourcePrompt, optional
            Those that were on screen when the user made `prompts` of them. Only what differs is
            changed then, whatever the newest state is. Default: all are replaced.

        Returns
        -------
        int
            Number of this change; see `Snapshot`.
        """
        plane = self.planes[key]
        self.states.count_change(plane)
        inside = tuple(p for p in prompts if p.point.lies_in(plane.shape))
        if len(inside) < len(prompts):
            self.notice.emit(points_outside(len(prompts) - len(inside)), False, Topic(key))
        live = tuple(p for p in inside if p.live)
        regions, grid, jointly = dict(plane.regions), plane.grid, plane.jointly

        def change(history: History[Annotation]) -> None:
            state = history.state
            if live and state.preview is not None and state.preview.origin == "partition":
                state = state.commit()  # one preview at a time, and nothing is lost
            made = inside if shown is None else changed_prompts(state.prompts, shown, inside)
            state = state.with_prompts(made)
            history.record(previewed(state, regions, grid, plane.unions, jointly), title)

        self.states.change(plane, change)
        if grid is None and plane.missing(live):
            self._ask(plane, live)
        # With a grid the stand-in comes first, undisturbed: the snapshot that shows it asks.
        return plane.serial

    def answers_quickly(self, key: PlaneKey) -> bool:
        """Whether a prompt is likely to be answered within some hundredths of a second."""
        plane = self.planes[key]
        if plane.embedding is None or plane.shape[0] * plane.shape[1] > _SMALL_PICTURE:
            return False
        return self._quickest_answer < _QUICK_S or self._quickest_answer == math.inf

    def segment(self, key: PlaneKey) -> None:
        """Ask the live prompts again: after a cancelled embedding, or when results were cut."""
        plane = self.planes[key]
        plane.asked = None
        if plane.snapshot is not None:
            self._ask(plane, plane.snapshot.annotation.live_prompts)

    def _ask(self, plane: Plane, live: tuple[SourcePrompt, ...]) -> None:
        if not live or not self._chosen.is_chosen:
            return
        plane.asked = live
        embedding = plane.embedding
        if embedding is None:
            self.embed(plane.key)  # which asks again when it is done
            return
        missing = plane.missing(live)
        if not missing:
            self._answer_from(plane, live)
            return

        def work(progress: Progress, cancel: Cancel) -> dict[Asked, SourceRegion]:
            start = time.perf_counter()
            regions = ask_regions(self._chosen.need_engine(), embedding, missing)
            self._quickest_answer = min(self._quickest_answer, time.perf_counter() - start)
            return regions

        def done(regions: dict[Asked, SourceRegion]) -> None:
            if self.planes.has(plane) and plane.embedding is embedding:
                plane.regions |= regions
                self._answer_from(plane, live)

        topic = ("segment", plane.key)
        self._model_lane.submit(
            Job(
                "Finding the region",
                work,
                done,
                self._failing(plane.key, "prompts"),
                urgent=True,
                topic=topic,
            )
        )

    def _answer_from(self, plane: Plane, live: tuple[SourcePrompt, ...]) -> None:
        """Compose the answer of regions that are all known."""
        regions, jointly = dict(plane.regions), plane.jointly

        def change(history: History[Annotation]) -> None:
            if history.state.live_prompts == live:
                history.amend(previewed(history.state, regions, None, plane.unions, jointly))

        self.states.change(plane, change)

    def _shown(self, plane: Plane) -> None:
        if plane.snapshot is not None:
            self.changed.emit(plane.snapshot)
            self._ask_again(plane)

    def _ask_again(self, plane: Plane) -> None:
        """Ask what a snapshot shows unanswered: after undo, or once the embedding is there.

        Also what was answered by another model, or for other pixels.
        """
        if plane.snapshot is None:
            return
        state = plane.snapshot.annotation
        live = state.live_prompts
        if (plane.is_outdated or not state.is_answered) and plane.asked != live:
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
        plane = self.planes[key]
        if not self._chosen.is_chosen:
            return
        ready = plane.is_read_for(settings)
        # The forgery map is that of two sources: it depends on grid and seed alone.
        same_map = ready and plane.partition is not None and plane.partition.seed == settings.seed
        forgery = plane.forgery if same_map else None

        def work(progress: Progress, cancel: Cancel) -> tuple[Any, Partitioned]:
            engine = self._chosen.need_engine()
            embedding = plane.embedding
            if embedding is None:
                embedding = engine.embed(plane.read(), progress=progress, cancel=cancel)
            return embedding, partitioned(engine, embedding, settings, forgery, progress, cancel)

        def done(answer: tuple[Any, Partitioned]) -> None:
            if not self.planes.has(plane):
                return
            embedding, result = answer
            self._take_embedding(plane, embedding)
            plane.grid, plane.patches = result.grid, result.patches
            plane.partition, plane.number_probabilities = result.partition, result.numbers
            predictions = result.predictions(settings, embedding.checkpoint_sha256)
            plane.predictions = predictions
            self.planes.drop_old_grids(plane)
            count = result.partition.n_sources
            what = f"partition into {count} source{'s' if count > 1 else ''}"

            def change(history: History[Annotation]) -> PartitionPredictions:
                state = with_partition(history.state, result.partition)
                history.record(state, what)
                return PartitionPredictions.of(
                    result.partition, numbers_of(result.partition, state)
                )

            self.states.change(plane, change)
            self.partitioned.emit(key)

        self._model_lane.submit(
            Job(
                title or "Partitioning",
                work,
                done,
                self._failing(key, "partition"),
                urgent=ready,
                topic=("partition", key),
            )
        )

    def partition_all(self, keys: Sequence[PlaneKey], settings: PartitionSettings) -> None:
        """Partition several planes, one after the other; `cancel` stops between batches."""
        for number, key in enumerate(keys, start=1):
            self.partition(key, settings, f"Slice {number} of {len(keys)}")

    def ask_uncertainty(self, key: PlaneKey, done: Callable[[FloatImage], None]) -> None:
        """Make the uncertainty of a plane's partition; the engine repeats it for that.

        Parameters
        ----------
        key : PlaneKey
        done : callable
            Takes the (H, W) float32 values in [0, 1] of `partition_uncertainty`; not called if the
            plane has another partition by then.

        Raises
        ------
        SafireError
            There is no partition yet, or it has one source: a map of zeros would say "certain".
        """
        plane = self.planes[key]
        partition, embedding = plane.partition, plane.embedding
        if partition is None or embedding is None:
            raise SafireError("Uncertainty is that of a partition: run one first.")
        if partition.n_sources == 1:
            raise SafireError(
                "One source was found: pixels could belong to nothing else, so there is no "
                "uncertainty to show. Ask for two sources."
            )

        def work(progress: Progress, cancel: Cancel) -> FloatImage:
            engine = self._chosen.need_engine()
            stability = engine.stability(embedding, partition, progress=progress, cancel=cancel)
            return partition_uncertainty(partition, stability)

        def answered(values: FloatImage) -> None:
            if self.planes.has(plane) and plane.partition is partition:
                done(values)

        self._model_lane.submit(
            Job(
                "Uncertainty",
                work,
                answered,
                self._failing(key, "partition"),
                topic=("uncertainty", key),
            )
        )

    # ---------------------------------------------------------------- jobs

    @property
    def idle(self) -> bool:
        """Whether nothing is asked, nothing is being done and every answer has been delivered."""
        return all(worker.settled for worker in self._workers)

    def cancel(self) -> None:
        """Stop what the model does; states and their history are not touched.

        Prompts that were being answered are asked again by `segment`, or with the next prompt.
        """
        self._model_lane.cancel()

    def run(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Look at files or devices off the owner's thread; no annotation waits for it.

        Parameters
        ----------
        work : callable
            Called in the reading worker.
        done : callable
            Takes what it gives, in the owner's thread.
        failed : callable, optional
            Takes what it raises; default: it becomes a notice.
        """
        self._reading_lane.submit(
            Job("", lambda progress, cancel: work(), done, failed or self._failed)
        )

    def run_long(
        self, title: str, work: Callable[[Progress, Cancel], Any], done: Callable[[Any], None]
    ) -> None:
        """Do something long with progress and cancel, as the model lane does."""
        self._model_lane.submit(Job(title, work, done, self._failed))

    def close(self, timeout: float = 30.0) -> None:
        """Stop what the model does, wait until what the user did is kept, and end.

        No signal is emitted afterwards, and the threads end by themselves.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.
        """
        self._model_lane.close()
        self._reading_lane.close()
        self.states.finish(timeout)
        self._state_lane.close()
        self._file_lane.close()
        self.planes.clear()
        self.fall_silent()

    def fall_silent(self) -> None:
        """Tell nobody anything from now on; what was begun is done all the same."""
        for signal in (
            self.changed,
            self.embedded,
            self.partitioned,
            self.progress,
            self.notice,
            self.model_changed,
            self.autosaved_work,
        ):
            signal.disconnect()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the threads to end; false if they did not in time."""
        return all([worker.join(timeout) for worker in self._workers])

    def _failed(self, error: Exception, topic: Topic = ANYWHERE) -> None:
        self.notice.emit(sentence(error), True, topic)

    def _failing(self, key: PlaneKey, stage: Stage) -> Callable[[Exception], None]:
        return lambda error: self._failed(error, Topic(key, stage))

    def _watch(self, job: Job | None, done: int, total: int, stage: str) -> None:
        if job is None:
            self.progress.emit("", 0, 0)
        elif stage.lower() in (job.title.lower(), ""):
            self.progress.emit(job.title, done, total)
        else:
            self.progress.emit(f"{job.title}: {stage}", done, total)
