"""How well prompts fall into sources: a view in two dimensions, and a curve over their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import pairwise_distances, silhouette_score
from sklearn.preprocessing import normalize

from napari_safire.partitioning.clustering import cluster_kmeans
from napari_safire.types import FloatImage

_LEAST_SPREAD = 1e-6  # below it, the spread of float32 directions is rounding
_TIE = 0.999  # weights this close to the largest count as equal to it


@dataclass(frozen=True, slots=True)
class QualityPoint:
    """How well the prompts fall into a number of sources.

    Parameters
    ----------
    n_sources : int
        K, at least 2.
    silhouette : float
        Mean silhouette of the prompts, -1 .. 1; see `quality_curve`.
    """

    n_sources: int
    silhouette: float


def project_features(features: FloatImage) -> FloatImage:
    """Lay the prompts out in the plane that shows most of the differences between their features.

    These are the first two principal components of the features' directions: clustering looks at
    directions only, so the plot shows what it sees, as far as two dimensions can.

    Parameters
    ----------
    features : (P, C) float32 array
        Of any length; NaN where the mask of a prompt is empty.

    Returns
    -------
    (P, 2) float32 array
        Position of each prompt, NaN where it has no feature. The prompts' mean lies at 0. Both
        components share one scale: 2 is the distance of opposite directions. The feature channel
        with the largest weight in a component (the first of equals) counts positive, so the same
        features always give the same picture. Components without spread (a single
        prompt, equal features) are 0.

    Raises
    ------
    ValueError
        Features that are not a table of prompts and channels.
    """
    directions, valid = _directions(features)
    plane = np.full((len(valid), 2), np.nan, dtype=np.float32)
    plane[valid] = 0
    if len(directions) == 0:
        return plane
    centred = directions - directions.mean(axis=0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:2]  # (2, C), fewer if P or C is 1
    weights = np.abs(components)
    heavy = weights > _TIE * weights.max(axis=1, keepdims=True)
    signs = np.sign(components[np.arange(len(components)), heavy.argmax(axis=1)])
    placed = centred @ components.T * signs
    placed[:, placed.std(axis=0) < _LEAST_SPREAD] = 0
    plane[np.flatnonzero(valid)[:, None], np.arange(len(components))] = placed
    return plane


def quality_curve(features: FloatImage, seed: int = 0, most: int = 6) -> tuple[QualityPoint, ...]:
    """Partition the prompts into 2, 3, ... sources and rate each number by its mean silhouette.

    The silhouette of a prompt compares its mean cosine distance to the prompts of its own source,
    a, with that to the prompts of the nearest other source, b: (b - a) / max(a, b). It is near 1
    where sources are tight and far apart, 0 on the border between two, negative where the prompt
    would fit the other source better; 0 by convention for a prompt that is a source by itself.

    The silhouette compares sources with each other. It therefore cannot speak for K = 1: a curve
    does not tell whether the picture has more than one source, only which number above one divides
    its prompts most clearly; an authentic picture may reach 0.9 too. (P. J. Rousseeuw, Silhouettes,
    J. Comput. Appl. Math. 20, 1987.)

    Parameters
    ----------
    features : (P, C) float32 array
        Prompts with NaN are left out.
    seed : int
        Of k-means, which divides the prompts as `Engine.partition(..., method="kmeans")` does.
    most : int
        Largest number of sources to try.

    Returns
    -------
    tuple of QualityPoint
        For K = 2 .. `most`; shorter, or empty, where the prompts have fewer different features
        than K or are no more than K.

    Raises
    ------
    ValueError
        Features that are not a table of prompts and channels, or `most` below 2.
    """
    if most < 2:
        raise ValueError(
            f"A quality curve up to {most} sources has no point: the silhouette needs at least 2."
        )
    directions, _ = _directions(features)
    if len(directions) < 3:
        return ()
    distances = pairwise_distances(directions, metric="cosine")
    np.fill_diagonal(distances, 0)  # the zero vector is 1 away from itself
    curve = []
    for n_sources in range(2, min(most, len(directions) - 1) + 1):
        labels = cluster_kmeans(directions, n_sources, seed)
        if len(np.unique(labels)) < n_sources:
            break
        score = silhouette_score(distances, labels, metric="precomputed")
        curve.append(QualityPoint(n_sources, float(score)))
    return tuple(curve)


def _directions(features: FloatImage) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """Features of length one of the V prompts that have one, (V, C), and which these are, (P,)."""
    table = np.asarray(features, dtype=np.float32)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(
            f"Features of shape {table.shape} are not a table: give (prompts, channels)."
        )
    valid = np.isfinite(table).all(axis=1)
    kept = table[valid]
    directions: FloatImage = normalize(kept) if len(kept) else kept  # it refuses an empty table
    return directions, np.asarray(valid)
