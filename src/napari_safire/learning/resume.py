"""All of a run that has a memory, in one file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.optim.swa_utils import AveragedModel

from napari_safire.atomic import atomic_path
from napari_safire.errors import CheckpointError
from napari_safire.model import SafireModel
from napari_safire.model.files.torch_file import check_torch_archive
from napari_safire.text import printable

RESUME = "resume.pt"
# What may change when a run goes on: how long it is, and what does not touch its weights.
_FREE = ("steps", "save_every", "log_every", "patience", "checkpointing")


@dataclass
class RunState:
    """What changes in a run, beside weights and optimiser."""

    step: int = 0
    seconds: float = 0.0  # of all processes one after the other
    skipped: int = 0
    skipped_in_a_row: int = 0
    summed: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best: float = math.inf
    since_best: int = 0


def save_state(
    path: Path,
    fabric: Fabric,
    model: SafireModel,
    average: AveragedModel,
    optimizer: Any,
    state: RunState,
    settings: Mapping[str, Any],
) -> None:
    """Write everything that a later process needs to go on as if nothing had been."""
    saved = {
        "state": {name: getattr(state, name) for name in RunState.__dataclass_fields__},
        "settings": dict(settings),
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "precision": fabric.strategy.precision.state_dict(),
    }
    with atomic_path(path) as temporary:
        torch.save(saved, temporary)


def restore_state(
    path: Path,
    fabric: Fabric,
    model: SafireModel,
    average: AveragedModel,
    optimizer: Any,
    settings: Mapping[str, Any],
) -> RunState:
    """Bring everything back to where `save_state` saw it.

    A run may go on with another number of steps: its rate then follows the longer (or shorter)
    schedule from where it stands.

    Raises
    ------
    CheckpointError
        The file is damaged, or of another model or other settings.
    """
    try:
        check_torch_archive(path)  # torch.load does not compare the checksums
        saved = torch.load(path, map_location=fabric.device, weights_only=True)
        before = saved["settings"]
        other = [
            f"{name} {printable(before.get(name)):.60}, now {now}"
            for name, now in settings.items()
            if before.get(name) != now and name not in _FREE
        ]
        if other:
            raise CheckpointError(
                f"{path} belongs to a run with other settings ({'; '.join(other)}): take its "
                "settings, or another output folder."
            )
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        fabric.strategy.precision.load_state_dict(saved["precision"])
        return RunState(**saved["state"])
    except CheckpointError:
        raise
    except Exception as error:  # a file by somebody else can fail anywhere inside torch
        reason = f"{type(error).__name__}: {printable(error)}"[:200]
        raise CheckpointError(
            f"{path} cannot be gone on with ({reason}): delete it to begin anew."
        ) from error
