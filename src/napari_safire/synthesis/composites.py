"""Multi-source composites: pictures whose every pixel has a known origin.

A composite is a background with regions that were manipulated
(`napari_safire.synthesis.manipulations`).
With splicing alone its sources are different photographs, or (the hard case) one photograph with
different processing histories. What a detector may use is only what the histories left in the
pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.synthesis.camera import Pipeline, develop, jpeg, sample_pipeline
from napari_safire.synthesis.composite_settings import CompositeSettings
from napari_safire.synthesis.degradations import Degradation, degrade
from napari_safire.synthesis.manipulations import MANIPULATIONS
from napari_safire.synthesis.photo_bank import PhotoBank
from napari_safire.synthesis.scenes import Region, Scene, random_corner
from napari_safire.synthesis.shapes import ObjectMasks

__all__ = ["Composite", "CompositeSettings", "PhotoBank", "compose"]


@dataclass(frozen=True, slots=True, eq=False)
class Composite:
    """A picture and where its pixels came from.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
    labels : (H, W) uint8 array
        0 = background, 1.. = manipulated regions.
    record : dict
        Of each source the photograph (name, SHA-256), the operation and its parameters; then what
        befell the whole: a degradation, a compression. Places are (top, left, rows, columns) in
        the composite.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    record: dict[str, Any]


def compose(
    bank: PhotoBank,
    shape: tuple[int, int],
    settings: CompositeSettings,
    rng: np.random.Generator,
    n_sources: int | None = None,
    objects: ObjectMasks | None = None,
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
    objects : ObjectMasks, optional
        Finds objects; a fifth of the regions then has the shape of one.

    Returns
    -------
    Composite

    Raises
    ------
    ValueError
        The picture is too small for regions, or ``n_sources`` is below one.
    ImageReadError
        A photograph cannot be read.
    DatasetError
        An inpainter or reconstructor is not there, fails, or changes other pixels.
    NoRoom
        No place was found for a region (a RuntimeError); rare unless there are many sources.
    """
    n_sources = _number_of_sources(shape, settings, rng, n_sources)
    degradation = _drawn_degradation(settings, rng)
    scene, records = _background(bank, _before(degradation, shape), settings, rng, n_sources)
    scene = replace(scene, objects=objects)
    for source in range(1, n_sources):
        region = MANIPULATIONS[_operation(settings, rng)](scene, source, rng)
        scene = _with_region(scene, source, region)
        records.append(region.record)
    pixels, labels = _degraded(scene, degradation, shape, rng)
    final, pixels = _finished(pixels, settings, rng)
    record = {
        "n_sources": n_sources,
        "same_photo": scene.same_photo,
        "sources": records,
        "degradation": degradation.name if degradation else None,
        "final_jpeg": final,
    }
    return Composite(pixels, labels, record)


def _number_of_sources(
    shape: tuple[int, int],
    settings: CompositeSettings,
    rng: np.random.Generator,
    n_sources: int | None,
) -> int:
    if n_sources is not None and n_sources < 1:
        raise ValueError(f"A composite has one source or more, not {n_sources}.")
    if n_sources is None:
        n_sources = 1 + int(rng.choice(len(settings.source_counts), p=settings.source_counts))
    if n_sources > 1 and min(shape) < 64:
        raise ValueError(f"A composite of {shape} is too small for regions: use at least 64 x 64.")
    return n_sources


def _background(
    bank: PhotoBank,
    shape: tuple[int, int],
    settings: CompositeSettings,
    rng: np.random.Generator,
    n_sources: int,
) -> tuple[Scene, list[dict[str, Any]]]:
    same_photo = bool(rng.random() < settings.same_photo)
    photos = _choose_photos(bank, n_sources, same_photo, rng)
    photo = bank[photos[0]]
    corner = random_corner(photo, shape, rng)
    pipeline = _background_pipeline(settings, rng)
    pixels = develop(photo, corner, shape, pipeline, rng)
    scene = Scene(
        bank=bank,
        settings=settings,
        photos=tuple(photos),
        same_photo=same_photo,
        corner=corner,
        background=pixels,
        pixels=pixels,
        labels=np.zeros(shape, dtype=np.uint8),
        histories=((photos[0], pipeline),),
    )
    record = {
        "operation": "background",
        **bank.origin(photos[0]),
        "corner": corner,
        "shape": "background",
        "pipeline": pipeline.as_record(),
    }
    return scene, [record]


def _background_pipeline(settings: CompositeSettings, rng: np.random.Generator) -> Pipeline:
    if settings.untouched and rng.random() < settings.untouched:  # 0 draws nothing, see below
        return Pipeline()
    return sample_pipeline(rng, pasted=False)


def _operation(settings: CompositeSettings, rng: np.random.Generator) -> str:
    possible = [name for name, share in settings.operations.items() if share > 0]
    if len(possible) == 1:  # draws nothing: streams of splicings stay what they were
        return possible[0]
    return str(rng.choice(possible, p=[settings.operations[name] for name in possible]))


def _with_region(scene: Scene, source: int, region: Region) -> Scene:
    labels = scene.labels.copy()
    labels[region.mask] = source
    histories = scene.histories + ((region.history,) if region.history else ())
    return replace(scene, pixels=region.pixels, labels=labels, histories=histories)


def _drawn_degradation(settings: CompositeSettings, rng: np.random.Generator) -> Degradation | None:
    if not settings.degraded or rng.random() >= settings.degraded:  # 0 draws nothing, see above
        return None
    return Degradation.parse(str(rng.choice(settings.degradations)))


def _before(degradation: Degradation | None, shape: tuple[int, int]) -> tuple[int, int]:
    """Shape of the composite that is at least ``shape`` after it was resized."""
    if degradation is None or degradation.kind != "resize":
        return shape
    height, width = (math.ceil(length / degradation.strength) for length in shape)
    return height, width


def _degraded(
    scene: Scene,
    degradation: Degradation | None,
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Pixels and labels after the degradation, if there is one."""
    if degradation is None:
        return scene.pixels, scene.labels
    pixels = degrade(scene.pixels, degradation, key=str(rng.integers(2**63)))
    labels = scene.labels
    if labels.shape != pixels.shape[:2]:
        size = pixels.shape[1], pixels.shape[0]
        labels = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    height, width = shape
    return np.ascontiguousarray(pixels[:height, :width]), labels[:height, :width]


def _finished(
    pixels: npt.NDArray[np.uint8], settings: CompositeSettings, rng: np.random.Generator
) -> tuple[dict[str, int] | None, npt.NDArray[np.uint8]]:
    """The final compression, if there is one, and the pixels after it."""
    if rng.random() >= settings.final_jpeg:
        return None, pixels
    low, high = settings.final_quality
    final = {"quality": int(rng.integers(low, high + 1)), "subsampling": int(rng.choice(3))}
    return final, jpeg(np.ascontiguousarray(pixels), **final)


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
