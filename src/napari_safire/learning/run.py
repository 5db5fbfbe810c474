"""One training run on one to many devices, which may be killed at any time and goes on exactly.

Lightning Fabric distributes it (one process a device, by itself, under torchrun or SLURM). A run
equals itself however often it was stopped: what a batch holds depends on its number alone (see
`napari_safire.learning.streams`), and all else that has a memory lies in ``resume.pt``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_safire.atomic import atomic_path
from napari_safire.learning.resume import RESUME, RunState, restore_state, save_state
from napari_safire.learning.run_log import (
    Ending,
    Listener,
    RunEvent,
    RunEventName,
    append_row,
    keep_rows,
    print_event,
)
from napari_safire.learning.settings import RunSettings
from napari_safire.model import SafireModel, save_checkpoint
from napari_safire.model.vit import SafireViT
from napari_safire.progress import Cancel

Batches = Iterator[tuple[Tensor, ...]]


class BatchSource(Protocol):
    """Gives a device its batches, such as a partial `napari_safire.learning.streams.stream`."""

    def __call__(self, *, start: int, rank: int, world: int) -> Batches:
        """Yield batches ``start * world + rank``, that plus ``world``, and so on."""


LAST, BEST, LOG, SAMPLES = "last.safetensors", "best.safetensors", "log.csv", "samples"
_MOST_SKIPPED = 10  # steps in a row


class Stage(Protocol):
    """What a run asks of a stage, which is a module beside."""

    model: SafireModel
    settings: Any  # a dataclass: a run does not go on with others

    def __call__(self, *batch: Tensor) -> dict[str, Tensor]:
        """Map a batch to named losses; their sum is made small."""

    def trained(self) -> list[nn.Parameter]:
        """Give what learns; all else has ``requires_grad`` off."""

    def illustrate(self, *batch: Tensor) -> npt.NDArray[np.uint8]:
        """Draw what the model makes of a batch, as an (H, W, 3) picture."""


def run(
    fabric: Fabric,
    stage: Stage,
    batches: BatchSource,
    settings: RunSettings,
    folder: Path,
    *,
    resume: bool = False,
    validation: list[tuple[Tensor, ...]] | None = None,
    listen: Listener = print_event,
    stop: Cancel | None = None,
) -> Ending:
    """Train.

    Parameters
    ----------
    fabric : Fabric
        Launched; see `napari_safire.learning.devices.launched`.
    stage : Stage
        Its model is trained in place, and ends with the averaged weights.
    batches : callable
        See `BatchSource`.
    settings : RunSettings
    folder : Path
        Receives ``log.csv``, ``last.safetensors`` and ``best.safetensors`` (the averaged weights),
        ``samples/`` (pictures of the validation batches) and ``resume.pt``.
    resume : bool
        Go on where the run in this folder was saved last, or begin if there is none.
    validation : list of batches, optional
        The averaged weights with the smallest loss on these are the best ones.
    listen : callable
        Hears of every `RunEvent`, in the first process only.
    stop : callable, optional
        Asked after each update in every process: if it says yes in one, the run is saved and ends.

    Returns
    -------
    {"done", "no progress", "asked"}
        Why it ended.

    Raises
    ------
    FloatingPointError
        Ten updates in a row had gradients that are not finite; the last checkpoint stays.
    CheckpointError
        ``resume.pt`` is damaged, or of another model or settings.
    """
    this = Run(fabric, stage, settings, folder, listen)
    return this.go(batches, resume, validation or [], stop or (lambda: False))


class Run:
    """What belongs together for the time of a run; see `run`."""

    def __init__(
        self,
        fabric: Fabric,
        stage: Stage,
        settings: RunSettings,
        folder: Path,
        listen: Listener = print_event,
    ) -> None:
        model = stage.model
        self.fabric = fabric
        self.model = model
        self.stage = stage
        self.settings = settings
        self.folder = folder
        self.listen = listen
        torch.manual_seed(settings.seed)
        trained = stage.trained()
        self.average = AveragedModel(
            model, multi_avg_fn=get_ema_multi_avg_fn(0.0), use_buffers=True
        )
        optimizer = _optimizer(model, trained, settings)
        self.peaks = [group["lr"] for group in optimizer.param_groups]
        self.module, self.optimizer = fabric.setup(cast(nn.Module, stage), optimizer)
        self.average.to(fabric.device)
        self.state = RunState()
        self.record = asdict(settings) | asdict(stage.settings)

    def go(
        self,
        batches: BatchSource,
        resume: bool,
        validation: list[tuple[Tensor, ...]],
        stop: Cancel,
    ) -> Ending:
        """Make all updates, with all that comes between them."""
        fabric, state = self.fabric, self._begin(resume)
        source = batches(
            start=state.step * self.settings.accumulate,
            rank=fabric.global_rank,
            world=fabric.world_size,
        )
        began = time.monotonic() - state.seconds
        ending: Ending = "done"
        while state.step < self.settings.steps and ending == "done":
            self.update(source)
            state.seconds = time.monotonic() - began
            last = state.step == self.settings.steps
            if self._agreed(stop()) and not last:
                ending = "asked"
            if state.step % self.settings.log_every == 0 or last:
                self._log()
            if state.step % self.settings.save_every == 0 or last:
                if validation and not self._better(validation) and ending == "done":
                    ending = "no progress"
                self._save()
            elif ending == "asked":
                self._save()
        self.model.load_state_dict(self.average.module.state_dict())
        self.model.eval()
        self._tell("ended", {"skipped": state.skipped}, ending)
        return ending

    def _begin(self, resume: bool) -> RunState:
        if self.fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
        self.fabric.barrier()
        path = self.folder / RESUME
        if resume and path.is_file():
            self.state = restore_state(
                path, self.fabric, self.model, self.average, self.optimizer, self.record
            )
        if self.fabric.is_global_zero:
            keep_rows(self.folder / LOG, self.state.step)
        self.model.train()
        if isinstance(self.model.image_encoder, SafireViT):
            self.model.image_encoder.checkpointing = self.settings.checkpointing
        trainable = sum(p.numel() for p in self.stage.trained())
        total = sum(p.numel() for p in self.model.parameters())
        self._tell("begun", {"trainable": trainable, "frozen": total - trainable})
        return self.state

    def update(self, source: Batches) -> None:
        """Change the weights once, and their average; or not, if the gradients are not finite."""
        fabric, state, settings = self.fabric, self.state, self.settings
        state.step += 1
        share = settings.rate(state.step - 1)
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * share
        self.optimizer.zero_grad(set_to_none=True)
        losses: list[Tensor] = []  # to read one would wait for the device
        for number in range(1, settings.accumulate + 1):
            batch = fabric.to_device(next(source))
            alone = fabric.world_size == 1  # nobody to exchange gradients with, once or often
            last = alone or number == settings.accumulate
            with fabric.no_backward_sync(self.module) if not last else nullcontext():
                parts = self.module(*batch)
                each = torch.stack(list(parts.values()))
                fabric.backward(each.sum() / settings.accumulate)
            losses.append(each.detach())
        norm = fabric.clip_gradients(
            self.module,
            self.optimizer,
            max_norm=settings.largest_gradient,
            error_if_nonfinite=False,
        )
        # The gradients were averaged over all devices: all see the same norm, and decide alike.
        finite = norm is not None and bool(torch.isfinite(torch.as_tensor(norm)))
        if finite or settings.precision == "fp16":  # whose scaler skips by itself, and learns so
            self.optimizer.step()
        # A long memory is useless at first: begin with a plain mean of the early steps.
        decay = min(settings.averaging, (1 + state.step) / (10 + state.step))
        self.average.multi_avg_fn = get_ema_multi_avg_fn(decay)
        self.average.update_parameters(self.model)
        if finite:
            state.skipped_in_a_row = 0
            state.summed += 1
            means = np.mean([each.tolist() for each in losses], axis=0)
            for name, value in zip(parts, means.tolist(), strict=True):
                state.sums[name] = state.sums.get(name, 0.0) + value
            return
        state.skipped += 1
        state.skipped_in_a_row += 1
        self._tell("skipped")
        if state.skipped_in_a_row >= _MOST_SKIPPED:
            raise FloatingPointError(
                f"The gradients of {_MOST_SKIPPED} updates up to step {state.step} are not "
                "finite: lower the learning rate."
            )

    def _agreed(self, wish: bool) -> bool:
        """Whether any process has the wish: all must do the same, or one waits for ever."""
        if self.fabric.world_size == 1:
            return wish
        wishes = torch.tensor(float(wish), device=self.fabric.device)
        return bool(cast(Tensor, self.fabric.all_reduce(wishes, reduce_op="sum")) > 0)

    def _log(self) -> None:
        """Tell the means since the last row, over all devices."""
        state = self.state
        names = sorted(state.sums)
        own = torch.tensor([*(state.sums[name] for name in names), float(state.summed)])
        total = self.fabric.all_reduce(own.to(self.fabric.device), reduce_op="sum")
        *sums, count = cast(Tensor, total).tolist()
        # Updates that were skipped have no losses.
        means = {name: value / max(1.0, count) for name, value in zip(names, sums, strict=True)}
        state.sums, state.summed = {}, 0
        self.fabric.log_dict(means, state.step)
        row = self._tell("step", means)
        if self.fabric.is_global_zero:
            append_row(self.folder / LOG, row)

    def _better(self, validation: list[tuple[Tensor, ...]]) -> bool:
        """Keep the averaged weights if they are the best so far; says whether to go on."""
        model, state = self.model, self.state
        own = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.average.module.state_dict())
        model.eval()
        losses = []
        with torch.no_grad():
            for batch in validation:  # on every device: none waits for another
                parts = self.module.module(*self.fabric.to_device(batch))
                losses.append(float(torch.stack(list(parts.values())).sum()))
            if self.fabric.is_global_zero:
                self._draw(self.stage.illustrate(*self.fabric.to_device(validation[0])))
        model.load_state_dict(own)
        model.train()
        loss = float(self.fabric.broadcast(sum(losses) / len(losses)))
        self.fabric.log("validation", loss, state.step)
        if loss < state.best:
            state.best, state.since_best = loss, 0
            if self.fabric.is_global_zero:
                self._save_weights(self.folder / BEST)
        else:
            state.since_best += 1
        self._tell("validation", {"loss": loss, "best": state.best})
        return self.settings.patience is None or state.since_best < self.settings.patience

    def _draw(self, picture: npt.NDArray[np.uint8]) -> None:
        path = self.folder / SAMPLES / f"{self.state.step:07d}.png"
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as temporary:
            Image.fromarray(picture).save(temporary, "PNG")
        for logger in self.fabric.loggers:
            board = cast(Any, logger).experiment
            board.add_image("validation", picture, self.state.step, dataformats="HWC")

    def _save(self) -> None:
        if self.fabric.is_global_zero:
            self._save_weights(self.folder / LAST)
            save_state(
                self.folder / RESUME,
                self.fabric,
                self.model,
                self.average,
                self.optimizer,
                self.state,
                self.record,
            )
        self.fabric.barrier()
        self._tell("saved")

    def _save_weights(self, path: Path) -> None:
        averaged = cast(SafireModel, self.average.module)
        save_checkpoint(averaged, path, metadata={**self.model.metadata, "step": self.state.step})

    def _tell(
        self,
        event: RunEventName,
        values: dict[str, float] | None = None,
        ending: Ending | None = None,
    ) -> RunEvent:
        state = self.state
        told = RunEvent(event, state.step, self.settings.steps, state.seconds, values or {}, ending)
        if self.fabric.is_global_zero:
            self.listen(told)
        return told


def _optimizer(
    model: SafireModel, trained: list[nn.Parameter], settings: RunSettings
) -> torch.optim.Optimizer:
    encoder = {id(p) for p in model.image_encoder.parameters()}
    shares = [(p, settings.encoder_factor if id(p) in encoder else 1.0) for p in trained]
    groups = [
        {
            "params": [p for p, s in shares if s == share],
            "lr": settings.learning_rate * share,
            "weight_decay": settings.weight_decay,
        }
        for share in sorted({s for _, s in shares})
    ]
    return torch.optim.AdamW(groups, fused=True)
