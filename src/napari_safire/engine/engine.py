"""The engine: everything a user does with a model and a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from napari_safire.engine.asked_grid import points_in_model
from napari_safire.engine.cache import EmbeddingCache
from napari_safire.engine.embedding import READING, embed_picture
from napari_safire.engine.memory import MemoryGuard, Notify, explained, keep_freed_blocks
from napari_safire.engine.methods import (
    GridPartitioning,
    PartitioningMethod,
    SpectralPartitioning,
)
from napari_safire.engine.pixels import PictureReader
from napari_safire.engine.precision import Precision, check_precision, slow_precision
from napari_safire.engine.prompt_decoder import PromptDecoder
from napari_safire.engine.rules import ModelRules, read_rules
from napari_safire.model import SafireModel
from napari_safire.partitioning.n_sources import Pieces
from napari_safire.partitioning.patches import Patches, patches_of
from napari_safire.partitioning.prompt_grid import PromptGrid
from napari_safire.partitioning.spectral import COMPARING, MOST_SOURCES
from napari_safire.progress import Cancel, Progress, report
from napari_safire.settings import PartitionSettings
from napari_safire.types import (
    Embedding,
    FloatImage,
    ForgeryMap,
    PointPrompt,
    SourcePartition,
    SourceRegion,
)

_CLICK_METHODS = ("auto", "patches", "decoder")

_NO_PATCHES = "This model does not say which patches belong together: ask its decoder."


class Engine:
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
        Where embeddings are kept on disk; without one they are not.
    on_notice : callable, optional
        Called with each sentence of `notices` as it arises, in the thread of the job.
    precision : {"float32", "bf16", "fp16"}
        Other than float32: faster on most GPUs and some CPUs, and a little different;
        ``benchmarks/README.md`` says by how much. Such embeddings are not cached.
    grids_kept : int
        How many of the last grids are kept, so that `partition` and `localize` of a picture share
        one: as many as pictures are worked on at once. Of 256 prompts and 1024 x 768 pixels one
        takes 50 MB.
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
        May be exchanged at any time, as `grids_kept` may.

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
        grids_kept: int = 3,
        rules: ModelRules | None = None,
    ) -> None:
        if not isinstance(model, SafireModel):
            raise TypeError(
                f"Engine needs a SafireModel, not {type(model).__name__}: use load_model()."
            )
        check_precision(precision, model.device)
        self.rules = read_rules(model.metadata) if rules is None else rules
        keep_freed_blocks()
        self.model = model.eval()
        self.precision = precision
        self.cache = cache
        self._on_notice = on_notice
        self._notices: list[str] = []
        self._memory = MemoryGuard(self.model, self._notify)
        self.grids_kept = grids_kept
        self._decoder = PromptDecoder(
            self._memory, precision, self.rules.confidence, lambda: self.grids_kept
        )
        self._by_prompts = GridPartitioning(self.rules, self._decoder.grid, self._decoder.regions)
        self._by_patches = None
        if self.rules.patches is not None:
            self._by_patches = SpectralPartitioning(
                self.rules.patches, self.rules.calibration, lambda: self.grids_kept
            )
        for sentence in (*model.warnings, slow_precision(precision, model.device)):
            if sentence:
                self._notify(sentence)

    @property
    def notices(self) -> tuple[str, ...]:
        """What was done to finish jobs in spite of trouble, in plain sentences, newest last."""
        return tuple(self._notices)

    def embed(
        self, image: Any, *, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Embedding:
        """Read a picture's traces once; all else starts from the result.

        Parameters
        ----------
        image : (H, W), (H, W, 3) or (H, W, 4) array_like
            NumPy or dask; uint8, uint16, other integers, bool or float; up to 200 megapixels.
            `napari_safire.engine.pixels` states how values are scaled. The ViT sees it squashed to
            its square frame, the lite model at its own resolution, in tiles above 1024 pixels.
        progress, cancel : callable, optional

        Returns
        -------
        Embedding
            From the cache if it holds this picture by this model.

        Raises
        ------
        TypeError, ValueError
            Not a picture; the message says why.
        OutOfMemory
        ModelFailure
            The features are not finite.
        Cancelled
            Nothing is kept of it.
        """
        # Fresh weights have no hash by which their embeddings could be told from others.
        exact = self.precision == "float32"
        cache = self.cache if self.model.checkpoint_sha256 and exact else None
        with explained(READING):
            picture = PictureReader(image)
            if cache is not None:
                kept = cache.get(picture.sha256, self.model.checkpoint_sha256)
                if kept is not None:
                    report(progress, cancel, 1, 1, READING)
                    return kept
            with self._decoder.computing():
                embedding = embed_picture(self._memory, picture, progress, cancel)
        if cache is not None:
            cache.put(embedding, self._notify_once)  # a full disk is said once
        return embedding

    @property
    def answers_by_patches(self) -> bool:
        """Whether clicks are answered from the embedding's patches, as partitions are.

        So with safire-lite; models as published are asked through their decoder, and partitioned by
        a grid of prompts.
        """
        return self._by_patches is not None

    def segment(
        self,
        embedding: Embedding,
        prompts: Iterable[PointPrompt | tuple[float, float]],
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
            A prompt lies outside the picture, the embedding is another model's, or the model does
            not answer by this method.
        OutOfMemory
        ModelFailure
            The answers are not finite.
        """
        points = self._checked(embedding, prompts)
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
        prompts: Iterable[PointPrompt | tuple[float, float]],
        *,
        method: str = "auto",
    ) -> SourceRegion:
        """Find the source region that contains all of some prompts.

        Parameters
        ----------
        embedding : Embedding
        prompts : iterable of PointPrompt or (row, col)
            At least one, in image pixels, all of one source.
        method : {"auto", "patches", "decoder"}
            As in `segment`. By patches the prompts are weighed together; the decoder's regions are
            united, and the least confidence counts.

        Returns
        -------
        SourceRegion
            Its prompt is the first.

        Raises
        ------
        ValueError
            No prompt, or as in `segment`.
        OutOfMemory, ModelFailure
        """
        points = self._checked(embedding, prompts)
        by_patches = self._clicks_by_patches(method)
        if not points:
            raise ValueError("A source region needs a prompt: give one at least.")
        if by_patches is not None:
            with explained(COMPARING):
                return by_patches.segment_source(embedding, points)
        regions = self._decoder.regions(embedding, points)
        united = np.maximum.reduce([region.low_res_logits for region in regions])
        confidence = min(region.confidence for region in regions)
        return SourceRegion(points[0], united, embedding.geometry, confidence)

    def grid(
        self,
        embedding: Embedding,
        points_per_side: int = 16,
        *,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> PromptGrid:
        """Ask every point of a grid; those of the last few embeddings are kept.

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
        self._check_embedding(embedding)
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
            `napari_safire.partitioning.clustering.chosen_density`, and single prompts are
            no sources.
            Which it was stands in the partition's parameters.
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
        self._check_embedding(embedding)
        return self._method(method).partition(embedding, plan, progress, cancel)

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

        Each repetition clusters another random two thirds of the prompts (of the patches, where the
        model's partitions are cut from patches), with another seed of k-means and always as many
        sources as the partition has, or with another eps of DBSCAN; its sources are matched one to
        one to the partition's.
        Nothing is decoded again: prompts (patches) are compared, and a pixel is as stable as the
        nearest one of its own source.

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
        self._check_embedding(embedding)
        self._check_stability_arguments(embedding, partition, repeats)
        if partition.n_sources < 2:
            return np.ones(embedding.image_shape, dtype=np.float32)
        divider = self._method(partition.method)
        return divider.stability(embedding, partition, repeats, progress, cancel)

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
        embedding : Embedding
        seed, points_per_side
            As in `partition`.
        progress, cancel : callable, optional

        Returns
        -------
        ForgeryMap
            Its verdict rests on the model's calibration; without one it is "inconclusive", as for
            pictures that are tiny or mostly dark, saturated or flat (`partitioning.verdict`).
        """
        plan = PartitionSettings("kmeans", 2, None, seed, points_per_side)
        plan.check()
        self._check_embedding(embedding)
        return self._method(plan.method).localize(embedding, plan, progress, cancel)

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
        plan = PartitionSettings("kmeans", 2, None, seed, points_per_side)
        plan.check()
        self._check_embedding(embedding)
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
        self._check_embedding(embedding)
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
        self._check_embedding(embedding)
        return {} if self._by_patches is None else self._by_patches.source_numbers(embedding)

    def patches(self, embedding: Embedding) -> Patches:
        """The patches that partition and clicks rest on: where they lie, and their features.

        Parameters
        ----------
        embedding : Embedding

        Returns
        -------
        Patches
        """
        self._check_embedding(embedding)
        return patches_of(embedding)

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
        self._check_embedding(embedding)
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

    def _checked(
        self, embedding: Embedding, prompts: Iterable[PointPrompt | tuple[float, float]]
    ) -> list[PointPrompt]:
        """Prompts inside the picture of this model's embedding."""
        self._check_embedding(embedding)
        points = [_as_prompt(prompt) for prompt in prompts]
        points_in_model(embedding, points)  # refuses those outside, whoever answers
        return points

    def _notify(self, sentence: str) -> None:
        self._notices.append(sentence)
        if self._on_notice is not None:
            self._on_notice(sentence)

    def _notify_once(self, sentence: str) -> None:
        if sentence not in self._notices:
            self._notify(sentence)

    def _check_stability_arguments(
        self, embedding: Embedding, partition: SourcePartition, repeats: int
    ) -> None:
        if repeats < 1:
            raise ValueError(f"repeats is {repeats}, but must be at least 1.")
        if partition.labels.shape != embedding.image_shape:
            raise ValueError(
                f"The partition is of a picture of {partition.labels.shape} pixels, the embedding "
                f"of one of {embedding.image_shape}: give the embedding it was made of."
            )
        by_patches = self._method(partition.method) is self._by_patches
        if partition.parameters.get("units") != ("patches" if by_patches else "prompts"):
            raise ValueError(
                "The partition was made by another model: partition the picture again with this "
                "one."
            )

    def _check_embedding(self, embedding: Embedding) -> None:
        if not isinstance(embedding, Embedding):
            raise TypeError(
                f"An Embedding is needed, not {type(embedding).__name__}: call embed() first."
            )
        if embedding.checkpoint_sha256 != self.model.checkpoint_sha256:
            raise ValueError(
                "The embedding was made by another model: embed the picture again with this one."
            )
        if not np.isfinite(embedding.features).all():
            raise ValueError(
                "The embedding holds numbers that are not finite: embed the picture again."
            )


def _as_prompt(prompt: PointPrompt | tuple[float, float]) -> PointPrompt:
    if isinstance(prompt, PointPrompt):
        return prompt
    values = np.asarray(prompt, dtype=np.float64)
    if values.shape != (2,):
        raise ValueError(f"A prompt is one (row, col) pair, not {prompt!r}.")
    return PointPrompt(float(values[0]), float(values[1]))
