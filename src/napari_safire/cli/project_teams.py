"""``napari-safire project assign | controls | export | import``: people, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_safire.cli.options import AuthorOption, JsonOption
from napari_safire.cli.project import FolderArgument, opened
from napari_safire.cli.terminal import FAILED, complain, print_table, progress_bar, say, warn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_safire.project.formats.labelled import Split
    from napari_safire.project.store import Project


def assign(
    folder: FolderArgument,
    annotators: Annotated[list[str], typer.Argument(metavar="NAME...", help="People.")],
    per_picture: Annotated[
        int | None, typer.Option(min=1, help="People a picture; default: as the project says.")
    ] = None,
    quota: Annotated[
        list[str] | None, typer.Option(metavar="NAME=N", help="Most pictures of one; repeatable.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TAG", help="Only pictures with this tag; repeatable."),
    ] = None,
    role: Annotated[
        Literal["annotator", "adjudicator"], typer.Option(help="What they are to do.")
    ] = "annotator",
    author: AuthorOption = None,
) -> None:
    """Give pictures to people, evenly, and to nobody twice; again for pictures that came since."""
    from napari_safire.project.assigning import give_away
    from napari_safire.project.team.assignment import AssignmentRule

    with opened(folder, author) as there:
        settings = there.settings
        default = settings.annotators_per_picture if role == "annotator" else 1
        rule = AssignmentRule(
            tuple(annotators),
            per_picture or default,
            {name: _whole(count) for name, count in _pairs(quota, "--quota")},
            _tags(_pairs(tag, "--tag")),
            settings.seed,
        )
        given = give_away(there, rule, role)
    for name, count in given.counts.items():
        say(f"{name}: {count} pictures more")
    for name, why in list(given.short.items())[:20]:
        warn(f"{name} has fewer people than it needs: {why}.")


def controls(
    folder: FolderArgument,
    picture: Annotated[
        str | None, typer.Argument(metavar="[PICTURE]", help="To be made a hidden control.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="MASK", help="Its known sources, as a mask.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Let it be no control any more.")] = False,
    author: AuthorOption = None,
) -> None:
    """Make a picture a hidden control of known truth; without one, tell how annotators do."""
    from napari_safire.project.assigning import control_scores, make_control

    with opened(folder, author, read_only=picture is None) as there:
        if picture is None:
            rows = control_scores(there)
            if not rows:
                say("No control picture was done yet.")
                return
            print_table(
                [
                    (
                        row.annotator,
                        row.end[:10],
                        str(row.n),
                        f"{row.means['p_miou'].mean:.3f}",
                        f"{row.means['p_miou'].low:.3f} to {row.means['p_miou'].high:.3f}",
                    )
                    for row in rows
                ],
                header=("annotator", "until", "controls", "p_mIoU", "interval"),
            )
            return
        if off == (truth is not None):
            raise typer.BadParameter("give --truth MASK, or --off.")
        make_control(there, picture, None if truth is None else _mask(there, picture, truth))
        say(f"{picture} is {'no control any more' if off else 'a hidden control'}.")


ForgedOption = Annotated[
    list[str] | None,
    typer.Option(metavar="TYPE", help="Types that binary masks show white; repeatable."),
]
AuthenticOption = Annotated[
    list[str] | None,
    typer.Option(metavar="TYPE", help="Types that they show black, beside the background."),
]
AbsoluteOption = Annotated[
    bool, typer.Option("--absolute-paths", help="Lists name files from the root on.")
]
ToleranceOption = Annotated[
    float, typer.Option(metavar="PIXELS", help="By which polygons may be simplified.")
]


def export(
    folder: FolderArgument,
    target: Annotated[Path, typer.Argument(metavar="NEW", help="Folder of the export.")],
    kind: Annotated[
        str,
        typer.Option("--format", help="safirems, coco, … ; a wrong one lists them all."),
    ],
    split: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Shares of training, validation, test: .8,.1,.1."),
    ] = None,
    accepted_only: Annotated[
        bool, typer.Option("--accepted", help="Only what was accepted.")
    ] = False,
    pictures: Annotated[
        Literal["copy", "link", "refer"], typer.Option(help="What becomes of the pictures' files.")
    ] = "copy",
    people: Annotated[
        Literal["numbers", "initials", "names"], typer.Option(help="What annotators are called.")
    ] = "numbers",
    forged: ForgedOption = None,
    authentic: AuthenticOption = None,
    absolute_paths: AbsoluteOption = False,
    tolerance: ToleranceOption = 0.0,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Leave out what the format cannot hold.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="In place of an export.")] = False,
    author: AuthorOption = None,
) -> None:
    """Export the ground truth; every mask is read back and compared before it is reported done."""
    from napari_safire.project.exchange import export_project
    from napari_safire.project.formats.labelled import AUTHENTIC, FORGED, ExportSettings

    settings = ExportSettings(
        pictures=pictures,
        forged=frozenset(forged) if forged else FORGED,  # type: ignore[arg-type]  # it checks them
        authentic=frozenset([AUTHENTIC, *(authentic or ())]),
        absolute_paths=absolute_paths,
        tolerance=tolerance,
        annotators=people,
        unfit="leave out" if leave_out else "refuse",
        replace=replace,
    )
    with opened(folder, author, read_only=True) as there, progress_bar("exporting") as show:
        made = export_project(
            there,
            target,
            kind,
            settings,
            accepted_only=accepted_only,
            shares=None if split is None else _shares(split),
            progress=show,
        )
    for sentence in (*made.left_out, *made.sentences):
        warn(sentence)
    say(
        f"{made.pictures} pictures in {made.folder}; {made.pixels:,} pixels read back, "
        f"{sum(made.changed.values()):,} differ."
    )


def import_(
    folder: FolderArgument,
    source: Annotated[Path, typer.Argument(metavar="FROM", help="Folder, list, table, archive.")],
    kind: Annotated[
        str | None, typer.Option("--format", help="Default: what an export of ours says.")
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose work it is; default: yours.")
    ] = None,
    unpack: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where packed pictures go.")
    ] = None,
    as_json: JsonOption = False,
    author: AuthorOption = None,
) -> None:
    """Take over annotations: as the work of one annotator, done where it is complete."""
    from napari_safire.project.exchange import import_truth

    with opened(folder, author) as there, progress_bar("importing") as show:
        got = import_truth(there, source, kind, annotator=annotator, unpack=unpack, progress=show)
    if as_json:
        say(json.dumps({name: getattr(got, name) for name in got.__slots__}))
        return
    for sentence in got.sentences[:50]:
        warn(sentence)
    if got.overlapping:
        warn(f"{got.overlapping:,} pixels were claimed by several objects: they have no source.")
    say(f"{got.n_done} done, {got.n_begun} begun, {got.added} pictures new in the project.")
    if not got.n_done and not got.n_begun:
        complain("nothing was taken over.")
        raise typer.Exit(FAILED)


def _mask(there: Project, picture: str, mask: Path) -> npt.NDArray[np.uint8]:
    """Sources of a mask, from 1."""
    from napari_safire.images.lists import ListEntry
    from napari_safire.images.truth import read_label_truth
    from napari_safire.project.pictures import find_picture, picture_path

    path = picture_path(there, find_picture(there, picture))
    truth = read_label_truth(ListEntry(path, mask))
    for warning in truth.warnings:
        warn(warning)
    labels: npt.NDArray[np.uint8] = truth.labels + 1
    return labels


def _pairs(texts: list[str] | None, option: str) -> list[tuple[str, str]]:
    found = []
    for text in texts or ():
        name, equals, value = text.rpartition("=")
        if not equals or not name or not value:
            raise typer.BadParameter(f"{text!r} is no pair: give NAME=VALUE.", param_hint=option)
        found.append((name, value))
    return found


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is no whole number.", param_hint="--quota")
    return int(text)


def _tags(pairs: list[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, tag in pairs:
        found[name] = found.get(name, frozenset()) | {tag}
    return found


def _shares(text: str) -> dict[Split, float]:
    try:
        train, validation, test = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} are no three shares: give them as .8,.1,.1.", param_hint="--split"
        ) from error
    return {"train": train, "validation": validation, "test": test}
