"""``napari-safire predict``: partition pictures and write what was found.

A batch can be stopped and started again: pictures whose results lie in the output folder, complete,
made of the same file by the same model with the same settings, are not asked again.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

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
)
from napari_safire.errors import Cancelled, ImageReadError, SafireError

if TYPE_CHECKING:
    from napari_safire.curation.examination import (
        Cancel,
        Examination,
        ExaminationSettings,
        Progress,
    )
    from napari_safire.engine import Engine
    from napari_safire.types import ForgeryMap, PointPrompt

    _Answer = tuple[Examination, list[Path]]

_LIST_SUFFIXES = (".txt", ".csv")
_MOST_JOBS = 8


@dataclass(frozen=True, slots=True)
class _Task:
    """One picture, and where its results go.

    Parameters
    ----------
    image : Path
    folder : Path
        Below the output folder as the picture lies below that of its list.
    problem : SafireError or None
        Why the folder or list in place of a picture cannot be read.
    """

    image: Path
    folder: Path
    problem: SafireError | None = None

    @property
    def stem(self) -> str:
        """Begin of the names of its results."""
        return self.image.stem

    @property
    def record(self) -> Path:
        """The record, which comes last: where it lies, the results are complete."""
        return self.folder / f"{self.stem}.json"


def predict(
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
) -> None:
    """Partition pictures into their sources, localise forgeries, write all results to a folder.

    A batch that was stopped goes on where it was: pictures whose complete results are there, of the
    same file, model and settings, are passed. Bad pictures are told and do not stop the others.
    """
    from napari_safire.curation.examination import ExaminationSettings, examine
    from napari_safire.data.images import read_image

    chosen, n_sources = _clustering(sources, method, eps)
    settings = ExaminationSettings(
        method=chosen,
        n_sources=n_sources,
        eps=eps,
        seed=seed,
        points_per_side=points_per_side,
        points=_parse_points(points or []),
        whole_image=not only_points,
    )
    tasks = _tasks(images, output)
    _check_outputs(tasks, output)
    there = {} if overwrite else _records_there(tasks, settings)
    engine = open_engine(model, device, precision)
    jobs = jobs or _usual_jobs(engine)
    engine.grids_kept = jobs  # one for each picture under way
    _check_model(there, engine)

    def answer(task: _Task, progress: Progress | None, cancel: Cancel | None) -> _Answer | None:
        if task.problem is not None:
            raise task.problem
        if task in there:
            _check_picture(task, there[task])
            return None
        found = examine(engine, read_image(task.image), settings, progress=progress, cancel=cancel)
        return found, _export(engine, task, found, model, overwrite)

    done = passed = 0
    codes = []
    try:
        with closing(_outcomes(answer, tasks, jobs)) as outcomes:
            for task, outcome in outcomes:
                if outcome is None:
                    passed += 1
                elif not isinstance(outcome, Exception):
                    done += 1
                    _tell(task, *outcome)
                elif isinstance(outcome, (SafireError, ValueError)) and not isinstance(
                    outcome, Cancelled
                ):  # the other pictures can still be done
                    complain(outcome)
                    codes.append(FAILED if isinstance(outcome, SafireError) else WRONG_USE)
                else:
                    raise outcome
    finally:
        if len(tasks) > 1 or passed:
            typer.echo(_summary(len(tasks), done, passed, len(codes)))
    if codes:
        raise typer.Exit(min(codes))


def _usual_jobs(engine: Engine) -> int:
    """One where the model needs all cores; else as many as keep a GPU busy."""
    if engine.model.device.type == "cpu":
        return 1
    return max(1, min(_MOST_JOBS, (os.cpu_count() or 1) // 2))


def _outcomes(
    answer: Callable[[_Task, Progress | None, Cancel | None], _Answer | None],
    tasks: Sequence[_Task],
    jobs: int,
) -> Generator[tuple[_Task, _Answer | Exception | None]]:
    """Answer tasks one by one with a bar for each, or several at once with one bar for all."""
    from napari_safire.curation.batch import as_completed

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


def _export(
    engine: Engine, task: _Task, found: Examination, model: str, overwrite: bool
) -> list[Path]:
    from napari_safire.curation.export import export_examination

    with _uninterrupted():
        return export_examination(
            found,
            task.folder,
            task.stem,
            model=describe_model(engine, model),
            device=str(engine.model.device),
            overwrite=overwrite,
        )


def _tell(task: _Task, found: Examination, files: Sequence[Path]) -> None:
    for warning in found.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    typer.echo(f"{task.image}: {_in_words(found)} -> {files[-1]}")
    if found.forgery is not None and found.forgery.verdict == "inconclusive":
        typer.echo(f"  {found.forgery.reason}")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done: results are renamed one after the other."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread alone
        return
    interrupts: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt


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
    from napari_safire.data.masks import MAX_SOURCE

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


def _tasks(images: Sequence[Path], output: Path) -> list[_Task]:
    """Every picture once, with those of folders and list files."""
    from napari_safire.curation.series import Series

    tasks: dict[str, _Task] = {}
    for path in images:
        if path.is_dir() and os.path.realpath(path) == os.path.realpath(output):
            raise typer.BadParameter(
                f"the results would lie among the pictures of {path}, and be taken for some of "
                "them the next time: choose another folder.",
                param_hint="--output",
            )
        found = [_Task(path, output)]
        if path.is_dir() or path.suffix.lower() in _LIST_SUFFIXES:
            try:
                series = Series.open(path)
            except SafireError as error:
                found = [_Task(path, output, error)]
            else:
                found = [
                    _Task(picture, output / picture.relative_to(series.base).parent)
                    for picture in series.pictures
                ]
        for task in found:
            tasks.setdefault(os.path.abspath(task.image), task)
    return list(tasks.values())


def _check_outputs(tasks: Sequence[_Task], output: Path) -> None:
    """Refuse before any work what could destroy a file: the caller's or another result."""
    from napari_safire.curation.export import existing_outputs

    if output.exists() and not output.is_dir():
        raise typer.BadParameter(f"{output} is a file, not a folder.", param_hint="--output")
    seen: dict[tuple[Path, str], Path] = {}
    for task in tasks:
        image = task.image
        other = seen.setdefault((task.folder, task.stem.casefold()), image)  # some ignore case
        if other is not image:
            raise typer.BadParameter(
                f"{other} and {image} would write the same files: give them different folders, or "
                "rename one.",
                param_hint="IMAGE...",
            )
    inputs = {os.path.realpath(task.image) for task in tasks}
    for task in tasks:
        for path in existing_outputs(task.folder, task.stem):
            if os.path.realpath(path) in inputs:
                raise typer.BadParameter(
                    f"the results of {task.image} would replace the picture {path}: choose another "
                    "folder.",
                    param_hint="--output",
                )


def _records_there(
    tasks: Sequence[_Task], settings: ExaminationSettings
) -> dict[_Task, dict[str, Any]]:
    """Records of pictures that were asked the same; refuses to replace any other results."""
    from napari_safire.curation.export import existing_outputs

    there: dict[_Task, dict[str, Any]] = {}
    for task in tasks:
        files = existing_outputs(task.folder, task.stem)
        if not files:
            continue
        record = _complete_record(task)
        if record is None:
            _refuse(files[0], "and is no complete result")
        elif _recorded_settings(record) != settings:
            _refuse(task.record, "but was made with other settings")
        else:
            there[task] = record
    return there


def _complete_record(task: _Task) -> dict[str, Any] | None:
    """The record, if it is one of this command and all its files lie beside it."""
    from napari_safire.data.record import EXAMINATION_FORMAT, read_record

    try:
        record = read_record(task.record)
        names = [
            name
            for files in record["files"].values()
            for name in ([files] if isinstance(files, str) else files)
        ]
        complete = all((task.folder / name).is_file() for name in names)
    except (SafireError, KeyError, TypeError, AttributeError):
        return None
    return record if complete and record["format"] == EXAMINATION_FORMAT else None


def _recorded_settings(record: dict[str, Any]) -> ExaminationSettings | None:
    from napari_safire.curation.examination import ExaminationSettings
    from napari_safire.types import PointPrompt

    try:
        given = dict(record["parameters"])
        points = tuple(PointPrompt(row, col) for row, col in given.pop("points"))
        return ExaminationSettings(**given, points=points)
    except (KeyError, TypeError, ValueError):  # written by another version
        return None


def _check_model(there: dict[_Task, dict[str, Any]], engine: Engine) -> None:
    for task, record in there.items():
        found = record.get("model")
        if not isinstance(found, dict) or (
            found.get("checkpoint_sha256") != engine.model.checkpoint_sha256
        ):
            _refuse(task.record, "but was made with another model")
        before = found.get("precision", "float32")  # not in records of earlier versions
        if before != engine.precision:
            _refuse(task.record, f"but was made in {before}, not in {engine.precision}")


def _check_picture(task: _Task, record: dict[str, Any]) -> None:
    """Raise if the picture is not the one whose results are there, or is gone."""
    try:
        with task.image.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageReadError(f"{task.image} cannot be read: {error.strerror}.") from error
    about = record.get("image")
    if not isinstance(about, dict) or about.get("file_sha256") != sha256:
        raise SafireError(
            f"{task.record} was made of another file than {task.image} is now: add --overwrite, or "
            "choose another folder."
        )


def _refuse(path: Path, why: str) -> NoReturn:
    raise typer.BadParameter(
        f"{path} exists already, {why}: choose another folder, or add --overwrite.",
        param_hint="--output",
    )
