"""Stage 1: region-to-region contrastive pretraining of the encoder.

python training/pretrain.py training/lite.toml -o runs/pretrain
python training/pretrain.py training/lite.toml -o runs/pretrain --resume     # after a kill
python training/pretrain.py training/vit_b.toml --from sam_vit_b.pth -o runs/pretrain --devices 4
"""

from __future__ import annotations

from settings import arguments, run_stage

from napari_safire.learning.stages import ContrastStage

if __name__ == "__main__":
    run_stage(ContrastStage, arguments(__doc__ or "").parse_args(), "pretrain", prompts=False)
