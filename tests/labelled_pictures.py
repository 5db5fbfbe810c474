"""Labelled pictures for tests of exports and imports: small, of every odd kind of name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from napari_safire.images.files import file_sha256
from napari_safire.project.formats.labelled import LabelledPicture, PictureFacts, Split
from napari_safire.project.truth import (
    Donor,
    PictureDescription,
    SourceDescription,
    SourceType,
)

TYPES: tuple[SourceType, ...] = (
    "authentic background", "splice", "copy-move target", "removal", "generated", "retouch",
)  # fmt: skip


def blocks(shape: tuple[int, int], sources: Sequence[int], seed: int = 0) -> np.ndarray:
    """Labels in rough blocks, with every source, holes and pixels that touch at corners."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(np.array(sources, np.uint8), ((shape[0] + 2) // 3, (shape[1] + 2) // 3))
    labels = np.kron(coarse, np.ones((3, 3), np.uint8))[: shape[0], : shape[1]].copy()
    labels.ravel()[: len(sources)] = list(sources)[: labels.size]
    return labels


def described(sources: Sequence[int], types: Sequence[SourceType] = TYPES) -> PictureDescription:
    """The first source is authentic, the others are forged in different ways."""
    return PictureDescription(
        tuple(
            SourceDescription(
                number,
                name=f"source {number}",
                type=types[place % len(types)],
                donor=Donor("file", f"donor {number}.jpg") if place else Donor(),
            )
            for place, number in enumerate(n for n in sources if n)
        )
    )


def labelled(
    folder: Path,
    name: str,
    sources: Sequence[int] = (1, 2, 3),
    *,
    shape: tuple[int, int] = (20, 26),
    split: Split = "",
    key: str | None = None,
    description: PictureDescription | None = None,
    facts: PictureFacts | None = None,
) -> LabelledPicture:
    """A picture in a folder, under a name of its own, that would like to be called `name`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = key or name
    seed = int.from_bytes(key.encode("utf-8", "surrogatepass")[-4:], "big")
    path = folder / f"{len(list(folder.iterdir())):04d}.png"
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return LabelledPicture(
        key,
        path,
        name,
        blocks(shape, sources, seed),
        described(sources) if description is None else description,
        split,
        facts or PictureFacts(file_sha256(path), ("Ada Lovelace",), "CC0", ("safire-lite",), 0.25),
    )
