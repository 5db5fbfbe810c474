"""The report of a study: one page that opens anywhere, with tables and charts beside it.

=============================  ================================================================
``report.html``                everything, for the eye; pictures by relative links
``summary.csv``                every mean of every set, model and degradation
``<set>/robustness.csv|svg``   scores under each degradation, where there are any
=============================  ================================================================
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from napari_safire import __version__
from napari_safire.atomic import atomic_path
from napari_safire.basis import ALGORITHM
from napari_safire.errors import SafireError
from napari_safire.evaluation import tables
from napari_safire.evaluation.charts import histogram_chart, robustness_chart
from napari_safire.evaluation.gallery import RANKING, VIEWS, Example
from napari_safire.evaluation.results import short_sentence, write_table
from napari_safire.evaluation.study import (
    REPORT,
    ROBUSTNESS,
    ROBUSTNESS_CHART,
    SUMMARY,
    SetScores,
    folder_name,
)
from napari_safire.evaluation.summary import MAIN_SCORES
from napari_safire.evaluation.template import render
from napari_safire.images.records.paths import recorded_path
from napari_safire.synthesis.degradations import NONE


@dataclass(frozen=True, slots=True)
class _Picture:
    """One thumbnail: where it lies, as a link, and what it shows."""

    link: str
    caption: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """One example of a gallery."""

    title: str
    reasons: tuple[str, ...]
    verdict: str
    scores: tuple[tuple[str, str], ...]
    image: str
    mask: str
    pictures: tuple[_Picture, ...]
    missing: str


@dataclass(frozen=True, slots=True)
class _OfModel:
    """What the page says of one model on one set."""

    name: str
    checkpoint_sha256: str
    scores: tables.Table
    counts: tables.Table | None
    seconds: tables.Table
    charts: tuple[str, ...]
    gallery: tuple[_Shown, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    """What the page says of one set."""

    anchor: str
    name: str
    about: str
    models: tables.Table
    differences: tables.Table | None
    verdicts: tables.Table
    robustness: tables.Table | None
    robustness_chart: str | None
    broken: tuple[str, ...]
    warnings: tuple[str, ...]
    of_models: tuple[_OfModel, ...]


def write_report(scores: Sequence[SetScores], folder: str | os.PathLike[str]) -> Path:
    """Write the report of a study.

    Parameters
    ----------
    scores : sequence of SetScores
        From `run_study`.
    folder : path-like
        The study's folder, where the thumbnails lie.

    Returns
    -------
    Path
        ``report.html``.

    Raises
    ------
    SafireError
        It cannot be written.
    """
    folder = Path(folder)
    path = folder / REPORT
    write_table(folder / SUMMARY, tables.SUMMARY_HEADER, tables.summary_rows(scores))
    sections = [_section(of_set, folder) for of_set in tables.of_sets(scores).values()]
    page = render(
        "report.html",
        title="Evaluation",
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        algorithm=ALGORITHM,
        sections=sections,
    )
    _write_text(path, page)
    return path


def _warnings(scores: SetScores, folder: Path) -> Iterator[str]:
    yield from scores.set.notes
    for result in scores.results:
        for text in result.warnings:
            yield short_sentence(text, result.entry, folder)


def _section(scores: Sequence[SetScores], folder: Path) -> _Section:
    a_set = scores[0].set
    robustness = chart = None
    if any(r.degradation != NONE for r in scores[0].results):
        place = folder / folder_name(a_set.name)
        robustness = tables.robustness_table(scores)
        chart = robustness_chart(scores, MAIN_SCORES[a_set.settings.kind][0])
        write_table(place / ROBUSTNESS, robustness.header, robustness.rows)
        _write_text(place / ROBUSTNESS_CHART, chart)
    broken = {r.number: r for of_model in scores for r in of_model.broken}
    return _Section(
        anchor=folder_name(a_set.name),
        name=a_set.name,
        about=_about(scores),
        models=tables.model_table(scores),
        differences=tables.difference_table(scores) if len(scores) > 1 else None,
        verdicts=tables.verdict_table(scores),
        robustness=robustness,
        robustness_chart=chart,
        broken=tuple(
            short_sentence(result.error or "", result.entry, folder)
            for _, result in sorted(broken.items())
        ),
        warnings=tuple(
            dict.fromkeys(text for of_model in scores for text in _warnings(of_model, folder))
        ),
        of_models=tuple(_of_model(of_model, folder) for of_model in scores),
    )


def _about(scores: Sequence[SetScores]) -> str:
    a_set = scores[0].set
    settings = a_set.settings
    authentic = sum(entry.mask is None for entry in a_set.entries)
    size = "their own size" if settings.side is None else f"{settings.side} x {settings.side}"
    number = {"given": "given to the method", "auto": "found by the method"}[settings.sources]
    sources = f" Number of sources: {number}." if settings.kind == "sources" else ""
    return (
        f"{len(a_set.entries)} pictures, {authentic} of them authentic; masks: {settings.kind}. "
        f"Scored at {size}.{sources} Seed {settings.seed}, {settings.points_per_side} x "
        f"{settings.points_per_side} prompts."
    )


def _of_model(scores: SetScores, folder: Path) -> _OfModel:
    return _OfModel(
        name=scores.model,
        checkpoint_sha256=scores.checkpoint_sha256,
        scores=tables.score_table(scores),
        counts=tables.count_table(scores),
        seconds=tables.seconds_table(scores),
        charts=tuple(_histograms(scores)),
        gallery=tuple(_shown(example, scores, folder) for example in scores.examples),
    )


def _histograms(scores: SetScores) -> list[str]:
    good = scores.good()
    main = MAIN_SCORES[scores.set.settings.kind][0]
    charts = []
    values = [r.scores[main] for r in good if main in r.scores]
    if values:
        charts.append(histogram_chart({scores.model: values}, f"Images by {main}", main))
    by_truth = {
        name: [r.scores["score"] for r in good if r.authentic == authentic and "score" in r.scores]
        for authentic, name in ((False, "forged"), (True, "authentic"))
    }
    by_truth = {name: found for name, found in by_truth.items() if found}
    if by_truth:
        charts.append(
            histogram_chart(
                by_truth,
                "Images by probability of forgery at even odds",
                "probability of forgery, at even odds",
            )
        )
    return charts


def _shown(example: Example, scores: SetScores, folder: Path) -> _Shown:
    result = example.result
    kind = scores.set.settings.kind
    names = dict.fromkeys((RANKING[kind], *MAIN_SCORES[kind], "f1_floor", "score"))
    numbers = tuple((n, f"{result.scores[n]:.3f}") for n in names if n in result.scores)
    pictures = tuple(
        _Picture(quote(path.relative_to(folder).as_posix()), VIEWS[view])
        for view, path in example.files.items()
    )
    return _Shown(
        title=result.entry.image.name,
        reasons=example.reasons,
        verdict=result.verdict or tables.NOTHING,
        scores=numbers,
        image=recorded_path(result.entry.image, folder),
        mask=(
            "none: authentic"
            if result.entry.mask is None
            else recorded_path(result.entry.mask, folder)
        ),
        pictures=pictures,
        missing=example.missing,
    )


def _write_text(path: Path, text: str) -> None:
    # A file name that is no valid Unicode must not cost the report.
    data = text.encode("utf-8", "backslashreplace")
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise SafireError(f"{path} cannot be written: {error.strerror or error}.") from error
