"""Fine-tuning: a model learns from some pictures of a user's own, and then has to prove itself.

`fine_tune` trains; `napari_safire.learning.candidate` judges the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from napari_safire.datasets.groups import GroupedEntries, divide_entries
from napari_safire.engine.rules import read_rules, with_rules
from napari_safire.errors import DatasetError, OutOfMemory
from napari_safire.images.masks import MaskKind
from napari_safire.learning.devices import PRECISIONS, launched
from napari_safire.learning.events import Listener
from napari_safire.learning.listed import ListedDataset, ListedSettings
from napari_safire.learning.prompts import PromptedCrops, PromptSettings
from napari_safire.learning.run import BEST, LAST, Stage, run
from napari_safire.learning.run_log import Ending
from napari_safire.learning.settings import RunSettings
from napari_safire.learning.stages import PromptStage, StageSettings
from napari_safire.learning.streams import (
    CompositeDataset,
    CropPlan,
    Crops,
    MixedDataset,
    stream,
)
from napari_safire.model import SafireModel
from napari_safire.progress import Cancel, once
from napari_safire.synthesis.composite_settings import CompositeSettings
from napari_safire.synthesis.photo_bank import PhotoBank
from napari_safire.synthesis.photos import bank_of, read_photo_folder, read_photo_table

DEVICES = ("auto", "cpu", "cuda", "mps")
_PROMPTS = PromptSettings(per_image=8)
_WATCHED = 0.15  # of the groups that are left after those held out
_WATCHED_BATCHES = 4
_FEWEST_TO_WATCH = 8  # groups left; with fewer, all are needed to learn from
_LITE_SIDE = 256


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """How a model is fine-tuned.

    Parameters
    ----------
    steps : int
        Updates of the weights.
    learning_rate : float
        Peak. About a tenth of what training from the start takes: enough to adapt, and the model
        still knows what it knew.
    patience : int, optional
        Stop when so many checks in a row were no better (there are about ten checks in a run, on
        groups that the model does not learn from either), and take the best; None: never. Ignored
        where fewer than 8 groups are left after those held out.
    held_out : float
        Share of the groups that judge.
    side : int, optional
        Pixels of a crop's side, a multiple of 16. Default: 256 for a lite model; a ViT's own frame,
        into which it sees whole pictures squashed.
    per_batch : int
        Crops in a batch.
    workers : int
        Processes that read pictures; 0 reads them in this one.
    precision : {"float32", "bf16", "fp16"}
        Other than float32: mixed precision.
    device : {"auto", "cpu", "cuda", "mps"}
    seed : int
        Of the division as well.
    photos : Path, optional
        Rehearsal against forgetting: a folder of untouched photographs, or a table of them
        (`napari_safire.synthesis.photos`, its split "train"), of which synthetic composites are
        made.
    rehearsal : float
        Share of crops that come from these composites.
    """

    steps: int = 300
    learning_rate: float = 1e-4
    patience: int | None = 4
    held_out: float = 0.25
    side: int | None = None
    per_batch: int = 8
    workers: int = 0
    precision: str = "float32"
    device: str = "auto"
    seed: int = 0
    photos: Path | None = None
    rehearsal: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("patience", 1), ("per_batch", 2), ("workers", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}.")
        for name in ("held_out", "rehearsal"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {getattr(self, name)}.")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate must lie in (0, 1), not {self.learning_rate}.")
        if self.side is not None and (self.side < 32 or self.side % 16):
            raise ValueError(f"side must be a multiple of 16 from 32 on, not {self.side}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}, but must lie between 0 and {2**32 - 1}.")
        for name, known in (("precision", PRECISIONS), ("device", DEVICES)):
            if getattr(self, name) not in known:
                raise ValueError(f"Unknown {name} {getattr(self, name)!r}: use {', '.join(known)}.")

    def run_settings(self) -> RunSettings:
        """Say the same to a run."""
        return RunSettings(
            steps=self.steps,
            learning_rate=self.learning_rate,
            averaging=0.99,  # a mean over the last hundred steps: runs are short
            precision=self.precision,
            save_every=max(1, self.steps // 10),
            log_every=max(1, min(10, self.steps // 10)),
            patience=self.patience,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a fine-tuning learns from, what it watches, and what judges it: no origin in common.

    Parameters
    ----------
    learned, watched, held_out : GroupedEntries
        ``watched`` may be empty.
    """

    learned: GroupedEntries
    watched: GroupedEntries
    held_out: GroupedEntries


def divide_parts(
    kept: GroupedEntries, held_out: GroupedEntries, settings: FineTuneSettings
) -> Parts:
    """Take from what is kept some groups to watch, where there are enough.

    They are not those that judge: a model that was chosen by its judges has no judges left.
    """
    if settings.patience is None or kept.n_groups < _FEWEST_TO_WATCH:
        return Parts(kept, GroupedEntries((), ()), held_out)
    learned, watched = divide_entries(kept, _WATCHED, fewest=1, seed=settings.seed)
    return Parts(learned, watched, held_out)


def fine_tune(
    model: SafireModel,
    parts: Parts,
    kind: MaskKind,
    settings: FineTuneSettings,
    folder: Path,
    *,
    resume: bool = False,
    listen: Listener,
    stop: Cancel,
    on_problem: Callable[[str], None],
) -> tuple[Ending, Path]:
    """Let a model learn by point prompts (stage 2).

    Parameters
    ----------
    model : SafireModel
        Trained in place. What was calibrated is dropped: it is not true of other weights.
    parts : Parts
        Its held-out part is not looked at.
    kind : {"sources", "binary"}
        What masks say.
    settings : FineTuneSettings
    folder : Path
        As `napari_safire.learning.run.run` fills it.
    resume, listen, stop
        As `run` takes them.
    on_problem : callable
        Hears once of each file that cannot be used; others take its place.

    Returns
    -------
    ending : {"done", "no progress", "asked"}
    candidate : Path
        The best weights, where groups were watched, else the last ones.

    Raises
    ------
    DatasetError
        Nothing can be learned from.
    OutOfMemory, FloatingPointError, CheckpointError
        As `run`.
    """
    _drop_calibration(model)
    vit = model.config.architecture == "vit"
    side = settings.side or (model.config.image_size if vit else _LITE_SIDE)
    how = ListedSettings(how="squash" if vit else "crop")
    plan = CropPlan((side,), settings.per_batch * side**2)
    tell = once(on_problem)  # learned and watched crops come from streams of their own
    crops = PromptedCrops(_crops(parts.learned, kind, how, settings), _PROMPTS, settings.seed)
    source = partial(stream, crops, plan, workers=settings.workers, on_problem=tell)
    watched = _watched(parts.watched, kind, how, plan, settings, tell)
    with launched(settings.precision, accelerator=settings.device) as fabric:
        stage = cast(Stage, PromptStage(model, StageSettings(prompts=_PROMPTS)))
        with _enough_memory(f"{plan.batch_size(side)} crops of {side} x {side} pixels"):
            ending = run(
                fabric, stage, source, settings.run_settings(), folder,
                resume=resume, validation=watched, listen=listen, stop=stop,
            )  # fmt: skip
    return ending, folder / (BEST if watched else LAST)


def _drop_calibration(model: SafireModel) -> None:
    # Its weights of other evidence were fitted beside the old network.
    old = read_rules(model.metadata)
    rules = replace(old, calibration=None, confidence=None, combination=None)
    model.metadata = with_rules(model.metadata, rules)


@contextmanager
def _enough_memory(what: str) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise OutOfMemory(
            f"{what} do not fit into the device's memory: give a smaller --per-batch or --side, or "
            "--device cpu."
        ) from error


def _crops(
    learned: GroupedEntries, kind: MaskKind, how: ListedSettings, settings: FineTuneSettings
) -> Crops:
    own = ListedDataset(learned.entries, how, settings.seed, kind=kind)
    if settings.photos is None:
        return own
    composites = CompositeDataset(_bank(settings.photos), CompositeSettings(), settings.seed)
    share = settings.rehearsal
    return MixedDataset([own, composites], [1 - share, share], settings.seed)


def _watched(
    watched: GroupedEntries,
    kind: MaskKind,
    how: ListedSettings,
    plan: CropPlan,
    settings: FineTuneSettings,
    tell: Callable[[str], None],
) -> list[tuple[Tensor, ...]]:
    if not len(watched):
        return []
    seed = settings.seed + 1
    crops = PromptedCrops(ListedDataset(watched.entries, how, seed, kind=kind), _PROMPTS, seed)
    return list(islice(stream(crops, plan, workers=0, on_problem=tell), _WATCHED_BATCHES))


def _bank(photos: Path) -> PhotoBank:
    if photos.is_dir():
        return bank_of(read_photo_folder(photos))
    chosen = [photo for photo in read_photo_table(photos) if photo.split == "train"]
    if not chosen:
        raise DatasetError(f"{photos} has no photographs of the split 'train'.")
    return bank_of(chosen)
