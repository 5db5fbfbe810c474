"""A grid of prompts, decoded once; partition and forgery map both start from it.

Nothing of the picture's own size is made here: 256 full-size float masks of one image take 1 GiB
in the published code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from napari_safire.engine.memory import MemoryGuard
from napari_safire.engine.response import Spread, require_finite
from napari_safire.geometry import Geometry
from napari_safire.model import SafireModel
from napari_safire.model.decoder import upscaled_bytes
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import Embedding, FloatImage, PointPrompt, SourceRegion

DECODING = "finding source regions"
_STRIDE = 16
_STAGE = "asking every point of the grid"
_ONE_THREAD = 4 * 2**20  # bytes of the largest array, below which one thread does as well
# Bytes of the largest array of the prompts that are taken at once; on a CPU those of each thread.
# Measured: docs/lab-notes.md.
_LARGEST_ARRAY = {"cpu": 64 * 2**20, "cuda": 512 * 2**20, "mps": 128 * 2**20}


@dataclass(frozen=True, slots=True, eq=False)
class PromptGrid:
    """The answers to a grid of prompts.

    Parameters
    ----------
    prompts : tuple of PointPrompt
        Row by row, columns fastest.
    low_res_logits : (P, h4, w4) float32 array or None
        None where only the features were asked for.
    confidence : (P,) float32 array
        As in `SourceRegion`.
    features : (P, C) float32 array
        Mean embedding inside each mask, NaN where the mask is empty.
    geometry : Geometry
    responds : bool
        Whether the answers differ from each other at all.
    """

    prompts: tuple[PointPrompt, ...]
    low_res_logits: FloatImage | None
    confidence: FloatImage
    features: FloatImage
    geometry: Geometry
    responds: bool = True

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(P,) bool: prompts that have a feature."""
        return np.asarray(np.isfinite(self.features).all(axis=1))

    def region(self, index: int) -> SourceRegion:
        """Return the region of one prompt.

        Raises
        ------
        ValueError
            Only the features were asked for.
        """
        if self.low_res_logits is None:
            raise ValueError("This grid holds features only: ask Engine.grid for the whole one.")
        return SourceRegion(
            self.prompts[index],
            self.low_res_logits[index],
            self.geometry,
            float(self.confidence[index]),
        )


def decode_points(
    memory: MemoryGuard,
    features: FloatImage,
    points_xy: npt.NDArray[np.float64],
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    also: Callable[[slice, torch.Tensor], None] | None = None,
    keep: bool = True,
) -> tuple[FloatImage, FloatImage]:
    """Decode any number of points in batches.

    Parameters
    ----------
    memory : MemoryGuard
        Of the model; takes smaller batches where memory is short.
    features : (C, h, w) float32 array
    points_xy : (P, 2) array
        In model pixels.
    progress, cancel : callable, optional
    also : callable, optional
        Called with a batch's points and its logits where they were made, on the model's device; in
        several threads at once.
    keep : bool
        False: `also` gets the logits of the cells' corners only, see `decode_prompts`, and none are
        returned.

    Returns
    -------
    logits : (P, 4 h, 4 w) float32 array
        Not filled unless they are kept.
    confidence : (P,) float32 array
        As the model says it.

    Raises
    ------
    OutOfMemory
    ModelFailure
        The answers are not finite.
    Cancelled
    """
    count = len(points_xy)
    height, width = features.shape[-2:]
    logits = np.empty((count if keep else 0, 4 * height, 4 * width), dtype=np.float32)
    confidence = np.empty(count, dtype=np.float32)
    feats = torch.from_numpy(features)[None]
    done = 0

    def decode(model: SafireModel, n_points: int) -> int:
        nonlocal feats
        if feats.device != model.device:  # at first, and after the model was moved
            feats = torch.from_numpy(features)[None].to(model.device)
        end = done + n_points

        def answer(begin: int, end: int) -> None:
            chosen = slice(begin, end)
            points = torch.as_tensor(points_xy[chosen], dtype=torch.float32, device=feats.device)
            with torch.inference_mode():
                how = {} if keep else {"corners": True}
                some_logits, some_confidence = model.decode(feats, points, **how)
                require_finite([some_logits, some_confidence], model, DECODING)
                if also is not None:
                    also(chosen, some_logits)
            if keep:
                logits[chosen] = some_logits.cpu().numpy()
            confidence[chosen] = some_confidence.cpu().numpy()

        if workers is None or model.device.type != "cpu":
            with _threads_for(model, n_points, height * width):
                answer(done, end)
        else:
            edges = np.linspace(done, end, min(n_threads, n_points) + 1).round().astype(int)
            list(workers.map(_as_precise(answer), edges[:-1], edges[1:]))
        return n_points

    n_threads = torch.get_num_threads()
    with _one_thread_each(n_threads) if min(count, n_threads) > 1 else nullcontext() as workers:
        while done < count:
            report(progress, cancel, done, count, _STAGE)
            batch = _batch_size(memory.model, height * width)
            done += memory.attempt(decode, DECODING, batch, count - done)
    report(progress, cancel, count, count, _STAGE)
    return logits, confidence


@contextmanager
def _one_thread_each(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    """Give every core prompts of its own.

    Two cores that share the small arrays of one prompt wait for each other after every operation;
    with prompts of their own they need two thirds of the time. Measured: docs/lab-notes.md.
    """
    try:
        with ThreadPoolExecutor(
            n_threads, "napari-safire", initializer=lambda: torch.set_num_threads(1)
        ) as workers:
            yield workers
    finally:
        torch.set_num_threads(n_threads)  # the ones above are what new threads would begin with


def _as_precise(work: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """Let work be as precise in other threads as it were here: they do not inherit autocast."""
    enabled, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def same(begin: int, end: int) -> None:
        with torch.autocast("cpu", dtype, enabled=enabled):
            work(begin, end)

    return same


@contextmanager
def _threads_for(model: SafireModel, n_points: int, cells: int) -> Iterator[None]:
    """Give a click on a small model one thread.

    It takes as long with one as with two, and does not wait for the second where somebody else
    (a window that the processor draws) has that core. Measured: docs/lab-notes.md.
    """
    before = torch.get_num_threads()
    small = model.device.type == "cpu" and n_points * _bytes_per_prompt(model, cells) <= _ONE_THREAD
    if small:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if small:
            torch.set_num_threads(before)


def _bytes_per_prompt(model: SafireModel, cells: int) -> int:
    return upscaled_bytes(model.config.prompt_dim, cells)


def _batch_size(model: SafireModel, cells: int) -> int:
    bytes_per_prompt = _bytes_per_prompt(model, cells)
    budget = _LARGEST_ARRAY.get(model.device.type, _LARGEST_ARRAY["cpu"])
    at_once = int(min(64, max(1, budget // bytes_per_prompt)))
    return at_once * torch.get_num_threads() if model.device.type == "cpu" else at_once


def grid_points(
    geometry: Geometry, points_per_side: int
) -> tuple[tuple[PointPrompt, ...], npt.NDArray[np.float64]]:
    """Spread prompts evenly over the picture: point (i, j) lies at ((i + .5) / n, (j + .5) / n).

    Returns
    -------
    prompts : tuple of n * n PointPrompt
    points_xy : (n * n, 2) array
        The same in model pixels; for a picture that fills its frame exactly the published grid
        ``(i + .5) * S / n``.
    """
    steps = (np.arange(points_per_side) + 0.5) / points_per_side
    points, prompts = [], []
    for down in steps:
        for across in steps:
            x, y = across * geometry.content_shape[1], down * geometry.content_shape[0]
            points.append((x, y))
            # Rounding must not put a prompt of a tiny picture outside it.
            row, col = geometry.to_image_rc(x, y)
            height, width = geometry.image_shape
            prompts.append(PointPrompt(min(float(row), height - 0.5), min(float(col), width - 0.5)))
    return tuple(prompts), np.array(points)


def run_grid(
    memory: MemoryGuard,
    embedding: Embedding,
    points_per_side: int,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    with_logits: bool = True,
) -> PromptGrid:
    """Ask every point of a grid over the picture."""
    geometry = embedding.geometry
    prompts, points = grid_points(geometry, points_per_side)
    features = np.empty((len(points), len(embedding.features)), np.float32)
    mean_inside = RegionMeans(embedding, corners=not with_logits)
    spread = Spread()

    def read(chosen: slice, logits: torch.Tensor) -> None:
        spread.add(logits)
        features[chosen] = mean_inside(logits).cpu().numpy()

    logits, confidence = decode_points(
        memory, embedding.features, points, progress, cancel, read, keep=with_logits
    )
    responds = len(prompts) < 2 or not spread.none
    kept = logits if with_logits else None
    return PromptGrid(prompts, kept, confidence, features, geometry, responds)


class RegionMeans:
    """Mean embedding inside masks.

    The published code upsamples every logit map to S x S, thresholds it and reads it at
    ``[::16, ::16]``. The 2-D bilinear value at a fixed position is a fixed combination of logits,
    so only those positions are computed: ``rows @ logits @ cols.T``.

    Parameters
    ----------
    embedding : Embedding
        With (C, h, w) features.
    corners : bool
        The logits are those of the cells' corners only. A sample position lies between the last
        row (column) of one cell and the first of the next: nothing else is needed.
    """

    def __init__(self, embedding: Embedding, corners: bool = False) -> None:
        geometry = embedding.geometry
        shape = embedding.features.shape[1:]
        places = [np.arange(length) * _STRIDE for length in shape]
        self._rows, self._cols = (
            torch.from_numpy(geometry.interpolation(axis, 4 * shape[axis], places[axis]).toarray())
            for axis in (0, 1)
        )
        if corners:
            self._rows, self._cols = (
                weights.view(len(weights), -1, 4)[:, :, ::3].flatten(1)
                for weights in (self._rows, self._cols)
            )
        # Cells that begin in the padding say nothing about the picture.
        tall, wide = geometry.content_shape
        self._heard = torch.from_numpy((places[0] < tall)[:, None] & (places[1] < wide))  # (h, w)
        self._features = torch.from_numpy(embedding.features).flatten(1).T

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Map (P, 4 h, 4 w) logits (corners: 2) to (P, C), NaN for masks without a sample."""
        rows, cols, heard, features = (
            part.to(logits.device) for part in (self._rows, self._cols, self._heard, self._features)
        )
        with torch.autocast(logits.device.type, enabled=False):
            masks = (((rows @ logits @ cols.T) > 0) & heard).flatten(1).float()
            return (masks @ features) / masks.sum(dim=1, keepdim=True)  # 0 / 0 is NaN


def points_in_model(
    embedding: Embedding, prompts: Sequence[PointPrompt]
) -> npt.NDArray[np.float64]:
    """(N, 2) x/y in model pixels; refuses prompts that lie outside the picture.

    Raises
    ------
    ValueError
        A prompt lies outside the picture.
    """
    height, width = embedding.image_shape
    for prompt in prompts:
        if not prompt.lies_in(embedding.image_shape):
            raise ValueError(
                f"The prompt at row {prompt.row:g}, column {prompt.col:g} lies outside the picture "
                f"of {height} rows and {width} columns: move it inside."
            )
    points = [embedding.geometry.to_model_xy(p.row, p.col) for p in prompts]
    return np.array(points, dtype=np.float64).reshape(-1, 2)
