"""What `training/calibrate.py` says of a calibration: in words, in rates, in a diagram."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from calibration_pictures import (
    Photographs,
)
from calibration_seen import Judged, Seen

from napari_safire.atomic import atomic_path
from napari_safire.evaluation.charts import reliability_chart
from napari_safire.evaluation.results import write_table
from napari_safire.forgery import Calibration
from napari_safire.learning.confidence import fit_confidence
from napari_safire.metrics import Reliability, balanced_weights, reliability

HEADER = ("kind", "degradation", "fold", "n_sources", "statistic", "probability")


def describe(seen: Sequence[Seen], photos: Photographs) -> str:
    """Which pictures, as a part of a sentence that stands beside every verdict."""
    made = [s for s in seen if s.kind == "composites"]
    text = (
        f"{len(made)} synthetic pictures ({sum(not s.forged for s in made)} of one source, "
        f"{sum(s.degradation != 'none' for s in made)} degraded) of {len(photos.held_out)} "
        "photographs by photographers the model has not seen"
    )
    pieces = [
        f"{len(some)} untouched crops of {whose} "
        f"({sum(s.degradation != 'none' for s in some)} recompressed)"
        for kind, whose in (
            ("photographs", "these photographs"),
            ("originals", f"{len(photos.originals)} camera originals"),
        )
        if (some := [s for s in seen if s.kind == kind])
    ]
    return ", and ".join([text, *pieces])


def describe_more(basis: str, unforged: Sequence[Judged], photos: Photographs) -> str:
    """Which pictures, with those that count for the verdict only."""
    if not unforged:
        return basis
    recompressed = sum(one.degradation != "none" for one in unforged)
    return (
        f"{basis}; and {len(unforged)} ({recompressed} recompressed) of the {len(photos.learned)} "
        "photographs it has learned from"
    )


def rates(seen: Sequence[Judged], calibrations: dict[int, Calibration]) -> dict[str, Any]:
    """Shares of verdicts among authentic and forged pictures, each by its fold's calibration."""
    found: dict[str, Any] = {}
    for name, forged in (("authentic", False), ("forged", True)):
        chosen = [s for s in seen if s.forged == forged]
        if not chosen:
            continue
        judged = [(probability(s, calibrations), calibrations[s.fold]) for s in chosen]
        alarms = sum(p >= c.forged_above for p, c in judged)
        clean = sum(p <= c.clean_below and p < c.forged_above for p, c in judged)
        found[name] = {
            "pictures": len(chosen),
            "forged": alarms / len(chosen),
            "inconclusive": (len(chosen) - alarms - clean) / len(chosen),
            "no forgery found": clean / len(chosen),
        }
    return found


def verdict_reliability(
    seen: Sequence[Judged], calibrations: dict[int, Calibration]
) -> Reliability:
    """Probabilities of forgery beside what was forged; both kinds count the same."""
    forged = np.array([s.forged for s in seen])
    probabilities = [probability(s, calibrations) for s in seen]
    return reliability(probabilities, forged, weights=balanced_weights(forged))


def confidence_reliability(seen: Sequence[Seen]) -> tuple[Reliability, Reliability]:
    """Predicted beside true accuracies: as the model says them, and by the other fold's curve."""
    predicted, accuracy, calibrated = [], [], []
    for fold in sorted({s.fold for s in seen}):
        raw, true = points_of([s for s in seen if s.fold == fold])
        curve = fit_confidence(*points_of([s for s in seen if s.fold != fold]), "the other fold.")
        predicted.append(np.clip(raw, 0, 1))
        accuracy.append(true)
        calibrated.append(curve(raw))
    true = np.concatenate(accuracy)
    return (
        reliability(np.concatenate(predicted), true),
        reliability(np.concatenate(calibrated), true),
    )


def probability(one: Judged, calibrations: dict[int, Calibration]) -> float:
    return calibrations[one.fold].probability(one.observation.statistic)


def points_of(seen: Sequence[Seen]) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.concatenate([s.points.predicted for s in seen]),
        np.concatenate([s.points.accuracy for s in seen]),
    )


def by_kind(seen: Sequence[Judged]) -> dict[str, list[Judged]]:
    groups = defaultdict(list)
    for one in seen:
        groups[f"{one.kind}, {one.degradation}"].append(one)
    return groups


def draw(
    model: Path,
    seen: Sequence[Judged],
    calibrations: dict[int, Calibration],
    drawn: dict[str, Reliability],
) -> None:
    """Write the diagram and the table beside the model."""
    axes = {"Verdicts": ("probability of forgery, at even odds", "share that is forged")}
    panels = {
        title: (*axes.get(title, ("predicted accuracy", "true accuracy")), found)
        for title, found in drawn.items()
    }
    with atomic_path(model.with_name(f"{model.stem}-calibration.svg")) as temporary:
        temporary.write_text(reliability_chart(panels), encoding="utf-8")
    rows = [
        (
            s.kind, s.degradation, s.fold, s.observation.n_sources,
            f"{s.observation.statistic:.6g}", f"{probability(s, calibrations):.6g}",
        )
        for s in seen
    ]  # fmt: skip
    write_table(model.with_name(f"{model.stem}-calibration.csv"), HEADER, rows)
