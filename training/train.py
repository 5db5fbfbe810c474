"""Stage 2: point-prompted training of the whole model, from the encoder of stage 1.

python training/train.py training/lite.toml --from runs/pretrain/last.safetensors -o runs/train
"""

from __future__ import annotations

from pathlib import Path

import torch
from settings import arguments, model_config, read_settings, stage_settings, training_batches

from napari_safire.learning.loops import train
from napari_safire.model import SafireModel, initialise_from
from napari_safire.model.safire import resolve_device


def main() -> None:
    """Run the stage."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--stage", default="train", help="table of the TOML file")
    parser.add_argument("--from", dest="start", type=Path, help="checkpoint of stage 1, or SAM's")
    options = parser.parse_args()
    settings = read_settings(options.config)
    stage = stage_settings(settings, options.stage, options.steps)
    torch.manual_seed(settings["data"]["seed"])
    model = SafireModel(model_config(settings))
    if options.start:
        fresh = initialise_from(model, options.start)
        print(f"{options.start}: {len(fresh)} tensors stay fresh")
    model.to(resolve_device(options.device))
    batches = training_batches(settings, options.stage)
    train(model, batches, stage, options.output)


if __name__ == "__main__":
    main()
