"""Stage 1: region-to-region contrastive pretraining of the encoder.

python training/pretrain.py training/lite.toml -o runs/pretrain
python training/pretrain.py training/lite.toml -o runs/pretrain --resume     # after a kill
python training/pretrain.py training/lite.toml -o runs/pretrain --devices 4
"""

from __future__ import annotations

from pathlib import Path

from settings import arguments, run_stage

from napari_safire.learning.stages import pretrain


def main() -> None:
    """Run the stage."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--from", dest="start", type=Path, help="any checkpoint, or SAM's")
    options = parser.parse_args()
    run_stage(pretrain, options, "pretrain", options.start)


if __name__ == "__main__":
    main()
