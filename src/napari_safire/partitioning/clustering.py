"""From region features to sources: which prompts found the same source region.

k-means and DBSCAN follow the published code; what it leaves to chance is settled here: k-means is
seeded and restarted (one unseeded start lands in a bad optimum in 30 % of the runs), empty clusters
and all-noise results are handled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.neighbors import NearestNeighbors

from napari_safire.partitioning.patches import directions
from napari_safire.types import FloatImage

Clusters = npt.NDArray[np.int64]
NOISE = -1
_RESTARTS = 10
_MOST_SOURCES = 6
# A source found by fewer prompts than this share is taken for an error of its neighbours.
_SMALLEST_SHARE = 0.012
_MIN_SAMPLES = 4  # Ester et al.: more hardly changes the distances; measured in docs/lab-notes.md
# Of the features' median length: what lies closer is no other source. Where there is one, many
# prompts have the very same feature, and the knee would lie in the rounding of the others.
_LEAST_EPS = 0.02


def cluster_kmeans(features: FloatImage, n_sources: int, seed: int) -> Clusters:
    """k-means with cosine distance: k-means on the directions of the features.

    Parameters
    ----------
    features : (P, C) float32 array
        Without NaN.
    n_sources : int
    seed : int

    Returns
    -------
    (P,) int array
        0 .. K-1, where K is ``n_sources`` or the number of distinct directions if that is smaller.
    """
    units = directions(features)
    distinct = len(np.unique(units.round(5), axis=0))
    count = min(n_sources, distinct)
    if count <= 1:
        return np.zeros(len(units), dtype=np.int64)
    kmeans = KMeans(n_clusters=count, n_init=_RESTARTS, random_state=seed)
    return kmeans.fit_predict(units).astype(np.int64)


def cluster_part(
    features: FloatImage, chosen: npt.NDArray[np.int64], n_sources: int, seed: int
) -> Clusters:
    """k-means of some of the prompts; the others join the source whose centre is nearest.

    Parameters
    ----------
    features : (P, C) float32 array
        Without NaN.
    chosen : (N,) int array
        Which prompts are clustered, at least one.
    n_sources, seed : int
        As in `cluster_kmeans`.

    Returns
    -------
    (P,) int array
        0 .. K-1.
    """
    units = directions(features)
    some = units[chosen]
    labels = cluster_kmeans(some, n_sources, seed)
    centres = np.stack([some[labels == k].mean(axis=0) for k in np.unique(labels)])
    # |u - c|^2 = |u|^2 - 2 u c + |c|^2, and |u| is one: the nearest is the largest u c - |c|^2 / 2.
    return np.argmax(units @ centres.T - (centres**2).sum(axis=1) / 2, axis=1)


@dataclass(frozen=True, slots=True)
class Density:
    """What DBSCAN takes for dense.

    Parameters
    ----------
    eps : float
        Euclidean distance of neighbours.
    min_samples : int
        Neighbours, itself included, from which on a prompt founds a source or lets it grow.
    by_rule : bool
        Whether `chosen_density` has found them.
    """

    eps: float
    min_samples: int = 1
    by_rule: bool = False


def chosen_density(features: FloatImage) -> Density:
    """Choose DBSCAN's eps by the knee of the distances to the fourth neighbour.

    Of the sorted distances to the k-th neighbour, those inside a source come first and those of
    strays last; eps is the distance at the bend between them (Ester, Kriegel, Sander and Xu, "A
    density-based algorithm for discovering clusters", KDD 1996, section 4.2, with k = 4). The bend
    is where the sorted curve, both axes scaled to 1, lies farthest below its chord (Satopaa,
    Albrecht, Irwin and Raghavan, "Finding a 'kneedle' in a haystack", 2011).

    Parameters
    ----------
    features : (P, C) float32 array
        Without NaN.

    Returns
    -------
    Density
        Of at least 2 % of the features' median length.
    """
    length = float(np.median(np.linalg.norm(features, axis=1))) if len(features) else 0.0
    least = max(_LEAST_EPS * length, float(np.finfo(np.float32).tiny))
    neighbours = min(_MIN_SAMPLES, len(features) - 1)
    if neighbours < 1:
        return Density(least, _MIN_SAMPLES, by_rule=True)
    found = NearestNeighbors(n_neighbors=neighbours).fit(features).kneighbors()[0]
    distances = np.sort(found[:, -1].astype(np.float64))
    rise = distances[-1] - distances[0]
    if rise > 0:
        below = np.linspace(0, 1, len(distances)) - (distances - distances[0]) / rise
        least = max(least, float(distances[below.argmax()]))
    return Density(least, _MIN_SAMPLES, by_rule=True)


def repeated_dbscan(
    features: FloatImage, density: Density, chosen: npt.NDArray[np.int64], factor: float
) -> Clusters:
    """DBSCAN of some of the prompts at another eps; the others join the nearest one's source.

    Parameters
    ----------
    features : (P, C) float32 array
        Without NaN.
    density : Density
    chosen : (N,) int array
        Which prompts are clustered, at least one.
    factor : float
        Of eps.

    Returns
    -------
    (P,) int array
        0 .. K-1; noise joins the nearest source too.
    """
    some = features[chosen]
    labels = cluster_dbscan(some, factor * density.eps, density.min_samples)
    known = labels != NOISE
    nearest = NearestNeighbors(n_neighbors=1).fit(some[known]).kneighbors(features)[1][:, 0]
    return labels[known][nearest]


def cluster_dbscan(features: FloatImage, eps: float, min_samples: int = 1) -> Clusters:
    """DBSCAN with Euclidean distance, as published.

    Returns
    -------
    (P,) int array
        `NOISE` for prompts in no cluster; if all are noise, all belong to one source.
    """
    labels = DBSCAN(eps=eps, min_samples=min_samples).fit_predict(features).astype(np.int64)
    return np.zeros_like(labels) if (labels == NOISE).all() else labels


def cluster_auto(features: FloatImage, threshold: float) -> Clusters:
    """Find the number of sources as well, one included.

    Average-linkage clustering joins groups of prompts whose mean cosine distance is below the
    threshold; groups of a few stray prompts join the nearest large group.

    Parameters
    ----------
    features : (P, C) float32 array
    threshold : float
        Cosine distance, stored with the model as ``metadata["source_distance"]``.

    Returns
    -------
    (P,) int array
        0 .. K-1, K at most 6.
    """
    if len(features) < 2:
        return np.zeros(len(features), dtype=np.int64)
    units = directions(features)
    labels = AgglomerativeClustering(
        n_clusters=None, distance_threshold=threshold, linkage="average", metric="cosine"
    ).fit_predict(units)
    sizes = np.bincount(labels)
    order = np.argsort(-sizes, kind="stable")
    smallest = max(2, round(_SMALLEST_SHARE * len(features)))
    kept = [k for k in order[:_MOST_SOURCES] if sizes[k] >= smallest] or [order[0]]
    centres = np.stack([directions(units[labels == k].mean(0)[None])[0] for k in kept])
    joined = np.argmax(units @ centres.T, axis=1)
    for new, old in enumerate(kept):
        joined[labels == old] = new
    return joined.astype(np.int64)


def separation(features: FloatImage, labels: Clusters) -> float:
    """How far apart the two largest-distance sources lie: cosine distance of their centres.

    Returns
    -------
    float
        0 .. 2; 0 for a single source.
    """
    present = [k for k in np.unique(labels) if k != NOISE]
    if len(present) < 2:
        return 0.0
    units = directions(features)
    centres = directions(np.stack([units[labels == k].mean(0) for k in present]))
    return float((1 - centres @ centres.T).max())
