"""Endless streams of fresh composites for training, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_safire.data.composite_settings import CompositeSettings
from napari_safire.data.composites import compose
from napari_safire.data.photo_bank import PhotoBank
from napari_safire.data.redraw import NoRoom, draw_until_made
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.learning.losses import IGNORE

_JPEG_BLOCK = 8


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


class CompositeDataset(Dataset[tuple[Tensor, Tensor, tuple[str, ...]]]):
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

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """Return (3, S, S) uint8 pixels, (S, S) uint8 labels and problems for ``(index, side)``."""
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
    bank: PhotoBank,
    settings: CompositeSettings,
    plan: CropPlan,
    *,
    seed: int,
    first_index: int = 0,
    workers: int = 1,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    on_problem: Callable[[str], None] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of (B, 3, S, S) uint8 pixels and (B, S, S) uint8 labels without end.

    Parameters
    ----------
    bank : PhotoBank
    settings : CompositeSettings
    plan : CropPlan
    seed : int
    first_index : int
        Of the first batch's first composite: what an index holds depends on seed and index only.
    workers : int
        Processes that make composites; 0 makes them in this one.
    start, rank, world : int
        Of a run on ``world`` devices, device ``rank`` takes the batches
        ``start * world + rank``, that plus ``world``, and so on.
    on_problem : callable, optional
        Hears once of each photograph that cannot be read; others take its place.

    Yields
    ------
    (pixels, labels)
    """
    loader = DataLoader(
        CompositeDataset(bank, settings, seed),
        batch_sampler=_Batches(plan, first_index, start * world + rank, world),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        collate_fn=_collate,
    )
    heard = set()
    for pixels, labels, problems in loader:
        for problem in problems:
            if on_problem is not None and problem not in heard:
                heard.add(problem)
                on_problem(problem)
        yield pixels, labels


def _collate(
    samples: Sequence[tuple[Tensor, Tensor, tuple[str, ...]]],
) -> tuple[Tensor, Tensor, list[str]]:
    pixels, labels, problems = zip(*samples, strict=True)
    return torch.stack(pixels), torch.stack(labels), [text for some in problems for text in some]


def cell_labels(labels: Tensor, stride: int = 16, purity: float = 0.85) -> Tensor:
    """Region of each embedding cell, `IGNORE` where no region fills it.

    Parameters
    ----------
    labels : (B, S, S) integer tensor
    stride : int
    purity : float
        Share of the cell that one region must cover.

    Returns
    -------
    (B, (S/stride)**2) int64 tensor
    """
    shares = torch.stack(
        [
            torch.nn.functional.avg_pool2d((labels == k).float()[:, None], stride)[:, 0]
            for k in range(int(labels.max()) + 1)
        ]
    )  # (K, B, h, w)
    share, region = shares.max(0)
    return torch.where(share >= purity, region, torch.full_like(region, IGNORE)).flatten(1)


def sample_prompts(
    labels: Tensor, per_image: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw prompts, the regions of an image taking turns, and the masks they should give.

    Parameters
    ----------
    labels : (B, S, S) integer tensor
    per_image : int
    rng : numpy.random.Generator

    Returns
    -------
    points_xy : (B, P, 2) float32 tensor
        In model pixels.
    targets : (B, P, S/4, S/4) float32 tensor
        1 where the cell of 4 x 4 pixels belongs to the prompt's region, 0 where not.
    """
    points, targets = [], []
    for regions in labels.numpy():
        present: Sequence[int] = np.unique(regions).tolist()
        chosen = [present[i % len(present)] for i in range(per_image)]
        places = []
        for region in chosen:
            rows, cols = np.nonzero(regions == region)
            pick = int(rng.integers(len(rows)))
            places.append((float(cols[pick]), float(rows[pick])))
        small = regions[2::4, 2::4]
        targets.append(torch.from_numpy(np.stack([small == k for k in chosen])).float())
        points.append(places)
    return torch.tensor(points), torch.stack(targets)
