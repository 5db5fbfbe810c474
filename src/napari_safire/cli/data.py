"""``napari-safire data``: what is wrong with a data set, before it is used."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_safire.cli.terminal import FAILED, progress_bar

data = typer.Typer(no_args_is_help=True, help="Data sets: check them.")

_IN_WORDS = {
    "line": "lines that are no entries",
    "missing": "files missing",
    "unreadable": "pictures unreadable",
    "mask": "masks wrong",
    "repeated": "pictures repeated in a list",
    "leak": "pictures in two lists",
}


@data.callback()
def about() -> None:
    """Let `check` be named although it is the only command yet."""


@data.command()
def check(
    lists: Annotated[
        list[Path],
        typer.Argument(
            metavar="LIST...",
            help="Lines of image,mask; several lists must have no picture in common.",
        ),
    ],
    root: Annotated[
        Path | None, typer.Option("--root", help="Folder of the paths; default: each list's own.")
    ] = None,
    kind: Annotated[
        Literal["sources", "binary"],
        typer.Option("--kind", help="Masks: grey 50 x source, or forged where not black."),
    ] = "binary",
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, max=64, help="Files read at once.")
    ] = None,
) -> None:
    """Read every picture and mask; report what is missing, broken, of another size or repeated.

    Pictures are compared by their pixels: one that stands in two lists, as for training and for
    validation, is a leak. Exit code 1 if anything is wrong.
    """
    from napari_safire.data.integrity import check_lists

    counts: Counter[str] = Counter()
    total = 0
    workers = jobs or min(8, os.cpu_count() or 1)
    with progress_bar("checking") as show:
        for done, total, problems in check_lists(lists, root, kind, workers=workers):
            show(done, total, "")
            for problem in problems:
                counts[problem.kind] += 1
                typer.echo(problem.sentence)
    told = ", ".join(f"{counts[kind]} {words}" for kind, words in _IN_WORDS.items() if counts[kind])
    typer.echo(f"{total} entries checked: {told or 'nothing is wrong'}.")
    if counts:
        raise typer.Exit(FAILED)
