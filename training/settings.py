"""What the training scripts share: the TOML file and the photographs it names."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

from napari_safire.data.composites import CompositeSettings
from napari_safire.data.photos import bank_of, divide, read_photo_table
from napari_safire.learning.loops import Batches, StageSettings
from napari_safire.learning.streams import CropPlan, stream
from napari_safire.model import ModelConfig

# Entries of a stage's table that say which composites it sees.
_OF_THE_DATA = ("sides", "first_index")


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every training script has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", type=Path, help="TOML file, for example training/lite.toml")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--steps", type=int, help="batches, instead of the number in the file")
    parser.add_argument("--device", default="auto")
    return parser


def read_settings(path: Path) -> dict[str, Any]:
    """Read the TOML file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def stage_settings(settings: dict[str, Any], stage: str, steps: int | None) -> StageSettings:
    """Return the table of a stage; ``steps`` from the command line win."""
    table = {name: value for name, value in settings[stage].items() if name not in _OF_THE_DATA}
    return StageSettings(**(table | ({"steps": steps} if steps else {})))


def model_config(settings: dict[str, Any]) -> ModelConfig:
    """Return the model's sizes."""
    return ModelConfig.from_dict(settings["model"])


def training_batches(settings: dict[str, Any], stage: str) -> Batches:
    """Fresh composites of the train split, without the held-out photographers."""
    data = settings["data"]
    photos = [p for p in read_photo_table(Path(data["photos_csv"])) if p.split == "train"]
    kept, _ = divide(photos, data["held_out_groups"])
    return stream(
        bank_of(kept),
        CompositeSettings(**data.get("composites", {})),
        CropPlan(tuple(settings[stage]["sides"])),
        seed=data["seed"],
        first_index=settings[stage]["first_index"],
        workers=data["workers"],
    )
