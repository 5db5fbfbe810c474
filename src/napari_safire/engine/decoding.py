"""Asking the decoder any number of points, as many at once as memory and cores allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_safire.engine.memory import MemoryGuard
from napari_safire.engine.response import extremes, require_finite
from napari_safire.model import SafireModel
from napari_safire.model.decoder import upscaled_bytes
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

DECODING = "finding source regions"
_STAGE = "asking every point of the grid"
_ONE_THREAD = 4 * 2**20  # bytes of the largest array, below which one thread does as well
# Bytes of the largest array of the prompts that are taken at once; on a CPU those of each thread.
# Measured: docs/lab-notes.md.
_LARGEST_ARRAY = {"cpu": 64 * 2**20, "cuda": 512 * 2**20, "mps": 128 * 2**20}

Also = Callable[[slice, torch.Tensor], None]


def decode_points(
    memory: MemoryGuard,
    features: FloatImage,
    points_xy: npt.NDArray[np.float64],
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    also: Also | None = None,
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
        False: `also` gets the logits of the patches' corners only, see `decode_prompts`, and none
        are returned.

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
    answers = _Answers(features, points_xy, also, keep)
    count, n_threads = len(points_xy), answers.n_threads
    with _one_thread_each(n_threads) if min(count, n_threads) > 1 else nullcontext() as workers:
        answers.workers = workers
        while answers.done < count:
            report(progress, cancel, answers.done, count, _STAGE)
            batch = _batch_size(memory.model, answers.patches)
            answers.done += memory.attempt(answers.take, DECODING, batch, count - answers.done)
    require_finite(answers.extremes, memory.model, DECODING)
    report(progress, cancel, count, count, _STAGE)
    return answers.logits, answers.confidence


class _Answers:
    """What was answered so far.

    Whether it is finite is asked once, at the end: to look at a number waits for the device.
    """

    def __init__(
        self,
        features: FloatImage,
        points_xy: npt.NDArray[np.float64],
        also: Also | None,
        keep: bool,
    ) -> None:
        count, (height, width) = len(points_xy), features.shape[-2:]
        self.patches = height * width
        self.done = 0
        self.workers: Executor | None = None
        self.n_threads = torch.get_num_threads()
        self.logits = np.empty((count if keep else 0, 4 * height, 4 * width), dtype=np.float32)
        self.confidence = np.empty(count, dtype=np.float32)
        self.extremes: list[torch.Tensor] = []
        self._features = self._here = torch.from_numpy(features)[None]
        self._points_xy = points_xy
        self._also = also
        self._how: dict[str, Any] = {} if keep else {"corners": True}

    def take(self, model: SafireModel, n_points: int) -> int:
        """Ask the next points."""
        end = self.done + n_points
        if self._here.device != model.device:  # at first, and after the model was moved
            self._here = self._features.to(model.device)
        if self.workers is None or model.device.type != "cpu":
            with _threads_for(model, n_points, self.patches):
                self._answer(model, self.done, end)
        else:
            shares = min(self.n_threads, n_points) + 1
            edges = np.linspace(self.done, end, shares).round().astype(int)
            answer = _as_precise(lambda *points: self._answer(model, *points))
            list(self.workers.map(answer, edges[:-1], edges[1:]))
        return n_points

    def _answer(self, model: SafireModel, begin: int, end: int) -> None:
        chosen = slice(begin, end)
        with torch.inference_mode():
            points = self._points_xy[chosen]
            logits, confidence = model.decode(self._here, points, **self._how)
            self.extremes += [extremes(logits), extremes(confidence)]
            if self._also is not None:
                self._also(chosen, logits)
        if not self._how:
            self.logits[chosen] = logits.cpu().numpy()
        self.confidence[chosen] = confidence.cpu().numpy()


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
def _threads_for(model: SafireModel, n_points: int, patches: int) -> Iterator[None]:
    """Give a click on a small model one thread.

    It takes as long with one as with two, and does not wait for the second where somebody else
    (a window that the processor draws) has that core. Measured: docs/lab-notes.md.
    """
    before = torch.get_num_threads()
    small = (
        model.device.type == "cpu" and n_points * _bytes_per_prompt(model, patches) <= _ONE_THREAD
    )
    if small:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if small:
            torch.set_num_threads(before)


def _bytes_per_prompt(model: SafireModel, patches: int) -> int:
    return upscaled_bytes(model.config.prompt_dim, patches)


def _batch_size(model: SafireModel, patches: int) -> int:
    bytes_per_prompt = _bytes_per_prompt(model, patches)
    budget = _LARGEST_ARRAY.get(model.device.type, _LARGEST_ARRAY["cpu"])
    at_once = int(min(64, max(1, budget // bytes_per_prompt)))
    return at_once * torch.get_num_threads() if model.device.type == "cpu" else at_once
