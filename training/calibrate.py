"""Settle what a trained model's distances and confidences mean, and write the model to be shipped.

python training/calibrate.py runs/lite/last.safetensors training/lite_7.toml -o model.safetensors \\
    --originals ../shared/camera_originals.csv

Composites and untouched pieces come from photographers of the train split that the settings hold
out; never from the val split, which only reports. Of the camera originals those are used whose
photograph stands in the training's table too; training/authentic_crops.py --unlike finds the others
for tests. For the verdict alone, untouched pieces of what the model has learned from count too:
they are many, and having learned from one does not clear it (docs/lab-notes.md). All pictures
belong to one of two folds that share no photographer. Rates by kind of picture and the reliability
diagram beside the model (-calibration.svg, -calibration.csv) are cross-fitted: each picture is
judged by a calibration fitted on the other fold. The share of right numbers of sources is told
cross-fitted, too, beside that on the pictures it was fitted on. What is stored is fitted on all of
them. Exit code 0: done; 1: it failed; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from calibration_pictures import (
    DEGRADED,
    RECOMPRESSED,
    UNTOUCHED,
    KnownPicture,
    Photographs,
    composites,
    folds_of,
    originals_for_calibration,
    untouched_crops,
)
from calibration_report import (
    by_kind,
    confidence_reliability,
    describe,
    describe_more,
    draw,
    points_of,
    rates,
    verdict_reliability,
)
from calibration_seen import POINTS, Judged, Seen, look, separated
from settings import read_settings

from napari_safire.engine import Engine
from napari_safire.engine.rules import ModelRules, PatchRules, with_rules
from napari_safire.errors import DatasetError, SafireError
from napari_safire.learning.calibration import (
    calibrations_without,
    candidates_of,
    choose_threshold,
    fit_calibration,
    numbers_right,
)
from napari_safire.learning.confidence import fit_confidence
from napari_safire.learning.grouping import fit_grouping
from napari_safire.learning.temperature import (
    fit_inverse_temperature,
)
from napari_safire.model import SafireModel, load_model, save_checkpoint
from napari_safire.partitioning.grouping import GroupingRule
from napari_safire.partitioning.n_sources import ScoreWeights
from napari_safire.synthesis.photos import divide, read_photo_table
from napari_safire.synthesis.retries import NoRoom

ABOUT = {
    "name": "safire-lite",
    "licence": "BSD-3-Clause",
    "trained_on": "synthetic composites of photographs; docs/models/safire-lite.md",
}
# Twelve composites: every number of sources in both folds.
_LEAST = {"count": 12, "degraded": 0, "crops": 1, "untouched": 0, "learned": 0}
# Nothing is settled yet. The weights were measured: docs/lab-notes.md.
_UNSETTLED = {
    "patches": ModelRules(
        PatchRules(
            GroupingRule.of_weights([0.0] * 8),
            ScoreWeights(cleavage=1.0, distance=3.0, spread=4.0),
        )
    ),
    "prompts": ModelRules(),
}


def main() -> int:
    """Run the script; return its exit code."""
    parser = _parser()
    options = parser.parse_args()
    for name, least in _LEAST.items():
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}, not {getattr(options, name)}.")
    try:
        told = calibrate(options)
    except (SafireError, NoRoom, OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(told, indent=1))
    return 0


def calibrate(options: argparse.Namespace) -> dict[str, Any]:
    """Observe, fit, save; return what is to be told.

    Raises
    ------
    SafireError, ValueError
        Photographs are missing or too few, or forgeries do not look more forged than the rest.
    """
    photos = read_photographs(options)
    model = load_model(str(options.checkpoint))
    unsettled = _UNSETTLED[options.by]
    seen, unforged = look_at_all(model, unsettled, photos, options)
    settled, accuracy = settle_sources(unsettled, seen)
    of_other_fold = cross_fitted_numbers(unsettled, seen)
    basis = describe(seen, photos)
    curve = fit_confidence(
        *points_of(seen), f"fitted on {POINTS} random points in each of {basis}."
    )
    basis = describe_more(basis, unforged, photos)
    judged: list[Judged] = [*seen, *unforged]
    observations = [one.observation for one in judged]
    asked = {"false_alarm_rate": options.false_alarm_rate, "miss_rate": options.miss_rate}
    calibration = fit_calibration(observations, basis=f"calibrated on {basis}.", **asked)
    if not calibration.slope > 0:
        raise SafireError("Forgeries do not look more forged than authentic pictures: train on.")
    folds = [one.fold for one in judged]
    by_fold = calibrations_without(observations, folds, basis="the other fold.", **asked)
    drawn = {"Verdicts": verdict_reliability(judged, by_fold)}
    drawn |= dict(zip(("Confidence, raw", "Confidence"), confidence_reliability(seen), strict=True))
    model.metadata = with_rules(
        model.metadata, replace(settled, calibration=calibration, confidence=curve)
    )
    save_checkpoint(model, options.output, metadata=ABOUT)
    draw(options.output, judged, by_fold, drawn)
    known = {photo.origin for photo in photos.learned}
    return {
        "basis": basis,
        "originals_learned_from_in_other_copies": sum(p.origin in known for p in photos.originals),
        **settled.as_metadata(),
        "number_of_sources_right, as fitted": accuracy,
        "number_of_sources_right, cross-fitted": of_other_fold,
        "forged_above": calibration.forged_above,
        "highest_false_alarm_rate": calibration.highest_false_alarm_rate,
        "all, as fitted": rates(judged, dict.fromkeys(by_fold, calibration)),
        "cross-fitted": rates(judged, by_fold),
        **{
            f"cross-fitted, {name}": rates(group, by_fold)
            for name, group in by_kind(judged).items()
        },
        "expected_calibration_error": {name: one.expected_error for name, one in drawn.items()},
    }


def read_photographs(options: argparse.Namespace) -> Photographs:
    """Read the tables.

    Raises
    ------
    DatasetError
    """
    data = read_settings(options.config)["data"]
    table = [p for p in read_photo_table(Path(data["photos_csv"])) if p.split == "train"]
    learned, held_out = divide(table, data["held_out_groups"])
    if options.originals is None:
        return Photographs(held_out, [], learned)
    found = read_photo_table(options.originals, group="file")
    named = [photo for photo in found if photo.split == options.originals_split]
    originals = originals_for_calibration(named, table)
    if not originals:
        raise DatasetError(
            f"No photograph of the split {options.originals_split} of {options.originals} stands "
            f"in {data['photos_csv']} too: calibrate without --originals."
        )
    return Photographs(held_out, originals, learned)


def look_at_all(
    model: SafireModel, rules: ModelRules, photos: Photographs, options: argparse.Namespace
) -> tuple[list[Seen], list[Judged]]:
    """Show a model all pictures that the options ask for; those it has learned from come second."""
    folds = folds_of(photos.held_out, photos.originals, photos.learned)
    total = options.count + options.degraded
    pieces = len(photos.originals) * options.crops + len(photos.held_out) * options.untouched
    total += pieces * len(RECOMPRESSED)
    known = pictures(photos, folds, options)
    seen = look(Engine(model, rules=rules), known, total, options.seed)
    more = untouched_crops("learned", photos.learned, folds, options.learned, options.seed + 4)
    n_more = len(photos.learned) * options.learned * len(RECOMPRESSED)
    return seen, separated(Engine(model, rules=rules), more, n_more)


def settle_sources(rules: ModelRules, seen: Sequence[Seen]) -> tuple[ModelRules, float]:
    """Settle how sources are counted and divided.

    Returns
    -------
    settled : ModelRules
    accuracy : float
        How often their number is right on these pictures, as `choose_threshold` counts.
    """
    pieces = [one.pieces for one in seen if one.pieces is not None]
    if rules.patches is not None:
        rules = replace(rules, patches=replace(rules.patches, grouping=fit_grouping(pieces)))
        seen = [one.counted(rules) for one in seen]
    observations = [one.observation for one in seen]
    threshold, accuracy = choose_threshold(observations, candidates_of(rules))
    rules = rules.with_threshold(threshold)
    divided = [one.divided for one in seen if one.divided is not None]
    if rules.patches is not None and divided:
        fitted = fit_inverse_temperature(divided)
        rules = replace(rules, patches=replace(rules.patches, inverse_temperature=fitted))
    return rules, accuracy


def cross_fitted_numbers(rules: ModelRules, seen: Sequence[Seen]) -> float:
    """How often the number of sources is right when it is settled on the other fold.

    Parameters
    ----------
    rules : ModelRules
        Of which the rest is settled.
    seen : sequence of Seen
        In two folds, each with every number of sources.

    Returns
    -------
    float
        Each true number counts the same; NaN where all pictures are in one fold.
    """
    truths: list[int] = []
    found: list[int] = []
    for fold in sorted({one.fold for one in seen}):
        others = [one for one in seen if one.fold != fold]
        if not others:
            return math.nan
        settled, _ = settle_sources(rules, others)
        place = candidates_of(settled).index(settled.threshold)
        for one in seen:
            if one.fold == fold:
                truths.append(one.observation.n_sources)
                found.append(one.counted(settled).observation.found[place])
    return float(numbers_right(truths, np.array(found)[:, None])[0])


def pictures(
    photos: Photographs, folds: dict[str, int], options: argparse.Namespace
) -> Iterator[KnownPicture]:
    """All pictures that the options ask for, but those the model has learned from."""
    seed = options.seed
    return chain(
        composites(photos.held_out, folds, options.count, UNTOUCHED, seed),
        composites(photos.held_out, folds, options.degraded, DEGRADED, seed + 1),
        untouched_crops("originals", photos.originals, folds, options.crops, seed + 2),
        untouched_crops("photographs", photos.held_out, folds, options.untouched, seed + 3),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("config", type=Path, help="the TOML file the model was trained with")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=156, help="composites")
    parser.add_argument("--degraded", type=int, default=72, help="composites that are degraded")
    parser.add_argument("--originals", type=Path, metavar="TABLE", help="camera originals")
    parser.add_argument("--originals-split", default="train")
    parser.add_argument(
        "--crops",
        type=int,
        default=3,
        help=f"of each original, each in {len(RECOMPRESSED)} versions",
    )
    parser.add_argument(
        "--untouched",
        type=int,
        default=3,
        help="crops of each held-out photograph, likewise",
    )
    parser.add_argument(
        "--by",
        choices=tuple(_UNSETTLED),
        default="patches",
        help="how pictures are divided: by the embedding's patches, or by prompts, as published",
    )
    parser.add_argument(
        "--learned",
        type=int,
        default=1,
        help="crops of each photograph the model has learned from, likewise, for the verdict alone",
    )
    parser.add_argument(
        "--false-alarm-rate",
        type=float,
        default=0.1,
        help="of authentic pictures, in each kind and version of them",
    )
    parser.add_argument(
        "--miss-rate", type=float, default=0.05, help='of forged ones, by "no forgery found"'
    )
    parser.add_argument("--seed", type=int, default=99)
    return parser


if __name__ == "__main__":
    sys.exit(main())
