"""``napari-safire predict``: partition pictures and write what was found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_safire.cli.terminal import (
    FAILED,
    WRONG_USE,
    DeviceOption,
    ModelOption,
    SeedOption,
    complain,
    describe_model,
    open_engine,
    progress_bar,
)
from napari_safire.errors import Cancelled, SafireError

if TYPE_CHECKING:
    from napari_safire.curation.examination import Examination, ExaminationSettings
    from napari_safire.engine import Engine
    from napari_safire.types import PointPrompt

_DEFAULT_EPS = 0.2


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Picture files.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
    ],
    points: Annotated[
        list[str] | None,
        typer.Option(
            "--points",
            metavar="ROW,COL",
            help="Also write the source region of this point, in image pixels; repeatable.",
        ),
    ] = None,
    only_points: Annotated[
        bool, typer.Option("--only-points", help="Leave out partition and heatmap.")
    ] = False,
    sources: Annotated[
        str, typer.Option("--sources", metavar="K|auto", help="Number of sources, 1 to 6.")
    ] = "auto",
    method: Annotated[
        Literal["kmeans", "dbscan", "auto"] | None,
        typer.Option("--method", help="Default: kmeans with --sources K, else auto."),
    ] = None,
    eps: Annotated[
        float | None,
        typer.Option("--eps", help=f"Distance for --method dbscan (default {_DEFAULT_EPS})."),
    ] = None,
    seed: SeedOption = 0,
    points_per_side: Annotated[
        int, typer.Option("--points-per-side", min=1, max=128, help="Prompts along each side.")
    ] = 16,
    model: ModelOption = "safire-lite",
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are there already.")
    ] = False,
) -> None:
    """Partition pictures into their sources, localise forgeries, write all results to a folder."""
    from napari_safire.curation.examination import ExaminationSettings

    chosen, n_sources = _clustering(sources, method, eps)
    settings = ExaminationSettings(
        method=chosen,
        n_sources=n_sources,
        eps=_DEFAULT_EPS if eps is None else eps,
        seed=seed,
        points_per_side=points_per_side,
        points=_parse_points(points or []),
        whole_image=not only_points,
    )
    _check_outputs(images, output, overwrite)
    engine = open_engine(model, device)
    codes = set()
    for image in images:
        try:
            _predict_one(engine, image, output, settings, model, overwrite)
        except Cancelled:
            raise
        except (SafireError, ValueError) as error:  # the other pictures can still be done
            complain(error)
            codes.add(FAILED if isinstance(error, SafireError) else WRONG_USE)
    if codes:
        raise typer.Exit(min(codes))


def _predict_one(
    engine: Engine,
    path: Path,
    output: Path,
    settings: ExaminationSettings,
    model: str,
    overwrite: bool,
) -> None:
    from napari_safire.curation.examination import examine
    from napari_safire.curation.export import export_examination
    from napari_safire.data.images import read_image

    with progress_bar(path.name) as show:
        found = examine(engine, read_image(path), settings, progress=show)
        files = export_examination(
            found,
            output,
            path.stem,
            model=describe_model(engine, model),
            device=str(engine.model.device),
            overwrite=overwrite,
        )
    for warning in found.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    typer.echo(f"{path}: {_in_words(found)} -> {files[-1]}")


def _in_words(found: Examination) -> str:
    parts = []
    if found.partition is not None:
        number = found.partition.n_sources
        parts.append("1 source" if number == 1 else f"{number} sources")
    if found.forgery is not None:
        parts.append(f"{found.forgery.verdict} (score {found.forgery.score:.2f})")
    if found.regions:
        number = len(found.regions)
        parts.append("1 region" if number == 1 else f"{number} regions")
    return ", ".join(parts)


def _clustering(
    sources: str, method: Literal["kmeans", "dbscan", "auto"] | None, eps: float | None
) -> tuple[str, int | None]:
    """Method and number of sources; refuses options that contradict each other."""
    from napari_safire.data.masks import MAX_SOURCE

    number: int | None = None
    if sources != "auto":
        most = MAX_SOURCE + 1
        if not sources.isascii() or not sources.isdigit() or int(sources) < 1:
            raise typer.BadParameter(
                f"{sources!r} is neither a number from 1 to {most} nor auto.",
                param_hint="--sources",
            )
        number = int(sources)
        if number > most:
            raise typer.BadParameter(
                f"a mask holds {most} sources at most, not {number}: ask for fewer.",
                param_hint="--sources",
            )
    chosen = method or ("auto" if number is None else "kmeans")
    if chosen == "kmeans" and number is None:
        raise typer.BadParameter(
            "kmeans needs the number of sources: add --sources K, or use --method auto.",
            param_hint="--method",
        )
    if chosen != "kmeans" and number is not None:
        raise typer.BadParameter(
            f"{chosen} finds the number of sources itself: leave out --sources {number}, or use "
            "--method kmeans.",
            param_hint="--method",
        )
    if eps is not None and chosen != "dbscan":
        raise typer.BadParameter(f"{chosen} has no eps: use --method dbscan.", param_hint="--eps")
    if eps is not None and not 0 < eps < float("inf"):
        raise typer.BadParameter(f"{eps} is not a positive distance.", param_hint="--eps")
    return chosen, number


def _parse_points(texts: Sequence[str]) -> tuple[PointPrompt, ...]:
    from napari_safire.types import PointPrompt

    points = []
    for text in texts:
        try:
            row, col = (float(part) for part in text.split(","))
            points.append(PointPrompt(row, col))
        except ValueError as error:
            raise typer.BadParameter(
                f"{text!r} is not a point: give row,col in pixels, such as 120,300.",
                param_hint="--points",
            ) from error
    return tuple(points)


def _check_outputs(images: Sequence[Path], output: Path, overwrite: bool) -> None:
    """Refuse before any work what could destroy a file: the caller's or another result."""
    from napari_safire.curation.export import existing_outputs

    if output.exists() and not output.is_dir():
        raise typer.BadParameter(f"{output} is a file, not a folder.", param_hint="--output")
    seen: dict[str, Path] = {}
    for image in images:
        other = seen.setdefault(image.stem.casefold(), image)  # some disks ignore case
        if other is not image:
            raise typer.BadParameter(
                f"{other} and {image} would write the same files: give them different folders, or "
                "rename one.",
                param_hint="IMAGE...",
            )
    inputs = {os.path.realpath(image) for image in images}
    for image in images:
        there = existing_outputs(output, image.stem)
        if there and not overwrite:
            raise typer.BadParameter(
                f"{there[0]} exists already: choose another folder, or add --overwrite.",
                param_hint="--output",
            )
        for path in there:
            if os.path.realpath(path) in inputs:
                raise typer.BadParameter(
                    f"the results of {image} would replace the picture {path}: choose another "
                    "folder.",
                    param_hint="--output",
                )
