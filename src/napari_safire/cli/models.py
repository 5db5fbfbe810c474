"""``napari-safire models``: what ships with the package, and what users registered."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_safire.cli.terminal import FAILED, complain, progress_bar, say, warn
from napari_safire.errors import CheckpointError

models = typer.Typer(no_args_is_help=True, help="Models by name: list, download, check.")

NameArgument = Annotated[str, typer.Argument(help="A name from `models list`.")]


@models.command("list")
def list_models() -> None:
    """Kind, licence, state, size and training data of each model."""
    from rich.filesize import decimal

    from napari_safire.model.catalogue.registry import (
        available_models,
        model_state,
        registry_problems,
    )

    for entry in available_models():
        size = "missing" if entry.size is None else decimal(entry.size)
        say(f"{entry.name}  ({entry.architecture}, {entry.licence})  {entry.description}")
        say(f"    {model_state(entry.name)}, {size}; trained on {entry.trained_on}")
    for problem in registry_problems():
        warn(problem)


@models.command()
def download(name: NameArgument) -> None:
    """Fetch a registered model, or the rest of it, and print where its file lies."""
    from rich.filesize import decimal

    from napari_safire.model.catalogue.download import download_model
    from napari_safire.model.catalogue.registry import model_entry

    size = model_entry(name).size
    try:
        with progress_bar("" if size is None else decimal(size)) as show:
            path = download_model(name, progress=show)
    except KeyboardInterrupt as error:
        say(
            f"Cancelled; what has come is kept: `napari-safire models download {name}` goes on.",
            err=True,
        )
        raise typer.Exit(FAILED) from error
    say(path)


@models.command()
def path(name: NameArgument) -> None:
    """Print where a model's file lies."""
    from napari_safire.model.catalogue.registry import model_path

    say(model_path(name))


@models.command()
def verify(
    name: Annotated[
        str | None,
        typer.Argument(help="A name from `models list`; default: all that are at hand."),
    ] = None,
) -> None:
    """Check that model files are those that were built or registered."""
    from napari_safire.model.catalogue.registry import available_models, model_state
    from napari_safire.model.catalogue.registry import verify as verify_model

    failed = False
    names = [name] if name is not None else [entry.name for entry in available_models()]
    for one in names:
        if name is None and model_state(one) == "not downloaded":
            continue
        try:
            say(f"{one}: intact, SHA-256 {verify_model(one)}")
        except CheckpointError as error:
            complain(error)
            failed = True
    if failed:
        raise typer.Exit(FAILED)
