"""Sources straight from the embedding: a normalised cut of its patches, no prompt asked.

Training compares patches by ``exp(cos / temperature)``. The same numbers make the patches of a
picture a graph, which is cut where it hangs together least (Shi and Malik 2000; rows of the
eigenvectors normalised and clustered as by Ng, Jordan and Weiss 2001). k-means on the features
themselves splits the largest source instead of finding the small one (docs/lab-notes.md).

Sources are not scattered patch by patch, so neighbours hang together more than patches far apart,
as in Shi and Malik's graphs of pixels. That holds for where the cut goes. Whether there is anything
to cut, and which pieces belong together, is judged by the features alone: a picture of one source
would soon fall into neighbourhoods.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.ndimage import distance_transform_edt, uniform_filter
from scipy.sparse.linalg import ArpackError, eigsh
from scipy.special import softmax
from sklearn.cluster import KMeans

from napari_safire.forgery import Calibration, ForgeryMap
from napari_safire.geometry import Geometry
from napari_safire.partitioning.of_prompts import label_pixels, largest_first
from napari_safire.partitioning.patches import (
    directions,
    informative_patches,
    patch_centre,
    sampled,
)
from napari_safire.partitioning.prompt_grid import grid_points
from napari_safire.partitioning.silence import silence_of
from napari_safire.partitioning.uninformative import measure_informativeness
from napari_safire.partitioning.verdict import judge
from napari_safire.types import Embedding, FloatImage, SourcePartition, SourceRegion

COMPARING = "comparing the picture's patches"
TEMPERATURE = 0.1  # of the affinity, that of the contrastive loss; measured in docs/lab-notes.md
# All patches around one together weigh so many times what the whole picture would, were it alike.
NEIGHBOURHOOD = 2.0  # measured in docs/lab-notes.md, as is the reach
REACH = 2.0  # patches: standard deviation of a neighbour's weight over its distance
MOST_SOURCES = 6  # that are looked for where their number is not given
_USUAL_SPACING = 3.0  # patches to each that is compared in a picture of 1024 x 768 pixels
ROUNDING = 1e-4  # of an eigenvalue near 1 in float32
_FEWEST_FOR_LANCZOS = 64
_RESTARTS = 10
_INSIDE = 5  # patches around a representative's prompt that should be of its source


@dataclass(frozen=True, slots=True, eq=False)
class PatchSpectrum:
    """How the patches of a picture hang together.

    Parameters
    ----------
    values : (M,) float32 array
        Largest eigenvalues of the features' normalised affinity, from 1 down: as many lie near 1 as
        there are groups of patches that hardly hang together, wherever they lie.
    places : (N, M) float32 array
        Where each of the N = h * w patches, row by row, is put by the eigenvectors of the affinity
        in which neighbours weigh more.
    compared : (n,) int array
        The patches that the eigenvectors were computed of. The rest is placed by its affinity to
        these (Nystroem's extension; Fowlkes et al. 2004).
    features : (N, C) float32 array
        Directions of the patches' features.
    informative : (h, w) bool array
        Patches that may hold traces: the others are not compared, and belong to what is nearest.
    asked : int
        How many eigenvectors were asked for; a small picture has fewer.
    """

    values: FloatImage
    places: FloatImage
    compared: npt.NDArray[np.int64]
    features: FloatImage
    informative: npt.NDArray[np.bool_]
    asked: int


def patch_spectrum(
    embedding: Embedding,
    count: int = MOST_SOURCES,
    compared: npt.NDArray[np.int64] | None = None,
) -> PatchSpectrum:
    """Compute how the patches of a picture hang together.

    Parameters
    ----------
    embedding : Embedding
        With (C, h, w) features.
    count : int
        Eigenvectors: at least the number of sources; fewer are given if there are fewer patches.
    compared : (n,) int array, optional
        Patches to compare, at least one; default: those that are informative, of large pictures a
        regular sample.

    Returns
    -------
    PatchSpectrum
    """
    features = directions(embedding.features.reshape(len(embedding.features), -1).T)
    informative = informative_patches(embedding)
    if compared is None:
        compared = sampled(informative)
    affinity = np.exp((features @ features[compared].T - 1) / TEMPERATURE)  # (N, n)
    values, _ = _largest_eigenpairs(_normalised(affinity[compared])[0], count)
    affinity *= _nearness(informative.shape, compared)
    among, degree = _normalised(affinity[compared])
    eigenvalues, vectors = _largest_eigenpairs(among, count)
    # Of equal patches all but one eigenvalue are 0, or rounding of either sign.
    places = (affinity @ (vectors * degree[:, None])) / np.maximum(eigenvalues, ROUNDING)
    places /= np.sqrt(affinity.sum(axis=1, keepdims=True))
    return PatchSpectrum(values, places, compared, features, informative, count)


def cut(
    spectrum: PatchSpectrum, n_sources: int, seed: int, inverse_temperature: float
) -> FloatImage:
    """Divide the patches.

    Parameters
    ----------
    spectrum : PatchSpectrum
    n_sources : int
    seed : int
        Of k-means.
    inverse_temperature : float
        Scales the logits so that their softmax says how often a patch's source is right; stored
        with the model.

    Returns
    -------
    (K, h, w) float32 array
        Logits of the sources, K at most ``n_sources``: every one is the largest somewhere.
    """
    rows = directions(spectrum.places[:, :n_sources])
    known = rows[spectrum.compared]
    # Equal patches are of one source, wherever they lie.
    different = len(np.unique(spectrum.features[spectrum.compared].round(4), axis=0))
    count = min(n_sources, different, len(np.unique(known.round(4), axis=0)))
    centres = np.zeros((1, rows.shape[1]), np.float32)
    if count > 1:
        kmeans = KMeans(count, n_init=_RESTARTS, random_state=seed).fit(known)
        centres = kmeans.cluster_centers_.astype(np.float32)
    distances = ((rows[:, None] - centres) ** 2).sum(axis=2)  # (N, K)
    winners = np.unique(distances[spectrum.informative.ravel()].argmin(axis=1))
    logits = (-inverse_temperature * distances[:, winners].T).reshape(
        -1, *spectrum.informative.shape
    )
    nearest = distance_transform_edt(
        ~spectrum.informative, return_distances=False, return_indices=True
    )
    return np.ascontiguousarray(logits[:, nearest[0], nearest[1]], dtype=np.float32)


def partition_of_patches(
    embedding: Embedding,
    logits: FloatImage,
    method: str,
    parameters: dict[str, Any],
    seed: int,
    points_per_side: int,
) -> SourcePartition:
    """Bring divided patches to the picture's own size.

    Parameters
    ----------
    embedding : Embedding
    logits : (K, h, w) float32 array
        From `cut`.
    method, parameters, seed
        Recorded in the partition.
    points_per_side : int
        Of the grid of prompts, each of which gets the source it lies in.

    Returns
    -------
    SourcePartition
    """
    geometry = embedding.geometry
    labels, order = largest_first(label_pixels(geometry, list(logits)), len(logits))
    prompts, _ = grid_points(geometry, points_per_side)
    rows, cols = np.array([(p.row, p.col) for p in prompts]).round().astype(np.int64).T
    height, width = geometry.image_shape
    rows, cols = rows.clip(0, height - 1), cols.clip(0, width - 1)
    regions = _regions(geometry, logits)
    sources = labels[rows, cols].astype(np.int64)
    asked = MappingProxyType(dict(parameters))
    ordered = tuple(regions[k] for k in order)
    return SourcePartition(labels, ordered, method, asked, seed, prompts, sources)


def forgery_map_of_patches(
    embedding: Embedding,
    logits: FloatImage,
    multi_source_score: float,
    calibration: Calibration | None,
) -> ForgeryMap:
    """Make the binary forgery map of divided patches: everything but the largest source.

    Parameters
    ----------
    embedding : Embedding
    logits : (K, h, w) float32 array
        From `cut`.
    multi_source_score : float
        In the measure that the calibration was fitted on.
    calibration : Calibration or None

    Returns
    -------
    ForgeryMap
        Of two sources the heatmap is the published ``(front + 1 - back) / 2``.
    """
    shape = embedding.geometry.image_shape
    heatmap: FloatImage = np.zeros(shape, dtype=np.float32)
    if len(logits) > 1:
        sizes = np.bincount(logits.argmax(axis=0).ravel(), minlength=len(logits))
        ground = softmax(logits, axis=0)[sizes.argmax()]
        heatmap = (1 - embedding.geometry.to_image_size(ground)).clip(0, 1)
    informativeness = measure_informativeness(embedding.uninformative, embedding.geometry, heatmap)
    silence = silence_of(embedding)
    said = judge(multi_source_score, calibration, shape, informativeness, silence)
    return ForgeryMap(heatmap, said.score, said.verdict, said.reason, calibration, said.obstacle)


def _regions(geometry: Geometry, logits: FloatImage) -> list[SourceRegion]:
    """For each source its logits against the others', at the patch that is deepest inside it."""
    shares = softmax(logits, axis=0)
    winners = logits.argmax(axis=0)
    regions = []
    for k, share in enumerate(shares):
        deep = uniform_filter(share, _INSIDE, mode="constant") + share
        row, col = np.unravel_index(int(deep.argmax()), deep.shape)
        prompt = patch_centre(geometry, int(row), int(col))
        confidence = float(share[winners == k].mean())
        regions.append(SourceRegion(prompt, logits[k], geometry, confidence))
    return regions


def _normalised(among: FloatImage) -> tuple[FloatImage, FloatImage]:
    """Affinity (n, n) as it is cut, and the (n,) factors of its rows and columns."""
    degree = 1 / np.sqrt(among.sum(axis=1))
    return among * degree[:, None] * degree, degree


def _nearness(shape: tuple[int, ...], compared: npt.NDArray[np.int64]) -> FloatImage:
    """How much more each of the (N,) patches hangs together with the (n,) compared ones nearby."""
    height, width = shape
    # Where few patches are compared the nearest of them are further away.
    reach = REACH * max(1.0, (height * width / len(compared) / _USUAL_SPACING) ** 0.5)
    gain = NEIGHBOURHOOD * height * width / (2 * np.pi * reach**2)
    down, across = (
        np.exp(-((np.arange(side)[:, None] - np.arange(side)) ** 2) / (2 * reach**2))
        for side in shape
    )
    rows, cols = np.divmod(compared, width)
    near = down[:, None, rows] * across[None, :, cols]  # (h, w, n)
    return np.asarray(1 + gain * near.reshape(height * width, -1), dtype=np.float32)


def _largest_eigenpairs(matrix: FloatImage, count: int) -> tuple[FloatImage, FloatImage]:
    """Eigenvalues (M,), largest first, and eigenvectors (n, M) of a symmetric matrix."""
    size = len(matrix)
    count = min(count, size)
    found = None
    if size >= _FEWEST_FOR_LANCZOS and count < size // 2:
        found = _by_lanczos(matrix, count)
    values, vectors = found or eigh(matrix, subset_by_index=(size - count, size - 1))
    order = np.argsort(-values)
    return (
        np.asarray(values[order], dtype=np.float32),
        np.asarray(vectors[:, order], dtype=np.float32),
    )


def _by_lanczos(matrix: FloatImage, count: int) -> tuple[FloatImage, FloatImage] | None:
    """Eigenvalues and eigenvectors; None where the iteration does not come to an end.

    Eigenvalues that lie close together, as of many groups of equal patches, may keep it from that.
    """
    start = np.ones(len(matrix), dtype=matrix.dtype)  # one of its own: the same answer each time
    try:
        values, vectors = eigsh(matrix, k=count, which="LA", v0=start, tol=1e-4)
    except ArpackError:
        return None
    return (values, vectors) if np.isfinite(values).all() else None
