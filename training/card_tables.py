"""Tables and figures of a model card, from the folder that training/evaluate_card.py leaves."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_safire.errors import DatasetError, SafireError
from napari_safire.evaluation import EvaluatedEntry, SetScores, tables
from napari_safire.evaluation.saved_studies import read_study
from napari_safire.evaluation.summary import VERDICTS, share, verdict_shares
from napari_safire.evaluation.tables import Table
from napari_safire.metrics import Reliability, balanced_weights, reliability
from napari_safire.synthesis.degradations import NONE

STUDIES = ("compared", "compared-forged", "auto", "by-operation", "degraded", "verdicts")
PARTITION = ("p_miou_hungarian", "p_ari", "f1_fixed")
FORGERY = ("f1_fixed", "f1_best", "auc")


@dataclass(frozen=True)
class CardInputs:
    """What training/evaluate_card.py left.

    Parameters
    ----------
    folder : Path
    plan : dict
        commands.json: model, photographs, forgeries, commands by step.
    studies : dict of str to dict of str to list of SetScores
        By step and set; the model of the card first.
    confidence : (N, 2) float array
        Predicted and true accuracy of regions.
    """

    folder: Path
    plan: dict[str, Any]
    studies: dict[str, dict[str, list[SetScores]]]
    confidence: np.ndarray

    def model(self, step: str, set_name: str) -> SetScores:
        """Scores of the card's model on a set of a step."""
        return self.methods(step, set_name)[0]

    def methods(self, step: str, set_name: str) -> list[SetScores]:
        """Scores of all methods on a set of a step, the card's model first."""
        found = self.studies[step].get(set_name)
        if not found:
            raise DatasetError(
                f"The study {self.folder / step} has no set {set_name}: run training/"
                "evaluate_card.py again."
            )
        return found


def read_inputs(folder: Path, checkpoint_sha256: str) -> CardInputs:
    """Read everything, and check that all scores are those of one checkpoint.

    Raises
    ------
    DatasetError
        Something is missing or damaged.
    SafireError
        Scores of another checkpoint.
    """
    path = folder / "commands.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        if not {"model", "photos", "forgeries", "commands"} <= plan.keys():
            raise ValueError("it has other entries")
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{path} cannot be read: {error}. Make it by training/evaluate_card.py."
        ) from error
    studies = {step: read_study(folder / step) for step in STUDIES}
    for step, of_step in studies.items():
        for name, (first, *_) in of_step.items():
            if first.checkpoint_sha256 != checkpoint_sha256:
                raise SafireError(
                    f"The scores of {name} in {folder / step} are those of the checkpoint "
                    f"{first.checkpoint_sha256[:12]}, the card's is {checkpoint_sha256[:12]}: "
                    "evaluate this model into another folder."
                )
    return CardInputs(folder, plan, studies, _read_confidence(folder / "confidence.csv"))


def all_tables(inputs: CardInputs) -> dict[str, str]:
    """Tables of the card in Markdown, by name."""
    composites = inputs.methods("compared", "composites")
    forged = inputs.methods("compared-forged", "forged")
    found = {
        "composites": tables.model_table(composites),
        "composites_apart": tables.difference_table(composites),
        "forged": tables.model_table(forged),
        "forged_apart": tables.difference_table(forged),
        "forged_sets": tables.group_table(_by_data_set(inputs, forged[0]), FORGERY),
        "counts": tables.group_table(_by_count(composites[0].good()), PARTITION),
        "auto": _right_counts(inputs),
        "operations": tables.group_table(_by_operation(inputs), PARTITION),
        "degraded": tables.group_table(
            _by_degradation(inputs.model("degraded", "composites")), PARTITION
        ),
        "verdicts": _verdicts(inputs),
        "steps": Table(
            ("step", "command"),
            tuple((step, f"`{line}`") for step, line in inputs.plan["commands"].items()),
        ),
    }
    return {name: markdown(table) for name, table in found.items()}


def reliabilities(inputs: CardInputs) -> dict[str, tuple[str, str, Reliability | None]]:
    """Predictions against outcomes: by title the labels of the axes and the bins.

    Authentic and forged pictures count the same, as they do in the calibration; None where one kind
    is missing.
    """
    synthetic = [
        *inputs.model("verdicts", "authentic").good(),
        *inputs.model("compared", "composites").good(),
    ]
    real = inputs.model("compared-forged", "forged").good()
    axes = ("probability of forgery, at even odds", "share that is forged")
    predicted, observed = inputs.confidence.T
    accuracy = reliability(np.clip(predicted, 0, 1), observed)
    return {
        "Composites and untouched crops": (*axes, _of_verdicts(synthetic)),
        "Real forgeries and originals": (*axes, _of_verdicts(real)),
        "Accuracy of regions": ("predicted accuracy", "true accuracy", accuracy),
    }


def markdown(table: Table) -> str:
    """A table as Markdown has it."""
    lines = [table.header, ("---",) * len(table.header), *table.rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Records of a made data set, by the names of their pictures' files.

    Raises
    ------
    DatasetError
    """
    path = folder / "manifest.jsonl"
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {Path(record["image"]).name: record for record in records}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"The manifest {path} cannot be read: {error}. Make the data set again."
        ) from error


def _of_verdicts(results: Sequence[EvaluatedEntry]) -> Reliability | None:
    forged = np.array([not r.authentic for r in results])
    if forged.all() or not forged.any():
        return None
    return reliability(
        [r.scores["score"] for r in results], forged, weights=balanced_weights(forged)
    )


def _right_counts(inputs: CardInputs) -> Table:
    """How often the method that is told no number of sources finds the right one."""
    rows = []
    results = [r for found in inputs.studies["auto"].values() for r in found[0].good()]
    for number, group in _by_count(results).items():
        found = [int(r.scores["n_sources_found"]) for r in group]
        right = share(sum(r.scores["n_sources_right"] == 1 for r in group), len(group))
        rows.append((number, tables.share_cell(right), f"{np.mean(found):.2f}"))
    return Table(("true sources", "number right", "mean number found"), tuple(rows))


def _verdicts(inputs: CardInputs) -> Table:
    """Verdicts on every group of pictures that is authentic or forged as a whole."""
    groups: dict[str, list[EvaluatedEntry]] = {}
    for set_name, title in (("authentic", "untouched crops"), ("originals", "camera originals")):
        if set_name in inputs.studies["verdicts"]:
            found = _by_degradation(inputs.model("verdicts", set_name))
            groups |= {f"{title}, {how}": group for how, group in found.items()}
    real = inputs.model("compared-forged", "forged").good()
    groups |= {
        "originals of real forgeries": [r for r in real if r.authentic],
        "real forgeries": [r for r in real if not r.authentic],
        "composites": inputs.model("compared", "composites").good(),
    }
    rows = []
    for name, group in groups.items():
        for authentic, shares in verdict_shares(group).items():
            cells = (tables.share_cell(shares[verdict]) for verdict in VERDICTS)
            rows.append((name, "authentic" if authentic else "forged", str(len(group)), *cells))
    return Table(
        ("pictures", "they are", "images", *(f"called {verdict}" for verdict in VERDICTS)),
        tuple(rows),
    )


def _by_count(results: Iterable[EvaluatedEntry]) -> dict[str, list[EvaluatedEntry]]:
    groups: dict[int, list[EvaluatedEntry]] = defaultdict(list)
    for result in results:
        groups[int(result.scores["n_sources_true"])].append(result)
    return {str(number): groups[number] for number in sorted(groups)}


def _by_operation(inputs: CardInputs) -> dict[str, list[EvaluatedEntry]]:
    records = read_manifest(inputs.folder / "operations")
    groups: dict[str, list[EvaluatedEntry]] = defaultdict(list)
    for result in inputs.model("by-operation", "operations").good():
        name = result.entry.image.name
        if name not in records:
            raise DatasetError(f"The manifest of {inputs.folder / 'operations'} has no {name}.")
        groups[records[name]["sources"][1]["operation"]].append(result)
    return {name: groups[name] for name in sorted(groups)}


def _by_degradation(scores: SetScores) -> dict[str, list[EvaluatedEntry]]:
    names = dict.fromkeys(r.degradation for r in scores.results)
    return {"as they are" if d == NONE else d.name: scores.good(d) for d in names}


def _by_data_set(inputs: CardInputs, scores: SetScores) -> Mapping[str, list[EvaluatedEntry]]:
    """Forgeries by the first folder of their path; originals have no score to show."""
    root = Path(inputs.plan["forgeries"]).with_suffix("").resolve()
    groups: dict[str, list[EvaluatedEntry]] = defaultdict(list)
    for result in scores.good():
        if not result.authentic:
            image = result.entry.image.resolve()  # either may have been written with ".."
            inside = image.is_relative_to(root)
            name = image.relative_to(root).parts[0] if inside else "others"
            groups[name].append(result)
    return {name: groups[name] for name in sorted(groups)}


def _read_confidence(path: Path) -> np.ndarray:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(float(r["predicted"]), float(r["accuracy"])) for r in csv.DictReader(file)]
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}. Make it by training/confidence.py."
        ) from error
    except (KeyError, ValueError, TypeError) as error:
        raise DatasetError(f"{path} is no table of training/confidence.py: {error}.") from error
    if not rows:
        raise DatasetError(f"{path} has no rows: ask training/confidence.py for pictures.")
    return np.array(rows)
