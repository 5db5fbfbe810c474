"""What a data set of composites is made of, and where each of its files lies.

Two layouts. "plain": ``images/00000.png``, ``masks/00000.png`` and ``list.txt``. "safirems": the
folders of SafireMS-Auto and SafireMS-Expert as their published lists name them, one list a part.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.images.masks import MAX_SOURCE, encode_sources
from napari_safire.synthesis.composite_settings import CompositeSettings
from napari_safire.synthesis.composites import Composite
from napari_safire.synthesis.photos import Photo
from napari_safire.synthesis.plugins import find_method

_LARGEST_SIDE = 16384
_RECORDS = 2  # raise it when records or file names change: older data sets are not continued
_LONGEST_STEM = 40
# Part of SafireMS-Auto -> operation.
_PARTS = {"cm": "copy-move", "sp": "splicing", "rm": "removal", "gn": "reconstruction"}


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """What a data set is made of; with the photographs it decides every pixel.

    Parameters
    ----------
    count : int
        Number of composites. A data set can be continued with a larger one.
    shape : (int, int)
        Rows and columns, 64 or more each. Where a photograph is smaller, it is mirrored.
    sources : tuple of int
        Numbers of sources, 1 to 6, that take turns: ``(2,)`` gives two everywhere. In the layout
        "safirems" 2 to 5, each a part of its own; none for single manipulations alone.
    seed : int
    settings : CompositeSettings
        Its ``source_counts`` are not used here.
    layout : {"plain", "safirems"}
        With "safirems" the operations of the settings are parts that take turns with the stacks of
        `sources`; a reconstruction is drawn at every one of the settings' strengths, with one
        mask, and single splicings never come from one photograph.
    objects : str
        Names what finds objects (the hash of its weights), "" if nothing does.
    """

    count: int
    shape: tuple[int, int] = (768, 1024)
    sources: tuple[int, ...] = (2,)
    seed: int = 0
    settings: CompositeSettings = field(default_factory=CompositeSettings)
    layout: Literal["plain", "safirems"] = "plain"
    objects: str = ""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"The number of composites must be at least 1, not {self.count}.")
        if not all(64 <= side <= _LARGEST_SIDE for side in self.shape):
            raise ValueError(
                f"Composites of {self.shape[1]} x {self.shape[0]} pixels cannot be made: use 64 to "
                f"{_LARGEST_SIDE} on each side."
            )
        if self.layout not in ("plain", "safirems"):
            raise ValueError(f"The layout must be plain or safirems, not {self.layout!r}.")
        low, high = (1, MAX_SOURCE + 1) if self.layout == "plain" else (2, MAX_SOURCE)
        enough = self.sources or self.layout == "safirems"
        if not enough or not all(low <= n <= high for n in self.sources):
            raise ValueError(
                f"The numbers of sources must be {low} to {high} each, not {self.sources}."
            )
        if self.seed < 0:
            raise ValueError(f"The seed must not be negative, as {self.seed} is.")

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the data set in the order in which they take turns."""
        if self.layout == "plain":
            return ("",)
        chosen = self.settings.operations
        single = [part for part, operation in _PARTS.items() if chosen.get(operation, 0) > 0]
        return (*single, *(f"ms{n}" for n in dict.fromkeys(self.sources)))

    def mark(self, photos: Sequence[Photo]) -> str:
        """Short hash of all that decides the pixels, apart from the index."""
        choices = asdict(self)
        del choices["count"]  # so that a data set can be continued
        choices["photos"] = [(photo.name, photo.group) for photo in photos]
        choices["records"] = _RECORDS
        return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:16]

    def check_methods(self) -> None:
        """Import what the plan may use, so that a missing one is told before anything is made."""
        shares = self.settings.operations
        if shares.get("removal", 0) > 0:
            for name in self.settings.inpainters:
                find_method("inpainter", name)
        if shares.get("reconstruction", 0) > 0:
            for name in self.settings.reconstructors:
                find_method("reconstructor", name)


@dataclass(frozen=True, slots=True)
class Task:
    """One composite of a data set: its part, number of sources, and the settings of its pictures.

    Several settings make several pictures with one mask, all drawn from the same seed.
    """

    index: int
    part: str
    n_sources: int
    settings: tuple[CompositeSettings, ...]


def task_of(plan: DatasetPlan, index: int) -> Task:
    """What the composite of an index is."""
    if plan.layout == "plain":
        return Task(index, "", plan.sources[index % len(plan.sources)], (plan.settings,))
    part = plan.parts[index % len(plan.parts)]
    if part not in _PARTS:
        return Task(index, part, int(part.removeprefix("ms")), (plan.settings,))
    single = replace(plan.settings, operations={_PARTS[part]: 1.0})
    if part == "sp":
        single = replace(single, same_photo=0.0)
    if part == "gn":
        settings = [replace(single, strengths=(strength,)) for strength in single.strengths]
        return Task(index, part, 2, tuple(settings))
    return Task(index, part, 2, (single,))


def file_names(
    task: Task, record: dict[str, Any], photo_numbers: dict[str, int]
) -> tuple[Path, Path]:
    """Where picture and mask of a composite lie, relative to the data set's folder.

    In "safirems" as published: ``cm/copy-move_post_processing_A_B_imgs`` (A = 1: the region was
    processed, B = 1: the whole picture was compressed afterwards; the published meaning of the
    two numbers is not documented), ``rm/inpainting_pp/NNN`` (``_pp``: compressed afterwards; NNN:
    the number of the photograph), ``gn/inpainting_pp_sd/NNN/<strength>_<id>``. ``sd`` is the
    published folder's name; what made the region stands in the manifest.
    """
    if not task.part:
        return Path(f"images/{task.index:05d}.png"), Path(f"masks/{task.index:05d}.png")
    sources = record["sources"]
    name = f"{task.index:06d}_{_stem(sources[0]['photo'])}.png"
    compressed = record["final_jpeg"] is not None
    if task.part in ("cm", "sp"):
        kind = f"{_PARTS[task.part]}_post_processing_{int(_processed(sources[1]))}_{compressed:d}"
        # A splicing's mask is named after the photograph that the region comes from.
        mask = f"{task.index:06d}_{_stem(sources[1]['photo'])}.png" if task.part == "sp" else name
        return Path(task.part, f"{kind}_imgs", name), Path(task.part, f"{kind}_masks", mask)
    if task.part in ("rm", "gn"):
        kind = "inpainting" + "_pp" * compressed + "_sd" * (task.part == "gn")
        folder = f"{photo_numbers[sources[0]['photo']]:03d}"
        image = f"{sources[1]['strength']:g}_{name}" if task.part == "gn" else name
        return Path(task.part, kind, folder, image), Path(task.part, f"{kind}_mask", folder, name)
    return Path(f"{task.part}_images", name), Path(f"{task.part}_masks", name)


def mask_pixels(task: Task, composite: Composite) -> npt.NDArray[np.uint8]:
    """Grey values of a mask: 0 and 255 for single manipulations, else ``50 * k`` is source k."""
    if task.part in _PARTS:
        return (composite.labels > 0).astype(np.uint8) * np.uint8(255)
    return encode_sources(composite.labels)


def list_name(part: str) -> str:
    """Return the list file of a part."""
    if not part:
        return "list.txt"
    return f"SafireMSAuto_{part}_list.txt" if part in _PARTS else f"Safire_{part}.txt"


def _processed(source: dict[str, Any]) -> bool:
    """Whether a pasted region is more than a plain copy."""
    neutral = {"scale": 1.0, "rotation": 0.0, "flip": False, "gamma": 1.0, "contrast": 1.0}
    changes = source["pipeline"] | source.get("transform", {})
    return (
        any(changes.get(key, value) != value for key, value in neutral.items())
        or tuple(changes["gains"]) != (1.0, 1.0, 1.0)
        or changes["filter"] != "none"
        or changes["bayer_phase"] is not None
        or changes["jpeg_quality"] is not None
        or bool(changes["read_noise"] or changes["shot_noise"])
    )


def _stem(photo: str) -> str:
    """A photograph's name as a part of a file name, which a list file can hold."""
    return re.sub(r"[^\w.-]+", "-", Path(photo).stem)[:_LONGEST_STEM]
