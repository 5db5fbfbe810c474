"""Endless streams of training crops, the same for the same seed: fresh composites, or any others.

What gives crops is a `Crops` data set: for ``(index, side)`` the same crop each time. A stream
divides its indices among batches, processes and devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.learning.losses import IGNORE
from napari_safire.progress import once
from napari_safire.synthesis.composite_settings import CompositeSettings
from napari_safire.synthesis.composites import compose
from napari_safire.synthesis.photo_bank import PhotoBank
from napari_safire.synthesis.retries import NoRoom, draw_until_made

_JPEG_BLOCK = 8
_MIXING = 2**31


Crop = tuple[Tensor, Tensor, tuple[str, ...]]
"""(3, S, S) uint8 pixels, (S, S) uint8 labels (0 = untouched, 1.. = regions), and problems."""
Crops = Dataset[Crop]
"""Asked for ``(index, side)``, gives the crop of that index; the same each time."""


@dataclass(frozen=True, slots=True)
class CropPlan:
    """Sizes of the crops that a batch may have, with the number of crops that fit it.

    Small crops give many different composites, large ones show attention what a picture is like.
    """

    sides: tuple[int, ...] = (256, 256, 352)
    pixels_per_batch: int = 8 * 256 * 256

    def batch_size(self, side: int) -> int:
        """Crops of this side in a batch."""
        return max(2, round(self.pixels_per_batch / side**2))


class CompositeDataset(Dataset[Crop]):
    """Makes the composite that belongs to an index.

    Where a photograph cannot be read, or no room is found for a region, another composite is drawn
    for the index: the same one each time, as long as the photographs are the same.

    Parameters
    ----------
    bank : PhotoBank
    settings : CompositeSettings
    seed : int
    """

    def __init__(self, bank: PhotoBank, settings: CompositeSettings, seed: int) -> None:
        self.bank = bank
        self.settings = settings
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> Crop:
        """Return the composite for ``(index, side)``."""
        index, side = key
        try:
            drawn, problems = draw_until_made(
                lambda bank, rng: self._draw(bank, side, rng), self.bank, (self.seed, index)
            )
        except (ImageReadError, NoRoom) as error:
            raise DatasetError(f"No composite could be made: {error}") from error
        return *drawn, problems

    def _draw(self, bank: PhotoBank, side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        # A fifth of the pictures was cropped after its last compression: the grid starts anywhere.
        shift = rng.integers(_JPEG_BLOCK, size=2) if rng.random() < 0.2 else np.zeros(2, int)
        shape = (side + int(shift[0]), side + int(shift[1]))
        composite = compose(bank, shape, self.settings, rng)
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        planes = []
        for plane in (composite.pixels, composite.labels):
            plane = np.rot90(plane[shift[0] :, shift[1] :], turns)
            planes.append(np.ascontiguousarray(plane[:, ::-1] if flip else plane))
        pixels, labels = (torch.tensor(plane) for plane in planes)
        return pixels.permute(2, 0, 1), labels


class MixedDataset(Dataset[Crop]):
    """Several data sets in one stream: which of them an index is taken from depends on it alone.

    Parameters
    ----------
    datasets : sequence of Crops
    weights : sequence of float
        How often each is chosen, relative to the others.
    seed : int

    Raises
    ------
    ValueError
        If there is not one weight for each data set, or the weights are no weights.
    """

    def __init__(self, datasets: Sequence[Crops], weights: Sequence[float], seed: int) -> None:
        if not datasets or len(weights) != len(datasets):
            raise ValueError(
                f"{len(weights)} weights for {len(datasets)} data sets: give each one."
            )
        if not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
            raise ValueError(f"Weights are 0 or more, and not all 0; these are {list(weights)}.")
        self.datasets = list(datasets)
        self.seed = seed
        self._shares = np.asarray(weights, np.float64) / sum(weights)

    def chosen(self, index: int) -> int:
        """Place of the data set that an index is taken from."""
        # A key of three, and its last none of the attempts: not the draws of any data set's crop.
        rng = np.random.default_rng((self.seed, index, _MIXING))
        return int(rng.choice(len(self.datasets), p=self._shares))

    def __getitem__(self, key: tuple[int, int]) -> Crop:
        """Return the crop for ``(index, side)`` from the data set chosen for the index."""
        return self.datasets[self.chosen(key[0])][key]


class _Batches(Sampler[list[tuple[int, int]]]):
    def __init__(self, plan: CropPlan, first_index: int, first: int, every: int) -> None:
        self.plan = plan
        self.first_index = first_index
        self.first = first
        self.every = every

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        sizes = [self.plan.batch_size(side) for side in self.plan.sides]
        for number in count(self.first, self.every):
            rounds, turn = divmod(number, len(sizes))
            index = self.first_index + rounds * sum(sizes) + sum(sizes[:turn])
            yield [(index + i, self.plan.sides[turn]) for i in range(sizes[turn])]


def stream(
    crops: Dataset[Any],
    plan: CropPlan,
    *,
    first_index: int = 0,
    workers: int = 1,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    on_problem: Callable[[str], None] | None = None,
) -> Iterator[tuple[Tensor, ...]]:
    """Yield batches of any crops without end.

    Parameters
    ----------
    crops : Crops, or any data set whose items end with problems
        A `CompositeDataset`, a `napari_safire.learning.listed.ListedDataset`, a `MixedDataset`;
        any of them in a `napari_safire.learning.prompts.PromptedCrops`.
    plan : CropPlan
    first_index : int
        Of the first batch's first crop.
    workers : int
        Processes that make crops; 0 makes them in this one.
    start, rank, world : int
        Of a run on ``world`` devices, device ``rank`` takes the batches
        ``start * world + rank``, that plus ``world``, and so on.
    on_problem : callable, optional
        Hears once of each file that cannot be used; others take its place.

    Yields
    ------
    tuple of tensors
        What the items have before their problems, stacked: (B, 3, S, S) uint8 pixels, (B, S, S)
        uint8 labels; with prompts, points and targets.
    """
    loader = DataLoader(
        crops,
        batch_sampler=_Batches(plan, first_index, start * world + rank, world),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        collate_fn=_collate,
    )
    tell = once(on_problem)
    for *tensors, problems in loader:
        for problem in problems:
            tell(problem)
        yield tuple(tensors)


def _collate(samples: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    *parts, problems = zip(*samples, strict=True)
    told = [text for some in problems for text in some]
    return (*(torch.stack(some) for some in parts), told)


def patch_labels(labels: Tensor, stride: int = 16, purity: float = 0.85) -> Tensor:
    """Region of each patch, `IGNORE` where no region fills it.

    Parameters
    ----------
    labels : (B, S, S) integer tensor
    stride : int
    purity : float
        Share of the patch that one region must cover.

    Returns
    -------
    (B, (S/stride)**2) int64 tensor
    """
    pixels = labels.long().unfold(1, stride, stride).unfold(2, stride, stride).flatten(3)
    region = pixels.mode(-1).values  # (B, h, w); no number of regions to wait for
    share = (pixels == region[..., None]).float().mean(-1)
    return torch.where(share >= purity, region, torch.full_like(region, IGNORE)).flatten(1)
