"""What a model said of a plane, beside what the user made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from napari_safire.annotation.annotation import Annotation
from napari_safire.basis import ALGORITHM, RunBasis
from napari_safire.forgery import ForgeryMap
from napari_safire.types import Embedding, PointPrompt, SourcePartition


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

    def others(self, embedding: Embedding | None) -> str:
        """Who said this, if not the model of an embedding by the present algorithm.

        Parameters
        ----------
        embedding : Embedding or None
            None: no model has read the picture yet, any may be the one.

        Returns
        -------
        str
            "another model" or "another version of napari-safire"; empty: the very same.
        """
        if self.basis is None:
            return ""
        if embedding is not None and embedding.checkpoint_sha256 != self.basis.checkpoint_sha256:
            return "another model"
        return "" if self.basis.algorithm == ALGORITHM else "another version of napari-safire"


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

    def without(self, whom: str) -> str:
        """Say in sentences what is lost where the predictions of others are left out.

        Parameters
        ----------
        whom : str
            As `Predictions.others` has it.
        """
        said, state = self.predictions, self.annotation
        verdict = said.forgery is not None or said.partition is not None
        told = []
        if verdict or not state.live_prompts:
            what, how = ("verdict", ": partition again") if verdict else ("confidence", "")
            told.append(f"The {what} that was kept is {whom}'s and was left out{how}.")
        if state.live_prompts:
            told.append(
                f"The prompts were answered by {whom}: answered anew, their regions may differ."
            )
        return " ".join(told)
