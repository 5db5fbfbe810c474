"""One to many devices: Lightning Fabric, from the first process to the last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric

_FABRIC_PRECISION = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
PRECISIONS = tuple(_FABRIC_PRECISION)


@contextmanager
def launched(
    precision: str = "float32",
    *,
    accelerator: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    tensorboard: Path | None = None,
) -> Iterator[Fabric]:
    """Give Fabric on some devices, with a process for each; take them down at the end.

    Parameters
    ----------
    precision : {"float32", "bf16", "fp16"}
        Other than float32: mixed precision.
    accelerator : str
        "auto", "cpu", "cuda" or "mps".
    devices, nodes : int
        Processes on each node; nodes (under torchrun or SLURM: as those say).
    tensorboard : Path, optional
        Folder for the logs that TensorBoard shows.

    Yields
    ------
    Fabric
        Launched: from here on every process runs the same lines.
    """
    fabric = _make_fabric(precision, accelerator, devices, nodes, tensorboard)
    fabric.launch()
    try:
        yield fabric
    finally:
        # gloo's threads must have ended before Python does: else the process aborts now and then.
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _make_fabric(
    precision: str, accelerator: str, devices: int, nodes: int, tensorboard: Path | None
) -> Fabric:
    loggers: list[Any] = []
    if tensorboard is not None:
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        loggers.append(TensorBoardLogger(tensorboard, name="", version=""))
    strategy: Any = "auto"
    if devices * nodes > 1:
        from lightning_fabric.strategies.ddp import DDPStrategy

        # Three of SAM's four mask tokens, and the biases of its keys, have no part in the result.
        strategy = DDPStrategy(find_unused_parameters=True)
    return Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=strategy,
        precision=cast(Any, _FABRIC_PRECISION[precision]),
        loggers=loggers,
    )
