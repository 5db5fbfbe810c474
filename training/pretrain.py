"""Stage 1: region-to-region contrastive pretraining of the encoder.

python training/pretrain.py training/lite.toml -o runs/lite-pretrain
"""

from __future__ import annotations

import torch
from settings import arguments, model_config, read_settings, training_batches

from napari_safire.learning.loops import StageSettings, pretrain
from napari_safire.model import SafireModel
from napari_safire.model.registry import pick_device


def main() -> None:
    """Run the stage."""
    options = arguments(__doc__ or "").parse_args()
    settings = read_settings(options.config)
    stage = dict(settings["pretrain"])
    if options.steps:
        stage["steps"] = options.steps
    torch.manual_seed(settings["data"]["seed"])
    model = SafireModel(model_config(settings)).to(pick_device(options.device))
    pretrain(model, training_batches(settings, 0), StageSettings(**stage), options.output)


if __name__ == "__main__":
    main()
