"""``napari-safire project …``: ground truth by teams, made, proved, joined and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_safire.cli.options import DeviceOption, ModelOption, SeedOption, SetOption
from napari_safire.cli.terminal import FAILED, complain, print_table, progress_bar, say, warn

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.project.store import Project

FolderArgument = Annotated[Path, typer.Argument(metavar="PROJECT", help="Folder of the project.")]
AuthorOption = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="In whose name; default: this machine's annotator."),
]
ModelFilesOption = Annotated[
    list[Path] | None,
    typer.Option("--model", metavar="FILE", help="A model besides the registered; repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, on stdout.")]

project = typer.Typer(no_args_is_help=True, help="Ground truth by teams: curate, prove, export.")


@contextmanager
def opened(
    folder: Path, author: str | None = None, *, read_only: bool = False
) -> Iterator[Project]:
    """The project of a folder, while a command runs."""
    from napari_safire.project.store import Project

    with Project.open(folder, author=author, read_only=read_only) as there:
        yield there


@project.command("create")
def create(
    folder: FolderArgument,
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PICTURES...]",
            help='Folders, patterns ("photos/**/*.jpg"), lists or tables; more later by `add`.',
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What it is called; default: its folder.")] = "",
    annotators: Annotated[
        int, typer.Option(min=1, help="How many people annotate each picture, blind.")
    ] = 1,
    controls: Annotated[
        float, typer.Option(min=0, max=1, help="Share of hidden control pictures.")
    ] = 0.0,
    licence: Annotated[str, typer.Option(help="Of the pictures, for the data card.")] = "",
    seed: SeedOption = 0,
    set_name: SetOption = None,
    author: AuthorOption = None,
) -> None:
    """Begin a project in a folder. Pictures stay where they are."""
    from napari_safire.project.settings import ProjectSettings
    from napari_safire.project.store import Project

    settings = ProjectSettings(annotators, controls, seed, licence)
    with Project.create(folder, name, author=author, settings=settings) as made:
        say(f"Created {made.name} in {made.folder}, in the name of {made.author}.")
        if pictures:
            _add(made, pictures, set_name, quick=False, tags=[])


@project.command("add")
def add(
    folder: FolderArgument,
    pictures: Annotated[
        list[str],
        typer.Argument(metavar="PICTURES...", help="Folders, patterns, lists, tables or pictures."),
    ],
    set_name: SetOption = None,
    tag: Annotated[list[str] | None, typer.Option(help="For all of them; repeatable.")] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Read their pixels when they are opened, not now."),
    ] = False,
    author: AuthorOption = None,
) -> None:
    """Add pictures; those that are known already are left as they are."""
    with opened(folder, author) as there:
        _add(there, pictures, set_name, quick=quick, tags=tag or [])


@project.command("remove")
def remove(
    folder: FolderArgument,
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="Name or path.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    author: AuthorOption = None,
) -> None:
    """Take pictures out of the list; what was made of them stays in the log."""
    from napari_safire.project.pictures import remove_picture

    with opened(folder, author) as there:
        for picture in pictures:
            remove_picture(there, picture, reason)
            say(f"{picture} is out of the list.")


@project.command("find")
def find(
    folder: FolderArgument,
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDERS...]", help="Where to look; default: where they were."),
    ] = None,
    author: AuthorOption = None,
) -> None:
    """Look after the pictures: find moved ones by their hashes, flag changed ones."""
    from napari_safire.project.pictures import look_after, project_pictures

    with opened(folder, author) as there:
        with progress_bar("looking") as show:
            moved, flagged = look_after(there, [p.absolute() for p in places or ()], show)
        say(f"{moved} found again elsewhere, {flagged} cannot be used.")
        for picture in project_pictures(there):
            if picture.problem:
                warn(picture.problem)
    if flagged:
        raise typer.Exit(FAILED)


@project.command("log")
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


@project.command("stats")
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


@project.command("verify")
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


@project.command("rebuild")
def rebuild(folder: FolderArgument) -> None:
    """Make the state anew from the events; says whether it was what they say."""
    with opened(folder) as there:
        same = there.rebuild()
    say("The state was what the events say." if same else "The state was another: mended.")


@project.command("replay")
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


@project.command("merge")
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


@project.command("backup")
def backup(
    folder: FolderArgument,
    target: Annotated[Path, typer.Argument(metavar="NEW", help="A folder that does not exist.")],
) -> None:
    """Copy the project as it is at one moment, whoever works on it meanwhile."""
    from napari_safire.project.upkeep.backup import back_up

    with opened(folder, read_only=True) as there, progress_bar("copying") as show:
        say(f"Copied to {back_up(there, target, show)}")


@project.command("recover")
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


@project.command("agree")
def agree(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Compare annotators of all pictures of which several are done: mean with 95 % interval."""
    from napari_safire.project.comparing import compare_all

    with opened(folder) as there, progress_bar("comparing") as show:
        means = compare_all(there, show)
    if as_json:
        say(json.dumps({name: [m.mean, m.low, m.high, m.n] for name, m in means.items()}))
    elif not means:
        say("No picture is done by two annotators yet.")
    else:
        print_table(
            [
                (name, f"{m.mean:.3f}", f"{m.low:.3f} to {m.high:.3f}", str(m.n))
                for name, m in means.items()
            ],
            header=("agreement", "mean", "interval", "pictures"),
        )


@project.command("score")
def score(
    folder: FolderArgument,
    model: ModelOption = "safire-lite",
    device: DeviceOption = "auto",
    anew: Annotated[bool, typer.Option("--anew", help="Also those that have a score.")] = False,
    author: AuthorOption = None,
) -> None:
    """Ask a model about all pictures, to sort the queue by: forged first, most uncertain first."""
    from napari_safire.cli.terminal import open_engine
    from napari_safire.project.comparing import score_pictures

    engine = open_engine(model, device)
    failed = False
    with opened(folder, author) as there, progress_bar("scoring") as show:
        for one in score_pictures(there, engine, anew=anew, progress=show):
            failed = failed or bool(one.problem)
            if one.problem:
                complain(f"{one.picture}: {one.problem}")
            else:
                say(f"{one.picture}: {one.verdict}, score {one.score:.2f}, "
                    f"uncertainty {one.uncertainty:.2f}")  # fmt: skip
    if failed:
        raise typer.Exit(FAILED)


@project.command("who")
def who(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The annotator of this machine.")
    ] = None,
) -> None:
    """Tell, or choose, the name under which work on this machine is kept."""
    from napari_safire.project.people import annotator_name, choose_annotator_name

    say(annotator_name() if name is None else choose_annotator_name(name))


@project.command("judge")
def judge(
    folder: FolderArgument,
    picture: Annotated[str, typer.Argument(help="Name or path.")],
    annotator: Annotated[str, typer.Argument(help="Whose work.")],
    verdict: Annotated[Literal["accept", "reject"], typer.Argument()],
    note: Annotated[str, typer.Option(help="What is to be changed; needed to reject.")] = "",
    author: AuthorOption = None,
) -> None:
    """Accept work that is done, or send it back with a note."""
    from napari_safire.project.pictures import find_picture
    from napari_safire.project.work import accept, reject

    with opened(folder, author) as there:
        wanted = find_picture(there, picture).id
        work: Any = (
            accept(there, wanted, annotator)
            if verdict == "accept"
            else reject(there, wanted, annotator, note)
        )
        say(f"{picture}, {annotator}: {work.state}.")


def _add(
    there: Project, sources: list[str], set_name: str | None, *, quick: bool, tags: list[str]
) -> None:
    from napari_safire.project.adding import add_pictures
    from napari_safire.project.collecting import collect_pictures

    for source in sources:
        entries = collect_pictures(source, set_name=set_name)
        with progress_bar("adding") as show:
            added = add_pictures(there, entries, tags=tags, decode=not quick, progress=show)
        say(f"{source}: {len(added.ids)} added, {added.known} known already.")
        for new, same in added.duplicates[:20]:
            warn(f"{new} has the pixels of {same}.")
        for problem in added.problems:
            complain(problem)


def _models(files: list[Path] | None) -> dict[str, str]:
    """Names of the models on this machine, by their hashes."""
    from napari_safire.model.catalogue.registry import hashed_models

    return hashed_models(files or ())
