"""Stage 1: region-to-region contrastive pretraining of the encoder.

python training/pretrain.py training/lite.toml -o runs/pretrain
"""

from __future__ import annotations

import torch
from settings import arguments, model_config, read_settings, stage_settings, training_batches

from napari_safire.learning.loops import pretrain
from napari_safire.model import SafireModel
from napari_safire.model.safire import resolve_device


def main() -> None:
    """Run the stage."""
    options = arguments(__doc__ or "").parse_args()
    settings = read_settings(options.config)
    stage = stage_settings(settings, "pretrain", options.steps)
    torch.manual_seed(settings["data"]["seed"])
    model = SafireModel(model_config(settings)).to(resolve_device(options.device))
    pretrain(model, training_batches(settings, "pretrain"), stage, options.output)


if __name__ == "__main__":
    main()
