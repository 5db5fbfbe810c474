"""Stage 2: point-prompted training, from the encoder of stage 1.

python training/train.py training/lite.toml --from runs/pretrain/last.safetensors -o runs/train
python training/train.py training/lite.toml -o runs/train --resume           # after a kill
torchrun --nproc-per-node 4 training/train.py training/vit_b.toml -o runs/train --devices 4 …
"""

from __future__ import annotations

from settings import arguments, run_stage

from napari_safire.learning.stages import PromptStage


def main() -> None:
    """Run the stage."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--stage", default="train", help="table of the TOML file")
    options = parser.parse_args()
    run_stage(PromptStage, options, options.stage, prompts=True)


if __name__ == "__main__":
    main()
