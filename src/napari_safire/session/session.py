"""The interactive session: what happens between a click and a painted region.

It knows neither Qt nor napari. Five workers do it: the *model worker* embeds, decodes and
partitions; the *annotation worker* owns the annotations and their history, composes label images
and answers undo; the *file worker* writes every step to disk; the *reading worker* reads files, as
slow as their disk is; the *evidence worker* makes forensic views. Whoever owns the session hands it
a way to make calls in its own thread; every signal is emitted there.

A click, hop by hop: the owner calls `prompts.set` -> the annotation worker records it and shows at
once what is known already -> the model worker finds the exact region (between two batches of
whatever else it does) -> the annotation worker puts it into the labels -> `changed`. Results for
prompts that have changed since are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

from psygnal import Signal

from napari_safire.annotation.annotation import Annotation
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.errors import sentence
from napari_safire.progress import Cancel, Progress
from napari_safire.session.annotation_store import AnnotationStore
from napari_safire.session.autosave import Autosave, AutosavedWork
from napari_safire.session.blind_look import BlindLook
from napari_safire.session.chosen_model import ChosenModel, LoadEngine
from napari_safire.session.embedded_ahead import EmbeddedAhead
from napari_safire.session.evidence import SessionEvidence
from napari_safire.session.history import History
from napari_safire.session.messages import ANYWHERE, Stage, Topic
from napari_safire.session.model_jobs import ModelJobs
from napari_safire.session.partitions import Partitions
from napari_safire.session.planes import Pixels, Plane, PlaneKey, Planes, Snapshot
from napari_safire.session.prompt_answers import PromptAnswers
from napari_safire.session.weighing import Weighing
from napari_safire.session.workers import Deliver, Job, Worker
from napari_safire.types import Embedding

if TYPE_CHECKING:
    from napari_safire.engine import Engine

T = TypeVar("T")


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
    ahead : EmbeddedAhead
        Embeddings of pictures that are opened next.
    annotations : AnnotationStore
        What users make of them: commit, edit, undo.
    prompts : PromptAnswers
        Prompts and their regions.
    partitions : Partitions
        Partitions and their uncertainty.
    evidence : SessionEvidence
        Forensic views of planes.
    weighing : Weighing
        Verdicts that count them.
    blind : BlindLook
        Planes whose verdict stays hidden.
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
        self._model_worker = Worker(deliver, self._watch)
        self._annotation_worker = Worker(deliver, lasting=True)
        self._file_worker = Worker(deliver, lasting=True)
        self._reading_worker = Worker(deliver)
        self.planes = Planes()
        self.blind = BlindLook()
        self.ahead = EmbeddedAhead(self._model_worker, self._chosen)
        self.annotations = AnnotationStore(
            self._annotation_worker,
            self._file_worker,
            self.planes,
            self._shown,
            self._failed,
            lambda plane, kept: self.autosaved_work.emit(plane.key, kept),
            lambda plane: self.partitioned.emit(plane.key),
            autosave,
        )
        jobs = ModelJobs(
            self.planes, self.annotations, self._model_worker, self._chosen, self._failing
        )
        self.prompts = PromptAnswers(jobs, self.embed, self._tell)
        self.evidence = SessionEvidence(deliver, self.planes, self._tell)
        self.weighing = Weighing(
            self.evidence,
            self.planes,
            lambda key: self.partitioned.emit(key),
            self.annotations.refresh,
            lambda key: self._failing(key, "partition"),
        )
        self.partitions = Partitions(
            jobs, self._take_embedding, self.weighing, lambda key: self.partitioned.emit(key)
        )
        self._workers = (
            self._model_worker, self._annotation_worker, self._file_worker, self._reading_worker,
            self.evidence.worker,
        )  # fmt: skip

    # ---------------------------------------------------------------- model

    @property
    def engine(self) -> Engine | None:
        """The engine of the chosen model, once it is loaded."""
        return self._chosen.engine

    @property
    def model_choice(self) -> tuple[str, str] | None:
        """Name or path of the chosen model and its device, whether loaded or not."""
        return self._chosen.choice

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
        self.prompts.forget_speed()
        self.ahead.forget()
        self._model_worker.cancel()
        for plane in () if is_first else self.planes:  # what one said in earlier work may fit
            plane.forget_model()
        self._model_worker.submit(
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
        file: str | None = None,
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
        file : str, optional
            Path of the file that it is said to come from.

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
        plane.read, plane.file = read, file
        if not plane.pixels.sha256:
            plane.pixels.read = read
        return plane

    def forget(self, picture: Hashable) -> None:
        """Drop all planes of a picture and stop the work on them."""
        self.evidence.forget(picture)
        self.blind.forget(picture)
        for plane in self.planes.of(picture):
            self.planes.remove(plane)
            self._stop_asking(plane.key)

    def _stop_asking(self, key: PlaneKey) -> None:
        for topic in ("embed", "segment", "partition", "uncertainty", "next click"):
            self._model_worker.cancel_topic((topic, key))

    def reread(self, picture: Hashable) -> None:
        """The pixels of a picture have changed: what the model said of them no longer holds."""
        self.evidence.forget(picture)
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
            self.annotations.look_for_autosaved_work(plane)  # which needs no model
        if plane.embedding is not None or under_way or not self._chosen.is_chosen:
            return

        def work(progress: Progress, cancel: Cancel) -> Any:
            engine = self._chosen.need_engine()
            return self.ahead.embed(engine, plane.read(), progress, cancel)

        def done(embedding: Any) -> None:
            if not self.planes.has(plane):
                return
            plane.reading = None
            self._take_embedding(plane, embedding)
            self.prompts.ask_anew(plane)

        def failed(error: Exception) -> None:
            plane.reading = None
            self._failed(error, Topic(key, "picture"))
            self.annotations.look_for_autosaved_work(plane)

        plane.reading = self._model_worker.submit(
            Job("Reading the picture's traces", work, done, failed, topic=("embed", key))
        )

    def _take_embedding(self, plane: Plane, embedding: Embedding) -> None:
        if plane.embedding is embedding:
            return
        plane.embedding = embedding
        engine = self._chosen.engine
        plane.jointly = engine is not None and engine.answers_by_patches
        plane.pixels.sha256 = plane.pixels.sha256 or embedding.image_sha256
        whom = plane.predictions.others(embedding)
        if whom:
            state = Annotation.empty(plane.shape)
            if plane.snapshot is not None:
                state = plane.snapshot.annotation
            left_out = AnnotatedPlane(state, plane.predictions).without(whom)
            plane.predictions = Predictions()
            self.notice.emit(left_out, True, Topic(plane.key, "partition"))
            self.partitioned.emit(plane.key)
        plane.asked = None  # nothing has been asked of this one
        for warning in embedding.warnings:
            self.notice.emit(warning, False, Topic(plane.key, "picture"))
        self.annotations.look_for_autosaved_work(plane)
        self.embedded.emit(plane.key)

    def _shown(self, plane: Plane) -> None:
        if plane.snapshot is not None:
            self.changed.emit(plane.snapshot)
            self.prompts.ask_anew(plane)

    # ---------------------------------------------------------------- jobs

    @property
    def idle(self) -> bool:
        """Whether nothing is asked, nothing is being done and every answer has been delivered."""
        return all(worker.settled for worker in self._workers)

    def cancel(self) -> None:
        """Stop what the model does, and views; states and their history are not touched.

        Prompts that were being answered are asked again by `segment`, or with the next prompt.
        """
        self._model_worker.cancel()
        self.evidence.cancel()
        self.weighing.cancel()

    def run(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None] | None = None,
        *,
        ahead: bool = False,
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
        ahead : bool
            Nobody waits for it yet: all that is asked for meanwhile comes first.
        """
        self._reading_worker.submit(
            Job("", lambda progress, cancel: work(), done, failed or self._failed, ahead=ahead)
        )

    def keep(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """As `run`, in the file worker: write what users made; closing waits for it."""
        self._file_worker.submit(
            Job("", lambda progress, cancel: work(), done, failed or self._failed)
        )

    def run_long(
        self,
        title: str,
        work: Callable[[Progress, Cancel], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> Job:
        """Do something long with progress and cancel, as the model worker does."""
        return self._model_worker.submit(Job(title, work, done, failed or self._failed))

    def close(self, timeout: float = 30.0) -> None:
        """Stop what the model does, wait until what the user did is kept, and end.

        No signal is emitted afterwards, and the threads end by themselves.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.
        """
        self._model_worker.close()
        self._reading_worker.close()
        self.evidence.close()
        self.annotations.finish(timeout)
        self._annotation_worker.close()
        self._file_worker.close()
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
        self.blind.changed.disconnect()
        self.evidence.fall_silent()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the threads to end; false if they did not in time."""
        return all([worker.join(timeout) for worker in self._workers])

    def _failed(self, error: Exception, topic: Topic = ANYWHERE) -> None:
        self.notice.emit(sentence(error), True, topic)

    def _tell(self, text: str, failed: bool, topic: Topic) -> None:
        # Not connected as `notice.emit`: psygnal makes a call to learn what an `emit` takes.
        self.notice.emit(text, failed, topic)

    def _failing(self, key: PlaneKey, stage: Stage) -> Callable[[Exception], None]:
        return lambda error: self._failed(error, Topic(key, stage))

    def _watch(self, job: Job | None, done: int, total: int, stage: str) -> None:
        if job is None:
            self.progress.emit("", 0, 0)
        elif stage.lower() in (job.title.lower(), ""):
            self.progress.emit(job.title, done, total)
        else:
            self.progress.emit(f"{job.title}: {stage}", done, total)
