"""What the cells of a picture say of its sources: whether there are several, and how many.

A cut in six finds small sources that a cut in two leaves with the ground. The features say which of
its pieces belong together, how far apart the last two groups of them lie, and with how nearly the
cells fall apart and how widely they point, whether they are two sources at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from napari_safire.engine.metadata_numbers import shown, stored_fields, stored_number
from napari_safire.engine.partitioning.clustering import directions
from napari_safire.engine.partitioning.spectral import MOST_SOURCES, ROUNDING, CellSpectrum, cut
from napari_safire.errors import CheckpointError
from napari_safire.types import FloatImage

EVIDENCE = "evidence"  # key of the weights in a model's metadata

_Groups = list[tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """A cut in more pieces than there may be sources, and the order in which they are joined.

    The two whose mean features point most alike are joined first (docs/lab-notes.md).

    Parameters
    ----------
    logits : (P, h, w) float32 array
        Of the pieces, from `napari_safire.engine.partitioning.spectral.cut`.
    likeness : (P, P) float32 array
        Cosines of their mean features.
    shares : (P,) float32 array
        Of the readable cells that each has.
    alike : (P - 1,) float array
        Smallest cosine of joined groups up to each step.
    groups : tuple of list of tuple of int
        The pieces of each group before the first step and after every one: P, P - 1, ... 1 groups.
    """

    logits: FloatImage
    likeness: FloatImage
    shares: FloatImage
    alike: FloatImage
    groups: tuple[_Groups, ...]

    def joined(self, n_sources: int) -> FloatImage:
        """Join pieces until so many groups remain, or all that there are.

        Parameters
        ----------
        n_sources : int
            At least 1.

        Returns
        -------
        (K, h, w) float32 array
            Logits of the sources.
        """
        groups = self.groups[max(0, len(self.logits) - n_sources)]
        return self._together(list(group) for group in groups)

    def grouped(self, labels: npt.NDArray[np.int64]) -> FloatImage:
        """Join the pieces of each group.

        Parameters
        ----------
        labels : (P,) int array
            Group of each piece, 0 to K - 1; from
            `napari_safire.engine.partitioning.grouping.Groupings`.

        Returns
        -------
        (K, h, w) float32 array
            Logits of the sources.
        """
        return self._together(labels == group for group in range(int(labels.max()) + 1))

    def _together(self, groups: Iterable[Any]) -> FloatImage:
        sources = [logsumexp(self.logits[group], axis=0) for group in groups]
        return np.asarray(sources, dtype=np.float32)


def pieces_of(
    spectrum: CellSpectrum, seed: int, sharpness: float, count: int = MOST_SOURCES
) -> Pieces:
    """Cut a picture in pieces.

    Parameters
    ----------
    spectrum : CellSpectrum
    seed, sharpness
        Of the `napari_safire.engine.partitioning.spectral.cut`.
    count : int
        Pieces; fewer where fewer can be told apart.

    Returns
    -------
    Pieces
    """
    logits = cut(spectrum, count, seed, sharpness)
    readable = spectrum.readable.ravel()
    winners = logits.reshape(len(logits), -1).argmax(axis=0)[readable]
    features = spectrum.features[readable]
    groups: list[_Groups] = [[(piece,) for piece in range(len(logits))]]
    sums = np.stack([features[winners == piece].sum(axis=0) for piece in range(len(logits))])
    means = directions(sums)
    likeness = means @ means.T
    counts = np.bincount(winners, minlength=len(logits))
    shares = np.asarray(counts / len(winners), dtype=np.float32)
    steps = []
    while len(sums) > 1:
        means = directions(sums)
        alike = means @ means.T
        np.fill_diagonal(alike, -np.inf)
        kept, taken = sorted(divmod(int(alike.argmax()), len(sums)))
        steps.append(alike[kept, taken])
        sums[kept] += sums[taken]
        sums = np.delete(sums, taken, axis=0)
        then = groups[-1].copy()
        then[kept] += then.pop(taken)
        groups.append(then)
    smallest = np.minimum.accumulate(np.asarray(steps, dtype=np.float32))
    return Pieces(logits, likeness, shares, smallest, tuple(groups))


@dataclass(frozen=True, slots=True)
class EvidenceWeights:
    """How much each sign of a second source counts.

    Stored with the model as ``metadata["evidence"]``, because its calibration is only true of the
    signs that it was fitted on. A model that says nothing counts the cleavage alone.

    Parameters
    ----------
    cleavage : float
        Of `cleavage`.
    distance : float
        Of `distance`.
    spread : float
        Of `spread`.
    """

    cleavage: float = 1.0
    distance: float = 0.0
    spread: float = 0.0

    @classmethod
    def of_model(cls, metadata: Mapping[str, Any]) -> EvidenceWeights:
        """Read a model's weights.

        Raises
        ------
        CheckpointError
            It counts something that is not known here, or by no number.
        """
        try:
            names = [field.name for field in fields(cls)]
            stored = stored_fields(metadata.get(EVIDENCE, {}), names)
            return cls(**{name: stored_number(name, value) for name, value in stored.items()})
        except ValueError as error:
            raise CheckpointError(
                f"This model's evidence is {shown(metadata[EVIDENCE])}, but this version knows "
                "cleavage, distance and spread, each with a number: update napari-safire."
            ) from error


def evidence(spectrum: CellSpectrum, pieces: Pieces, weights: EvidenceWeights) -> float:
    """Weigh what speaks for more than one source.

    Parameters
    ----------
    spectrum : CellSpectrum
    pieces : Pieces
        Of that spectrum.
    weights : EvidenceWeights

    Returns
    -------
    float
        0 or more.
    """
    return (
        weights.cleavage * cleavage(spectrum)
        + weights.distance * distance(pieces)
        + weights.spread * spread(spectrum)
    )


def cleavage(spectrum: CellSpectrum) -> float:
    """How nearly a picture's cells fall apart into two groups: ``-log(1 - second eigenvalue)``.

    This tells composites from pictures of one source better than the distance between two groups,
    which is large for one source of varied content too; both say more than either
    (docs/lab-notes.md).

    Returns
    -------
    float
        0 to 9.2; 0 for a single cell.
    """
    if len(spectrum.values) < 2:
        return 0.0
    return float(-np.log(np.clip(1 - spectrum.values[1], ROUNDING, 1)))


def distance(pieces: Pieces) -> float:
    """Cosine distance of the last two groups of pieces, 0 to 2; 0 for a single piece."""
    return float(np.clip(1 - pieces.alike[-1], 0, 2)) if len(pieces.alike) else 0.0


def spread(spectrum: CellSpectrum) -> float:
    """How widely the readable cells point: 1 - length of their mean direction, 0 to 1."""
    mean = spectrum.features[spectrum.readable.ravel()].mean(axis=0)
    return float(np.clip(1 - np.linalg.norm(mean), 0, 1))


def estimated_sources(found: float, alike: FloatImage, least: float, similarity: float) -> int:
    """Estimate the number of sources.

    Parameters
    ----------
    found : float
        The `evidence`.
    alike : (P - 1,) float array
        Of the `Pieces`.
    least : float
        There is one source where less is found. Stored with the model as
        ``metadata["source_evidence"]``.
    similarity : float
        Else there are as many as remain, two at least, when groups that are so alike are joined.
        Stored as ``metadata["source_similarity"]``.

    Returns
    -------
    int
        1 to P.
    """
    if not len(alike) or found < least:
        return 1
    return max(2, 1 + int((alike < similarity).sum()))
