"""Pictures whose truth is known, for `training/calibrate.py`: composites, untouched pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from authentic_crops import cut
from PIL import Image

from napari_safire.errors import DatasetError
from napari_safire.synthesis.composite_settings import CompositeSettings
from napari_safire.synthesis.composites import Composite, PhotoBank, compose
from napari_safire.synthesis.degradations import NONE, Degradation, degrade
from napari_safire.synthesis.photos import Photo, bank_of, divide_by_origin
from napari_safire.synthesis.retries import draw_until_made

SHAPES = ((768, 1024), (768, 512), (640, 960))
N_FOLDS = 2
UNTOUCHED = (NONE,)
DEGRADED = tuple(
    Degradation.parse(name)
    for name in ("jpeg-90", "jpeg-75", "resize-0.75", "blur-3", "noise-3", "gamma-1.25")
)
RECOMPRESSED = (NONE, Degradation("jpeg", 90), Degradation("jpeg", 75))
_N_SOURCES = (1, 2, 1, 3, 1, 4)


@dataclass(frozen=True, slots=True, eq=False)
class KnownPicture:
    """A picture and where its pixels came from.

    Parameters
    ----------
    kind : {"composites", "originals", "photographs"}
        The latter two are pieces of camera originals, and of photographs as they were published.
    degradation : str
        What befell the whole, such as "jpeg-75" or "none".
    fold : int
        0 or 1; folds share no photographer.
    n_sources : int
    pixels : (H, W, 3) uint8 array
    labels : (H, W) uint8 array
    """

    kind: str
    degradation: str
    fold: int
    n_sources: int
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Photographs:
    """What pictures are made of.

    Parameters
    ----------
    held_out : list of Photo
        By photographers the model has not learned from.
    originals : list of Photo
        Camera originals, in the groups of the training's table.
    learned : list of Photo
        What the model has learned from.
    """

    held_out: list[Photo]
    originals: list[Photo]
    learned: list[Photo]


def originals_for_calibration(
    originals: Sequence[Photo], learned_table: Sequence[Photo]
) -> list[Photo]:
    """Those whose photograph stands in the training's table too; the others are left for tests.

    Parameters
    ----------
    originals, learned_table : sequence of Photo

    Returns
    -------
    list of Photo
        In the groups that the training's table has them in.
    """
    groups = {photo.origin: photo.group for photo in learned_table}
    shared, _ = divide_by_origin(originals, learned_table)
    return [replace(photo, group=groups[photo.origin]) for photo in shared]


def folds_of(*photographs: Sequence[Photo]) -> dict[str, int]:
    """Divide the groups of all photographs evenly among the folds.

    Raises
    ------
    DatasetError
        The first has too few groups to make composites for every fold.
    """
    if len({photo.group for photo in photographs[0]}) < N_FOLDS:
        raise DatasetError(
            f"Calibration needs photographs of {N_FOLDS} held-out photographers at least: raise "
            "held_out_groups of the settings."
        )
    groups = dict.fromkeys(g for photos in photographs for g in sorted({p.group for p in photos}))
    return {group: number % N_FOLDS for number, group in enumerate(groups)}


def composites(
    photos: Sequence[Photo],
    folds: dict[str, int],
    count: int,
    degradations: Sequence[Degradation],
    seed: int,
) -> Iterator[KnownPicture]:
    """Half of them of one source, the others of two, three and four in turn.

    Parameters
    ----------
    photos : sequence of Photo
    folds : dict
        Of the photographs' groups. No composite joins photographs of two folds.
    count : int
    degradations : sequence of Degradation
        In turn, each under all numbers of sources.
    seed : int

    Yields
    ------
    KnownPicture
    """
    banks = [bank_of([p for p in photos if folds[p.group] == fold]) for fold in range(N_FOLDS)]
    for index in range(count):
        turn, fold = divmod(index, N_FOLDS)
        n_sources = _N_SOURCES[turn % len(_N_SOURCES)]
        # A shift each round, so that in the end every number of sources met every degradation.
        degradation = degradations[(turn + turn // len(_N_SOURCES)) % len(degradations)]
        draw = partial(_composite, n_sources=n_sources)
        made, problems = draw_until_made(draw, banks[fold], (seed, index))
        if problems:  # the model's file says how many photographs its calibration rests on
            raise DatasetError(f"{problems[0]} Take it out of the table.")
        pixels = degrade(made.pixels, degradation, key=f"{seed} {index}")
        labels = _of_shape(made.labels, pixels.shape[:2])
        yield KnownPicture("composites", degradation.name, fold, n_sources, pixels, labels)


def untouched_crops(
    kind: str, photos: Sequence[Photo], folds: dict[str, int], crops: int, seed: int
) -> Iterator[KnownPicture]:
    """Cut pieces from photographs, as they are and recompressed; all of one source.

    Parameters
    ----------
    kind : {"originals", "photographs"}
    photos : sequence of Photo
    folds : dict
        Of the photographs' groups.
    crops : int
        Of each photograph, at places drawn anew.
    seed : int

    Yields
    ------
    KnownPicture
    """
    for number, photo in enumerate(photos):
        whole = bank_of([photo])[0]  # a bank of its own: not all of them in memory at once
        for index in range(crops):
            place = np.random.default_rng((seed, number, index)).random(2)
            piece = np.ascontiguousarray(cut(whole, SHAPES[index % len(SHAPES)], place.tolist()))
            labels = np.zeros(piece.shape[:2], np.uint8)
            for how in RECOMPRESSED:
                pixels = degrade(piece, how, key=f"{photo.name} {index}")
                yield KnownPicture(kind, how.name, folds[photo.group], 1, pixels, labels)


def _composite(bank: PhotoBank, rng: np.random.Generator, n_sources: int) -> Composite:
    shape = SHAPES[rng.integers(len(SHAPES))]
    return compose(bank, shape, CompositeSettings(), rng, n_sources)


def _of_shape(labels: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    if labels.shape == shape:
        return labels
    return np.asarray(Image.fromarray(labels).resize(shape[::-1], Image.Resampling.NEAREST))
