"""What a model said of a plane, beside what the user made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from napari_safire.annotation.annotation import Annotation
from napari_safire.basis import ALGORITHM, RunBasis
from napari_safire.types import Embedding, ForgeryMap, PointPrompt, SourcePartition


@dataclass(frozen=True, slots=True)
class PartitionPredictions:
    """What is said of a partition, without its labels, which are the user's from then on.

    Parameters
    ----------
    method : str
        By which it was made: "kmeans", "dbscan" or "auto".
    numbers : tuple of int
        For each source the label that it was shown with; their count is the number of sources.
    number_probabilities : mapping of int to float
        As in `SourcePartition`.
    n_dropped : int
        As in `SourcePartition`.
    """

    method: str
    numbers: tuple[int, ...]
    number_probabilities: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    n_dropped: int = 0

    @classmethod
    def of(cls, partition: SourcePartition, numbers: tuple[int, ...]) -> PartitionPredictions:
        """Take from a partition what is to be kept of it."""
        return cls(
            partition.method,
            numbers,
            MappingProxyType(dict(partition.number_probabilities)),
            partition.n_dropped,
        )

    @property
    def n_sources(self) -> int:
        """Number of sources, K."""
        return len(self.numbers)


@dataclass(frozen=True, slots=True)
class Predictions:
    """All that a model said of a plane.

    Parameters
    ----------
    basis : RunBasis or None
        The model, the algorithm, and the settings of the partition; without the picture, which is
        known by its own hash wherever predictions are kept. None where no model said anything.
    confidences : mapping of PointPrompt to float
        Predicted pixel accuracy of the prompts that were asked, and of those that stand for sources
        of the partition.
    partition : PartitionPredictions or None
    forgery : ForgeryMap or None
    """

    basis: RunBasis | None = None
    confidences: Mapping[PointPrompt, float] = field(default_factory=lambda: MappingProxyType({}))
    partition: PartitionPredictions | None = None
    forgery: ForgeryMap | None = None

    def of(self, annotation: Annotation) -> Predictions:
        """Leave out the confidences of prompts that an annotation does not have."""
        preview = annotation.preview
        seeds = annotation.seeds if preview is None else annotation.seeds + preview.seeds
        points = {prompt.point for prompt in annotation.prompts} | {point for _, point in seeds}
        known = {point: self.confidences[point] for point in points & self.confidences.keys()}
        return replace(self, confidences=MappingProxyType(known))

    def fits(self, embedding: Embedding | None) -> bool:
        """Whether the present algorithm, and the model of an embedding, are those that said this.

        Parameters
        ----------
        embedding : Embedding or None
            None: no model has read the picture yet, any may be the one.
        """
        if self.basis is None:
            return True
        same_model = (
            embedding is None or embedding.checkpoint_sha256 == self.basis.checkpoint_sha256
        )
        return same_model and self.basis.algorithm == ALGORITHM


@dataclass(frozen=True, slots=True)
class AnnotatedPlane:
    """A plane as it is kept: what the user made of it, and what the model said.

    Parameters
    ----------
    annotation : Annotation
    predictions : Predictions
    """

    annotation: Annotation
    predictions: Predictions = field(default_factory=Predictions)
