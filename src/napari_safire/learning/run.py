"""One training run on one to many devices, which may be killed at any time and goes on exactly.

Lightning Fabric distributes it (one process a device, by itself, under torchrun or SLURM). A run
equals itself however often it was stopped: what a batch holds depends on its number alone (see
`napari_safire.learning.streams`), and all else that has a memory lies in ``resume.pt``.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_safire.data.atomic import atomic_path
from napari_safire.errors import CheckpointError
from napari_safire.model import SafireModel, save_checkpoint
from napari_safire.model.vit import SafireViT

Batches = Iterator[tuple[Tensor, ...]]
BatchSource = Callable[[int, int, int], Batches]
"""``source(start, rank, world)`` yields batches ``start * world + rank``, that plus ``world``, …"""

RESUME, LAST, BEST, LOG = "resume.pt", "last.safetensors", "best.safetensors", "log.csv"
_LOG_EVERY = 50  # steps
_MOST_SKIPPED = 10  # steps in a row
_FABRIC_PRECISION = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run goes, whatever it learns.

    Parameters
    ----------
    steps : int
        Updates of the weights.
    learning_rate : float
        Peak; linear warm-up, then cosine decay to a hundredth.
    encoder_factor : float
        The encoder's learning rate as a share of ``learning_rate``.
    weight_decay : float
    accumulate : int
        Batches of every device whose gradients make one update.
    largest_gradient : float
        Norm to which gradients are clipped.
    averaging : float
        Decay of the exponential moving average of the weights, which is what is saved.
    precision : {"float32", "bf16", "fp16"}
        Other than float32: mixed precision.
    checkpointing : bool
        Of a ViT's activations: slower, with a fraction of the memory.
    save_every : int
        Steps between checkpoints, and between validations.
    patience : int, optional
        Validations without a better one after which the run stops.
    seed : int
    """

    steps: int
    learning_rate: float = 1.5e-3
    encoder_factor: float = 1.0
    weight_decay: float = 0.02
    accumulate: int = 1
    largest_gradient: float = 1.0
    averaging: float = 0.998
    precision: str = "float32"
    checkpointing: bool = False
    save_every: int = 250
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "save_every", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}.")
        if self.precision not in _FABRIC_PRECISION:
            raise ValueError(
                f"Unknown precision {self.precision!r}: use {', '.join(_FABRIC_PRECISION)}."
            )


def make_fabric(
    settings: RunSettings,
    *,
    accelerator: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    tensorboard: Path | None = None,
) -> Fabric:
    """Return Fabric for some devices; call its ``launch()`` before the model is made.

    Parameters
    ----------
    settings : RunSettings
        For the precision.
    accelerator : str
        "auto", "cpu", "cuda" or "mps".
    devices, nodes : int
        Processes on each node; nodes.
    tensorboard : Path, optional
        Folder for the logs that TensorBoard shows.
    """
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
        precision=cast(Any, _FABRIC_PRECISION[settings.precision]),
        loggers=loggers,
    )


@dataclass
class _State:
    """What has a memory, beside weights and optimiser."""

    step: int = 0
    seconds: float = 0.0  # of all processes one after the other
    skipped: int = 0
    skipped_in_a_row: int = 0
    summed: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best: float = math.inf
    since_best: int = 0


def run(
    fabric: Fabric,
    model: SafireModel,
    stage: nn.Module,
    batches: BatchSource,
    settings: RunSettings,
    folder: Path,
    *,
    resume: bool = False,
    validation: list[tuple[Tensor, ...]] | None = None,
) -> None:
    """Train.

    Parameters
    ----------
    fabric : Fabric
        Launched.
    model : SafireModel
        Trained in place; ends with the averaged weights.
    stage : nn.Module
        Holds the model as ``stage.model``; ``stage(*batch)`` gives the named losses, whose sum is
        made small, and ``stage.trained`` is what of the model learns.
    batches : callable
        See `BatchSource`.
    settings : RunSettings
    folder : Path
        Receives ``log.csv``, ``last.safetensors`` and ``best.safetensors`` (the averaged weights)
        and ``resume.pt``.
    resume : bool
        Go on where the run in this folder was saved last, or begin if there is none.
    validation : list of batches, optional
        The averaged weights with the smallest loss on these are the best ones.

    Raises
    ------
    FloatingPointError
        Ten updates in a row had gradients that are not finite; the last checkpoint stays.
    CheckpointError
        ``resume.pt`` is damaged, or of another model or settings.
    """
    if fabric.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
    fabric.barrier()
    torch.manual_seed(settings.seed)
    optimizer = _optimizer(model, stage, settings)
    peaks = [group["lr"] for group in optimizer.param_groups]
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.0), use_buffers=True)
    module, optimizer = fabric.setup(stage, optimizer)
    average.to(fabric.device)
    state = _State()
    if resume and (folder / RESUME).is_file():
        state = _restore(folder / RESUME, fabric, model, average, optimizer, settings)
    if fabric.is_global_zero:
        _keep_rows(folder / LOG, state.step)
    model.train()
    if isinstance(model.image_encoder, SafireViT):
        model.image_encoder.checkpointing = settings.checkpointing
    fabric.print(describe_parameters(model, stage))
    source = batches(state.step * settings.accumulate, fabric.global_rank, fabric.world_size)
    began = time.monotonic() - state.seconds
    while state.step < settings.steps:
        state.step += 1
        share = learning_rate_share(state.step - 1, settings.steps)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * share
        parts = _update(fabric, module, optimizer, source, settings, state)
        # A long memory is useless at first: begin with a plain mean of the early steps.
        decay = min(settings.averaging, (1 + state.step) / (10 + state.step))
        average.multi_avg_fn = get_ema_multi_avg_fn(decay)
        average.update_parameters(model)
        for name, value in parts.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        state.summed += bool(parts)
        state.seconds = time.monotonic() - began
        done = state.step == settings.steps
        if state.step % _LOG_EVERY == 0 or done:
            _log(fabric, folder / LOG, state, settings.steps)
        if state.step % settings.save_every == 0 or done:
            stop = _validate(fabric, module, model, average, validation, folder, state, settings)
            _save(fabric, folder, model, average, optimizer, state, settings)
            if stop:
                fabric.print(f"stopped: the last {state.since_best} validations were no better")
                break
    model.load_state_dict(average.module.state_dict())
    model.eval()
    if state.skipped:
        fabric.print(f"{state.skipped} updates were skipped: their gradients were not finite")


def describe_parameters(model: SafireModel, stage: Any) -> str:
    """Say how much of a model learns in a stage."""
    learning = {id(p) for p in stage.trained.parameters() if p.requires_grad}
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if id(p) in learning)
    return f"parameters: {trainable:,} trainable, {total - trainable:,} frozen"


def learning_rate_share(step: int, steps: int) -> float:
    """Linear warm-up over a tenth (200 steps at most), then a cosine down to a hundredth."""
    warm_up = max(1, min(200, steps // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, steps - warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _optimizer(model: SafireModel, stage: Any, settings: RunSettings) -> torch.optim.Optimizer:
    encoder = {id(p) for p in model.image_encoder.parameters()}
    shares = [
        (p, settings.encoder_factor if id(p) in encoder else 1.0)
        for p in stage.trained.parameters()
        if p.requires_grad
    ]
    groups = [
        {
            "params": [p for p, s in shares if s == share],
            "lr": settings.learning_rate * share,
            "weight_decay": settings.weight_decay,
        }
        for share in sorted({s for _, s in shares})
    ]
    return torch.optim.AdamW(groups, fused=True)


def _update(
    fabric: Fabric,
    module: Any,
    optimizer: Any,
    source: Batches,
    settings: RunSettings,
    state: _State,
) -> dict[str, float]:
    """Change the weights once; gives the losses, or nothing if the gradients are not finite."""
    optimizer.zero_grad(set_to_none=True)
    means: dict[str, float] = {}
    for number in range(1, settings.accumulate + 1):
        batch = fabric.to_device(next(source))
        alone = fabric.world_size == 1  # nobody to exchange gradients with, once or often
        last = alone or number == settings.accumulate
        with fabric.no_backward_sync(module) if not last else nullcontext():
            parts = module(*batch)
            fabric.backward(torch.stack(list(parts.values())).sum() / settings.accumulate)
        for name, value in parts.items():
            means[name] = means.get(name, 0.0) + float(value.detach()) / settings.accumulate
    norm = fabric.clip_gradients(
        module, optimizer, max_norm=settings.largest_gradient, error_if_nonfinite=False
    )
    # The gradients were averaged over all devices: all of them see the same norm, and decide alike.
    finite = norm is not None and bool(torch.isfinite(torch.as_tensor(norm)))
    if finite or settings.precision == "fp16":  # whose scaler skips by itself, and learns from it
        optimizer.step()
    if finite:
        state.skipped_in_a_row = 0
        return means
    state.skipped += 1
    state.skipped_in_a_row += 1
    if state.skipped_in_a_row >= _MOST_SKIPPED:
        raise FloatingPointError(
            f"The gradients of {_MOST_SKIPPED} updates up to step {state.step} are not finite: "
            "lower the learning rate."
        )
    return {}


def _log(fabric: Fabric, path: Path, state: _State, steps: int) -> None:
    """Write the means since the last row, over all devices."""
    names = sorted(state.sums)
    own = torch.tensor([*(state.sums[name] for name in names), float(state.summed)])
    total = fabric.all_reduce(own.to(fabric.device), reduce_op="sum")
    *sums, count = cast(Tensor, total).tolist()
    # Updates that were skipped have no losses.
    means = {name: value / max(1.0, count) for name, value in zip(names, sums, strict=True)}
    state.sums, state.summed = {}, 0
    fabric.log_dict(means, state.step)
    if fabric.is_global_zero:
        header = not path.is_file()
        with path.open("a", newline="") as file:
            log = csv.writer(file)
            if header:
                log.writerow(["step", "seconds", *means])
            values = (f"{value:.4f}" for value in means.values())
            log.writerow([state.step, f"{state.seconds:.0f}", *values])
        text = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
        print(f"step {state.step}/{steps}  {state.seconds:.0f} s  {text}", flush=True)


def _keep_rows(path: Path, last_step: int) -> None:
    """Drop what was logged after the step where the run goes on."""
    if not path.is_file():
        return
    if not last_step:
        path.unlink()
        return
    rows = path.read_text().splitlines(keepends=True)
    kept = [row for row in rows[1:] if int(row.split(",")[0]) <= last_step]
    path.write_text("".join([*rows[:1], *kept]))


def _validate(
    fabric: Fabric,
    module: Any,
    model: SafireModel,
    average: AveragedModel,
    validation: list[tuple[Tensor, ...]] | None,
    folder: Path,
    state: _State,
    settings: RunSettings,
) -> bool:
    """Keep the averaged weights if they are the best so far; says whether to stop."""
    if not validation:
        return False
    own = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.module.state_dict())
    model.eval()
    losses = []
    with torch.no_grad():
        for batch in validation:  # on every device: none waits for another
            parts = module.module(*fabric.to_device(batch))
            losses.append(float(torch.stack(list(parts.values())).sum()))
    model.load_state_dict(own)
    model.train()
    loss = fabric.broadcast(sum(losses) / len(losses))
    fabric.log("validation", loss, state.step)
    fabric.print(f"step {state.step}/{settings.steps}  validation {loss:.4f}")
    if loss < state.best:
        state.best, state.since_best = loss, 0
        if fabric.is_global_zero:
            _save_weights(folder / BEST, model, average, state.step)
    else:
        state.since_best += 1
    return settings.patience is not None and state.since_best >= settings.patience


def _save_weights(path: Path, model: SafireModel, average: AveragedModel, step: int) -> None:
    averaged = cast(SafireModel, average.module)
    save_checkpoint(averaged, path, metadata={**model.metadata, "step": step})


def _save(
    fabric: Fabric,
    folder: Path,
    model: SafireModel,
    average: AveragedModel,
    optimizer: Any,
    state: _State,
    settings: RunSettings,
) -> None:
    """Everything that a later process needs to go on as if nothing had been."""
    if fabric.is_global_zero:
        _save_weights(folder / LAST, model, average, state.step)
        kept = {
            "state": {name: getattr(state, name) for name in _State.__dataclass_fields__},
            "settings": asdict(settings),
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "precision": fabric.strategy.precision.state_dict(),
        }
        with atomic_path(folder / RESUME) as temporary:
            torch.save(kept, temporary)
    fabric.barrier()


def _restore(
    path: Path,
    fabric: Fabric,
    model: SafireModel,
    average: AveragedModel,
    optimizer: Any,
    settings: RunSettings,
) -> _State:
    try:
        kept = torch.load(path, map_location=fabric.device, weights_only=True)
        before, now = kept["settings"], asdict(settings)
        other = [f"{n} {before.get(n)}, now {now[n]}" for n in now if before.get(n) != now[n]]
        if other:
            raise CheckpointError(
                f"{path} belongs to a run with other settings ({'; '.join(other)}): take its "
                "settings, or another output folder."
            )
        model.load_state_dict(kept["model"])
        average.load_state_dict(kept["average"])
        optimizer.load_state_dict(kept["optimizer"])
        fabric.strategy.precision.load_state_dict(kept["precision"])
        return _State(**kept["state"])
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be gone on with ({type(error).__name__}: {error}): delete it to begin "
            "anew."
        ) from error
