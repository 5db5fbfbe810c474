"""Photographs made on the spot, so that tests need no pictures from elsewhere."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from napari_safire.synthesis.composites import PhotoBank


def made_once(make: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Let a function make a picture once: tests that ask again may look at it, not write to it."""

    @functools.lru_cache(maxsize=32)
    @functools.wraps(make)
    def made(*arguments: object, **options: object) -> np.ndarray:
        pixels = make(*arguments, **options)
        pixels.flags.writeable = False
        return pixels

    return made


def photograph(seed: int, shape: tuple[int, int] = (200, 240)) -> np.ndarray:
    """(H, W, 3) uint8: a colour gradient, two edges and noise."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    slopes = rng.uniform(-0.4, 0.4, (2, 3))
    values = 128 + rows[..., None] * slopes[0] + cols[..., None] * slopes[1]
    values[rows + cols > sum(shape) * rng.uniform(0.3, 0.7)] += 25
    values[rows > shape[0] * rng.uniform(0.2, 0.8)] -= 15
    values += rng.normal(0, 6, values.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def photo_files(folder: Path, count: int, shape: tuple[int, int] = (200, 240)) -> list[Path]:
    """Photographs as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"photo{i}.png" for i in range(count)]
    for seed, path in enumerate(paths):
        Image.fromarray(photograph(seed, shape)).save(path)
    return paths


def photo_bank(folder: Path, count: int = 5, shape: tuple[int, int] = (200, 240)) -> PhotoBank:
    """The same as a bank, each of a group of its own."""
    return PhotoBank(photo_files(folder, count, shape))


def photo_table(table: Path, count: int = 8) -> Path:
    """A table of photographs: the first two are "val", the others "train"."""
    paths = photo_files(table.with_suffix(""), count)
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "camera", "group", "split"])
        for i, path in enumerate(paths):
            rows.writerow([path.name, "none", f"group{i}", "val" if i < 2 else "train"])
    return table
