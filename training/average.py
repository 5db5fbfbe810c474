"""Average the weights of two models of one line, the second trained on from the first.

python training/average.py safire-lite-6.safetensors runs/train7/last.safetensors -o m.safetensors

Half way between both keeps most of what the second has learned, and of what it lost by that
(Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). The result is calibrated
like any trained model (training/calibrate.py). Exit code 0: done; 1: it failed; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from napari_safire.errors import CheckpointError, SafireError
from napari_safire.model import SafireModel, load_model, save_checkpoint


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path, help="trained on from the first")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.5, help="of the second; default: half")
    options = parser.parse_args()
    if not 0 < options.share < 1:
        parser.error(f"--share must lie between 0 and 1, not {options.share}.")
    try:
        first, second = load_model(str(options.first)), load_model(str(options.second))
        save_checkpoint(averaged(first, second, options.share), options.output)
    except (SafireError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def averaged(first: SafireModel, second: SafireModel, share: float) -> SafireModel:
    """Move the first model's weights a share of the way to the second's.

    Parameters
    ----------
    first, second : SafireModel
        Of one config. Thresholds and calibrations of either are true of neither average.
    share : float
        Between 0, the first, and 1, the second.

    Returns
    -------
    SafireModel
        A new one, without metadata.

    Raises
    ------
    CheckpointError
        The models are not of one config.
    """
    if first.config != second.config:
        raise CheckpointError(
            "The two models have different sizes, so their weights have no average: give a model "
            "and one that was trained on from it."
        )
    result = SafireModel(first.config)
    others = second.state_dict()
    weights = {
        key: torch.lerp(value.double(), others[key].double(), share).to(value.dtype)
        if value.is_floating_point()
        else others[key]
        for key, value in first.state_dict().items()
    }
    result.load_state_dict(weights)
    return result


if __name__ == "__main__":
    sys.exit(main())
