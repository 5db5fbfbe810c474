"""Which points a model is asked in training, and the masks it should answer with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage import measure
from torch import Tensor
from torch.utils.data import Dataset

from napari_safire.learning.losses import IGNORE
from napari_safire.learning.streams import Crops

_STRIDE = 4  # of the decoder's masks
_PROMPTS = 2**31 + 2  # the last key of the generator of prompts; not one of any data set's draws


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How prompts are drawn.

    Parameters
    ----------
    per_image : int
        The regions of an image take turns: 6 prompts are three pairs where there are two regions,
        as published, and two rounds where there are three. Where there are more regions than
        prompts, chance decides which get one.
    connected : bool
        Connected-component rule (published code): judge only the component in which the prompt
        lies and those that touch it; a far part of the same region need not be found from here.
    offset : int
        Which of 4 x 4 pixels stands for a cell of the mask: (offset, offset). 2 is nearest to its
        centre, the published code takes 0.
    """

    per_image: int = 8
    connected: bool = True
    offset: int = 2

    def __post_init__(self) -> None:
        if self.per_image < 1:
            raise ValueError(f"prompts_per_image must be at least 1, not {self.per_image}.")
        if not 0 <= self.offset < _STRIDE:
            raise ValueError(f"The offset of targets must be 0 to 3, not {self.offset}.")


class PromptedCrops(Dataset[tuple[Tensor, Tensor, Tensor, Tensor, tuple[str, ...]]]):
    """Crops with prompts, drawn where the crops are made: in the workers of a stream.

    Parameters
    ----------
    crops : Crops
    settings : PromptSettings
    seed : int
    """

    def __init__(self, crops: Crops, settings: PromptSettings, seed: int) -> None:
        self.crops = crops
        self.settings = settings
        self.seed = seed

    def __getitem__(
        self, key: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple[str, ...]]:
        """Return pixels, labels, points, targets (see `sample_prompts`) and problems."""
        pixels, labels, problems = self.crops[key]
        rng = np.random.default_rng((self.seed, key[0], _PROMPTS))
        points, targets = sample_prompts(labels.numpy(), self.settings, rng)
        return pixels, labels, torch.from_numpy(points), torch.from_numpy(targets), problems


def sample_prompts(
    labels: npt.NDArray[np.integer], settings: PromptSettings, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Draw prompts for one image.

    Parameters
    ----------
    labels : (S, S) integer array
        Region of each pixel.
    settings : PromptSettings
    rng : numpy.random.Generator

    Returns
    -------
    points_xy : (P, 2) float32 array
        In model pixels.
    targets : (P, S/4, S/4) int8 array
        1 where a cell belongs to the prompt's region, 0 where not, `IGNORE` where it is not judged.
    """
    present: Sequence[int] = np.unique(labels).tolist()
    cells = slice(settings.offset, None, _STRIDE)
    places = {region: np.flatnonzero(labels == region) for region in present}
    parts = _Parts(labels) if settings.connected else None
    if settings.per_image < len(present):  # or the last regions would never get one
        present = rng.permutation(present).tolist()
    points, targets = [], []
    for number in range(settings.per_image):
        region = present[number % len(present)]
        row, col = divmod(int(rng.choice(places[region])), labels.shape[1])
        target = (labels[cells, cells] == region).astype(np.int8)
        if parts is not None:
            target[~parts.judged((row, col), cells)] = IGNORE
        points.append((col, row))
        targets.append(target)
    return np.array(points, np.float32), np.stack(targets)


class _Parts:
    """The connected parts of all regions, and which of them touch: found once for an image.

    As published, what is connected over edges is one part, and parts touch over corners too. For a
    prompt the other regions are one: their parts are one part where they meet.
    """

    def __init__(self, labels: npt.NDArray[np.integer]) -> None:
        self.numbers: npt.NDArray[np.int64] = measure.label(labels, background=-1, connectivity=1)
        n = self.numbers
        over_edges = [(n[:, :-1], n[:, 1:]), (n[:-1], n[1:])]
        over_corners = [(n[:-1, :-1], n[1:, 1:]), (n[:-1, 1:], n[1:, :-1])]
        self.beside = _pairs(over_edges)
        self.touching = _pairs(over_edges + over_corners)
        self.region = np.full(int(n.max()) + 1, -1)  # of each part; parts count from 1
        self.region[n.ravel()] = labels.ravel()

    def judged(self, prompt: tuple[int, int], cells: slice) -> npt.NDArray[np.bool_]:
        """Where a mask is compared with the truth: the prompt's part and all that touch it.

        Parameters
        ----------
        prompt : (int, int)
            Row and column.
        cells : slice
            Rows, and columns, that are asked for.
        """
        own = self.numbers[prompt]
        others = (self.region[self.beside] != self.region[own]).all(axis=1)
        first, second = self.beside[others].T
        count = len(self.region)
        met = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
        _, group = connected_components(met, directed=False)
        near = self.touching[self.touching[:, 0] == own, 1]
        counts = np.isin(group, group[[own, *near]])
        return counts[self.numbers[cells, cells]]


def _pairs(
    neighbours: Sequence[tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]],
) -> npt.NDArray[np.integer]:
    """Different numbers that are neighbours, each pair both ways round: (M, 2)."""
    found = [np.stack([a[a != b], b[a != b]], axis=1) for a, b in neighbours]
    return np.unique(np.concatenate([*found, *(pairs[:, ::-1] for pairs in found)]), axis=0)
