"""What a stage sees: composites of photographs, pictures of lists, or both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_safire.datasets.catalogue import entries_of
from napari_safire.errors import SafireError
from napari_safire.learning.listed import ListedDataset, ListedSettings
from napari_safire.learning.prompts import PromptedCrops
from napari_safire.learning.run import BatchSource
from napari_safire.learning.streams import CompositeDataset, Crops, MixedDataset, stream
from napari_safire.synthesis.composite_settings import CompositeSettings
from napari_safire.synthesis.photos import bank_of, divide, read_photo_folder, read_photo_table

if TYPE_CHECKING:
    from settings import StagePlan

# The validation composites: far from any that a stage sees.
_VALIDATION_INDEX = 2**40


def training_batches(
    plan: StagePlan, on_problem: Callable[[str], None], *, prompts: bool
) -> BatchSource:
    """Endless batches, made by worker processes."""
    return partial(
        stream,
        _asked(plan, _training_crops(plan), prompts),
        plan.crops,
        first_index=plan.first_index,
        workers=plan.data["workers"],
        on_problem=on_problem,
    )


def validation_batches(
    plan: StagePlan, on_problem: Callable[[str], None], *, prompts: bool
) -> list[tuple[torch.Tensor, ...]]:
    """The same few batches at every call: of held-out photographers, of validation lists."""
    wanted = plan.data.get("validation_batches", 0)
    crops = _validation_crops(plan) if wanted else None
    if crops is None:
        return []
    some = stream(
        _asked(plan, crops, prompts),
        plan.crops,
        first_index=_VALIDATION_INDEX,
        workers=0,
        on_problem=on_problem,
    )
    return list(islice(some, wanted))


def _asked(plan: StagePlan, crops: Crops, prompts: bool) -> Any:
    return PromptedCrops(crops, plan.asks.prompts, plan.data["seed"]) if prompts else crops


def _training_crops(plan: StagePlan) -> Crops:
    parts: list[Crops] = [_listed(plan, table, "training") for table in plan.lists]
    weights = [float(table.get("weight", 1.0)) for table in plan.lists]
    photos = _composites(plan, held_out=False)
    if photos is not None:
        share = plan.data.get("composites_share", 0.5) if parts else 1.0
        if not 0 < share <= 1:
            raise SafireError(f"composites_share must lie in (0, 1], not {share}.")
        weights = [w / sum(weights) * (1 - share) for w in weights] + [share]
        parts.append(photos)
    if not parts:
        raise SafireError(
            "There is nothing to train on: name photos_csv, photos_folder or lists of the stage."
        )
    return parts[0] if len(parts) == 1 else MixedDataset(parts, weights, plan.data["seed"])


def _validation_crops(plan: StagePlan) -> Crops | None:
    parts: list[Crops] = [
        _listed(plan, table, "validation") for table in plan.lists if "validation" in table
    ]
    photos = _composites(plan, held_out=True)
    if photos is not None:
        parts.append(photos)
    if len(parts) < 2:
        return parts[0] if parts else None
    return MixedDataset(parts, [1.0] * len(parts), plan.data["seed"])


def _listed(plan: StagePlan, table: dict[str, Any], which: str) -> Crops:
    unknown = table.keys() - {"set", "root", "training", "validation", "weight"}
    missing = {"set", "root", "training"} - table.keys()
    if unknown or missing:
        raise SafireError(
            f"A list of the stage has {', '.join(unknown) or 'no ' + ', '.join(missing)}: it "
            "takes set, root, training, validation and weight."
        )
    root = Path(table["root"])
    # Files that are missing are told while training goes on, as all that cannot be used.
    entries = entries_of(table["set"], root, root / table[which], missing_ok=True)
    chosen = plan.data.get("pictures", {}) | {"turn": which == "training"}
    try:
        settings = ListedSettings(**chosen)
    except (TypeError, ValueError) as error:
        raise SafireError(f"[data.pictures]: {error}") from error
    return ListedDataset(entries, settings, plan.data["seed"])


def _composites(plan: StagePlan, *, held_out: bool) -> Crops | None:
    data = plan.data
    if "photos_csv" in data:
        table = read_photo_table(Path(data["photos_csv"]))
        photos = [photo for photo in table if photo.split == "train"]
    elif "photos_folder" in data:
        photos = read_photo_folder(Path(data["photos_folder"]))
    else:
        return None
    try:
        photos = divide(photos, data.get("held_out_groups", 0.0))[held_out]
        settings = CompositeSettings(**data.get("composites", {}))
    except (TypeError, ValueError) as error:
        raise SafireError(f"[data]: {error}") from error
    if held_out and not photos:
        return None
    return CompositeDataset(bank_of(photos), settings, plan.data["seed"])
