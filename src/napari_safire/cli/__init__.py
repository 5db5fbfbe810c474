"""The command line: ``napari-safire demo | predict | triage | evaluate | evidence | review | …``.

Results go to stdout, progress and complaints to stderr, names and messages in printable characters
only. Exit codes: 0 done; 1 failed (a bad file, a bad checkpoint, nothing to do) or stopped (Ctrl-C,
SIGTERM); 2 wrong use.
"""

from __future__ import annotations

from typing import Annotated

import typer

from napari_safire import __version__
from napari_safire.cli.data import data
from napari_safire.cli.demo import demo
from napari_safire.cli.evaluate import evaluate
from napari_safire.cli.evidence import evidence
from napari_safire.cli.models import models
from napari_safire.cli.predict import predict
from napari_safire.cli.project import project
from napari_safire.cli.project_teams import assign, controls, export, import_
from napari_safire.cli.project_upkeep import (
    backup,
    log,
    merge,
    rebuild,
    recover,
    replay,
    stats,
    verify,
)
from napari_safire.cli.report import report
from napari_safire.cli.review import review
from napari_safire.cli.terminal import (
    FAILED,
    ErrorReportingGroup,
    complain,
    open_streams,
    say,
    stop_on_sigterm,
)
from napari_safire.cli.train import train
from napari_safire.cli.triage import triage

# Importing this module must not bring torch or napari: `--help` has to be quick.
app = typer.Typer(
    cls=ErrorReportingGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Partition an image by where its pixels came from.",
)
app.command()(demo)
app.command()(predict)
app.command()(evaluate)
app.command()(evidence)
app.command()(review)
app.command()(train)
app.command()(triage)
for command in (
    assign, controls, export, log, stats, verify, rebuild, replay, merge, backup, recover,
):  # fmt: skip
    project.command()(command)
project.command("import")(import_)
app.add_typer(project, name="project")
app.add_typer(report, name="report")
app.add_typer(models, name="models")
app.add_typer(data, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"napari-safire {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where in the program an error arose.")
    ] = False,
) -> None:
    """Options that stand before the command; `ErrorReportingGroup` reads ``traceback``."""


def main() -> None:
    """Run the command line."""
    stop_on_sigterm()
    unwritten = open_streams()
    try:
        app(prog_name="napari-safire")
    except SystemExit as ended:
        failure = unwritten()
        if failure is not None:
            complain(
                f"stdout could not be written: {failure.strerror}. What was to be said is lost."
            )
            raise SystemExit(ended.code or FAILED) from failure
        raise
