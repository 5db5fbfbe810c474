"""``napari-safire predict``: partition pictures and write what was found.

Options and words alone: what is to be done is planned in `napari_safire.corpus.plan`, and done in
`napari_safire.corpus.run`.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_safire.cli.clusters import (
    ClusterOptions,
    SchedulerFileOption,
    SchedulerOption,
    WorkersOption,
)
from napari_safire.cli.corpus import (
    CorpusOptions,
    FilesOption,
    ManifestOption,
    NamedModel,
    RecursiveOption,
    RetryOption,
    RootOption,
    SandboxOption,
    TaskSizeOption,
    WriteOption,
    predict_corpus,
    tell_of_waiting,
)
from napari_safire.cli.options import (
    DeviceOption,
    EvidenceOption,
    ModelOption,
    PointsPerSideOption,
    PrecisionOption,
    SeedOption,
)
from napari_safire.cli.terminal import (
    FAILED,
    WRONG_USE,
    complain,
    open_engine,
    progress_bar,
    say,
    warn,
)
from napari_safire.errors import SafireError

if TYPE_CHECKING:
    from napari_safire.corpus.run import Outcome, Run
    from napari_safire.corpus.task import Task
    from napari_safire.engine import Engine
    from napari_safire.examination import Examination, ExaminationSettings
    from napari_safire.forgery import ForgeryMap
    from napari_safire.types import PointPrompt

Method = Literal["kmeans", "dbscan", "auto"]

ImagesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE...",
        help="Picture files, folders of pictures, or list files. With --manifest also patterns, "
        "tables with a column of paths, tar archives and addresses (s3://…).",
    ),
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
]
PointsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--points",
        metavar="ROW,COL",
        help="Also write the source region of this point, in image pixels; repeatable.",
    ),
]
OnlyPointsOption = Annotated[
    bool, typer.Option("--only-points", help="Leave out partition and heatmap.")
]
SourcesOption = Annotated[
    str, typer.Option("--sources", metavar="K|auto", help="Number of sources, 1 to 6.")
]
MethodOption = Annotated[
    Method | None, typer.Option("--method", help="Default: kmeans with --sources K, else auto.")
]
EpsOption = Annotated[
    float | None,
    typer.Option("--eps", help="Distance for --method dbscan (default: found for each picture)."),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=64,
        help="Pictures worked on at once; default: 1 on a CPU, on a GPU half of the cores, "
        "8 at most.",
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace results that are there already, whatever they were made with."
    ),
]
AbsolutePathsOption = Annotated[
    bool,
    typer.Option(
        "--absolute-paths",
        help="Records say where pictures and model lie from the root on, user names included; "
        "else relative to the record.",
    ),
]


def predict(
    context: typer.Context,
    images: ImagesArgument,
    output: OutputOption,
    points: PointsOption = None,
    only_points: OnlyPointsOption = False,
    sources: SourcesOption = "auto",
    method: MethodOption = None,
    eps: EpsOption = None,
    seed: SeedOption = 0,
    points_per_side: PointsPerSideOption = 16,
    model: ModelOption = "safire-lite",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    evidence: EvidenceOption = "all",
    jobs: JobsOption = None,
    overwrite: OverwriteOption = False,
    absolute_paths: AbsolutePathsOption = False,
    manifest: ManifestOption = False,
    recursive: RecursiveOption = False,
    write: WriteOption = None,
    files: FilesOption = None,
    retry: RetryOption = None,
    workers: WorkersOption = 0,
    scheduler: SchedulerOption = "",
    scheduler_file: SchedulerFileOption = "",
    task_size: TaskSizeOption = None,
    sandbox: SandboxOption = False,
    root: RootOption = None,
) -> None:
    """Partition pictures into their sources, localise forgeries, write all results to a folder.

    A batch that was stopped goes on where it was: pictures whose complete results are there, of the
    same file, model and settings, are passed. Bad pictures are told and do not stop the others.
    With --manifest, or an option that needs it, all pictures stand in one table.
    Exit code 1 if any failed or it was stopped, 2 if the command itself is wrong.
    """
    from napari_safire.corpus.task import InTheWay

    settings = _settings(
        _clustering(sources, method, eps), points or [], only_points=only_points, seed=seed,
        points_per_side=points_per_side, evidence=evidence,
    )  # fmt: skip
    cluster = ClusterOptions(workers, scheduler, scheduler_file)
    wanted = CorpusOptions(
        manifest, recursive, write, files, retry, cluster, task_size, sandbox, root
    )  # fmt: skip
    named = NamedModel(model, device, precision)
    batch = ([Path(image) for image in images], output, settings, overwrite, absolute_paths)
    try:
        if wanted.is_corpus:
            wanted.refuse_with(points, jobs, overwrite)
            predict_corpus(images, output, settings, named, wanted)
        else:
            _predict_batch(batch, named, jobs, context.find_root().params)
    except InTheWay as error:
        raise typer.BadParameter(str(error), param_hint="--output") from error


def _settings(
    clustering: tuple[str, int | None, float | None],
    points: Sequence[str],
    *,
    only_points: bool,
    seed: int,
    points_per_side: int,
    evidence: Literal["all", "none"],
) -> ExaminationSettings:
    from napari_safire.examination import ExaminationSettings
    from napari_safire.settings import PartitionSettings

    return ExaminationSettings(
        PartitionSettings(*clustering, seed, points_per_side),
        points=_parse_points(points),
        whole_image=not only_points,
        evidence=evidence,
    )


def _predict_batch(
    asked: tuple[list[Path], Path, ExaminationSettings, bool, bool],
    model: NamedModel,
    jobs: int | None,
    root: Mapping[str, Any],
) -> None:
    from napari_safire.corpus.run import Batch, begin

    traceback_too = bool(root.get("traceback"))
    batch = Batch(*asked)
    with begin(batch, model.precision, lambda: tell_of_waiting(batch.output)) as run:
        engine = open_engine(model.name, model.device, model.precision)
        _tell_of_all(run, engine, model.name, jobs, traceback_too=traceback_too)


def _tell_of_all(
    run: Run, engine: Engine, model: str, jobs: int | None, *, traceback_too: bool
) -> None:
    """Do all that is planned and say what comes of it; exit with a code if any failed."""
    from napari_safire.corpus.task import InTheWay
    from napari_safire.examination import OutsidePicture

    passed = 0
    errors: list[Exception] = []
    outcomes = run.outcomes(engine, model, jobs=jobs, watch=progress_bar)
    for note in (note for task in run.tasks for note in task.notes):
        warn(note)
    try:
        with closing(outcomes):
            for outcome in outcomes:
                if outcome.error is not None:
                    _complain_of(outcome.task, outcome.error)
                    if traceback_too:
                        _show_traceback(outcome.error)
                    errors.append(outcome.error)
                elif outcome.found is None:
                    passed += 1
                else:
                    _tell(outcome, outcome.found)
    finally:
        if len(run.tasks) > 1 or passed:
            say(_summary(len(run.tasks), len(run.written), passed, len(errors)))
    if errors:
        wrong_use = all(isinstance(error, (InTheWay, OutsidePicture)) for error in errors)
        raise typer.Exit(WRONG_USE if wrong_use and not run.written and not passed else FAILED)


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


def _tell(outcome: Outcome, found: Examination) -> None:
    for warning in outcome.warnings:
        warn(warning)
    say(f"{outcome.task.image}: {_in_words(found)} -> {outcome.files[-1]}")
    if found.forgery is None:
        return
    if found.forgery.verdict == "inconclusive":
        say(f"  {found.forgery.reason}")
    for name, one in found.forgery.contributions.items():
        if one.weight != "nothing":
            say(f"  {name}: {one.weight}; {one.words}")


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
    sources: str, method: Method | None, eps: float | None
) -> tuple[str, int | None, float | None]:
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
    return chosen, number, eps


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
