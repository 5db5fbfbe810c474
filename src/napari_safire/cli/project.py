"""``napari-safire project …``: ground truth by teams, made, proved, joined and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_safire.cli.options import (
    AuthorOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    SeedOption,
    SetOption,
    SortOption,
    TopOption,
    WhereOption,
)
from napari_safire.cli.terminal import FAILED, complain, print_table, progress_bar, say, warn

if TYPE_CHECKING:
    from napari_safire.corpus.triage.choice import Choice
    from napari_safire.project.store import Project

FolderArgument = Annotated[Path, typer.Argument(metavar="PROJECT", help="Folder of the project.")]

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
            help='Folders, patterns ("photos/**/*.jpg"), lists, tables, manifests; more by `add`.',
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What it is called; default: its folder.")] = "",
    annotators: Annotated[
        int, typer.Option(min=1, help="How many people annotate each picture, blind.")
    ] = 1,
    controls: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of hidden control pictures.")
    ] = 0.0,
    licence: Annotated[str, typer.Option(help="Of the pictures, for the data card.")] = "",
    shared: Annotated[
        bool, typer.Option("--shared", help="Other machines reach the folder by a network drive.")
    ] = False,
    seed: SeedOption = 0,
    set_name: SetOption = None,
    where: WhereOption = "",
    sort: SortOption = None,
    top: TopOption = None,
    author: AuthorOption = None,
) -> None:
    """Begin a project in a folder. Pictures stay where they are."""
    from napari_safire.project.chain.database import say_shared
    from napari_safire.project.settings import ProjectSettings
    from napari_safire.project.store import Project

    settings = ProjectSettings(annotators, controls, seed, licence)
    if shared:
        folder.mkdir(parents=True, exist_ok=True)
        say_shared(folder, True)
    with Project.create(folder, name, author=author, settings=settings) as made:
        say(f"Created {made.name} in {made.folder}, in the name of {made.author}.")
        if pictures:
            _add(made, pictures, set_name, _choice(where, sort, top))


@project.command("set")
def set_(
    folder: FolderArgument,
    annotators: Annotated[
        int | None, typer.Option(min=1, help="How many people annotate each picture, blind.")
    ] = None,
    controls: Annotated[
        float | None, typer.Option(min=0, max=0.5, help="Share of hidden control pictures.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the pictures.")] = None,
    shared: Annotated[
        bool | None,
        typer.Option("--shared/--local", help="Whether other machines reach the folder."),
    ] = None,
    author: AuthorOption = None,
) -> None:
    """Tell how the project is worked on, or change it. Before --shared close it everywhere."""
    from napari_safire.errors import SafireError
    from napari_safire.project.chain.database import safe_journal, say_shared

    asked = {
        "annotators_per_picture": annotators,
        "control_share": controls,
        "licence": licence,
    }
    changed = {name: value for name, value in asked.items() if value is not None}
    with opened(folder, author, read_only=not changed) as there:
        settings = there.settings
        if changed:
            settings = replace(settings, **changed)  # type: ignore[arg-type]  # as asked for
            there.change_settings(settings)
    if shared is not None:
        say_shared(folder, shared)
        try:
            with opened(folder, author):  # takes the other journal, if nobody is there
                pass
        except SafireError as error:
            say_shared(folder, not shared)
            raise SafireError(
                f"{folder} is open in another program: close it everywhere, then say it again."
            ) from error
    print_table([(name, str(value)) for name, value in settings.as_record().items()])
    reach = "several machines" if safe_journal(folder) == "rollback" else "this machine"
    say(f"reached by  {reach}")


@project.command("add")
def add(
    folder: FolderArgument,
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURES...", help="Folders, patterns, lists, tables, manifests, pictures."
        ),
    ],
    set_name: SetOption = None,
    tag: Annotated[list[str] | None, typer.Option(help="For all of them; repeatable.")] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Read their pixels when they are opened, not now."),
    ] = False,
    where: WhereOption = "",
    sort: SortOption = None,
    top: TopOption = None,
    author: AuthorOption = None,
) -> None:
    """Add pictures; those that are known already are left as they are, removed ones come back.

    Exit code 1 if any could not be added; the others are.
    """
    with opened(folder, author) as there:
        _add(there, pictures, set_name, _choice(where, sort, top), quick=quick, tags=tag)


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


def _choice(where: str, sort: str | None, top: int | None) -> Choice | None:
    """What is chosen of a manifest; None where nothing is asked of it."""
    from napari_safire.corpus.triage.choice import Choice

    return Choice(where, sort, top) if where or sort is not None or top is not None else None


def _add(
    there: Project,
    sources: list[str],
    set_name: str | None,
    choice: Choice | None,
    *,
    quick: bool = False,
    tags: list[str] | None = None,
) -> None:
    from napari_safire.project.adding import add_pictures
    from napari_safire.project.collecting import collect
    from napari_safire.project.manifest_scores import note_scores

    failed = False
    for source in sources:
        found = collect(source, set_name=set_name, choice=choice)
        with progress_bar("adding") as show:
            added = add_pictures(
                there, found.entries, tags=tags or [], decode=not quick, progress=show
            )
        n_scored = note_scores(there, found.scores)
        back = f", {added.n_returned} put back" if added.n_returned else ""
        say(f"{source}: {len(added.ids)} added, {added.known} known already{back}.")
        if n_scored:
            say(f"{source}: {n_scored} have the score of the manifest.")
        for new, same in added.duplicates[:20]:
            warn(f"{new} has the pixels of {same}.")
        problems = (*found.left_out, *added.problems)
        for problem in problems:
            complain(problem)
        failed = failed or bool(problems)
    if failed:  # the others are in the project
        raise typer.Exit(FAILED)
