"""``napari-safire project verify | replay | log | stats | merge | backup …``: proved and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_safire.cli.options import AuthorOption, DeviceOption, JsonOption
from napari_safire.cli.project import FolderArgument, opened
from napari_safire.cli.terminal import FAILED, complain, print_table, progress_bar, say, warn

if TYPE_CHECKING:
    from napari_safire.engine import Engine

ModelFilesOption = Annotated[
    list[Path] | None,
    typer.Option("--model", metavar="FILE", help="A model besides the registered; repeatable."),
]


def log(
    folder: FolderArgument,
    picture: Annotated[
        str | None, typer.Argument(metavar="[PICTURE]", help="Name or path; default: all events.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what happened, to a picture or to all: who, when, what, with which model."""
    from napari_safire.project.pictures import find_picture
    from napari_safire.project.upkeep.wording import event_sentence

    with opened(folder, read_only=True) as there:
        wanted = None if picture is None else find_picture(there, picture).id
        names = dict(there.ask("SELECT id, name FROM picture"))
        for event in there.events(picture=wanted):
            if as_json:
                values = {name: getattr(event, name) for name in _EVENT_FIELDS}
                say(json.dumps(values | {"body": dict(event.body)}))
            else:
                say(event_sentence(event, names.get(event.picture, "")))


_EVENT_FIELDS = ("sequence", "at", "author", "machine", "kind", "picture", "sha256")


def stats(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Count pictures, work, time and events; one line for each annotator."""
    from napari_safire.project.upkeep.statistics import statistics

    with opened(folder, read_only=True) as there:
        found = statistics(there)
    if as_json:
        say(json.dumps(found.as_record()))
        return
    stages = ", ".join(f"{stage}: {n}" for stage, n in found.stages.items() if n)
    say(f"{found.name}: {found.n_pictures} pictures ({stages or 'none'}), {found.n_events} events.")
    print_table(
        [
            (row.annotator, *(str(row.states[s]) for s in row.states), f"{row.hours:.1f}")
            for row in found.annotators
        ],
        header=("annotator", "assigned", "begun", "done", "rejected", "accepted", "hours"),
    )


def verify(
    folder: FolderArgument,
    head: Annotated[
        str, typer.Option(help="A hash of the chain, noted earlier: it must still be in it.")
    ] = "",
    files: ModelFilesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove the chain of events, the masks, the pictures and the models; changes nothing.

    Exit code 1 if anything is not what it was. Note the hash that it prints elsewhere: with it the
    proof also holds against somebody who could rewrite all files.
    """
    from napari_safire.project.upkeep.verify import verify as prove

    with opened(folder, read_only=True) as there, progress_bar("proving") as show:
        found = prove(there, head=head, known_models=list(_models(files)), progress=show)
    if as_json:
        say(json.dumps({name: getattr(found, name) for name in found.__slots__}))
    else:
        for problem in found.problems:
            complain(problem)
        for remark in found.remarks:
            warn(remark)
        say(
            f"{found.n_events} events, {found.n_objects} masks and annotations, "
            f"{found.n_pictures} pictures: {len(found.problems) or 'no'} problems."
        )
        say(f"Head of the chain: {found.head}")
    if found.problems:
        raise typer.Exit(FAILED)


def rebuild(folder: FolderArgument) -> None:
    """Make the state anew from the events; says whether it was what they say."""
    with opened(folder) as there:
        same = there.rebuild()
    say("The state was what the events say." if same else "The state was another: mended.")


def replay(
    folder: FolderArgument,
    picture: Annotated[
        str | None, typer.Argument(metavar="[PICTURE]", help="Default: all.")
    ] = None,
    files: ModelFilesOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Ask the recorded models the recorded prompts again, and count every pixel that differs.

    Exit code 1 if any differs, or a model is not on this machine.
    """
    from napari_safire.errors import SafireError
    from napari_safire.project.pictures import find_picture
    from napari_safire.project.upkeep.replay import replay as ask_again

    models = _models(files)

    def load(sha256: str) -> Engine:
        from napari_safire.cli.terminal import open_engine

        if sha256 not in models:
            raise SafireError(
                f"The model {sha256[:12]}… is not on this machine: give its file by --model."
            )
        return open_engine(models[sha256], device)

    with opened(folder, read_only=True) as there, progress_bar("replaying") as show:
        wanted = "" if picture is None else find_picture(there, picture).id
        found = ask_again(there, load, only=wanted, progress=show)
    for one in found:
        if as_json:
            say(json.dumps({name: getattr(one, name) for name in one.__slots__}))
        elif one.problem:
            complain(f"{one.picture}, {one.annotator}: {one.problem}")
        else:
            answers = (
                f"{one.n_answers} answers, {one.n_differing:,} of {one.n_pixels:,} pixels differ"
            )
            say(f"{one.picture}, {one.annotator}: {answers}.")
    if not found:
        say("No model helped with any work: there is nothing to ask again.")
    if any(one.problem or one.n_differing for one in found):
        raise typer.Exit(FAILED)


def merge(
    folder: FolderArgument,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="A copy; it is only read.")],
    author: AuthorOption = None,
) -> None:
    """Join what was done in a copy; where both went on, the other's is a second opinion."""
    from napari_safire.project.upkeep.merge import merge as join

    with opened(folder, author) as there, opened(other, author, read_only=True) as copy:
        with progress_bar("joining") as show:
            merged = join(there, copy, show)
        say(f"{merged.n_common} events in common, {merged.n_joined} joined.")
        names = dict(there.ask("SELECT id, name FROM picture"))
        for picture, annotator, kept in merged.second_opinions:
            say(f"{names[picture]}: {annotator} went on in both copies; the other is by {kept}.")


def backup(
    folder: FolderArgument,
    target: Annotated[Path, typer.Argument(metavar="NEW", help="A folder that does not exist.")],
) -> None:
    """Copy the project as it is at one moment, whoever works on it meanwhile."""
    from napari_safire.project.upkeep.backup import back_up

    with opened(folder, read_only=True) as there, progress_bar("copying") as show:
        say(f"Copied to {back_up(there, target, show)}")


def recover(
    damaged: FolderArgument,
    target: Annotated[Path, typer.Argument(metavar="NEW", help="Folder of the new project.")],
    author: AuthorOption = None,
) -> None:
    """Save what can be read of a project with a damaged database into a new one."""
    from napari_safire.project.upkeep.backup import recover as save

    found = save(damaged, target, author)
    say(f"{found.n_events} events saved into {found.folder}.")
    for sentence in found.lost[:20]:
        warn(sentence)
    if len(found.lost) > 20:
        warn(f"and {len(found.lost) - 20} more.")


def _models(files: list[Path] | None) -> dict[str, str]:
    """Names of the models on this machine, by their hashes."""
    from napari_safire.model.catalogue.registry import hashed_models

    return hashed_models(files or ())
