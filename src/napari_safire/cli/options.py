"""Options that several commands have, each with one name and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

# Spelled out once more here: importing the engine's would import torch, which takes seconds.
Precision = Literal["float32", "bf16", "fp16"]
Kind = Literal["sources", "binary"]

ModelOption = Annotated[
    str, typer.Option("--model", help="A model's name (see `models list`) or file.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:<number> or mps.")
]
PrecisionOption = Annotated[
    Precision,
    typer.Option("--precision", help="bf16, fp16: faster on most GPUs, a little different."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=2**32 - 1, help="Same seed, same result.")
]
PointsPerSideOption = Annotated[
    int, typer.Option("--points-per-side", min=1, max=128, help="Prompts along each side.")
]
RootOption = Annotated[
    Path | None, typer.Option("--root", help="Folder of the paths; default: each list's own.")
]
SetOption = Annotated[
    str | None,
    typer.Option("--set", help="A published data set, which says what masks mean: IMD2020, …"),
]
EvidenceOption = Annotated[
    Literal["all", "none"],
    typer.Option(
        "--evidence",
        help="What the verdict counts: the network and all forensic views, or the network alone.",
    ),
]
WhereOption = Annotated[
    str,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Of a manifest only what fulfils it: \"verdict == 'forged' and n_sources >= 3\".",
    ),
]
SortOption = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="COLUMNS",
        help="Order of a manifest: -score (default), or several: n_sources,-score.",
    ),
]
TopOption = Annotated[
    int | None,
    typer.Option("--top", min=1, metavar="N", help="Of a manifest only the first so many."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, on stdout.")]
AuthorOption = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="In whose name; default: this machine's annotator."),
]
ImagesArgument = Annotated[
    list[Path], typer.Argument(metavar="IMAGE...", help="Picture files or folders of them.")
]
