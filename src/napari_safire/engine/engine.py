"""The engine: everything a user does with a model and a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_safire.engine.cache import EmbeddingCache
from napari_safire.engine.checks import Prompts, check_embedding, check_partition, checked_prompts
from napari_safire.engine.embedder import Embedder
from napari_safire.engine.memory import Notify, explained
from napari_safire.engine.methods import (
    GridPartitioning,
    PartitioningMethod,
    SpectralPartitioning,
)
from napari_safire.engine.precision import Precision
from napari_safire.engine.prompt_decoder import PromptDecoder
from napari_safire.engine.rules import ModelRules, read_rules
from napari_safire.forgery import ForgeryMap
from napari_safire.model import SafireModel
from napari_safire.partitioning.n_sources import Pieces
from napari_safire.partitioning.prompt_grid import PromptGrid
from napari_safire.partitioning.spectral import COMPARING, MOST_SOURCES
from napari_safire.progress import Cancel, Progress
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding, FloatImage, SourcePartition, SourceRegion

_CLICK_METHODS = ("auto", "patches", "decoder")
_NO_PATCHES = "This model does not say which patches belong together: ask its decoder."


class Engine(Embedder):
    """Segment, partition and localise with one model.

    Every method takes and gives NumPy arrays and frozen values. Jobs that take long accept
    ``progress(done, total, stage)`` and ``cancel()``; a cancelled job raises
    `napari_safire.errors.Cancelled`. Several threads may ask one engine; on a CPU, whose cores are
    all taken by one answer, the model then answers one after the other. Where memory runs out, jobs
    go on with fewer prompts at once, then on the CPU, and say so in `notices`; only if that fails
    too they raise `napari_safire.errors.OutOfMemory`. Where the model gives numbers that are not
    finite, they raise `napari_safire.errors.ModelFailure`.

    Parameters
    ----------
    model : SafireModel
        From `napari_safire.load_model`.
    cache : EmbeddingCache, optional
        Of embeddings, on disk.
    on_notice : callable, optional
        Called with each sentence of `notices` as it arises, in the thread of the job.
    precision : {"float32", "bf16", "fp16"}
        Other than float32: faster on most GPUs and some CPUs, and a little different;
        ``benchmarks/README.md`` says by how much. Such embeddings are not cached.
    grids_cached : int
        How many of the last grids are cached for `partition` and `localize` to share: as many as
        pictures are worked on at once. Of 256 prompts and 1024 x 768 pixels one takes 50 MB.
    rules : ModelRules, optional
        Other than those of the model's file, as while they are being settled.

    Raises
    ------
    TypeError, ValueError
        No model, or a precision that its device does not have.
    CheckpointError
        Something in the model's metadata cannot be used; see `napari_safire.engine.rules`.

    Attributes
    ----------
    model : SafireModel
    rules : ModelRules
    precision : str
    cache : EmbeddingCache or None
        May be exchanged at any time, as `grids_cached` may.

    Examples
    --------
    >>> engine = Engine(load_model("safire-lite"))          # doctest: +SKIP
    >>> embedding = engine.embed(image)                     # doctest: +SKIP
    >>> engine.segment(embedding, [(120, 300)])[0].mask     # doctest: +SKIP
    """

    def __init__(
        self,
        model: SafireModel,
        *,
        cache: EmbeddingCache | None = None,
        on_notice: Notify | None = None,
        precision: Precision = "float32",
        grids_cached: int = 3,
        rules: ModelRules | None = None,
    ) -> None:
        super().__init__(model, cache=cache, on_notice=on_notice, precision=precision)
        self.rules = read_rules(model.metadata) if rules is None else rules
        self.grids_cached = grids_cached
        self._decoder = PromptDecoder(
            self._memory, self._computing, self.rules.confidence, lambda: self.grids_cached
        )
        self._by_prompts = GridPartitioning(self.rules, self._decoder.grid, self._decoder.regions)
        self._by_patches = None
        if self.rules.patches is not None:
            self._by_patches = SpectralPartitioning(
                self.rules.patches, self.rules.calibration, lambda: self.grids_cached
            )

    @property
    def answers_by_patches(self) -> bool:
        """Whether clicks are answered from the embedding's patches, as with safire-lite.

        Models as published are asked through their decoder, and partitioned by a grid of prompts.
        """
        return self._by_patches is not None

    def segment(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        method: str = "auto",
    ) -> list[SourceRegion]:
        """Find the source region that contains each prompt.

        Parameters
        ----------
        embedding : Embedding
        prompts : iterable of PointPrompt or (row, col)
            In image pixels. Each prompt is answered by itself.
        method : {"auto", "patches", "decoder"}
            "patches": by the pieces that the partition is made of; that the picture has several
            sources is taken for granted. "decoder": by the published one. "auto": by patches where
            the model can (`answers_by_patches`), else by its decoder.

        Returns
        -------
        list of SourceRegion
            In the order of the prompts.

        Raises
        ------
        ValueError
            A prompt lies outside, or it is not this model's embedding or method.
        OutOfMemory
        ModelFailure
            The answers are not finite.
        """
        check_embedding(embedding, self.model.checkpoint_sha256)
        points = checked_prompts(embedding, prompts)
        by_patches = self._clicks_by_patches(method)
        if not points:
            return []
        if by_patches is None:
            return self._decoder.regions(embedding, points)
        with explained(COMPARING):
            return [by_patches.segment_source(embedding, [point]) for point in points]

    def segment_source(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        others: Prompts = (),
        method: str = "auto",
    ) -> SourceRegion:
        """Find the source region that contains all of some prompts.

        Parameters
        ----------
        embedding : Embedding
        prompts : iterable of PointPrompt or (row, col)
            At least one, in image pixels, all of one source.
        others : iterable of PointPrompt or (row, col)
            Points that are known to lie in other sources. By patches they count against the region;
            decoders know no such prompts and are not told.
        method : {"auto", "patches", "decoder"}
            As in `segment`. By patches the prompts are weighed together; the decoder's regions are
            united, and the least confidence counts.

        Returns
        -------
        SourceRegion
            Of the first prompt.

        Raises
        ------
        ValueError
            No prompt, or as in `segment`.
        OutOfMemory, ModelFailure
        """
        check_embedding(embedding, self.model.checkpoint_sha256)
        points, strange = (checked_prompts(embedding, some) for some in (prompts, others))
        by_patches = self._clicks_by_patches(method)
        if not points:
            raise ValueError("A source region needs a prompt: give one at least.")
        if by_patches is not None:
            with explained(COMPARING):
                return by_patches.segment_source(embedding, points, strange)
        regions = self._decoder.regions(embedding, points)
        united = np.maximum.reduce([region.low_res_logits for region in regions])
        least = min(region.confidence for region in regions)
        return SourceRegion(points[0], united, embedding.geometry, least)

    def grid(
        self,
        embedding: Embedding,
        points_per_side: int = 16,
        *,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> PromptGrid:
        """Ask every point of a grid; those of the last few embeddings are cached.

        Parameters
        ----------
        embedding : Embedding
        points_per_side : int
            1 .. 128.
        progress, cancel : callable, optional

        Returns
        -------
        PromptGrid
        """
        check_embedding(embedding, self.model.checkpoint_sha256)
        PartitionSettings(points_per_side=points_per_side).check()
        return self._decoder.grid(embedding, points_per_side, progress, cancel, with_logits=True)

    def partition(
        self,
        embedding: Embedding,
        method: str = "auto",
        n_sources: int | None = None,
        seed: int = 0,
        points_per_side: int = 16,
        eps: float | None = None,
        *,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> SourcePartition:
        """Divide the whole picture into its sources.

        Parameters
        ----------
        embedding : Embedding
        method : {"auto", "kmeans", "dbscan"}
            "auto" finds the number of sources itself, one included; "kmeans" needs ``n_sources``;
            "dbscan" counts what lies apart (paper section "Multi-source partitioning").
        n_sources : int, optional
            Number of sources for "kmeans"; fewer are returned if the prompts give no more.
        seed : int
            For k-means; the same seed gives the same partition.
        points_per_side : int
        eps : float, optional
            Euclidean distance for "dbscan": every group of prompts that is farther from all others
            is a source, as published. None: by the rule of
            `napari_safire.partitioning.clustering.chosen_density`, and single prompts are no
            sources. Which it was stands in the partition's parameters.
        progress, cancel : callable, optional

        Returns
        -------
        SourcePartition
            By "dbscan", the confidence of a source is multiplied with how often it is found again
            at a larger eps, up to four times as much.

        Raises
        ------
        ValueError
            Parameters that do not fit each other; the message says which.
        Cancelled
        """
        plan = PartitionSettings(method, n_sources, eps, seed, points_per_side)
        plan.check()
        check_embedding(embedding, self.model.checkpoint_sha256)
        return self._method(method).partition(embedding, plan, (progress, cancel))

    def stability(
        self,
        embedding: Embedding,
        partition: SourcePartition,
        repeats: int = 5,
        *,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> FloatImage:
        """How steadily each pixel comes into its source when the partition is made again.

        Each repetition clusters another random two thirds of the prompts (or patches), with another
        seed and as many sources as the partition has, or with another eps of DBSCAN; its sources
        are matched one to one to the partition's. Nothing is decoded again: a pixel is as stable as
        the nearest prompt (patch) of its own source.

        Parameters
        ----------
        embedding : Embedding
            That the partition was made of.
        partition : SourcePartition
            By any method. Of one by "dbscan" it is told how often DBSCAN finds the same at a larger
            eps, up to four times as much; of all others how often k-means does.
        repeats : int
            From 1 on.
        progress, cancel : callable, optional

        Returns
        -------
        (H, W) float32 array in [0, 1]
            Share of the repetitions that put a pixel into the same source; 1 for a single source.
            The same for the same arguments: ``partition.seed`` settles what is drawn.

        Raises
        ------
        ValueError
            ``repeats`` is below 1, or the partition is of another picture or model.
        Cancelled
        """
        check_embedding(embedding, self.model.checkpoint_sha256)
        method = self._method(partition.method)
        check_partition(embedding, partition, method.units, repeats)
        if partition.n_sources < 2:
            return np.ones(embedding.image_shape, dtype=np.float32)
        return method.stability(embedding, partition, repeats, (progress, cancel))

    def localize(
        self,
        embedding: Embedding,
        seed: int = 0,
        points_per_side: int = 16,
        *,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> ForgeryMap:
        """Make the binary forgery map: two sources, the smaller one taken for the forged one.

        With models that divide patches (safire-lite): everything but the largest source.

        Parameters
        ----------
        embedding, seed, points_per_side, progress, cancel
            As in `partition`.

        Returns
        -------
        ForgeryMap
            Its verdict rests on the model's calibration; without one it is "inconclusive", as for
            pictures that are tiny or mostly dark, saturated or flat (`partitioning.verdict`).
        """
        plan = _in_two(seed, points_per_side)
        check_embedding(embedding, self.model.checkpoint_sha256)
        return self._method(plan.method).localize(embedding, plan, (progress, cancel))

    @property
    def most_sources(self) -> int:
        """How many sources method "auto" tells apart at most."""
        return MOST_SOURCES

    def separation(self, embedding: Embedding, seed: int = 0, points_per_side: int = 16) -> float:
        """How far apart the two sources of the forgery map lie: what its verdict rests on.

        Parameters
        ----------
        embedding, seed, points_per_side
            As in `partition`.

        Returns
        -------
        float
            0 or more, in the measure of the model's way of dividing: the cosine distance of two
            groups of prompts (at most 2), or
            `napari_safire.partitioning.n_sources.multi_source_score`.
        """
        plan = _in_two(seed, points_per_side)
        check_embedding(embedding, self.model.checkpoint_sha256)
        return self._method(plan.method).separation(embedding, plan)

    def count_sources(
        self, embedding: Embedding, thresholds: Sequence[float], points_per_side: int = 16
    ) -> tuple[int, ...]:
        """How many sources method "auto" would find with other thresholds.

        Parameters
        ----------
        embedding, points_per_side
            As in `partition`.
        thresholds : sequence of float
            In place of the one in `ModelRules`.

        Returns
        -------
        tuple of int
            A number of sources for each threshold.
        """
        check_embedding(embedding, self.model.checkpoint_sha256)
        return self._method("auto").count_sources(embedding, thresholds, points_per_side)

    def source_numbers(self, embedding: Embedding) -> dict[int, float]:
        """How probable each number of sources is, at even odds of there being several.

        Parameters
        ----------
        embedding : Embedding

        Returns
        -------
        dict of int to float
            By number, from 1 up; they add up to 1. Empty where the model does not tell.
        """
        check_embedding(embedding, self.model.checkpoint_sha256)
        return {} if self._by_patches is None else self._by_patches.source_numbers(embedding)

    def pieces(self, embedding: Embedding) -> Pieces:
        """Cut a picture in the pieces of which method "auto" makes sources.

        Parameters
        ----------
        embedding : Embedding

        Returns
        -------
        Pieces

        Raises
        ------
        ValueError
            The embedding is of another model, or the model does not divide patches.
        """
        check_embedding(embedding, self.model.checkpoint_sha256)
        if self._by_patches is None:
            raise ValueError(_NO_PATCHES)
        return self._by_patches.pieces(embedding)

    def _method(self, name: str) -> PartitioningMethod:
        """By patches where the model can; DBSCAN, which counts by itself, clusters prompts."""
        if self._by_patches is None or name == "dbscan":
            return self._by_prompts
        return self._by_patches

    def _clicks_by_patches(self, method: str) -> SpectralPartitioning | None:
        """What answers clicks; None: the decoder."""
        if method not in _CLICK_METHODS:
            raise ValueError(f"Unknown method {method!r}: use one of {', '.join(_CLICK_METHODS)}.")
        if method == "patches" and self._by_patches is None:
            raise ValueError(_NO_PATCHES)
        return None if method == "decoder" else self._by_patches


def _in_two(seed: int, points_per_side: int) -> PartitionSettings:
    plan = PartitionSettings("kmeans", 2, None, seed, points_per_side)
    plan.check()
    return plan
