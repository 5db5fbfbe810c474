"""``napari-safire evaluate``: scores on data sets, runs that can be resumed, a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_safire.cli.terminal import (
    FAILED,
    DeviceOption,
    PrecisionOption,
    SeedOption,
    complain,
    open_engine,
    print_table,
    progress_bar,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_safire.curation.evaluation import EvaluationSet, ScoringSettings, SetScores
    from napari_safire.data.degradations import Degradation


def evaluate(
    lists: Annotated[
        list[Path],
        typer.Argument(
            metavar="LIST...",
            help="Lines of image,mask; mask None = authentic. With --set also the set's folder.",
        ),
    ],
    root: Annotated[
        Path | None, typer.Option("--root", help="Folder of its paths; default: the list's own.")
    ] = None,
    kind: Annotated[
        Literal["sources", "binary"],
        typer.Option("--kind", help="Masks: grey 50 x source, or forged where not black."),
    ] = "sources",
    set_name: Annotated[
        str | None,
        typer.Option("--set", help="A published data set, which says what masks mean: IMD2020, …"),
    ] = None,
    sources: Annotated[
        Literal["given", "auto"],
        typer.Option("--sources", help="Tell the true number of sources, or let it be found."),
    ] = "given",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER|FILE.csv",
            help="Folder for scores, tables and report.html, where the same command goes on after "
            "a stop; or a file for the scores per image alone.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first N entries of each list.")
    ] = None,
    seed: SeedOption = 0,
    points_per_side: Annotated[
        int, typer.Option("--points-per-side", min=1, max=128, help="Prompts along each side.")
    ] = 16,
    side: Annotated[
        int | None,
        typer.Option("--at", help="Squash to N x N pixels first; the published tables have 1024."),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also under blur, noise, JPEG, gamma, resizing …")
    ] = False,
    degradations: Annotated[
        list[str] | None,
        typer.Option("--degradation", metavar="NAME", help="Also under this one: jpeg-75, blur-7."),
    ] = None,
    examples: Annotated[
        int, typer.Option("--worst", min=0, max=200, help="Pictures of each kind in the report.")
    ] = 8,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A model's name (see `models list`) or file; repeatable, differences are taken "
            "against the first. Default: safire-lite.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, max=64, help="Pictures worked on at once.")
    ] = 1,
) -> None:
    """Score models on lists of images and masks: means with 95 % bootstrap intervals."""
    from napari_safire.curation.evaluation import ScoringSettings, Study, run_study
    from napari_safire.data.datasets import find_set

    models = models or ["safire-lite"]
    table = output if output is not None and output.suffix.lower() == ".csv" else None
    folder = output if table is None else None
    if table is not None:
        _check_table(table, len(lists) * len(models))
    elif folder is not None and folder.exists() and not folder.is_dir():
        raise typer.BadParameter(
            f"{folder} is a file: give a folder, or a name that ends in .csv.",
            param_hint="--output",
        )
    if set_name is not None:
        kind = find_set(set_name)[0].rule.kind
    settings = ScoringSettings(kind, sources, seed, points_per_side, side)
    study = Study(
        sets_of_lists(lists, root, set_name, limit, settings),
        tuple(models),
        _degradations(robustness, degradations or []),
        folder,
        jobs,
        examples,
    )
    try:
        with progress_bar("evaluating") as show:
            scores = run_study(study, lambda model: open_engine(model, device, precision), show)
    except KeyboardInterrupt:
        if folder is not None:
            say("Stopped: the same command goes on where it was.", err=True)
        raise
    show_scores(scores)
    if table is not None:
        from napari_safire.curation.evaluation import write_results

        say()
        say(f"Scores per image: {write_results(table, scores[0].results).resolve()}")
    if folder is not None:
        from napari_safire.curation.evaluation.report import write_report

        say()
        say(f"Report: {write_report(scores, folder).resolve()}")
    if not any(of_model.good() for of_model in scores):
        raise typer.Exit(FAILED)


def _check_table(table: Path, n_results: int) -> None:
    if table.is_dir() or not table.absolute().parent.is_dir():
        raise typer.BadParameter(
            f"{table} cannot be a file: give its name in a folder that exists.",
            param_hint="--output",
        )
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
    from napari_safire.curation.evaluation import EvaluationSet
    from napari_safire.curation.evaluation.study import short_names
    from napari_safire.data.datasets import read_entries

    sets = []
    # make_dataset calls every list "list": its folder says more
    told = [str(p.absolute().parent if p.stem == "list" else p) for p in lists]
    for path, name in zip(lists, short_names(told), strict=True):
        entries = read_entries(path, root, set_name)[:limit]
        sets.append(EvaluationSet(name, tuple(entries), settings))
    return tuple(sets)


def _degradations(whole_grid: bool, names: Sequence[str]) -> tuple[Degradation, ...]:
    from napari_safire.data.degradations import GRID, NONE, Degradation

    return (NONE, *(GRID if whole_grid else ()), *(Degradation.parse(name) for name in names))


def show_scores(scores: Sequence[SetScores]) -> None:
    """Print all tables of a study; complain of what is broken."""
    from napari_safire.curation.evaluation import tables

    sets = tables.of_sets(scores)
    for name, of_set in sets.items():
        if len(sets) > 1:
            say()
            say(name)
        for error in dict.fromkeys(r.error for of_model in of_set for r in of_model.broken):
            complain(error)
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
    from napari_safire.curation.evaluation import tables
    from napari_safire.curation.evaluation.summary import verdict_shares

    good = scores.good()
    who = f"{scores.model}: " if several else ""
    say(f"{who}{len(good)} images scored, {len(scores.broken)} broken")
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
