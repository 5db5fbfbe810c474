"""Partitions of planes, their forgery maps and their uncertainty, as the model makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from napari_safire.annotation.annotation import Annotation
from napari_safire.annotation.numbering import numbers_of
from napari_safire.annotation.predictions import PartitionPredictions
from napari_safire.annotation.region_labels import partition_uncertainty
from napari_safire.errors import SafireError
from napari_safire.progress import Cancel, Progress
from napari_safire.session.history import History
from napari_safire.session.model_jobs import ModelJobs
from napari_safire.session.planes import Plane, PlaneKey
from napari_safire.session.results import Partitioned, partitioned, with_partition
from napari_safire.session.weighing import Weighing
from napari_safire.session.workers import Job
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding, FloatImage


class Partitions:
    """Has the model divide planes into their sources.

    Parameters
    ----------
    jobs : ModelJobs
    take_embedding : callable
        Takes a plane and the embedding that was made of it.
    weighing : Weighing
    told : callable
        Takes the key of a plane of which the model says something else now.
    """

    def __init__(
        self,
        jobs: ModelJobs,
        take_embedding: Callable[[Plane, Embedding], None],
        weighing: Weighing,
        told: Callable[[PlaneKey], None],
    ) -> None:
        self._jobs = jobs
        self._take_embedding = take_embedding
        self._weighing = weighing
        self._told = told

    def run(self, key: PlaneKey, settings: PartitionSettings, title: str = "") -> None:
        """Divide a plane into its sources; asks the grid only if that was not done before.

        Parameters
        ----------
        key : PlaneKey
        settings : PartitionSettings
        title : str
            For the progress bar.
        """
        plane = self._jobs.planes[key]
        if not self._jobs.chosen.is_chosen:
            return
        ready = plane.is_read_for(settings)
        # The forgery map is that of two sources: it depends on grid and seed alone.
        same_map = ready and plane.partition is not None and plane.partition.seed == settings.seed
        forgery = plane.network if same_map else None

        def work(progress: Progress, cancel: Cancel) -> tuple[Any, Partitioned]:
            engine = self._jobs.chosen.need_engine()
            embedding = plane.embedding
            if embedding is None:
                embedding = engine.embed(plane.read(), progress=progress, cancel=cancel)
            return embedding, partitioned(engine, embedding, settings, forgery, progress, cancel)

        def done(answer: tuple[Any, Partitioned]) -> None:
            if not self._jobs.planes.has(plane):
                return
            embedding, result = answer
            self._take_embedding(plane, embedding)
            plane.grid, plane.patches = result.grid, result.patches
            plane.partition, plane.number_probabilities = result.partition, result.numbers
            predictions = result.predictions(settings, embedding.checkpoint_sha256)
            verdict = self._weighing.standing(plane, result.forgery, self._jobs.chosen.engine)
            plane.predictions = replace(predictions, forgery=verdict)
            self._jobs.planes.drop_old_grids(plane)
            count = result.partition.n_sources
            what = f"partition into {count} source{'s' if count > 1 else ''}"

            def change(history: History[Annotation]) -> PartitionPredictions:
                state = with_partition(history.state, result.partition)
                history.record(state, what)
                return PartitionPredictions.of(
                    result.partition, numbers_of(result.partition, state)
                )

            self._jobs.annotations.change(plane, change)
            self._told(key)
            self._weighing.weigh(plane)

        self._jobs.worker.submit(
            Job(
                title or "Partitioning",
                work,
                done,
                self._jobs.failing(key, "partition"),
                urgent=ready,
                topic=("partition", key),
            )
        )

    def run_all(self, keys: Sequence[PlaneKey], settings: PartitionSettings) -> None:
        """Partition several planes, one after the other; `Session.cancel` stops them."""
        for number, key in enumerate(keys, start=1):
            self.run(key, settings, f"Slice {number} of {len(keys)}")

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
        plane = self._jobs.planes[key]
        partition, embedding = plane.partition, plane.embedding
        if partition is None or embedding is None:
            raise SafireError("Uncertainty is that of a partition: run one first.")
        if partition.n_sources == 1:
            raise SafireError(
                "One source was found: pixels could belong to nothing else, so there is no "
                "uncertainty to show. Ask for two sources."
            )

        def work(progress: Progress, cancel: Cancel) -> FloatImage:
            engine = self._jobs.chosen.need_engine()
            stability = engine.stability(embedding, partition, progress=progress, cancel=cancel)
            return partition_uncertainty(partition, stability)

        def answered(values: FloatImage) -> None:
            if self._jobs.planes.has(plane) and plane.partition is partition:
                done(values)

        self._jobs.worker.submit(
            Job(
                "Uncertainty",
                work,
                answered,
                self._jobs.failing(key, "partition"),
                topic=("uncertainty", key),
            )
        )
