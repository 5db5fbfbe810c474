"""Running out of memory: fewer prompts at once, then the CPU, and a sentence for what was done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from napari_safire.errors import OutOfMemory
from napari_safire.model import SafireModel

Notify = Callable[[str], None]
"""Called with one plain sentence, in the thread of the job."""

T = TypeVar("T")

# What allocators write into a plain RuntimeError: the CPU's, MPS, the CUDA driver, cuBLAS.
_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cublas_status_alloc_failed",
)
_ADVICE = (
    "The memory of this machine ran out while {}: close other programs, take a coarser grid, or "
    "cut the picture into parts."
)


class MemoryGuard:
    """Runs jobs of one model so that they fit into memory.

    A job that does not fit is done again with half as many prompts at once, down to one; then the
    model moves to the CPU for good and the job goes on there. Both are remembered, so that a
    picture does not run into the same wall again and again. Several threads may share a guard.

    Parameters
    ----------
    model : SafireModel
    notify : callable
        Hears what was done.

    Attributes
    ----------
    model : SafireModel
    """

    def __init__(self, model: SafireModel, notify: Notify) -> None:
        self.model = model
        self._notify = notify
        self._share = 1.0  # of the prompts that are best taken at once
        self._lock = threading.Lock()

    def attempt(
        self,
        job: Callable[[SafireModel, int], T],
        stage: str,
        n_at_once: int = 1,
        n_left: int = 1,
    ) -> T:
        """Do a job, with less memory if need be.

        Parameters
        ----------
        job : callable
            ``job(model, n)`` takes ``n`` prompts at once. It may be called again after it failed,
            and may then find the model on another device.
        stage : str
            What it does, for the sentences: "reading the picture's traces".
        n_at_once : int
            Prompts that are best taken at once; 1 for a job that cannot be made smaller.
        n_left : int
            Prompts that are there to take.

        Returns
        -------
        object
            What the job returned.

        Raises
        ------
        OutOfMemory
            One prompt at once on the CPU is still too much.
        """
        n_failed = 0
        while True:
            n_tried = min(n_left, max(1, round(n_at_once * self._share)))
            device = self.model.device
            try:
                result = job(self.model, n_tried)
            except (RuntimeError, MemoryError) as error:
                with self._lock:  # another thread may just be moving the model
                    # If it was moved under way, the error means no more than that.
                    if self.model.device == device and not is_out_of_memory(error):
                        raise
            else:
                if n_failed:
                    self._notify(
                        f"The memory of {device} ran out while {stage}, {n_failed} prompts at "
                        f"once: it now takes {n_tried} at once, which is slower."
                    )
                return result
            # Out of the except block: the error held on to the arrays of the job.
            if self.model.device != device:
                n_failed = 0
            elif n_tried > 1:
                n_failed = n_failed or n_tried
                self._share = min(self._share, (n_tried // 2) / n_at_once)
            else:
                n_failed = 0
                self._leave(device, stage)

    def _leave(self, device: torch.device, stage: str) -> None:
        """Move the model to the CPU, unless another thread has done it, or give up."""
        with self._lock:
            if self.model.device != device:
                return
            if device.type == "cpu":
                raise OutOfMemory(_ADVICE.format(stage))
            self.model.to("cpu")
            self._share = 1.0
        if device.type == "cuda":
            torch.cuda.empty_cache()  # others may have the memory that the model held
        elif device.type == "mps":
            torch.mps.empty_cache()
        self._notify(
            f"The memory of {device} ran out while {stage}: the model was moved to the CPU and "
            "goes on there, which is slower. To use the device again, free its memory and load the "
            "model again."
        )


def keep_freed_blocks() -> None:
    """Teach glibc to keep blocks of up to 32 MiB that are freed, instead of giving them back.

    It keeps what is as large as the largest block that was freed before, and gives all else back
    to the kernel, which clears it anew each time: a sixth of the time of a ViT on a CPU. To free
    one block of the largest size it learns from is enough. Other allocators do not mind.
    """
    largest = 32 * 2**20
    torch.empty(largest - 2**16, dtype=torch.uint8, device="cpu")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, whichever allocator it comes from."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS)


@contextmanager
def explained(stage: str) -> Iterator[None]:
    """Turn the MemoryError of an array of NumPy into a sentence.

    Raises
    ------
    OutOfMemory
    """
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(_ADVICE.format(stage)) from error
