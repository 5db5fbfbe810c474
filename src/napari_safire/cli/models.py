"""``napari-safire models``: what ships with the package."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_safire.cli.terminal import FAILED, complain
from napari_safire.errors import CheckpointError

models = typer.Typer(no_args_is_help=True, help="The models that ship with the package.")


@models.command("list")
def list_models() -> None:
    """Name, kind and licence of each model."""
    from napari_safire.model.registry import available_models

    for entry in available_models():
        typer.echo(f"{entry.name}  ({entry.architecture}, {entry.licence})  {entry.description}")


@models.command()
def path(name: Annotated[str, typer.Argument(help="A name from `models list`.")]) -> None:
    """Print where a model's file lies."""
    from napari_safire.model.registry import model_path

    typer.echo(model_path(name))


@models.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(help="A name from `models list`; default: all.")
    ] = None,
) -> None:
    """Check that model files are those the package was built with."""
    from napari_safire.model.registry import available_models
    from napari_safire.model.registry import verify as verify_model

    failed = False
    for one in [name] if name is not None else [entry.name for entry in available_models()]:
        try:
            typer.echo(f"{one}: intact, SHA-256 {verify_model(one)}")
        except CheckpointError as error:
            complain(error)
            failed = True
    if failed:
        raise typer.Exit(FAILED)
