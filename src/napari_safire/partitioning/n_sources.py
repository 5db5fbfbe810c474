"""What the patches of a picture say of its sources: whether there are several, and how many.

A cut in six finds small sources that a cut in two leaves with the ground. The features say which of
its pieces belong together, how far apart the last two groups of them lie, and with how nearly the
patches fall apart and how widely they point, whether they are two sources at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from napari_safire.partitioning.patches import directions
from napari_safire.partitioning.spectral import MOST_SOURCES, ROUNDING, PatchSpectrum, cut
from napari_safire.types import FloatImage


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """A cut in as many pieces as there may be sources, and how alike they are.

    Parameters
    ----------
    logits : (P, h, w) float32 array
        Of the pieces, from `napari_safire.partitioning.spectral.cut`.
    likeness : (P, P) float32 array
        Cosines of their mean features.
    shares : (P,) float32 array
        Of the informative patches that each has.
    distance : float
        Cosine distance, 0 to 2, of the two groups that remain when pieces whose mean features point
        most alike are joined first (docs/lab-notes.md); 0 for a single piece.
    """

    logits: FloatImage
    likeness: FloatImage
    shares: FloatImage
    distance: float

    def grouped(self, labels: npt.NDArray[np.int64]) -> FloatImage:
        """Join the pieces of each group.

        Parameters
        ----------
        labels : (P,) int array
            Group of each piece, 0 to K - 1; from
            `napari_safire.partitioning.grouping.Groupings`.

        Returns
        -------
        (K, h, w) float32 array
            Logits of the sources.
        """
        groups = (labels == group for group in range(int(labels.max()) + 1))
        sources = [logsumexp(self.logits[group], axis=0) for group in groups]
        return np.asarray(sources, dtype=np.float32)


def pieces_of(
    spectrum: PatchSpectrum, seed: int, inverse_temperature: float, count: int = MOST_SOURCES
) -> Pieces:
    """Cut a picture in pieces.

    Parameters
    ----------
    spectrum : PatchSpectrum
    seed, inverse_temperature
        Of the `napari_safire.partitioning.spectral.cut`.
    count : int
        Pieces; fewer where fewer can be told apart.

    Returns
    -------
    Pieces
    """
    logits = cut(spectrum, count, seed, inverse_temperature)
    informative = spectrum.informative.ravel()
    winners = logits.reshape(len(logits), -1).argmax(axis=0)[informative]
    features = spectrum.features[informative]
    sums = np.stack([features[winners == piece].sum(axis=0) for piece in range(len(logits))])
    means = directions(sums)
    counts = np.bincount(winners, minlength=len(logits))
    shares = np.asarray(counts / len(winners), dtype=np.float32)
    return Pieces(logits, means @ means.T, shares, _distance(sums))


def _distance(sums: FloatImage) -> float:
    """How far the last two groups lie apart when those most alike are joined first."""
    alike = np.float32(1)
    while len(sums) > 1:
        means = directions(sums)
        cosines = means @ means.T
        np.fill_diagonal(cosines, -np.inf)
        kept, taken = sorted(divmod(int(cosines.argmax()), len(sums)))
        alike = np.minimum(alike, np.float32(cosines[kept, taken]))
        sums[kept] += sums[taken]
        sums = np.delete(sums, taken, axis=0)
    return float(np.clip(1 - alike, 0, 2))


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """How much each sign of a second source counts.

    Stored with the model, because its calibration is only true of the signs that it was fitted on.
    A model that says nothing counts the cleavage alone.

    Parameters
    ----------
    cleavage : float
        Of `cleavage`.
    distance : float
        Of `Pieces.distance`.
    spread : float
        Of `spread`.
    """

    cleavage: float = 1.0
    distance: float = 0.0
    spread: float = 0.0


def multi_source_score(spectrum: PatchSpectrum, pieces: Pieces, weights: ScoreWeights) -> float:
    """Weigh what speaks for more than one source.

    Parameters
    ----------
    spectrum : PatchSpectrum
    pieces : Pieces
        Of that spectrum.
    weights : ScoreWeights

    Returns
    -------
    float
        0 or more.
    """
    return (
        weights.cleavage * cleavage(spectrum)
        + weights.distance * pieces.distance
        + weights.spread * spread(spectrum)
    )


def cleavage(spectrum: PatchSpectrum) -> float:
    """How nearly a picture's patches fall apart into two groups: ``-log(1 - second eigenvalue)``.

    This tells composites from pictures of one source better than the distance between two groups,
    which is large for one source of varied content too; both say more than either
    (docs/lab-notes.md).

    Returns
    -------
    float
        0 to 9.2; 0 for a single patch.
    """
    if len(spectrum.values) < 2:
        return 0.0
    return float(-np.log(np.clip(1 - spectrum.values[1], ROUNDING, 1)))


def spread(spectrum: PatchSpectrum) -> float:
    """How widely the informative patches point: 1 - length of their mean direction, 0 to 1."""
    mean = spectrum.features[spectrum.informative.ravel()].mean(axis=0)
    return float(np.clip(1 - np.linalg.norm(mean), 0, 1))
