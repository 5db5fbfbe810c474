"""Tables of how well evidence tells forged pictures from authentic ones, before and after."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from evidence_looks import Look
from evidence_pictures import EDITED, PLANTED
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score, roc_curve

from napari_safire.evaluation.charts import Roc, roc_chart
from napari_safire.forgery import ForgeryMap
from napari_safire.images.lists import ListEntry
from napari_safire.images.truth import read_truth
from napari_safire.metrics import f1_fixed
from napari_safire.partitioning.combination import CombinationRule

_N_BOOTSTRAP = 1000
Truths = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]
_ALARMS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, eq=False)
class Judged:
    """A look with the verdict of all evidence, by a rule that has not seen its fold.

    Parameters
    ----------
    look : Look
    forgery : ForgeryMap
    """

    look: Look
    forgery: ForgeryMap


def is_real(kind: str) -> bool:
    """Whether forgeries of this kind were made by others, for a purpose other than this one."""
    return kind not in PLANTED


def write_tables(judged: Sequence[Judged], rule: CombinationRule, target: Path, chart: Path) -> str:
    """Write all tables as Markdown, and ROC curves as SVG.

    Parameters
    ----------
    judged : sequence of Judged
    rule : CombinationRule
        Fitted on all folds: the one that is stored.
    target, chart : Path

    Returns
    -------
    str
        What was written.
    """
    forged = [one for one in judged if one.look.known.forged]
    authentic = [one for one in judged if not one.look.known.forged]
    parts = [
        "# Evidence: figures\n\nMade by `training/weigh_evidence.py`; every rate is cross-fitted.",
        "## Forged pictures\n\n" + _forged_table(forged),
        "## Authentic pictures\n\n" + _authentic_table(authentic),
        "## In all\n\n" + _whole(judged),
        f"## At every threshold\n\n![ROC curves]({os.path.relpath(chart, target.parent)})\n\n"
        "Thresholds of this table are read off the same pictures; those of a verdict are not.\n\n"
        + _roc_table(judged),
        "## Each kind of evidence by itself\n\n" + _views_table([j.look for j in judged], rule),
    ]
    text = "\n\n".join(parts) + "\n"
    target.write_text(text, encoding="utf-8")
    chart.write_text(roc_chart(_rocs(judged)), encoding="utf-8")
    return text


def _forged_table(judged: Sequence[Judged]) -> str:
    lines = [
        "| set | pictures | called forged, network alone | all evidence | F1, network alone | "
        "all evidence |",
        "|---|---|---|---|---|---|",
    ]
    for name, some in _by_kind(judged):
        before, after = ([_f1(j, of) for j in some] for of in (_alone, _combined))
        lines.append(
            f"| {name} | {len(some)} | {_share([_alone(j) for j in some])} | "
            f"{_share([_combined(j) for j in some])} | {_mean(before)} | {_mean(after)} |"
        )
    return "\n".join(lines)


def _authentic_table(judged: Sequence[Judged]) -> str:
    lines = [
        "| kind | pictures | called forged, network alone | all evidence | called clean |",
        "|---|---|---|---|---|",
    ]
    for name, some in _by_kind(judged):
        clean = sum(j.forgery.verdict == "no forgery found" for j in some)
        lines.append(
            f"| {name} | {len(some)} | {_share([_alone(j) for j in some])} | "
            f"{_share([_combined(j) for j in some])} | {clean} |"
        )
    return "\n".join(lines)


def _real(judged: Sequence[Judged]) -> list[Judged]:
    """Authentic pictures, and forgeries that were not planted for this."""
    return [j for j in judged if not j.look.known.forged or is_real(j.look.known.kind)]


def _rated(judged: Sequence[Judged]) -> dict[str, dict[str, tuple[Truths, Scores]]]:
    """Truths and scores of the verdict, and of each kind of evidence where it applies."""
    real = _real(judged)
    every = np.array([j.look.known.forged for j in real], bool)
    verdicts = {
        name: (every, np.array([of(j).score for j in real]))
        for name, of in (("network alone", _alone), ("all evidence", _combined))
    }
    parts = {}
    for name in real[0].look.findings:
        scores = np.array([j.look.scores[name] for j in real], float)  # nan: does not apply
        known = ~np.isnan(scores)
        if 0 < every[known].sum() < known.sum():
            parts[name] = every[known], scores[known]
    return {"The verdict": verdicts, "Each view, where it applies": parts}


def _rocs(judged: Sequence[Judged]) -> dict[str, dict[str, Roc]]:
    return {
        title: {name: roc_curve(*both)[:2] for name, both in rated.items()}
        for title, rated in _rated(judged).items()
    }


def _roc_table(judged: Sequence[Judged]) -> str:
    """Found forgeries at some shares of false alarms: the numbers of the curves."""
    lines = [
        "| found at false alarms of at most | forged | authentic | "
        + " | ".join(f"{100 * at:g} %" for at in _ALARMS) + " |",
        "|---" * (len(_ALARMS) + 3) + "|",
    ]  # fmt: skip
    for rated in _rated(judged).values():
        for name, (truth, scores) in rated.items():
            alarms, found, _ = roc_curve(truth, scores)
            at = [found[alarms <= share].max() for share in _ALARMS]
            lines.append(
                f"| {name} | {truth.sum()} | {(~truth).sum()} | "
                + " | ".join(f"{100 * one:.0f} %" for one in at) + " |"
            )  # fmt: skip
    return "\n".join(lines)


def _whole(judged: Sequence[Judged]) -> str:
    """AUC of real forgeries against every authentic picture, each kind counting the same."""
    real = _real(judged)
    lines = ["| | image AUC | 95 % |", "|---|---|---|"]
    for name, of in (("network alone", _alone), ("all evidence", _combined)):
        scores = np.array([of(j).score for j in real])
        truth = np.array([j.look.known.forged for j in real])
        groups = np.array([j.look.known.group for j in real])
        low, high = _auc_interval(truth, scores, groups)
        lines.append(f"| {name} | {roc_auc_score(truth, scores):.3f} | {low:.3f} to {high:.3f} |")
    return "\n".join(lines)


def _views_table(looks: Sequence[Look], rule: CombinationRule) -> str:
    lines = [
        "| evidence | weight | limit | applies to | AUC | found at 5 % false alarms | "
        "F1 of its region where it has one | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    real = [one for one in looks if not one.known.forged or is_real(one.known.kind)]
    for name in looks[0].scores:
        term = rule.terms.get(name)
        applied = [one for one in real if one.scores[name] is not None]
        truth = np.array([one.known.forged for one in applied], bool)
        scores = np.array([one.scores[name] for one in applied], float)
        auc, power = float("nan"), float("nan")
        if truth.any() and not truth.all():
            auc = roc_auc_score(truth, scores)
            power = float((scores[truth] > np.quantile(scores[~truth], 0.95)).mean())
        regions = [_region_f1(one, name) for one in applied if one.known.forged]
        lines.append(
            f"| {name} | {0 if term is None else term.weight:.3g} | "
            f"{0 if term is None else term.high:.3g} | {len(applied)} of {len(real)} | {auc:.3f} | "
            f"{100 * power:.0f} % | {_mean([f1 for f1 in regions if f1 is not None])} | "
            f"{np.mean([one.seconds[name] for one in looks]):.1f} |"
        )
    return "\n".join(lines)


def _region_f1(look: Look, name: str) -> float | None:
    finding = look.findings.get(name)
    if finding is None or finding.region is None:
        return None
    return f1_fixed(_truth(look), finding.region.astype(np.float32))


def _alone(judged: Judged) -> ForgeryMap:
    return judged.look.forgery


def _combined(judged: Judged) -> ForgeryMap:
    return judged.forgery


def _f1(judged: Judged, of: Callable[[Judged], ForgeryMap]) -> float:
    return f1_fixed(_truth(judged.look), of(judged).heatmap)


def _truth(look: Look) -> npt.NDArray[np.bool_]:
    entry = ListEntry(look.known.path, Path(look.known.mask))
    return read_truth(entry, "binary", shape=look.forgery.heatmap.shape).labels.astype(bool)


def _by_kind(judged: Sequence[Judged]) -> list[tuple[str, list[Judged]]]:
    kinds: Mapping[str, list[Judged]] = {}
    for one in judged:
        kinds.setdefault(one.look.known.kind, []).append(one)  # type: ignore[attr-defined]
    rows = list(kinds.items())
    real = [one for one in judged if is_real(one.look.known.kind)]
    made = [one for one in real if one.look.known.kind not in EDITED.values()]
    if len(real) != len(judged):
        rows += [("**real forgeries**", made), ("**with network edits**", real)]
    return rows


def _share(found: Sequence[ForgeryMap]) -> str:
    """Called forged, with the exact (Clopper and Pearson) interval."""
    count = sum(one.verdict == "forged" for one in found)
    interval = binomtest(count, len(found)).proportion_ci()
    return (
        f"{100 * count / len(found):.0f} % ({100 * interval.low:.0f} to {100 * interval.high:.0f})"
    )


def _mean(values: Sequence[float]) -> str:
    array = np.asarray(values)
    array = array[~np.isnan(array)]  # masks so thin that the band of the metric takes all of them
    if array.size == 0:
        return "none"
    rng = np.random.default_rng(0)
    means = array[rng.integers(0, len(array), (_N_BOOTSTRAP, len(array)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{array.mean():.3f} ({low:.2f} to {high:.2f})"


def _auc_interval(
    truth: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], groups: npt.NDArray[np.str_]
) -> tuple[float, float]:
    """Bootstrap over groups: pictures of one origin are no independent observations."""
    names, places = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(places == number) for number in range(len(names))]
    rng = np.random.default_rng(0)
    found = []
    for _ in range(_N_BOOTSTRAP):
        drawn = np.concatenate([members[n] for n in rng.integers(0, len(names), len(names))])
        if 0 < truth[drawn].sum() < len(drawn):
            found.append(roc_auc_score(truth[drawn], scores[drawn]))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
