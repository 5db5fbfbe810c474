"""``napari-safire data``: lists of the published data sets, and what is wrong with a data set."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from napari_safire.atomic import require_writable
from napari_safire.cli.options import Kind, RootOption, SetOption
from napari_safire.cli.terminal import FAILED, complain, progress_bar, say

data = typer.Typer(no_args_is_help=True, help="Data sets: check and list them.")

_IN_WORDS = {
    "line": "lines that are no entries",
    "empty": "lists empty",
    "missing": "files missing",
    "unreadable": "pictures unreadable",
    "mask": "masks wrong",
    "repeated": "pictures repeated in a list",
    "leak": "pictures in two lists",
    "inside": "lists inside another",
    "inverted": "lists with masks that may be inverted",
    "near": "pairs that look alike",
}


ListsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="LIST...",
        help="Lines of image,mask; several lists must have no picture in common. With --set "
        "also the set's own folder.",
    ),
]
KindOption = Annotated[
    Kind | None,
    typer.Option(
        "--kind",
        help="Masks: grey 50 x source, or forged where not black. Default: told from the "
        "masks of each list, and said on stderr.",
    ),
]
NearOption = Annotated[
    int | None,
    typer.Option(
        "--near",
        min=0,
        max=16,
        metavar="BITS",
        help="Also tell which pictures of two lists look alike: at most so many of the 64 bits "
        "of their perceptual hashes differ. 6 finds compressed and resized copies.",
    ),
]


@data.command()
def check(
    lists: ListsArgument,
    root: RootOption = None,
    kind: KindOption = None,
    set_name: SetOption = None,
    near: NearOption = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, max=64, help="Files read at once.")
    ] = None,
) -> None:
    """Read every picture and mask; report what is missing, broken, of another size or repeated.

    Pictures are compared by their pixels: one that stands in two lists, as for training and for
    validation, is a leak. Exit code 1 if anything is wrong; pairs that only look alike count,
    warnings of what was assumed or mended in reading a file do not.
    """
    from napari_safire.datasets.integrity import REMARKS, check_lists

    counts: Counter[str] = Counter()
    total = 0
    workers = jobs or min(8, os.cpu_count() or 1)
    with progress_bar("checking") as show:
        steps = check_lists(lists, root, kind, set_name=set_name, near=near, workers=workers)
        for done, total, problems in steps:
            show(done, total, "")
            for problem in problems:
                counts[problem.kind] += 1
                say(problem.sentence, err=problem.kind == "assumed")
    told = ", ".join(f"{counts[kind]} {words}" for kind, words in _IN_WORDS.items() if counts[kind])
    warned = f"; {counts['warning']} warnings" if counts["warning"] else ""
    say(f"{total} entries checked: {told or 'nothing is wrong'}{warned}.")
    if counts.keys() - set(REMARKS):
        raise typer.Exit(FAILED)


@data.command("list")
def write(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The data set's folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The list file to write.")],
    set_name: Annotated[
        str,
        typer.Option("--set", help="A published data set, or set/part: Columbia, tampCOCO/cm, …"),
    ],
) -> None:
    """Write a list of a published data set's pictures and masks, with paths relative to ROOT.

    Pictures for which no mask can be told are named on stderr and left out.
    """
    from napari_safire.datasets.catalogue import pair_set
    from napari_safire.images.lists import write_list

    if os.path.isdir(output.absolute().parent):  # else writing the list says so
        require_writable(output)
    paired = pair_set(set_name, root)
    write_list(output, paired.entries, root)
    for picture in paired.without_mask:
        complain(f"{picture} has no mask: left out.")
    authentic = sum(entry.mask is None for entry in paired.entries)
    say(f"{output}: {len(paired.entries)} entries, {authentic} of them authentic.")
