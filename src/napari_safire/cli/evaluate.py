"""``napari-safire evaluate``: scores on data sets, runs that can be resumed, a report."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_safire.atomic import require_writable
from napari_safire.cli.clusters import (
    ClusterOptions,
    SchedulerFileOption,
    SchedulerOption,
    WorkersOption,
    evaluation_on,
)
from napari_safire.cli.options import (
    DeviceOption,
    EvidenceOption,
    Kind,
    PointsPerSideOption,
    PrecisionOption,
    RootOption,
    SeedOption,
    SetOption,
)
from napari_safire.cli.terminal import (
    FAILED,
    complain,
    print_table,
    progress_bar,
    say,
    warn,
)
from napari_safire.errors import SafireError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_safire.engine import Engine
    from napari_safire.evaluation import (
        EvaluatedEntry,
        EvaluationSet,
        ScoringSettings,
        SetScores,
        Study,
    )
    from napari_safire.evaluation.study import Evaluate
    from napari_safire.synthesis.degradations import Degradation

_MOST_WARNINGS = 20  # on the terminal


ListsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="LIST...",
        help="Lines of image,mask; mask None = authentic. With --set also the set's folder.",
    ),
]
KindOption = Annotated[
    Kind,
    typer.Option(
        "--kind",
        help="Masks: grey 50 x source, or forged where not black. `data check` tells which fits.",
    ),
]
SourcesOption = Annotated[
    Literal["given", "auto"],
    typer.Option("--sources", help="Tell the true number of sources, or let it be found."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FOLDER|FILE.csv",
        help="Folder for scores, tables and report.html, where the same command goes on after "
        "a stop; or a file for the scores per image alone.",
    ),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only the first N entries of each list.")
]
SideOption = Annotated[
    int | None,
    typer.Option("--at", help="Squash to N x N pixels first; the published tables have 1024."),
]
RobustnessOption = Annotated[
    bool, typer.Option("--robustness", help="Also under blur, noise, JPEG, gamma, resizing …")
]
DegradationsOption = Annotated[
    list[str] | None,
    typer.Option("--degradation", metavar="NAME", help="Also under this one: jpeg-75, blur-7."),
]
ExamplesOption = Annotated[
    int, typer.Option("--worst", min=0, max=200, help="Pictures of each kind in the report.")
]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="A model's name (see `models list`) or file; repeatable, differences are taken "
        "against the first. Default: safire-lite.",
    ),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", min=1, max=64, help="Pictures worked on at once.")
]


def evaluate(
    lists: ListsArgument,
    root: RootOption = None,
    kind: KindOption = "sources",
    set_name: SetOption = None,
    sources: SourcesOption = "given",
    output: OutputOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    points_per_side: PointsPerSideOption = 16,
    side: SideOption = None,
    robustness: RobustnessOption = False,
    degradations: DegradationsOption = None,
    examples: ExamplesOption = 8,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    evidence: EvidenceOption = "all",
    jobs: JobsOption = 1,
    workers: WorkersOption = 0,
    scheduler: SchedulerOption = "",
    scheduler_file: SchedulerFileOption = "",
) -> None:
    """Score models on lists of images and masks: means with 95 % bootstrap intervals."""
    from napari_safire.datasets.catalogue import find_set
    from napari_safire.evaluation import ScoringSettings, Study

    models = models or ["safire-lite"]
    table, folder = _outputs(output, len(lists) * len(models))
    if set_name is not None:
        kind = find_set(set_name)[0].rule.kind
    settings = ScoringSettings(kind, sources, seed, points_per_side, side, evidence)
    study = Study(
        sets_of_lists(lists, root, set_name, limit, settings),
        tuple(models),
        _degradations(robustness, degradations or []),
        folder,
        jobs,
        examples,
    )
    cluster = ClusterOptions(workers, scheduler, scheduler_file)
    with evaluation_on(cluster, device, precision) as ways:
        scores = _run(study, table, *ways)
    # Written before anything is printed: whoever reads stdout may be gone, or not know a letter.
    written = ""
    if table is not None:
        written = f"Scores per image: {_write_table(table, scores[0].results)}"
    if folder is not None:
        from napari_safire.evaluation.report import write_report

        written = f"Report: {write_report(scores, folder).resolve()}"
    show_scores(scores)
    if written:
        say()
        say(written)
    if any(of_model.broken for of_model in scores):
        raise typer.Exit(FAILED)


def _outputs(output: Path | None, n_results: int) -> tuple[Path | None, Path | None]:
    """Table or folder, whichever was asked for."""
    if output is not None and output.suffix.lower() == ".csv":
        _check_table(output, n_results)
        return output, None
    if output is not None and os.path.exists(output) and not os.path.isdir(output):
        raise typer.BadParameter(
            f"{output} is a file: give a folder, or a name that ends in .csv.",
            param_hint="--output",
        )
    return None, output


def _run(
    study: Study, table: Path | None, open_model: Callable[[str], Engine], evaluate: Evaluate
) -> list[SetScores]:
    """Run a study; what was scored before a stop is saved, or told how to go on with."""
    from napari_safire.evaluation import run_study

    scored: list[EvaluatedEntry] = []
    try:
        with progress_bar("evaluating") as show:
            return run_study(study, open_model, show, scored.append, evaluate)
    except BaseException as error:
        if table is not None and scored:
            _write_partial(table, scored)
        elif study.folder is not None and isinstance(error, KeyboardInterrupt):
            say("Stopped: the same command goes on where it was.", err=True)
        raise


def _write_partial(table: Path, results: Sequence[EvaluatedEntry]) -> None:
    """Save what was scored before a stop, under a name that says so."""
    from napari_safire.evaluation import write_results
    from napari_safire.evaluation.entries import in_list_order

    partial = table.with_name(f"{table.stem[:80]}-stopped{table.suffix}")
    write_results(partial, in_list_order(results))
    warn(f"{len(results)} pictures were scored before the stop: {partial}.")


def _write_table(table: Path, results: Sequence[EvaluatedEntry]) -> Path:
    """Write the scores of each image, elsewhere if need be: they took long."""
    from napari_safire.evaluation import write_results

    try:
        return write_results(table, results).resolve()
    except SafireError as error:
        rescued = Path(tempfile.mkdtemp(prefix="napari-safire-")) / table.name
        raise SafireError(
            f"{error} The scores are in {write_results(rescued, results)}."
        ) from error


def _check_table(table: Path, n_results: int) -> None:
    if os.path.isdir(table) or not os.path.isdir(table.absolute().parent):
        raise typer.BadParameter(
            f"{table} cannot be a file: give its name in a folder that exists.",
            param_hint="--output",
        )
    require_writable(table)
    if n_results > 1:
        raise typer.BadParameter(
            f"{table} holds one list scored by one model: give a folder for several.",
            param_hint="--output",
        )


def sets_of_lists(
    lists: Sequence[Path],
    root: Path | None,
    set_name: str | None,
    limit: int | None,
    settings: ScoringSettings,
) -> tuple[EvaluationSet, ...]:
    """Read lists as sets, named by their folders or files."""
    from napari_safire.datasets.catalogue import read_entries
    from napari_safire.evaluation import EvaluationSet
    from napari_safire.evaluation.study import short_names

    sets = []
    # make_dataset calls every list "list": its folder says more
    told = [str(p.absolute().parent if p.stem == "list" else p) for p in lists]
    for path, name in zip(lists, short_names(told), strict=True):
        listed = read_entries(path, root, set_name)
        sets.append(EvaluationSet(name, listed.entries[:limit], settings, listed.notes))
    return tuple(sets)


def _degradations(whole_grid: bool, names: Sequence[str]) -> tuple[Degradation, ...]:
    from napari_safire.synthesis.degradations import GRID, NONE, Degradation

    return (NONE, *(GRID if whole_grid else ()), *(Degradation.parse(name) for name in names))


def show_scores(scores: Sequence[SetScores]) -> None:
    """Print all tables of a study; complain of what is broken."""
    from napari_safire.evaluation import tables

    sets = tables.of_sets(scores)
    for name, of_set in sets.items():
        if len(sets) > 1:
            say()
            say(name)
        for error in dict.fromkeys(r.error for of_model in of_set for r in of_model.broken):
            complain(error)
        warnings = dict.fromkeys(text for of_model in of_set for text in of_model.warnings)
        for text in list(warnings)[:_MOST_WARNINGS]:
            warn(text)
        if len(warnings) > _MOST_WARNINGS:
            warn(f"and {len(warnings) - _MOST_WARNINGS} more, which report and tables hold.")
        for of_model in of_set:
            _show_model(of_model, several=len(of_set) > 1)
        if len(of_set) > 1:
            for table in (tables.model_table(of_set), tables.difference_table(of_set)):
                say()
                print_table(list(table.rows), table.header)
        if len({r.degradation for r in of_set[0].results}) > 1:
            say()
            table = tables.robustness_table(of_set)
            print_table(list(table.rows), table.header)


def _show_model(scores: SetScores, *, several: bool) -> None:
    from napari_safire.evaluation import tables
    from napari_safire.evaluation.summary import verdict_shares

    good = scores.good()
    who = f"{scores.model}: " if several else ""
    settings = scores.set.settings
    kind = settings.kind
    given = (kind, settings.sources) == ("sources", "given")
    told = "; numbers of sources given" if given else ""
    say(f"{who}{len(good)} images scored, {len(scores.broken)} broken; masks read as {kind}{told}")
    if not good:
        return
    for table in (tables.score_table(scores), tables.count_table(scores)):
        if table is not None:
            print_table(list(table.rows), table.header)
            say()
    seconds = tables.seconds_table(scores)
    print_table(list(seconds.rows), seconds.header)
    for authentic, shares in verdict_shares(good).items():
        called = shares["forged"]
        say(
            f"{called.total} {'authentic' if authentic else 'forged'} images: {called.count} "
            f"called forged ({called.share:.1%}, 95 % interval {called.low:.1%} to "
            f"{called.high:.1%}), {shares['no forgery found'].count} no forgery found, "
            f"{shares['inconclusive'].count} inconclusive"
        )
