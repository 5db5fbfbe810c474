"""``napari-safire evaluate``: scores on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_safire.cli.terminal import (
    FAILED,
    DeviceOption,
    ModelOption,
    PrecisionOption,
    SeedOption,
    complain,
    open_engine,
    print_table,
    progress_bar,
)
from napari_safire.errors import DatasetError

if TYPE_CHECKING:
    from napari_safire.curation.evaluation import EvaluatedEntry


def evaluate(
    list_file: Annotated[
        Path, typer.Argument(metavar="LIST", help="Lines of image,mask; mask None = authentic.")
    ],
    root: Annotated[
        Path | None, typer.Option("--root", help="Folder of its paths; default: the list's own.")
    ] = None,
    kind: Annotated[
        Literal["sources", "binary"],
        typer.Option("--kind", help="Masks: grey 50 x source, or forged where not black."),
    ] = "sources",
    sources: Annotated[
        Literal["given", "auto"],
        typer.Option("--sources", help="Tell the true number of sources, or let it be found."),
    ] = "given",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.csv", help="Scores per image.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first N entries.")
    ] = None,
    seed: SeedOption = 0,
    points_per_side: Annotated[
        int, typer.Option("--points-per-side", min=1, max=128, help="Prompts along each side.")
    ] = 16,
    model: ModelOption = "safire-lite",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
) -> None:
    """Score a model on a list of images and masks: means with 95 % bootstrap intervals."""
    from napari_safire.curation.evaluation import evaluate_entries, write_results
    from napari_safire.data.lists import read_list

    if output is not None and (output.is_dir() or not output.absolute().parent.is_dir()):
        raise typer.BadParameter(
            f"{output} cannot be a file: give its name in a folder that exists.",
            param_hint="--output",
        )
    entries = read_list(list_file, root)[:limit]
    if not entries:
        raise DatasetError(f"{list_file} has no entries: there is nothing to evaluate.")
    engine = open_engine(model, device, precision)
    results = []
    with progress_bar("evaluating") as show:
        for result in evaluate_entries(
            engine, entries, kind, sources=sources, seed=seed, points_per_side=points_per_side
        ):
            results.append(result)
            show(len(results), len(entries), result.entry.image.name)
    for result in results:
        if result.error is not None:
            complain(result.error)
    _print_summary(results, seed)
    if output is not None:
        typer.echo(f"\nScores per image: {write_results(output, results).resolve()}")
    if all(result.error is not None for result in results):
        raise typer.Exit(FAILED)


def _print_summary(results: list[EvaluatedEntry], seed: int) -> None:
    from napari_safire.curation.evaluation import summarise

    good = [result for result in results if result.error is None]
    typer.echo(f"{len(good)} images scored, {len(results) - len(good)} broken")
    if not good:
        return
    scores = summarise((result.scores for result in good), seed=seed)
    print_table(
        [
            (name, f"{mean.mean:.4f}", f"[{mean.low:.4f}, {mean.high:.4f}]", str(mean.n))
            for name, mean in scores.items()
        ],
        ("score", "mean", "95 % interval", "images"),
    )
    _print_by_number_of_sources(good, seed)
    typer.echo()
    seconds = summarise((result.seconds for result in good), intervals=False)
    print_table(
        [(stage, f"{mean.mean:.3f}") for stage, mean in seconds.items()], ("stage", "mean s")
    )
    for authentic, name in ((True, "authentic"), (False, "forged")):
        verdicts = [result.verdict for result in good if result.authentic == authentic]
        if verdicts:
            flagged, silent = verdicts.count("forged"), verdicts.count("no forgery found")
            typer.echo(
                f"{len(verdicts)} {name} images: {flagged} called forged, {silent} no forgery "
                f"found, {len(verdicts) - flagged - silent} inconclusive"
            )


def _print_by_number_of_sources(good: list[EvaluatedEntry], seed: int) -> None:
    """One row for each true number of sources, where the masks tell sources apart."""
    from napari_safire.curation.evaluation import summarise

    numbers = sorted(
        {int(r.scores["n_sources_true"]) for r in good if "n_sources_true" in r.scores}
    )
    if len(numbers) < 2:
        return
    columns = ("p_miou_hungarian", "p_miou_official", "p_ari", "n_sources_right")
    rows = []
    for number in numbers:
        chosen = [r.scores for r in good if r.scores.get("n_sources_true") == number]
        means = summarise(chosen, seed=seed, intervals=False)
        cells = (f"{means[name].mean:.4f}" for name in columns)
        rows.append((f"{number:.0f} sources ({len(chosen)})", *cells))
    typer.echo()
    print_table(rows, ("true number (images)", *columns))
