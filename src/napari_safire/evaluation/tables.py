"""Results of a study as tables of words and numbers, for a terminal, a page or a file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_safire.evaluation.entries import EvaluatedEntry
from napari_safire.evaluation.study import SetScores
from napari_safire.evaluation.summary import (
    FLOORS,
    MAIN_SCORES,
    Mean,
    Share,
    differences,
    floor_of,
    summarise,
    verdict_shares,
)

NOTHING = "-"
BLANK = "floor: an answer that says nothing"
_COUNT_SCORES = ("p_miou_hungarian", "p_miou_official", "p_ari", "n_sources_right")


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names its rows.

    Parameters
    ----------
    header : tuple of str
    rows : tuple of tuple of str
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def score_table(scores: SetScores) -> Table:
    """All scores of one model: mean, interval, floor, number of images."""
    means = _means(scores)
    settings = scores.set.settings
    if (settings.kind, settings.sources) == ("sources", "given"):  # told, not found
        means = {n: m for n, m in means.items() if n not in ("n_sources_found", "n_sources_right")}
    return Table(
        ("score", "mean", "95 % interval", "floor", "images"),
        tuple(
            (
                name,
                number_cell(mean.mean),
                _interval(mean),
                number_cell(floor_of(name, means)),
                str(mean.n),
            )
            for name, mean in means.items()
        ),
    )


def model_table(scores: Sequence[SetScores]) -> Table:
    """One row a model and one for the floor; main scores of one set as columns."""
    columns = _columns(scores)
    means = [_means(of_model) for of_model in scores]
    rows = [
        (of_model.model, str(len(of_model.good())), *(mean_cell(m.get(c)) for c in columns))
        for of_model, m in zip(scores, means, strict=True)
    ]
    floors = (number_cell(floor_of(column, means[0]), 3) for column in columns)
    return Table(("model", "images", *columns), (*rows, (BLANK, "", *floors)))


def difference_table(scores: Sequence[SetScores]) -> Table:
    """One row for each model but the first: its mean difference to the first, paired."""
    first, *others = scores
    columns = _columns(scores)
    rows = []
    for other in others:
        found = differences(first.good(), other.good(), seed=first.set.settings.seed)
        images = max((mean.n for mean in found.values()), default=0)
        cells = (mean_cell(found.get(column), "+") for column in columns)
        rows.append((f"{other.model} - {first.model}", str(images), *cells))
    return Table(("difference", "images", *columns), tuple(rows))


def count_table(scores: SetScores) -> Table | None:
    """One row for each true number of sources; None where there is only one such number."""
    good = [result.scores for result in scores.good() if "n_sources_true" in result.scores]
    numbers = sorted({int(of_entry["n_sources_true"]) for of_entry in good})
    if len(numbers) < 2:
        return None
    rows = []
    for number in numbers:
        chosen = [of_entry for of_entry in good if of_entry["n_sources_true"] == number]
        means = summarise(chosen, intervals=False)
        cells = (number_cell(means[name].mean) for name in (*_COUNT_SCORES, "p_miou_floor"))
        rows.append((str(number), *cells, str(len(chosen))))
    return Table(("true sources", *_COUNT_SCORES, "p_miou_floor", "images"), tuple(rows))


def verdict_table(scores: Sequence[SetScores]) -> Table:
    """Shares of verdicts among authentic and forged images, with exact intervals."""
    rows = []
    for of_model in scores:
        for authentic, shares in verdict_shares(of_model.good()).items():
            total = shares["forged"].total
            group = f"{of_model.model}: {total} {'authentic' if authentic else 'forged'}"
            rows.append((group, *(share_cell(found) for found in shares.values())))
    return Table(("images", "called forged", "no forgery found", "inconclusive"), tuple(rows))


def group_table(
    groups: Mapping[str, Sequence[EvaluatedEntry]], columns: Sequence[str], *, seed: int = 0
) -> Table:
    """One row for each group of pictures of one model; scores with intervals, floors beside them.

    Parameters
    ----------
    groups : mapping of str to sequence of EvaluatedEntry
        Those with errors are left out.
    columns : sequence of str
        Scores.
    seed : int
        Of the bootstrap.
    """
    floored = [column for column in columns if isinstance(FLOORS.get(column), str)]
    rows = []
    for name, results in groups.items():
        good = [result.scores for result in results if result.error is None]
        means = summarise(good, seed=seed)
        cells = (mean_cell(means.get(column)) for column in columns)
        floors = (number_cell(floor_of(column, means), 3) for column in floored)
        rows.append((name, str(len(good)), *cells, *floors))
    header = ("group", "images", *columns, *(f"floor of {column}" for column in floored))
    return Table(header, tuple(rows))


def seconds_table(scores: SetScores) -> Table:
    """Mean wall time of each stage."""
    means = summarise((result.seconds for result in scores.good()), intervals=False)
    rows = tuple((stage, f"{mean.mean:.3f}") for stage, mean in means.items())
    return Table(("stage", "mean s"), rows)


def robustness_table(scores: Sequence[SetScores]) -> Table:
    """One row for each degradation and model; main scores as columns, floors beside them."""
    columns = _columns(scores)
    floored = [column for column in columns if column in ("p_miou_hungarian", "f1_fixed")]
    rows = []
    for degradation in dict.fromkeys(r.degradation for r in scores[0].results):
        for of_model in scores:
            good = of_model.good(degradation)
            means = summarise((result.scores for result in good), intervals=False)
            rows.append(
                (
                    degradation.name,
                    of_model.model,
                    str(len(good)),
                    *(number_cell(means[c].mean if c in means else math.nan) for c in columns),
                    *(number_cell(floor_of(column, means)) for column in floored),
                )
            )
    header = ("degradation", "model", "images", *columns, *(f"floor of {c}" for c in floored))
    return Table(header, tuple(rows))


SUMMARY_HEADER = (
    "set", "model", "checkpoint_sha256", "degradation", "score", "mean", "low", "high", "images",
    "floor", "difference", "difference_low", "difference_high",
)  # fmt: skip


def summary_rows(scores: Sequence[SetScores]) -> Iterator[tuple[Any, ...]]:
    """All means of all sets, models and degradations, a row each; see `SUMMARY_HEADER`.

    Differences are those to the first model of the same set.
    """
    first: dict[str, SetScores] = {}
    for of_model in scores:
        reference = first.setdefault(of_model.set.name, of_model)
        seed = of_model.set.settings.seed
        for degradation in dict.fromkeys(r.degradation for r in of_model.results):
            good = of_model.good(degradation)
            means = summarise((result.scores for result in good), seed=seed)
            apart: dict[str, Mean] = {}
            if reference is not of_model:
                apart = differences(reference.good(degradation), good, seed=seed)
            for name, mean in means.items():
                difference = apart.get(name)
                floor = floor_of(name, means)
                yield (
                    of_model.set.name, of_model.model, of_model.checkpoint_sha256,
                    degradation.name, name, mean.mean, mean.low, mean.high, mean.n,
                    "" if math.isnan(floor) else floor,
                    *((difference.mean, difference.low, difference.high)
                      if difference is not None else ("", "", "")),
                )  # fmt: skip


def of_sets(scores: Sequence[SetScores]) -> dict[str, list[SetScores]]:
    """Group by set; within each in the order of the models."""
    sets: dict[str, list[SetScores]] = {}
    for of_model in scores:
        sets.setdefault(of_model.set.name, []).append(of_model)
    return sets


def _means(scores: SetScores) -> dict[str, Mean]:
    good = (result.scores for result in scores.good())
    return summarise(good, seed=scores.set.settings.seed)


def _columns(scores: Sequence[SetScores]) -> tuple[str, ...]:
    """Main scores that any entry of the set has and that say something."""
    settings = scores[0].set.settings
    there = {name for s in scores for result in s.results for name in result.scores}
    if settings.sources == "given":
        there.discard("n_sources_right")  # right by itself
    return tuple(name for name in MAIN_SCORES[settings.kind] if name in there)


def number_cell(value: float, digits: int = 4, sign: str = "") -> str:
    """A number, or `NOTHING` where it is not defined."""
    return NOTHING if math.isnan(value) else f"{value:{sign}.{digits}f}"


def _interval(mean: Mean, digits: int = 4, sign: str = "") -> str:
    return f"[{number_cell(mean.low, digits, sign)}, {number_cell(mean.high, digits, sign)}]"


def mean_cell(mean: Mean | None, sign: str = "") -> str:
    """Mean and interval with three digits, for many columns have to stand side by side."""
    return NOTHING if mean is None else f"{mean.mean:{sign}.3f} {_interval(mean, 3, sign)}"


def share_cell(found: Share) -> str:
    """Count, share and exact interval."""
    return f"{found.count} = {found.share:.1%} [{found.low:.1%}, {found.high:.1%}]"
