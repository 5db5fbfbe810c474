"""Settle what a trained model's distances mean and write the model that is shipped.

python training/calibrate.py runs/lite/last.safetensors training/lite.toml -o model.safetensors

Composites and untouched pictures come from the held-out photographers of the train split: never
from the val split, which only reports.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from settings import read_settings

from napari_safire.data.composite_settings import CompositeSettings
from napari_safire.data.composites import compose
from napari_safire.data.photos import bank_of, divide, read_photo_table
from napari_safire.engine import Engine
from napari_safire.learning.calibration import (
    choose_source_distance,
    fit_calibration,
    observe,
)
from napari_safire.model import load_model, save_checkpoint

SHAPES = ((768, 1024), (768, 512), (640, 960))


def main() -> None:
    """Observe, fit, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("config", type=Path, help="the TOML file the model was trained with")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=160, help="pictures")
    parser.add_argument("--false-alarm-rate", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=99)
    options = parser.parse_args()
    data = read_settings(options.config)["data"]
    photos = [p for p in read_photo_table(Path(data["photos_csv"])) if p.split == "train"]
    _, held_out = divide(photos, data["held_out_groups"])
    bank = bank_of(held_out)
    model = load_model(str(options.checkpoint))
    engine = Engine(model)
    settings = CompositeSettings()
    observations = []
    for index in range(options.count):
        rng = np.random.default_rng((options.seed, index))
        n_sources = (1, 2, 1, 3, 1, 4)[index % 6]
        composite = compose(bank, SHAPES[index % len(SHAPES)], settings, rng, n_sources)
        observations.append(observe(engine, composite.pixels, n_sources))
    distance, accuracy = choose_source_distance(observations, np.arange(0.02, 1.2, 0.02).tolist())
    calibration = fit_calibration(
        observations,
        options.false_alarm_rate,
        f"calibrated on {options.count} synthetic pictures, half of them of a single source, from "
        f"{len(held_out)} photographs by photographers the model has not seen.",
    )
    forged = np.array([o.n_sources > 1 for o in observations])
    probabilities = np.array([calibration.probability(o.statistic) for o in observations])
    called = probabilities >= calibration.forged_above
    print(
        json.dumps(
            {
                "pictures": options.count,
                "photographs": len(held_out),
                "source_distance": distance,
                "number_of_sources_right": accuracy,
                "forged_called_forged": float(called[forged].mean()),
                "false_alarms": float(called[~forged].mean()),
                "inconclusive": float(((probabilities > calibration.clean_below) & ~called).mean()),
            },
            indent=1,
        )
    )
    metadata = {
        **model.metadata,
        "name": "safire-lite",
        "licence": "BSD-3-Clause",
        "trained_on": "synthetic composites of photographs; docs/models/safire-lite.md",
        # Single masks of a small model are unsure; the mean over a source's prompts is steadier.
        "representative": "consensus",
        "source_distance": distance,
        "calibration": {name: getattr(calibration, name) for name in calibration.__slots__},
    }
    save_checkpoint(model, options.output, metadata=metadata)


if __name__ == "__main__":
    main()
