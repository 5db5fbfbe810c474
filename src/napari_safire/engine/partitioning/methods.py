"""The two ways of dividing a picture: by a grid of prompts, and by the embedding's own cells.

A model's metadata names its way (``representative``); the engine asks whichever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from napari_safire.engine.memory import explained
from napari_safire.engine.metadata_numbers import shown, stored_fields, stored_number
from napari_safire.engine.partitioning.auto import AutoRule, Thresholds, auto_rule
from napari_safire.engine.partitioning.clicks import expected_accuracy, together
from napari_safire.engine.partitioning.clustering import NOISE, Density, chosen_density, separation
from napari_safire.engine.partitioning.grouping import FEWEST, GroupingRule
from napari_safire.engine.partitioning.n_sources import (
    EvidenceWeights,
    Pieces,
    estimated_sources,
    evidence,
    pieces_of,
)
from napari_safire.engine.partitioning.of_prompts import (
    RegionsOf,
    cluster_prompts,
    make_forgery_map,
    make_partition,
)
from napari_safire.engine.partitioning.patches import patch_at
from napari_safire.engine.partitioning.prompt_grid import PromptGrid
from napari_safire.engine.partitioning.spectral import (
    COMPARING,
    MOST_SOURCES,
    CellSpectrum,
    cell_spectrum,
    cut,
    forgery_map_of_cells,
    partition_of_cells,
)
from napari_safire.engine.partitioning.stability import (
    REPEATING,
    less_sure,
    stability_of_cells,
    stability_of_prompts,
)
from napari_safire.engine.recent import Kept
from napari_safire.engine.response import silence_of
from napari_safire.errors import CheckpointError
from napari_safire.model import SafireModel
from napari_safire.progress import Cancel, Progress, report
from napari_safire.settings import PartitionSettings
from napari_safire.types import (
    Calibration,
    Embedding,
    FloatImage,
    ForgeryMap,
    PointPrompt,
    SourcePartition,
    SourceRegion,
)

_REPRESENTATIVES = ("most confident prompt", "consensus", "cells")
# Of a calibration: numbers that older ones lack, and those that count pictures.
_MAY_LACK = tuple(field.name for field in fields(Calibration) if field.default is None)
_COUNTS = ("n_authentic", "n_forged")

AskRegions = Callable[[Embedding, Iterable[PointPrompt]], list[SourceRegion]]


class AskGrid(Protocol):
    """Gives the grid of an embedding, perhaps with features only."""

    def __call__(
        self,
        embedding: Embedding,
        points_per_side: int,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        *,
        with_logits: bool,
    ) -> PromptGrid:
        """Return the grid."""


class PartitioningMethod(Protocol):
    """What the engine asks of a way of dividing; embeddings are the model's own."""

    @property
    def most_sources(self) -> int:
        """How many sources "auto" tells apart at most."""

    def partition(
        self,
        embedding: Embedding,
        plan: PartitionSettings,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> SourcePartition:
        """Divide the picture into its sources."""

    def localize(
        self,
        embedding: Embedding,
        plan: PartitionSettings,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> ForgeryMap:
        """Make the binary forgery map."""

    def stability(
        self,
        embedding: Embedding,
        partition: SourcePartition,
        repeats: int,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> FloatImage:
        """How steadily pixels come into their source."""

    def separation(self, embedding: Embedding, plan: PartitionSettings) -> float:
        """What the verdict rests on."""

    def count_sources(
        self, embedding: Embedding, thresholds: Sequence[Thresholds], points_per_side: int
    ) -> tuple[int, ...]:
        """Numbers of sources that "auto" finds with other thresholds."""


class _OfModel:
    """What a model's metadata says of dividing pictures, read anew each time.

    (A calibration changes them under a running engine; `check_metadata` has read them first.)
    """

    most_sources = MOST_SOURCES  # by cells; `cluster_auto` keeps as many groups of prompts

    def __init__(self, model: SafireModel) -> None:
        self._model = model

    @property
    def rule(self) -> AutoRule:
        return auto_rule(self._model.metadata)

    @property
    def calibration(self) -> Calibration | None:
        return _stored_calibration(self._model.metadata)


class GridPartitioning(_OfModel):
    """By a grid of prompts, clustered by what they found; as published.

    Parameters
    ----------
    model : SafireModel
    ask_grid, ask_regions : callable
    """

    def __init__(self, model: SafireModel, ask_grid: AskGrid, ask_regions: AskRegions) -> None:
        super().__init__(model)
        self._ask_grid = ask_grid
        self._ask_regions = ask_regions

    def partition(
        self,
        embedding: Embedding,
        plan: PartitionSettings,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> SourcePartition:
        """Cluster the prompts; a region of each cluster stands for it."""
        consensus, rule = self._takes_means(plan), self.rule
        grid = self._ask_grid(
            embedding, plan.points_per_side, progress, cancel, with_logits=consensus
        )
        density = self._density(grid, plan) if plan.method == "dbscan" else None
        clusters = cluster_prompts(
            grid, plan.method, plan.n_sources, plan.seed, density, rule.thresholds[0]
        )
        parameters: dict[str, Any] = {"points_per_side": plan.points_per_side}
        if plan.method == "kmeans":
            parameters["n_sources"] = plan.n_sources
        elif density is not None:
            parameters |= {"eps": density.eps, "min_samples": density.min_samples}
            if density.by_rule:
                parameters["eps_rule"] = "k-distance knee"
        else:
            parameters |= rule.as_metadata()
        parameters["representative"] = representative(self._model, plan.method)
        regions_of = self._regions_of(embedding, grid)
        partition = make_partition(
            grid, clusters, plan.method, parameters, plan.seed, consensus, regions_of
        )
        return partition if density is None else less_sure(grid, partition)

    def localize(
        self,
        embedding: Embedding,
        plan: PartitionSettings,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> ForgeryMap:
        """Combine the two clusters' regions."""
        grid = self._ask_grid(
            embedding, plan.points_per_side, progress, cancel, with_logits=self._takes_means(plan)
        )
        clusters = cluster_prompts(grid, "kmeans", 2, plan.seed)
        return make_forgery_map(
            grid,
            clusters,
            self.calibration,
            self._takes_means(plan),
            self._regions_of(embedding, grid),
            embedding.unreadable,
            silence_of(embedding),
        )

    def stability(
        self,
        embedding: Embedding,
        partition: SourcePartition,
        repeats: int,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> FloatImage:
        """Cluster parts of the prompts."""
        side = int(partition.parameters["points_per_side"])
        grid = self._ask_grid(embedding, side, progress, cancel, with_logits=False)
        with explained(REPEATING):
            return stability_of_prompts(grid, partition, repeats, progress, cancel)

    def separation(self, embedding: Embedding, plan: PartitionSettings) -> float:
        """Cosine distance of the two clusters' centres."""
        grid = self._ask_grid(embedding, plan.points_per_side, with_logits=False)
        clusters = cluster_prompts(grid, "kmeans", 2, plan.seed)
        return separation(grid.features[grid.valid], clusters[grid.valid])

    def count_sources(
        self, embedding: Embedding, thresholds: Sequence[Thresholds], points_per_side: int
    ) -> tuple[int, ...]:
        """Cluster once for each threshold."""
        grid = self._ask_grid(embedding, points_per_side, with_logits=False)
        clusters = (cluster_prompts(grid, "auto", threshold=some[0]) for some in thresholds)
        return tuple(len(np.unique(some[some != NOISE])) for some in clusters)

    @staticmethod
    def _density(grid: PromptGrid, plan: PartitionSettings) -> Density:
        if plan.eps is not None:
            return Density(plan.eps)
        return chosen_density(grid.features[grid.valid])

    def _takes_means(self, plan: PartitionSettings) -> bool:
        return representative(self._model, plan.method) == "consensus"

    def _regions_of(self, embedding: Embedding, grid: PromptGrid) -> RegionsOf | None:
        """Of a grid without logits, those that are needed are asked for once more."""
        if grid.low_res_logits is not None:
            return None
        return lambda chosen: self._ask_regions(
            embedding, [grid.prompts[index] for index in chosen]
        )


class SpectralPartitioning(_OfModel):
    """By a normalised cut of the embedding's cells; no prompt is asked.

    Parameters
    ----------
    model : SafireModel
    most_kept : callable
        How many pictures' spectra are kept.
    """

    def __init__(self, model: SafireModel, most_kept: Callable[[], int]) -> None:
        super().__init__(model)
        self._spectra: Kept[CellSpectrum] = Kept(most_kept)
        self._cuts: Kept[Pieces] = Kept(most_kept)

    def partition(
        self,
        embedding: Embedding,
        plan: PartitionSettings,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> SourcePartition:
        """Cut the cells apart."""
        spectrum = self._spectrum(embedding, plan.n_sources or MOST_SOURCES, progress, cancel)
        parameters: dict[str, Any] = {
            "representative": representative(self._model, plan.method),
            "sharpness": self._sharpness,
        }
        numbers: dict[int, float] = {}
        if plan.n_sources is None:
            pieces = self._pieces(spectrum, plan.seed)
            found = self._evidence(spectrum, pieces)
            logits = self._joined(pieces, self._count(pieces, found, self.rule.thresholds))
            parameters |= self.rule.as_metadata()
            if len(logits) > 1:
                numbers = self._number_probabilities(pieces)
        else:
            logits = cut(spectrum, plan.n_sources, plan.seed, self._sharpness)
            parameters["n_sources"] = plan.n_sources
        partition = partition_of_cells(
            embedding, logits, plan.method, parameters, plan.seed, plan.points_per_side
        )
        return replace(partition, number_probabilities=MappingProxyType(numbers))

    def localize(
        self,
        embedding: Embedding,
        plan: PartitionSettings,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> ForgeryMap:
        """Divide the cells into two sources at least, as probable as can be.

        Where there are more than two, a cut in two joins some of them with the ground. Which pieces
        belong to the ground is another question than how many sources there are, and the most
        probable grouping answers it better than the best one in that number (docs/lab-notes.md).
        """
        spectrum = self._spectrum(embedding, MOST_SOURCES, progress, cancel)
        pieces = self._pieces(spectrum, plan.seed)
        found = self._evidence(spectrum, pieces)
        kinship = self._kinship
        if kinship is None:
            logits = pieces.joined(max(2, self._count(pieces, found, self.rule.thresholds)))
        else:
            logits = pieces.grouped(kinship.groupings(pieces.likeness, pieces.shares).best())
        return forgery_map_of_cells(embedding, logits, found, self.calibration)

    def stability(
        self,
        embedding: Embedding,
        partition: SourcePartition,
        repeats: int,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> FloatImage:
        """Cut parts of the cells."""
        spectrum = self._spectrum(embedding, partition.n_sources, progress, cancel)
        with explained(REPEATING):
            return stability_of_cells(
                embedding, spectrum, partition, repeats, self._joined, progress, cancel
            )

    def separation(self, embedding: Embedding, plan: PartitionSettings) -> float:
        """How much speaks for more than one source."""
        spectrum = self._spectrum(embedding, MOST_SOURCES)
        return self._evidence(spectrum, self._pieces(spectrum, plan.seed))

    def count_sources(
        self, embedding: Embedding, thresholds: Sequence[Thresholds], points_per_side: int
    ) -> tuple[int, ...]:
        """Estimate once with each of the thresholds."""
        spectrum = self._spectrum(embedding, MOST_SOURCES)
        pieces = self._pieces(spectrum, seed=0)
        found = self._evidence(spectrum, pieces)
        return tuple(self._count(pieces, found, some) for some in thresholds)

    def pieces(self, embedding: Embedding) -> Pieces:
        """Cut a picture in the pieces of which "auto" makes sources; of the last few it is kept."""
        key = (embedding.image_sha256, embedding.checkpoint_sha256, self._sharpness)
        pieces = self._cuts.get(key)
        if pieces is None:
            pieces = self._pieces(self._spectrum(embedding, MOST_SOURCES), seed=0)
            self._cuts.put(key, pieces)
        return pieces

    @property
    def answers_clicks(self) -> bool:
        """Whether the model says how probable groupings of patches are."""
        return self._kinship is not None

    def segment(self, embedding: Embedding, points: Sequence[PointPrompt]) -> list[SourceRegion]:
        """Find the source of each point by the groupings of the picture's pieces."""
        return [self.segment_source(embedding, [point]) for point in points]

    def segment_source(self, embedding: Embedding, points: Sequence[PointPrompt]) -> SourceRegion:
        """Find the source that holds all points."""
        kinship = self._kinship
        if kinship is None:
            raise ValueError(
                "This model does not say which patches belong together: ask its decoder."
            )
        pieces, geometry = self.pieces(embedding), embedding.geometry
        groupings = kinship.groupings(pieces.likeness, pieces.shares)
        shape = pieces.logits.shape[1:]
        logits = together(pieces, groupings, [patch_at(geometry, shape, p) for p in points])
        return SourceRegion(points[0], logits, geometry, expected_accuracy(logits))

    def source_numbers(self, embedding: Embedding) -> dict[int, float]:
        """How probable each number of sources is, one included; empty where nothing tells."""
        calibration = self.calibration
        if self._kinship is None or calibration is None:
            return {}
        spectrum, pieces = self._spectrum(embedding, MOST_SOURCES), self.pieces(embedding)
        several = calibration.probability(self._evidence(spectrum, pieces))
        given = self._number_probabilities(pieces)
        return {1: 1 - several} | {number: several * share for number, share in given.items()}

    def _pieces(self, spectrum: CellSpectrum, seed: int) -> Pieces:
        return pieces_of(spectrum, seed, self._sharpness)

    def _evidence(self, spectrum: CellSpectrum, pieces: Pieces) -> float:
        return evidence(spectrum, pieces, EvidenceWeights.of_model(self._model.metadata))

    def _count(self, pieces: Pieces, found: float, thresholds: Thresholds) -> int:
        kinship = self._kinship
        if kinship is None:
            return estimated_sources(found, pieces.alike, *thresholds)
        return kinship.count(pieces.likeness, pieces.shares, found, *thresholds)

    def _joined(self, pieces: Pieces, n_sources: int) -> FloatImage:
        kinship = self._kinship
        if kinship is None or n_sources < FEWEST:
            return pieces.joined(n_sources)
        return pieces.grouped(kinship.groupings(pieces.likeness, pieces.shares).best(n_sources))

    def _number_probabilities(self, pieces: Pieces) -> dict[int, float]:
        kinship = self._kinship
        if kinship is None:
            return {}
        of_number = kinship.groupings(pieces.likeness, pieces.shares).of_number
        return {number: float(of_number[number]) for number in range(FEWEST, len(of_number))}

    @property
    def _kinship(self) -> GroupingRule | None:
        return GroupingRule.of_model(self._model.metadata)

    @property
    def _sharpness(self) -> float:
        return _stored_sharpness(self._model.metadata)

    def _spectrum(
        self,
        embedding: Embedding,
        n_sources: int,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> CellSpectrum:
        """How the cells hang together; of the last few embeddings it is kept."""
        key = (embedding.image_sha256, embedding.checkpoint_sha256)
        report(progress, cancel, 0, 1, COMPARING)
        spectrum = self._spectra.get(key)
        if spectrum is None or spectrum.asked < n_sources:
            with explained(COMPARING):
                spectrum = cell_spectrum(embedding, max(n_sources, MOST_SOURCES))
            self._spectra.put(key, spectrum)
        report(progress, cancel, 1, 1, COMPARING)
        return spectrum


def representative(model: SafireModel, method: str) -> str:
    """What stands for a source: the model's own choice, as published if it says nothing.

    Cells are cut into a number of sources. DBSCAN knows none: it clusters prompts with every model,
    and where cells are trusted more than single prompts, their mean stands for a source.
    """
    chosen = _stored_representative(model.metadata)
    return "consensus" if chosen == "cells" and method == "dbscan" else chosen


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Read all that a model's metadata say of dividing pictures, and of what this is worth.

    Raises
    ------
    CheckpointError
        Something cannot be used. So a bad file is refused when it is chosen, and not in the middle
        of an answer.
    """
    _stored_representative(metadata)
    _stored_calibration(metadata)
    _stored_sharpness(metadata)
    auto_rule(metadata)
    EvidenceWeights.of_model(metadata)
    GroupingRule.of_model(metadata)


def _stored_representative(metadata: Mapping[str, Any]) -> str:
    chosen = metadata.get("representative", _REPRESENTATIVES[0])
    if chosen not in _REPRESENTATIVES:
        raise CheckpointError(
            f"This model divides pictures by {shown(chosen)}, but this version knows "
            f"{', '.join(_REPRESENTATIVES)}: update napari-safire."
        )
    return str(chosen)


def _stored_calibration(metadata: Mapping[str, Any]) -> Calibration | None:
    stored = metadata.get("calibration")
    if stored is None or stored == {}:
        return None
    try:
        given = stored_fields(stored, [field.name for field in fields(Calibration)])
        basis = given.pop("basis", None)
        if not isinstance(basis, str):
            raise ValueError(f"basis is {shown(basis)}, but must be text")
        numbers: dict[str, Any] = {
            name: None if value is None and name in _MAY_LACK else stored_number(name, value)
            for name, value in given.items()
        }
        for name in _COUNTS:
            if (count := numbers.get(name)) is not None and count.is_integer():
                numbers[name] = int(count)
        return Calibration(**numbers, basis=basis)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"This model's calibration is {shown(stored)}, which this version cannot read: update "
            f"napari-safire, or calibrate the model again ({str(error).rstrip('.')})."
        ) from error


def _stored_sharpness(metadata: Mapping[str, Any]) -> float:
    try:
        sharpness = stored_number("cut_sharpness", metadata.get("cut_sharpness", 1.0))
        if sharpness <= 0:
            raise ValueError(f"cut_sharpness is {sharpness:g}, but must be above 0")
    except ValueError as error:
        raise CheckpointError(
            f"This model cannot be used: {error}. Get the file again, or calibrate it again."
        ) from error
    return sharpness
