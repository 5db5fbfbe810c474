"""``napari-safire review``: reports of pictures, with all that a viewer would be asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_safire.cli.options import (
    AuthorOption,
    DeviceOption,
    EvidenceOption,
    ImagesArgument,
    JsonOption,
    ModelOption,
    SeedOption,
)
from napari_safire.cli.pictures import named_pictures
from napari_safire.cli.terminal import (
    FAILED,
    WRONG_USE,
    complain,
    open_engine,
    progress_bar,
    say,
    warn,
)
from napari_safire.errors import Cancelled, SafireError, sentence

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.review.analysis import Analysis
    from napari_safire.review.report.write import WrittenReport
    from napari_safire.review.settings import AnalysisSettings
    from napari_safire.review.values import CaseDescription

Copies = Literal["all", "quick", "none"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a command asks of every picture."""

    output: Path
    case: Path | None
    reviewer: str | None
    description: CaseDescription
    settings: AnalysisSettings
    model: str
    made_at: datetime | None
    language: str
    overwrite: bool


CaseOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="A case or project; default: one beside each report."),
]
TimestampOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Told as the time of making, ISO 8601; default: SOURCE_DATE_EPOCH, else now.",
    ),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace reports; cases are gone on with.")
]
StabilityOption = Annotated[
    Copies, typer.Option(help="Changed copies that the partition is tried on.")
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="One folder in it for each picture.")
]


def review(
    images: ImagesArgument,
    output: OutputOption,
    case: CaseOption = None,
    reviewer: AuthorOption = None,
    number: Annotated[str, typer.Option(help="Of the case, if it is begun now.")] = "",
    question: Annotated[str, typer.Option(help="To be answered, if the case is begun now.")] = "",
    model: ModelOption = "safire-lite",
    device: DeviceOption = "auto",
    evidence: EvidenceOption = "all",
    stability: StabilityOption = "quick",
    seed: SeedOption = 0,
    language: Annotated[str, typer.Option(help="Of HTML and PDF: en, de.")] = "en",
    timestamp: TimestampOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a report of each picture: HTML, PDF and JSON, as the Review dock does.

    It holds what the case says too: findings and verdicts of people, if there are any. The same
    case, time and versions give the same bytes. With --json each picture is one line. Exit code 1
    if any picture failed, 2 if there are reports already.
    """
    from napari_safire.review.report.making import time_of_making
    from napari_safire.review.settings import AnalysisSettings
    from napari_safire.review.values import CaseDescription
    from napari_safire.settings import PartitionSettings

    wanted = _Wanted(
        output,
        case,
        reviewer,
        CaseDescription(number=number, question=question),
        AnalysisSettings(PartitionSettings(seed=seed), evidence=evidence, stability=stability),
        model,
        None if timestamp is None else _time(timestamp),
        language,
        overwrite,
    )
    if timestamp is None:
        time_of_making()  # a wrong one in the environment is told before any work
    _refuse_unknown_language(language)
    pictures = named_pictures(images)
    _refuse_existing(wanted, [base for _, base in pictures])
    failed = not pictures
    engine = open_engine(model, device) if pictures else None
    for path, base in pictures:
        assert engine is not None
        try:
            told, problem = _reported(path, base, engine, wanted)
        except Cancelled:
            raise
        except (SafireError, OSError, ValueError) as error:
            told, problem = {"picture": str(path)}, sentence(error)
        if problem:
            failed = True
            complain(problem if str(path) in problem else f"{path}: {problem}")
        _tell(told | {"problem": problem}, as_json=as_json)
    if failed:
        raise typer.Exit(FAILED)


def _reported(path: Path, base: str, engine: Engine, wanted: _Wanted) -> tuple[dict[str, Any], str]:
    """Analyse a picture and write its report; gives what is told of it, and what is wrong."""
    from napari_safire.review.analysis import analyse
    from napari_safire.review.case import open_case
    from napari_safire.review.proof.originals import CASE
    from napari_safire.review.report.making import report_on

    folder = wanted.output / base
    with progress_bar(path.name) as show:
        analysis = analyse(path, engine, wanted.settings, model_name=wanted.model, progress=show)
        case = open_case(
            wanted.case or folder / CASE,
            path,
            description=wanted.description,
            reviewer=wanted.reviewer,
        )
        with closing(case.project):
            written = report_on(
                case,
                analysis,
                folder,
                made_at=wanted.made_at,
                device=str(engine.model.device),
                overwrite=wanted.overwrite,
                language=wanted.language,
                progress=show,
            )
    return _summary(path, case.project.folder, analysis, written), analysis.picture.why_no_pixels


def _summary(path: Path, case: Path, analysis: Analysis, written: WrittenReport) -> dict[str, Any]:
    forgery, partition = analysis.forgery, analysis.partition
    return {
        "picture": str(path),
        "report": str(written.json),
        "html": str(written.html),
        "pdf": str(written.pdf),
        "case": str(case),
        "digest": written.digest,
        "n_sources": None if partition is None else partition.n_sources,
        "verdict": None if forgery is None else forgery.verdict,
        "likelihood_ratio": None if forgery is None else forgery.likelihood_ratio,
        "limitations": [one.words for one in analysis.limitations],
    }


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(told))
    elif "report" in told:
        verdict = told["verdict"] or "no verdict"
        number = told["n_sources"]
        sources = "" if number is None else f", {number} source{'' if number == 1 else 's'}"
        say(f"{told['picture']}: {verdict}{sources} -> {told['html']}")


def _refuse_existing(wanted: _Wanted, bases: Sequence[str]) -> None:
    from napari_safire.review.report.write import refuse_existing

    problems = []
    for base in bases:
        try:
            refuse_existing(wanted.output / base, wanted.overwrite)
        except SafireError as error:
            problems.append(error)
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(WRONG_USE)
    if wanted.overwrite:
        replaced = [base for base in bases if (wanted.output / base / "report.json").exists()]
        for base in replaced:
            warn(f"The report in {wanted.output / base} is replaced.")


def _refuse_unknown_language(language: str) -> None:
    from napari_safire.review.report.catalogue import languages

    if language not in languages():
        raise typer.BadParameter(
            f"there are no texts in {language!r}: give one of {', '.join(languages())}.",
            param_hint="--language",
        )


def _time(text: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
        return (given if given.tzinfo is not None else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time: give ISO 8601, such as 2026-11-29T10:05:00Z.",
            param_hint="--timestamp",
        ) from error
