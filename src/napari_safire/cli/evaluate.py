"""``napari-safire evaluate``: scores on data sets, runs that can be resumed, a report."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_safire.atomic import require_writable
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
    warn,
)
from napari_safire.errors import SafireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_safire.evaluation import EvaluatedEntry, EvaluationSet, ScoringSettings, SetScores
    from napari_safire.synthesis.degradations import Degradation

_MOST_WARNINGS = 20  # on the terminal


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
        typer.Option(
            "--kind",
            help="Masks: grey 50 x source, or forged where not black. `data check` tells which "
            "fits.",
        ),
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
    from napari_safire.datasets.catalogue import find_set
    from napari_safire.evaluation import ScoringSettings, Study, run_study

    models = models or ["safire-lite"]
    table = output if output is not None and output.suffix.lower() == ".csv" else None
    folder = output if table is None else None
    if table is not None:
        _check_table(table, len(lists) * len(models))
    elif folder is not None and os.path.exists(folder) and not os.path.isdir(folder):
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
    come: list[EvaluatedEntry] = []
    try:
        with progress_bar("evaluating") as show:
            scores = run_study(
                study,
                lambda model: open_engine(model, device, precision),
                show,
                come.append if table is not None else _ignore,
            )
    except BaseException as error:
        if table is not None and come:
            _write_partial(table, come)
        elif folder is not None and isinstance(error, KeyboardInterrupt):
            say("Stopped: the same command goes on where it was.", err=True)
        raise
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


def _ignore(_: EvaluatedEntry) -> None:
    pass


def _write_partial(table: Path, results: Sequence[EvaluatedEntry]) -> None:
    """Keep what was scored before a stop, under a name that says so."""
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
