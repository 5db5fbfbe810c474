"""Stage 2: point-prompted training of the whole model, from the encoder of stage 1.

python training/train.py training/lite.toml --from runs/pretrain/last.safetensors -o runs/train
python training/train.py training/lite.toml -o runs/train --resume           # after a kill
torchrun --nproc-per-node 4 training/train.py training/lite.toml -o runs/train --devices 4 …
"""

from __future__ import annotations

from pathlib import Path

from settings import arguments, run_stage

from napari_safire.learning.stages import train


def main() -> None:
    """Run the stage."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--stage", default="train", help="table of the TOML file")
    parser.add_argument("--from", dest="start", type=Path, help="checkpoint of stage 1, or SAM's")
    options = parser.parse_args()
    run_stage(train, options, options.stage, options.start)


if __name__ == "__main__":
    main()
