"""Multi-source composites: pictures whose every pixel has a known origin.

A composite is a background with up to three pasted regions. Its sources are different photographs,
or (the hard case) one photograph with different processing histories. What a detector may use is
only what the histories left in the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from napari_safire.data.camera import Pipeline, develop, jpeg, sample_pipeline
from napari_safire.data.shapes import KINDS, sample_shape
from napari_safire.errors import ImageReadError


@dataclass(frozen=True, slots=True)
class CompositeSettings:
    """The distribution that composites are drawn from.

    Parameters
    ----------
    source_counts : tuple of float
        Probability of 1, 2, 3 ... sources; they sum to one.
    same_photo : float
        Share of composites whose sources all come from one photograph.
    final_jpeg : float
        Share of composites that are compressed once more as a whole.
    final_quality : (int, int)
        Range of the quality of that compression (inclusive).
    smallest : float
        No source is smaller than this share of the picture.
    """

    source_counts: tuple[float, ...] = (0.1, 0.45, 0.3, 0.15)
    same_photo: float = 0.4
    final_jpeg: float = 0.5
    final_quality: tuple[int, int] = (75, 98)
    smallest: float = 0.02

    def __post_init__(self) -> None:
        if abs(sum(self.source_counts) - 1) > 1e-6 or min(self.source_counts, default=-1) < 0:
            raise ValueError(
                f"source_counts must be probabilities that sum to one, not {self.source_counts}."
            )
        if not 0 < self.smallest <= 0.2:
            raise ValueError(f"smallest must lie in (0, 0.2], not {self.smallest}.")
        for name in ("same_photo", "final_jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, 0 to 1, not {getattr(self, name)}.")
        low, high = self.final_quality
        if not 1 <= low <= high <= 100:
            raise ValueError(
                f"final_quality must be 1 <= lowest <= highest <= 100, not {self.final_quality}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Composite:
    """A picture and where its pixels came from.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
    labels : (H, W) uint8 array
        0 = background, 1.. = pasted regions.
    record : dict
        Photograph, corner, shape and pipeline of each source, and the final compression.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    record: dict[str, Any]


class PhotoBank:
    """Photographs in memory, read once.

    Parameters
    ----------
    paths : sequence of Path
    groups : sequence of str, optional
        Photographer or camera of each: sources of one composite come from different groups.

    Raises
    ------
    ValueError
        There is no photograph, or not one group for each.
    ImageReadError
        When a photograph is first used and cannot be read.
    """

    def __init__(self, paths: Sequence[Path], groups: Sequence[str] | None = None) -> None:
        if not paths:
            raise ValueError("A photo bank needs at least one photograph.")
        self.paths = list(paths)
        self.groups = list(groups) if groups is not None else [str(p) for p in paths]
        if len(self.groups) != len(self.paths):
            raise ValueError(
                f"{len(self.groups)} groups for {len(self.paths)} photographs: give one for each."
            )
        self._pixels: dict[int, npt.NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        if index not in self._pixels:
            try:
                with Image.open(self.paths[index]) as picture:
                    self._pixels[index] = np.asarray(picture.convert("RGB"))
            except (OSError, SyntaxError, Image.DecompressionBombError) as error:
                raise ImageReadError(
                    f"The photograph {self.paths[index]} cannot be read: {error}."
                ) from error
        return self._pixels[index]


def compose(
    bank: PhotoBank,
    shape: tuple[int, int],
    settings: CompositeSettings,
    rng: np.random.Generator,
    n_sources: int | None = None,
) -> Composite:
    """Draw one composite.

    Parameters
    ----------
    bank : PhotoBank
    shape : (int, int)
        Rows and columns of the result.
    settings : CompositeSettings
    rng : numpy.random.Generator
        All randomness: the same state gives the same composite.
    n_sources : int, optional
        Default: drawn from ``settings.source_counts``.

    Returns
    -------
    Composite

    Raises
    ------
    ValueError
        The picture is too small for regions, or ``n_sources`` is below one.
    ImageReadError
        A photograph cannot be read.
    RuntimeError
        No place was found for a region; rare unless there are many sources.
    """
    if n_sources is not None and n_sources < 1:
        raise ValueError(f"A composite has one source or more, not {n_sources}.")
    if n_sources is None:
        n_sources = 1 + int(rng.choice(len(settings.source_counts), p=settings.source_counts))
    if n_sources > 1 and min(shape) < 64:
        raise ValueError(f"A composite of {shape} is too small for regions: use at least 64 x 64.")
    same_photo = bool(rng.random() < settings.same_photo)
    photo_indices = _choose_photos(bank, n_sources, same_photo, rng)
    background_photo = bank[photo_indices[0]]
    corner = _random_corner(background_photo, shape, rng)
    pipelines = [sample_pipeline(rng, pasted=False)]
    pixels = develop(background_photo, corner, shape, pipelines[0], rng)
    labels = np.zeros(shape, dtype=np.uint8)
    sources = [_record(bank, photo_indices[0], corner, "background", pipelines[0])]
    for source in range(1, n_sources):
        mask, kind = _free_region(pixels, labels, settings.smallest, rng)
        # Only sources of one photograph need histories that differ.
        siblings = [
            other
            for other, index in zip(pipelines, photo_indices, strict=False)
            if index == photo_indices[source]
        ]
        pipeline = _distinct_pipeline(siblings, rng)
        photo = bank[photo_indices[source]]
        rows, cols = ndimage.find_objects(mask.astype(np.int8))[0]
        box = (rows.stop - rows.start, cols.stop - cols.start)
        # In the hard case half of the regions stay in place: processed, not moved.
        in_place = same_photo and rng.random() < 0.5
        if in_place:
            scale = pipelines[0].scale
            place = (corner[0] + int(rows.start / scale), corner[1] + int(cols.start / scale))
        else:
            place = _random_corner(photo, box, rng)
        patch = develop(photo, place, box, pipeline, rng)
        if rng.random() < 0.5:  # anti-aliased or feathered edge
            alpha = ndimage.gaussian_filter(mask.astype(np.float32), rng.uniform(0.4, 1.5))
        else:
            alpha = mask.astype(np.float32)
        part = alpha[rows, cols, None]
        blended = part * patch + (1 - part) * pixels[rows, cols]
        pixels = pixels.copy()
        pixels[rows, cols] = np.rint(blended).astype(np.uint8)
        labels[mask] = source
        pipelines.append(pipeline)
        sources.append(_record(bank, photo_indices[source], place, kind, pipeline))
    final = None
    if rng.random() < settings.final_jpeg:
        low, high = settings.final_quality
        final = {"quality": int(rng.integers(low, high + 1)), "subsampling": int(rng.choice(3))}
        pixels = jpeg(np.ascontiguousarray(pixels), **final)
    record = {
        "n_sources": n_sources,
        "same_photo": same_photo,
        "sources": sources,
        "final_jpeg": final,
    }
    return Composite(pixels, labels, record)


def _record(
    bank: PhotoBank, photo: int, corner: tuple[int, int], shape: str, pipeline: Pipeline
) -> dict[str, Any]:
    return {
        "photo": bank.paths[photo].name,
        "corner": corner,
        "shape": shape,
        "pipeline": pipeline.as_record(),
    }


def _choose_photos(bank: PhotoBank, count: int, same: bool, rng: np.random.Generator) -> list[int]:
    first = int(rng.integers(len(bank)))
    if same:
        return [first] * count
    chosen = [first]
    for _ in range(count - 1):
        used = {bank.groups[i] for i in chosen}
        free = [i for i in range(len(bank)) if bank.groups[i] not in used]
        chosen.append(int(rng.choice(free or range(len(bank)))))
    return chosen


def _random_corner(
    photo: npt.NDArray[np.uint8], shape: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    free = (max(0, photo.shape[0] - shape[0] - 16), max(0, photo.shape[1] - shape[1] - 16))
    # Multiples of 8 keep a photograph's own JPEG grid where it was, as an editor's crop rarely
    # does but an untouched background always: leave it to chance.
    corner = (int(rng.integers(free[0] + 1)), int(rng.integers(free[1] + 1)))
    return (corner[0] // 8 * 8, corner[1] // 8 * 8) if rng.random() < 0.5 else corner


def _distinct_pipeline(others: Sequence[Pipeline], rng: np.random.Generator) -> Pipeline:
    """A history that differs visibly from the others, which are of the same photograph."""
    for _ in range(50):
        pipeline = sample_pipeline(rng, pasted=True)
        if all(pipeline.separation(other) >= 1.5 for other in others):
            break
    return pipeline


def _free_region(
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    smallest: float,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.bool_], str]:
    """A region that leaves every source at least `smallest` of the picture."""
    least = smallest * labels.size
    for _ in range(50):
        kind = str(rng.choice(KINDS))
        area = float(np.exp(rng.uniform(np.log(1.5 * smallest), np.log(0.4))))
        mask = sample_shape(kind, labels.shape, area, rng, picture=pixels)
        left = np.bincount(labels[~mask], minlength=int(labels.max()) + 1)
        if mask.sum() >= least and left.min() >= least:
            return mask, kind
    raise RuntimeError(
        f"Found no room for one more region of {smallest:.0%} in {labels.shape}: use fewer sources."
    )
