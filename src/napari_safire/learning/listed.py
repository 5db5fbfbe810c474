"""Training crops from lists of pictures and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.crops import read_region
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import MaskKind, MaskRule, resize_nearest
from napari_safire.images.pixels import PictureReader
from napari_safire.images.reading import image_shape, read_image
from napari_safire.images.truth import read_truth
from napari_safire.learning.streams import Crop
from napari_safire.synthesis.degradations import KINDS, Degradation, degrade

_JPEG_BLOCK = 8
_ATTEMPTS = 20
_ORDER = 2**31 + 1  # the last key of the generator that shuffles; none of the attempts

_DEGRADATIONS = ("blur", "noise", "jpeg", "gamma")

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ListedSettings:
    """How crops are taken from pictures.

    Parameters
    ----------
    how : {"crop", "squash"}
        "crop": a piece at the picture's own resolution. "squash": the whole picture, resized to the
        square as the published recipe does (bilinear without antialiasing, rounded; labels
        nearest).
    region_share : float
        Share of crops that must contain a pixel of a region, where the picture has one; the others
        lie anywhere.
    grid_share : float
        Share of crops whose corner keeps the picture's JPEG grid; the others begin anywhere.
    turn : bool
        Flip and turn by quarters at random.
    degraded_share : float
        Share of pictures that are blurred, made noisy, compressed or gamma-corrected before (of
        crops: after) they are taken, at a strength of the published robustness test. Published in
        stage 1: a half, by a list of operations that is not in the code we could read.
    largest : int
        Pixels up to which a picture is decoded whole, which takes 3 bytes each in every worker.
        Of larger ones only the crop is read, if the format allows (`data.regions`); else they are
        left out with a sentence. Their masks are always decoded whole.
    """

    how: Literal["crop", "squash"] = "crop"
    region_share: float = 0.8
    grid_share: float = 0.5
    turn: bool = True
    degraded_share: float = 0.0
    largest: int = 64_000_000

    def __post_init__(self) -> None:
        if self.how not in ("crop", "squash"):
            raise ValueError(f"Unknown way to take a crop {self.how!r}: use 'crop' or 'squash'.")
        for name in ("region_share", "grid_share", "degraded_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, 0 to 1, not {getattr(self, name)}.")
        if self.largest < 1:
            raise ValueError(f"largest must be at least 1 pixel, not {self.largest}.")


class ListedDataset(Dataset[Crop]):
    """Takes the crop that belongs to an index from the pictures of a list.

    Every picture has its turn once in as many indices as there are pictures, in an order that
    changes from round to round. Where a picture or its mask cannot be used, another picture is
    drawn for the index: the same one each time, as long as the files are the same. That is told
    among the problems of the crop, and so is what was assumed or mended in a mask that is used.

    Parameters
    ----------
    entries : sequence of ListEntry
        Such as `napari_safire.datasets.catalogue.entries_of` gives.
    settings : ListedSettings
    seed : int
    kind : {"binary", "sources"}
        Of the masks of entries without a rule. Binary masks give labels 0 and 1, others their
        sources.

    Raises
    ------
    DatasetError
        If there are no entries.
    ValueError
        For a kind of masks that does not exist.
    """

    def __init__(
        self,
        entries: Sequence[ListEntry],
        settings: ListedSettings,
        seed: int,
        *,
        kind: MaskKind = "binary",
    ) -> None:
        if not entries:
            raise DatasetError("The list has no entries: there is nothing to train on.")
        self.entries = list(entries)
        self.settings = settings
        self.seed = seed
        self._rule = MaskRule(kind)
        self._order: tuple[int, npt.NDArray[np.int64]] | None = None  # of one round

    def __getitem__(self, key: tuple[int, int]) -> Crop:
        """Return the crop for ``(index, side)``."""
        index, side = key
        problems: list[str] = []
        for attempt in range(_ATTEMPTS):
            rng = np.random.default_rng((self.seed, index, attempt))
            drawn = int(rng.integers(len(self.entries)))
            entry = self.entries[drawn if attempt else self._turn_of(index)]
            try:
                pixels, labels, warnings = self._take(entry, side, rng)
                return pixels, labels, (*problems, *warnings)
            except (ImageReadError, DatasetError) as error:
                problems.append(str(error))
            except MemoryError:
                problems.append(f"{entry.image} does not fit in memory: cut it into parts.")
        raise DatasetError(
            f"{_ATTEMPTS} pictures in turn cannot be used: {' '.join(dict.fromkeys(problems))}"
        )

    def _turn_of(self, index: int) -> int:
        """Place of the entry whose turn it is."""
        turn, place = divmod(index, len(self.entries))
        if self._order is None or self._order[0] != turn:
            rng = np.random.default_rng((self.seed, turn, _ORDER))
            self._order = turn, rng.permutation(len(self.entries))
        return int(self._order[1][place])

    def _take(
        self, entry: ListEntry, side: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        shape = image_shape(entry.image)
        if shape[0] * shape[1] > self.settings.largest:
            self._refuse_unless_in_pieces(entry, shape)  # before its mask is decoded for nothing
        kind = (entry.rule or self._rule).kind
        read = read_truth(entry, kind, shape=shape)
        labels: Labels = read.labels.astype(np.uint8, copy=False)
        if self.settings.how == "squash":
            pixels = self._squashed(entry, shape, side, rng)
            planes = [pixels, resize_nearest(labels, (side, side))]
        else:
            planes = self._cropped(entry, labels, side, rng)
        if self.settings.turn:
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            planes = [np.rot90(plane, turns) for plane in planes]
            planes = [plane[:, ::-1] if flip else plane for plane in planes]
        taken, truth = (torch.tensor(np.ascontiguousarray(plane)) for plane in planes)
        return taken.permute(2, 0, 1), truth, read.warnings

    def _refuse_unless_in_pieces(self, entry: ListEntry, shape: tuple[int, int]) -> None:
        if self.settings.how == "squash":
            raise ImageReadError(
                f"{entry.image} has {shape[0]} x {shape[1]} pixels, more than the "
                f"{self.settings.largest} that are decoded whole: use crops, raise `largest`, or "
                "cut it into parts."
            )
        read_region(entry.image, slice(0, 1), slice(0, 1))

    def _squashed(
        self, entry: ListEntry, shape: tuple[int, int], side: int, rng: np.random.Generator
    ) -> npt.NDArray[Any]:
        pixels = _of_size(entry, read_image(entry.image).pixels, shape)
        if rng.random() < self.settings.degraded_share:
            pixels = _degraded(_rgb(_reader(entry, pixels)), rng)
        return _reader(entry, pixels).squashed(side).astype(np.uint8)

    def _cropped(
        self, entry: ListEntry, labels: Labels, side: int, rng: np.random.Generator
    ) -> list[npt.NDArray[Any]]:
        keep_grid = bool(rng.random() < self.settings.grid_share)
        wanted = bool(rng.random() < self.settings.region_share)
        place = _pixel_of_region(labels, rng) if wanted else None
        windows = [
            _window(length, side, None if place is None else place[axis], keep_grid, rng)
            for axis, length in enumerate(labels.shape)
        ]
        (rows, above), (cols, left) = windows
        pixels = self._pixels(entry, labels.shape, rows, cols)
        if rng.random() < self.settings.degraded_share:
            pixels = _degraded(pixels, rng)
        planes: list[npt.NDArray[Any]] = []
        for plane in (pixels, labels[rows, cols]):
            missing = [(above, side - above - plane.shape[0]), (left, side - left - plane.shape[1])]
            missing += [(0, 0)] * (plane.ndim - 2)
            planes.append(np.pad(plane, missing, mode="symmetric"))
        return planes

    def _pixels(
        self, entry: ListEntry, shape: tuple[int, ...], rows: slice, cols: slice
    ) -> npt.NDArray[np.uint8]:
        """Return (h, w, 3) pixels of a window, scaled as the engine scales whole pictures."""
        if shape[0] * shape[1] > self.settings.largest:
            return _rgb(_reader(entry, read_region(entry.image, rows, cols)))
        pixels = _of_size(entry, read_image(entry.image).pixels, shape)
        if pixels.dtype == np.uint8:  # scaled by a rule that asks for no other pixel
            return _rgb(_reader(entry, pixels[rows, cols]))
        return _rgb(_reader(entry, pixels), rows, cols)


def _of_size(
    entry: ListEntry, pixels: npt.NDArray[Any], shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    if pixels.shape[:2] != tuple(shape):
        raise ImageReadError(
            f"The header of {entry.image} says {shape[0]} x {shape[1]} pixels, but there are "
            f"{pixels.shape[0]} x {pixels.shape[1]}: save it again."
        )
    return pixels


def _reader(entry: ListEntry, pixels: npt.NDArray[Any]) -> PictureReader:
    try:
        return PictureReader(pixels)
    except ValueError as error:  # no finite pixel
        raise ImageReadError(f"{entry.image}: {error}") from error


def _rgb(
    picture: PictureReader, rows: slice = slice(None), cols: slice = slice(None)
) -> npt.NDArray[np.uint8]:
    return np.asarray(np.rint(picture.crop(rows, cols)), np.uint8)


def _degraded(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Degrade a picture by one of the kinds that keep its size, each kind equally likely."""
    kind = str(rng.choice(_DEGRADATIONS))
    strength = float(rng.choice(KINDS[kind].usual))
    return degrade(pixels, Degradation(kind, strength), key=str(rng.integers(2**63)))


def _pixel_of_region(labels: Labels, rng: np.random.Generator) -> tuple[int, int] | None:
    """Any pixel with a label above 0, all equally likely; None if there is none."""
    in_row = np.count_nonzero(labels, axis=1)
    total = int(in_row.sum())
    if not total:
        return None
    number = int(rng.integers(total))
    ends = np.cumsum(in_row)
    row = int(np.searchsorted(ends, number, side="right"))
    before = int(ends[row] - in_row[row])
    return row, int(np.flatnonzero(labels[row])[number - before])


def _window(
    length: int, side: int, must_hold: int | None, keep_grid: bool, rng: np.random.Generator
) -> tuple[slice, int]:
    """Choose what a crop takes along one axis.

    Returns
    -------
    window : slice
        Of the picture; shorter than `side` where the picture is.
    before : int
        Pixels to be mirrored before it.
    """
    step = _JPEG_BLOCK if keep_grid else 1
    if length <= side:
        return slice(0, length), step * int(rng.integers((side - length) // step + 1))
    low, high = 0, length - side
    if must_hold is not None:
        held = max(low, must_hold - side + 1), min(high, must_hold)
        if -(-held[0] // step) * step <= held[1]:  # else no corner on the grid holds it
            low, high = held
    first = -(-low // step)
    start = step * int(rng.integers(first, high // step + 1))
    return slice(start, start + side), 0
