"""What the training scripts share: the TOML file, the pictures it names, the devices, the run."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pictures import training_batches, validation_batches

from napari_safire.engine.precision import slow_precision
from napari_safire.errors import SafireError
from napari_safire.learning.devices import launched
from napari_safire.learning.estimate import estimate
from napari_safire.learning.listed import ListedSettings
from napari_safire.learning.prompts import PromptSettings
from napari_safire.learning.run import Stage, run
from napari_safire.learning.settings import RunSettings
from napari_safire.learning.stages import StageSettings
from napari_safire.learning.stopping import stoppable
from napari_safire.learning.streams import CropPlan
from napari_safire.model import ModelConfig, SafireModel, initialise_from

_NEEDED_DATA = {"workers", "seed"}
_DATA = _NEEDED_DATA | {
    "photos_csv", "photos_folder", "held_out_groups", "composites", "composites_share", "pictures",
    "validation_batches",
}  # fmt: skip
_PROMPTS = {"prompts_per_image": "per_image", "connected": "connected", "target_offset": "offset"}


@dataclass(frozen=True)
class StagePlan:
    """What a TOML file says of one stage; every entry has its place, or is refused."""

    model: ModelConfig
    data: dict[str, Any]
    run: RunSettings
    asks: StageSettings
    crops: CropPlan
    first_index: int
    lists: tuple[dict[str, Any], ...]


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every stage has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("config", type=Path, help="TOML file, for example training/lite.toml")
    add("-o", "--output", type=Path, required=True, help="folder for the results")
    add("--from", dest="start", type=Path, help="SAM's file, one of stage 1, or any checkpoint")
    add("--steps", type=int, help="updates, instead of the number in the file")
    add("--resume", action="store_true", help="go on with the run in the folder")
    add("--dry-run", action="store_true", help="measure what the run will need; keep nothing")
    add(
        "--reference-recipe",
        action="store_true",
        help="do as the published code does, its flaws included (table reference_recipe)",
    )
    add("--accelerator", default="auto", help="auto, cpu, cuda or mps")
    add("--devices", type=int, default=1, help="devices of each node")
    add("--nodes", type=int, default=1, help="nodes (torchrun or SLURM)")
    return parser


def read_settings(path: Path) -> dict[str, Any]:
    """Read the TOML file; where it names a ``base`` beside it, only what differs stands in it."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SafireError(f"The settings {path} cannot be read: {error}.") from error
    base = tables.pop("base", None)
    return tables if base is None else _over(read_settings(path.parent / base), tables)


def _over(base: dict[str, Any], tables: dict[str, Any]) -> dict[str, Any]:
    """Lay tables over others, entry by entry."""
    merged = dict(base)
    for name, value in tables.items():
        both = isinstance(value, dict) and isinstance(base.get(name), dict)
        merged[name] = _over(base[name], value) if both else value
    return merged


def read_plan(
    path: Path, stage: str, *, steps: int | None = None, reference: bool = False
) -> StagePlan:
    """Read what the file says of a stage; ``steps`` from the command line win."""
    tables = read_settings(path)
    missing = [name for name in ("model", "data", stage) if name not in tables]
    if missing:
        raise SafireError(f"{path} has no table [{'], ['.join(missing)}].")
    _check_data(path, tables["data"])
    table = dict(tables[stage])
    recipe = table.pop("reference_recipe", None)
    if reference:
        if recipe is None:
            raise SafireError(
                f"{path} has no table [{stage}.reference_recipe]: leave --reference-recipe out."
            )
        table |= recipe
    if steps is not None:
        table["steps"] = steps
    try:
        crops = CropPlan(**_take(table, CropPlan))
        prompts = PromptSettings(**{_PROMPTS[n]: table.pop(n) for n in [*table] if n in _PROMPTS})
        asks = StageSettings(**_take(table, StageSettings), prompts=prompts)
        first_index = table.pop("first_index", 0)
        lists = tuple(table.pop("lists", ()))
        pictures = tables["data"].get("pictures", {}) | _take(table, ListedSettings)
        data = tables["data"] | {"pictures": pictures}
        how = RunSettings(**_take(table, RunSettings))
        model = ModelConfig.from_dict(tables["model"])
    except (TypeError, ValueError) as error:
        raise SafireError(f"{path}, [{stage}]: {error}") from error
    if table:
        raise SafireError(f"{path}, [{stage}]: unknown entries {', '.join(table)}.")
    return StagePlan(model, data, how, asks, crops, first_index, lists)


def _check_data(path: Path, data: dict[str, Any]) -> None:
    missing, unknown = _NEEDED_DATA - data.keys(), data.keys() - _DATA
    if missing:
        raise SafireError(f"{path}, [data]: no {' and no '.join(sorted(missing))}.")
    if unknown:
        raise SafireError(f"{path}, [data]: unknown entries {', '.join(sorted(unknown))}.")


def _take(table: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Take the entries that are fields of a value; TOML's arrays become tuples."""
    names = {field.name for field in dataclasses.fields(kind)} & table.keys()
    taken = {name: table.pop(name) for name in names}
    return {n: tuple(v) if isinstance(v, list) else v for n, v in taken.items()}


def run_stage(
    make: Callable[[SafireModel, StageSettings], Stage],
    options: argparse.Namespace,
    name: str,
    *,
    prompts: bool,
) -> None:
    """Run a stage as the command line asks for it; errors of the user's are one sentence."""
    try:
        plan = read_plan(
            options.config, name, steps=options.steps, reference=options.reference_recipe
        )
        with stoppable() as stop:
            _run_stage(make, options, plan, prompts, stop)
    except (SafireError, FloatingPointError) as error:
        sys.exit(f"Error: {error}")


def _run_stage(
    make: Callable[[SafireModel, StageSettings], Stage],
    options: argparse.Namespace,
    plan: StagePlan,
    prompts: bool,
    stop: Callable[[], bool],
) -> None:
    problems: list[str] = []

    def tell(problem: str) -> None:
        problems.append(problem)
        print(f"Warning: {problem} Others take its place.", flush=True)

    source = training_batches(plan, tell, prompts=prompts)
    with launched(
        plan.run.precision,
        accelerator=options.accelerator,
        devices=options.devices,
        nodes=options.nodes,
        tensorboard=None if options.dry_run else options.output / "tensorboard",
    ) as fabric:
        if warning := slow_precision(plan.run.precision, fabric.device):
            fabric.print(f"Warning: {warning}")
        torch.manual_seed(plan.data["seed"])
        model = SafireModel(plan.model)
        if options.start:
            fresh = initialise_from(model, options.start)
            fabric.print(f"{options.start}: {len(fresh)} tensors stay fresh")
        try:
            stage = make(model, plan.asks)
        except ValueError as error:  # what shall learn is no part of this model
            raise SafireError(str(error)) from error
        if options.dry_run:
            fabric.print(estimate(fabric, stage, source, plan.run))
            return
        run(
            fabric,
            stage,
            source,
            plan.run,
            options.output,
            resume=options.resume,
            validation=validation_batches(plan, tell, prompts=prompts),
            stop=stop,
        )
    if problems:
        print(f"{len(problems)} pictures could not be used; they are named above.")
