"""What a run will need, measured on its first updates before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from lightning_fabric import Fabric

from napari_safire.learning.run import Batches, BatchSource, Run, Stage
from napari_safire.learning.settings import RunSettings


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a run needs.

    Parameters
    ----------
    trainable, frozen : int
        Parameters.
    seconds_per_update : float
        Mean, without the wait for batches.
    seconds_waiting : float
        Mean wait for the batches of an update: above zero, the loader cannot keep up (at first it
        has nothing ready, so a dry run sees the worst).
    updates : int
        Of the whole run.
    device_bytes : int or None
        Peak on the accelerator; None on a CPU.
    host_bytes : int
        Of this process, after the updates.
    disk_bytes : int
        Of what the run keeps.
    """

    trainable: int
    frozen: int
    seconds_per_update: float
    seconds_waiting: float
    updates: int
    device_bytes: int | None
    host_bytes: int
    disk_bytes: int

    def __str__(self) -> str:
        """Say it in a few lines."""
        least = self.updates * self.seconds_per_update / 3600
        most = self.updates * (self.seconds_per_update + self.seconds_waiting) / 3600
        memory = f"{self.host_bytes / 2**30:.1f} GiB of main memory in this process"
        if self.device_bytes is not None:
            memory = f"{self.device_bytes / 2**30:.1f} GiB on the device, {memory}"
        return "\n".join(
            [
                f"parameters: {self.trainable:,} trainable, {self.frozen:,} frozen",
                f"an update: {self.seconds_per_update:.2f} s, and {self.seconds_waiting:.2f} s "
                "waiting for its batches",
                f"{self.updates:,} updates: {least:.1f} to {most:.1f} hours, validations not "
                "counted",
                f"memory: {memory}, its data workers not counted",
                f"disk: {self.disk_bytes / 2**30:.2f} GiB",
            ]
        )


def estimate(
    fabric: Fabric,
    stage: Stage,
    batches: BatchSource,
    settings: RunSettings,
    *,
    warm_up: int = 3,
    updates: int = 6,
) -> RunEstimate:
    """Make some updates, as the run would, and keep nothing of them.

    Parameters
    ----------
    fabric, stage, batches, settings
        As for `napari_safire.learning.run.run`; the stage's model is changed.
    warm_up, updates : int
        Updates before the clock starts, and by the clock.

    Returns
    -------
    RunEstimate
    """
    this = Run(fabric, stage, settings, Path(), lambda _: None)
    this.model.train()
    source = _Timed(batches(start=0, rank=fabric.global_rank, world=fabric.world_size))
    on_gpu = fabric.device.type == "cuda"
    for _ in range(warm_up):
        this.update(source)
    source.waited = 0.0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(fabric.device)
    began = time.monotonic()
    for _ in range(updates):
        this.update(source)
    if on_gpu:
        torch.cuda.synchronize(fabric.device)
    seconds = time.monotonic() - began
    trainable = sum(p.numel() for p in stage.trained())
    total = sum(p.numel() for p in stage.model.parameters())
    return RunEstimate(
        trainable=trainable,
        frozen=total - trainable,
        seconds_per_update=(seconds - source.waited) / updates,
        seconds_waiting=source.waited / updates,
        updates=settings.steps,
        device_bytes=torch.cuda.max_memory_allocated(fabric.device) if on_gpu else None,
        host_bytes=psutil.Process().memory_info().rss,
        # Last and best weights; weights, average and two moments in resume.pt; float32.
        disk_bytes=4 * (4 * total + 2 * trainable),
    )


class _Timed:
    """Batches, and how long one waited for them."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.waited = 0.0

    def __iter__(self) -> _Timed:
        return self

    def __next__(self) -> tuple[torch.Tensor, ...]:
        began = time.monotonic()
        batch = next(self.batches)
        self.waited += time.monotonic() - began
        return batch
