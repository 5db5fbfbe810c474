"""The two ways of dividing a picture: by a grid of prompts, and by the embedding's own patches.

A model's rules name its way; the engine asks whichever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from napari_safire.engine.memory import explained
from napari_safire.engine.recent import Recent
from napari_safire.engine.rules import ModelRules, PatchRules
from napari_safire.forgery import Calibration, ForgeryMap
from napari_safire.partitioning.clicks import answered, expected_accuracy
from napari_safire.partitioning.clustering import NOISE, Density, chosen_density, separation
from napari_safire.partitioning.grouping import FEWEST, Groupings
from napari_safire.partitioning.n_sources import Pieces, multi_source_score, pieces_of
from napari_safire.partitioning.of_prompts import (
    RegionsOf,
    cluster_prompts,
    make_forgery_map,
    make_partition,
)
from napari_safire.partitioning.patches import patch_at
from napari_safire.partitioning.prompt_grid import PromptGrid
from napari_safire.partitioning.silence import silence_of
from napari_safire.partitioning.spectral import (
    COMPARING,
    MOST_SOURCES,
    PatchSpectrum,
    cut,
    forgery_map_of_patches,
    partition_of_patches,
    patch_spectrum,
)
from napari_safire.partitioning.stability import (
    REPEATING,
    less_sure,
    stability_of_patches,
    stability_of_prompts,
)
from napari_safire.progress import Cancel, Progress, report
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding, FloatImage, PointPrompt, SourcePartition, SourceRegion

Watched = tuple[Progress | None, Cancel | None]
UNWATCHED: Watched = (None, None)
AskRegions = Callable[[Embedding, Iterable[PointPrompt]], list[SourceRegion]]


class AskGrid(Protocol):
    """Gives the grid of an embedding, perhaps with features only."""

    def __call__(
        self,
        embedding: Embedding,
        points_per_side: int,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> PromptGrid:
        """Return the grid."""


class PartitioningMethod(Protocol):
    """What the engine asks of a way of dividing; embeddings are the model's own."""

    @property
    def units(self) -> str:
        """What is divided, "prompts" or "patches"; it stands in a partition's parameters."""

    def partition(
        self, embedding: Embedding, plan: PartitionSettings, watched: Watched = UNWATCHED
    ) -> SourcePartition:
        """Divide the picture into its sources."""

    def localize(
        self, embedding: Embedding, plan: PartitionSettings, watched: Watched = UNWATCHED
    ) -> ForgeryMap:
        """Make the binary forgery map."""

    def stability(
        self, embedding: Embedding, found: SourcePartition, n: int, watched: Watched = UNWATCHED
    ) -> FloatImage:
        """How steadily pixels come into their source, in ``n`` repetitions."""

    def separation(self, embedding: Embedding, plan: PartitionSettings) -> float:
        """What the verdict rests on."""

    def count_sources(
        self, embedding: Embedding, thresholds: Sequence[float], points_per_side: int
    ) -> tuple[int, ...]:
        """Numbers of sources that "auto" finds with other thresholds."""


class GridPartitioning:
    """By a grid of prompts, clustered by what they found; as published.

    Parameters
    ----------
    rules : ModelRules
    ask_grid, ask_regions : callable
    """

    units = "prompts"

    def __init__(self, rules: ModelRules, ask_grid: AskGrid, ask_regions: AskRegions) -> None:
        self._rules = rules
        self._ask_grid = ask_grid
        self._ask_regions = ask_regions

    def partition(
        self, embedding: Embedding, plan: PartitionSettings, watched: Watched = UNWATCHED
    ) -> SourcePartition:
        """Cluster the prompts; a region of each cluster stands for it."""
        grid = self._ask_grid(embedding, plan.points_per_side, *watched)
        density = self._density(grid, plan) if plan.method == "dbscan" else None
        distance = self._rules.source_distance
        clusters = cluster_prompts(grid, plan.method, plan.n_sources, plan.seed, density, distance)
        parameters: dict[str, Any] = {"units": self.units, "points_per_side": plan.points_per_side}
        if plan.method == "kmeans":
            parameters["n_sources"] = plan.n_sources
        elif density is not None:
            parameters |= {"eps": density.eps, "min_samples": density.min_samples}
            if density.by_rule:
                parameters["eps_rule"] = "k-distance knee"
        else:
            parameters["source_distance"] = distance
        regions_of = self._regions_of(embedding, grid)
        partition = make_partition(grid, clusters, plan.method, parameters, plan.seed, regions_of)
        return partition if density is None else less_sure(grid, partition)

    def localize(
        self, embedding: Embedding, plan: PartitionSettings, watched: Watched = UNWATCHED
    ) -> ForgeryMap:
        """Combine the two clusters' regions."""
        grid = self._ask_grid(embedding, plan.points_per_side, *watched)
        return make_forgery_map(
            grid,
            cluster_prompts(grid, "kmeans", 2, plan.seed),
            self._rules.calibration,
            self._regions_of(embedding, grid),
            embedding.uninformative,
            silence_of(embedding),
        )

    def stability(
        self, embedding: Embedding, found: SourcePartition, n: int, watched: Watched = UNWATCHED
    ) -> FloatImage:
        """Cluster parts of the prompts."""
        side = int(found.parameters["points_per_side"])
        grid = self._ask_grid(embedding, side, *watched)
        with explained(REPEATING):
            return stability_of_prompts(grid, found, n, *watched)

    def separation(self, embedding: Embedding, plan: PartitionSettings) -> float:
        """Cosine distance of the two clusters' centres."""
        grid = self._ask_grid(embedding, plan.points_per_side)
        clusters = cluster_prompts(grid, "kmeans", 2, plan.seed)
        return separation(grid.features[grid.valid], clusters[grid.valid])

    def count_sources(
        self, embedding: Embedding, thresholds: Sequence[float], points_per_side: int
    ) -> tuple[int, ...]:
        """Cluster once for each threshold."""
        grid = self._ask_grid(embedding, points_per_side)
        clusters = (cluster_prompts(grid, "auto", threshold=one) for one in thresholds)
        return tuple(len(np.unique(some[some != NOISE])) for some in clusters)

    @staticmethod
    def _density(grid: PromptGrid, plan: PartitionSettings) -> Density:
        if plan.eps is not None:
            return Density(plan.eps)
        return chosen_density(grid.features[grid.valid])

    def _regions_of(self, embedding: Embedding, grid: PromptGrid) -> RegionsOf | None:
        """Of a grid without logits, those that are needed are asked for once more."""
        if grid.low_res_logits is not None:
            return None
        return lambda chosen: self._ask_regions(
            embedding, [grid.prompts[index] for index in chosen]
        )


class SpectralPartitioning:
    """By a normalised cut of the embedding's patches; no prompt is asked.

    Parameters
    ----------
    rules : PatchRules
    calibration : Calibration or None
    most_cached : callable
        How many pictures' spectra are cached.
    """

    units = "patches"

    def __init__(
        self, rules: PatchRules, calibration: Calibration | None, most_cached: Callable[[], int]
    ) -> None:
        self._rules = rules
        self._calibration = calibration
        self._spectra: Recent[PatchSpectrum] = Recent(most_cached)
        self._cuts: Recent[Pieces] = Recent(most_cached)

    def partition(
        self, embedding: Embedding, plan: PartitionSettings, watched: Watched = UNWATCHED
    ) -> SourcePartition:
        """Cut the patches apart."""
        rules = self._rules
        spectrum = self._spectrum(embedding, plan.n_sources or MOST_SOURCES, watched)
        parameters: dict[str, Any] = {
            "units": self.units,
            "inverse_temperature": rules.inverse_temperature,
        }
        numbers: dict[int, float] = {}
        if plan.n_sources is None:
            pieces = self._pieces(embedding, spectrum, plan.seed)
            count = self._count(pieces, self._score(spectrum, pieces), rules.least_score)
            logits = self._joined(pieces, count)
            parameters["least_score"] = rules.least_score
            if len(logits) > 1:
                numbers = self._number_probabilities(pieces)
        else:
            logits = cut(spectrum, plan.n_sources, plan.seed, rules.inverse_temperature)
            parameters["n_sources"] = plan.n_sources
        partition = partition_of_patches(
            embedding, logits, plan.method, parameters, plan.seed, plan.points_per_side
        )
        return replace(partition, number_probabilities=MappingProxyType(numbers))

    def localize(
        self, embedding: Embedding, plan: PartitionSettings, watched: Watched = UNWATCHED
    ) -> ForgeryMap:
        """Divide the patches into two sources at least, as probable as can be.

        Where there are more than two, a cut in two joins some of them with the ground. Which pieces
        belong to the ground is another question than how many sources there are, and the most
        probable grouping answers it better than the best one in that number (docs/lab-notes.md).
        """
        spectrum = self._spectrum(embedding, MOST_SOURCES, watched)
        pieces = self._pieces(embedding, spectrum, plan.seed)
        logits = pieces.grouped(self._groupings(pieces).best())
        score = self._score(spectrum, pieces)
        return forgery_map_of_patches(embedding, logits, score, self._calibration)

    def stability(
        self, embedding: Embedding, found: SourcePartition, n: int, watched: Watched = UNWATCHED
    ) -> FloatImage:
        """Cut parts of the patches."""
        spectrum = self._spectrum(embedding, found.n_sources, watched)
        with explained(REPEATING):
            return stability_of_patches(embedding, spectrum, found, n, self._joined, *watched)

    def separation(self, embedding: Embedding, plan: PartitionSettings) -> float:
        """How much speaks for more than one source."""
        spectrum = self._spectrum(embedding, MOST_SOURCES)
        return self._score(spectrum, self._pieces(embedding, spectrum, plan.seed))

    def count_sources(
        self, embedding: Embedding, thresholds: Sequence[float], points_per_side: int
    ) -> tuple[int, ...]:
        """Estimate once with each of the thresholds."""
        spectrum = self._spectrum(embedding, MOST_SOURCES)
        pieces = self._pieces(embedding, spectrum, seed=0)
        score = self._score(spectrum, pieces)
        return tuple(self._count(pieces, score, least) for least in thresholds)

    def pieces(self, embedding: Embedding) -> Pieces:
        """Cut a picture in the pieces that "auto" makes sources of; the last few are cached."""
        return self._pieces(embedding, self._spectrum(embedding, MOST_SOURCES), seed=0)

    def segment_source(
        self,
        embedding: Embedding,
        points: Sequence[PointPrompt],
        others: Sequence[PointPrompt] = (),
    ) -> SourceRegion:
        """Find the source that holds all points and none of the others."""
        pieces, geometry = self.pieces(embedding), embedding.geometry
        shape = pieces.logits.shape[1:]
        own, strange = (
            [patch_at(geometry, shape, point) for point in some] for some in (points, others)
        )
        features = self._spectrum(embedding, MOST_SOURCES).features
        logits = answered(pieces, self._groupings(pieces), features, own, strange)
        return SourceRegion(points[0], logits, geometry, expected_accuracy(logits))

    def source_numbers(self, embedding: Embedding) -> dict[int, float]:
        """How probable each number of sources is, one included; empty without calibration."""
        if self._calibration is None:
            return {}
        spectrum, pieces = self._spectrum(embedding, MOST_SOURCES), self.pieces(embedding)
        several = self._calibration.probability(self._score(spectrum, pieces))
        given = self._number_probabilities(pieces)
        return {1: 1 - several} | {number: several * share for number, share in given.items()}

    def _pieces(self, embedding: Embedding, spectrum: PatchSpectrum, seed: int) -> Pieces:
        """Partition and forgery map ask for the same."""
        key = (embedding.image_sha256, embedding.checkpoint_sha256, seed, spectrum.asked)
        pieces = self._cuts.get(key)
        if pieces is None:
            pieces = pieces_of(spectrum, seed, self._rules.inverse_temperature)
            self._cuts.put(key, pieces)
        return pieces

    def _score(self, spectrum: PatchSpectrum, pieces: Pieces) -> float:
        return multi_source_score(spectrum, pieces, self._rules.weights)

    def _count(self, pieces: Pieces, score: float, least: float) -> int:
        return self._rules.grouping.count(pieces.likeness, pieces.shares, score, least)

    def _groupings(self, pieces: Pieces) -> Groupings:
        return self._rules.grouping.groupings(pieces.likeness, pieces.shares)

    def _joined(self, pieces: Pieces, n_sources: int) -> FloatImage:
        if n_sources < FEWEST:
            return pieces.grouped(np.zeros(len(pieces.logits), dtype=np.int64))
        return pieces.grouped(self._groupings(pieces).best(n_sources))

    def _number_probabilities(self, pieces: Pieces) -> dict[int, float]:
        of_number = self._groupings(pieces).of_number
        return {number: float(of_number[number]) for number in range(FEWEST, len(of_number))}

    def _spectrum(
        self, embedding: Embedding, n_sources: int, watched: Watched = UNWATCHED
    ) -> PatchSpectrum:
        """How the patches hang together; of the last few embeddings it is cached."""
        key = (embedding.image_sha256, embedding.checkpoint_sha256)
        report(*watched, 0, 1, COMPARING)
        spectrum = self._spectra.get(key)
        if spectrum is None or spectrum.asked < n_sources:
            with explained(COMPARING):
                spectrum = patch_spectrum(embedding, max(n_sources, MOST_SOURCES))
            self._spectra.put(key, spectrum)
        report(*watched, 1, 1, COMPARING)
        return spectrum
