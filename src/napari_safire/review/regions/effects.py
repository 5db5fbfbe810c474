"""How much a source differs from like places of the rest, and how surely.

The effect is Cliff's delta (N. Cliff, "Dominance statistics", Psychological Bulletin 114, 1993): by
ranks, so neither unit, outliers nor the shape of a distribution count. Cells are compared with
those of the rest that are nearest in brightness and texture, because both change what is measured
without any forgery.

Cells that lie side by side are alike, so blocks of them are drawn, not cells: H. Künsch, "The
jackknife and the bootstrap for general stationary observations", Annals of Statistics 17 (1989); in
the plane S. Lahiri, "Resampling Methods for Dependent Data" (2003), chapter 12. All rows of a
picture are drawn with the same blocks, so the largest deviation of them all gives an interval that
holds for all rows together (single step of J. Romano, M. Wolf, Econometrica 73, 2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.spatial import cKDTree

from napari_safire.review.regions.cells import Floats, Ints, Places

LEAST_CELLS, LEAST_WINDOWS, LEAST_BLOCKS = 12, 6, 4
_NEIGHBOURS = 12  # cells of the rest that each cell of a source is compared with
_BRIGHTNESS, _TEXTURE = 16.0, 0.5  # differences that count alike: grey levels, binary logarithm
_CALIPER = 1.5  # cells that differ more are not compared
_JITTER = 0.02  # where many look the same, not all are compared with the same few
_MOST_CELLS = 2000  # of a source: more make it slower, not surer


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Cells of a source and like ones of the rest.

    Parameters
    ----------
    inside, rest : (n,) int arrays
        Numbers of the places that are compared.
    n_inside : int
        Places of the source, compared or not.
    kind : str
        "cells" or "windows".
    least : int
        Places of a source that an effect needs.
    """

    inside: Ints
    rest: Ints
    n_inside: int
    kind: str = "cells"
    least: int = LEAST_CELLS


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """One row of the table, in numbers.

    Parameters
    ----------
    inside, rest : float
        Typical values: of the source's places, and of those that they are compared with.
    delta : float
        Cliff's delta of the pairs.
    drawn : (B,) float array
        The same of each draw of blocks; ``nan`` where a draw has no pair.
    n_cells, n_blocks : int
        Of the source; the lesser number of blocks of source and rest.
    """

    inside: float
    rest: float
    delta: float
    drawn: Floats
    n_cells: int
    n_blocks: int

    def interval(self, level: float) -> tuple[float, float]:
        """Percentile interval of the bootstrap."""
        tail = (1 - level) / 2
        low, high = np.nanquantile(self.drawn, (tail, 1 - tail))
        return min(float(low), self.delta), max(float(high), self.delta)

    @property
    def deviation(self) -> float:
        """Standard deviation; where few blocks all agree, what one more might change."""
        return max(float(np.nanstd(self.drawn)), 1 / self.n_blocks)


def pairs_of(places: Places, sources: Ints, source: int, *, alike: bool, seed: int) -> Pairs:
    """Find for each place of a source those of the rest that it is compared with.

    Parameters
    ----------
    places : Places
    sources : (n,) int array
        Of each place; -1 where several meet.
    source : int
    alike : bool
        Compare with places of like brightness and texture; else with any.
    seed : int
        Of which ones are taken where there are many.

    Returns
    -------
    Pairs
    """
    generator = np.random.default_rng((seed, source))
    inside = np.flatnonzero(sources == source)
    rest = np.flatnonzero((sources != source) & (sources >= 0))
    n_inside = len(inside)
    if n_inside > _MOST_CELLS:
        inside = np.sort(generator.choice(inside, _MOST_CELLS, replace=False))
    if not len(inside) or not len(rest):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), n_inside)
    if not alike:
        drawn = rest[generator.integers(len(rest), size=(len(inside), _NEIGHBOURS))]
        return Pairs(np.repeat(inside, _NEIGHBOURS), drawn.ravel(), n_inside)
    looks = np.stack([places.brightness / _BRIGHTNESS, places.texture / _TEXTURE], axis=1)
    looks += _JITTER * generator.normal(size=looks.shape)
    distances, nearest = cKDTree(looks[rest]).query(
        looks[inside], min(_NEIGHBOURS, len(rest)), distance_upper_bound=_CALIPER
    )
    distances = distances.reshape(len(inside), -1)
    found = np.isfinite(distances)
    matched = rest[nearest.reshape(distances.shape)[found]]
    return Pairs(np.repeat(inside, found.sum(axis=1)), matched, n_inside)


def effect_of(
    inside: Floats, rest: Floats, pairs: Pairs, blocks: Ints, draws: Floats, *, mean: bool = False
) -> Effect | str:
    """Compare the values of pairs.

    Parameters
    ----------
    inside, rest : (n,) float array
        Of both places of each pair; ``nan`` where nothing is known.
    pairs : Pairs
    blocks : (m,) int array
        Number of the block that each place lies in.
    draws : (B, n_blocks) float array
        How often each block is drawn (`block_draws`).
    mean : bool
        Typical values are means, not medians: of values that are mostly alike.

    Returns
    -------
    Effect or str
        Why there is none, half a sentence.
    """
    if pairs.n_inside < pairs.least:
        return f"{pairs.n_inside} whole {pairs.kind} lie in this source, {pairs.least} are needed"
    if len(np.unique(pairs.inside)) < pairs.least:
        return "too little of the rest is as bright and as textured"
    known = np.isfinite(inside) & np.isfinite(rest)
    own, first = np.unique(pairs.inside[known], return_index=True)
    others = np.unique(pairs.rest[known])
    if len(own) < pairs.least or not len(others):
        return "flat, black or clipped"
    n_blocks = min(len(np.unique(blocks[own])), len(np.unique(blocks[others])))
    if n_blocks < LEAST_BLOCKS:
        return f"it or its like lie in {n_blocks} blocks, an interval needs {LEAST_BLOCKS}"
    signs = np.sign(inside[known] - rest[known])
    shape = (draws.shape[1],) * 2
    at = blocks[pairs.inside[known]], blocks[pairs.rest[known]]
    sums = coo_array((signs, at), shape).tocsr()
    counts = coo_array((np.ones(len(signs)), at), shape).tocsr()
    total = _drawn(counts, draws)
    drawn = np.where(total > 0, _drawn(sums, draws) / np.maximum(total, 1), np.nan)
    typical = np.mean if mean else np.median
    return Effect(
        float(typical(inside[known][first])), float(typical(rest[known])),
        float(signs.mean()), drawn, len(own), n_blocks,
    )  # fmt: skip


def _drawn(of_pairs: coo_array, draws: Floats) -> Floats:
    """Sum over pairs of blocks, each as often as both are drawn."""
    summed: Floats = np.einsum("bn,bn->b", (of_pairs.T @ draws.T).T, draws)
    return summed


def block_draws(n_blocks: int, resamples: int, seed: int) -> Floats:
    """Draw blocks with replacement.

    Returns
    -------
    (resamples, n_blocks) float array
        How often each block is drawn.
    """
    generator = np.random.default_rng(seed)
    chances = np.full(n_blocks, 1 / n_blocks)
    return generator.multinomial(n_blocks, chances, size=resamples).astype(np.float64)


def simultaneous(effects: Sequence[Effect], level: float) -> tuple[float, ...]:
    """Half width of intervals that hold for all effects together.

    Parameters
    ----------
    effects : sequence of Effect
        All rows of a picture, from the same draws.
    level : float

    Returns
    -------
    tuple of float
        One for each effect.
    """
    if not effects:
        return ()
    deviations = np.array([effect.deviation for effect in effects])
    off = np.stack([np.abs(e.drawn - e.delta) for e in effects]) / deviations[:, None]
    largest = np.nanquantile(np.nanmax(np.nan_to_num(off), axis=0), level)
    return tuple(float(largest * deviation) for deviation in deviations)
