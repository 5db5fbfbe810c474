"""``napari-safire report …``: reports proved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_safire.cli.options import DeviceOption, JsonOption, Precision
from napari_safire.cli.terminal import FAILED, open_engine, progress_bar, say

if TYPE_CHECKING:
    from napari_safire.engine import Engine

report = typer.Typer(no_args_is_help=True, help="Reports of reviewed pictures.")


@report.callback()
def _commands() -> None:
    """So that `verify` keeps its name: a single command would be the whole program."""


@report.command("verify")
def verify(
    path: Annotated[Path, typer.Argument(metavar="REPORT", help="Its folder, or a file in it.")],
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: where the report says.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: a registered one of its hash.")
    ] = None,
    case: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Default: beside or around the report.")
    ] = None,
    signers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Allowed signers, as ssh-keygen takes them."),
    ] = None,
    rerun: Annotated[
        bool, typer.Option("--rerun/--no-rerun", help="Make the analysis once more.")
    ] = True,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Prove a report: hashes, pages, events, case, signatures, picture, model, the analysis again.

    One line for each thing that was looked at: RIGHT, WRONG, or not checked and why. Nothing is
    changed. Exit code 1 if anything is wrong; what could not be checked is not wrong.
    """
    from napari_safire.review.proof.verify import Originals, as_record, verify_report

    def load(file: Path, precision: Precision) -> Engine:
        return open_engine(str(file), device, precision)

    with progress_bar("proving the report") as show:
        proof = verify_report(
            path,
            Originals(picture, model, case, signers),
            load_engine=load if rerun else None,
            progress=show,
        )
    if as_json:
        say(json.dumps(as_record(proof)))
    else:
        for check in proof.checks:
            state = check.state if check.state == "not checked" else check.state.upper()
            say(f"{state:<11}  {check.what}: {check.words}")
        say(proof.words)
    if not proof.holds:
        raise typer.Exit(FAILED)
