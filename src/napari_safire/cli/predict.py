"""``napari-safire predict``: partition pictures and write what was found.

A batch can be stopped or killed and started again: pictures whose results lie in the output folder,
complete, made of the same file by the same model with the same settings, are not asked again. What
is to be done is planned in `napari_safire.corpus.plan`; here are its options and its words.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_safire.cli.terminal import (
    FAILED,
    WRONG_USE,
    DeviceOption,
    ModelOption,
    PrecisionOption,
    SeedOption,
    complain,
    describe_model,
    open_engine,
    progress_bar,
    say,
    uninterrupted,
    warn,
)
from napari_safire.errors import Cancelled, SafireError

if TYPE_CHECKING:
    from napari_safire.basis import RunBasis
    from napari_safire.corpus.plan import Task
    from napari_safire.engine import Engine
    from napari_safire.examination.examination import Examination, ExaminationSettings
    from napari_safire.progress import Cancel, Progress
    from napari_safire.types import ForgeryMap, PointPrompt

    _Answer = tuple[Examination, list[Path]]

_MOST_JOBS = 8


def predict(
    context: typer.Context,
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...",
            help="Picture files, folders of pictures (without their subfolders), or list files.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
    ],
    points: Annotated[
        list[str] | None,
        typer.Option(
            "--points",
            metavar="ROW,COL",
            help="Also write the source region of this point, in image pixels; repeatable.",
        ),
    ] = None,
    only_points: Annotated[
        bool, typer.Option("--only-points", help="Leave out partition and heatmap.")
    ] = False,
    sources: Annotated[
        str, typer.Option("--sources", metavar="K|auto", help="Number of sources, 1 to 6.")
    ] = "auto",
    method: Annotated[
        Literal["kmeans", "dbscan", "auto"] | None,
        typer.Option("--method", help="Default: kmeans with --sources K, else auto."),
    ] = None,
    eps: Annotated[
        float | None,
        typer.Option(
            "--eps", help="Distance for --method dbscan (default: found for each picture)."
        ),
    ] = None,
    seed: SeedOption = 0,
    points_per_side: Annotated[
        int, typer.Option("--points-per-side", min=1, max=128, help="Prompts along each side.")
    ] = 16,
    model: ModelOption = "safire-lite",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            max=64,
            help="Pictures worked on at once; default: 1 on a CPU, on a GPU half of the cores, "
            "8 at most.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace results that are there already, whatever they were made with.",
        ),
    ] = False,
    absolute_paths: Annotated[
        bool,
        typer.Option(
            "--absolute-paths",
            help="Records say where pictures and model lie from the root on, user names included; "
            "else relative to the record.",
        ),
    ] = False,
) -> None:
    """Partition pictures into their sources, localise forgeries, write all results to a folder.

    A batch that was stopped goes on where it was: pictures whose complete results are there, of the
    same file, model and settings, are passed. Bad pictures are told and do not stop the others.
    Exit code 1 if any failed or it was stopped, 2 if the command itself is wrong.
    """
    from napari_safire.corpus.folder_lock import claim, ignores_case
    from napari_safire.corpus.plan import make_plan
    from napari_safire.examination.examination import ExaminationSettings
    from napari_safire.settings import PartitionSettings

    chosen, n_sources = _clustering(sources, method, eps)
    settings = ExaminationSettings(
        PartitionSettings(chosen, n_sources, eps, seed, points_per_side),
        points=_parse_points(points or []),
        whole_image=not only_points,
    )
    _check_output(images, output)
    with claim(output, lambda: _tell_of_waiting(output)) as unwritable:
        tasks = make_plan(images, output, overwrite=overwrite, ignore_case=ignores_case(output))
        _check_pictures_stay(tasks)
        _check_same(tasks, settings.basis("", precision), model=False)
        if unwritable is not None and any(task.kept is None for task in tasks):
            raise unwritable
        engine = open_engine(model, device, precision)
        basis = settings.basis(engine.model.checkpoint_sha256, engine.precision)
        _check_same(tasks, basis, model=True)
        jobs = jobs or _usual_jobs(engine)
        engine.grids_kept = jobs  # one for each picture under way
        about = describe_model(engine, model, absolute_path=absolute_paths)

        written: list[Task] = []  # also those that an interrupt kept from being told

        def answer(task: Task, progress: Progress | None, cancel: Cancel | None) -> _Answer | None:
            return _answer(
                task,
                engine,
                settings,
                about,
                written,
                overwrite=overwrite,
                absolute_paths=absolute_paths,
                progress=progress,
                cancel=cancel,
            )

        traceback_too = bool(context.find_root().params.get("traceback"))
        _work_on(tasks, answer, jobs, written, traceback_too=traceback_too)


def _answer(
    task: Task,
    engine: Engine,
    settings: ExaminationSettings,
    model: dict[str, str],
    written: list[Task],
    *,
    overwrite: bool,
    absolute_paths: bool,
    progress: Progress | None,
    cancel: Cancel | None,
) -> _Answer | None:
    """Examine a picture and write its results; None if they are there already."""
    from napari_safire.corpus.plan import is_unchanged
    from napari_safire.examination.examination import examine
    from napari_safire.examination.export import export_examination
    from napari_safire.images.reading import read_image

    if task.problem is not None:
        raise task.problem
    if task.kept is not None and is_unchanged(task):
        return None
    if task.leftover and not overwrite:
        warn(
            f"{task.record} is missing, or its files are not those that it describes, as after a "
            f"run that was killed: {task.image} is done again."
        )
    found = examine(engine, read_image(task.image), settings, progress=progress, cancel=cancel)
    with uninterrupted():
        files = export_examination(
            found,
            task.folder,
            task.base,
            model=model,
            device=str(engine.model.device),
            overwrite=overwrite or bool(task.leftover),
            earlier=task.leftover,
            absolute_paths=absolute_paths,
        )
        written.append(task)
    return found, files


def _work_on(
    tasks: Sequence[Task],
    answer: Callable[[Task, Progress | None, Cancel | None], _Answer | None],
    jobs: int,
    written: list[Task],
    *,
    traceback_too: bool,
) -> None:
    """Do all tasks; exit with a code if any failed."""
    from napari_safire.corpus.plan import InTheWay
    from napari_safire.examination.examination import OutsidePicture

    for note in (note for task in tasks for note in task.notes):
        warn(note)
    passed = 0
    errors: list[Exception] = []
    try:
        with closing(_outcomes(answer, tasks, jobs)) as outcomes:
            for task, outcome in outcomes:
                if outcome is None:
                    passed += 1
                elif isinstance(outcome, Cancelled):
                    raise outcome
                elif isinstance(outcome, Exception):  # the other pictures can still be done
                    _complain_of(task, outcome)
                    if traceback_too:
                        _show_traceback(outcome)
                    errors.append(outcome)
                else:
                    _tell(task, *outcome)
    finally:
        if len(tasks) > 1 or passed:
            say(_summary(len(tasks), len(written), passed, len(errors)))
    if errors:
        wrong_use = all(isinstance(error, (InTheWay, OutsidePicture)) for error in errors)
        raise typer.Exit(WRONG_USE if wrong_use and not written and not passed else FAILED)


def _complain_of(task: Task, error: Exception) -> None:
    """Say what is wrong with a picture, by its name."""
    if isinstance(error, MemoryError):
        complain(f"There is not enough memory for {task.image}: cut the picture into parts.")
    elif isinstance(error, SafireError) or str(task.image) in str(error):
        named = str(task.image) in str(error)
        complain(error if named else f"{task.image}: {error}")
    else:
        reason = str(error) or "no reason is given"
        complain(f"{task.image} could not be examined: {type(error).__name__}: {reason}")


def _show_traceback(error: Exception) -> None:
    for part in traceback.format_exception(error):
        for line in part.splitlines():
            say(line, err=True)


def _usual_jobs(engine: Engine) -> int:
    """One where the model needs all cores; else as many as keep a GPU busy."""
    if engine.model.device.type == "cpu":
        return 1
    return max(1, min(_MOST_JOBS, (os.cpu_count() or 1) // 2))


def _outcomes(
    answer: Callable[[Task, Progress | None, Cancel | None], _Answer | None],
    tasks: Sequence[Task],
    jobs: int,
) -> Generator[tuple[Task, _Answer | Exception | None]]:
    """Answer tasks one by one with a bar for each, or several at once with one bar for all."""
    from napari_safire.examination.threads import as_completed

    if min(jobs, len(tasks)) <= 1:
        for task in tasks:
            outcome: _Answer | Exception | None
            with progress_bar(task.image.name) as show:
                try:
                    outcome = answer(task, show, None)
                except Exception as error:
                    outcome = error
            yield task, outcome
        return
    with progress_bar("pictures") as show:
        found = as_completed(lambda task, cancel: answer(task, None, cancel), tasks, jobs)
        with closing(found):
            for count, (task, outcome) in enumerate(found, start=1):
                show(count, len(tasks), task.image.name)
                yield task, outcome


def _tell(task: Task, found: Examination, files: Sequence[Path]) -> None:
    for warning in found.warnings:
        warn(warning)
    say(f"{task.image}: {_in_words(found)} -> {files[-1]}")
    if found.forgery is not None and found.forgery.verdict == "inconclusive":
        say(f"  {found.forgery.reason}")


def _summary(count: int, done: int, passed: int, failed: int) -> str:
    parts = [f"{done} done"]
    if passed:
        parts.append(f"{passed} {'was' if passed == 1 else 'were'} there already")
    if failed:
        parts.append(f"{failed} failed")
    missing = count - done - passed - failed
    if missing:
        parts.append(f"{missing} not begun or stopped: the same command goes on with them")
    return f"{count} picture{'' if count == 1 else 's'}: {', '.join(parts)}."


def _verdict(forgery: ForgeryMap) -> str:
    """The verdict and the thresholds it rests on; the reason stands in the record."""
    text = f"{forgery.verdict} (score {forgery.score:.2f}"
    limits = forgery.calibration
    if limits is None:
        return f"{text}, not calibrated)"
    return (
        f"{text} at even odds; from {limits.forged_above:.2f} on forged, up to "
        f"{limits.clean_below:.2f} no forgery found)"
    )


def _in_words(found: Examination) -> str:
    parts = []
    if found.partition is not None:
        number = found.partition.n_sources
        sure = found.partition.number_probabilities.get(number)
        how_sure = "" if sure is None else f" ({sure:.0%} sure of the number)"
        parts.append("1 source" if number == 1 else f"{number} sources{how_sure}")
    if found.forgery is not None:
        parts.append(_verdict(found.forgery))
    if found.regions:
        number = len(found.regions)
        parts.append("1 region" if number == 1 else f"{number} regions")
    return ", ".join(parts)


def _clustering(
    sources: str, method: Literal["kmeans", "dbscan", "auto"] | None, eps: float | None
) -> tuple[str, int | None]:
    """Method and number of sources; refuses options that contradict each other."""
    from napari_safire.images.masks import MAX_SOURCE

    number: int | None = None
    if sources != "auto":
        most = MAX_SOURCE + 1
        if not sources.isascii() or not sources.isdigit() or int(sources) < 1:
            raise typer.BadParameter(
                f"{sources!r} is neither a number from 1 to {most} nor auto.",
                param_hint="--sources",
            )
        number = int(sources)
        if number > most:
            raise typer.BadParameter(
                f"a mask holds {most} sources at most, not {number}: ask for fewer.",
                param_hint="--sources",
            )
    chosen = method or ("auto" if number is None else "kmeans")
    if chosen == "kmeans" and number is None:
        raise typer.BadParameter(
            "kmeans needs the number of sources: add --sources K, or use --method auto.",
            param_hint="--method",
        )
    if chosen != "kmeans" and number is not None:
        raise typer.BadParameter(
            f"{chosen} finds the number of sources itself: leave out --sources {number}, or use "
            "--method kmeans.",
            param_hint="--method",
        )
    if eps is not None and chosen != "dbscan":
        raise typer.BadParameter(f"{chosen} has no eps: use --method dbscan.", param_hint="--eps")
    if eps is not None and not 0 < eps < float("inf"):
        raise typer.BadParameter(f"{eps} is not a positive distance.", param_hint="--eps")
    return chosen, number


def _parse_points(texts: Sequence[str]) -> tuple[PointPrompt, ...]:
    from napari_safire.types import PointPrompt

    points = []
    for text in texts:
        try:
            row, col = (float(part) for part in text.split(","))
            points.append(PointPrompt(row, col))
        except ValueError as error:
            raise typer.BadParameter(
                f"{text!r} is not a point: give row,col in pixels, such as 120,300.",
                param_hint="--points",
            ) from error
    return tuple(points)


def _check_output(images: Sequence[Path], output: Path) -> None:
    if os.path.exists(output) and not os.path.isdir(output):
        raise typer.BadParameter(f"{output} is a file, not a folder.", param_hint="--output")
    for path in images:
        if os.path.isdir(path) and os.path.realpath(path) == os.path.realpath(output):
            raise typer.BadParameter(
                f"the results would lie among the pictures of {path}, and be taken for some of "
                "them the next time: choose another folder.",
                param_hint="--output",
            )


def _tell_of_waiting(output: Path) -> None:
    say(f"Another run is at work in {output}: waiting until it has ended.", err=True)


def _check_pictures_stay(tasks: Sequence[Task]) -> None:
    """Refuse before any work what could destroy one of the caller's files."""
    from napari_safire.corpus.plan import replaced_picture

    found = replaced_picture(tasks)
    if found is not None:
        task, picture = found
        raise typer.BadParameter(
            f"the results of {task.image} would replace the picture {picture}: choose another "
            "folder.",
            param_hint="--output",
        )


def _check_same(tasks: Sequence[Task], wanted: RunBasis, *, model: bool) -> None:
    """Refuse to mix results that rest on different things, or to replace them unasked."""
    from napari_safire.corpus.plan import first_difference

    found = first_difference(tasks, wanted, model=model)
    if found is not None:
        task, words = found
        raise typer.BadParameter(
            f"{task.record} exists already, but was made {' and '.join(words)}: choose another "
            "folder, or add --overwrite.",
            param_hint="--output",
        )
