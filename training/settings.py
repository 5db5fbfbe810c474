"""What the training scripts share: the TOML file, the photographs it names, the devices."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from napari_safire.data.composite_settings import CompositeSettings
from napari_safire.data.photos import bank_of, divide, read_photo_table
from napari_safire.errors import SafireError
from napari_safire.learning.run import RunSettings, make_fabric
from napari_safire.learning.stages import Composites, LossSettings
from napari_safire.learning.streams import CropPlan, stream
from napari_safire.model import ModelConfig, SafireModel, initialise_from

# Entries of a stage's table that say which composites it sees.
_OF_THE_DATA = ("sides", "pixels_per_batch", "first_index")
_OF_THE_LOSSES = tuple(field.name for field in dataclasses.fields(LossSettings))
# The validation composites: far from any that a stage sees.
_VALIDATION_INDEX = 2**40


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every stage has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="TOML file, for example training/lite.toml")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--steps", type=int, help="updates, instead of the number in the file")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    parser.add_argument("--accelerator", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--devices", type=int, default=1, help="devices of each node")
    parser.add_argument("--nodes", type=int, default=1, help="nodes (torchrun or SLURM)")
    return parser


def read_settings(path: Path) -> dict[str, Any]:
    """Read the TOML file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def run_settings(settings: dict[str, Any], stage: str, steps: int | None) -> RunSettings:
    """Return how a stage runs; ``steps`` from the command line win."""
    left_out = (*_OF_THE_DATA, *_OF_THE_LOSSES)
    table = {name: value for name, value in settings[stage].items() if name not in left_out}
    return RunSettings(**(table | ({"steps": steps} if steps else {})))


def loss_settings(settings: dict[str, Any], stage: str) -> LossSettings:
    """Return what a stage asks for."""
    return LossSettings(**{n: v for n, v in settings[stage].items() if n in _OF_THE_LOSSES})


def model_config(settings: dict[str, Any]) -> ModelConfig:
    """Return the model's sizes."""
    return ModelConfig.from_dict(settings["model"])


def launch(options: argparse.Namespace, settings: RunSettings) -> Fabric:
    """Begin the run on all devices."""
    fabric = make_fabric(
        settings,
        accelerator=options.accelerator,
        devices=options.devices,
        nodes=options.nodes,
        tensorboard=options.output / "tensorboard",
    )
    fabric.launch()
    return fabric


def composites(
    settings: dict[str, Any], stage: str, on_problem: Callable[[str], None]
) -> Composites:
    """Fresh composites of the train split, without the held-out photographers."""
    first_index = settings[stage]["first_index"]
    return _source(settings, stage, on_problem, held_out=False, first_index=first_index)


def validation_composites(
    settings: dict[str, Any], stage: str, on_problem: Callable[[str], None]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The same few batches at every call, of the held-out photographers; none without them."""
    data = settings["data"]
    if not data.get("validation_batches"):
        return []
    one_process = settings | {"data": data | {"workers": 0}}
    source = _source(one_process, stage, on_problem, held_out=True, first_index=_VALIDATION_INDEX)
    batches = source(0, 0, 1)
    return [next(batches) for _ in range(data["validation_batches"])]


def _source(
    settings: dict[str, Any],
    stage: str,
    on_problem: Callable[[str], None],
    *,
    held_out: bool,
    first_index: int,
) -> Composites:
    data = settings["data"]
    photos = [p for p in read_photo_table(Path(data["photos_csv"])) if p.split == "train"]
    bank = bank_of(divide(photos, data["held_out_groups"])[held_out])
    plan = CropPlan(
        tuple(settings[stage]["sides"]),
        settings[stage].get("pixels_per_batch", CropPlan().pixels_per_batch),
    )
    composite_settings = CompositeSettings(**data.get("composites", {}))

    def source(start: int, rank: int, world: int) -> Any:
        return stream(
            bank,
            composite_settings,
            plan,
            seed=data["seed"],
            first_index=first_index,
            workers=data["workers"],
            start=start,
            rank=rank,
            world=world,
            on_problem=on_problem,
        )

    return source


def run_stage(
    stage_of: Callable[..., None], options: argparse.Namespace, name: str, start: Path | None
) -> None:
    """Run a stage as the command line asks for it; errors of the user's are one sentence."""
    try:
        _run_stage(stage_of, options, name, start)
    except SafireError as error:
        sys.exit(f"Error: {error}")


def _run_stage(
    stage_of: Callable[..., None], options: argparse.Namespace, name: str, start: Path | None
) -> None:
    settings = read_settings(options.config)
    how = run_settings(settings, name, options.steps)
    fabric = launch(options, how)
    torch.manual_seed(settings["data"]["seed"])
    model = SafireModel(model_config(settings))
    if start:
        fresh = initialise_from(model, start)
        fabric.print(f"{start}: {len(fresh)} tensors stay fresh")
    problems = []

    def tell(problem: str) -> None:
        problems.append(problem)
        print(f"Warning: {problem} Others take its place.", flush=True)

    stage_of(
        model,
        composites(settings, name, tell),
        how,
        options.output,
        fabric=fabric,
        losses=loss_settings(settings, name),
        resume=options.resume,
        validation=validation_composites(settings, name, tell),
    )
    if problems:
        print(f"{len(problems)} photographs could not be read; their names stand above.")
