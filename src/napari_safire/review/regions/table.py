"""The region table: each source of a partition against the rest of its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_safire.errors import SafireError
from napari_safire.forensics.compression.coefficients import BLOCK
from napari_safire.forensics.compression.grid import N_GRIDS
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.tiles import of_each
from napari_safire.progress import Cancel, Progress, report, within
from napari_safire.review.regions.cells import (
    CELL,
    Floats,
    Ints,
    Places,
    Tile,
    joined,
    quarters,
    source_map,
    sources_of_windows,
    tiles,
)
from napari_safire.review.regions.effects import (
    LEAST_CELLS,
    LEAST_WINDOWS,
    Effect,
    Pairs,
    block_draws,
    effect_of,
    pairs_of,
    simultaneous,
)
from napari_safire.review.regions.jpeg import grid_values
from napari_safire.review.regions.jpeg import history as history_of
from napari_safire.review.regions.measures import MEASURES, WINDOW, Measured, measured
from napari_safire.review.regions.values import RegionRow, RegionTable
from napari_safire.review.regions.wording import words_of
from napari_safire.types import FloatImage, LabelImage

LEVEL = 0.95
RESAMPLES = 499
MOST_SOURCES = 32
"""That are compared; of more, the largest."""
_AT_ONCE = 4  # tiles between two looks at `cancel`
_BLOCKS_A_SIDE = 16
_LEAST_BLOCK = 64  # pixels
_MEANS = ("clipping", "JPEG ghosts", "JPEG grid", "saturation")
_LEAST_SHARE = 0.75  # of a window that has to be of one source
_UNMATCHED = ("clipping",)  # whoever is as bright is clipped as well


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What was measured of a picture, before sources are compared.

    Parameters
    ----------
    shape : (int, int)
        Of the picture.
    measured : Measured
    squares : Places
        Its cells in quarters.
    history : (n,) float array or str
        Of each square (`napari_safire.review.regions.jpeg.history`); or why there is none.
    """

    shape: tuple[int, int]
    measured: Measured
    squares: Places
    history: Floats | str


def region_table(
    picture: Picture,
    labels: LabelImage,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> RegionTable:
    """Compare each source of a partition with the rest of the picture.

    Parameters
    ----------
    picture : napari_safire.forensics.Picture
    labels : (H, W) int array
        Source of each pixel; values below 0 are looked at nowhere.
    seed : int
        Of the bootstrap, and of the choice of squares in pictures above 2.4 megapixels.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between parts of the work.

    Returns
    -------
    RegionTable
        The same for the same picture, labels and seed.

    Raises
    ------
    SafireError
        The labels are not of the picture's size, or no whole numbers.
    Cancelled
    """
    labels = np.asarray(labels)
    if labels.shape != picture.shape or labels.dtype.kind not in "iub":
        raise SafireError(
            f"Labels of shape {labels.shape} and type {labels.dtype} for a picture of "
            f"{picture.shape[0]} x {picture.shape[1]} pixels: give one whole number a pixel."
        )
    sources = tuple(int(n) for n in np.unique(labels) if n >= 0)
    chosen = tiles(labels, sources, seed)
    looked = look(picture, chosen, progress=within(progress, 0, 80), cancel=cancel)
    report(progress, cancel, 80, 100, "comparing sources")
    table = compare(looked, labels, seed=seed, cancel=cancel)
    report(progress, cancel, 100, 100, "comparing sources")
    return table


def look(
    picture: Picture,
    chosen: Sequence[Tile],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Looked:
    """Measure the cells of some squares of a picture, whatever its sources are.

    Parameters
    ----------
    picture : Picture
    chosen : sequence of Tile
        From `tiles`.
    progress, cancel : callable, optional
        As of `region_table`.

    Returns
    -------
    Looked

    Raises
    ------
    Cancelled
    """
    found: list[Measured] = []
    for first in range(0, len(chosen), _AT_ONCE):
        report(within(progress, 0, 80), cancel, first, len(chosen), "measuring cells")
        some = chosen[first : first + _AT_ONCE]
        found += of_each(lambda tile: measured(picture, tile), some)
    report(progress, cancel, 80, 100, "looking for former compressions")
    cells = joined([part.cells for part in found])
    squares = quarters(cells)
    names = found[0].values if found else ()
    votes = [np.zeros((0, N_GRIDS + 1), np.int64), *(part.votes for part in found)]
    measured_ = Measured(
        cells,
        {name: np.concatenate([part.values[name] for part in found]) for name in names},
        np.concatenate(votes),
        joined([part.windows for part in found]),
        np.concatenate([np.zeros((0, 2, WINDOW // 2), np.float32), *(p.periods for p in found)]),
    )
    return Looked(picture.shape, measured_, squares, history_of(picture, squares, cancel=cancel))


def compare(
    looked: Looked, labels: LabelImage, *, seed: int = 0, cancel: Cancel | None = None
) -> RegionTable:
    """Compare sources by what was measured.

    Parameters
    ----------
    looked : Looked
        From `look`.
    labels : (H, W) int array
    seed : int
    cancel : callable, optional

    Returns
    -------
    RegionTable

    Raises
    ------
    Cancelled
    """
    sources = tuple(int(n) for n in np.unique(labels) if n >= 0)
    n_cells = (looked.shape[0] // CELL) * (looked.shape[1] // CELL)
    n_looked_at = len(looked.measured.cells)
    return RegionTable(
        rows=_rows(looked, labels, sources, seed, cancel),
        sources=sources,
        measures=MEASURES,
        cell=CELL,
        block=_block_side(looked.shape),
        seed=seed,
        resamples=RESAMPLES,
        level=LEVEL,
        n_cells=n_cells,
        n_looked_at=n_looked_at,
        notices=_notices(sources, n_cells, n_looked_at),
    )


def _block_side(shape: tuple[int, int]) -> int:
    """Pixels a side of the bootstrap's blocks: an area's 256th, in whole cells."""
    side = round(np.sqrt(shape[0] * shape[1]) / _BLOCKS_A_SIDE / CELL) * CELL
    return max(_LEAST_BLOCK, side)


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """What one measure compares of a source: the values of both places of each pair."""

    inside: Floats
    rest: Floats
    pairs: Pairs
    blocks: Ints
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """Places of one size: cells, quarters of them, or windows."""

    name: str
    places: Places
    sources: Ints
    blocks: Ints
    least: int = LEAST_CELLS

    def pairs(self, source: int, seed: int, *, alike: bool = True) -> Pairs:
        found = pairs_of(self.places, self.sources, source, alike=alike, seed=seed)
        return replace(found, kind=self.name, least=self.least)

    def compared(self, values: Floats, pairs: Pairs, detail: str = "") -> _Compared:
        return _Compared(values[pairs.inside], values[pairs.rest], pairs, self.blocks, detail)


def _kinds(looked: Looked, labels: LabelImage) -> tuple[_Kind, _Kind, _Kind]:
    """Cells, quarters and windows, with the sources and the bootstrap's blocks they lie in."""
    side = _block_side(looked.shape)
    across = -(-looked.shape[1] // side)
    cells, squares, windows = looked.measured.cells, looked.squares, looked.measured.windows
    of_cells, of_squares = source_map(labels), source_map(labels, BLOCK)
    blocks = [p.rows // side * across + p.cols // side for p in (cells, squares, windows)]
    return (
        _Kind("cells", cells, of_cells[cells.rows // CELL, cells.cols // CELL], blocks[0]),
        _Kind(
            "blocks", squares, of_squares[squares.rows // BLOCK, squares.cols // BLOCK], blocks[1]
        ),
        _Kind(
            "windows",
            windows,
            sources_of_windows(of_cells, windows, WINDOW, _LEAST_SHARE),
            blocks[2],
            LEAST_WINDOWS,
        ),
    )


def _rows(
    looked: Looked, labels: LabelImage, sources: Sequence[int], seed: int, cancel: Cancel | None
) -> tuple[RegionRow, ...]:
    side = _block_side(looked.shape)
    kinds = _kinds(looked, labels)
    n_blocks = -(-looked.shape[0] // side) * -(-looked.shape[1] // side)
    draws = block_draws(n_blocks, RESAMPLES, seed)
    effects: dict[tuple[int, str], Effect | str] = {}
    details: dict[tuple[int, str], str] = {}
    counts = [int((kinds[1].sources == source).sum()) for source in sources]
    largest = {sources[n] for n in np.argsort([-n for n in counts], kind="stable")[:MOST_SOURCES]}
    for source in sources:
        report(None, cancel, 0, 1, "comparing sources")
        if source not in largest:
            why_not = f"only the {MOST_SOURCES} largest sources are compared"
            effects |= {(source, measure.name): why_not for measure in MEASURES}
            continue
        for name, what in _compared(looked, kinds, source, seed).items():
            if isinstance(what, str):
                effects[source, name] = what
                continue
            details[source, name] = what.detail
            effects[source, name] = effect_of(
                what.inside, what.rest, what.pairs, what.blocks, draws, mean=name in _MEANS
            )
    return _judged(effects, details)


def _compared(
    looked: Looked, kinds: tuple[_Kind, _Kind, _Kind], source: int, seed: int
) -> Mapping[str, _Compared | str]:
    """Values and pairs of each measure for one source, or why there are none."""
    cells, squares, windows = kinds
    if not ((squares.sources >= 0) & (squares.sources != source)).any():
        return {measure.name: "there is no rest to compare with" for measure in MEASURES}
    like = cells.pairs(source, seed)
    any_ = cells.pairs(source, seed, alike=False)
    found: dict[str, _Compared | str] = {
        name: cells.compared(values, any_ if name in _UNMATCHED else like)
        for name, values in looked.measured.values.items()
    }
    shares, history = grid_values(looked.measured.votes, cells.sources, source), looked.history
    found["JPEG grid"] = (
        shares if isinstance(shares, str) else cells.compared(shares[0], like, shares[1])
    )
    found["JPEG history"] = (
        history
        if isinstance(history, str)
        else squares.compared(history, squares.pairs(source, seed))
    )
    found["resampling"] = _periods(looked.measured.periods, windows, source, seed)
    return {measure.name: found[measure.name] for measure in MEASURES}


def _periods(periods: FloatImage, windows: _Kind, source: int, seed: int) -> _Compared:
    """Compare the strength of the source's period; each half is judged by the other half's."""
    pairs, places = windows.pairs(source, seed), windows.places
    half = (places.rows // WINDOW + places.cols // WINDOW) % 2
    inside, rest = (np.full(len(pairs.inside), np.nan) for _ in range(2))
    for number in (0, 1):
        others = (windows.sources == source) & (half != number)
        here = half[pairs.inside] == number
        if not others.any() or not here.any():
            continue
        strongest = periods[others].mean(axis=0).argmax(axis=1)
        strength = periods[:, (0, 1), strongest].mean(axis=1)
        inside[here], rest[here] = strength[pairs.inside[here]], strength[pairs.rest[here]]
    return _Compared(inside, rest, pairs, windows.blocks)


def _judged(
    effects: Mapping[tuple[int, str], Effect | str], details: Mapping[tuple[int, str], str]
) -> tuple[RegionRow, ...]:
    """Make rows, and mark those that lie beyond their limits whatever row is looked at."""
    told = {key: effect for key, effect in effects.items() if isinstance(effect, Effect)}
    widths = dict(zip(told, simultaneous(list(told.values()), LEVEL), strict=True))
    limits = {measure.name: measure for measure in MEASURES}
    rows = []
    for key, effect in effects.items():
        source, name = key
        row = RegionRow(source, name, detail=details.get(key, ""))
        if isinstance(effect, str):
            row = replace(row, why_not=effect, detail="")
        else:
            at_least = abs(effect.delta) - widths[key]
            row = replace(
                row,
                inside=effect.inside,
                rest=effect.rest,
                effect=effect.delta,
                interval=effect.interval(LEVEL),
                at_least=at_least,
                outlier=at_least > limits[name].limit,
                n_cells=effect.n_cells,
            )
        rows.append(replace(row, words=words_of(row, limits[name])))
    return tuple(rows)


def _notices(sources: Sequence[int], n_cells: int, n_looked_at: int) -> tuple[str, ...]:
    notices = []
    if n_looked_at < n_cells:
        notices.append(
            f"{n_looked_at} of {n_cells} cells were looked at: squares from all over the picture."
        )
    if len(sources) == 2:
        notices.append("With two sources, either may be the one that was put in.")
    notices += [
        "A source may differ by what it shows: a difference by itself proves no manipulation.",
        "A partition that a model made follows such differences: they do not confirm it.",
    ]
    return tuple(notices)
