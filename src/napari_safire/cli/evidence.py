"""``napari-safire evidence``: forensic views of pictures, as pictures and as one JSON a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_safire.cli.options import ImagesArgument, JsonOption
from napari_safire.cli.pictures import named_pictures
from napari_safire.cli.terminal import FAILED, WRONG_USE, complain, say
from napari_safire.errors import Cancelled, ImageReadError

if TYPE_CHECKING:
    from napari_safire.forensics import EvidenceView


def evidence(
    images: ImagesArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for pictures and JSON.")
    ],
    view: Annotated[
        list[str] | None,
        typer.Option("--view", metavar="NAME", help="Only this view; repeatable. Default: all."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Another picture of the scene, for the view comparison."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at pictures through views that do not rest on the network.

    For each picture a file …_evidence.json tells what every view found, or why it does not apply;
    maps and links are pictures beside it. Of a file whose pixels cannot be read the views of the
    file are made all the same. With --json each picture is one line. Exit code 1 if any picture
    failed.
    """
    from napari_safire.forensics import Picture
    from napari_safire.forensics.catalogue import VIEWS
    from napari_safire.forensics.export import write_evidence

    known = [one.name for one in VIEWS]
    wanted = view or known
    _refuse_wrong_views(view or (), known, reference)
    parameters = {}
    if reference is not None:
        try:
            parameters["comparison"] = {"reference": Picture.read(reference)}
        except (ImageReadError, OSError, ValueError) as error:
            complain(f"{reference}: {error}")
            raise typer.Exit(FAILED) from error
    pictures = named_pictures(images)
    failed = not pictures
    for path, base in pictures:
        try:
            every = _views(path)
            failed = failed or bool(every[wanted[0]].picture.why_no_pixels)
            found = {
                name: every[name].with_parameters(**parameters.get(name, {})) for name in wanted
            }
            record = write_evidence(output, base, path, found)
        except (ImageReadError, OSError, ValueError, Cancelled) as error:
            complain(f"{path}: {error}")
            failed = True
            continue
        if as_json:
            written = json.loads(record.read_text("utf-8"))
            say(json.dumps({"picture": str(path), "record": str(record), **written}))
            continue
        say(f"{path.name} -> {record}")
        for name in wanted:
            say(f"  {_line(found[name])}")
    if failed:
        raise typer.Exit(FAILED)


def _refuse_wrong_views(
    wanted: Sequence[str], known: Sequence[str], reference: Path | None
) -> None:
    for name in wanted:
        if name not in known:
            complain(f"There is no view {name!r}: give one of {', '.join(known)}.")
            raise typer.Exit(WRONG_USE)
    if reference is None and "comparison" in wanted:
        complain("The view 'comparison' needs another picture: give it with --reference PATH.")
        raise typer.Exit(WRONG_USE)


def _views(path: Path) -> Mapping[str, EvidenceView]:
    """All views; of a file whose pixels cannot be read, which is told, those of its bytes."""
    from napari_safire.forensics import Picture, views

    picture = Picture.undecoded(path)
    if picture.why_no_pixels:
        complain(f"{path}: {picture.why_no_pixels}")
    return views(picture)


def _line(view: EvidenceView) -> str:
    if not view.applicable:
        return f"{view.view.name}: {view.why_not}"
    score = "" if view.score is None else f" (score {view.score:.2f})"
    return f"{view.view.name}: {view.finding}{score}"
