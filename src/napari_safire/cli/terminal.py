"""What all commands share: errors as sentences, progress on stderr, the engine."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from napari_safire.errors import SafireError
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari_safire.engine import Engine

FAILED = 1
WRONG_USE = 2

ModelOption = Annotated[
    str, typer.Option("--model", help="A model's name (see `models list`) or file.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:<number> or mps.")
]
# Spelled out once more here: importing `Precision` would import torch, which takes seconds.
PrecisionName = Literal["float32", "bf16", "fp16"]
PrecisionOption = Annotated[
    PrecisionName,
    typer.Option("--precision", help="bf16, fp16: faster on most GPUs, a little different."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=2**32 - 1, help="Same seed, same result.")
]


def say(line: object = "", *, err: bool = False) -> None:
    """Print one line, without characters that command the terminal."""
    typer.echo(printable(line), err=err)


def complain(message: object) -> None:
    """Say on stderr, in one line, what went wrong."""
    say(f"Error: {' '.join(str(message).split())}", err=True)


def warn(message: object) -> None:
    """Say on stderr, in one line, what was mended or assumed."""
    say(f"Warning: {' '.join(str(message).split())}", err=True)


class ErrorReportingGroup(TyperGroup):
    """Turns errors a user can act on into a sentence and an exit code, without a traceback."""

    def invoke(self, ctx: Any) -> Any:  # a click.Context; typer may bring a click of its own
        """Run the command of the context."""
        try:
            return super().invoke(ctx)
        except (SafireError, ValueError, TypeError, OSError, MemoryError) as error:
            if ctx.params.get("traceback") or getattr(error, "errno", None) == errno.EPIPE:
                raise
            code = FAILED
            if isinstance(error, (ValueError, TypeError)):
                code = WRONG_USE
            elif isinstance(error, MemoryError):
                error = MemoryError("There is not enough memory: use a smaller picture.")
            complain(error)
            raise typer.Exit(code) from error
        except KeyboardInterrupt as error:
            typer.echo("Cancelled; nothing half-written.", err=True)
            raise typer.Exit(FAILED) from error


def open_engine(model: str, device: str, precision: PrecisionName = "float32") -> Engine:
    """Load a model; this is where torch is imported, which takes seconds."""
    with progress_bar("loading the model"):
        from napari_safire.engine import Engine
        from napari_safire.model.registry import load_model

        return Engine(load_model(model, device=device), precision=precision)


def describe_model(engine: Engine, name: str) -> dict[str, Any]:
    """What a record says of the model, beside the hash of its file."""
    return {
        "name": name,
        "architecture": engine.model.config.architecture,
        "precision": engine.precision,
    }


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr, on terminals only; yields what the engine calls with its progress."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(title, total=None)

        def show(done: int, total: int, stage: str) -> None:
            bar.update(task, completed=done, total=total, description=f"{title}: {stage}")

        yield show


def print_table(rows: list[tuple[str, ...]], header: tuple[str, ...] | None = None) -> None:
    """Columns on stdout, the first to the left, the others to the right."""
    shown = [*([header] if header else []), *rows]
    widths = [max(len(row[i]) for row in shown) for i in range(len(shown[0]))]
    for row in shown:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        typer.echo("  ".join(cells).rstrip())
