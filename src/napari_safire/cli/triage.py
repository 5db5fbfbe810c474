"""``napari-safire triage``: of the pictures of a corpus those that somebody should look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_safire.cli.options import SortOption, TopOption, WhereOption
from napari_safire.cli.terminal import print_table, progress_bar, say, warn
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari_safire.corpus.triage.choice import Choice, Chosen

_SHOWN = 50  # rows of a table in a terminal where nobody says how many
_NAMED = 10  # problems that are told one by one
# Of each file, so that no slip of the hand writes over a picture.
_ENDINGS: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv",),
    "parquet": (".parquet",),
    "list": (".txt", ".csv"),
    "sheet": (".html", ".htm"),
}

GroupOption = Annotated[
    Literal["none", "same", "alike"],
    typer.Option(
        "--group",
        help="Show the same files as one, or also pictures that look alike (they are read).",
    ),
]
ColumnsOption = Annotated[
    str, typer.Option("--columns", metavar="COLUMNS", help="What is told: picture,score,width.")
]


def triage(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="Output folder of `predict --manifest`, or a Parquet file made of it.",
        ),
    ],
    where: WhereOption = "",
    sort: SortOption = None,
    top: TopOption = None,
    group: GroupOption = "none",
    columns: ColumnsOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, on stdout.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a table as CSV.")] = None,
    parquet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a Parquet file, a manifest again.")
    ] = None,
    list_: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="Write a list of the files, for other commands and for the queue in napari.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a contact sheet, one HTML file.")
    ] = None,
) -> None:
    """Choose pictures of a corpus by what was found, and show or list them.

    A condition compares columns of the manifest with values: == != < <= > >=, in, and, or, not,
    is None. Any wrong column names those that are there.
    """
    from napari_safire.corpus.triage.choice import Choice

    files = _named_files({"csv": csv, "parquet": parquet, "list": list_, "sheet": sheet})
    chosen = chosen_pictures(manifest, Choice(where, sort, top, group))
    wanted = tuple(name.strip() for name in columns.split(",") if name.strip())
    _tell(chosen)
    _write(chosen, wanted, files, err=as_json)
    if as_json:
        _print_json(chosen, wanted)
    elif not files:
        _print(chosen, wanted)


def _named_files(asked: Mapping[str, Path | None]) -> dict[str, Path]:
    """The files to write, by kind; none of which may be a picture, or another one of them."""
    files: dict[str, Path] = {}
    for kind, path in asked.items():
        if path is None:
            continue
        problem = ""
        if path.suffix.lower() not in _ENDINGS[kind]:
            problem = f"{printable(path)} does not end in {' or '.join(_ENDINGS[kind])}: rename it."
        elif path in files.values():
            problem = f"{printable(path)} is another file already: name two."
        if problem:
            raise typer.BadParameter(problem, param_hint=f"--{kind}")
        files[kind] = path
    return files


def chosen_pictures(manifest: Path, choice: Choice) -> Chosen:
    """Choose pictures while a bar is shown."""
    from napari_safire.corpus.triage.choice import choose
    from napari_safire.corpus.triage.source import open_manifest

    with progress_bar("choosing") as show:
        return choose(open_manifest(manifest), choice, progress=show)


def _tell(chosen: Chosen) -> None:
    selection, groups = chosen.selection, chosen.groups
    chose = "is" if len(selection) == 1 else "are"
    told = f"{len(selection):,} of {_pictures(selection.n_pictures)} {chose} chosen"
    if groups.n_looked_at is not None:
        told += f"; {groups.n_looked_at:,} files were compared by their looks"
    if chosen.choice.grouping != "none":
        told += f"; {len(chosen):,} stand for {int(groups.sizes().sum()):,}"
    say(f"{told}.", err=True)
    if groups.n_unread:
        warn(f"{groups.n_unread:,} pictures could not be looked at: each is shown by itself.")


def _write(chosen: Chosen, columns: Sequence[str], files: Mapping[str, Path], *, err: bool) -> None:
    """Write the files that are asked for; said on stderr where stdout is JSON."""
    from napari_safire.atomic import require_writable
    from napari_safire.corpus.triage import tables

    wanted = tables.known_columns(chosen, columns)
    for path in files.values():
        require_writable(path)
    for kind, path in files.items():
        told = _pictures(len(chosen))
        if kind == "csv":
            tables.write_csv(path, chosen.table(wanted or tables.readable_columns(chosen)))
        elif kind == "parquet":
            tables.write_parquet(path, chosen, wanted or None)
        elif kind == "list":
            told = _write_list(path, chosen)
        else:
            told = _write_sheet(path, chosen)
        say(f"{path}: {told}.", err=err)


def _write_list(path: Path, chosen: Chosen) -> str:
    from napari_safire.corpus.triage.tables import write_picture_list

    listed = write_picture_list(path, chosen)
    for problem in listed.left_out[:_NAMED]:
        warn(problem)
    if listed.outside:
        where = "in a folder above them" if listed.above is None else f"in {listed.above}"
        n_outside = f"{listed.outside:,} picture{' lies' if listed.outside == 1 else 's lie'}"
        warn(
            f"{n_outside} outside the folder of {path}, where lists lead to none: write it {where}."
        )
    more = f", {len(listed.left_out):,} left out" if listed.left_out else ""
    return f"{_pictures(listed.n_pictures)}{more}"


def _pictures(number: int) -> str:
    return f"{number:,} picture{'' if number == 1 else 's'}"


def _write_sheet(path: Path, chosen: Chosen) -> str:
    from napari_safire.corpus.triage.sheet import write_sheet

    with progress_bar("drawing") as show:
        n_shown = write_sheet(path, chosen, progress=show)
    more = "" if n_shown == len(chosen) else f", the first of {len(chosen):,}"
    return f"{_pictures(n_shown)}{more}"


def _print_json(chosen: Chosen, columns: Sequence[str]) -> None:
    from napari_safire.corpus.triage import tables

    wanted = tables.known_columns(chosen, columns) or tables.readable_columns(chosen)
    for line in tables.json_lines(chosen.table(wanted)):
        say(line)


def _print(chosen: Chosen, columns: Sequence[str]) -> None:
    from napari_safire.corpus.triage import tables

    shown = chosen if chosen.choice.top is not None else chosen.first(_SHOWN)
    wanted = tables.known_columns(chosen, columns) or tables.shown_columns(chosen)
    table = shown.table(wanted)
    if len(table):
        print_table(tables.text_rows(table), header=tables.head_of(table))
    if len(shown) < len(chosen):
        say(f"{len(chosen) - len(shown):,} more: --top says how many are shown.", err=True)
