"""``napari-safire train``: fine-tune a model on masks of one's own.

With ``--json``, stdout has one JSON object a line (`napari_safire.learning.events`), and a line
``stop`` on stdin, or its end, stops the run: whoever started it may die without leaving it behind.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from napari_safire.cli.options import DeviceOption, Kind, Precision, RootOption, SeedOption
from napari_safire.cli.terminal import print_table, say, warn
from napari_safire.errors import DatasetError, SafireError

if TYPE_CHECKING:
    from napari_safire.images.lists import ListEntry
    from napari_safire.learning.candidate import Task
    from napari_safire.learning.comparison import Comparison
    from napari_safire.learning.events import Event, Listener
    from napari_safire.learning.finetuning import FineTuneSettings

ListsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="LIST...", help="Lines of image,mask[,group]; mask None = authentic."),
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="For the run and its result.")
]
KindOption = Annotated[
    Kind, typer.Option("--kind", help="Masks: grey 50 x source, or forged where not black.")
]
FromOption = Annotated[
    str, typer.Option("--from", metavar="MODEL", help="The old model: a name or a file.")
]
HeldOutListOption = Annotated[
    Path | None,
    typer.Option("--held-out-list", metavar="LIST", help="Pictures that judge, all of them."),
]
HeldOutOption = Annotated[
    float, typer.Option("--held-out", help="Without such a list: share of groups that judge.")
]
StepsOption = Annotated[int, typer.Option("--steps", help="Updates of the weights.")]
RateOption = Annotated[float, typer.Option("--learning-rate", help="Peak.")]
PatienceOption = Annotated[
    int, typer.Option("--patience", help="Checks without a better one; 0: go to the end.")
]
SideOption = Annotated[
    int | None, typer.Option("--side", help="Of a crop; default: 256, or a ViT's frame.")
]
PerBatchOption = Annotated[int, typer.Option("--per-batch", help="Crops in a batch.")]
PhotosOption = Annotated[
    Path | None, typer.Option("--photos", help="Photographs (folder or table) to rehearse on.")
]
RehearsalOption = Annotated[
    float, typer.Option("--rehearsal", help="Share of crops composed of those.")
]
WorkersOption = Annotated[int, typer.Option("--workers", help="Processes that read pictures.")]
MixedPrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="bf16, fp16: mixed precision.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with what was stopped in the folder.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="JSON lines on stdout; stdin is the line to stop it.")
]


def train(
    lists: ListsArgument,
    output: OutputOption,
    root: RootOption = None,
    kind: KindOption = "sources",
    model: FromOption = "safire-lite",
    held_out_list: HeldOutListOption = None,
    held_out: HeldOutOption = 0.25,
    steps: StepsOption = 300,
    learning_rate: RateOption = 1e-4,
    patience: PatienceOption = 4,
    side: SideOption = None,
    per_batch: PerBatchOption = 8,
    photos: PhotosOption = None,
    rehearsal: RehearsalOption = 0.3,
    workers: WorkersOption = 0,
    precision: MixedPrecisionOption = "float32",
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    json_lines: JsonOption = False,
) -> None:
    """Fine-tune a model; propose the new one only if it beats the old one on held-out pictures."""
    with _voice(json_lines) as listen:
        _require_lightning()
        from napari_safire.learning.candidate import train_candidate
        from napari_safire.learning.finetuning import FineTuneSettings
        from napari_safire.learning.stopping import stoppable

        settings = FineTuneSettings(
            steps=steps,
            learning_rate=learning_rate,
            patience=patience or None,
            held_out=held_out,
            side=side,
            per_batch=per_batch,
            workers=workers,
            precision=precision,
            device=device,
            seed=seed,
            photos=photos,
            rehearsal=rehearsal,
        )
        with stoppable(by_stdin=json_lines) as stop:
            task = _task(lists, root, kind, model, held_out_list, settings)
            train_candidate(task, output, resume=resume, listen=listen, stop=stop)


def _require_lightning() -> None:
    try:
        import lightning_fabric  # noqa: F401
    except ImportError as error:
        raise SafireError(
            "Fine-tuning needs Lightning Fabric, which is not installed: run "
            '`pip install "napari-safire[train]"`.'
        ) from error


def _task(
    lists: Sequence[Path],
    root: Path | None,
    kind: Kind,
    model: str,
    held_out_list: Path | None,
    settings: FineTuneSettings,
) -> Task:
    """Read and divide the lists."""
    from napari_safire.datasets.groups import divide_entries, group_entries, separate_entries
    from napari_safire.learning.candidate import Task
    from napari_safire.learning.comparison import FEWEST
    from napari_safire.learning.finetuning import divide_parts

    problems: list[str] = []
    entries = [entry for path in lists for entry in _entries(path, root, problems)]
    if held_out_list is None:
        refused: list[str] = []
        try:
            learning, judging = divide_entries(
                group_entries(entries),
                settings.held_out,
                fewest=FEWEST,
                seed=settings.seed,
                counts=partial(_can_be_scored, kind=kind, refused=refused),
            )
        except DatasetError as error:
            if not refused:
                raise
            raise DatasetError(
                f"{error} Of {len(refused)} pictures the mask cannot be used with --kind {kind}: "
                f"{refused[0]}"
            ) from error
    else:
        learning, judging = separate_entries(entries, _entries(held_out_list, root, problems))
    hashes = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (*lists, *([held_out_list] if held_out_list else []))
    }
    parts = divide_parts(learning, judging, settings)
    return Task(model, hashes, kind, parts, settings, tuple(problems))


def _can_be_scored(entry: ListEntry, kind: Kind, refused: list[str]) -> bool:
    """Whether the mask says that there is something to find; what it is refused for is noted."""
    from napari_safire.images.truth import read_truth

    if entry.mask is None:
        return False
    try:
        labels = read_truth(entry, kind).labels
    except SafireError as error:
        refused.append(str(error))
        return False
    return bool(labels.min() != labels.max() if kind == "sources" else labels.any())


def _entries(path: Path, root: Path | None, problems: list[str]) -> list[ListEntry]:
    """Entries of a list whose files are there; what else is to be said goes to the problems."""
    from napari_safire.datasets.catalogue import read_entries

    listed = read_entries(path, root)
    problems += listed.notes
    for reason in dict.fromkeys(listed.lost.values()):
        problems.append(f"{reason.rstrip('.')}, of {path}: left out.")
    return [entry for entry in listed.entries if entry not in listed.lost]


@contextmanager
def _voice(json_lines: bool) -> Iterator[Listener]:
    """Give what hears of events; errors become events too, and go on."""
    if not json_lines:
        with _errors_of_arithmetic():
            yield _show
        return
    from napari_safire.learning.events import Failed, to_line

    out = sys.stdout
    with redirect_stdout(sys.stderr):  # nothing but events on stdout, whatever a library prints
        try:
            with _errors_of_arithmetic():
                yield lambda event: _write(out, to_line(event))
        except (SafireError, ValueError, TypeError, OSError, MemoryError) as error:
            _write(out, to_line(Failed(" ".join(str(error).split()))))
            raise


@contextmanager
def _errors_of_arithmetic() -> Iterator[None]:
    try:
        yield
    except FloatingPointError as error:
        raise SafireError(str(error)) from error


def _write(out: TextIO, line: str) -> None:
    # If nobody reads any more, who started this is gone, which the end of stdin says as well: the
    # run shall still be saved. `terminal.open_streams` sees to it that this never fails.
    out.write(line + "\n")
    out.flush()


def _show(event: Event) -> None:
    """Tell people."""
    from napari_safire.learning import comparison, events, run_log

    match event:
        case run_log.RunEvent():
            run_log.print_event(event)
        case events.Divided():
            say(
                f"pictures (groups without a common origin): {event.learned} "
                f"({event.learned_groups}) to learn from, {event.watched} ({event.watched_groups}) "
                f"to tell when to stop, {event.held_out} ({event.held_out_groups}) to judge"
            )
        case events.Warned():
            warn(event.text)
        case events.Scoring():
            if event.done == event.total:
                say(f"{event.total // 2} held-out pictures scored with both models")
        case comparison.Comparison():
            _show_comparison(event)
        case events.Outcome():
            say(event.decision.capitalize() + (f": {event.model}" if event.model else ""))
            for reason in event.reasons:
                say(f"- {reason}")
            if event.result:
                say(f"All of it: {event.result}")


def _show_comparison(found: Comparison) -> None:
    rows: list[tuple[str, ...]] = [
        (found.measure, f"{found.old:.4f}", f"{found.new:.4f}", f"{found.difference:+.4f}")
    ]
    if found.false_alarms_old is not None and found.false_alarms_new is not None:
        old, new = found.false_alarms_old, found.false_alarms_new
        rows.append(("false alarms", f"{old:.4f}", f"{new:.4f}", f"{new - old:+.4f}"))
    print_table(rows, ("score", "old", "new", "difference"))
